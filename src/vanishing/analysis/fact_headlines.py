"""Facts for an abstract: how many networks lose their gradient, by how much, and what helps."""

from __future__ import annotations

import pandas as pd

from ..tables import FRONTIERS, LEDGER, RUNS
from .effects import ALL
from .fact import absent, fact, mean_of
from .fact_remedies import ARMS, REMEDIES
from .fact_rows import JUDGED, Selection, rows, selected, taken, words
from .measures import MEASURES
from .study_tables import Tables
from .verdicts import CONDITIONAL, REFUTED, SUPPORTED

PLAIN = {"family": "mlp", "norm": "none", "residual": "none"}
CLASSES = {  # of signal, at any strength
    "vanishing": ("vanishing", "severely vanishing"),
    "healthy": ("healthy",),
    "exploding": ("exploding", "severely exploding"),
}
SATURATING = ("sigmoid", "tanh")
ARM_CELLS = [(a, i) for a in ("sigmoid", "tanh", "relu") for i in ("torch_default", "he")]
LEAST_CELLS = 4  # of a rank correlation
BEYOND = {  # the depths tried
    "deeper": "at the greatest depth at least half are trained",
    "shallower": "at the smallest depth fewer than half are trained",
}


def headlines(tables: Tables, frontiers: pd.DataFrame, ledger: pd.DataFrame) -> dict[str, dict]:
    """``head.*``: the same names for every study.

    ``head.cells`` and, of these, ``head.<class>.cells`` and ``.share`` for vanishing, healthy and
    exploding: plain cells of battery signal; ``head.deep.*`` at its greatest depth, ``head.depth``.
    ``head.v.smallest`` and ``.largest`` mean V there, ``head.v.<which>.network`` whose it is.
    ``head.imbalance.<arm>``: mean \\|V\\| at the greatest depth of the remedies at init.
    ``head.depth_50.<activation>.<init>.<arm>``: the depth at which half of the runs train.
    ``head.saturation.<activation>``: rank correlation of saturation with the slope, over cells.
    ``head.claims.decided``: claims whose verdict says something.
    """
    plain = selected(tables, "signal", **PLAIN)
    return {
        **_classes("head", plain),
        **_classes("head.deep", deepest(plain)),
        **_extremes(deepest(plain)),
        **_imbalances(tables),
        **_depths_50(frontiers),
        **{f"head.saturation.{name}": _saturation(tables, name) for name in SATURATING},
        **_decided(ledger),
    }


def deepest(part: Selection) -> Selection:
    """The deepest of these networks."""
    return part.at(depth=int(part.runs["depth"].max())) if len(part.runs) else part


def _classes(prefix: str, part: Selection) -> dict[str, dict]:
    cells = part.runs.drop_duplicates("cell")
    found = {f"{prefix}.cells": _count(part, cells, {})}
    for name, signals in CLASSES.items():
        found[f"{prefix}.{name}.cells"] = _count(part, cells, {"signal": signals})
        found[f"{prefix}.{name}.share"] = _share(part, cells, name, signals)
    return found


def _count(part: Selection, cells: pd.DataFrame, more: dict) -> dict:
    where = {**part.where, **more}
    query = f"runs: {words(where)}: number of cell"
    return fact(len(taken(cells, more)), "cells", 0, query, rows=rows(RUNS.name, where))


def _share(part: Selection, cells: pd.DataFrame, name: str, signals: tuple[str, ...]) -> dict:
    if cells.empty:
        return absent("1", f"runs of {part.query}")
    share = float(cells["signal"].isin(signals).mean())
    query = f"runs: {part.query}; share of cells whose signal is {name}"
    return fact(share, "1", 2, query, rows=part.rows)


def _extremes(deep: Selection) -> dict[str, dict]:
    """Where V is smallest and largest, by activation and init, and how deep these networks are."""
    names = [f"head.v.{which}" for which in ("smallest", "largest")]
    v = MEASURES["vanishing_index"].of(deep.tables).astype(float)
    means = v.groupby([deep.runs["activation"], deep.runs["init"]], observed=True).mean().dropna()
    if means.empty:
        none = absent("decades", f"runs of {deep.query}")
        whose = dict.fromkeys([f"{name}.network" for name in names], none | {"unit": ""})
        return dict.fromkeys(names, none) | whose | {"head.depth": none | {"unit": "layers"}}
    depth = int(deep.runs["depth"].max())
    query = f"runs: {deep.query}: depth"
    found = {"head.depth": fact(depth, "layers", 0, query, rows=deep.rows)}
    for name, (activation, init) in zip(names, (means.idxmin(), means.idxmax()), strict=True):
        part = deep.at(activation=activation, init=init)
        network, query = f"{activation}, {init}", f"runs: {part.query}: activation, init"
        found[name] = mean_of(part, "vanishing_index", 1)
        found[f"{name}.network"] = fact(network, "", 0, query, rows=part.rows)
    return found


def _imbalances(tables: Tables) -> dict[str, dict]:
    deep = deepest(selected(tables, REMEDIES))
    return {
        f"head.imbalance.{arm}": mean_of(deep.at(norm=norm, residual=residual), "imbalance", 1)
        for arm, (norm, residual) in ARMS.items()
    }


def _depths_50(frontiers: pd.DataFrame) -> dict[str, dict]:
    arms = frontiers["norm"] + " " + frontiers["residual"]
    number = arms.groupby(frontiers["battery"], sort=False).nunique()
    battery = [] if number.empty else [str(number.idxmax())]  # the one with most remedies
    return {
        f"head.depth_50.{activation}.{init}.{arm}": _depth_50(
            frontiers,
            {"battery": battery, "activation": [activation], "init": [init], "norm": [norm],
             "residual": [residual]},
        )
        for activation, init in ARM_CELLS
        for arm, (norm, residual) in ARMS.items()
    }  # fmt: skip


def _depth_50(frontiers: pd.DataFrame, where: dict) -> dict:
    arm = taken(frontiers, where)
    if len(arm) != 1:
        return absent("layers", f"a frontier of {words(where)}")
    row = arm.iloc[0]
    if row["beyond"] in BEYOND:
        return absent("layers", f"L_50 of {words(where)}: {BEYOND[row['beyond']]}")
    query = f"frontiers: {words(where)}: depth_50"
    ends = [row[name] if pd.notna(row[name]) else None for name in ("depth_50", "low", "high")]
    return fact(ends[0], "layers", 1, query, *ends[1:], rows=rows(FRONTIERS.name, where))


def _saturation(tables: Tables, activation: str) -> dict:
    """Of cells at init, each the mean over its seeds."""
    where = {name: [level] for name, level in PLAIN.items()}
    where |= {"split": JUDGED, "steps": [0], "activation": [activation]}
    runs = taken(tables.runs, where).drop_duplicates("run_id").reset_index(drop=True)
    part = Tables(runs, tables.layers)
    saturated = MEASURES["saturation"].of(part).astype(float)
    pairs = pd.DataFrame({"saturation": saturated, "slope": MEASURES["slope"].of(part)})
    cells = pairs.astype(float).groupby(runs["cell"]).mean().dropna()
    correlation = cells["saturation"].rank().corr(cells["slope"].rank())
    if len(cells) < LEAST_CELLS or correlation != correlation:
        return absent("1", f"cells with a saturated share and a slope: {words(where)}")
    query = f"runs: {words(where)}; Spearman's correlation of saturation and slope, "
    return fact(correlation, "1", 2, f"{query}{len(cells)} cells", rows=rows(RUNS.name, where))


def _decided(ledger: pd.DataFrame) -> dict[str, dict]:
    where = {"stratum": [ALL], "verdict": [SUPPORTED, REFUTED, CONDITIONAL]}
    query, count = f"ledger: {words(where)}", len(taken(ledger, where))
    return {"head.claims.decided": fact(count, "claims", 0, query, rows=rows(LEDGER.name, where))}
