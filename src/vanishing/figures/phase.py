"""Order and chaos: the slope at init over the size of the weights, by activation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.over_seeds import means
from . import style
from .estimates import at_init

SETTING = ["depth", "width", "sigma_b"]


def points(runs: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The mean slope of plain networks with Gaussian weights, its interval, and its prediction.

    Of several depths, widths and sigma_b, those in which most values of sigma_w were tried.
    """
    data = at_init(runs)
    plain = data["norm"].eq("none") & data["residual"].eq("none")
    data = data[plain & data["init"].str.startswith("gaussian(")]
    if len(data):
        tried = data.groupby(SETTING)["sigma_w"].nunique()
        data = data[data.set_index(SETTING).index == tried.idxmax()]
    found = means(data, ["cell", "activation", "sigma_w", *SETTING], "slope")
    predicted = predictions.drop_duplicates("cell").set_index("cell")["slope"]
    found["theory"] = predicted.reindex(found["cell"]).to_numpy()
    return found.sort_values(["activation", "sigma_w"], ignore_index=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A curve an activation: above the zero line gradients explode, below it they vanish."""
    if data["sigma_w"].nunique() < 2:
        return style.nothing("This study does not vary sigma_w in plain networks: no phases.")
    drawn = style.figure(3.4)
    axes = drawn.subplots()
    axes.axhline(0, color=style.TEXT, linewidth=0.8)
    axes.set_xscale("log")
    activations = style.ordered(data["activation"])
    sizes = style.marker_sizes(len(activations)) + 0.8
    for activation, size in zip(activations, sizes, strict=True):
        curve = data[data["activation"] == activation]
        colour = style.activation_colour(activation)
        axes.plot(curve["sigma_w"], curve["theory"], color=colour)
        style.interval(axes, curve["sigma_w"], curve, color=colour, marker="o", markersize=size)
    levels = np.sort(data["sigma_w"].unique())
    axes.xaxis.set_major_locator(FixedLocator(_thinned(levels)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.3g}")
    depth, width, sigma_b = data[SETTING].iloc[0]
    setting = f"depth {depth:g}, width {width:g}, $\\sigma_b$ = {sigma_b:g}"
    axes.set(xlabel=f"$\\sigma_w$ ({setting})", ylabel="slope (decades/layer)")
    _phases(axes)
    last = data.sort_values("sigma_w").groupby("activation").last()
    ends = [(row["value"], name, style.activation_colour(name)) for name, row in last.iterrows()]
    style.label_ends(axes, ends)
    return drawn


def _thinned(levels: np.ndarray) -> np.ndarray:
    """Levels far enough apart on a log axis for their names."""
    kept = [levels[0]]
    least = (levels[-1] / levels[0]) ** (1 / 14)
    for level in levels[1:]:
        if level / kept[-1] >= least:
            kept.append(level)
    return np.array(kept)


def _phases(axes: Axes) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.1 * high), max(high, -0.1 * low))
    for words, offset, va in (
        ("chaotic: gradients explode", 5, "bottom"),
        ("ordered: gradients vanish", -5, "top"),
    ):
        axes.annotate(
            words, (0, 0), (4, offset), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", va=va, style="italic",
        )  # fmt: skip
