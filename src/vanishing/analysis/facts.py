"""Every number that the paper prints, with its unit, precision, interval and where it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from ..tables import AGREEMENT, FALSE_POSITIVES, FRONTIERS, LEDGER
from .agreement import QUANTITIES, TOLERANCE
from .effects import ALL
from .fact import absent, fact, mean_of, selected
from .fact_adversarial import adversarial
from .fact_cases import cases
from .fact_controls import controls
from .fact_depths import depths
from .fact_recurrent import recurrent
from .fact_remedies import harms, successes, tuning
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
LEVEL = 0.05  # of the equivalence test of a cell
STANDARD_INITS = (*INITS, "lecun")
VERDICTS = (SUPPORTED, REFUTED, CONDITIONAL, INCONCLUSIVE, INCOMPLETE, NOT_TESTABLE)


def facts(tables: Tables, concluded: Mapping[str, pd.DataFrame], plan: dict) -> dict[str, dict]:
    """The content of ``facts.json``: the same names for every study.

    ``concluded``: the tables agreement, ledger, false_positives and frontiers, by name.

    A fact that this study cannot give has the value null, and its query says why.
    """
    runs = tables.runs
    tables = replace(tables, layers=tables.layers[tables.layers["step"] == 0])  # for speed
    ledger, agreed = concluded[LEDGER.name], concluded[AGREEMENT.name]
    return {
        **_study(runs, plan),
        **_counts(runs, plan),
        **_claims(ledger),
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
    }


def _study(runs: pd.DataFrame, plan: dict) -> dict:
    seconds = runs.drop_duplicates("run_id")["seconds"].sum()
    cores = plan.get("cores") or os.cpu_count()
    return {
        "study.name": fact(plan["study"], "", 0, "plan.json: study"),
        "study.seconds": fact(seconds, "s", 0, "runs: sum of seconds over runs"),
        "study.cores": fact(cores, "cores", 0, "plan.json: cores, or those of the judging machine"),
    }


def _counts(runs: pd.DataFrame, plan: dict) -> dict:
    once = runs.drop_duplicates("run_id")
    trained, judged = once[once["steps"] > 0], once[once["split"] != "tuning"]
    planned = len({run for ids in plan.get("members", {}).values() for run in ids})
    return {
        "runs.total": fact(len(once), "runs", 0, "runs: number of run_id"),
        "runs.planned": fact(planned, "runs", 0, "plan.json: number of members"),
        "runs.trained": fact(len(trained), "runs", 0, "runs: steps > 0"),
        "runs.diverged": fact(
            int((once["outcome"] == "diverged").sum()), "runs", 0, "runs: outcome = diverged"
        ),
        "cells.total": fact(int(once["cell"].nunique()), "cells", 0, "runs: number of cell"),
        "seeds.init": _seeds(judged[judged["steps"] == 0], "runs: steps = 0"),
        "seeds.judged": _seeds(judged[judged["steps"] > 0], "runs: steps > 0, not tuning"),
    }


def _seeds(runs: pd.DataFrame, query: str) -> dict:
    if runs.empty:
        return absent("seeds", f"no {query}")
    least = int(runs.groupby("cell")["seed"].nunique().min())
    return fact(least, "seeds", 0, f"{query}: fewest seeds of a cell")


def _claims(ledger: pd.DataFrame) -> dict:
    verdicts = ledger[ledger["stratum"] == ALL].set_index("claim")["verdict"]
    query = "ledger: stratum = all"
    counts = {
        f"claims.{word.lower().replace(' ', '_')}": fact(
            int((verdicts == word).sum()), "claims", 0, f"{query}, verdict = {word}"
        )
        for word in VERDICTS
    }
    words = {
        f"verdict.{claim}": fact(word, "", 0, f"{query}, claim = {claim}")
        for claim, word in verdicts.items()
    }
    return {"claims.total": fact(len(verdicts), "claims", 0, query), **counts, **words}


def _robustness(ledger: pd.DataFrame) -> dict:
    """How many of a decided claim's specifications agree with its verdict, mean over claims."""
    claims = ledger[ledger["stratum"] == ALL].dropna(subset="agreeing")
    query = "ledger: stratum = all, decided claims"
    if claims.empty:
        none = "a decided claim with a decided specification"
        return {"robustness.share": absent("1", none), "robustness.claims": absent("claims", none)}
    share = float(claims["agreeing"].mean())
    return {
        "robustness.share": fact(share, "1", 2, f"{query}: mean of agreeing"),
        "robustness.claims": fact(len(claims), "claims", 0, f"{query}: agreeing is there"),
    }


def _agreement(agreement: pd.DataFrame) -> dict:
    cells = agreement.drop_duplicates(["cell", "quantity"])
    query = "agreement: a row a cell and quantity"
    count = len(cells)
    share = float(cells["inside"].mean()) if count else None
    kinds = cells["quantity"].nunique()
    return {
        "agreement.pairs": fact(count, "", 0, query),
        "agreement.quantities": fact(kinds, "", 0, f"{query}; of these, quantities"),
        "agreement.known": fact(len(QUANTITIES), "", 0, "analysis.agreement.QUANTITIES"),
        "agreement.inside": fact(share, "", 3, f"{query}; share with inside true")
        if count
        else absent("", "no cell has both a prediction and a measurement"),
    }


def _calibration(agreement: pd.DataFrame) -> dict:
    cells = agreement[
        (agreement["battery"] == "signal")
        & (agreement["quantity"] == "slope")
        & (agreement["family"] == "mlp")
        & agreement["activation"].isin(ACTIVATIONS)
        & agreement["init"].isin(STANDARD_INITS)
        & (agreement["norm"] == "none")
        & (agreement["residual"] == "none")
        & (agreement["width"] >= 128)
    ]
    query = (
        "agreement: battery signal, slope, activation sigmoid, tanh, relu or gelu, a standard "
        "init, no norm, no residual, width >= 128"
    )
    count = fact(len(cells), "cells", 0, f"{query}: cells")
    passing = int((cells["p_tost"] < LEVEL).sum())
    equivalent = fact(passing, "cells", 0, f"{query}: p of TOST within {TOLERANCE:g} < {LEVEL:g}")
    if cells.empty:
        why = "no cell of battery signal is plain, of width >= 128, and has a theory"
        error, p = absent("decades/layer", why), absent("", why)
    else:
        distance = cells["distance"].abs().max()
        error = fact(distance, "decades/layer", 4, f"{query}: largest |measured - predicted|")
        largest = cells["p_tost"].max(skipna=False)
        p = fact(largest, "", 4, f"{query}: largest p of TOST within {TOLERANCE:g}")
    return {
        "calibration.cells": count,
        "calibration.equivalent": equivalent,
        "calibration.max_error": error,
        "calibration.p_tost": p,
    }


def _slopes(tables: Tables) -> dict:
    depths = sorted(selected(tables, "signal", **PLAIN)[0].runs["depth"].unique())
    depth = depths[len(depths) // 2] if depths else None
    return {
        f"slope.{activation}.{init}": _of_cell(tables, "slope", 3, activation, init, depth)
        for activation in ACTIVATIONS
        for init in INITS
    }


def _indices(tables: Tables) -> dict:
    depth = selected(tables, "signal", **PLAIN)[0].runs["depth"].max()
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
    levels = {"activation": activation, "init": init, "depth": depth}
    part, query = selected(tables, "signal", **PLAIN, **levels)
    return mean_of(part, measure, precision, query)
