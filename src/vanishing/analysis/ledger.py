"""The ledger: every claim judged by the registered rule, in all and stratum by stratum."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..tables import LEDGER
from .claims import Analysis, Claim, Registry
from .coverage import absent_strata
from .effects import ALL, TESTS, CellEffects, Evidence, by_cell, labels, observed
from .measures import MEASURES
from .statistics import benjamini_hochberg, holm
from .strata import SECONDARY
from .study_tables import Tables
from .verdicts import (
    INCOMPLETE,
    INCONCLUSIVE,
    LEAST_SEEDS,
    NOT_TESTABLE,
    SUPPORTED,
    TAIL,
    Finding,
    enough_seeds,
    finding,
    gain,
    in_units,
    stratum_verdict,
    verdict,
)


@dataclass(frozen=True)
class Judged:
    """An analysis with what its runs gave: strata, finding, and which runs there are."""

    claim: str
    name: str  # "" for the primary analysis, else the secondary one's name
    analysis: Analysis
    strata: dict[str, Evidence]
    found: Finding | None  # None: nothing to estimate from
    runs: pd.DataFrame  # stratum, run_id, outcome of each run used; the value missing or not
    effects: CellEffects | None  # what strata and finding are made of, if anything
    missing: int  # planned runs of its batteries that are not there
    gap: str  # why there is nothing, or which runs could not be used
    absent: tuple[str, ...]  # strata that the claim names, and this study does not have

    @property
    def complete(self) -> bool:
        """Are all planned runs there?"""
        return self.missing == 0

    @cached_property
    def ends(self) -> pd.DataFrame:
        """How each run ended."""
        return self.runs[["run_id", "outcome"]]

    @cached_property
    def labelled(self) -> list[tuple[NDArray, NDArray]]:
        """Which runs are in an arm of each control, and their strata there; else of all runs."""
        contrast, strata = self.analysis.contrast, self.analysis.strata
        if contrast is None:
            return [(np.ones(len(self.runs), bool), labels(self.runs, strata).to_numpy())]
        arm = self.runs[contrast.factor]
        return [
            (
                arm.isin([contrast.treatment, control]).to_numpy(),
                labels(self.runs.assign(control=control), strata).to_numpy(),
            )
            for control in contrast.controls
        ]


def judge(
    tables: Tables,
    claims: Registry,
    planned: Mapping[str, Sequence[str]],
    decided: bool,
    seed: int,
) -> pd.DataFrame:
    """The ledger of ``claims``: their :func:`analyses`, judged by :func:`ledger_of`."""
    return ledger_of(analyses(tables, claims, planned, seed), claims, decided)


def analyses(
    tables: Tables, claims: Registry, planned: Mapping[str, Sequence[str]], seed: int
) -> list[Judged]:
    """Every analysis of ``claims``, primary and secondary, carried out.

    ``planned`` has the run ids of every battery.
    """
    return [
        analysed(claim.id, name, analysis, tables, planned, seed)
        for claim in claims.claims
        for name, analysis in _analyses(claim)
    ]


def ledger_of(judged: Sequence[Judged], claims: Registry, decided: bool) -> pd.DataFrame:
    """The ledger: a claim's row ``all`` with the verdict, then a row for each stratum.

    Where ``decided`` is false (a study too small to conclude from), the verdict is never more than
    INCONCLUSIVE. Holm's correction runs over all primary tests in the registry, Benjamini and
    Hochberg's over the secondary ones, which are exploratory; a test that cannot be made counts as
    p = 1.
    """
    primary = _corrected([j for j in judged if not j.name], holm)
    secondary = _corrected([j for j in judged if j.name], benjamini_hochberg)
    rows = [_untestable(claim) for claim in claims.claims if claim.not_testable]
    for j in judged:
        family = secondary if j.name else primary
        row = _row_of_all(j, family[j.claim, j.name], decided, len(family))
        rows += [row, *_rows_of_strata(j, decided)]
    ledger = pd.DataFrame(rows, columns=list(LEDGER.columns))
    order = {claim.id: place for place, claim in enumerate(claims.claims)}
    ledger = ledger.sort_values("claim", key=lambda ids: ids.map(order), kind="stable")
    return LEDGER.frame(ledger.replace([math.inf, -math.inf], math.nan).reset_index(drop=True))


def _analyses(claim: Claim) -> list[tuple[str, Analysis]]:
    return [("", claim.primary), *claim.secondary.items()] if claim.primary else []


def analysed(
    claim: str,
    name: str,
    analysis: Analysis,
    tables: Tables,
    planned: Mapping[str, Sequence[str]],
    seed: int,
) -> Judged:
    """One analysis, carried out on the runs that there are."""
    data = observed(analysis, tables)
    present = tables.runs.loc[tables.runs["battery"].isin(analysis.batteries), "run_id"]
    expected = {run for battery in analysis.batteries for run in planned.get(battery, ())}
    missing = len(expected - set(present))
    batteries = [battery for battery in analysis.batteries if not planned.get(battery)]
    effects = TESTS[analysis.test].effects(data, analysis) if len(data) else pd.DataFrame()
    cells = by_cell(effects, analysis.of_shares) if len(effects) else None
    strata, found = weighed(cells, analysis, seed) if cells else ({}, None)
    gap = _gap(data, analysis, found, batteries)
    absent = tuple(absent_strata(data, analysis, strata)) if found else ()
    return Judged(claim, name, analysis, strata, found, data, cells, missing, gap, absent)


def weighed(
    effects: CellEffects, analysis: Analysis, seed: int
) -> tuple[dict[str, Evidence], Finding | None]:
    """What effects say, stratum by stratum and together; None where no seed has every cell."""
    strata = effects.by_stratum(seed)
    if not strata:
        return {}, None
    pooled, matrix = effects.evidence(seed), effects.across_strata()
    return strata, finding(strata, pooled, matrix, analysis, seed)


def _gap(data: pd.DataFrame, analysis: Analysis, found: Finding | None, absent: list[str]) -> str:
    if absent:
        return f"this study has no battery {', '.join(absent)}"
    if data.empty:
        return "this study plans no such cells"
    parts = [] if found else ["these cells do not identify the effect"]
    unusable = int(data["value"].isna().sum())
    if unusable:
        parts.append(f"{unusable} runs have no value and could not be used")
    seeds = data["seed"].nunique()
    if found and found.gain.n < seeds:
        parts.append(f"{seeds - found.gain.n} of {seeds} seeds lack a cell, and do not count")
    return "; ".join([*parts, *_left_out(data, analysis)])


def _left_out(data: pd.DataFrame, analysis: Analysis) -> list[str]:
    """How many cells lack a regressor, which leaves them out of the fit."""
    on = (analysis.regress.term, *analysis.regress.beside) if analysis.regress else ()
    cells = {name: data.loc[data[name].isna(), "cell"].nunique() for name in on}
    return [
        f"{n} cells without {MEASURES[name].meaning} left out" for name, n in cells.items() if n
    ]


def _corrected(judged: list[Judged], adjusted: Callable) -> dict[tuple[str, str], float]:
    """The adjusted p by claim and name; a test that is not to be judged counts as 1."""
    p = [j.found.gain.p if j.found and j.complete else math.nan for j in judged]
    return dict(zip([(j.claim, j.name) for j in judged], adjusted(p), strict=True))


def decide(j: Judged, p: float, decided: bool) -> tuple[str, str]:
    """The verdict of the row ``all``, and why. ``p``: after its correction, if there is one."""
    if not j.complete:
        return INCOMPLETE, f"{j.missing} planned runs of its batteries are missing"
    if j.found is None:
        return INCONCLUSIVE, j.gap
    if not decided:
        return INCONCLUSIVE, "this study is too small to conclude from"
    if j.found.gain.n < LEAST_SEEDS:
        return INCONCLUSIVE, f"fewer than {LEAST_SEEDS} seeds"
    word, why = verdict(j.found, p, "Benjamini and Hochberg's" if j.name else "Holm's")
    if word == SUPPORTED and j.absent:
        return INCONCLUSIVE, f"strata absent: {'; '.join(j.absent)}"
    return word, why


def _row_of_all(j: Judged, p: float, decided: bool, tests: int) -> dict:
    word, why = decide(j, p, decided)
    reason = "; ".join(filter(None, (why, j.gap if j.found else "")))
    row = _row(j, ALL, word, f"exploratory: {reason}" if j.name else reason, j.runs)
    row |= {"planned": len(j.runs) + j.missing, "statistic": _statistic(j)}
    if j.found is None:
        return row
    g = j.found.gain
    value, low, high = in_units(g, j.analysis)
    row |= {"value": value, "low": low, "high": high, "n": g.n, "p": g.p}
    row["p_bh" if j.name else "p_holm"] = p
    if word == INCONCLUSIVE and not j.absent:  # no number of seeds brings a stratum
        row["seeds_needed"] = enough_seeds(g, j.found.bar, tests)
    return row


def _rows_of_strata(j: Judged, decided: bool) -> list[dict]:
    tail = TAIL / max(1, len(j.strata))
    return [_row_of_stratum(j, name, j.strata[name], tail, decided) for name in own_rows(j)]


def own_rows(j: Judged) -> list[str]:
    """The strata that have a row of their own, beside the row ``all``."""
    return [] if set(j.strata) <= {ALL} else list(j.strata)


def _row_of_stratum(j: Judged, stratum: str, e: Evidence, tail: float, decided: bool) -> dict:
    if not j.complete:
        word, reason = INCOMPLETE, "planned runs of its batteries are missing"
    elif not decided or e.n < LEAST_SEEDS:
        word, reason = INCONCLUSIVE, "too few seeds, or a study too small, to conclude from"
    else:
        word, reason = stratum_verdict(e, j.analysis, tail)
    low, high = e.bounds(tail)
    row = _row(j, stratum, word, reason, runs_of(j, stratum))
    side = "greater" if j.analysis.side == "both" else j.analysis.side
    return row | {"value": e.value, "low": low, "high": high, "n": e.n, "p": _p(e, j, side)}


def _p(e: Evidence, j: Judged, side: str) -> float:
    sides = ("greater", "less") if j.analysis.side == "both" else (side,)
    p = [gain(e, j.analysis, s, "", (TAIL, TAIL)).p for s in sides]
    return min(1.0, len(p) * min(p))


def runs_of(j: Judged, stratum: str) -> pd.DataFrame:
    """The :attr:`Judged.ends` that a stratum rests on; where it names a control, of both arms."""
    if stratum == ALL:
        return j.ends
    keep = np.zeros(len(j.runs), bool)
    for arms, named in j.labelled:
        keep |= arms & (named == stratum)
    return j.ends[keep]


def _statistic(j: Judged) -> str:
    analysis, measure = j.analysis, MEASURES[j.analysis.measure]
    what = measure.meaning
    if analysis.contrast:
        c = analysis.contrast
        what += f", {c.factor} {c.treatment} less {' or '.join(map(str, c.controls))}"
    if analysis.regress:
        what = _against(analysis, what)
    if analysis.side == "equivalent":
        what = f"distance from {analysis.target:g} of the {what}"
    deciding = j.found.gain.stratum if j.found else ""
    stratum = f" (deciding stratum: {deciding})" if deciding else ""
    holds = {"average": "mean over cells", "every": "weakest stratum", "some": "strongest stratum"}
    over = "smaller of the two extremes" if analysis.side == "both" else holds[analysis.holds]
    unit = "" if analysis.regress and analysis.test != "seed_thirds" else f" [{measure.unit}]"
    return f"{what}{unit}, {over}{stratum}"


def unit_of(statistic: str) -> str:
    """The unit that the words of a statistic in the ledger name; 1 where they name none.

    >>> unit_of("slope at init [decades/layer], mean over cells"), unit_of("none")
    ('decades/layer', '1')
    """
    found = re.search(r"\[([^\]]+)\]", statistic)
    return found[1] if found else "1"


def _against(analysis: Analysis, what: str) -> str:
    """What a test over the cells of a seed estimates of a measure, in words."""
    term = MEASURES[analysis.regress.term].meaning
    beside = ", ".join(MEASURES[name].meaning for name in analysis.regress.beside)
    fixed = f" at equal {beside}" if beside else ""
    thirds = f"third of cells with the largest {term} against that with the smallest"
    return {
        "seed_regression": f"coefficient of {term} in {what}{fixed}",
        "seed_rank": f"rank correlation of {what} with {term}{fixed}",
        "seed_thirds": f"{what}, {thirds}",
        "seed_hazard": f"log hazard ratio of half of chance's loss, {thirds}",
        "seed_shape": f"AIC of a power law in {term} less AIC of an exponential, of {what}",
    }[analysis.test]


def _row(j: Judged, stratum: str, word: str, reason: str, runs: pd.DataFrame) -> dict:
    return {
        "claim": j.claim,
        "stratum": row_name(j, stratum),
        "statistic": f"{MEASURES[j.analysis.measure].meaning}",
        "value": math.nan,
        "low": math.nan,
        "high": math.nan,
        "n": 0,
        "p": math.nan,
        "p_holm": math.nan,
        "p_bh": math.nan,
        "verdict": word,
        "planned": len(runs),
        "done": len(runs),
        "diverged": int((runs["outcome"] == "diverged").sum()),
        "seeds_needed": None,
        "reason": reason,
    }


def row_name(j: Judged, stratum: str) -> str:
    """What the ledger calls a stratum of an analysis: ``secondary trained: depth=20``."""
    prefix = f"{SECONDARY}{j.name}" if j.name else ""
    return stratum if not prefix else prefix if stratum == ALL else f"{prefix}: {stratum}"


def _untestable(claim: Claim) -> dict:
    return {
        "claim": claim.id,
        "stratum": ALL,
        "statistic": "none",
        "n": 0,
        "verdict": NOT_TESTABLE,
        "planned": 0,
        "done": 0,
        "diverged": 0,
        "seeds_needed": None,
        "reason": claim.not_testable,
    }
