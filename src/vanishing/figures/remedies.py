"""What each remedy buys: its paired effect on the gradient at init, and on training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.effects import paired_by
from ..analysis.estimates import fullest
from ..analysis.over_seeds import COLUMNS, means
from ..analysis.proportions import success_bounds
from . import style
from .estimates import one_family

# What a remedy is set against.
CONTROLS = {"init": "torch_default", "norm": "none", "residual": "none"}
OUTCOMES = {
    "vanishing_index": "change of $V$ at init (decades)",
    "trained": "change of the share trained",
}


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """The effect of each remedy alone: treated less control, paired by seed, with its interval.

    Norm and residual are each taken without the other; a norm or a residual is averaged over
    inits. Each of the battery with most remedies: an effect on V at its greatest depth, one on
    training over all depths; first the mean over the cells of a seed, then over seeds.
    """
    data = one_family(runs[runs["split"].eq("judged")])
    data = data.assign(trained=data["outcome"].eq("trained").astype(float))
    untrained = data[data["steps"].eq(0)]
    # Before runs that several batteries share are counted once: each battery has all of its own.
    initial = fullest(untrained if len(untrained) else data)
    training = fullest(data[data["steps"].gt(0)])
    deepest = initial["depth"] == initial["depth"].max()
    sets = {"vanishing_index": initial[deepest], "trained": training}
    found = [
        _effects(rows.drop_duplicates("run_id"), factor, outcome)
        for outcome, rows in sets.items()
        for factor in CONTROLS
    ]
    return pd.concat(found, ignore_index=True)


def _effects(data: pd.DataFrame, factor: str, outcome: str) -> pd.DataFrame:
    for other in CONTROLS:
        if other not in (factor, "init"):
            data = data[data[other] == CONTROLS[other]]
    rest = paired_by(factor)
    control = data[data[factor] == CONTROLS[factor]].set_index(rest)[outcome]
    treated = data[data[factor] != CONTROLS[factor]]
    before = control.reindex(pd.MultiIndex.from_frame(treated[rest])).to_numpy(float)
    pairs = treated.assign(after=treated[outcome].astype(float), before=before)
    pairs = pairs.dropna(subset=["after", "before"]).assign(remedy=treated[factor])
    by = ["remedy", "activation"]
    if outcome == "trained":
        found = _shares(pairs, by)
    else:
        pairs["effect"] = pairs["after"] - pairs["before"]
        found = means(pairs.groupby([*by, "seed"], as_index=False)["effect"].mean(), by, "effect")
    depths = ", ".join(str(depth) for depth in sorted(pairs["depth"].unique()))
    found = found.assign(factor=factor, control=CONTROLS[factor], outcome=outcome)
    return found.assign(depths=depths)


def _shares(pairs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The mean difference of shares over the seeds that have every cell, as the ledger takes it."""
    rows = []
    for names, group in pairs.groupby(by):
        cells = group.pivot_table(index="seed", columns="cell", values=["after", "before"]).dropna()
        if len(cells) > 1:
            after, before = cells["after"].to_numpy(), cells["before"].to_numpy()
            value = float((after - before).mean())
            ends = np.clip(success_bounds(after, before, 0.025, 0), -1, 1)  # infinite: few seeds
            rows.append((*names, value, *ends, len(cells)))
    return pd.DataFrame(rows, columns=[*by, *COLUMNS])


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A row a remedy, a point an activation; the left panel is the gradient, the right training."""
    if data.empty:
        return style.nothing("This study has no pair of runs that differ in one remedy alone.")
    rows = data[["factor", "remedy"]].drop_duplicates().sort_values(["factor", "remedy"])
    rows = list(rows.itertuples(index=False, name=None))
    activations = style.ordered(data["activation"])
    outcomes = [name for name in OUTCOMES if name in set(data["outcome"])]
    drawn = style.figure(0.9 + len(rows) * (0.12 + 0.075 * len(activations)))
    grid = drawn.subplots(1, len(outcomes), sharey=True, squeeze=False)[0]
    for axes, outcome in zip(grid, outcomes, strict=True):
        _panel(axes, data[data["outcome"] == outcome], rows, activations)
        depths = data.loc[data["outcome"] == outcome, "depths"].unique()
        at = f"\ndepth {depths[0]}" if len(depths) == 1 else ""
        axes.set_xlabel(OUTCOMES[outcome] + at)
    names = [f"{remedy} {factor}\nagainst {CONTROLS[factor]}" for factor, remedy in rows]
    grid[0].set_yticks(range(len(rows)), names)
    grid[0].set_ylim(len(rows) - 0.5, -0.5)
    if "trained" in outcomes:
        grid[-1].set_xlim(-1.05, 1.05)
    marks = [
        Line2D([], [], linestyle="none", marker="o", color=style.activation_colour(a), label=a)
        for a in activations
    ]
    drawn.legend(handles=marks, loc="outside upper right", ncols=len(marks))
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, rows: list, activations: list[str]) -> None:
    axes.axvline(0, color=style.TEXT, linewidth=0.8)
    axes.grid(visible=False, axis="y")
    for place in range(1, len(rows)):
        axes.axhline(place - 0.5, color=style.GRID, linewidth=0.4)
    step = 0.72 / len(activations)
    for i, activation in enumerate(activations):
        one = panel[panel["activation"] == activation]
        y = [rows.index(row) for row in zip(one["factor"], one["remedy"], strict=True)]
        y = np.array(y) + step * (i - (len(activations) - 1) / 2)
        error = np.nan_to_num([one["value"] - one["low"], one["high"] - one["value"]])
        axes.errorbar(
            one["value"], y, xerr=np.maximum(error, 0), linestyle="none", marker="o",
            markersize=3, elinewidth=0.8, color=style.activation_colour(activation),
        )  # fmt: skip
    there = set(zip(panel["factor"], panel["remedy"], strict=True))
    for place, row in enumerate(rows):
        if row not in there:
            axes.text(0.02, place, "not in this study", va="center", fontsize=style.SIZE - 1,
                      transform=axes.get_yaxis_transform())  # fmt: skip
