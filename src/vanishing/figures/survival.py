"""Who has learned by when: the share of runs that is not yet at half of chance's loss."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis.estimates import fullest, one_family
from ..analysis.survival import kaplan_meier
from . import style
from .success import Series
from .trainability import series_of

ARM = ["activation", "norm", "residual"]


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Kaplan and Meier's curve of each arm of the battery with most remedies, judged runs.

    The time is that of the first update with a smoothed loss at half of chance, censored at the
    budget; inits and depths are pooled. ``runs`` and ``reached`` count them.
    """
    data = runs[runs["steps"].gt(0) & runs["split"].eq("judged") & runs["outcome"].notna()]
    data = fullest(one_family(data))
    curves = [_curve(dict(zip(ARM, arm, strict=True)), rows) for arm, rows in data.groupby(ARM)]
    columns = [*ARM, "time", "survival", "low", "high", "at_risk", "runs", "reached"]
    return (
        pd.concat(curves, ignore_index=True)[columns] if curves else pd.DataFrame(columns=columns)
    )


def _curve(arm: dict, rows: pd.DataFrame) -> pd.DataFrame:
    reached = rows["steps_to_threshold"].notna()
    times = rows["steps_to_threshold"].astype(float).fillna(rows["steps"].astype(float))
    counts = {"runs": len(rows), "reached": int(reached.sum())}
    return kaplan_meier(times, reached).assign(**arm, **counts)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel an activation; a line a norm with a residual. The lower, the sooner."""
    if data.empty:
        return style.nothing("This study trains nothing: no times are known.")
    activations, series = style.ordered(data["activation"]), series_of(data)
    drawn = style.figure(2.2)
    panels = drawn.subplots(1, len(activations), sharex=True, sharey=True, squeeze=False)[0]
    for axes, activation in zip(panels, activations, strict=True):
        _panel(axes, data[data["activation"] == activation], series)
        axes.set_title(activation, color=style.activation_colour(activation), loc="left")
    panels[0].set_ylabel("share still above half\nof the loss by chance")
    panels[0].set(ylim=(-0.03, 1.03), xlim=(0, data["time"].max()), yticks=[0, 0.5, 1])
    panels[0].yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    panels[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    drawn.supxlabel("updates; over all inits and depths", fontsize=style.SIZE)
    style.label_ends(panels[-1], _ends(data[data["activation"] == activations[-1]], series))
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, series: list[Series]) -> None:
    for one in series:
        line = one.of(panel, "time")
        if line.empty:
            continue
        colour = one.look["color"]
        axes.fill_between(
            line["time"], line["low"], line["high"], step="post", color=colour, alpha=0.1,
            linewidth=0,
        )  # fmt: skip
        axes.step(line["time"], line["survival"], where="post", color=colour, linewidth=1.1,
                  linestyle=one.look["linestyle"])  # fmt: skip
        # Where a line ends early, all of its runs are there: its last marker says so.
        axes.plot(line["time"].iloc[-1:], line["survival"].iloc[-1:], clip_on=False, zorder=3,
                  **one.look | {"linestyle": "none"})  # fmt: skip


def _ends(panel: pd.DataFrame, series: list[Series]) -> list[tuple[float, str, str]]:
    """Heights at which lines end, with names and colours; at a half for what this panel has not."""
    lasts = {one.name: one.of(panel, "time")["survival"] for one in series}
    return [
        (float(lasts[one.name].iloc[-1]) if len(lasts[one.name]) else 0.5, one.name,
         one.look["color"]) for one in series
    ]  # fmt: skip
