"""What a claim can be about: one number a run, from the tables, by name.

A missing number is never dropped in silence. An error signal that is exactly zero has no logarithm;
it enters as a bound that is at least as extreme as every value that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .lag_measures import lag_index, lag_slope, lag_slope_early
from .player_measures import discriminator_accuracy, generator_decades, stagnation
from .score_measures import (
    contrast_cost,
    distance_error,
    faint_sensitivity,
    far_error,
    fine_at_matched_coarse,
    modes,
    sensitivity,
)
from .study_tables import Tables, bounded


@dataclass(frozen=True)
class Measure:
    """A number that every run has: its unit, its meaning, and how it comes from the tables."""

    unit: str
    meaning: str
    of: Callable[[Tables], pd.Series]  # aligned with the rows of runs
    binary: bool = False


def vanishing_index(tables: Tables) -> pd.Series:
    """V at init; where delta_1 is exactly 0 the bound, and the opposite bound where it overflowed.

    Of a GAN it is that of its generator.
    """
    v = tables.runs["vanishing_index"].astype(float)
    if not v.isna().any():
        return v
    first = tables.at_init().query("layer == 1")
    overflowed = first["log10_delta_rms"].isna() & (first["delta_zero_fraction"] < 1)
    return bounded(v, tables.runs["run_id"].isin(first.loc[overflowed, "run_id"]))


def slope(tables: Tables) -> pd.Series:
    """The slope at init; where it is censored the bound of V over the depth.

    Still missing where the net has too few layers to fit a slope to: there V is known.
    """
    s, v = tables.runs["slope"].astype(float), tables.runs["vanishing_index"]
    layers_between = (tables.runs["depth"] - 1).clip(lower=1)
    return s.where(s.notna() | v.notna(), vanishing_index(tables) / layers_between)


def signal_index(tables: Tables) -> pd.Series:
    """V along the way that the gradient travels: through time in a recurrent net, else layers."""
    recurrent = tables.runs["recurrence"] != "none"
    return lag_index(tables).where(recurrent, vanishing_index(tables))


def success(tables: Tables) -> pd.Series:
    """1 where the outcome is trained, else 0 (diverged too); missing where nothing was trained."""
    outcome = tables.runs["outcome"]
    return (outcome == "trained").astype(float).where(outcome.notna())


def test_accuracy(tables: Tables) -> pd.Series:
    """Share right on the test split at the end; a run that diverged is at chance."""
    return tables.runs["final_test_accuracy"].astype(float)


def saturation(tables: Tables) -> pd.Series:
    """Share of saturated units at init, both sides together, mean over the hidden layers."""
    layers = tables.at_init()
    share = (layers["saturation_low"].astype(float) + layers["saturation_high"]).groupby(
        layers["run_id"]
    )
    return tables.runs["run_id"].map(share.mean()).astype(float)


def shape(tables: Tables) -> pd.Series:
    r"""AIC of log10 rms(delta_l) linear in log l, less that of linear in l, at init.

    Positive where the decay is exponential rather than a power law of depth. Both fits have as many
    parameters, so it is :math:`n \ln(RSS_{\log l} / RSS_l)`; missing below 5 layers.
    """
    layers = tables.at_init().dropna(subset="log10_delta_rms")
    each = {run: _shape(rows) for run, rows in layers.groupby("run_id")}
    return tables.runs["run_id"].map(each).astype(float)


def _shape(rows: pd.DataFrame) -> float:
    if len(rows) < 5:
        return math.nan
    y, depth = rows["log10_delta_rms"].to_numpy(float), rows["layer"].to_numpy(float)
    linear, power = _residual(y, depth), _residual(y, np.log(depth))
    return len(y) * math.log(power / linear)


def _residual(y: np.ndarray, x: np.ndarray) -> float:
    # Values come as float32: no fit is known to be better than their rounding.
    rounding = len(y) * (np.finfo(np.float32).eps * max(1.0, np.abs(y).max())) ** 2
    fitted = np.polyval(np.polyfit(x, y, 1), x)
    return float(np.sum((y - fitted) ** 2) + rounding)


def log10_derivative(tables: Tables) -> pd.Series:
    """log10 of the root mean square of phi' in a cell, by theory, mean over its layers.

    In a plain network chi_1 = sigma_w² E[phi'²], with phi' of the layer before: it is ½ log10 chi_1
    - log10 sigma_w, and layer 1 has none. Missing without a theory.
    """
    chi = tables.predictions["chi_1"].astype(float)
    half = 0.5 * np.log10(chi.where(chi > 0))
    growth = half.groupby(tables.predictions["cell"]).mean()
    return tables.runs["cell"].map(growth).astype(float) - log10_sigma_w(tables)


def log10_sigma_w(tables: Tables) -> pd.Series:
    """log10 of sigma_w."""
    return np.log10(tables.runs["sigma_w"].astype(float).where(tables.runs["sigma_w"] > 0))


MEASURES = {
    "vanishing_index": Measure("decades", "vanishing index V at init", vanishing_index),
    "imbalance": Measure("decades", "|V| at init", lambda tables: vanishing_index(tables).abs()),
    "slope": Measure("decades/layer", "slope at init", slope),
    "shape": Measure("1", "AIC of a power law less AIC of an exponential, at init", shape),
    "saturation": Measure("1", "saturated share of units at init", saturation),
    "success": Measure("1", "share of runs that are trained", success, binary=True),
    "test_accuracy": Measure("1", "accuracy on the test split at the end", test_accuracy),
    "log10_sigma_w": Measure("decades", "log10 sigma_w", log10_sigma_w),
    "log10_derivative": Measure("decades", "log10 rms phi' by theory", log10_derivative),
    "lag_index": Measure("decades", "V through time of the top layer at init", lag_index),
    "lag_slope": Measure("decades/step", "lag slope of the top layer at init", lag_slope),
    "lag_slope_early": Measure(
        "decades/step", "lag slope of the top layer, mean over updates 1 to 32", lag_slope_early
    ),
    "generator_decades": Measure(
        "decades", "growth of the generator's gradient from init to the end", generator_decades
    ),
    "discriminator_accuracy": Measure(
        "1", "accuracy of the discriminator at the end", discriminator_accuracy
    ),
    "stagnation": Measure(
        "1", "share of live GANs that stall, die or diverge", stagnation, binary=True
    ),
    "modes": Measure("modes", "modes covered at the end", modes),
    "distance_error": Measure(
        "1", "error at the greatest distance less that at the smallest, at the end", distance_error
    ),
    "far_error": Measure("1", "error at the greatest distance, at the end", far_error),
    "fine_at_matched_coarse": Measure(
        "1",
        "accuracy on the fine pair when that on the coarse pair first reaches .95",
        fine_at_matched_coarse,
    ),
    "sensitivity": Measure(
        "1", "sensitivity at 95 % specificity, mean over levels, at the end", sensitivity
    ),
    "faint_sensitivity": Measure(
        "1", "sensitivity in the lower half of the levels, at the end", faint_sensitivity
    ),
    "contrast_cost": Measure(
        "1", "sensitivity in the upper half of the levels less that in the lower", contrast_cost
    ),
}
