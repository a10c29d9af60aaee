"""The depth at which training fails, by arm, and against the depth scale of theory."""

from __future__ import annotations

from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.frontier import ARM, Curve, fitted, scaled, scaling
from ..analysis.over_seeds import shares
from . import style
from .trainability import arm_name, arms_of, look

MOST_INITS = 3  # side by side
PUBLISHED = 6  # layers of depth for one of xi: Schoenholz et al. 2017
LANE, FIRST_LANE = 0.13, -0.2  # of the intervals of L_50, below the shares
BEYOND = {"deeper": ">", "shallower": "<"}


def points(runs: pd.DataFrame, frontiers: pd.DataFrame, battery: str = "") -> pd.DataFrame:
    """The share trained by arm and depth with Wilson's interval, its curve, and the arm's L_50.

    Of ``battery``; if none is named, of the one with most depths.
    """
    if not battery and len(frontiers):
        mine = runs[runs["battery"].isin(frontiers["battery"])]
        battery = str(mine.groupby("battery", sort=False)["depth"].nunique().idxmax())
    arms = frontiers[frontiers["battery"] == battery]
    data = runs[runs["battery"].eq(battery) & runs["split"].eq("judged") & runs["outcome"].notna()]
    data = data.assign(success=data["outcome"].eq("trained").astype(float))
    lines = [
        {**dict(zip(ARM, arm, strict=True)), "intercept": line.intercept, "slope": line.slope}
        for arm, line in ((arm, fitted(own)) for arm, own in data.groupby(ARM))
    ]
    found = shares(data, [*ARM, "depth"], "success").assign(battery=battery)
    found = found.merge(pd.DataFrame(lines, columns=[*ARM, "intercept", "slope"]), on=ARM)
    ends = {"low": "low_50", "high": "high_50"}
    arms = arms[[*ARM, "depth_50", "low", "high", "beyond"]].rename(columns=ends)
    return found.merge(arms, on=ARM).sort_values([*ARM, "depth"], ignore_index=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel an activation and an init; below its curves the L_50 of each, with its interval.

    Of more than three inits a panel an activation, and a line an init.
    """
    if data.empty:
        return style.nothing("No battery of this study trains networks of three depths: no L_50.")
    activations, inits = style.ordered(data["activation"]), sorted(data["init"].unique())
    arms = arms_of(data)
    if len(inits) > MOST_INITS:
        return _by_init(data, activations, inits, arms[0])
    drawn = style.figure(1.1 + 1.75 * len(activations))
    grid = drawn.subplots(len(activations), len(inits), sharex=True, sharey=True, squeeze=False)
    for row, activation in zip(grid, activations, strict=True):
        for axes, init in zip(row, inits, strict=True):
            panel = data[data["activation"].eq(activation) & data["init"].eq(init)]
            _panel(axes, panel, arms, np.sort(data["depth"].unique()))
            colour = style.activation_colour(activation)
            axes.set_title(f"{activation}, {init}", color=colour, loc="left")
        row[0].set_ylabel("share trained", y=0.7)
    lowest = FIRST_LANE - LANE * (len(arms) - 1)
    grid[0, 0].set(ylim=(lowest - LANE, 1.06), yticks=[(FIRST_LANE + lowest) / 2, 0, 0.5, 1])
    grid[0, 0].set_yticklabels(["$L_{50}$", "0", "0.5", "1"])
    drawn.supxlabel(
        "depth (hidden layers); \u25b8 half train at the greatest depth, "
        "\u25c2 fewer than half at the least",
        fontsize=style.SIZE,
    )
    marks = [Line2D([], [], label=arm_name(*arm), **look(*arm, style.TEXT)) for arm in arms]
    drawn.legend(
        handles=marks, loc="outside upper right", ncols=min(len(arms), 4), handlelength=2.6
    )
    return drawn


def _by_init(
    data: pd.DataFrame, activations: list[str], inits: list[str], arm: tuple[str, str]
) -> Figure:
    """The first arm alone: curves of all inits in one panel, their L_50 on the line of a half."""
    drawn = style.figure(2.9)
    panels = drawn.subplots(1, len(activations), sharex=True, sharey=True, squeeze=False)[0]
    shades = mpl.colormaps["viridis"](np.linspace(0.05, 0.85, len(inits)))
    depths = np.sort(data["depth"].unique())
    grid = np.geomspace(depths[0], depths[-1], 200)
    mine = data[data["norm"].eq(arm[0]) & data["residual"].eq(arm[1])]
    for axes, activation in zip(panels, activations, strict=True):
        axes.set_xscale("log")
        axes.axhline(0.5, color=style.TEXT, linewidth=0.5, linestyle=style.BY_CHANCE)
        for init, shade, marker in zip(inits, shades, cycle("os^Dv"), strict=False):
            own = mine[mine["activation"].eq(activation) & mine["init"].eq(init)]
            if own.empty:
                continue
            first = own.iloc[0]
            axes.plot(grid, Curve(first["intercept"], first["slope"])(grid), color=shade)
            axes.plot(own["depth"], own["value"], marker, color=shade, markersize=3)
            if first["beyond"] == "inside":
                axes.plot(first["depth_50"], 0.5, marker="|", markersize=9, color=shade)
        axes.set_title(activation, color=style.activation_colour(activation), loc="left")
        axes.xaxis.set_major_locator(FixedLocator(depths))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    panels[0].set(ylim=(-0.04, 1.04), ylabel="share trained")
    drawn.supxlabel("depth (hidden layers)", fontsize=style.SIZE)
    marks = [
        Line2D([], [], color=shade, marker=marker, markersize=3, label=init)
        for init, shade, marker in zip(inits, shades, cycle("os^Dv"), strict=False)
    ]
    drawn.legend(handles=marks, loc="outside upper right", ncols=3)
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, arms: list[tuple], depths: np.ndarray) -> None:
    axes.set_xscale("log")
    reach = (depths[-1] / depths[0]) ** 0.12
    axes.set_xlim(depths[0] / reach, depths[-1] * reach)
    grid = np.geomspace(depths[0], depths[-1], 200)
    for i, arm in enumerate(arms):
        own = panel[panel["norm"].eq(arm[0]) & panel["residual"].eq(arm[1])]
        if own.empty:
            continue
        first = own.iloc[0]
        stroke = look(*arm, style.activation_colour(first["activation"]))
        curve = Curve(first["intercept"], first["slope"])
        axes.plot(grid, curve(grid), color=stroke["color"], linestyle=stroke["linestyle"])
        aside = reach ** (0.25 * (i - (len(arms) - 1) / 2))
        style.interval(axes, own["depth"] * aside, own, **stroke | {"linestyle": "none"})
        _half(axes, first, FIRST_LANE - LANE * i, stroke)
    axes.axhline(FIRST_LANE / 2, color=style.TEXT, linewidth=0.6)
    axes.xaxis.set_major_locator(FixedLocator(depths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")


def _half(axes: Axes, arm: pd.Series, height: float, stroke: dict) -> None:
    """L_50 in its lane; where it lies beyond the depths an arrow at that end."""
    left, right = axes.get_xlim()
    inside = arm["beyond"] == "inside" and np.isfinite(arm["depth_50"])
    low, high = max(np.nan_to_num(arm["low_50"], nan=left), left), arm["high_50"]
    high = min(np.nan_to_num(high, nan=right), right)
    if inside or left < low or high < right:
        axes.hlines(height, low, high, color=stroke["color"], linewidth=0.8)
    end = {"deeper": 0.985, "shallower": 0.015}.get(arm["beyond"], 0.5)
    if inside:
        axes.plot(arm["depth_50"], height, **stroke | {"linestyle": "none"})
    else:
        mark = BEYOND.get(arm["beyond"], "x")
        axes.plot(
            end, height, marker=mark, markersize=4, color=stroke["color"],
            markerfacecolor=stroke["markerfacecolor"], transform=axes.get_yaxis_transform(),
        )  # fmt: skip


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
    drawn = style.figure(3.2)
    axes = drawn.subplots()
    axes.set(xscale="log", yscale="log")
    x = np.geomspace(data["xi"].min() / 1.5, data["xi"].max() * 1.5, 50)
    axes.plot(x, PUBLISHED * x, color=style.TEXT, linewidth=0.8, linestyle=style.BY_CHANCE)
    first = data.iloc[0]
    fit = np.isfinite(first["slope_value"])
    if fit:
        axes.plot(x, first["factor_value"] * x ** first["slope_value"], color=style.TEXT)
    markers = _markers(data["init"])
    for (activation, init), own in data.groupby(["activation", "init"], sort=False):
        look = {"marker": markers.get(init, "o"), "color": style.activation_colour(activation)}
        style.interval(axes, own["xi"], own, **look)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.set(xlabel="depth scale $\\xi_c$ by theory (layers)", ylabel="$L_{50}$ (layers)")
    drawn.legend(handles=_marks(data, fit), loc="outside right upper")
    return drawn


def _marks(data: pd.DataFrame, fit: bool) -> list[Line2D]:
    colours = {a: style.activation_colour(a) for a in style.ordered(data["activation"])}
    marks = [
        Line2D([], [], color=c, marker="o", linestyle="none", label=a) for a, c in colours.items()
    ]
    inits = _markers(data["init"])
    marks += [Line2D([], [], color=style.TEXT, marker=m, linestyle="none", label=i)
              for i, m in inits.items()]  # fmt: skip
    published = f"$L_{{50}} = {PUBLISHED}\\,\\xi_c$ (Schoenholz\net al. 2017)"
    marks.append(Line2D([], [], color=style.TEXT, linewidth=0.8, linestyle=style.BY_CHANCE,
                        label=published))  # fmt: skip
    if fit:
        marks.append(Line2D([], [], color=style.TEXT, label=_fit_in_words(data.iloc[0])))
    else:
        marks.append(
            Line2D([], [], linestyle="none", label="(too few arms for a\nline of their own)")
        )
    return marks


def _markers(inits: pd.Series) -> dict[str, str]:
    """A marker for each init; none of its own where there are more of them than markers."""
    names, known = sorted(inits.unique()), "os^" + style.MORE_MARKERS
    return dict(zip(names, known, strict=False)) if len(names) <= len(known) else {}


def _fit_in_words(row: pd.Series) -> str:
    power = f"{row['slope_value']:.2f}"
    between = f"{row['slope_low']:.2f} to {row['slope_high']:.2f}".replace("-", "\u2212")
    return (
        f"$L_{{50}} = {row['factor_value']:.2g}\\,\\xi_c^{{{power}}}$\n(power {between},\n"
        f"factor {row['factor_low']:.2g} to {row['factor_high']:.2g})"
    )
