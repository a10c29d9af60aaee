"""How much of the gradient is left, by depth: straight where it shrinks exponentially."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter

from ..analysis.over_seeds import means
from . import style
from .estimates import at_init

LEAST_DEPTHS = 3
MARKERS = "os^Dv"
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
    activations, inits = style.ordered(data["activation"]), _inits(data)
    drawn = style.figure(2.1)
    panels = drawn.subplots(1, len(inits), sharex=True, sharey=True, squeeze=False)[0]
    for axes, init in zip(panels, inits, strict=True):
        _panel(axes, data[data["init"] == init], activations)
        axes.set_title(init, loc="left")
    panels[0].set_ylabel("index $V$ (decades)")
    panels[0].yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    drawn.supxlabel(
        f"depth (hidden layers of {data['width'].iloc[0]:g} units)", fontsize=style.SIZE
    )
    last = data[data["init"] == inits[-1]].sort_values("depth").groupby("activation")["value"]
    ends = last.last().reindex(activations).fillna(0)
    colours = [style.activation_colour(name) for name in activations]
    style.label_ends(panels[-1], list(zip(ends, activations, colours, strict=True)))
    return drawn


def _inits(data: pd.DataFrame) -> list[str]:
    """From the init that loses least gradient at the greatest depth to the one that loses most."""
    deepest = data[data["depth"] == data["depth"].max()]
    lost = deepest.groupby("init")["value"].mean().reindex(data["init"].unique())
    return sorted(lost.index, key=lambda init: (-lost[init], init))


def _panel(axes: Axes, panel: pd.DataFrame, activations: list[str]) -> None:
    axes.axhline(0, color=style.TEXT, linewidth=0.6)
    sizes = style.marker_sizes(len(activations))
    for activation, size, marker in zip(activations, sizes, cycle(MARKERS)):
        line = panel[panel["activation"] == activation].sort_values("depth")
        colour = style.activation_colour(activation)
        look = {"linestyle": "-", "linewidth": 0.9, "marker": marker, "markersize": size}
        style.interval(axes, line["depth"], line, color=colour, **look)
    levels = np.sort(panel["depth"].unique())
    shown = [level for level in levels if level >= levels[-1] / 4]  # names of the others overlap
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(FixedLocator([level for level in levels if level not in shown]))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="both", bottom=True, length=2, width=0.5, color=style.TEXT)
