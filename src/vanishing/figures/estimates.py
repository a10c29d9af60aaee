"""Means over seeds with their intervals: the aggregates that figures show."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..analysis.proportions import wilson
from ..analysis.statistics import Estimate, mean_interval

COLUMNS = ["value", "low", "high", "n"]


def one_family(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of MLPs on the task of most of their cells; without MLPs, of the first family.

    Points never mix two families, or two tasks.
    """
    families = list(runs["family"].unique())
    family = "mlp" if "mlp" in families else next(iter(families), "mlp")
    mine = runs[runs["family"].eq(family)]
    cells = mine.groupby("task", sort=False)["cell"].nunique()
    return mine[mine["task"].eq(cells.idxmax())] if len(cells) else mine


def at_init(runs: pd.DataFrame) -> pd.DataFrame:
    """The judged runs of a family that show the initial network, each once: the init batteries'.

    A study without init batteries has its trained runs, which were measured before training.
    """
    judged = one_family(runs[runs["split"].eq("judged")]).drop_duplicates("run_id")
    untrained = judged[judged["steps"].eq(0)]
    return untrained if len(untrained) else judged


def judged(runs: pd.DataFrame, family: str) -> pd.DataFrame:
    """The judged runs of a family, each once."""
    mine = runs["split"].eq("judged") & runs["family"].eq(family)
    return runs[mine].drop_duplicates("run_id")


def means(data: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """The mean of ``column`` over the rows of each group, a row a seed, with Student's interval."""
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
