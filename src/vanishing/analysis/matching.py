"""Two curves of a run read at the same moment: one where the other first reaches a mark.

A curve is a frame with the columns ``run_id``, ``step`` and ``value``, linear between its steps.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def at_mark(guide: pd.DataFrame, mark: float, curve: pd.DataFrame) -> pd.Series:
    """By run the ``curve`` at the step where the ``guide`` is first at ``mark``, or beyond.

    Missing where the guide never gets there, or where the curve has no value around that step.
    """
    when = first_reached(guide, mark)
    rows = curve[curve["run_id"].isin(when.index)].sort_values(["run_id", "step"])
    found = {
        run: np.interp(when[run], part["step"], part["value"], left=np.nan, right=np.nan)
        for run, part in rows.groupby("run_id")
    }
    return pd.Series(found, dtype=float)


def first_reached(guide: pd.DataFrame, mark: float) -> pd.Series:
    """By run the step at which the ``guide`` is first at ``mark``, or beyond; else no row."""
    guide = guide.sort_values(["run_id", "step"])
    before = guide.groupby("run_id")[["step", "value"]].shift()
    there = guide["value"] >= mark
    first = guide[there].drop_duplicates("run_id")
    before = before.loc[first.index]
    share = (mark - before["value"]) / (first["value"] - before["value"])
    steps = before["step"] + share * (first["step"] - before["step"])
    return pd.Series(steps.fillna(first["step"]).to_numpy(float), index=first["run_id"])
