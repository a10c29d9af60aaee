"""How two factors act together: means of a measure by both, for the pairs that interact most."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from pandas.api.types import is_numeric_dtype

from ..tables import INTERACTIONS
from .measures import MEASURES
from .over_seeds import means
from .study_tables import Tables

PAIRS = 4  # of each measure


def interactions(tables: Tables, importance: pd.DataFrame) -> pd.DataFrame:
    """The table ``interactions``: of each measure the four pairs of the greatest omega squared.

    A pair is shown once, in the battery where it explains most. A mean is over all runs of judged
    seeds with these two levels: first within a seed, then over seeds, with Student's interval.
    ``importance``: the table of that name.
    """
    pairs = importance[importance["order"].eq(2)]
    pairs = pairs.sort_values("omega_squared", ascending=False, kind="stable")
    shown = pairs.drop_duplicates(["measure", "term"]).groupby("measure", sort=False).head(PAIRS)
    judged = tables.runs[tables.runs["split"] == "judged"]
    found = []
    for row in shown.itertuples():
        runs = judged[judged["battery"] == row.battery].reset_index(drop=True)
        found.append(_means(replace(tables, runs=runs), row))
    return INTERACTIONS.frame(pd.concat(found, ignore_index=True) if found else [])


def _means(tables: Tables, pair: tuple) -> pd.DataFrame:
    runs = tables.runs
    x, line = _axes_of(runs, *pair.term.split(":"))
    data = runs.assign(value=MEASURES[pair.measure].of(tables)).dropna(subset="value")
    data = data.assign(x_level=data[x], line_level=data[line])
    each = data.groupby(["x_level", "line_level", "seed"], as_index=False)["value"].mean()
    found = means(each, ["x_level", "line_level"], "value")
    words = {name: found[name].map(str) for name in ("x_level", "line_level")}
    of_pair = {name: getattr(pair, name) for name in ("battery", "term", "measure")}
    return found.assign(**words, **of_pair, x=x, line=line, omega_squared=pair.omega_squared)


def _axes_of(runs: pd.DataFrame, one: str, two: str) -> tuple[str, str]:
    """Which factor goes along the axis, and which has lines: activations, else the fewer names."""

    def along(name: str) -> tuple:
        return name != "activation", is_numeric_dtype(runs[name]), runs[name].nunique()

    line, x = sorted((one, two), key=along)
    return x, line
