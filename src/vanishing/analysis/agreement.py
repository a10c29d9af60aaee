"""Does theory say what is measured? Every predicted quantity of a cell beside its measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..tables import AGREEMENT, NETWORK_FACTORS
from .proportions import wilson
from .statistics import Estimate, equivalence, mean_interval

TOLERANCE = 0.01  # decades per layer, or per step, between measured and predicted slope


@dataclass(frozen=True)
class Quantity:
    """What theory predicts of a cell: how it is measured, and how far off it may be.

    ``of(values)`` estimates it from one value a seed. ``relative``: the distance is that of the
    natural logarithms, else it is the difference.
    """

    says: str
    short: str  # the same in few words
    unit: str
    tolerance: float
    of: Callable[[np.ndarray], Estimate] = mean_interval
    relative: bool = False
    offset: float = 0.0  # added to both before the logarithm

    def distance(self, measured: float, predicted: float) -> float:
        """How far the measurement lies from the prediction, with its sign."""
        if not self.relative:
            return measured - predicted
        found, said = measured + self.offset, predicted + self.offset
        return float(np.log(found / said)) if found > 0 < said else np.nan


def variance(values: np.ndarray) -> Estimate:
    """The variance of a sample, with the 95 % interval of a Gaussian one (chi-squared)."""
    n = len(values)
    if n < 2:
        return Estimate(np.nan, np.nan, np.nan, n)
    found = float(values.var(ddof=1))
    high, low = (found * (n - 1) / stats.chi2.ppf(p, n - 1) for p in (0.025, 0.975))
    return Estimate(found, low, high, n)


def share(values: np.ndarray) -> Estimate:
    """The share of seeds at which something is so, with Wilson's interval."""
    return wilson(int(values.sum()), len(values))


QUANTITIES = {
    "slope": Quantity("slope of log10 rms(delta)", "slope", "decades/layer", TOLERANCE),
    "vanishing_index": Quantity("vanishing index V", "index V", "decades", 0.2),
    "lag_slope": Quantity(
        "slope of log10 rms(delta) over time lags", "lag slope", "decades/step", TOLERANCE
    ),
    "stream_growth": Quantity(
        "growth of the squared gradient of a residual stream", "stream growth", "log10", 0.2
    ),
    "shattering_cosine": Quantity(
        "cosine of delta_1 between inputs", "gradient cosine", "1", 0.03
    ),
    "jacobian_mean_square": Quantity(
        "mean squared singular value of dh_L/dx", "mean of s\u00b2", "1", 0.15, relative=True
    ),
    # 1 + the relative variance is the mean of s^4 over the squared mean of s^2.
    "jacobian_relative_variance": Quantity(
        "relative variance of the squared singular values", "relative variance of s\u00b2", "1",
        0.15, relative=True, offset=1.0,
    ),
    "log_q_variance": Quantity(
        "variance over networks of ln q_L", "variance of ln q", "1", 0.25, variance, relative=True
    ),
    "born_dead": Quantity("share of networks with a dead layer", "born dead", "1", 0.05, share),
}  # fmt: skip


def agreement(
    runs: pd.DataFrame, layers: pd.DataFrame, networks: pd.DataFrame, expected: pd.DataFrame
) -> pd.DataFrame:
    """The table ``agreement``: a row a battery, cell and quantity that is predicted and measured.

    Judged seeds only, each of them once, whatever its learning rates.
    """
    predicted = expected.dropna(subset="value")
    judged = runs[(runs["split"] != "tuning") & runs["cell"].isin(predicted["cell"])]
    values = _values(judged, layers, networks)
    theory = {(said["cell"], said["quantity"]): said for said in predicted.to_dict("records")}
    keys = ["battery", "cell", "quantity"]
    cells = [part for name, part in values.groupby(keys)["value"] if name[1:] in theory]
    described = values.loc[[part.index[0] for part in cells], [*keys, *NETWORK_FACTORS]]
    rows = [
        row
        | _row(
            QUANTITIES[row["quantity"]],
            part.to_numpy(float),
            theory[row["cell"], row["quantity"]],
        )
        for row, part in zip(described.to_dict("records"), cells, strict=True)
    ]
    return AGREEMENT.frame(rows)


def _row(quantity: Quantity, values: np.ndarray, said: Mapping) -> dict:
    found, predicted = quantity.of(values), float(said["value"])
    off = quantity.distance(found.value, predicted)
    p = np.nan
    if quantity.of is mean_interval and not quantity.relative:
        p = equivalence(values, predicted, quantity.tolerance).p
    return {
        "predicted": predicted,
        "measured": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "distance": off,
        "tolerance": quantity.tolerance,
        "inside": bool(abs(off) <= quantity.tolerance),
        "p_tost": p,
        "source": said["source"],
    }


def _values(runs: pd.DataFrame, layers: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """One value a battery, cell, quantity and seed, with the factors beside it."""
    seeds = runs.drop_duplicates(["battery", "cell", "seed"])
    at_init = _start(networks).set_index("run_id")
    start = _start(layers)
    last = start[start["layer"] == start.groupby("run_id")["layer"].transform("max")]
    of_run = {
        **{name: seeds.set_index("run_id")[name] for name in QUANTITIES if name in seeds},
        **{name: at_init[name] for name in QUANTITIES if name in at_init},
        "log_q_variance": np.log(last.set_index("run_id")["q"].where(lambda q: q > 0)),
        "born_dead": start.groupby("run_id")["dead_fraction"].max().eq(1).astype(float),
    }
    keys = ["battery", "cell", "seed", *NETWORK_FACTORS]
    parts = [
        seeds[keys].assign(
            quantity=name, value=seeds["run_id"].map(values[~values.index.duplicated()]).to_numpy()
        )
        for name, values in of_run.items()
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset="value")


def _start(table: pd.DataFrame) -> pd.DataFrame:
    """Its rows at init; of a GAN those of its generator, which is what theory speaks of."""
    return table[(table["step"] == 0) & (table["player"] != "discriminator")]


def held(table: pd.DataFrame) -> pd.DataFrame:
    """A row a quantity: cells, how many lie inside, tolerance, and the distance that 95 % keep."""
    rows = [
        {
            "quantity": name,
            "cells": len(part),
            "inside": int(part["inside"].sum()),
            "tolerance": part["tolerance"].iloc[0],
            "kept_by_95": float(part["distance"].abs().quantile(0.95, interpolation="higher")),
            "largest": float(part["distance"].abs().max()),
        }
        for name, part in table.groupby("quantity")
    ]
    columns = ["quantity", "cells", "inside", "tolerance", "kept_by_95", "largest"]
    found = pd.DataFrame(rows, columns=columns)
    order = {name: n for n, name in enumerate(QUANTITIES)}
    return found.sort_values("quantity", key=lambda s: s.map(order)).reset_index(drop=True)
