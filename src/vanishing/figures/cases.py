"""Proxies of real cases: what a net whose gradient vanishes misses, and what a healthy one does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.case_scores import ACCURACY, COMPARED, ERROR, SENSITIVITY
from ..analysis.score_measures import COARSE, FINE, MATCHED
from . import style

TRANSLATION = "transduction"


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Error by distance, the fine pair by the coarse one, sensitivity by contrast, and one number.

    A panel whose score the study does not have says so.
    """
    if data.empty:
        return style.nothing("This study has no case: nothing is scored by a level.")
    drawn = style.figure(3.8)
    distance, details, faint, one = drawn.subplots(2, 2).flat
    sensitivity = data[(data["score"] == SENSITIVITY) & (data["level"] > 0)]  # 0: nothing to find
    single = sensitivity.groupby("task")["level"].transform("nunique") == 1
    ends = {
        distance: _distance(distance, data[data["score"] == ERROR]),
        details: _details(details, data[data["score"].isin([ACCURACY, COMPARED])]),
        faint: _faint(faint, sensitivity[~single]),
        one: _one(one, sensitivity[single]),
    }
    for axes, names in ends.items():
        style.label_ends(axes, names)
    return drawn


SHARE = (0, 1)  # all that is shown here is one: so far can an interval reach
AT_THE_LINE = {"markersize": 4.5, "elinewidth": 1.5, "zorder": 4}
APART = 0.014  # of the coarse accuracy: so that intervals at one place do not cover each other
_SENSITIVITY = "sensitivity at\n95 % specificity"
Ends = list[tuple[float, str, str]]  # height, name and colour of a line's end


def _distance(axes: Axes, data: pd.DataFrame) -> Ends:
    """Translation with closed marks, its names at the ends; agreement alone with open ones."""
    ends: Ends = []
    for (task, recurrence, activation), line in _lines(data, ["task", "recurrence", "activation"]):
        colour = style.cell_colour(recurrence, activation)
        closed = task.startswith(TRANSLATION) or data["task"].nunique() == 1
        look = {"linestyle": "-"} if closed else {"linestyle": (0, (4, 1.5)), "alpha": 0.75}
        face = colour if closed else style.BACKGROUND
        style.interval(
            axes,
            line["level"],
            line,
            color=colour,
            marker=style.cell_marker(recurrence, activation),
            markerfacecolor=face,
            within=SHARE,
            **look,
        )
        if closed:
            ends.append((line["value"].iloc[-1], recurrence, colour))
    _dotted(axes, "guessing", y=0.5, at=0)
    axes.set_title("closed: translation; open: agreement alone", loc="left")
    axes.set(xlabel="distance to the subject (steps)", ylabel="error in the verb's number")
    axes.set_ylim(-0.02, max(0.6, axes.get_ylim()[1]))
    return _or_nothing(axes, data, ends, "translates nothing")


def _details(axes: Axes, data: pd.DataFrame) -> Ends:
    """The registered means where runs are compared; fainter, the path of the means in training.

    The two may part: a path is at equal updates, and each run crosses at an update of its own.
    """
    ends: Ends = []
    compared = data[data["score"] == COMPARED]
    paths = list(_lines(data[data["score"] == ACCURACY], ["init"]))
    for place, ((init,), rows) in enumerate(paths):
        pairs = {level: rows[rows["level"] == level].set_index("step") for level in (COARSE, FINE)}
        fine = pairs[FINE].sort_index()
        coarse = pairs[COARSE]["value"].reindex(fine.index)
        look = {"color": style.condition_colour(init), "marker": style.condition_marker(init)}
        axes.plot(coarse, fine["value"], linewidth=0.7, markersize=1.8, alpha=0.55, **look)
        point = compared[compared["init"] == init]
        beside = point["level"] + APART * (place - (len(paths) - 1) / 2)
        style.interval(axes, beside, point, within=SHARE, **look, **AT_THE_LINE)
        ends.append((fine["value"].iloc[-1], init, look["color"]))
    _dotted(axes, f"each run's first {MATCHED:g} ", x=MATCHED)
    axes.text(0.02, 0.97, "thin: means at\nequal updates", va="top", transform=axes.transAxes,
              fontsize=style.SIZE - 1)  # fmt: skip
    axes.set_ylim(bottom=axes.get_ylim()[0] - 0.12 * np.ptp(axes.get_ylim()))  # room for the words
    axes.set_title("two pairs of digits", loc="left")
    axes.set(xlabel="accuracy on the coarse pair", ylabel="accuracy on the fine pair")
    return _or_nothing(axes, data, ends, "tells no fine pair from a coarse one")


def _faint(axes: Axes, data: pd.DataFrame) -> Ends:
    ends: Ends = []
    for (init,), line in _lines(data, ["init"]):
        look = {"color": style.condition_colour(init), "marker": style.condition_marker(init)}
        style.interval(axes, line["level"], line, linestyle="-", within=SHARE, **look)
        ends.append((line["value"].iloc[-1], init, look["color"]))
    _dotted(axes, "guessing", y=0.05)
    axes.set_title("faint blobs in noise", loc="left")
    axes.set(xlabel="contrast of the blob (sd of the noise)", ylabel=_SENSITIVITY)
    axes.set_ylim(-0.02, 1.02)
    return _or_nothing(axes, data, ends, "looks for nothing faint")


def _one(axes: Axes, data: pd.DataFrame) -> Ends:
    """A task with a single level: a point a condition."""
    points = list(data.groupby(["activation", "init"], sort=False))
    alone = data["activation"].nunique() == 1
    names = [init if alone else f"{activation}\n{init}" for (activation, init), _ in points]
    for place, ((_, init), point) in enumerate(points):
        look = {"color": style.condition_colour(init), "marker": style.condition_marker(init)}
        style.interval(axes, [place] * len(point), point, within=SHARE, **look)
    axes.set_xticks(range(len(names)), names)
    axes.set(xlim=(-0.6, max(len(names), 1) - 0.4), ylim=(-0.02, 1.02), ylabel=_SENSITIVITY)
    _dotted(axes, "guessing", y=0.05)
    tasks = dict.fromkeys(task.partition("(")[0].replace("_", " ") for task in data["task"])
    axes.set_title(", ".join(tasks), loc="left")
    return _or_nothing(axes, data, [], "has no table of patients")


def _dotted(
    axes: Axes, words: str, x: float | None = None, y: float | None = None, at: int = 1
) -> None:
    """A dotted line at ``x``, or at ``y``; what it means stands at its left (0) or right (1)."""
    look = {"color": style.TEXT, "linewidth": 0.7, "linestyle": style.BY_CHANCE}
    small = {"fontsize": style.SIZE - 1, "textcoords": "offset points"}
    if y is not None:
        axes.axhline(y, **look)
        axes.annotate(words, (at, y), (2 - 4 * at, 2), xycoords=axes.get_yaxis_transform(),
                      ha="right" if at else "left", va="bottom", **small)  # fmt: skip
    else:
        axes.axvline(x, **look)
        axes.annotate(words, (x, 0), (-2, 3), xycoords=axes.get_xaxis_transform(), ha="right",
                      va="bottom", **small)  # fmt: skip


def _lines(data: pd.DataFrame, by: list[str]) -> Iterator[tuple[tuple, pd.DataFrame]]:
    for names, line in data.groupby(by, sort=True):
        yield names, line.sort_values(["level", "step"])


def _or_nothing(axes: Axes, data: pd.DataFrame, ends: Ends, what: str) -> Ends:
    """``ends``, of a panel with data; else it says what this study does not do."""
    if data.empty:
        axes.text(0.5, 0.5, f"This study\n{what}.", ha="center", va="center",
                  transform=axes.transAxes)  # fmt: skip
    return ends
