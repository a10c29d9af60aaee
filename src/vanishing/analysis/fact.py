"""A number that the paper prints: its value with unit, precision, interval and origin."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from .measures import MEASURES
from .proportions import wilson
from .statistics import Estimate, mean_interval
from .study_tables import Tables


def fact(
    value: object,
    unit: str,
    precision: int,
    query: str,
    low: float | None = None,
    high: float | None = None,
) -> dict:
    """One fact; what is not finite is null (JSON has no other word for it)."""
    known = {"value": _plain(value), "unit": unit, "precision": precision}
    return known | {"low": _plain(low), "high": _plain(high), "query": query}


def _plain(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if isinstance(value, int | np.integer) else number


def absent(unit: str, why: str) -> dict:
    """A fact that this study cannot give, and why."""
    return fact(None, unit, 0, f"not in this study: {why}")


def selected(tables: Tables, battery: str, **levels: object) -> tuple[Tables, str]:
    """The judged runs of a battery at these levels, and a query that says so.

    A part is taken at its defaults, and where the battery has it with other parameters alone, with
    those.
    """
    runs = tables.runs
    part = runs[(runs["battery"] == battery) & (runs["split"] != "tuning")]
    for name, level in levels.items():
        exact = part[name] == level
        named = part[name].map(lambda label: str(label).partition("(")[0]) == level
        part = part[exact if exact.any() else named]
    said = [f"battery {battery}", *(f"{name} {level}" for name, level in levels.items())]
    return replace(tables, runs=part.reset_index(drop=True)), ", ".join(said)


def mean_of(tables: Tables, measure: str, precision: int, query: str) -> dict:
    """The mean of a measure over the seeds of these runs, as :func:`mean_over_seeds` takes it."""
    values = MEASURES[measure].of(tables)
    return mean_over_seeds(tables.runs, values, measure, MEASURES[measure].unit, precision, query)


def mean_over_seeds(
    runs: pd.DataFrame, values: pd.Series, measure: str, unit: str, precision: int, query: str
) -> dict:
    """The mean of ``values`` (a number a run) over seeds, each the mean over its cells.

    A cell counts once at each policy of learning rates. A seed counts that has a value in every
    cell in which any seed has one; how many runs have no
    value is said.
    """
    if runs.empty:
        return absent(unit, f"runs of {query}")
    lacking = int(values.isna().sum())
    cells = values.groupby([runs["seed"], runs["cell"], runs["lr_policy"]]).mean().unstack([1, 2])
    per_seed = cells.dropna(axis=1, how="all").dropna().mean(axis=1)
    if not len(per_seed.dropna()):
        return absent(unit, f"a value of {measure} for runs of {query}")
    mean: Estimate = mean_interval(per_seed)
    less = f"; {lacking} of {len(runs)} runs have no value" if lacking else ""
    query = f"runs: {query}; mean {measure} over seeds{less}"
    return fact(mean.value, unit, precision, query, mean.low, mean.high)


def share_of(tables: Tables, measure: str, query: str) -> dict:
    """The share of these runs for which a measure is 1, with Wilson's interval."""
    values: pd.Series = MEASURES[measure].of(tables).dropna()
    if values.empty:
        return absent("1", f"runs of {query}")
    found = wilson(int(values.sum()), len(values))
    query = f"runs: {query}; share with {measure}, of {found.n} runs; Wilson's interval"
    return fact(found.value, "1", 2, query, found.low, found.high)
