"""A number that the paper prints: its value with unit, precision, interval and origin."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from .fact_rows import Selection
from .measures import MEASURES
from .proportions import wilson
from .statistics import Estimate, mean_interval


def fact(
    value: object,
    unit: str,
    precision: int,
    query: str,
    low: float | None = None,
    high: float | None = None,
    *,
    rows: dict | None,
) -> dict:
    """One fact; what is not finite is null (JSON has no other word for it).

    ``rows``: the rows of a table that it rests on, by :func:`.fact_rows.rows`; the fewest that
    levels can tell, where the query says more. None for what comes from the plan or from code.
    """
    known = {"value": _plain(value), "unit": unit, "precision": precision}
    return known | {"low": _plain(low), "high": _plain(high), "query": query, "rows": rows}


def _plain(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if isinstance(value, int | np.integer) else number


def absent(unit: str, why: str) -> dict:
    """A fact that this study cannot give, and why: there are no rows."""
    return fact(None, unit, 0, f"not in this study: {why}", rows=None)


def mean_of(part: Selection, measure: str, precision: int) -> dict:
    """The mean of a measure over the seeds of these runs, as :func:`mean_over_seeds` takes it."""
    values = MEASURES[measure].of(part.tables)
    return mean_over_seeds(part, values, measure, MEASURES[measure].unit, precision)


def mean_over_seeds(
    part: Selection, values: pd.Series, measure: str, unit: str, precision: int
) -> dict:
    """The mean of ``values`` (a number a run) over seeds, each the mean over its cells.

    A cell counts once at each policy of learning rates. A seed counts that has a value in every
    cell in which any seed has one; how many runs have no value is said.
    """
    runs = part.runs
    if runs.empty:
        return absent(unit, f"runs of {part.query}")
    lacking = int(values.isna().sum())
    cells = values.groupby([runs["seed"], runs["cell"], runs["lr_policy"]]).mean().unstack([1, 2])
    per_seed = cells.dropna(axis=1, how="all").dropna().mean(axis=1)
    if not len(per_seed.dropna()):
        return absent(unit, f"a value of {measure} for runs of {part.query}")
    mean: Estimate = mean_interval(per_seed)
    less = f"; {lacking} of {len(runs)} runs have no value" if lacking else ""
    query = f"runs: {part.query}; mean {measure} over seeds{less}"
    return fact(mean.value, unit, precision, query, mean.low, mean.high, rows=part.rows)


def share_of(part: Selection, measure: str) -> dict:
    """The share of these runs for which a measure is 1, with Wilson's interval."""
    values: pd.Series = MEASURES[measure].of(part.tables).dropna()
    if values.empty:
        return absent("1", f"runs of {part.query}")
    found = wilson(int(values.sum()), len(values))
    query = f"runs: {part.query}; share with {measure}, of {found.n} runs; Wilson's interval"
    return fact(found.value, "1", 2, query, found.low, found.high, rows=part.rows)
