"""Tables of cells from planted tables of runs, as a study makes them."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from vanishing.analysis.case_scores import case_scores
from vanishing.analysis.dynamics import followed
from vanishing.analysis.interactions import interactions
from vanishing.analysis.over_seeds import judged
from vanishing.analysis.profiles import Sums
from vanishing.analysis.study_tables import Tables
from vanishing.tables import LOGS

__all__ = ["case_scores", "interactions_of", "profiles_of"]


def profiles_of(runs: pd.DataFrame, *cohorts: set[str], **logged: pd.DataFrame) -> pd.DataFrame:
    """The profiles of ``runs`` with some logs, by name: in one go, or in ``cohorts`` of run ids."""
    sums = Sums(judged(runs), followed(runs)["run_id"].unique())
    for mine in cohorts or [set(runs["run_id"])]:
        sums.add({name: arrow(name, logged.get(name), mine) for name in LOGS})
    return sums.table()


def arrow(name: str, rows: pd.DataFrame | None, mine: set[str]) -> pa.Table:
    """A log as it is read from a file: the rows of the runs that are mine."""
    if rows is None:
        return LOGS[name].schema().empty_table()
    own = rows[rows["run_id"].isin(mine)]
    return pa.Table.from_pandas(own, LOGS[name].schema(), preserve_index=False)


def interactions_of(runs: pd.DataFrame, explained: pd.DataFrame) -> pd.DataFrame:
    """The interactions of runs whose layers nobody measured."""
    return interactions(Tables(runs), explained)
