"""What measures are taken from: a study's tables together, and bounds for what has no logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from ..tables import (
    CURVES,
    FREEZE,
    GAMES,
    LAGS,
    LAYERS,
    NETWORKS,
    PREDICTIONS,
    RECURRENCES,
    SCORES,
)

# The smallest and the largest positive float32: what a gradient can at most have shrunk or grown to
# before it is stored as 0 or infinity.
SMALLEST = math.log10(2.0**-149)
LARGEST = math.log10(float(np.finfo(np.float32).max))


@dataclass(frozen=True)
class Tables:
    """The tables of a study; ``runs`` may be some rows of the whole table."""

    runs: pd.DataFrame
    layers: pd.DataFrame = field(default_factory=partial(LAYERS.frame, ()))
    predictions: pd.DataFrame = field(default_factory=partial(PREDICTIONS.frame, ()))
    lags: pd.DataFrame = field(default_factory=partial(LAGS.frame, ()))
    recurrences: pd.DataFrame = field(default_factory=partial(RECURRENCES.frame, ()))
    scores: pd.DataFrame = field(default_factory=partial(SCORES.frame, ()))
    games: pd.DataFrame = field(default_factory=partial(GAMES.frame, ()))
    curves: pd.DataFrame = field(default_factory=partial(CURVES.frame, ()))
    networks: pd.DataFrame = field(default_factory=partial(NETWORKS.frame, ()))
    freeze: pd.DataFrame = field(default_factory=partial(FREEZE.frame, ()))

    def at_init(self) -> pd.DataFrame:
        """The layers of these runs before the first update; of a GAN those of its generator."""
        layers = self.layers
        return self._mine(layers[layers["step"] == 0])

    def at_end(self) -> pd.DataFrame:
        """The layers of those that were trained after the last update; of a GAN as above."""
        runs = self.runs[self.runs["steps"] > 0].drop_duplicates("run_id")
        steps = runs.set_index("run_id")["steps"]
        rows = self._mine(self.layers[self.layers["step"].isin(steps.unique())])
        return rows[rows["run_id"].map(steps).astype(float) == rows["step"]]

    def during(self, first: int, last: int) -> pd.DataFrame:
        """The layers at the probe steps from ``first`` to ``last``; of a GAN as above."""
        return self._mine(self.layers[self.layers["step"].between(first, last)])

    def _mine(self, rows: pd.DataFrame) -> pd.DataFrame:
        mine = rows["run_id"].isin(self.runs["run_id"])
        return rows[mine & (rows["player"] != "discriminator")]

    def by_run(self, values: pd.Series | dict) -> pd.Series:
        """``values`` by run, aligned with the rows of runs; missing where a run has none."""
        return self.runs["run_id"].map(values).astype(float)


def bounded(decades: pd.Series, grew: pd.Series) -> pd.Series:
    """``decades`` with a bound where one is missing: the opposite bound where it ``grew``.

    The bound is that of float32, or the most extreme value that is here if that is more extreme: a
    gradient that is gone counts as at least as bad as any that is left.
    """
    low, high = np.nanmin([SMALLEST, *decades]), np.nanmax([LARGEST, *decades])
    return decades.where(decades.notna(), np.where(grew, high, low))
