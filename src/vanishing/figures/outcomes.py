"""How trainings end, cell by cell: trained, slow, stalled, dead or diverged."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..analysis.estimates import fullest
from . import style
from .estimates import one_family
from .trainability import arm_name

COLOURS = {
    "trained": "#2e8b57",
    "slow": "#b87700",
    "stalled": "#808080",
    "dead": "#6f6bd1",
    "diverged": "#cf4034",
}
CELL = ["activation", "init", "norm", "residual", "depth"]
MOST_ROWS = 36


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """The count of each outcome in each cell of the battery with most remedies, judged runs."""
    data = runs[runs["steps"].gt(0) & runs["split"].eq("judged") & runs["outcome"].notna()]
    data = fullest(one_family(data))
    counts = data.groupby([*CELL, "outcome"]).size().rename("runs").reset_index()
    return counts.sort_values([*CELL, "outcome"], ignore_index=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A row an arm, a column a depth; in each cell a bar of the shares of the outcomes."""
    if data.empty:
        return style.nothing("This study trains nothing: no training ends.")
    rows = _rows(data)
    depths = sorted(data["depth"].unique())
    drawn = style.figure(0.9 + 0.15 * len(rows))
    panels = drawn.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    for axes, depth in zip(panels, depths, strict=True):
        _panel(axes, data[data["depth"] == depth], rows)
        axes.set_title(f"depth {depth}", loc="left")
    panels[0].set_yticks(range(len(rows)), [_label(row) for row in rows])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    arms = len(data.drop_duplicates(CELL[:-1]))
    more = f"; {arms - len(rows)} more arms are in the table" if arms > len(rows) else ""
    drawn.supxlabel(f"share of the judged runs of a cell{more}", fontsize=style.SIZE)
    seen = [name for name in COLOURS if name in set(data["outcome"])]
    handles = [Patch(color=COLOURS[name], label=name) for name in seen]
    drawn.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return drawn


def _rows(data: pd.DataFrame) -> list[tuple]:
    """The arms in the order of the activations, plain ones first; no more than fit a page."""
    arms = set(data[CELL[:-1]].itertuples(index=False, name=None))
    place = {name: n for n, name in enumerate(style.ordered(data["activation"]))}

    def order(arm: tuple) -> tuple:
        activation, init, norm, residual = arm
        return place[activation], init, residual != "none", norm != "none", norm

    return sorted(arms, key=order)[:MOST_ROWS]


def _label(row: tuple) -> str:
    activation, init, norm, residual = row
    return f"{activation}, {init}, {arm_name(norm, residual)}"


def _panel(axes: Axes, panel: pd.DataFrame, rows: list[tuple]) -> None:
    counts = panel.pivot_table(index=CELL[:-1], columns="outcome", values="runs", fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0)
    for place, row in enumerate(rows):
        if row not in shares.index:
            continue
        left = 0.0
        for outcome, colour in COLOURS.items():
            share = float(shares.loc[row].get(outcome, 0.0))
            axes.barh(place, share, left=left, height=0.8, color=colour, linewidth=0)
            left += share
    axes.grid(visible=False)
    axes.set(xlim=(0, 1), xticks=[0, 0.5], xticklabels=["0", ".5"])
