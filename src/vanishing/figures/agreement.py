"""Everything that theory predicts at initialisation against what was measured, cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.agreement import QUANTITIES
from . import style

OUTSIDE = "#cf4034"  # and what lies inside is ink
COLUMNS = 3  # panels side by side
REACH = 2.2  # tolerances that the vertical axis shows at least


def points(agreement: pd.DataFrame) -> pd.DataFrame:
    """A row a cell and quantity, each cell once: ``value``, ``low``, ``high`` in tolerances.

    They are the distances of the measurement and its interval from the prediction.
    """
    data = agreement.drop_duplicates(["cell", "quantity"]).reset_index(drop=True)
    for name, column in (("value", "measured"), ("low", "low"), ("high", "high")):
        data[f"{name}_off"] = [
            QUANTITIES[quantity].distance(measured, predicted) / tolerance
            for quantity, measured, predicted, tolerance in zip(
                data["quantity"], data[column], data["predicted"], data["tolerance"], strict=True
            )
        ]
    data = data.drop(columns=["low", "high"])
    data = data.rename(columns={f"{name}_off": name for name in ("value", "low", "high")})
    order = {name: n for n, name in enumerate(QUANTITIES)}
    return data.sort_values("quantity", key=lambda s: s.map(order)).reset_index(drop=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel a quantity: how many tolerances the measurement lies from the prediction."""
    if data.empty:
        return style.nothing("This study has no cell with both a prediction and a measurement.")
    names = list(dict.fromkeys(data["quantity"]))
    rows = math.ceil(len(names) / COLUMNS)
    columns = math.ceil(len(names) / rows)  # as few empty places as there can be
    drawn = style.figure(0.3 + 1.6 * rows)
    panels = drawn.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, name in zip(panels, names, strict=False):
        _panel(axes, name, data[data["quantity"] == name])
    reach = max(REACH, 1.05 * float(data[["value", "low", "high"]].abs().max().max()))
    panels[0].set_ylim(-reach, reach)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    drawn.supxlabel("predicted", fontsize=style.SIZE)
    drawn.supylabel("measured \u2212 predicted (tolerances)", fontsize=style.SIZE)
    return drawn


def _panel(axes: Axes, name: str, cells: pd.DataFrame) -> None:
    quantity = QUANTITIES[name]
    axes.axhspan(-1, 1, color=style.TEXT, alpha=0.14, linewidth=0)
    axes.axhline(0, color=style.TEXT, linewidth=0.6, zorder=1)
    for inside, colour, face in (
        (True, style.TEXT, style.TEXT),
        (False, OUTSIDE, style.BACKGROUND),
    ):
        part = cells[cells["inside"] == inside]
        order = 2 + (not inside)
        style.bars(axes, part["predicted"], part, color=colour, linewidth=0.4, zorder=order)
        axes.plot(
            part["predicted"], part["value"], color=colour, linestyle="none", marker="o",
            markersize=1.8 if inside else 2.8, markerfacecolor=face, markeredgewidth=0.7,
            zorder=order,
        )  # fmt: skip
    if quantity.relative and not quantity.offset and np.ptp(np.log(cells["predicted"])) > 1:
        axes.set_xscale("log")
    unit = "" if quantity.unit == "1" else f" ({quantity.unit})"
    by = f"{quantity.tolerance:.0%}" if quantity.relative else f"{quantity.tolerance:g}"
    axes.set_title(
        f"{quantity.short}{unit}\n{cells['inside'].sum()} of {len(cells)} within \u00b1{by}",
        loc="left",
    )
