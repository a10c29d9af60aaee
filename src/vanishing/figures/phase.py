"""Order and chaos: the slope at init over the sizes of weights and biases, by activation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.over_seeds import means
from ..parts.activations import ACTIVATIONS, Activation
from ..theory.maps import chi_1, q_map
from . import style
from .classes import DARK, LIGHT, Classes
from .estimates import at_init

SETTING = ["depth", "width", "sigma_b"]
NET = ["depth", "width"]
PLANES = 2  # activations
GRID = (48, 32)  # of sigma_w and sigma_b, where theory is asked
LAYERS, KEPT = 200, (1e-8, 1e6, 200)  # until q has settled; the table of q: from, to, how many
# Decades per layer that one colour stands for; within the middle one a slope is negligible.
CLASSES = Classes((-1, -0.5, -0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2, 0.5))


def points(runs: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The mean slope of plain networks with Gaussian weights, its interval, and its prediction.

    Of several depths, widths and sigma_b, those in which most values of sigma_w were tried.
    """
    data = _gaussian(runs)
    if len(data):
        tried = data.groupby(SETTING)["sigma_w"].nunique()
        data = data[data.set_index(SETTING).index == tried.idxmax()]
    found = means(data, ["cell", "activation", "sigma_w", *SETTING], "slope")
    predicted = predictions.drop_duplicates("cell").set_index("cell")["slope"]
    found["theory"] = predicted.reindex(found["cell"]).to_numpy()
    return found.sort_values(["activation", "sigma_w"], ignore_index=True)


def plane(runs: pd.DataFrame) -> pd.DataFrame:
    """The same slopes over sigma_w and sigma_b, of the first activations for which both vary.

    Of several depths and widths, those in which most pairs of the two were tried.
    """
    data, pair = _gaussian(runs), ["sigma_w", "sigma_b"]
    varied = data.groupby("activation")[pair].nunique().gt(1).all(axis=1)
    shown = style.ordered(varied[varied].index)[:PLANES]
    data = data[data["activation"].isin(shown)]
    if len(data):
        tried = data.drop_duplicates([*NET, "activation", *pair]).groupby(NET).size()
        data = data[data.set_index(NET).index == tried.idxmax()]
    found = means(data, ["cell", "activation", *pair, *NET], "slope")
    return found.sort_values(["activation", *pair], ignore_index=True)


def field(measured: pd.DataFrame) -> pd.DataFrame:
    r"""The slope of theory on a grid around the points of :func:`plane`, once q has settled.

    :math:`\tfrac12 \log_{10} \chi_1` after LAYERS of the map of q, from q = 1: Poole et al. 2016,
    Schoenholz et al. 2017.
    """
    columns = ["activation", "sigma_w", "sigma_b", "theory"]
    if measured.empty:
        return pd.DataFrame(columns=columns)
    low, high = measured["sigma_w"].min() / 1.15, measured["sigma_w"].max() * 1.15
    b, w = np.meshgrid(
        np.linspace(0, 1.08 * measured["sigma_b"].max(), GRID[1]),
        np.geomspace(low, high, GRID[0]),
        indexing="ij",
    )
    parts = [
        pd.DataFrame({"activation": name, "sigma_w": w.ravel(), "sigma_b": b.ravel(),
                      "theory": _settled(ACTIVATIONS[name], w, b).ravel()})
        for name in style.ordered(measured["activation"])
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _settled(activation: Activation, sigma_w: np.ndarray, sigma_b: np.ndarray) -> np.ndarray:
    # Both maps are sigma_w^2 times a mean at q, which is taken once at each q of a table.
    table = np.geomspace(*KEPT)
    nodes = torch.from_numpy(table)
    square, derivative = (of(activation, nodes, 1.0).numpy() for of in (q_map, chi_1))
    q = np.ones_like(sigma_w)
    for _ in range(LAYERS):
        log_square = np.interp(np.log(q), np.log(table), np.log(square))
        q = np.clip(sigma_w**2 * np.exp(log_square) + sigma_b**2, *KEPT[:2])
    at_q = np.exp(np.interp(np.log(q), np.log(table), np.log(derivative)))
    return 0.5 * np.log10(sigma_w**2 * at_q)


def _gaussian(runs: pd.DataFrame) -> pd.DataFrame:
    """The plain networks with Gaussian weights, as they were drawn."""
    data = at_init(runs)
    plain = data["norm"].eq("none") & data["residual"].eq("none")
    return data[plain & data["init"].str.startswith("gaussian(")]


@style.styled
def draw(
    data: pd.DataFrame, measured: pd.DataFrame | None = None, theory: pd.DataFrame | None = None
) -> Figure:
    """Curves of :func:`points`; at their left, a plane an activation, :func:`plane` on a field.

    Above the zero line, and to the right of the critical one, gradients explode.
    """
    if data["sigma_w"].nunique() < 2:
        return style.nothing("This study does not vary sigma_w in plain networks: no phases.")
    drawn = style.figure(2.9)
    if measured is None or measured.empty:
        _curves(drawn.subplots(), data)
        return drawn
    names = style.ordered(measured["activation"])
    *planes, right = drawn.subplots(1, len(names) + 1, width_ratios=[1.0] * len(names) + [1.25])
    for axes, name in zip(planes, names, strict=True):
        here, around = (rows[rows["activation"] == name] for rows in (measured, theory))
        _plane(axes, here, around)
        axes.set_title(name, loc="left", color=style.activation_colour(name))
    planes[0].set_ylabel("$\\sigma_b$")
    for axes in planes[1:]:
        axes.tick_params(labelleft=False)
    _colour_bar(drawn, planes)
    _curves(right, data, narrow=True)
    return drawn


def _plane(axes: Axes, measured: pd.DataFrame, theory: pd.DataFrame) -> None:
    """Theory as a field, the critical line on it; measurements as points in the same colours."""
    grid = theory.pivot(index="sigma_b", columns="sigma_w", values="theory")
    least, *_, most = bounds = CLASSES.bounds
    inside = np.clip(grid, 2 * least, 2 * most)
    levels = (2 * least - 1, *bounds, 2 * most + 1)
    axes.contourf(grid.columns, grid.index, inside, levels, colors=CLASSES.colours.colors)
    axes.set_xscale("log")
    if grid.min(axis=None) < 0 < grid.max(axis=None):
        line = axes.contour(grid.columns, grid.index, grid, [0], colors=LIGHT, linewidths=1.4)
        _say_phases(axes, line.get_paths()[0].vertices)
    axes.scatter(
        measured["sigma_w"], measured["sigma_b"], s=22, edgecolors=LIGHT, linewidths=0.7, zorder=3,
        c=CLASSES.colours(CLASSES.of(measured["value"])), clip_on=False,
    )  # fmt: skip
    axes.grid(visible=False)
    _levels(axes, np.sort(measured["sigma_w"].unique()), 6)
    axes.set_xlabel("$\\sigma_w$")


def _say_phases(axes: Axes, line: np.ndarray) -> None:
    """Names of the two phases beside the critical line, at its upper end and at half of it."""
    (right, top), (middle, half) = (line[np.abs(line[:, 1] - y).argmin()] for y in
                                    (line[:, 1].max(), 0.72 * line[:, 1].max()))  # fmt: skip
    look = {"textcoords": "offset points", "fontsize": style.SIZE - 1, "va": "center",
            "style": "italic"}  # fmt: skip
    axes.annotate("$\\chi_1$ = 1", (right, top), (-3, -5), ha="right", color=LIGHT, **look)
    axes.annotate("vanish", (middle, half), (-9, 0), ha="right", color=LIGHT, **look)
    if axes.transAxes.inverted().transform(axes.transData.transform((middle, half)))[0] < 0.75:
        axes.annotate("explode", (middle, half), (4, 0), ha="left", color=DARK, **look)


def _colour_bar(drawn: Figure, planes: list[Axes]) -> None:
    bounds, below = CLASSES.bounds, {"location": "bottom", "fraction": 0.06, "pad": 0.02}
    bar = CLASSES.bar(drawn, planes, 0, len(bounds), aspect=30, **below)
    bar.ax.set_xticklabels([_short(bound) for bound in bounds], fontsize=style.SIZE - 1)
    bar.set_label("slope (decades/layer): field, theory; points, measured", fontsize=style.SIZE)


def _curves(axes: Axes, data: pd.DataFrame, narrow: bool = False) -> None:
    """A curve an activation: above the zero line gradients explode, below it they vanish."""
    axes.axhline(0, color=style.TEXT, linewidth=0.8)
    axes.set_xscale("log")
    activations = style.ordered(data["activation"])
    sizes = style.marker_sizes(len(activations)) + 0.8
    for activation, size in zip(activations, sizes, strict=True):
        curve = data[data["activation"] == activation]
        colour = style.activation_colour(activation)
        axes.plot(curve["sigma_w"], curve["theory"], color=colour)
        style.interval(axes, curve["sigma_w"], curve, color=colour, marker="o", markersize=size)
    _levels(axes, np.sort(data["sigma_w"].unique()), 7 if narrow else 14)
    depth, width, sigma_b = data[SETTING].iloc[0]
    setting = f"depth {depth:g}, width {width:g}, $\\sigma_b$ = {sigma_b:g}"
    axes.set(xlabel=f"$\\sigma_w$ ({setting})", ylabel="slope (decades/layer)")
    _phases(axes, "" if narrow else "gradients ")
    last = data.sort_values("sigma_w").groupby("activation").last()
    ends = [(row["value"], name, style.activation_colour(name)) for name, row in last.iterrows()]
    style.label_ends(axes, ends)


def _levels(axes: Axes, levels: np.ndarray, most: int) -> None:
    axes.xaxis.set_major_locator(FixedLocator(_thinned(levels, most)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.3g}")


def _thinned(levels: np.ndarray, most: int) -> np.ndarray:
    """Levels far enough apart on a log axis for their names, of which ``most`` fit."""
    kept = [levels[0]]
    least = (levels[-1] / levels[0]) ** (1 / most)
    for level in levels[1:]:
        if level / kept[-1] >= least:
            kept.append(level)
    return np.array(kept)


def _phases(axes: Axes, what: str) -> None:
    """Names of the phases in the corners, with room for both sides of the zero line."""
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.1 * high), max(high, -0.1 * low))
    for words, at, ha, va in (
        (f"chaotic: {what}explode", (0.02, 0.98), "left", "top"),
        (f"ordered: {what}vanish", (0.98, 0.02), "right", "bottom"),
    ):
        axes.annotate(words, at, xycoords="axes fraction", ha=ha, va=va, style="italic")


def _short(bound: float) -> str:
    return f"{bound:g}".replace("0.", ".").replace("-", "\N{MINUS SIGN}")
