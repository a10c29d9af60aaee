"""What a proxy of a real case scores: by condition and level, over seeds."""

from __future__ import annotations

import pandas as pd

from ..tables import CASES
from .over_seeds import judged, means
from .score_measures import MATCHED, fine_at_matched_coarse
from .study_tables import Tables

ERROR, ACCURACY, SENSITIVITY = "error_by_level", "accuracy_by_level", "sensitivity_by_level"
COMPARED = "fine_at_matched_coarse"  # the registered measure: of a run, and not of a level
ARM = ["family", "recurrence", "activation", "init"]
BY = ["score", "task", *ARM, "level", "step"]


def case_scores(runs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The table ``cases``: scores of the tasks that have a level.

    Of plain networks, and of the batteries of a task the one with most seeds.
    Errors and sensitivities are those at the last probe step, accuracies in pairs are at every one.
    ``fine_at_matched_coarse`` is that measure of each run, at its own first crossing: it has no
    step. First the mean over the depths of a seed, then over seeds, with Student's interval.
    """
    data = pd.concat([judged(runs, family) for family in ("rnn", "mlp")])
    plain = data["norm"].eq("none") & data["residual"].eq("none")
    data = _one_battery(data[data["steps"].gt(0) & plain])
    keys = data[["run_id", "cell", "task", "depth", "seed", *ARM]]
    mine = scores["score"].isin([ERROR, ACCURACY, SENSITIVITY])
    scores = scores[mine & scores["run_id"].isin(keys["run_id"])]
    rows = scores.merge(keys, on="run_id")
    last = rows["step"] == rows.groupby("run_id")["step"].transform("max")
    rows = rows[last | rows["score"].eq(ACCURACY)]
    found = pd.concat([_means(rows, BY), _compared(keys, scores)], ignore_index=True)
    return CASES.frame(found.sort_values(BY, ignore_index=True))


def _one_battery(data: pd.DataFrame) -> pd.DataFrame:
    """The runs of each task's battery with most seeds, of several fewest activations.

    Another has other networks and budgets.
    """
    sizes = data.groupby(["task", "battery"], as_index=False).agg(
        seeds=("seed", "nunique"), activations=("activation", "nunique")
    )
    first = sizes.sort_values(["seeds", "activations"], ascending=[False, True], kind="stable")
    return data.merge(first.drop_duplicates("task")[["task", "battery"]], on=["task", "battery"])


def _compared(keys: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The registered measure of the runs that have both pairs, as the facts take it.

    A cell in which no seed gets there is left out, and so is a seed that lacks another cell. The
    level is the accuracy on the coarse pair at which the runs are compared.
    """
    paired = scores.loc[scores["score"] == ACCURACY, "run_id"]
    mine = keys[keys["run_id"].isin(paired)]
    values = fine_at_matched_coarse(Tables(mine, scores=scores))
    rows = mine.assign(score=COMPARED, level=MATCHED, value=values)
    rows = rows[rows.groupby("cell")["value"].transform("count") > 0]
    return _means(rows, [name for name in BY if name != "step"])


def _means(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    whole = rows.groupby([*by, "seed"], as_index=False)["value"].agg(measured=_complete)
    return means(whole, by, "measured")


def _complete(values: pd.Series) -> float:
    return float(values.mean(skipna=False))
