"""Shares of runs: intervals for one, over seeds, and for a difference of two."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from .statistics import Estimate, flips, mean_interval


def wilson(successes: int, n: int, level: float = 0.95) -> Estimate:
    """A share with Wilson's score interval; it has a width even at 0 of n and n of n."""
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    return Estimate(successes / n, max(0.0, float(low)), min(1.0, float(high)), n)


def share_over_seeds(successes: NDArray) -> tuple[Estimate, str]:
    """The mean share of ``successes`` (seeds, cells) and its 95 % interval, with what that is.

    Student's t over the seeds' means over cells, cut at 0 and 1. Where all seeds agree that has no
    width, and Wilson's intervals of the cells are averaged.
    """
    seeds = mean_interval(successes.mean(axis=1))
    if len(successes) < 2:
        return seeds, "fewer than two seeds have every cell: no interval"
    if seeds.high - seeds.low > 1e-9:
        low, high = max(0.0, seeds.low), min(1.0, seeds.high)
        return Estimate(seeds.value, low, high, seeds.n), "Student's t interval over seeds"
    return (
        Estimate(seeds.value, *_averaged(successes, 0.025), seeds.n),
        "all seeds agree: Wilson's intervals of the cells, averaged",
    )


def share_bounds(successes: NDArray, tail: float, seed: int) -> tuple[float, float]:
    """Bounds of the mean share: the wider of Wilson's, averaged, and the sign flips over seeds.

    ``successes`` is (seeds, cells). The first knows that 11 of 11 is not certainty, the second that
    cells of a seed may go together.
    """
    low, high = _averaged(successes, tail)
    per_seed = flips(successes.mean(axis=1), seed)
    return min(low, max(0.0, per_seed.low(tail))), max(high, min(1.0, per_seed.high(tail)))


def _averaged(successes: NDArray, tail: float) -> tuple[float, float]:
    """Wilson's bounds of the mean over cells, by recovering the cells' variances."""
    share, *ends = _wilson_cells(successes, tail)
    low, high = (math.sqrt(np.sum((end - share) ** 2)) / successes.shape[1] for end in ends)
    return max(0.0, float(share.mean() - low)), min(1.0, float(share.mean() + high))


def difference_bounds(treated: NDArray, control: NDArray, tail: float) -> tuple[float, float]:
    """Bounds of the mean difference of shares, from successes of shape (seeds, cells) in two arms.

    Each cell's difference has Newcombe's interval from the two Wilson intervals (1998, method 10;
    that the arms are paired is not used, which is conservative); cells are averaged by recovering
    their variances (Zou and Donner 2008). It keeps a width where all seeds agree, and takes cells
    as independent: :func:`success_bounds` adds what the seeds say.
    """
    one, two = _wilson_cells(treated, tail), _wilson_cells(control, tail)
    difference = one[0] - two[0]
    down = np.hypot(one[0] - one[1], two[2] - two[0])
    up = np.hypot(one[2] - one[0], two[0] - two[1])
    cells = treated.shape[1]
    return (
        float(difference.mean() - math.sqrt(np.sum(down**2)) / cells),
        float(difference.mean() + math.sqrt(np.sum(up**2)) / cells),
    )


def success_bounds(treated: NDArray, control: NDArray, tail: float, seed: int) -> tuple:
    """The wider, at either end, of :func:`difference_bounds` and the sign flips over seeds.

    The first knows that 10 of 10 is not certainty, the second that cells of a seed may go together.
    """
    low, high = difference_bounds(treated, control, tail)
    per_seed = flips((treated.astype(float) - control).mean(axis=1), seed)
    return min(low, per_seed.low(tail)), max(high, per_seed.high(tail))


def _wilson_cells(success: NDArray, tail: float) -> tuple[NDArray, NDArray, NDArray]:
    n, share = success.shape[0], success.mean(axis=0)
    low, high = proportion_confint(success.sum(axis=0), n, alpha=2 * tail, method="wilson")
    return share, np.asarray(low), np.asarray(high)
