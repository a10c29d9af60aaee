"""What each cell's runs show: classes of signal, summaries over seeds; which cells are shown."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from ..tables import SUMMARY
from .measures import MEASURES, signal_index
from .statistics import interquartile_mean, mean_interval
from .study_tables import Tables

HEALTHY, SEVERE = 1.0, 3.0  # decades of |V|
# The columns of runs that are summarised, and what a missing value counts as: the worst rank.
OUTCOMES = {
    "vanishing_index": None,  # bounded by the measure of that name
    "weight_vanishing_index": -math.inf,
    "slope": None,
    "lag_slope": None,
    "final_loss": math.inf,
    "final_train_accuracy": 0.0,
    "final_test_accuracy": 0.0,
    "steps_to_threshold": math.inf,
}
_TRAINING = {"final_loss", "final_train_accuracy", "final_test_accuracy", "steps_to_threshold"}


def signal_class(v: np.ndarray) -> str:
    """The class of a cell from its V, one a seed, by the 95 % t interval of their mean.

    healthy: the interval lies within (-1, 1); vanishing: below -1 (severely: below -3); exploding:
    above 1 (severely: above 3); else borderline. One seed has no interval and is borderline.

    >>> signal_class(np.array([-4.1, -4.0, -3.9]))
    'severely vanishing'
    """
    mean = mean_interval(v)
    for sign, word in ((-1, "vanishing"), (1, "exploding")):
        nearest = min(sign * mean.low, sign * mean.high)
        if nearest >= SEVERE:
            return f"severely {word}"
        if nearest >= HEALTHY:
            return word
    inside = mean.low > -HEALTHY and mean.high < HEALTHY
    return "healthy" if inside else "borderline"


def signals(tables: Tables) -> pd.Series:
    """The class of each run's cell, row by row. A seed counts once, whatever its learning rates.

    By V over the layers, of a recurrent net through time, of a GAN over its generator's layers. An
    exactly zero gradient enters as a bound: see :func:`.measures.signal_index`.
    """
    runs = tables.runs
    per_seed = signal_index(tables).groupby([runs["cell"], runs["seed"]]).first()
    classes = {
        cell: signal_class(values.to_numpy(float)) for cell, values in per_seed.groupby(level=0)
    }
    return runs["cell"].map(classes).astype("str")


def summary(tables: Tables, seed: int) -> pd.DataFrame:
    """The table ``summary``: interquartile mean over judged seeds of each outcome of each cell.

    Learning rates of which each is judged (``vary.lr``) are apart. A run that diverged, or never
    reached the threshold, is the worst rank: as long as those are no more than the outer quarter
    the mean exists, else it is null. An outcome that a battery cannot have (a loss, where nothing
    was trained; a lag slope of a net without a past) has no row.
    """
    judged = tables.runs[tables.runs["split"] != "tuning"].reset_index(drop=True)
    tables = replace(tables, runs=judged)
    settings, rows = [c for c in SUMMARY.columns if c in judged.columns], []
    for outcome, worst in OUTCOMES.items():
        values = MEASURES[outcome].of(tables) if worst is None else judged[outcome].astype(float)
        values = values if worst is None else values.fillna(worst)
        possible = judged["outcome"].notna() if outcome in _TRAINING else values.notna()
        part = judged[possible].assign(summarised=values)
        cells = part.groupby(["battery", "cell", "lr_policy"])["summarised"]
        found = [values for _, values in cells]
        described = part.loc[[values.index[0] for values in found], settings].to_dict("records")
        rows += [
            row | _estimated(values, outcome, seed)
            for row, values in zip(described, found, strict=True)
        ]
    return SUMMARY.frame(rows)


def _estimated(values: pd.Series, outcome: str, seed: int) -> dict:
    estimate = interquartile_mean(values, seed)
    numbers = {k: getattr(estimate, k) for k in ("value", "low", "high")}
    finite = {k: v if math.isfinite(v) else math.nan for k, v in numbers.items()}
    return {"outcome": outcome, "n": estimate.n} | finite


def one_family(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of MLPs on the task of most of their cells; without MLPs, of the first family.

    Points never mix two families, or two tasks.
    """
    families = list(runs["family"].unique())
    family = "mlp" if "mlp" in families else next(iter(families), "mlp")
    mine = runs[runs["family"].eq(family)]
    cells = mine.groupby("task", sort=False)["cell"].nunique()
    return mine[mine["task"].eq(cells.idxmax())] if len(cells) else mine


def fullest(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the battery that has most remedies (norms and residuals), of several most cells.

    What is shown of trainings is shown of one budget, and not of all that a study trains.
    """
    if runs.empty:
        return runs
    arms = runs["norm"] + " " + runs["residual"]
    batteries = runs.assign(arm=arms).groupby("battery", sort=False)
    sizes = batteries.agg(arms=("arm", "nunique"), cells=("cell", "nunique"))
    first = sizes.sort_values(["arms", "cells"], ascending=False, kind="stable").index[0]
    return runs[runs["battery"] == first]
