"""The signal going forward, the gradient going back: layer by layer, against theory."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from ..analysis.over_seeds import pooled
from ..analysis.profiles import OF_LAYERS
from . import style
from .estimates import at_init

PANELS = 4
LINES = 6  # activations: the first of the registry's
LABELS = ("forward \u2192\nmean square of $h$", "\u2190 backward\nrms of $\\delta$ (nats)")
QUANTITIES = dict(zip(OF_LAYERS, LABELS, strict=True))
# Markers, each with its letter where it is open and where it is filled.
SHAPES = (
    ("o", "\u25cb", "\u25cf"),
    ("s", "\u25a1", "\u25a0"),
    ("^", "\u25b3", "\u25b2"),
    ("D", "\u25c7", "\u25c6"),
    ("v", "\u25bd", "\u25bc"),
    (">", "\u25b7", "\u25b6"),
)
MARGIN = 0.6  # decades
MOST_TICKS, MOST_POINTS = 6, 20


def points(runs: pd.DataFrame, profiles: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Both quantities at init by layer, of plain networks: mean over seeds, interval, theory.

    Of the battery with most such cells; of inits that give hidden weights the same sigma_w, one; of
    depths, the middle one.
    """
    keys = ["cell", "activation", "init", "sigma_w", "depth", "width"]
    # Before the first update a net is the same at all rates.
    chosen = _chosen(runs)[[*keys, "lr_policy"]].drop_duplicates("cell")
    data = profiles[profiles["quantity"].isin(OF_LAYERS)]
    data = data.merge(chosen, on=["cell", "lr_policy"])
    data = data.rename(columns={"place": "layer"}).astype({"layer": "int64"})
    theory = predictions.assign(log10_q=_log10(predictions["q"])).set_index(["cell", "layer"])
    found = []
    for quantity in QUANTITIES:
        estimates = pooled(data[data["quantity"] == quantity], [*keys, "layer"])
        at = pd.MultiIndex.from_frame(estimates[["cell", "layer"]])
        estimates["theory"] = theory[quantity].reindex(at).to_numpy()
        found.append(estimates.assign(quantity=quantity))
    return pd.concat(found, ignore_index=True)


def _chosen(runs: pd.DataFrame) -> pd.DataFrame:
    data = at_init(runs)
    data = data[data["norm"].eq("none") & data["residual"].eq("none")]
    named = data[~data["init"].str.startswith("gaussian(")]
    data = named if len(named) else data
    if len(data):
        data = data[data["battery"] == data.groupby("battery")["cell"].nunique().idxmax()]
    data = data[data["depth"] == _middle(data["depth"])]
    data = data[data["width"] == data["width"].max()]
    data = data[data["activation"].isin(style.ordered(data["activation"])[:LINES])]
    firsts = data.assign(drawn=data["sigma_w"].round(3)).drop_duplicates("drawn")
    firsts = firsts.sort_values("sigma_w")["init"].unique()
    spread = np.linspace(0, len(firsts) - 1, min(PANELS, len(firsts))).round().astype(int)
    return data[data["init"].isin(firsts[spread])]


def _middle(values: pd.Series) -> float:
    levels = np.sort(values.unique())
    return levels[(len(levels) - 1) // 2] if len(levels) else np.nan


def _log10(values: pd.Series) -> pd.Series:
    return np.log10(values.astype(float).where(values > 0))


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Two rows, forward and backward; a column an init; points are means, lines are theory."""
    if data.empty:
        return style.nothing("This study measures no plain network at init: no profile to show.")
    columns = data.sort_values("sigma_w")[["init", "sigma_w"]].drop_duplicates("init")
    drawn, limits = style.figure(3.4), [_limits(data, quantity) for quantity in QUANTITIES]
    grid = drawn.subplots(
        2, len(columns), sharex=True, sharey="row", squeeze=False,
        height_ratios=[high - low for low, high in limits],  # a decade is as long in both rows
    )  # fmt: skip
    looks = _looks(style.ordered(data["activation"]))
    for row, (quantity, label), ends in zip(grid, QUANTITIES.items(), limits, strict=True):
        for axes, init in zip(row, columns["init"], strict=True):
            panel = data[(data["quantity"] == quantity) & (data["init"] == init)]
            _panel(axes, panel, looks)
        row[0].set(ylabel=label, ylim=ends)
        row[0].yaxis.set_major_locator(MultipleLocator(_step(limits)))
        row[0].yaxis.set_major_formatter(lambda y, _: f"$10^{{{y:.0f}}}$")
    for axes, (init, sigma_w) in zip(grid[0], columns.itertuples(index=False), strict=True):
        axes.set_title(f"{init}, $\\sigma_w$ = {sigma_w:.3g}", loc="left")
    drawn.align_ylabels(grid[:, 0])
    first = data.iloc[0]
    drawn.supxlabel(
        f"layer (1 is next to the input; depth {first['depth']}, width {first['width']})",
        fontsize=style.SIZE,
    )
    _name(grid, data[data["init"] == columns["init"].iloc[-1]], looks)
    return drawn


def _limits(data: pd.DataFrame, quantity: str) -> tuple[float, float]:
    """The decades that a row shows: all of its points, intervals and theory."""
    shown = data.loc[data["quantity"] == quantity, ["value", "low", "high", "theory"]]
    ends = shown.to_numpy(float)
    return np.nanmin(ends) - MARGIN, np.nanmax(ends) + MARGIN


def _step(limits: list[tuple[float, float]]) -> int:
    """Decades between two ticks: the same in both rows."""
    longest = max(high - low for low, high in limits)
    return next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**6) if longest / step < MOST_TICKS)


def _looks(activations: list[str]) -> dict[str, dict]:
    """Colour and marker of each; large open and small filled: all are seen where they coincide."""
    sizes = np.linspace(4.4, 1.8, len(activations)) if len(activations) > 1 else [3]
    found = {}
    for i, (name, size) in enumerate(zip(activations, sizes, strict=True)):
        colour = style.activation_colour(name)
        face = style.BACKGROUND if i < len(activations) / 2 else colour
        found[name] = {"color": colour, "marker": SHAPES[i][0], "markersize": size,
                       "markerfacecolor": face, "markeredgewidth": 0.6}  # fmt: skip
    return found


def _panel(axes: Axes, panel: pd.DataFrame, looks: dict[str, dict]) -> None:
    every = max(1, round(panel["layer"].nunique() / MOST_POINTS))
    for activation, look in looks.items():
        lines = panel[panel["activation"] == activation].sort_values("layer")
        shown = lines[(lines["layer"] - 1) % every == 0]
        style.bars(axes, shown["layer"], shown, color=look["color"])
        axes.plot(shown["layer"], shown["value"], linestyle="none", **look)
        axes.plot(lines["layer"], lines["theory"], color=look["color"], linewidth=0.8)
    axes.margins(x=0.04)


def _name(grid: np.ndarray, last: pd.DataFrame, looks: dict[str, dict]) -> None:
    """Names at the right of each row, at the heights where the lines of the last panel end."""
    shapes = {
        name: filled if look["markerfacecolor"] != style.BACKGROUND else unfilled
        for (name, look), (_, unfilled, filled) in zip(looks.items(), SHAPES, strict=False)
    }
    ends = last.loc[last.groupby(["quantity", "activation"])["layer"].idxmax()]
    for axes, quantity in zip(grid[:, -1], QUANTITIES, strict=True):
        here = ends[ends["quantity"] == quantity].set_index("activation")["value"]
        names = [(y, f"{shapes[name]} {name}", looks[name]["color"]) for name, y in here.items()]
        style.label_ends(axes, names)
