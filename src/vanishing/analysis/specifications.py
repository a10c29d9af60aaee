"""Robustness: would the verdict be the same with another threshold, or on other runs?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from ..tables import LEDGER, SPECIFICATIONS
from .claims import Analysis, Claim, Registry, Specification
from .effects import ALL
from .ledger import Judged, analysed, decide
from .study_tables import Tables
from .verdicts import DECIDED, finding, in_units

# Where effects of interest begin is a matter of taste: half and twice is the usual range of it.
THRESHOLDS = {"smallest effect × 0.5": 0.5, "smallest effect × 2": 2.0}


def specifications(
    tables: Tables,
    claims: Registry,
    judged: Sequence[Judged],
    planned: Mapping[str, Sequence[str]],
    decided: bool,
    seed: int,
    verdicts: Mapping[str, str],
) -> pd.DataFrame:
    """Every primary analysis with one thing changed, and whether the verdict is the claim's.

    The rule is that of the ledger, but p is not corrected for the other claims: a specification is
    no test of its own. ``judged``: the :func:`.ledger.analyses` of the claims; ``verdicts``: the
    word of each claim in the ledger.
    """
    primaries = {j.claim: j for j in judged if not j.name}
    rows = [
        _row(varied, name, decided, verdicts[claim.id])
        for claim in claims.claims
        if claim.primary
        for name, varied in _varied(claim, primaries[claim.id], tables, planned, seed).items()
    ]
    table = pd.DataFrame(rows, columns=list(SPECIFICATIONS.columns))
    return SPECIFICATIONS.frame(table.replace([math.inf, -math.inf], math.nan))


def _varied(
    claim: Claim,
    primary: Judged,
    tables: Tables,
    planned: Mapping[str, Sequence[str]],
    seed: int,
) -> dict[str, Judged]:
    same_runs = {
        name: with_threshold(primary, factor * claim.primary.smallest_effect, seed)
        for name, factor in THRESHOLDS.items()
        if factor * claim.primary.smallest_effect < largest_effect(claim.primary)
    }
    other_runs = {
        name: analysed(claim.id, "", on_other_runs(claim.primary, other), tables, planned, seed)
        for name, other in claim.specifications.items()
    }
    return same_runs | other_runs


def largest_effect(analysis: Analysis) -> float:
    """No effect can be larger: of a share or a rank correlation 1, of others without end."""
    return 1.0 if analysis.of_shares or analysis.test == "seed_rank" else math.inf


def with_threshold(judged: Judged, smallest_effect: float, seed: int) -> Judged:
    """The same effects of the same runs, held against another smallest effect."""
    analysis = judged.analysis.model_copy(update={"smallest_effect": smallest_effect})
    if judged.found is None:
        return replace(judged, analysis=analysis)
    pooled, matrix = judged.effects.evidence(seed), judged.effects.across_strata()
    found = finding(judged.strata, pooled, matrix, analysis, seed)
    return replace(judged, analysis=analysis, found=found)


def on_other_runs(analysis: Analysis, other: Specification) -> Analysis:
    """The analysis on the batteries, and where it says so the cells, of a specification."""
    where = analysis.where if other.where is None else other.where
    return analysis.model_copy(update={"batteries": other.batteries, "where": where})


def _row(judged: Judged, name: str, decided: bool, claimed: str) -> dict:
    found = judged.found
    word, _ = decide(judged, found.gain.p if found else 1.0, decided)
    value, low, high = in_units(found.gain, judged.analysis) if found else [math.nan] * 3
    return {
        "claim": judged.claim,
        "specification": name,
        "value": value,
        "low": low,
        "high": high,
        "n": found.gain.n if found else 0,
        "verdict": word,
        "agrees": word == claimed,
    }


def with_robustness(ledger: pd.DataFrame, specifications: pd.DataFrame) -> pd.DataFrame:
    """The ledger with how many specifications a claim has, and which share of them agrees.

    One that is inconclusive where the claim is decided counts as one that does not agree; one of
    which this study has no runs does not count. There is no share where the claim is not decided.
    """
    of_claim = (
        specifications[specifications["n"] > 0]
        .groupby("claim")
        .agg(count=("agrees", "size"), share=("agrees", "mean"))
    )
    claim = ledger["claim"].where(ledger["stratum"] == ALL)
    share = claim.map(of_claim["share"])
    return LEDGER.frame(
        ledger.assign(
            specifications=claim.map(of_claim["count"]),
            agreeing=share.where(ledger["verdict"].isin(DECIDED)),
        )
    )
