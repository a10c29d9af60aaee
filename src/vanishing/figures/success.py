"""The share of runs that train against depth: points, their fitted curves, and L_50 below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.frontier import ARM, Curve, fitted
from ..analysis.over_seeds import shares
from . import style

LANE, FIRST_LANE = 0.15, -0.21  # of an L_50 below the shares: its height, and its middle
BEYOND = {"deeper": (">", 0.975), "shallower": ("<", 0.025)}  # marker, and where of the width
OF_LANE = ["depth_50", "low", "high", "beyond"]
IN_WORDS = (
    "depth (hidden layers); below the line $L_{50}$: "
    "\u25b8 deeper than all depths, \u25c2 shallower"
)


@dataclass(frozen=True)
class Series:
    """What is drawn in one look, under one name: the rows that have the values of ``where``."""

    name: str
    where: dict[str, str]
    look: dict

    def of(self, data: pd.DataFrame, along: str = "depth") -> pd.DataFrame:
        """Its rows of ``data``, in the order of the column ``along``."""
        mine = data[list(self.where)].eq(pd.Series(self.where)).all(axis=1)
        return data[mine].sort_values(along)


def points(data: pd.DataFrame, frontiers: pd.DataFrame) -> pd.DataFrame:
    """The share trained by arm and depth with Wilson's interval, its curve, and the arm's L_50.

    ``data`` are runs of a battery; curve (intercept, slope) and L_50 are missing where
    ``frontiers`` has no row of the arm.
    """
    data = data.assign(success=data["outcome"].eq("trained").astype(float))
    known = frontiers[frontiers["battery"].isin(data["battery"])][[*ARM, *OF_LANE]]
    known = known.rename(columns={"low": "low_50", "high": "high_50"})
    arms = data.groupby(ARM)
    curves = [fitted(arms.get_group(arm)) for arm in known[ARM].itertuples(index=False, name=None)]
    lines = known.assign(
        intercept=[curve.intercept for curve in curves], slope=[curve.slope for curve in curves]
    )
    return shares(data, [*ARM, "depth"], "success").merge(lines, on=ARM, how="left")


def height(lanes: int) -> float:
    """Inches of a panel with so many lanes, in which a lane holds its name."""
    return 0.2 + 0.78 * (1.06 - FIRST_LANE / 2 + LANE * lanes)


def panel(
    axes: Axes, data: pd.DataFrame, series: Sequence[Series], depths: np.ndarray, lanes: bool = True
) -> None:
    """Points set a little apart, thin curves, and below them the lane of each L_50."""
    reach = (depths[-1] / depths[0]) ** 0.12 if len(depths) > 1 else 2
    axes.set_xscale("log")
    axes.set_xlim(depths[0] / reach, depths[-1] * reach)
    for i, one in enumerate(series):
        rows = one.of(data)
        if len(rows):
            curve = Curve(*rows.iloc[0][["intercept", "slope"]].astype(float))
            stroke = {"color": one.look["color"], "linestyle": one.look["linestyle"]}
            tried = np.geomspace(rows["depth"].min(), rows["depth"].max(), 40)
            axes.plot(tried, curve(tried), linewidth=0.8, zorder=1.5, **stroke)
            aside = reach ** (0.55 * (i - (len(series) - 1) / 2) / max(len(series) / 2, 1))
            look = one.look | ({"linestyle": "none"} if np.isfinite(curve.slope) else {})
            style.bars(axes, rows["depth"] * aside, rows, color=look["color"])
            axes.plot(rows["depth"] * aside, rows["value"], linewidth=1, markersize=3.2, **look)
        if lanes:
            _half(axes, rows, FIRST_LANE - LANE * i, one.look)
    axes.xaxis.set_major_locator(FixedLocator(depths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    if lanes:
        axes.axhline(FIRST_LANE / 2, color=style.TEXT, linewidth=0.5)


def name_lanes(axes: Axes, series: Sequence[Series], lanes: bool = True) -> None:
    """Ticks of the shares, and each lane's name in its own colour."""
    places = [FIRST_LANE - LANE * i for i in range(len(series))] if lanes else []
    axes.set_ylim((places[-1] if lanes else FIRST_LANE / 2) - LANE / 2, 1.06)
    names = [one.name for one in series] if lanes else []
    axes.set_yticks([*places, 0, 0.5, 1], [*names, "0", "0.5", "1"])
    for label, one in zip(axes.get_yticklabels(), series, strict=False):
        if lanes:
            label.set_color(one.look["color"])
    middle = (0.5 - axes.get_ylim()[0]) / np.ptp(axes.get_ylim())
    axes.set_ylabel("share trained", y=middle)


def _half(axes: Axes, rows: pd.DataFrame, place: float, look: dict) -> None:
    """L_50 with its interval in its lane; where it lies beyond the depths an arrow at that end."""
    arm = rows.iloc[0] if len(rows) else pd.Series({"beyond": None})
    if not isinstance(arm["beyond"], str):
        why = "not in this study" if rows.empty else "no estimate"
        axes.text(0.5, place, why, ha="center", va="center", fontsize=style.SIZE - 1,
                  transform=axes.get_yaxis_transform())  # fmt: skip
        return
    left, right = axes.get_xlim()
    inside = arm["beyond"] == "inside" and np.isfinite(arm["depth_50"])
    low = max(np.nan_to_num(arm["low_50"], nan=left), left)
    high = min(np.nan_to_num(arm["high_50"], nan=right), right)
    if inside or left < low or high < right:
        axes.plot([low, high], [place, place], color=look["color"], linewidth=1.2, gid="L50")
    mark = look | {"linestyle": "none", "markersize": 4}
    if inside:
        axes.plot(arm["depth_50"], place, **mark)
    else:
        marker, end = BEYOND.get(arm["beyond"], ("x", 0.5))
        axes.plot(end, place, transform=axes.get_yaxis_transform(), **mark | {"marker": marker})
