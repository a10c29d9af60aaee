"""What matters most: how much of a measure's variance each factor explains, and each pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import style

BATTERIES = ("signal", "remedies_init", "training")
MEASURES = {
    "slope": "slope of $\\delta$ at init",
    "weight_slope": "slope of the weights' gradient",
    "test_accuracy": "test accuracy",
}
LEAST = 0.01  # of the variance of some measure: a term that explains less in all is left out
MOST = 9  # terms of a battery


def points(importance: pd.DataFrame, batteries: Sequence[str] = BATTERIES) -> pd.DataFrame:
    """The terms worth a row, of each battery those that explain most of any measure first.

    Of ``batteries``, or where none of them has terms of the first three that have.
    """
    there = list(dict.fromkeys(importance["battery"]))
    chosen = [name for name in batteries if name in there] or there[: len(BATTERIES)]
    data = importance[importance["battery"].isin(chosen)]
    data = data.assign(
        most=data.groupby(["battery", "term"])["omega_squared"].transform("max"),
        place=data["battery"].map({name: place for place, name in enumerate(chosen)}),
    )
    data = data[data["most"] >= LEAST].sort_values(
        ["place", "most", "term", "measure"], ascending=[True, False, True, True]
    )
    rank = data.groupby("battery")["term"].transform(lambda terms: pd.factorize(terms)[0])
    data = data[rank < MOST].drop(columns=["most", "place"])
    return data.rename(columns={"omega_squared": "value"}).reset_index(drop=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A row of panels a battery, a column a measure; filled points are factors, open ones pairs."""
    if data.empty:
        return style.nothing("No battery of this study crosses two factors: none can be weighed.")
    batteries = list(dict.fromkeys(data["battery"]))
    measures = [name for name in MEASURES if name in set(data["measure"])]
    terms = {
        name: list(dict.fromkeys(data.loc[data["battery"] == name, "term"])) for name in batteries
    }
    heights = [len(terms[name]) + 1.5 for name in batteries]
    drawn = style.figure(0.75 + 0.165 * sum(heights))
    grid = drawn.subplots(
        len(batteries), len(measures), sharex=True, sharey="row", squeeze=False,
        height_ratios=heights,
    )  # fmt: skip
    for row, battery in zip(grid, batteries, strict=True):
        own = data[data["battery"] == battery]
        for axes, measure in zip(row, measures, strict=True):
            _panel(axes, own[own["measure"] == measure], terms[battery])
        row[0].set_yticks(range(len(terms[battery])), [named(term) for term in terms[battery]])
        row[0].set_ylim(len(terms[battery]) - 0.5, -0.5)
        row[0].set_title(f"battery {battery}", loc="left", fontweight="bold")
    for axes, measure in zip(grid[-1], measures, strict=True):
        axes.set_xlabel(MEASURES[measure])
    grid[0, 0].set(xlim=(min(-0.03, data["value"].min() - 0.03), 1.03), xticks=[0, 0.5, 1])
    grid[0, 0].xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    drawn.supxlabel("share of the variance that is explained, $\\omega^2$", fontsize=style.SIZE)
    drawn.legend(handles=_legend(), loc="outside upper right", ncols=2)
    return drawn


def named(term: str) -> str:
    """A term in words: an interaction as ``activation × depth``.

    >>> named("activation:depth")
    'activation × depth'
    """
    return term.replace("_", " ").replace(":", " \u00d7 ")


def _panel(axes: Axes, panel: pd.DataFrame, terms: list[str]) -> None:
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=style.TEXT, linewidth=0.6)
    if panel.empty:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
    for row in panel.itertuples():
        place = terms.index(row.term)
        axes.hlines(place, 0, row.value, color=style.TEXT, linewidth=0.5, alpha=0.5)
        error = np.nan_to_num([[row.value - row.low], [row.high - row.value]])
        axes.errorbar(
            row.value, place, xerr=np.maximum(error, 0), elinewidth=1.6, **_look(row.order)
        )


def _look(order: int) -> dict:
    return {
        "color": style.TEXT,
        "linestyle": "none",
        "marker": "o" if order == 1 else "D",
        "markersize": 3.5 if order == 1 else 3,
        "markerfacecolor": style.TEXT if order == 1 else style.BACKGROUND,
    }


def _legend() -> list[Line2D]:
    labels = {1: "a factor", 2: "an interaction of two"}
    return [Line2D([], [], label=label, **_look(order)) for order, label in labels.items()]
