"""What matters most: how much of a measure's variance each factor explains, and each pair."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import style

BATTERIES = ("signal", "remedies_init", "training")
MEASURES = {
    "slope": "slope of $\\delta$ at init",
    "weight_slope": "slope of the weight gradient",
    "test_accuracy": "accuracy after training",
}
LEAST = 0.01  # of the variance of some measure: a term that explains less in all is left out
MOST = 9  # terms of a battery
ROW = 0.19  # inches of a term
LOOKS = {
    1: {"linestyle": "none", "marker": "o"},
    2: {"linestyle": "none", "marker": "D", "markersize": 3, "markerfacecolor": style.BACKGROUND},
}


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


def by_measures(data: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of the battery that has most measures, the last such one, and those of all others.

    Its runs alone can say whether measures agree on what matters.
    """
    measures = data.groupby("battery", sort=False)["measure"].nunique()
    most = measures.index[measures == measures.max()][-1:]
    mine = data["battery"].isin(most)
    return data[mine].reset_index(drop=True), data[~mine].reset_index(drop=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A row of panels a battery, a column a measure; factors first, with their rank, then pairs."""
    if data.empty:
        return style.nothing("No battery here crosses two factors: none can be weighed.")
    batteries = list(dict.fromkeys(data["battery"]))
    measures = [name for name in MEASURES if name in set(data["measure"])]
    terms = {name: _terms(data[data["battery"] == name]) for name in batteries}
    heights = [len(terms[name]) + 1.8 for name in batteries]
    drawn = style.figure(0.62 + ROW * sum(heights))
    grid = drawn.subplots(
        len(batteries), len(measures), sharex=True, sharey="row", squeeze=False,
        height_ratios=heights,
    )  # fmt: skip
    for row, battery in zip(grid, batteries, strict=True):
        own = data[data["battery"] == battery]
        for axes, measure in zip(row, measures, strict=True):
            _panel(axes, own[own["measure"] == measure], terms[battery])
        row[0].set_yticks(range(len(terms[battery])), [named(term) for term in terms[battery]])
        row[0].set_ylim(len(terms[battery]) - 0.4, -0.6)
        if len(batteries) > 1:
            row[0].set_ylabel(f"battery {battery}", fontweight="bold")
    for axes, measure in zip(grid[0], measures, strict=True):
        axes.set_title(MEASURES[measure], loc="left")
    reach = 1.12 * data[["value", "high"]].max().max()
    grid[0, 0].set_xlim(min(-0.02 * reach, data["low"].min()), reach)
    grid[0, 0].xaxis.set_major_locator(MaxNLocator(4))
    grid[0, 0].xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    drawn.supxlabel(
        "share of the variance that is explained, $\\omega^2$; numbers rank the factors",
        fontsize=style.SIZE,
    )
    return drawn


def _terms(data: pd.DataFrame) -> list[str]:
    """Factors, then pairs, each in the order of ``data``."""
    return list(dict.fromkeys(data.sort_values("order", kind="stable")["term"]))


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
        return
    panel = panel.assign(place=panel["term"].map(terms.index))
    axes.barh(panel["place"], panel["value"], height=0.5, color=style.GRID, linewidth=0)
    axes.hlines(panel["place"], panel["low"], panel["high"], color=style.TEXT, linewidth=1.6)
    for order, rows in panel.groupby("order"):
        axes.plot(rows["value"], rows["place"], color=style.TEXT, **LOOKS[min(order, 2)])
    factors = panel[panel["order"] == 1]
    for rank, row in zip(factors["value"].rank(ascending=False), factors.itertuples(), strict=True):
        axes.annotate(
            f"{rank:.0f}", (row.high, row.place), (5, 0), textcoords="offset points", va="center"
        )
    axes.axhline(len(factors) - 0.5, color=style.GRID, linewidth=0.6)
