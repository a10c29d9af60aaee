"""Saturation against the slope: the textbook's mechanism, and what theory has instead of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from ..analysis.over_seeds import means, pooled
from ..analysis.profiles import SATURATION as SHARE
from ..parts.activations import ACTIVATIONS
from . import style
from .estimates import at_init

NEGLIGIBLE = 0.02  # decades/layer: less is no slope of interest, as the claims have it
ARM = ["activation", "init", "sigma_w", "sigma_b"]
SETTING = ["depth", "width"]
PANELS = 2  # activations
DASHED = (0, (3, 1.5))
KINDS = {"weights": "o", "biases": "o", "named": "D"}


def points(runs: pd.DataFrame, profiles: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """By cell: the slope at init and the share of saturated units, with intervals over seeds.

    Plain networks with an activation that saturates at both ends. Of depths and widths, those with
    most pairs of sigma_w and sigma_b. ``kind``: ``weights`` with Gaussian weights and no biases,
    ``biases`` with both, ``named`` an init without parameters; others are left out.
    ``derivative``: the root mean square of phi' by theory.
    """
    data = at_init(runs)
    data = data[data["norm"].eq("none") & data["residual"].eq("none")]
    data = data[_gaussian(data) | ~data["init"].str.contains("(", regex=False)]
    varied = data[_gaussian(data)].groupby("activation")["sigma_w"].nunique()
    data = data[data["activation"].isin(saturating(varied[varied > 1].index))]
    if len(data):
        tried = data[_gaussian(data)].groupby(SETTING)[["sigma_w", "sigma_b"]].apply(_pairs)
        data = data[data.set_index(SETTING).index == tried.idxmax()]
    found = means(data, ["cell", *ARM, *SETTING], "slope")
    shares = profiles[profiles["quantity"].eq(SHARE)].drop_duplicates("cell")
    shares = pooled(shares, ["cell"]).drop(columns="n").set_index("cell").add_prefix("saturated_")
    found = found.join(shares, on="cell").assign(kind=_kinds(found))
    found["derivative"] = found["cell"].map(_growth(predictions)) / found["sigma_w"]
    return found.sort_values(["activation", "kind", "sigma_w", "sigma_b"], ignore_index=True)


def saturating(labels: Sequence[str]) -> list[str]:
    """Those of these activations whose units are flat far out, on both sides."""
    far = torch.tensor([-12.0, 12.0], dtype=torch.float64)

    def flat(label: str) -> bool:
        activation = ACTIVATIONS[label]
        low, high = activation.saturated(far, activation.derivative(far))
        return bool(low[0] and high[1])

    return [label for label in style.ordered(labels) if flat(label)]


def _gaussian(rows: pd.DataFrame) -> pd.Series:
    return rows["init"].str.startswith("gaussian(")


def _pairs(rows: pd.DataFrame) -> int:
    return len(rows.drop_duplicates())


def _kinds(found: pd.DataFrame) -> np.ndarray:
    gaussian = _gaussian(found)
    return np.select([gaussian & found["sigma_b"].eq(0), gaussian], ["weights", "biases"], "named")


def _growth(predictions: pd.DataFrame) -> pd.Series:
    """By cell: sqrt(chi_1) = sigma_w sqrt(E phi'^2), its geometric mean over the layers."""
    chi = predictions["chi_1"].astype(float)
    return np.sqrt(np.exp(np.log(chi.where(chi > 0)).groupby(predictions["cell"]).mean()))


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Slope over saturation, a panel an activation; at the right over the mean derivative."""
    if data.loc[data["kind"].eq("weights"), "sigma_w"].nunique() < 2:
        return style.nothing(
            "This study does not vary sigma_w where units can saturate: no mechanism to test."
        )
    activations = style.ordered(data["activation"])[:PANELS]
    drawn = style.figure(2.5)
    panels = drawn.subplots(1, len(activations) + 1, sharey=True)
    shares = 1.04 * data["saturated_value"].max()
    for axes, activation in zip(panels, activations, strict=False):
        rows = data[data["activation"] == activation]
        _band(axes)
        _paths(axes, rows, style.activation_colour(activation))
        axes.set_xlim(-0.05 * shares, shares)
        axes.set_title(activation, loc="left", color=style.activation_colour(activation))
        axes.set_xlabel("share of units saturated")
    shown = data[data["activation"].isin(activations)]
    margin = 0.07 * np.ptp(shown["value"])
    panels[0].set(
        ylim=(shown["low"].min() - margin, shown["high"].max() + 1.5 * margin),
        ylabel="slope (decades/layer)",
    )
    _hint(panels[len(activations) - 1])
    _derivatives(panels[-1], shown)
    drawn.legend(handles=_legend(data), loc="outside upper right", ncols=4, handlelength=2.2)
    return drawn


def _band(axes: Axes) -> None:
    axes.axhspan(-NEGLIGIBLE, NEGLIGIBLE, color=style.TEXT, alpha=0.3, linewidth=0, zorder=1.2)


def _paths(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    """The path of growing weights with arrows; dashed, those of growing biases from it."""
    weights = rows[rows["kind"] == "weights"].sort_values("sigma_w")
    _arrows(axes, weights, colour)
    for sigma_w, more in rows[rows["kind"] == "biases"].groupby("sigma_w"):
        path = pd.concat([weights[weights["sigma_w"] == sigma_w], more.sort_values("sigma_b")])
        axes.plot(path["saturated_value"], path["value"], color=colour, linewidth=0.8,
                  linestyle=DASHED, zorder=1.9)  # fmt: skip
    for kind, marker in KINDS.items():
        _points(axes, rows[rows["kind"] == kind], kind, colour, marker)
    _name_ends(axes, weights, colour)


def _arrows(axes: Axes, path: pd.DataFrame, colour: str) -> None:
    """The path from point to point, with an arrow's head in the middle of each longer step."""
    x, y = path["saturated_value"].to_numpy(), path["value"].to_numpy()
    axes.plot(x, y, color=colour, linewidth=1.0, zorder=1.9)
    for start, end in zip(range(len(x) - 1), range(1, len(x)), strict=True):
        middle = (x[start] + x[end]) / 2, (y[start] + y[end]) / 2
        axes.annotate(
            "", middle, (x[start], y[start]),
            arrowprops={"arrowstyle": "-|>,head_length=0.4,head_width=0.2", "color": colour,
                        "linewidth": 0, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _points(axes: Axes, rows: pd.DataFrame, kind: str, colour: str, marker: str) -> None:
    x, y = rows["saturated_value"], rows["value"]
    error = [[v - rows[f"{name}low"], rows[f"{name}high"] - v] for v, name in
             ((x, "saturated_"), (y, ""))]  # fmt: skip
    xerr, yerr = (np.nan_to_num(np.maximum(pair, 0)) for pair in error)
    look = _look(kind, colour, marker)
    axes.errorbar(x, y, yerr, xerr, linestyle="none", elinewidth=0.7, **look)


def _name_ends(axes: Axes, weights: pd.DataFrame, colour: str) -> None:
    """The least and the greatest sigma_w, at the ends of their path."""
    for row, offset, side in (
        (weights.iloc[0], (6, 0), "left"),
        (weights.iloc[-1], (-1, 6), "right"),
    ):
        axes.annotate(
            f"$\\sigma_w$ = {row['sigma_w']:.3g}", (row["saturated_value"], row["value"]), offset,
            textcoords="offset points", color=colour, fontsize=style.SIZE - 1, ha=side, va="center",
        )  # fmt: skip


def _hint(axes: Axes) -> None:
    """What the plane would look like if the textbook were right."""
    axes.annotate(
        "if saturation were the\nwhole cause, all points\nwould fall to the right ↘", (0.98, 0.04),
        xycoords="axes fraction", ha="right", va="bottom", style="italic", fontsize=style.SIZE - 1,
    )  # fmt: skip


def _derivatives(axes: Axes, data: pd.DataFrame) -> None:
    """Slope over the mean derivative, with a line a sigma_w: theory."""
    known = data.dropna(subset="derivative")
    axes.set_xscale("log")
    axes.set_title("each line: theory at one $\\sigma_w$", loc="left")
    if known.empty:
        return
    _band(axes)
    for activation, rows in known.groupby("activation"):
        colour = style.activation_colour(activation)
        for kind, marker in KINDS.items():
            mine = rows[rows["kind"] == kind]
            style.interval(axes, mine["derivative"], mine, **_look(kind, colour, marker))
    _lines(axes, known[known["kind"] != "named"])
    low, high = known["derivative"].min() / 1.25, known["derivative"].max() * 1.9
    axes.set(xlim=(low, high), xlabel="rms of $\\phi'(h)$ by theory")
    decades = [x for x in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if low <= x <= high]
    axes.xaxis.set_major_locator(FixedLocator(decades))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")


def _lines(axes: Axes, known: pd.DataFrame) -> None:
    """Between the points of each sigma_w, log10 sigma_w + log10 of the derivative, and its name."""
    before = None
    for sigma_w, rows in known.groupby("sigma_w"):
        ends = np.array([rows["derivative"].min() / 1.08, rows["derivative"].max() * 1.15])
        heights = np.log10(sigma_w * ends)
        axes.plot(ends, heights, color=style.TEXT, linewidth=0.6, zorder=1.5)
        if before is None or sigma_w >= 2 * before or sigma_w == known["sigma_w"].max():
            before = sigma_w
            name = f"$\\sigma_w$ = {sigma_w:.3g}" if sigma_w == 1 else f"{sigma_w:.3g}"
            axes.annotate(name, (ends[1], heights[1]), (2, 1), textcoords="offset points",
                          va="center", fontsize=style.SIZE - 1)  # fmt: skip


def _look(kind: str, colour: str, marker: str) -> dict:
    """Filled marks where the weights alone grow, open ones elsewhere."""
    face = colour if kind == "weights" else style.BACKGROUND
    return {"color": colour, "marker": marker, "markersize": 3.2, "markerfacecolor": face,
            "markeredgewidth": 0.8}  # fmt: skip


def _legend(data: pd.DataFrame) -> list[Line2D]:
    names = {"weights": "weights grow, no biases", "biases": "biases grow", "named": "usual inits"}
    strokes = {"weights": "-", "biases": DASHED, "named": "none"}
    return [
        Line2D([], [], label=names[kind], linestyle=strokes[kind], **_look(kind, style.TEXT, mark))
        for kind, mark in KINDS.items() if data["kind"].eq(kind).any()
    ]  # fmt: skip
