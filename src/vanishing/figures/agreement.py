"""Everything that theory predicts at initialisation against what was measured, cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.agreement import QUANTITIES, held
from . import style

INSIDE, OUTSIDE = style.PALETTE[2], style.PALETTE[1]
COLUMNS = 3  # panels side by side
NAMED = 2  # cells outside the tolerance that a panel names, the farthest


def points(agreement: pd.DataFrame) -> pd.DataFrame:
    """A row a cell and quantity, each cell once though several batteries hold it."""
    data = agreement.drop_duplicates(["cell", "quantity"]).rename(columns={"measured": "value"})
    order = {name: n for n, name in enumerate(QUANTITIES)}
    return data.sort_values("quantity", key=lambda s: s.map(order)).reset_index(drop=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel a quantity: measured over predicted, the identity, and the band of tolerance."""
    if data.empty:
        return style.nothing("This study has no cell with both a prediction and a measurement.")
    names = list(dict.fromkeys(data["quantity"]))
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    drawn = style.figure(0.35 + 2.2 * rows)
    panels = drawn.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        _panel(axes, name, data[data["quantity"] == name])
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    drawn.supxlabel("predicted", fontsize=style.SIZE)
    drawn.supylabel("measured", fontsize=style.SIZE)
    return drawn


def _panel(axes: Axes, name: str, cells: pd.DataFrame) -> None:
    quantity, kept = QUANTITIES[name], held(cells).iloc[0]
    ends = _ends(cells, quantity.relative)
    line = np.geomspace(*ends, 50) if quantity.relative else np.linspace(*ends, 50)
    below, above = (
        (line * math.exp(-quantity.tolerance), line * math.exp(quantity.tolerance))
        if quantity.relative
        else (line - quantity.tolerance, line + quantity.tolerance)
    )
    axes.fill_between(line, below, above, color=style.TEXT, alpha=0.14, linewidth=0)
    axes.plot(line, line, color=style.TEXT, linewidth=0.6, zorder=1)
    for inside, colour, face in ((True, INSIDE, INSIDE), (False, OUTSIDE, style.BACKGROUND)):
        part = cells[cells["inside"] == inside]
        style.interval(
            axes, part["predicted"], part, color=colour, marker="o", markersize=2.8,
            markerfacecolor=face, markeredgewidth=0.7, elinewidth=0.5, zorder=2 + (not inside),
        )  # fmt: skip
    if quantity.relative:
        axes.set(xscale="log", yscale="log")
    unit = "" if quantity.unit == "1" else f" ({quantity.unit})"
    by = f"{quantity.tolerance:.0%}" if quantity.relative else f"{quantity.tolerance:g}"
    axes.set_title(
        f"{quantity.says}{unit}\n{kept['inside']} of {kept['cells']} within \u00b1{by}", loc="left"
    )
    _name_outliers(axes, cells)


def _ends(cells: pd.DataFrame, relative: bool) -> np.ndarray:
    seen = cells[["predicted", "value"]].to_numpy(float)
    seen = seen[seen > 0] if relative else seen
    low, high = seen.min(), seen.max()
    if relative:
        return np.array([low / 1.3, high * 1.3])
    return np.array([low, high]) + np.array([-0.06, 0.06]) * max(high - low, 0.1)


def _name_outliers(axes: Axes, cells: pd.DataFrame) -> None:
    """What the cells farthest outside the tolerance are."""
    outside = cells[~cells["inside"]]
    far = outside.reindex(outside["distance"].abs().nlargest(NAMED).index)
    for cell in far.itertuples():
        parts = [cell.activation, cell.init.partition("(")[0]]
        parts += [part for part in (cell.norm, cell.residual) if part != "none"]
        axes.annotate(
            f"{', '.join(parts)}, depth {cell.depth}", (cell.predicted, cell.value), (0, -7),
            textcoords="offset points", fontsize=style.SIZE - 1, in_layout=False, color=OUTSIDE,
            ha="center", va="top",
        )  # fmt: skip
