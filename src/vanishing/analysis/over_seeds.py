"""Means over seeds with their intervals, from single runs or from profiles of cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from .proportions import wilson
from .statistics import Estimate, mean_interval

COLUMNS = ["value", "low", "high", "n"]


def judged(runs: pd.DataFrame, family: str | None = None) -> pd.DataFrame:
    """The judged runs (of a family), each once, in whichever battery lists it first."""
    mine = runs["split"].eq("judged")
    if family is not None:
        mine &= runs["family"].eq(family)
    return runs[mine].drop_duplicates("run_id")


def means(data: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """The mean of ``column`` over the rows of each group, with Student's interval over rows."""
    return _grouped(data.dropna(subset=column), by, lambda rows: mean_interval(rows[column]))


def shares(data: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """The share of each group's rows in which ``column`` is true, with Wilson's interval."""
    return _grouped(data, by, lambda rows: wilson(int(rows[column].sum()), len(rows)))


def _grouped(data: pd.DataFrame, by: Sequence[str], estimate: object) -> pd.DataFrame:
    rows = [
        (*names, *_columns(estimate(group))) for names, group in data.groupby(list(by), sort=False)
    ]
    return pd.DataFrame(rows, columns=[*by, *COLUMNS])


def _columns(e: Estimate) -> tuple:
    return e.value, e.low, e.high, e.n


def moments(values: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Of each group of rows of ``value``: n, mean, and squares, the sum of (value - mean)^2."""
    known = values.dropna(subset="value")
    mean = known.groupby(list(by), sort=False)["value"].transform("mean")
    parts = known[list(by)].assign(n=1, mean=known["value"], squares=(known["value"] - mean) ** 2)
    sums = parts.groupby(list(by), sort=False, as_index=False)
    return sums.agg(n=("n", "sum"), mean=("mean", "mean"), squares=("squares", "sum"))


def united(parts: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    r"""The moments of groups that came in parts: :func:`moments` of all their rows together.

    :math:`\sum_i n_i m_i / n` and :math:`\sum_i [S_i + n_i (m_i - m)^2]`, which loses no digits
    where the mean is large beside the spread. Source: Chan, Golub and LeVeque 1983.
    """
    groups = parts.groupby(list(by), sort=False)
    n = groups["n"].transform("sum")
    mean = (parts["n"] * parts["mean"] / n).groupby([parts[name] for name in by]).transform("sum")
    squares = parts["squares"] + parts["n"] * (parts["mean"] - mean) ** 2
    whole = parts[list(by)].assign(n=parts["n"], mean=mean, squares=squares)
    return whole.groupby(list(by), sort=False, as_index=False).agg(
        n=("n", "sum"), mean=("mean", "first"), squares=("squares", "sum")
    )


def pooled(profiles: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The mean over all runs of the cells of each group, with Student's interval over runs.

    ``profiles``: rows of the table of that name, with the columns ``by`` beside.
    """
    squares = profiles["sd"].fillna(0.0) ** 2 * (profiles["n"] - 1)
    found = united(profiles.assign(squares=squares), by)
    n, mean = found["n"], found["mean"]
    several = n.where(n > 1)  # one seed has no interval
    half = stats.t.ppf(0.975, several - 1) * np.sqrt(found["squares"] / (several - 1) / several)
    return found[list(by)].assign(value=mean, low=mean - half, high=mean + half, n=n)
