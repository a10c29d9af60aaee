"""Measures of a run among others of its seed: how it stands in a grid of rates, inits and depths.

What it is compared with are the runs in view, that is the ones that an analysis rests on; all that
is not named here is equal among them. Missing where nothing was trained.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .factors import paired_by
from .study_tables import Tables

USABLE = ("trained", "slow")
HALF_A_DECADE = 0.5  # the distance of two rates of a grid
NEAR = 0.05  # accuracy
ROUNDING = 1e-9  # of a difference of two shares


def largest_usable_rate(tables: Tables) -> pd.Series:
    """log10 of the largest learning rate at which a cell and seed learns: it is trained, or slow.

    Half a decade below the smallest rate tried where it learns at none. A rate beyond the largest
    one tried may do as well: what the grid censors stands at its end.
    """
    runs = tables.runs
    cells = _alike(runs, "lr_policy")
    rate = np.log10(runs["lr"].astype(float).where(runs["lr"] > 0))
    largest = rate.where(runs["outcome"].isin(USABLE)).groupby(cells).transform("max")
    below = rate.groupby(cells).transform("min") - HALF_A_DECADE
    return largest.fillna(below).where(runs["outcome"].notna())


def near_best(tables: Tables) -> pd.Series:
    """1 where the test accuracy is within .05 of the best over inits and rates, else 0."""
    accuracy = tables.runs["final_test_accuracy"].astype(float)
    best = accuracy.groupby(_network(tables.runs)).transform("max")
    return (accuracy >= best - NEAR - ROUNDING).astype(float).where(accuracy.notna())


def accuracy_spread(tables: Tables) -> pd.Series:
    """How far the test accuracy is from its median over inits and rates of the same network.

    The mean of these absolute deviations is what Brown and Forsythe (1974) compare variances by.
    """
    accuracy = tables.runs["final_test_accuracy"].astype(float)
    return (accuracy - accuracy.groupby(_network(tables.runs)).transform("median")).abs()


def reach(tables: Tables) -> pd.Series:
    """log2 of the greatest depth at which a seed is trained, at whichever init does best there.

    One less than log2 of the least depth where it is trained at none.
    """
    runs, nets = tables.runs, _alike(tables.runs, "depth", "init")
    depth, outcome = np.log2(runs["depth"].astype(float)), runs["outcome"]
    greatest = depth.where(outcome == "trained").groupby(nets).transform("max")
    least = depth.where(outcome.notna()).groupby(nets).transform("min")
    return greatest.fillna(least - 1).where(outcome.notna())


def _network(runs: pd.DataFrame) -> pd.Series:
    return _alike(runs, "init", "lr_policy")


def _alike(runs: pd.DataFrame, *apart: str) -> pd.Series:
    """A number for each run, shared by those of a seed that differ in ``apart`` alone."""
    return runs.groupby(paired_by(*apart), dropna=False, observed=True).ngroup()
