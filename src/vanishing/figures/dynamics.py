"""The gradient during training: layer by layer, and update by update."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from ..analysis.dynamics import ARM, followed
from ..analysis.over_seeds import pooled
from ..analysis.profiles import LAYER_DECAY
from . import style
from .classes import DARK, LIGHT, Classes
from .trainability import arm_name, arms_of

# Classes of decades: healthy between -1 and 1, severe beyond 3, as everywhere in the study.
CLASSES = Classes((-30, -20, -15, -10, -5, -3, -2, -1, 1, 2, 3, 5, 10))
SMALL = 7.0  # points
MOST_NAMES = 11  # of probe steps that fit beside each other


def points(runs: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """By arm, probe step and layer: log10 rms delta less that of the last layer, over judged runs.

    Of the trainings that are followed. ``n``: the runs that still have a gradient there, of
    ``runs``, of which ``trained`` end so. A place that no run has a value for has no ``value``.
    """
    shown = followed(runs)
    arms = [*ARM, "init", "depth"]
    decay = profiles[profiles["quantity"].eq(LAYER_DECAY)]
    cells = shown.drop_duplicates("cell")[["cell", "lr_policy", *arms]]
    decay = decay.merge(cells, on=["cell", "lr_policy"]).rename(columns={"place": "layer"})
    found = pooled(decay, [*arms, "step", "layer"]).astype({"layer": "int64"})
    if found.empty:
        return found.assign(runs=0, trained=0)
    steps = found["step"].unique()
    layers = range(1, int(found["depth"].iloc[0]) + 1)
    places = cells[arms].merge(pd.DataFrame({"step": steps}), how="cross")
    places = places.merge(pd.DataFrame({"layer": layers}), how="cross")
    ends = shown.assign(trained=shown["outcome"].eq("trained")).groupby(arms)["trained"]
    counts = ends.agg(runs="size", trained="sum").reset_index()
    whole = places.merge(found, how="left").merge(counts)
    whole["n"] = whole["n"].fillna(0).astype("int64")
    return whole.sort_values([*ARM, "step", "layer"], ignore_index=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Rows: activations; columns: remedies; in each panel a column a probe step, a cell a layer."""
    if data.empty or data["depth"].iloc[0] < 2:
        return style.nothing("This study follows no training of several layers step by step.")
    activations, arms = style.ordered(data["activation"]), arms_of(data)
    drawn = style.figure(1.9 + 0.5 * len(activations))
    drawn.get_layout_engine().set(h_pad=0.02, hspace=0.02, wspace=0.02)
    grid = drawn.subplots(len(activations), len(arms), sharex=True, sharey=True, squeeze=False)
    for row, activation in zip(grid, activations, strict=True):
        for axes, (norm, residual) in zip(row, arms, strict=True):
            here = data["norm"].eq(norm) & data["residual"].eq(residual)
            _panel(axes, data[here & data["activation"].eq(activation)], data)
        row[0].set_ylabel(activation, color=style.activation_colour(activation))
    for axes, arm in zip(grid[0], arms, strict=True):
        axes.set_title(
            f"{arm_name(*arm)}\n{axes.get_title(loc='left')}", loc="left", fontsize=SMALL
        )
    first = data.iloc[0]
    setting = f"init {first['init']}, depth {first['depth']}"
    drawn.supxlabel(f"updates made; a column a probe step ({setting})", fontsize=style.SIZE)
    drawn.supylabel("layer (1 is next to the input)", fontsize=style.SIZE)
    _colour_bar(drawn, grid, CLASSES.of(data["value"].dropna()))
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, data: pd.DataFrame) -> None:
    steps, depth = np.sort(data["step"].unique()), int(data["depth"].iloc[0])
    axes.set(xlim=(-0.5, len(steps) - 0.5), ylim=(0.5, depth + 0.5))
    shown = range(0, len(steps), -(-len(steps) // MOST_NAMES))
    axes.set_xticks(shown, [f"{steps[n]:g}" for n in shown], fontsize=SMALL, rotation=90)
    axes.set_yticks([1, depth])
    axes.grid(visible=False)
    axes.tick_params(length=2, pad=1.5)
    axes.spines[["top", "right"]].set_visible(True)
    # What no run has, and what is no part of this study, shows as hatched ground.
    ground = Rectangle((0, 0), 1, 1, transform=axes.transAxes, hatch="//////", fill=False,
                       edgecolor=style.GRID, linewidth=0, zorder=0)  # fmt: skip
    axes.add_patch(ground)
    if panel.empty:
        axes.set_title("not in this study", loc="left", fontsize=SMALL)
        return
    panel = panel.assign(
        column=np.searchsorted(steps, panel["step"]), kind=CLASSES.of(panel["value"])
    )
    for kind, cells in panel[panel["n"] > 0].groupby("kind"):
        axes.add_patch(_tiles(cells, CLASSES.colours(kind)))
    trained, runs = panel["trained"].iloc[0], panel["runs"].iloc[0]
    axes.set_title(f"{trained} of {runs} trained", loc="left", fontsize=SMALL, pad=2)
    _numbers(axes, panel)


def _tiles(cells: pd.DataFrame, colour: object) -> PathPatch:
    """The cells as one shape, neighbours in a column joined."""
    rectangles = []
    for column, rows in cells.groupby("column"):
        layers = np.sort(rows["layer"].to_numpy())
        for run in np.split(layers, np.flatnonzero(np.diff(layers) > 1) + 1):
            corners = (column - 0.5, run[0] - 0.5), (column + 0.5, run[-1] + 0.5)
            rectangles.append(_rectangle(*corners))
    shape = Path.make_compound_path(*rectangles)
    return PathPatch(shape, facecolor=colour, linewidth=0, antialiased=False, zorder=1)


def _rectangle(low: tuple[float, float], high: tuple[float, float]) -> Path:
    (left, bottom), (right, top) = low, high
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return Path(corners, closed=True)


def _numbers(axes: Axes, panel: pd.DataFrame) -> None:
    """Layer 1 in decades, first and last; where another number of runs is left, how many."""
    look = {"xycoords": axes.get_xaxis_transform(), "fontsize": SMALL, "zorder": 3}
    first = panel[panel["layer"].eq(1)].dropna(subset="value")
    if len(first):
        start, end = first.iloc[0], first.iloc[-1]
        foot = {"textcoords": "offset points", "va": "bottom", **look}
        axes.annotate(_signed(start["value"]), (start["column"] - 0.5, 0.04), (2, 0),
                      color=_letters(start["kind"]), **foot)  # fmt: skip
        at, words = (end["column"] + 0.5, 0.04), _signed(end["value"])
        if end["column"] == panel["column"].max():
            axes.annotate(words, at, (-2, 0), ha="right", color=_letters(end["kind"]), **foot)
        else:  # on the hatched ground beside its column
            axes.annotate(f"← {words}", at, (2, 0), color=style.TEXT, **foot)
    before = panel["runs"].iloc[0]
    for column, rows in panel.groupby("column"):
        if (left := rows["n"].min()) != before:
            top = rows.loc[rows["layer"].idxmax()]
            axes.annotate(
                f"{left}" if left else "0 left", (column - 0.4, 0.97), va="top", **look,
                color=_letters(top["kind"]) if top["n"] else style.TEXT,
            )  # fmt: skip
        before = left


def _signed(value: float, digits: int = 1) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _letters(kind: int) -> str:
    """Dark letters on a light class, light ones on a dark class."""
    red, green, blue, _ = CLASSES.colours(kind)
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.45 else LIGHT


def _colour_bar(drawn: Figure, grid: np.ndarray, kinds: np.ndarray) -> None:
    """The classes that the panels show, with their bounds in decades."""
    low, high = int(kinds.min()), int(kinds.max())
    bar = CLASSES.bar(drawn, grid, low, high, fraction=0.03, pad=0.015, aspect=28)
    names = [_signed(bound, 0) for bound in CLASSES.bounds[low:high]]
    bar.ax.set_yticklabels(names, fontsize=SMALL)
    bar.set_label("decades against the last layer", fontsize=style.SIZE)
