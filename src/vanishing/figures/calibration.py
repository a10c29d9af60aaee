"""Does theory say what is measured? The slope at init against its prediction, cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from ..analysis.agreement import TOLERANCE
from . import style

MOST_NAMED = 8  # activations that a legend can name


def points(agreement: pd.DataFrame) -> pd.DataFrame:
    """The mean slope of each cell at init with its interval, and its prediction."""
    slopes = agreement[agreement["quantity"] == "slope"].drop_duplicates("cell")
    found = slopes.rename(columns={"measured": "value", "distance": "difference"})
    return found.reset_index(drop=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Measured against predicted with the identity, and what is left between them."""
    if data.empty:
        return style.nothing("This study has no cell with both a measured and a predicted slope.")
    drawn = style.figure(3.3)
    left, right = drawn.subplots(1, 2)
    ends = np.array([data["predicted"].min(), data["predicted"].max()])
    ends += np.array([-0.04, 0.04]) * max(np.ptp(ends), 0.1)
    left.plot(ends, ends, color=style.TEXT, linewidth=0.6, zorder=1)
    left.set_ylabel("measured slope (decades/layer)")
    right.axhline(0, color=style.TEXT, linewidth=0.6, zorder=1)
    right.set_ylabel("measured \u2212 predicted (decades/layer)")
    for axes, centre in ((left, ends), (right, np.zeros(2))):
        axes.fill_between(
            ends, centre - TOLERANCE, centre + TOLERANCE, color=style.TEXT, alpha=0.14, linewidth=0
        )
        axes.set(xlim=ends, xlabel="predicted slope (decades/layer)")
    _scatter(left, data, np.zeros(len(data)))
    _scatter(right, data, data["predicted"].to_numpy())
    widest = np.nanmax(np.abs(data[["low", "high", "value"]].sub(data["predicted"], axis=0)))
    reach = 1.1 * max(TOLERANCE, widest)
    right.set_ylim(-reach, reach)
    right.text(
        0.98, -1.2 * TOLERANCE, f"\u00b1{TOLERANCE:g}", ha="right", va="top",
        fontsize=style.SIZE - 1, transform=right.get_yaxis_transform(),
    )  # fmt: skip
    marks = _legend(data)
    columns = 6 if max((len(mark.get_label()) for mark in marks), default=0) < 16 else 4
    drawn.legend(handles=marks, loc="outside lower center", ncols=columns, columnspacing=1.2)
    if data["activation"].nunique() <= MOST_NAMED:
        _name_outliers(right, data)
    return drawn


def _scatter(axes: Axes, data: pd.DataFrame, less: np.ndarray) -> None:
    """Every cell at its prediction; ``less`` is taken from the heights."""
    shown = data.assign(**{name: data[name] - less for name in ("value", "low", "high")})
    for (activation, norm, residual), cells in shown.groupby(["activation", "norm", "residual"]):
        colour = _colour(data, activation)
        style.interval(
            axes, cells["predicted"], cells, color=colour, marker=style.norm_marker(norm),
            markerfacecolor=colour if residual == "none" else style.BACKGROUND,
            markeredgewidth=0.7, markersize=3.2, elinewidth=0.6,
        )  # fmt: skip


def _colour(data: pd.DataFrame, activation: str) -> str:
    """That of the activation, unless there are too many to be told apart."""
    many = data["activation"].nunique() > MOST_NAMED
    return style.PALETTE[2] if many else style.activation_colour(activation)


def _name_outliers(axes: Axes, data: pd.DataFrame, most: int = 3) -> None:
    """Init and depth beside the cells whose whole interval lies outside the band, the farthest.

    Where two names would overlap, the farther cell has its own.
    """
    above = data["low"] - data["predicted"] > TOLERANCE
    below = data["high"] - data["predicted"] < -TOLERANCE
    outside = data[above | below]
    far = outside.reindex(outside["difference"].abs().nlargest(most).index)
    middle = np.mean(axes.get_xlim())
    axes.figure.draw_without_rendering()  # settles the sizes
    taken: list[Bbox] = []
    for cell in far.itertuples():
        left = cell.predicted > middle
        name = axes.annotate(
            f"{cell.init.partition('(')[0]}, depth {cell.depth}",
            (cell.predicted, cell.difference), (-6 if left else 6, 0), textcoords="offset points",
            ha="right" if left else "left", va="bottom", fontsize=style.SIZE - 1, in_layout=False,
            color=style.activation_colour(cell.activation),
        )  # fmt: skip
        box = name.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            name.remove()
        else:
            taken.append(box)


def _legend(data: pd.DataFrame) -> list[Line2D]:
    """A colour an activation; a shape a norm and an open marker a residual, where these differ."""
    names = style.ordered(data["activation"])
    few = len(names) <= MOST_NAMED
    marks = [(name, style.activation_colour(name), "o", True) for name in names if few]
    norms = data["norm"].unique()
    residuals = [name for name in data["residual"].unique() if name != "none"]
    if len(norms) > 1:
        marks += [(f"norm: {name}", style.TEXT, style.norm_marker(name), True) for name in norms]
    if residuals:
        which = f"residual: {residuals[0]}" if len(residuals) == 1 else "any residual"
        marks.append((which, style.TEXT, "o", False))
    return [
        Line2D([], [], linestyle="none", label=name, color=colour, marker=marker,
               markerfacecolor=colour if full else style.BACKGROUND)
        for name, colour, marker, full in marks
    ]  # fmt: skip
