"""How often intervals hold the truth that their numbers were drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from vanishing.analysis.proportions import (
    difference_bounds,
    share_over_seeds,
    success_bounds,
    wilson,
)
from vanishing.analysis.relations import spearman
from vanishing.analysis.statistics import equivalence, flips, interquartile_mean, mean_interval
from vanishing.analysis.survival import kaplan_meier

TAIL = 0.025
NOMINAL = 0.95
SHARES = (0.3, 0.7)  # trained, of the two arms


@dataclass(frozen=True)
class Case:
    """An interval with the law that its numbers come from; ``holds`` draws once, and looks."""

    interval: str
    law: str
    n: int  # seeds
    holds: Callable[[np.random.Generator, int], bool]
    draws: int = 1000
    conservative: bool = False  # by construction: it may cover more than it says

    def __str__(self) -> str:
        return f"{self.interval}, {self.law}, n = {self.n}"

    def coverage(self, draws: int | None = None, seed: int = 1) -> float:
        """The share of draws in which the interval holds the truth."""
        rng = np.random.default_rng(seed)
        return float(np.mean([self.holds(rng, self.n) for _ in range(draws or self.draws)]))


def t_interval(rng: np.random.Generator, n: int) -> bool:
    """Student's t interval of a mean of normal values."""
    e = mean_interval(rng.normal(1, 2, n))
    return e.low <= 1 <= e.high


def sign_flips(rng: np.random.Generator, n: int) -> bool:
    """The bounds of the sign flips; values are symmetric, with heavier tails than normal ones."""
    f = flips(rng.standard_t(5, n), seed=1)
    return f.low(TAIL) <= 0 <= f.high(TAIL)


def interquartile(rng: np.random.Generator, n: int) -> bool:
    """The bootstrap of the interquartile mean; a normal law's is its centre."""
    e = interquartile_mean(rng.normal(0, 1, n), seed=1)
    return e.low <= 0 <= e.high


def interquartile_of_strata(rng: np.random.Generator, n: int) -> bool:
    """The same over two strata with centres one apart, drawn within each."""
    strata = np.arange(n) % 2
    e = interquartile_mean(rng.normal(strata - 0.5, 1), seed=1, strata=strata)
    return e.low <= 0 <= e.high


def one_difference(rng: np.random.Generator, n: int) -> bool:
    """Newcombe's interval of the difference of two shares, in one cell."""
    low, high = difference_bounds(*_arms(rng, n, 1), TAIL)
    return low <= SHARES[1] - SHARES[0] <= high


def differences(rng: np.random.Generator, n: int) -> bool:
    """The wider bounds of the mean difference of shares, over four independent cells."""
    low, high = success_bounds(*_arms(rng, n, 4), TAIL, seed=1)
    return low <= SHARES[1] - SHARES[0] <= high


def paired_cells(rng: np.random.Generator, n: int) -> bool:
    """The same, where the cells and arms of a seed are trained or not together."""
    low, high = success_bounds(*_arms(rng, n, 4, together=0.5), TAIL, seed=1)
    return low <= SHARES[1] - SHARES[0] <= high


def shares(rng: np.random.Generator, n: int) -> bool:
    """The mean share of four cells, over seeds."""
    e, _ = share_over_seeds(_arms(rng, n, 4)[0])
    return e.low <= SHARES[1] <= e.high


def _arms(rng: np.random.Generator, n: int, cells: int, together: float = 0.0) -> tuple:
    """Successes (seeds, cells) of two arms; a share ``together`` of what decides is the seed's."""
    luck = rng.normal(size=(n, 1)) * math.sqrt(together)
    own = rng.normal(size=(2, n, cells)) * math.sqrt(1 - together)
    control, treated = (
        luck + part < stats.norm.ppf(p) for part, p in zip(own, SHARES, strict=True)
    )
    return treated, control


def rank_correlation(rng: np.random.Generator, n: int) -> bool:
    """Spearman's correlation of two normal values with Pearson correlation .5."""
    x = rng.normal(size=n)
    e = spearman(x, 0.5 * x + math.sqrt(0.75) * rng.normal(size=n))
    return e.low <= 6 / math.pi * math.asin(0.25) <= e.high


def partial_rank_correlation(rng: np.random.Generator, n: int) -> bool:
    """The partial one, of two values that a third alone makes go together."""
    z = rng.normal(size=n)
    e = spearman(z + rng.normal(size=n), z + rng.normal(size=n), z[:, None])
    return e.low <= 0 <= e.high


def survivors(rng: np.random.Generator, n: int) -> bool:
    """Kaplan and Meier's curve at the median of exponential times, some censored before."""
    times, watched = rng.exponential(1, n), rng.uniform(0.3, 2, n)
    curve = kaplan_meier(np.minimum(times, watched), times <= watched)
    at = curve[curve["time"] <= math.log(2)].iloc[-1]
    return at["low"] <= 0.5 <= at["high"]


CASES = (
    *(Case("Student's t, mean", "normal", n, t_interval, 2000) for n in (7, 10, 20)),
    *(Case("sign flips, mean", "t of 5 df", n, sign_flips, 2000) for n in (7, 10)),
    Case("sign flips (drawn), mean", "t of 5 df", 20, sign_flips),
    *(Case("bootstrap, interquartile mean", "normal", n, interquartile) for n in (7, 10, 20)),
    Case("bootstrap, interquartile mean", "two strata", 20, interquartile_of_strata),
    Case("Newcombe's, difference of shares", "1 cell", 10, one_difference),
    Case("wider bounds, difference of shares", "4 cells", 10, differences, conservative=True),
    Case("wider bounds, difference of shares", "4, paired", 10, paired_cells, conservative=True),
    Case("Student's t, share over seeds", "4 cells", 10, shares),
    *(Case("Spearman's correlation", "normal, r = .5", n, rank_correlation) for n in (10, 20)),
    Case("Spearman's, partial", "normal, r = 0", 20, partial_rank_correlation),
    *(Case("Kaplan-Meier at the median", "exponential", n, survivors, 600) for n in (20, 50)),
)  # fmt: skip


def wilson_coverages(n: int) -> np.ndarray:
    """How often Wilson's interval holds each of 199 shares from 0 to 1, summed over outcomes."""
    found = [wilson(k, n) for k in range(n + 1)]
    low, high = (np.array([getattr(e, end) for e in found]) for end in ("low", "high"))
    share = np.linspace(0.005, 0.995, 199)[:, None]
    holds = (low <= share) & (share <= high)
    return np.sum(stats.binom.pmf(np.arange(n + 1), n, share) * holds, axis=1)


def false_equivalence(n: int, draws: int = 2000, seed: int = 0) -> float:
    """How often a mean that lies on the margin is called equivalent at the level .05."""
    rng = np.random.default_rng(seed)
    return float(
        np.mean([equivalence(rng.normal(0.5, 0.3, n), 0, 0.5).p < 0.05 for _ in range(draws)])
    )


def table(draws: int | None = None, sizes: Sequence[int] = (7, 10, 20)) -> pd.DataFrame:
    """interval, law, n, draws, covered: every case, Wilson's over shares, and TOST's level."""
    rows = [(c.interval, c.law, c.n, draws or c.draws, c.coverage(draws)) for c in CASES]
    for n in sizes:
        covered = wilson_coverages(n)
        rows.append(("Wilson's", "mean over shares, exact", n, None, covered.mean()))
        rows.append(("Wilson's", "least of all shares, exact", n, None, covered.min()))
    rows += [
        (
            "TOST, on the margin",
            "normal, 1 - level",
            n,
            draws or 2000,
            1 - false_equivalence(n, draws or 2000),
        )
        for n in sizes
    ]
    return pd.DataFrame(rows, columns=["interval", "law", "n", "draws", "covered"])
