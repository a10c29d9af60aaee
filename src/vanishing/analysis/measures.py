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

# The smallest and the largest positive float32: what a gradient can at most have shrunk or grown to
# before it is stored as 0 or infinity.
SMALLEST = math.log10(2.0**-149)
LARGEST = math.log10(float(np.finfo(np.float32).max))


@dataclass(frozen=True)
class Tables:
    """The tables that measures are taken from; ``runs`` may be some rows of the whole table."""

    runs: pd.DataFrame
    layers: pd.DataFrame
    predictions: pd.DataFrame

    def at_init(self) -> pd.DataFrame:
        """The layers of these runs before the first update."""
        layers = self.layers
        return layers[(layers["step"] == 0) & layers["run_id"].isin(self.runs["run_id"])]


@dataclass(frozen=True)
class Measure:
    """A number that every run has: its unit, its meaning, and how it comes from the tables."""

    unit: str
    meaning: str
    of: Callable[[Tables], pd.Series]  # aligned with the rows of runs
    binary: bool = False


def vanishing_index(tables: Tables) -> pd.Series:
    """V at init; where delta_1 is exactly 0 the bound, and the opposite bound where it overflowed.

    The bound is the smallest float32, or the smallest V measured here if that is smaller still: a
    gradient that is gone counts as at least as bad as any that is left.
    """
    v = tables.runs["vanishing_index"].astype(float)
    if not v.isna().any():
        return v
    first = tables.at_init().query("layer == 1")
    overflowed = first["log10_delta_rms"].isna() & (first["delta_zero_fraction"] < 1)
    high = tables.runs["run_id"].isin(first.loc[overflowed, "run_id"])
    bounds = np.where(high, np.nanmax([LARGEST, *v]), np.nanmin([SMALLEST, *v]))
    return v.where(v.notna(), bounds)


def slope(tables: Tables) -> pd.Series:
    """The slope at init; where it is censored the bound of V over the depth.

    Still missing where the net has too few layers to fit a slope to: there V is known.
    """
    s, v = tables.runs["slope"].astype(float), tables.runs["vanishing_index"]
    layers_between = (tables.runs["depth"] - 1).clip(lower=1)
    return s.where(s.notna() | v.notna(), vanishing_index(tables) / layers_between)


def success(tables: Tables) -> pd.Series:
    """1 where the outcome is trained, else 0 (diverged too); missing where nothing was trained."""
    outcome = tables.runs["outcome"]
    return (outcome == "trained").astype(float).where(outcome.notna())


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
    "log10_sigma_w": Measure("decades", "log10 sigma_w", log10_sigma_w),
    "log10_derivative": Measure("decades", "log10 rms phi' by theory", log10_derivative),
}
