"""What measures are taken from: a study's tables together, and bounds for what has no logarithm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

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

# What measures are taken from the layers: these columns, up to this step, at the end of a training,
# and wherever the interference is known. The others are there for a look at single runs.
COLUMNS_OF_LAYERS = (
    "run_id", "step", "player", "layer", "log10_delta_rms", "log10_grad_rms", "grad_zero_fraction",
    "delta_zero_fraction", "underflow_fp16", "underflow_bf16", "underflow_fp32",
    "nonfinite_fraction", "activation_mean", "activation_sd", "q", "saturation_low",
    "saturation_high", "dead_fraction", "total_change", "interference", "reset_accuracy",
    "linear_probe_accuracy", "derivative_low", "derivative_middle", "derivative_high",
)  # fmt: skip
EARLY = (1, 8)  # updates, ends included, that measures of a training's start are taken from


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

    @classmethod
    def of(cls, read: Callable[..., pd.DataFrame]) -> Tables:
        """The tables of a finished study, as far as measures need them.

        ``read``: gives a table by its name, or with its columns and the rows where something holds.
        """
        runs = read("runs")
        # Rows are taken thousands of times: of Python's words that is one copy for all columns.
        runs = runs.astype(dict.fromkeys(runs.select_dtypes("str"), object))
        runs.columns = runs.columns.astype(object)  # and names are looked up in a third of the time
        ends = [int(step) for step in runs["steps"].unique()]
        steps = sorted({*range(EARLY[1] + 1), *ends})
        of_steps = pc.field("step").isin(steps) | pc.field("interference").is_valid()
        kept = of_steps & (pc.field("player").cast(pa.string()) != "discriminator")
        layers = read("layers", columns=list(COLUMNS_OF_LAYERS), where=kept)
        others = {f.name: read(f.name) for f in fields(cls) if f.name not in ("runs", "layers")}
        return cls(runs, layers, **others)

    def at_init(self) -> pd.DataFrame:
        """The layers of these runs before the first update; of a GAN those of its generator."""
        return self._mine(self.layers["step"] == 0)

    def at_end(self) -> pd.DataFrame:
        """The layers of those that were trained after the last update; of a GAN as above."""
        runs = self.runs[self.runs["steps"] > 0].drop_duplicates("run_id")
        steps = runs.set_index("run_id")["steps"]
        rows = self._mine(self.layers["step"].isin(steps.unique()))
        return rows[rows["run_id"].map(steps).astype(float) == rows["step"]]

    def during(self, first: int, last: int) -> pd.DataFrame:
        """The layers at the probe steps from ``first`` to ``last``; of a GAN as above."""
        return self._mine(self.layers["step"].between(first, last))

    def _mine(self, rows: pd.Series) -> pd.DataFrame:
        """The layers of these runs where ``rows`` is true: one copy, of no more than is asked."""
        layers = self.layers
        mine = layers["run_id"].isin(self.runs["run_id"])
        return layers[rows & mine & (layers["player"] != "discriminator")]

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
