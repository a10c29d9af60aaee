"""Every number that the paper prints, with its unit, precision, interval and where it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from ..tables import AGREEMENT, FALSE_POSITIVES, FRONTIERS, LEDGER, RUNS
from .agreement import QUANTITIES, TOLERANCE
from .effects import ALL
from .fact import absent, fact, mean_of
from .fact_adversarial import adversarial
from .fact_cases import cases
from .fact_controls import controls
from .fact_depths import depths
from .fact_effects import effects
from .fact_headlines import headlines
from .fact_recurrent import recurrent
from .fact_remedies import harms, successes, tuning
from .fact_rows import JUDGED, levels, rows, selected, taken, words
from .study_tables import Tables
from .verdicts import (
    CONDITIONAL,
    INCOMPLETE,
    INCONCLUSIVE,
    NOT_TESTABLE,
    REFUTED,
    SUPPORTED,
)

ACTIVATIONS = ("sigmoid", "tanh", "relu", "gelu")
PLAIN = {"norm": "none", "residual": "none"}
INITS = ("torch_default", "xavier", "he", "orthogonal")
WIDE = 128  # units from which on theory is held against the measured slope
LEVEL = 0.05  # of the equivalence test of a cell
STANDARD_INITS = (*INITS, "lecun")
VERDICTS = (SUPPORTED, REFUTED, CONDITIONAL, INCONCLUSIVE, INCOMPLETE, NOT_TESTABLE)


def facts(tables: Tables, concluded: Mapping[str, pd.DataFrame], plan: dict) -> dict[str, dict]:
    """The content of ``facts.json``: the same names for every study.

    ``concluded``: the tables agreement, ledger, false_positives and frontiers, by name. A fact that
    this study cannot give has the value null, and its query says why.
    """
    runs = tables.runs
    tables = replace(tables, layers=tables.layers[tables.layers["step"] == 0])  # for speed
    ledger, agreed = concluded[LEDGER.name], concluded[AGREEMENT.name]
    return {
        **_study(runs, plan),
        **_counts(runs, plan),
        **_claims(ledger),
        **effects(ledger),
        **_robustness(ledger),
        **_calibration(agreed),
        **_agreement(agreed),
        **_slopes(tables),
        **_indices(tables),
        **successes(runs),
        **harms(tables),
        **tuning(runs),
        **recurrent(tables),
        **adversarial(tables),
        **cases(tables),
        **controls(tables, concluded[FALSE_POSITIVES.name], ledger),
        **depths(concluded[FRONTIERS.name]),
        **headlines(tables, concluded[FRONTIERS.name], ledger),
    }


def _study(runs: pd.DataFrame, plan: dict) -> dict:
    seconds = runs.drop_duplicates("run_id")["seconds"].sum()
    cores = plan.get("cores") or os.cpu_count()
    machine = "plan.json: cores, or those of the judging machine"
    return {
        "study.name": fact(plan["study"], "", 0, "plan.json: study", rows=None),
        "study.seconds": fact(
            seconds, "s", 0, "runs: sum of seconds over runs", rows=rows(RUNS.name, {})
        ),
        "study.cores": fact(cores, "cores", 0, machine, rows=None),
    }


def _counts(runs: pd.DataFrame, plan: dict) -> dict:
    once = runs.drop_duplicates("run_id")
    planned = len({run for ids in plan.get("members", {}).values() for run in ids})
    every, trainings = rows(RUNS.name, {}), levels(once["steps"][once["steps"] > 0])
    return {
        "runs.total": fact(len(once), "runs", 0, "runs: number of run_id", rows=every),
        "runs.planned": fact(planned, "runs", 0, "plan.json: number of members", rows=None),
        "runs.trained": _count(once, "runs: steps > 0", steps=trainings),
        "runs.diverged": _count(once, "runs: outcome = diverged", outcome=["diverged"]),
        "cells.total": fact(once["cell"].nunique(), "cells", 0, "runs: number of cell", rows=every),
        "seeds.init": _seeds(once, "runs: steps = 0, judged", [0]),
        "seeds.judged": _seeds(once, "runs: steps > 0, judged", trainings),
    }


def _count(once: pd.DataFrame, query: str, **where: list) -> dict:
    return fact(len(taken(once, where)), "runs", 0, query, rows=rows(RUNS.name, where))


def _seeds(once: pd.DataFrame, query: str, steps: list[int]) -> dict:
    where = {"split": JUDGED, "steps": steps}
    judged = taken(once, where)
    if judged.empty:
        return absent("seeds", f"no {query}")
    least = int(judged.groupby("cell")["seed"].nunique().min())
    query = f"{query}: fewest seeds of a cell"
    return fact(least, "seeds", 0, query, rows=rows(RUNS.name, where))


def _claims(ledger: pd.DataFrame) -> dict:
    verdicts = ledger[ledger["stratum"] == ALL].set_index("claim")["verdict"]
    counts = {
        f"claims.{word.lower().replace(' ', '_')}": _judged(
            int((verdicts == word).sum()), "claims", verdict=[word]
        )
        for word in VERDICTS
    }
    said = {f"verdict.{name}": _judged(word, "", claim=[name]) for name, word in verdicts.items()}
    return {"claims.total": _judged(len(verdicts), "claims"), **counts, **said}


def _judged(value: object, unit: str, **where: list[str]) -> dict:
    where = {"stratum": [ALL], **where}
    return fact(value, unit, 0, f"ledger: {words(where)}", rows=rows(LEDGER.name, where))


def _robustness(ledger: pd.DataFrame) -> dict:
    """How many of a decided claim's specifications agree with its verdict, mean over claims."""
    claims = ledger[ledger["stratum"] == ALL].dropna(subset="agreeing")
    query = "ledger: stratum all, decided claims"
    if claims.empty:
        none = "a decided claim with a decided specification"
        return {"robustness.share": absent("1", none), "robustness.claims": absent("claims", none)}
    chosen = rows(LEDGER.name, {"stratum": [ALL], "claim": list(claims["claim"])})
    share = float(claims["agreeing"].mean())
    there = f"{query}: agreeing is there"
    return {
        "robustness.share": fact(share, "1", 2, f"{query}: mean of agreeing", rows=chosen),
        "robustness.claims": fact(len(claims), "claims", 0, there, rows=chosen),
    }


def _agreement(agreement: pd.DataFrame) -> dict:
    cells = agreement.drop_duplicates(["cell", "quantity"])
    query = "agreement: a row a cell and quantity"
    every = rows(AGREEMENT.name, {})
    count = len(cells)
    share = float(cells["inside"].mean()) if count else None
    kinds = cells["quantity"].nunique()
    known = "analysis.agreement.QUANTITIES"
    return {
        "agreement.pairs": fact(count, "", 0, query, rows=every),
        "agreement.quantities": fact(kinds, "", 0, f"{query}; of these, quantities", rows=every),
        "agreement.known": fact(len(QUANTITIES), "", 0, known, rows=None),
        "agreement.inside": fact(share, "", 3, f"{query}; share with inside true", rows=every)
        if count
        else absent("", "no cell has both a prediction and a measurement"),
    }


def _calibration(agreement: pd.DataFrame) -> dict:
    width = agreement["width"]
    where = {
        "battery": ["signal"],
        "quantity": ["slope"],
        "family": ["mlp"],
        "activation": ACTIVATIONS,
        "init": STANDARD_INITS,
        "norm": ["none"],
        "residual": ["none"],
        "width": levels(width[width >= WIDE]),
    }
    cells, chosen = taken(agreement, where), rows(AGREEMENT.name, where)
    query = f"agreement: {words(where)}"

    def counted(count: int, what: str) -> dict:
        return fact(count, "cells", 0, f"{query}: {what}", rows=chosen)

    def largest(value: float, unit: str, what: str) -> dict:
        if cells.empty:
            return absent(unit, f"{query}, of width >= {WIDE}, with a theory")
        return fact(value, unit, 4, f"{query}: largest {what}", rows=chosen)

    within = f"p of TOST within {TOLERANCE:g}"
    distance, p = cells["distance"].abs().max(), cells["p_tost"].max(skipna=False)
    return {
        "calibration.cells": counted(len(cells), "cells"),
        "calibration.equivalent": counted(
            int((cells["p_tost"] < LEVEL).sum()), f"{within} < {LEVEL:g}"
        ),
        "calibration.max_error": largest(distance, "decades/layer", "|measured - predicted|"),
        "calibration.p_tost": largest(p, "", within),
    }


def _slopes(tables: Tables) -> dict:
    depths = sorted(selected(tables, "signal", **PLAIN).runs["depth"].unique())
    depth = depths[len(depths) // 2] if depths else None
    return {
        f"slope.{activation}.{init}": _of_cell(tables, "slope", 3, activation, init, depth)
        for activation in ACTIVATIONS
        for init in INITS
    }


def _indices(tables: Tables) -> dict:
    depth = selected(tables, "signal", **PLAIN).runs["depth"].max()
    return {
        name: _of_cell(tables, "vanishing_index", 1, activation, init, depth)
        for name, activation, init in (
            ("v.sigmoid.deepest", "sigmoid", "torch_default"),
            ("v.relu_he.deepest", "relu", "he"),
        )
    }


def _of_cell(
    tables: Tables, measure: str, precision: int, activation: str, init: str, depth: int | None
) -> dict:
    """Mean over seeds of a measure in the cells of battery signal that these levels name."""
    cell = {"activation": activation, "init": init, "depth": depth}
    return mean_of(selected(tables, "signal", **PLAIN, **cell), measure, precision)
