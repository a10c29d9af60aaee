"""How deep can a network be and still learn: by activation, norm and residual."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.estimates import fullest
from ..analysis.over_seeds import means, shares
from ..analysis.profiles import TEST_ACCURACY
from . import style
from .estimates import one_family

ARM = ["activation", "norm", "residual", "depth"]
OUTCOMES = {"trained": "share trained", "accuracy": "test accuracy"}
STROKES = {"none": "-", "batch": (0, (4, 1.5)), "layer": (0, (1, 1.2))}


def points(runs: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """By depth and arm, all inits and judged seeds pooled, each with its interval over runs.

    Of the battery with most remedies.

    ``trained``: the share of runs with that outcome, Wilson's interval. ``accuracy``: the mean test
    accuracy at the end with Student's, a diverged run at chance as it is logged. ``untrained``: the
    mean accuracy of all networks before their first update, which is chance.
    """
    data = runs[runs["steps"].gt(0) & runs["split"].eq("judged") & runs["outcome"].notna()]
    data = fullest(one_family(data))
    trained = shares(data.assign(trained=data["outcome"].eq("trained")), ARM, "trained")
    accuracy = means(data, ARM, "final_test_accuracy")
    found = pd.concat([trained.assign(outcome="trained"), accuracy.assign(outcome="accuracy")])
    cells = data[["cell", "lr_policy"]].drop_duplicates()
    first = profiles[profiles["quantity"].eq(TEST_ACCURACY) & profiles["step"].eq(0)]
    first = first.merge(cells, on=["cell", "lr_policy"])
    untrained = (first["mean"] * first["n"]).sum() / first["n"].sum() if len(first) else np.nan
    return found.assign(untrained=untrained).sort_values(["outcome", *ARM], ignore_index=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Rows: share trained, accuracy; a column an activation; a line a norm with a residual."""
    if data.empty:
        return style.nothing("This study trains nothing: how deep a network can be is not known.")
    activations, arms = style.ordered(data["activation"]), arms_of(data)
    drawn = style.figure(3.7)
    grid = drawn.subplots(len(OUTCOMES), len(activations), sharex=True, sharey=True, squeeze=False)
    for row, (outcome, label) in zip(grid, OUTCOMES.items(), strict=True):
        rows = data[data["outcome"] == outcome]
        for axes, activation in zip(row, activations, strict=True):
            _panel(axes, rows[rows["activation"] == activation], arms, data["depth"])
        row[0].set_ylabel(label)
    for axes in grid[1]:
        axes.axhline(
            data["untrained"].iloc[0], color=style.TEXT, linewidth=0.7, linestyle=style.BY_CHANCE
        )
    for axes, activation in zip(grid[0], activations, strict=True):
        axes.set_title(activation, color=style.activation_colour(activation), loc="left")
    drawn.supxlabel("depth (hidden layers); over all inits and seeds", fontsize=style.SIZE)
    columns = 5 if len(arms) < 5 else 3
    drawn.legend(handles=_legend(arms), loc="outside upper right", ncols=columns, handlelength=2.6)
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, arms: list[tuple], depths: pd.Series) -> None:
    levels = np.sort(depths.unique())
    place = {depth: i for i, depth in enumerate(levels)}
    for i, (norm, residual) in enumerate(arms):
        line = panel[panel["norm"].eq(norm) & panel["residual"].eq(residual)].sort_values("depth")
        if len(line):
            x = line["depth"].map(place) + 0.07 * (i - (len(arms) - 1) / 2)
            colour = style.activation_colour(line["activation"].iloc[0])
            style.interval(axes, x, line, **look(norm, residual, colour))
    axes.xaxis.set_major_locator(FixedLocator(range(len(levels))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{levels[round(x)]:g}")
    axes.set(xlim=(-0.4, len(levels) - 0.6), ylim=(-0.04, 1.04))


def look(norm: str, residual: str, colour: str) -> dict:
    """Marker and stroke say the norm; a residual's marker is open."""
    return {
        "color": colour,
        "linewidth": 1.0,
        "linestyle": STROKES.get(norm, "-."),
        "marker": style.norm_marker(norm),
        "markerfacecolor": colour if residual == "none" else style.BACKGROUND,
    }


def arms_of(data: pd.DataFrame) -> list[tuple[str, str]]:
    """Norm and residual of every arm, the plain one first."""
    arms = set(zip(data["norm"], data["residual"], strict=True))
    return sorted(arms, key=lambda arm: (arm[1] != "none", arm[0] != "none", arm))


def arm_name(norm: str, residual: str) -> str:
    """The arm in words: ``plain``, ``batch norm``, ``identity residual``."""
    parts = [f"{norm} norm"] * (norm != "none") + [f"{residual} residual"] * (residual != "none")
    return ", ".join(parts) or "plain"


def _legend(arms: list[tuple[str, str]]) -> list[Line2D]:
    marks = [Line2D([], [], label=arm_name(*arm), **look(*arm, style.TEXT)) for arm in arms]
    before = {"color": style.TEXT, "linewidth": 0.7, "linestyle": style.BY_CHANCE}
    return [*marks, Line2D([], [], label="before training", **before)]
