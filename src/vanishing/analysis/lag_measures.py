"""Measures of how the gradient changes through time: those of a recurrent net's top layer.

All are missing where a net has no past. A gradient that is exactly zero at the largest lag has no
logarithm, and enters as a bound.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..theory.slope import lag_slope as slope_of
from .study_tables import Tables, bounded

EARLY = (1, 32)  # updates, ends included
FEWEST = 4  # lags: a slope leaves the first two out, and needs two


def lag_index(tables: Tables) -> pd.Series:
    """V through time at init: what is lost from lag 0 to the largest lag; where censored the bound.

    The opposite bound where the gradient overflowed. Truncation cuts it off: what lies behind is
    exactly zero, and counts as gone.
    """
    runs = tables.runs
    return _of_recurrent(runs, bounded(runs["lag_index"].astype(float), _overflowed(tables)))


def lag_slope(tables: Tables) -> pd.Series:
    """The lag slope at init; where it is censored the bound of V over the lags.

    Of a profile that is censored from some lag on, as truncation does it, it is the slope up to
    there. Missing where the gradient goes back fewer than four steps.
    """
    runs, reach = tables.runs, _reach(tables.runs)
    s, nothing = runs["lag_slope"].astype(float), pd.Series(np.nan, index=runs.index)
    found = s.where(s.notna(), bounded(nothing, _overflowed(tables)) / (reach - 1))
    return _of_recurrent(runs, found.where(reach >= FEWEST))


def lag_slope_early(tables: Tables) -> pd.Series:
    """The mean over the probe steps 1 to 32 of the lag slope of a run in training.

    Where it is censored at a step that step's bound enters, the opposite one from the update on
    that left values which are not finite. Missing where nothing is measured at these steps, or the
    gradient goes back fewer than four steps.
    """
    lags, runs = tables.lags, tables.runs.drop_duplicates("run_id").set_index("run_id")
    rows = lags[lags["step"].between(*EARLY) & lags["run_id"].isin(runs.index)]
    rows = rows[rows["layer"] == rows["run_id"].map(runs["depth"])]
    if rows.empty:
        return pd.Series(np.nan, index=tables.runs.index)
    profiles = rows.pivot(index=["run_id", "step"], columns="lag", values="log10_delta_rms")
    slopes = pd.Series(slope_of(profiles.to_numpy(float)), index=profiles.index)
    run, step = (profiles.index.get_level_values(name) for name in ("run_id", "step"))
    of_row = runs.loc[run].set_index(profiles.index)
    bad = of_row["first_nonfinite_step"].astype(float) <= step
    ends = bounded(slopes * np.nan, bad) / (_reach(of_row) - 1)
    of_step = slopes.where(slopes.notna(), ends).where(_reach(of_row) >= FEWEST)
    return tables.runs["run_id"].map(of_step.groupby(level="run_id").mean()).astype(float)


def _reach(runs: pd.DataFrame) -> pd.Series:
    """How many steps the gradient goes back, that of the last answer included."""
    length, truncation = runs["length"], runs["truncation"]
    return length.where(truncation == 0, np.minimum(truncation, length)).where(length > 1, 2)


def _of_recurrent(runs: pd.DataFrame, values: pd.Series) -> pd.Series:
    return values.where(runs["recurrence"] != "none")


def _overflowed(tables: Tables) -> pd.Series:
    """Whether a run has values at init that are not finite."""
    layers = tables.at_init()
    bad = layers.loc[layers["nonfinite_fraction"] > 0, "run_id"]
    return tables.runs["run_id"].isin(bad)
