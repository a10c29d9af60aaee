"""What each remedy buys: its paired effect on the gradient at init, and on training."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.effects import paired_by
from ..analysis.estimates import fullest, one_family
from ..analysis.over_seeds import COLUMNS, means
from ..analysis.proportions import success_bounds
from . import style
from .trainability import arm_name

# What a remedy is set against.
CONTROLS = {"init": "torch_default", "norm": "none", "residual": "none"}
OUTCOMES = {  # when, what, and what a value to the right means
    "vanishing_index": ("at init", "change of $V$ (decades)", "more gradient at layer 1 \u2192"),
    "trained": ("after training", "change of the share trained", "more networks train \u2192"),
}
MARKERS = "os^Dv"
ROW, BETWEEN = 0.098, 0.5  # inches of a row; rows between two remedies


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
    """A row a remedy and activation; the left panel is the gradient, the right training."""
    if data.empty:
        return style.nothing("This study has no pair of runs that differ in one remedy alone.")
    remedies = data[["factor", "remedy"]].drop_duplicates().sort_values(["factor", "remedy"])
    remedies = list(remedies.itertuples(index=False, name=None))
    activations = style.ordered(data["activation"])
    rows = {
        (*remedy, activation): i * (len(activations) + BETWEEN) + j
        for i, remedy in enumerate(remedies)
        for j, activation in enumerate(activations)
    }
    outcomes = [name for name in OUTCOMES if name in set(data["outcome"])]
    drawn = style.figure(0.74 + ROW * (max(rows.values()) + 1))
    grid = drawn.subplots(1, len(outcomes), sharey=True, squeeze=False)[0]
    for axes, outcome in zip(grid, outcomes, strict=True):
        mine = data[data["outcome"] == outcome]
        _panel(axes, mine, rows, activations)
        depths = mine["depths"].unique()
        when, label, better = OUTCOMES[outcome]
        word = "depths" if "," in "".join(depths) else "depth"
        at = f", {word} {depths[0]}" if len(depths) == 1 else ""
        axes.set_title(when + at, loc="left")
        axes.set_xlabel(f"{label}\n{better}")
    grid[0].set_yticks(list(rows.values()), [activation for *_, activation in rows])
    grid[0].set_ylim(max(rows.values()) + 0.7, -0.7)
    for tick, (*_, activation) in zip(grid[0].get_yticklabels(), rows, strict=True):
        tick.set(color=style.activation_colour(activation), fontsize=style.SIZE - 1)
    if "trained" in outcomes:
        grid[-1].set_xlim(-1.05, 1.05)
        grid[-1].set_xticks([-1, -0.5, 0, 0.5, 1], ["\u22121", "\u22120.5", "0", "0.5", "1"])
    _name(grid[0], remedies, rows, activations)
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, rows: dict, activations: list[str]) -> None:
    axes.axvline(0, color=style.TEXT, linewidth=0.8)
    axes.grid(visible=False, axis="y")
    for activation, marker in zip(activations, cycle(MARKERS)):
        one = panel[panel["activation"] == activation]
        if one.empty:
            continue
        y = np.array([rows[row] for row in zip(one["factor"], one["remedy"], one["activation"],
                                               strict=True)])  # fmt: skip
        colour = style.activation_colour(activation)
        axes.hlines(y, one["low"], one["high"], color=colour, linewidth=1.2)
        axes.plot(one["value"], y, marker, color=colour, markersize=3.6)
    there = set(zip(panel["factor"], panel["remedy"], strict=True))
    height = len(activations) + BETWEEN
    for i, remedy in enumerate(dict.fromkeys(row[:2] for row in rows)):
        if i:
            axes.axhline(i * height - (1 + BETWEEN) / 2, color=style.GRID, linewidth=0.4)
        if remedy not in there:
            axes.text(0.98, i * height + (len(activations) - 1) / 2, "not in this study",
                      ha="right", va="center", fontsize=style.SIZE - 1,
                      transform=axes.get_yaxis_transform())  # fmt: skip


def _name(axes: Axes, remedies: list, rows: dict, activations: list[str]) -> None:
    """Each remedy with its control, beside the rows of its activations."""
    axes.figure.draw_without_rendering()  # settles the names of the activations
    names = [label.get_window_extent() for label in axes.get_yticklabels()]
    left = min(box.x0 for box in names) - axes.get_window_extent().x0
    for factor, remedy in remedies:
        control = CONTROLS[factor].replace("none", "plain")
        middle = np.mean([rows[factor, remedy, activation] for activation in activations])
        axes.annotate(
            f"{remedy_name(factor, remedy)}\nagainst {control}", (0, middle),
            (left / axes.figure.dpi * 72 - 6, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", ha="right", va="center", linespacing=1.1,
        )  # fmt: skip


def remedy_name(factor: str, remedy: str) -> str:
    """A remedy in words: ``batch norm``, ``skip``, ``he init``.

    >>> remedy_name("residual", "identity")
    'skip'
    """
    return arm_name("none", remedy) if factor == "residual" else f"{remedy} {factor}"
