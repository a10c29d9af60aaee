"""How far back can a net remember: what it learns by length, and its gradient in training."""

from __future__ import annotations

from collections import Counter

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from ..analysis.over_seeds import judged, pooled, shares
from ..analysis.profiles import LAG_SLOPE
from . import style

TASK = "adding"
CELL = ["recurrence", "activation", "init"]
# What else may differ within a study: cells that differ in it are never pooled.
OTHERS = ["norm", "residual", "depth", "width", "truncation", "optimizer", "lr_policy", "schedule",
          "clip", "batch", "steps"]  # fmt: skip
ARM = [*CELL, *OTHERS]
VANILLA = "vanilla"
STROKES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))  # of the arms of a cell


def points(runs: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """By cell: ``trained`` by length, ``slope`` by update at the greatest length.

    ``trained``: the share of judged runs of the adding problem with that outcome, with Wilson's
    interval. ``slope``: the mean lag slope of the top layer, with Student's; a run without one (it
    diverged) is left out there.
    """
    data = judged(runs, "rnn")
    data = data[data["steps"].gt(0) & data["task"].map(_kind).eq(TASK) & data["outcome"].notna()]
    share = shares(data.assign(trained=data["outcome"].eq("trained")), [*ARM, "length"], "trained")
    longest = data[data["length"] == data["length"].max()].drop_duplicates(["cell", "lr_policy"])
    slopes = profiles[profiles["quantity"] == LAG_SLOPE]
    slopes = slopes.merge(longest[["cell", "length", *ARM]], on=["cell", "lr_policy"])
    slopes = pooled(slopes, [*ARM, "length", "step"])
    found = pd.concat([share.assign(outcome="trained"), slopes.assign(outcome="slope")])
    return found.sort_values(["outcome", *ARM, "length", "step"], ignore_index=True)


def _kind(label: str) -> str:
    return label.partition("(")[0]


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Left the share trained over length, right the lag slope over updates; a line a cell."""
    if data.empty:
        return style.nothing("This study does not train the adding problem: no memory is tested.")
    arms = _arms(data)
    drawn = style.figure(2.3)
    left, right = drawn.subplots(1, 2)
    lengths = sorted(data["length"].unique())
    ends: dict[Axes, list] = {left: [], right: []}
    for place, (arm, (name, look)) in enumerate(arms.items()):
        mine = data[(data[ARM] == list(arm)).all(axis=1)]
        share = mine[mine["outcome"] == "trained"].sort_values("length")
        x = share["length"].map(lengths.index) + 0.05 * (place - (len(arms) - 1) / 2)
        slope = mine[mine["outcome"] == "slope"].sort_values("step")
        for axes, at, line in ((left, x, share), (right, slope["step"], slope)):
            if len(line):
                style.interval(axes, at, line, **look)
                ends[axes].append((line["value"].iloc[-1], name, look["color"]))
    left.xaxis.set_major_locator(FixedLocator(range(len(lengths))))
    left.xaxis.set_major_formatter(lambda x, _: f"{lengths[round(x)]:g}")
    left.set(xlim=(-0.4, len(lengths) - 0.6), ylim=(-0.04, 1.04), ylabel="share trained")
    left.set_xlabel("length (time steps)")
    right.axhline(0, color=style.TEXT, linewidth=0.8)
    right.set(ylabel="lag slope (decades/step)")
    right.set_xlabel(f"updates made (length {lengths[-1]})")
    style.update_axis(right, data["step"].dropna())
    for axes, names in ends.items():
        style.label_ends(axes, names)
    return drawn


def _arms(data: pd.DataFrame) -> dict[tuple, tuple[str, dict]]:
    """The name and the look of every arm; of a cell with several, a stroke each.

    Vanilla cells come first; they are named by what they differ in.
    """
    arms = sorted(set(zip(*(data[name] for name in ARM), strict=True)))
    found, places = {}, Counter()
    for arm in sorted(arms, key=lambda arm: arm[0] != VANILLA):  # stable
        recurrence, activation, *_ = arm
        place, colour = places[recurrence, activation], style.cell_colour(recurrence, activation)
        places[recurrence, activation] += 1
        look = {
            "color": colour,
            "linestyle": STROKES[place % len(STROKES)],
            "marker": style.cell_marker(recurrence, activation),
            "markerfacecolor": style.BACKGROUND if place else colour,
        }
        found[arm] = (_named(arm, arms), look)
    return found


def _named(arm: tuple, arms: list[tuple]) -> str:
    """The cell, its init where there is another one of this cell, and what else differs at all."""
    recurrence, activation, init, *others = arm
    cells = {other[: len(CELL)] for other in arms if other[0] == recurrence}
    words = [activation if recurrence == VANILLA else recurrence]
    if recurrence == VANILLA or len(cells) > 1:
        alike = {other[2] for other in arms if _kind(other[2]) == _kind(init)}
        words.append(init if len(alike) > 1 else _kind(init))
    for place, (name, value) in enumerate(zip(OTHERS, others, strict=True), len(CELL)):
        if len({other[place] for other in arms}) > 1:
            words.append(f"{name} {value}")
    return ", ".join(words)
