"""The signal going forward, the gradient going back: layer by layer, against theory."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.over_seeds import pooled
from ..analysis.profiles import OF_LAYERS
from . import style
from .estimates import at_init

PANELS = 4
LINES = 6  # activations: the first of the registry's
LABELS = ("$\\log_{10}$ mean square of $h$", "$\\log_{10}$ rms of $\\delta$ (nats)")
QUANTITIES = dict(zip(OF_LAYERS, LABELS, strict=True))


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
    drawn = style.figure(4.1)
    grid = drawn.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
    activations = style.ordered(data["activation"])
    for row, (quantity, label) in zip(grid, QUANTITIES.items(), strict=True):
        for axes, init in zip(row, columns["init"], strict=True):
            panel = data[(data["quantity"] == quantity) & (data["init"] == init)]
            _panel(axes, panel, activations)
        row[0].set_ylabel(label)
    for axes, (init, sigma_w) in zip(grid[0], columns.itertuples(index=False), strict=True):
        axes.set_title(f"{init}, $\\sigma_w$ = {sigma_w:.3g}", loc="left")
    drawn.align_ylabels(grid[:, 0])
    first = data.iloc[0]
    drawn.supxlabel(
        f"layer (1 is next to the input; depth {first['depth']}, width {first['width']})",
        fontsize=style.SIZE,
    )
    _name(grid, data[data["init"] == columns["init"].iloc[-1]])
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame, activations: list[str]) -> None:
    sizes = style.marker_sizes(len(activations))
    for activation, size in zip(activations, sizes, strict=True):
        lines = panel[panel["activation"] == activation].sort_values("layer")
        colour = style.activation_colour(activation)
        axes.plot(lines["layer"], lines["theory"], color=colour, linewidth=0.9)
        style.interval(axes, lines["layer"], lines, color=colour, marker="o", markersize=size)
    axes.margins(x=0.04)


def _name(grid: np.ndarray, last: pd.DataFrame) -> None:
    """Names at the right of each row, at the heights where the lines of the last panel end."""
    ends = last.loc[last.groupby(["quantity", "activation"])["layer"].idxmax()]
    for axes, quantity in zip(grid[:, -1], QUANTITIES, strict=True):
        here = ends[ends["quantity"] == quantity].set_index("activation")["value"]
        names = [(y, name, style.activation_colour(name)) for name, y in here.items()]
        style.label_ends(axes, names)
