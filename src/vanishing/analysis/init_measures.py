"""Measures of a network as it was drawn: how its gradient changes over the layers, and why.

An error signal that is exactly zero has no logarithm; it enters as a bound.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .lag_measures import lag_index
from .relations import power_less_exponential
from .study_tables import Tables, bounded

VANISHED = -2.0  # decades: V of a gradient that has vanished is less


def vanishing_index(tables: Tables) -> pd.Series:
    """V at init; where delta_1 is exactly 0 the bound, and the opposite bound where it overflowed.

    Of a GAN it is that of its generator.
    """
    return _index(tables, "vanishing_index", "delta")


def vanished(tables: Tables) -> pd.Series:
    """1 where V at init is below -2 decades, else 0; a bound counts as what it stands for."""
    return (vanishing_index(tables) < VANISHED).astype(float)


def weight_slope(tables: Tables) -> pd.Series:
    """V_w, which is V of the weights' gradient, over the layers between, at init.

    Where V_w is censored it is its bound over the layers between; missing where there are none.
    """
    between = tables.runs["depth"] - 1
    return _index(tables, "weight_vanishing_index", "grad") / between.where(between > 0)


def _index(tables: Tables, column: str, gradient: str) -> pd.Series:
    v = tables.runs[column].astype(float)
    if not v.isna().any():
        return v
    first = tables.at_init().query("layer == 1")
    overflowed = first[f"log10_{gradient}_rms"].isna() & (first[f"{gradient}_zero_fraction"] < 1)
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


def saturation(tables: Tables) -> pd.Series:
    """Share of saturated units at init, both sides together, mean over the hidden layers."""
    return tables.by_run(saturated_share(tables.at_init()))


def saturated_share(layers: pd.DataFrame) -> pd.Series:
    """The share by run: of ``layers`` the columns run_id, saturation_low and saturation_high."""
    share = layers["saturation_low"].astype(float) + layers["saturation_high"]
    return share.groupby(layers["run_id"]).mean()


def shape(tables: Tables) -> pd.Series:
    r"""AIC of log10 rms(delta_l) linear in log l, less that of linear in l, at init.

    Positive where the decay is exponential rather than a power law of depth. Both fits have as many
    parameters, so it is :math:`n \ln(RSS_{\log l} / RSS_l)`; missing below 5 layers.
    """
    layers = tables.at_init().dropna(subset="log10_delta_rms")
    each = {
        run: power_less_exponential(rows["log10_delta_rms"], rows["layer"])
        for run, rows in layers.groupby("run_id")
    }
    return tables.by_run(each)


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
