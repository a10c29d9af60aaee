"""Measures of a run's layers, side by side: as they were drawn, and at the end of the training.

A number that is exactly zero where its logarithm is meant enters as a bound, a diverged run as the
opposite one; what only a trained run has is missing elsewhere. Of a GAN they are its generator's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..engine.measures import DEAD_UNITS
from .study_tables import Tables, bounded

LEAST_ERROR = 1e-17  # what two equal products count as: below float64's rounding
CRITICAL = 0.05  # accuracy that setting back a layer costs
ROUNDING = 1e-6  # of accuracies that are stored as float32
FEWEST = 3  # layers that a trend needs


def activation_growth(tables: Tables) -> pd.Series:
    """log10 rms a_L - log10 rms a_1 at init, with rms² = mean² + sd².

    The bound where nothing is left of the signal, the opposite one where it overflowed.
    """
    layers = tables.at_init().set_index("run_id")
    rms = np.hypot(layers["activation_mean"], layers["activation_sd"])
    rms = rms.where(np.isfinite(rms))
    last = layers["layer"] == layers.groupby(level="run_id")["layer"].transform("max")
    first, last = rms[layers["layer"] == 1], rms[last]
    growth = _log10(last) - _log10(first.reindex(last.index))
    return tables.by_run(bounded(growth, last.isna()))


def log10_gradient(tables: Tables) -> pd.Series:
    """log10 of the root mean square of dL/dW at init, mean over the hidden layers."""
    layers = tables.at_init()
    size = layers["log10_grad_rms"].astype(float)
    size = bounded(size, layers["grad_zero_fraction"] < 1)
    return tables.by_run(size.groupby(layers["run_id"]).mean())


def lost_fp32(tables: Tables) -> pd.Series:
    """Share of dL/dW in layer 1 at init that is 0, or becomes 0 as a float32."""
    return _lost(tables, "fp32")


def lost_fp16(tables: Tables) -> pd.Series:
    """Share of dL/dW in layer 1 at init that is 0, or becomes 0 as a float16."""
    return _lost(tables, "fp16")


def lost_bf16(tables: Tables) -> pd.Series:
    """Share of dL/dW in layer 1 at init that is 0, or becomes 0 as a bfloat16."""
    return _lost(tables, "bf16")


def _lost(tables: Tables, kind: str) -> pd.Series:
    first = tables.at_init().query("layer == 1").set_index("run_id")
    return tables.by_run(first["grad_zero_fraction"].astype(float) + first[f"underflow_{kind}"])


def dead_share(tables: Tables) -> pd.Series:
    """Share of dead units at init, mean over the hidden layers."""
    dead = tables.at_init().set_index("run_id")["dead_fraction"].astype(float)
    return tables.by_run(_mean(dead))


def born_dead(tables: Tables) -> pd.Series:
    """1 where at least 99 % of the units of a layer are dead at init, else 0."""
    dead = tables.at_init().set_index("run_id")["dead_fraction"].astype(float)
    most = dead.groupby(level="run_id").max()
    return tables.by_run((most >= DEAD_UNITS - ROUNDING).astype(float).where(most.notna()))


def derivative_near_zero(tables: Tables) -> pd.Series:
    """log10 of phi' of the lowest outputs, a sigmoid's near 0, over phi' in the middle, at init.

    Lowest is within 5 % of phi's range. Each is the mean over the layers that have such outputs;
    missing where none has, and where phi has no bounds.
    """
    return _derivative(tables, "derivative_low")


def derivative_near_one(tables: Tables) -> pd.Series:
    """log10 of phi' of the highest outputs, a sigmoid's near 1, likewise."""
    return _derivative(tables, "derivative_high")


def _derivative(tables: Tables, column: str) -> pd.Series:
    layers = tables.at_init().set_index("run_id")
    end, middle = (_mean(layers[name].dropna()) for name in (column, "derivative_middle"))
    runs = end.index.intersection(middle.index)
    ratio = _log10(end[runs]) - _log10(middle[runs])
    return tables.by_run(bounded(ratio, end[runs] > 0))


def chain_error(tables: Tables) -> pd.Series:
    """log10 of what the product of Jacobians and backpropagation differ by, at init."""
    networks = tables.networks
    first = (networks["step"] == 0) & (networks["player"] != "discriminator")
    error = networks[first].set_index("run_id")["chain_rule_error"]
    return tables.by_run(np.log10(error.clip(lower=LEAST_ERROR)))


def freeze_cost(tables: Tables) -> pd.Series:
    """Test accuracy with half of the layers frozen, less that with none.

    The number of frozen layers nearest to half of the depth is taken, of two the smaller.
    """
    freeze = tables.freeze[tables.freeze["run_id"].isin(tables.runs["run_id"])]
    depth = tables.runs.drop_duplicates("run_id").set_index("run_id")["depth"]
    apart = (freeze["frozen"] - freeze["run_id"].map(depth).astype(float) / 2).abs()
    some = freeze.assign(apart=apart)[freeze["frozen"] > 0].sort_values(["apart", "frozen"])
    half, none = (
        rows.drop_duplicates("run_id").set_index("run_id")["test_accuracy"]
        for rows in (some, freeze[freeze["frozen"] == 0])
    )
    return tables.by_run(half - none)


def critical_layers(tables: Tables) -> pd.Series:
    """Share of the layers of the lower half that cost more than .05 of accuracy when set back.

    Set back alone, to the initial values, on the training split (Zhang et al. 2019). Missing where
    the net has a single layer, and where it diverged.
    """
    runs, rows = tables.runs.drop_duplicates("run_id").set_index("run_id"), tables.at_end()
    rows = rows.dropna(subset="reset_accuracy").set_index("run_id")
    rows = rows[rows["layer"] <= runs["depth"].reindex(rows.index) / 2]
    cost = runs["final_train_accuracy"].astype(float).reindex(rows.index) - rows["reset_accuracy"]
    return tables.by_run(_mean((cost > CRITICAL + ROUNDING).astype(float)))


def probe_gain(tables: Tables) -> pd.Series:
    """Accuracy of a linear probe of the last layer, less that of the first, at the end."""
    rows = _probed(tables)
    last = rows["layer"] == rows.groupby(level="run_id")["layer"].transform("max")
    accuracy = rows["linear_probe_accuracy"]
    return tables.by_run(accuracy[last] - accuracy[rows["layer"] == 1])


def probe_trend(tables: Tables) -> pd.Series:
    """Spearman's correlation of a linear probe's accuracy with the layer, at the end.

    0 where all layers are equal; missing below three layers.
    """
    rows = _probed(tables).rename_axis("run").reset_index()
    runs = rows["run"]
    x, y = (rows.groupby(runs)[name].rank() for name in ("layer", "linear_probe_accuracy"))
    x, y = (ranks - ranks.groupby(runs).transform("mean") for ranks in (x, y))
    shared, own_x, own_y = ((a * b).groupby(runs).sum() for a, b in ((x, y), (x, x), (y, y)))
    trend = (shared / np.sqrt(own_x * own_y)).where(own_y > 0, 0.0)
    return tables.by_run(trend.where(runs.groupby(runs).size() >= FEWEST))


def early_probe(tables: Tables) -> pd.Series:
    """Accuracy of linear probes of the first third of the layers, mean over them, at the end."""
    rows = _probed(tables)
    depth = rows.groupby(level="run_id")["layer"].transform("max")
    return tables.by_run(
        _mean(rows.loc[rows["layer"] <= np.ceil(depth / 3)]["linear_probe_accuracy"])
    )


def _probed(tables: Tables) -> pd.DataFrame:
    rows = tables.at_end().dropna(subset="linear_probe_accuracy").set_index("run_id")
    return rows[["layer", "linear_probe_accuracy"]].astype(float)


def _mean(values: pd.Series) -> pd.Series:
    return values.groupby(level="run_id").mean()


def _log10(values: pd.Series) -> pd.Series:
    return np.log10(values.astype(float).where(values > 0))
