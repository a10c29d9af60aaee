"""Negative controls: contrasts of an arm with itself, through the engine that judges claims."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..tables import FALSE_POSITIVES
from .claims import Analysis, Claim, Level, Registry
from .effects import TESTS, CellEffects, Evidence, by_cell, observed
from .ledger import Judged, decide, weighed
from .proportions import wilson
from .statistics import Estimate
from .study_tables import Tables
from .verdicts import LEAST_SEEDS, LEVEL, SUPPORTED, TAIL, Gain, overall

# From how many pairs on sign flips can reach p = .05, and bound an interval: p is at least 2^-n.
LEAST_FOR_P, LEAST_FOR_INTERVAL = (math.ceil(-math.log2(level)) for level in (LEVEL, TAIL))


def false_positives(tables: Tables, claims: Registry, seed: int, draws: int) -> pd.DataFrame:
    """Claims with a contrast, judged where there is nothing to find: control against control.

    In every draw the seeds of the control are halved at random; one half plays the treatment, and
    its seeds are paired with those of the other at random. Claims of equivalence are left out: an
    arm is equivalent to itself, so that SUPPORTED would be no error.
    """
    rows = []
    for claim in claims.claims:
        if claim.primary and claim.primary.contrast and claim.primary.side != "equivalent":
            rows += _of_claim(claim, tables, seed, draws)
    return FALSE_POSITIVES.frame(pd.DataFrame(rows, columns=list(FALSE_POSITIVES.columns)))


def _of_claim(claim: Claim, tables: Tables, seed: int, draws: int) -> list[dict]:
    data = observed(claim.primary, tables)
    rng = np.random.default_rng([seed, *claim.id.encode()])  # no claim hangs on the others
    effects = against_itself(data, claim.primary, draws, rng)
    rows = []
    for draw, part in effects.items():
        strata, found = weighed(part, claim.primary, seed)
        if found:
            judged = Judged(claim.id, "", claim.primary, strata, found, data, part, 0, "", ())
            of_nothing = _gain(strata, part, claim.primary, seed)
            rows.append({"claim": claim.id, "draw": draw} | _row(judged, of_nothing))
    return rows


def against_itself(
    data: pd.DataFrame, analysis: Analysis, draws: int, rng: np.random.Generator
) -> dict[int, CellEffects]:
    """The effects of each of ``draws`` random halvings; pairs are new seeds.

    ``data``: the runs of :func:`.effects.observed`. A control plays its own treatment, where there
    are several, each for itself; what is drawn is the same for all cells and controls.
    """
    contrast = analysis.contrast
    arms = data[data[contrast.factor].isin(contrast.controls)]
    seeds = arms["seed"].unique()
    pairs = len(seeds) // 2
    if not pairs:
        return {}
    order = rng.permuted(np.tile(np.sort(seeds), (draws, 1)), axis=1)[:, : 2 * pairs]
    number = np.arange(draws * pairs).reshape(draws, pairs)
    played = pd.DataFrame(
        {"played_by": order.ravel(), "seed": np.hstack([number, number]).ravel()}
    ).assign(treated=np.tile(np.arange(2 * pairs) < pairs, draws))
    parts = [_of_control(arms, analysis, control, played) for control in contrast.controls]
    effects = by_cell(pd.concat(parts, ignore_index=True), analysis.of_shares)
    draw_of = effects.seeds // pairs
    return {int(draw): effects.of(draw_of == draw) for draw in np.unique(draw_of)}


def _of_control(
    arms: pd.DataFrame, analysis: Analysis, control: Level, played: pd.DataFrame
) -> pd.DataFrame:
    factor, treatment = analysis.contrast.factor, analysis.contrast.treatment
    runs = arms[arms[factor] == control].rename(columns={"seed": "played_by"})
    runs = runs.drop(columns=factor).merge(played, on="played_by")
    runs = runs.assign(**{factor: np.where(runs["treated"], treatment, control)})
    alone = analysis.contrast.model_copy(update={"control": control})
    alone = analysis.model_copy(update={"contrast": alone})
    return TESTS[analysis.test].effects(runs.drop(columns="treated"), alone)


def _gain(strata: dict[str, Evidence], effects: CellEffects, analysis: Analysis, seed: int) -> Gain:
    """The gain over no effect at all, put together over strata as the claim says."""
    pooled = effects.evidence(seed)
    return overall(strata, pooled, analysis.model_copy(update={"smallest_effect": 0.0}))


def _row(judged: Judged, of_nothing: Gain) -> dict:
    return {
        "n": of_nothing.n,
        "p": of_nothing.p,
        "covered": of_nothing.low <= 0 <= of_nothing.high,
        "verdict": decide(judged, judged.found.gain.p, decided=True)[0],
    }


@dataclass(frozen=True)
class Rate:
    """How often there was a false alarm, and the claim with the largest share of them."""

    share: Estimate  # with Wilson's interval over draws
    claims: int
    worst: str
    largest: float


def rates(false_positives: pd.DataFrame) -> dict[str, Rate | None]:
    """Of draws: ``p`` below .05, ``interval`` without 0, ``supported``; None without any draw.

    A draw counts that could err: with few pairs p is never that small, an interval has no ends, and
    no verdict is given. Draws of a claim share its runs. Wilson's interval over draws holds all the
    same: given the runs they are independent, and the sign-flip test is exact for any runs, since
    which half plays the treatment is drawn anew. It does not say how other runs would come out.
    """
    n, verdict = false_positives["n"], false_positives["verdict"]
    alarms = {
        "p": (false_positives["p"] < LEVEL).where(n >= LEAST_FOR_P),
        "interval": (~false_positives["covered"]).where(n >= LEAST_FOR_INTERVAL),
        "supported": (verdict == SUPPORTED).where(n >= LEAST_SEEDS),
    }
    claim = false_positives["claim"]
    return {name: _rate(alarm.dropna(), claim) for name, alarm in alarms.items()}


def _rate(alarm: pd.Series, claim: pd.Series) -> Rate | None:
    if alarm.empty:
        return None
    by_claim = alarm.astype(float).groupby(claim.loc[alarm.index]).mean()
    share = wilson(int(alarm.sum()), len(alarm))
    return Rate(share, len(by_claim), str(by_claim.idxmax()), float(by_claim.max()))
