"""How trainings end, cell by cell: trained, slow, stalled, dead or diverged."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..analysis.estimates import fullest, one_family
from . import style
from .trainability import arm_name

COLOURS = {
    "trained": "#2e8b57",
    "slow": "#b87700",
    "stalled": "#808080",
    "dead": "#6f6bd1",
    "diverged": "#cf4034",
}
CELL = ["activation", "init", "norm", "residual", "depth"]
HEIGHTS = {"slow": 0.5, "stalled": 0.2, "dead": 0.08, "diverged": 0.6}  # of a row
MOST_ROWS = 36
ROW, BETWEEN = 0.102, 0.5  # inches of a row; rows between two groups of them


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
    drawn = style.figure(0.72 + ROW * (max(rows.values()) + 1))
    panels = drawn.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    for axes, depth in zip(panels, depths, strict=True):
        _panel(axes, data[data["depth"] == depth], rows)
        axes.set_title(f"depth {depth}", loc="left")
    _name(panels[0], rows)
    arms = len(data.drop_duplicates(CELL[:-1]))
    more = f"; {arms - len(rows)} more arms are in the table" if arms > len(rows) else ""
    drawn.supxlabel(f"share of the judged runs of a cell{more}", fontsize=style.SIZE)
    seen = [name for name in COLOURS if name in set(data["outcome"])]
    handles = [Patch(**_look(name), label=name) for name in seen]
    drawn.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return drawn


def _look(outcome: str) -> dict:
    """What ended well is filled, what diverged a frame: so that they differ in grey too."""
    colour, hollow = COLOURS[outcome], outcome == "diverged"
    return {"facecolor": style.BACKGROUND if hollow else colour, "edgecolor": colour,
            "linewidth": 0.8 if hollow else 0}  # fmt: skip


def _rows(data: pd.DataFrame) -> dict[tuple, float]:
    """Where each arm stands, by activation and init, plain ones first; no more than fit a page."""
    arms = set(data[CELL[:-1]].itertuples(index=False, name=None))
    place = {name: n for n, name in enumerate(style.ordered(data["activation"]))}

    def order(arm: tuple) -> tuple:
        activation, init, norm, residual = arm
        return place[activation], init, residual != "none", norm != "none", norm, residual

    shown = sorted(arms, key=order)[:MOST_ROWS]
    group = pd.factorize(pd.Series([arm[:2] for arm in shown]))[0]
    places = [row + BETWEEN * int(gaps) for row, gaps in enumerate(group)]
    return dict(zip(shown, places, strict=True))


def _name(axes: Axes, rows: dict[tuple, float]) -> None:
    """The remedy of each row in its colour; beside them, what they share."""
    axes.set_yticks(list(rows.values()), [arm_name(norm, residual) for *_, norm, residual in rows])
    axes.set_ylim(max(rows.values()) + 0.6, -0.6)
    for label, (*_, norm, residual) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set(color=style.remedy_look(norm, residual)["color"], fontsize=style.SIZE - 1)
    axes.figure.draw_without_rendering()  # settles the names of the remedies
    left = min(label.get_window_extent().x0 for label in axes.get_yticklabels())
    left -= axes.get_window_extent().x0
    for activation, init in dict.fromkeys(arm[:2] for arm in rows):
        places = [place for arm, place in rows.items() if arm[:2] == (activation, init)]
        axes.annotate(
            f"{activation}\n{init}", (0, sum(places) / len(places)),
            (left / axes.figure.dpi * 72 - 6, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", ha="right", va="center",
            color=style.activation_colour(activation),
        )  # fmt: skip


def _panel(axes: Axes, panel: pd.DataFrame, rows: dict[tuple, float]) -> None:
    counts = panel.pivot_table(index=CELL[:-1], columns="outcome", values="runs", fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0).reindex(pd.MultiIndex.from_tuples(rows))
    left = pd.Series(0.0, index=shares.index)
    for outcome in [name for name in COLOURS if name in shares]:
        share = shares[outcome].fillna(0)
        there = share > 0
        places = [rows[arm] for arm in shares.index[there]]
        height = HEIGHTS.get(outcome, 0.8)
        axes.barh(places, share[there], left=left[there], height=height, **_look(outcome))
        left += share
    for arm in shares.index[shares.isna().all(axis=1)]:
        axes.text(0.02, rows[arm], "not in this study", va="center", fontsize=style.SIZE - 1)
    axes.grid(visible=False)
    axes.set(xlim=(0, 1), xticks=[0, 0.5, 1], xticklabels=["0", "0.5", ""])
