"""Measures from the scores of a task's own, level by level; missing where a run has no such score.

At the end is at the last probe step. A level without a score (no test sample has it) leaves what
rests on it missing, and is not passed over.
"""

from __future__ import annotations

import pandas as pd

from .matching import at_mark
from .study_tables import Tables

COARSE, FINE = 0, 1  # levels of the accuracy in pairs
MATCHED = 0.95  # accuracy on the coarse pair
CLEAN, NOISY = 0.0, 1.0  # levels of the accuracy under noise: its sd
MATCHED_CLEAN = 0.9  # accuracy without noise


def far_error(tables: Tables) -> pd.Series:
    """The error at a run's greatest level, which is a distance, at the end."""
    return tables.by_run(_end(tables, "error_by_level", "last"))


def distance_error(tables: Tables) -> pd.Series:
    """What distance costs: the error at a run's greatest level less that at its smallest."""
    far, near = (_end(tables, "error_by_level", which) for which in ("last", "first"))
    return tables.by_run(far - near)


def modes(tables: Tables) -> pd.Series:
    """How many modes of the data a generator covers, at the end."""
    return tables.by_run(_end(tables, "modes", "last"))


def sensitivity(tables: Tables) -> pd.Series:
    """Sensitivity at 95 % specificity, mean over all levels of the positives, at the end."""
    return tables.by_run(_mean(_ranked(tables)))


def faint_sensitivity(tables: Tables) -> pd.Series:
    """The mean sensitivity over the lower half of the levels; of an odd number without the middle.

    Missing where there is a single level.
    """
    return tables.by_run(_half(tables, "lower"))


def contrast_cost(tables: Tables) -> pd.Series:
    """What faintness costs: the mean sensitivity over the upper half of the levels less the lower.

    Missing where there is a single level.
    """
    return tables.by_run(_half(tables, "upper") - _half(tables, "lower"))


def fine_at_matched_coarse(tables: Tables) -> pd.Series:
    """The accuracy on the fine pair when that on the coarse pair first reaches .95.

    Between two probe steps both are taken for linear. Missing where the coarse pair never gets
    there.
    """
    return _at_matched(tables, "accuracy_by_level", COARSE, MATCHED, FINE)


def noisy_at_matched_clean(tables: Tables) -> pd.Series:
    """The accuracy under noise of sd 1 on the inputs when that without noise first reaches .9.

    Between two probe steps both are taken for linear. Missing where it never gets there.
    """
    return _at_matched(tables, "noisy_accuracy", CLEAN, MATCHED_CLEAN, NOISY)


def _at_matched(tables: Tables, score: str, guide: float, mark: float, level: float) -> pd.Series:
    """``score`` at ``level`` where that at the level ``guide`` first is at the ``mark``."""
    rows = _of_score(tables, score)
    leads, follows = (rows[rows["level"] == of] for of in (guide, level))
    return tables.by_run(at_mark(leads, mark, follows))


def _of_score(tables: Tables, score: str) -> pd.DataFrame:
    scores = tables.scores
    mine = (scores["score"] == score) & scores["run_id"].isin(tables.runs["run_id"])
    return scores[mine]


def _at_end(tables: Tables, score: str) -> pd.DataFrame:
    """A run's rows of ``score`` at its last probe step, by level."""
    rows = _of_score(tables, score)
    last = rows["step"] == rows.groupby("run_id")["step"].transform("max")
    return rows[last].sort_values(["run_id", "level"])


def _end(tables: Tables, score: str, which: str) -> pd.Series:
    """By run ``score`` at the ``first`` of its levels or at the ``last``, at the end."""
    rows = _at_end(tables, score).drop_duplicates("run_id", keep=which)
    return rows.set_index("run_id")["value"]


def _ranked(tables: Tables) -> pd.DataFrame:
    """Sensitivities at the end, with the place of each level and how many the run has."""
    rows = _at_end(tables, "sensitivity_by_level")
    rows = rows[rows["level"] > 0]
    levels = rows.groupby("run_id")["level"]
    return rows.assign(place=levels.rank(), levels=levels.transform("size"))


def _half(tables: Tables, which: str) -> pd.Series:
    rows = _ranked(tables)
    half = rows["levels"] // 2
    lower = which == "lower"
    inside = rows["place"] <= half if lower else rows["place"] > rows["levels"] - half
    return _mean(rows[inside])


def _mean(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("run_id")["value"].mean(skipna=False)
