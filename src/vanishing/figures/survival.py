"""Who has learned by when: the share of runs that is not yet at half of chance's loss."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.estimates import fullest
from ..analysis.survival import kaplan_meier
from . import style
from .estimates import one_family
from .trainability import arm_name, arms_of, look

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
    activations, arms = style.ordered(data["activation"]), arms_of(data)
    drawn = style.figure(2.6)
    panels = drawn.subplots(1, len(activations), sharex=True, sharey=True, squeeze=False)[0]
    for axes, activation in zip(panels, activations, strict=True):
        _panel(axes, data[data["activation"] == activation], arms)
        axes.set_title(activation, color=style.activation_colour(activation), loc="left")
    panels[0].set_ylabel("share not yet there")
    panels[0].set(ylim=(-0.03, 1.03), xlim=(0, data["time"].max()))
    drawn.supxlabel("updates; over all inits and depths", fontsize=style.SIZE)
    drawn.legend(
        handles=_legend(arms), loc="outside upper right", ncols=min(4, len(arms)), handlelength=2.6
    )
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, arms: list[tuple[str, str]]) -> None:
    for norm, residual in arms:
        line = panel[panel["norm"].eq(norm) & panel["residual"].eq(residual)].sort_values("time")
        if line.empty:
            continue
        colour = style.activation_colour(line["activation"].iloc[0])
        stroke = _stroke(norm, residual, colour)
        axes.step(line["time"], line["survival"], where="post", **stroke)
        axes.fill_between(
            line["time"], line["low"], line["high"], step="post", color=colour, alpha=0.1,
            linewidth=0,
        )  # fmt: skip
        # The last marker tells lines of one stroke apart: a residual's is open.
        axes.plot(line["time"].iloc[-1:], line["survival"].iloc[-1:], clip_on=False, **stroke)


def _stroke(norm: str, residual: str, colour: str) -> dict:
    return {**look(norm, residual, colour), "markevery": [-1]}


def _legend(arms: list[tuple[str, str]]) -> list[Line2D]:
    return [Line2D([], [], label=arm_name(*arm), **_stroke(*arm, style.TEXT)) for arm in arms]
