"""The depth at which training fails, by arm, and against the depth scale of theory."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.frontier import ARM, scaled, scaling
from ..parts.registry import parsed
from . import style, success
from .trainability import MOST_INITS, arms_of, grid

PUBLISHED = 6  # layers of depth for one of xi: Schoenholz et al. 2017
# From the least sigma_w to the largest; each stands out on white and on near-black.
RAMP = ("#4d7fd6", "#7d69d6", "#b057c0", "#cf5088", "#d15a4a", "#b3741f")
FEW_ARMS = 8  # that have their names beside them
MARKERS, STROKES = "os^DvPX", ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))


def points(runs: pd.DataFrame, frontiers: pd.DataFrame, battery: str = "") -> pd.DataFrame:
    """The share trained by arm and depth with Wilson's interval, its curve, and the arm's L_50.

    Of ``battery``; if none is named, of the one with most depths.
    """
    if not battery and len(frontiers):
        mine = runs[runs["battery"].isin(frontiers["battery"])]
        battery = str(mine.groupby("battery", sort=False)["depth"].nunique().idxmax())
    data = runs[runs["battery"].eq(battery) & runs["split"].eq("judged") & runs["outcome"].notna()]
    found = success.points(data, frontiers).assign(battery=battery)
    return found.sort_values([*ARM, "depth"], ignore_index=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel an activation and an init; below its curves the L_50 of each, with its interval.

    Of more than three inits a panel an activation, and a line an init.
    """
    if data.empty:
        return style.nothing("No battery of this study trains networks of three depths: no L_50.")
    if data["init"].nunique() <= MOST_INITS:
        return grid(data)
    return _by_init(data)


def _by_init(data: pd.DataFrame) -> Figure:
    """The first arm alone: a panel an activation, a line an init, and the lane of its L_50."""
    norm, residual = arms_of(data)[0]
    data = data[data["norm"].eq(norm) & data["residual"].eq(residual)]
    names = init_names(data["init"])
    shades = LinearSegmentedColormap.from_list("inits", RAMP)(np.linspace(0, 1, len(names)))
    series = [
        success.Series(name, {"init": init}, {
            "color": to_hex(shade), "linestyle": STROKES[i % len(STROKES)],
            "marker": MARKERS[i % len(MARKERS)]})
        for i, ((init, name), shade) in enumerate(zip(names.items(), shades, strict=True))
    ]  # fmt: skip
    activations, depths = style.ordered(data["activation"]), np.sort(data["depth"].unique())
    drawn = style.figure(0.42 + 1.6 * success.height(len(series)))
    panels = drawn.subplots(1, len(activations), sharex=True, sharey=True, squeeze=False)[0]
    for activation, axes in zip(activations, panels, strict=True):
        success.panel(axes, data[data["activation"] == activation], series, depths)
        axes.set_title(activation, color=style.activation_colour(activation), loc="left")
    success.name_lanes(panels[0], series)
    drawn.supxlabel(success.IN_WORDS, fontsize=style.SIZE)
    return drawn


def init_names(inits: pd.Series) -> dict[str, str]:
    """Inits in the order of their parameters, a Gaussian one named by its standard deviation."""
    return {init: _named(init) for init in sorted(set(inits), key=_place)}


def _place(init: str) -> tuple:
    name, given = parsed(init)
    return name, *given.values()


def _named(init: str) -> str:
    name, given = parsed(init)
    known = name == "gaussian" and list(given) == ["sigma_w"]
    return f"$\\sigma_w$ = {given['sigma_w']:.3g}" if known else init


def scales(frontiers: pd.DataFrame) -> pd.DataFrame:
    """The arms of :func:`vanishing.analysis.frontier.scaled`: L_50, xi, and the line through them.

    ``slope`` and ``factor`` of :func:`vanishing.analysis.frontier.scaling`, the same in every row.
    """
    line = scaling(frontiers)
    found = (
        scaled(frontiers)
        .rename(columns={"depth_50": "value"})
        .drop(columns=["norm", "residual", "beyond"])
    )
    ends = {f"{name}_{end}": getattr(getattr(line, name), end)
            for name in ("slope", "factor") for end in ("value", "low", "high")}  # fmt: skip
    return found.assign(**ends).sort_values(["xi", "activation", "init"], ignore_index=True)


@style.styled
def draw_scales(data: pd.DataFrame) -> Figure:
    """L_50 against xi on logarithmic axes, a point an arm; the line fitted, and the published."""
    if data.empty:
        return style.nothing(
            "No plain network of this study has its L_50 inside the depths that were trained, "
            "and a depth scale by theory."
        )
    drawn = style.figure(2.0, 0.7 * style.WIDTH)
    axes = drawn.subplots()
    axes.set(xscale="log", yscale="log")
    first, x = data.iloc[0], np.geomspace(data["xi"].min() / 1.5, data["xi"].max() * 1.5, 2)
    lines = [(PUBLISHED * x, style.BY_CHANCE, f"${PUBLISHED}\\,\\xi_c$ (Schoenholz et al. 2017)")]
    if np.isfinite(first["slope_value"]):
        fit = first["factor_value"] * x ** first["slope_value"]
        lines.append((fit, "-", _fit_in_words(first)))
    for y, stroke, _ in lines:
        axes.plot(x, y, color=style.TEXT, linewidth=0.8, linestyle=stroke)
    markers = _markers(data["init"])
    for (activation, init), own in data.groupby(["activation", "init"], sort=False):
        look = {"marker": markers.get(init, "o"), "color": style.activation_colour(activation)}
        style.interval(axes, own["xi"], own, **look)
    few = "" if len(lines) > 1 else "; too few arms for a line of their own"
    axes.set(xlabel=f"depth scale $\\xi_c$ by theory (layers){few}", ylabel="$L_{50}$ (layers)")
    _name_arms(axes, data, markers)
    _ticks(axes, lines)
    return drawn


def _ticks(axes: Axes, lines: list[tuple]) -> None:
    """Ticks at 1, 2 and 5 of every decade, and each line's name at its right end."""
    x, y = axes.get_xlim(), axes.get_ylim()
    for axis, (low, high) in ((axes.xaxis, x), (axes.yaxis, y)):
        ticks = [m * 10.0**n for n in range(-3, 7) for m in (1, 2, 5)]
        axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlim=x, ylim=y)
    ends = [(line[-1], name, style.TEXT) for line, _, name in lines if np.isfinite(line[-1])]
    style.label_ends(axes, ends, gap=2.5)


def _name_arms(axes: Axes, data: pd.DataFrame, markers: dict[str, str]) -> None:
    """A name beside each of a few points; of many, colours and markers are named below."""
    names = init_names(data["init"])
    if len(data) <= FEW_ARMS:
        one = data["activation"].nunique() == 1 and data["init"].nunique() == len(data)
        for arm in data.itertuples():
            name = names[arm.init] if one else f"{arm.activation}, {names[arm.init]}"
            above = not arm.value < arm.factor_value * arm.xi**arm.slope_value  # away from the line
            axes.annotate(
                name, (arm.xi, arm.value), (4, 3 if above else -3), textcoords="offset points",
                color=style.activation_colour(arm.activation), fontsize=style.SIZE - 1,
                va="bottom" if above else "top",
            )  # fmt: skip
        if one:
            label = data["activation"].iloc[0]
            axes.set_title(label, color=style.activation_colour(label), loc="left")
        return
    look = {"linestyle": "none"}
    marks = [
        Line2D([], [], marker="o", label=a, color=style.activation_colour(a), **look)
        for a in style.ordered(data["activation"])
    ]
    marks += [Line2D([], [], marker=markers[i], label=names[i], color=style.TEXT, **look)
              for i in names if i in markers]  # fmt: skip
    axes.figure.legend(handles=marks, loc="outside lower center", ncols=4)


def _markers(inits: pd.Series) -> dict[str, str]:
    """A marker for each init; none of its own where there are more of them than markers."""
    names, known = list(init_names(inits)), "os^" + style.MORE_MARKERS
    return dict(zip(names, known, strict=False)) if len(names) <= len(known) else {}


def _fit_in_words(row: pd.Series) -> str:
    power = f"{row['slope_value']:.2f}"
    between = f"{row['slope_low']:.2f} to {row['slope_high']:.2f}".replace("-", "\u2212")
    return (
        f"fit: ${row['factor_value']:.2g}\\,\\xi_c^{{{power}}}$ (power {between},\n"
        f"factor {row['factor_low']:.2g} to {row['factor_high']:.2g})"
    )
