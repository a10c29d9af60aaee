"""How much of the gradient is left, by depth: straight where it shrinks exponentially."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.over_seeds import means
from . import style
from .estimates import at_init

LEAST_DEPTHS = 3
KEYS = ["activation", "init", "depth", "width"]


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """The mean V of plain networks by depth, with its interval, of the battery with most depths.

    Arms (activation and init) with fewer than three depths are left out.
    """
    data = at_init(runs)
    data = data[data["norm"].eq("none") & data["residual"].eq("none")]
    if data.empty:
        return means(data, KEYS, "vanishing_index")
    data = data[data["battery"] == data.groupby("battery")["depth"].nunique().idxmax()]
    data = data[data["width"] == data.groupby("width")["depth"].nunique().idxmax()]
    depths = data.groupby(["activation", "init"])["depth"].transform("nunique")
    data = data[depths >= max(LEAST_DEPTHS, depths.max())]
    return means(data, KEYS, "vanishing_index").sort_values(KEYS, ignore_index=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel an init: V over depth on straight axes, where an exponential decay is a line."""
    if data.empty:
        return style.nothing("This study has plain networks of fewer than three depths.")
    inits, activations = list(dict.fromkeys(data["init"])), style.ordered(data["activation"])
    drawn = style.figure(2.5)
    panels = drawn.subplots(1, len(inits), sharex=True, sharey=True, squeeze=False)[0]
    for axes, init in zip(panels, inits, strict=True):
        _panel(axes, data[data["init"] == init], activations)
        axes.set_title(init, loc="left")
    panels[0].set_ylabel("V (decades)")
    drawn.supxlabel(
        f"depth (hidden layers of {data['width'].iloc[0]:g} units)", fontsize=style.SIZE
    )
    handles = [
        panels[0].plot([], [], "o-", color=style.activation_colour(name), label=name)[0]
        for name in activations
    ]
    drawn.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, activations: list[str]) -> None:
    axes.axhline(0, color=style.TEXT, linewidth=0.6)
    sizes = style.marker_sizes(len(activations))
    for activation, size in zip(activations, sizes, strict=True):
        line = panel[panel["activation"] == activation].sort_values("depth")
        colour = style.activation_colour(activation)
        look = {"linestyle": "-", "linewidth": 0.9, "marker": "o", "markersize": size}
        style.interval(axes, line["depth"], line, color=colour, **look)
    levels = np.sort(panel["depth"].unique())
    shown = [level for level in levels if level >= levels[-1] / 4]  # names of the others overlap
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
