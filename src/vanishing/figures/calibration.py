"""Does theory say what is measured? The slope at init against its prediction, cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from ..analysis.agreement import TOLERANCE
from . import style
from .trainability import arm_name

REACH = 5  # tolerances that are drawn; what lies beyond is marked at the edge
EDGE = 0.94  # of the reach, where such marks stand
TICKS = (0, -1, 1, -0.5, 0.5, -0.1, 0.1, -0.3, 0.3, -2, 2, -0.03, 0.03)  # by their worth
APART = 0.07  # of the width, between two ticks
MOST_NAMED = 6  # kinds of networks that a corner of a panel can name


def points(agreement: pd.DataFrame) -> pd.DataFrame:
    """The mean slope of each cell at init with its interval, and its prediction."""
    slopes = agreement[agreement["quantity"] == "slope"].drop_duplicates("cell")
    found = slopes.rename(columns={"measured": "value", "distance": "difference"})
    return found.reset_index(drop=True)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """Measured against predicted with the identity; what is left, cells sorted by prediction."""
    if data.empty:
        return style.nothing("This study has no cell with both a measured and a predicted slope.")
    data = data.sort_values(["predicted", "cell"], ignore_index=True)
    drawn = style.figure(2.4)
    left, right = drawn.subplots(1, 2, width_ratios=(2, 3.4))
    _against(left, data)
    reach = _remaining(right, data)
    _mark_beyond(right, data, reach)
    marks = _legend(data)
    if len(marks) > MOST_NAMED:
        drawn.legend(handles=marks, loc="outside lower center", ncols=4, columnspacing=1.2)
    else:
        left.legend(handles=marks, loc="upper left", borderpad=0, handletextpad=0,
                    labelspacing=0.25, fontsize=style.SIZE - 1)  # fmt: skip
    _name_outliers(right, data, reach)
    return drawn


def _against(axes: Axes, data: pd.DataFrame) -> None:
    """Measured over predicted on equal axes, with the identity."""
    ends = np.array([data["predicted"].min(), data["predicted"].max()])
    ends += np.array([-0.05, 0.05]) * max(np.ptp(ends), 0.1)
    axes.plot(ends, ends, color=style.TEXT, linewidth=0.6, zorder=1)
    for (norm, residual), cells in _arms(data):
        axes.plot(cells["predicted"], cells["value"], **_look(norm, residual, 2.6))
    axes.set(xlim=ends, xlabel="predicted slope (decades/layer)")
    axes.set_ylabel("measured slope\n(decades/layer)")
    axes.set_ylim(ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(_number)


def _remaining(axes: Axes, data: pd.DataFrame) -> float:
    """What is measured less what is predicted, a cell beside the next; gives how far one sees."""
    off = data[["value", "low", "high"]].sub(data["predicted"], axis=0)
    reach = min(REACH * TOLERANCE, 1.1 * max(TOLERANCE, off.abs().max().max()))
    axes.axhspan(-TOLERANCE, TOLERANCE, color=style.TEXT, alpha=0.14, linewidth=0)
    axes.axhline(0, color=style.TEXT, linewidth=0.6, zorder=1)
    for (norm, residual), cells in _arms(data):
        look, own = _look(norm, residual, 1.9), off.loc[cells.index]
        style.bars(axes, own.index, own, color=look["color"], linewidth=0.35, alpha=0.5)
        axes.plot(own.index, own["value"].where(own["value"].abs() <= reach), **look)
    axes.set(xlim=(-0.02 * len(data) - 0.5, 1.02 * len(data) - 0.5), ylim=(-reach, reach))
    axes.set_xlabel("predicted slope (decades/layer), cells in its order")
    axes.set_ylabel("measured \u2212 predicted\n(decades/layer)")
    axes.yaxis.set_major_formatter(_number)
    places = _ticks(data["predicted"].to_numpy(float))
    axes.set_xticks(list(places.values()), [_number(value) for value in places])
    return reach


def _arms(data: pd.DataFrame) -> list[tuple]:
    """Norm and residual with their cells, the plain ones first: these are the most."""
    groups = list(data.groupby(["norm", "residual"]))
    return sorted(groups, key=lambda group: (-len(group[1]), group[0]))


def _look(norm: str, residual: str, size: float) -> dict:
    look = style.remedy_look(norm, residual)
    return look | {"linestyle": "none", "markersize": size, "markeredgewidth": 0.5}


def _number(value: float, _: object = None) -> str:
    return f"{value:g}".replace("-", "\u2212")


def _ticks(predicted: np.ndarray) -> dict[float, float]:
    """Round slopes, and where each would stand among the sorted ``predicted`` ones."""
    found: dict[float, float] = {}
    for tick in TICKS:
        place = float(np.searchsorted(predicted, tick)) - 0.5
        near = any(abs(place - other) < APART * len(predicted) for other in found.values())
        if predicted[0] <= tick <= predicted[-1] and not near:
            found[tick] = place
    return found or {float(predicted[0]): 0.0}


def _mark_beyond(axes: Axes, data: pd.DataFrame, reach: float) -> None:
    """A triangle at the edge for each cell whose value lies beyond it."""
    for sign, marker in ((1, "^"), (-1, "v")):
        for (norm, residual), cells in _arms(data[sign * _off(data) > reach]):
            look = _look(norm, residual, 4) | {"marker": marker}
            axes.plot(cells.index, np.full(len(cells), EDGE * sign * reach), **look)


def _off(data: pd.DataFrame) -> pd.Series:
    return data["value"] - data["predicted"]


def _name_outliers(axes: Axes, data: pd.DataFrame, reach: float, most: int = 3) -> None:
    """The cells that lie beyond the edge, the farthest: which, and how far."""
    far = _off(data).abs().nlargest(most)
    axes.figure.draw_without_rendering()  # settles the sizes
    taken: list[Bbox] = []
    for place, cell in data.loc[far.index[far > reach]].iterrows():
        left, sign = place > len(data) / 2, np.sign(cell["value"] - cell["predicted"])
        for step in range(most):  # a name that would overlap another goes nearer to the band
            name = axes.annotate(
                f"{cell['activation']}, {cell['init'].partition('(')[0]}, depth {cell['depth']}: "
                + _number(round(cell["value"] - cell["predicted"], 3)),
                (place, EDGE * sign * reach),
                (-4 if left else 4, -sign * step * 1.3 * style.SIZE), textcoords="offset points",
                ha="right" if left else "left", va="center", fontsize=style.SIZE - 1,
                in_layout=False,
            )  # fmt: skip
            box = name.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            name.remove()


def _legend(data: pd.DataFrame) -> list[Line2D]:
    """A colour and a marker for each norm and each residual; open where a network has both."""
    names = {
        arm: f"{arm[0]} + residual" if "none" not in arm else arm_name(*arm)
        for arm in sorted({arm for arm, _ in _arms(data)}, key=_plain_first)
    }
    return [Line2D([], [], label=name, **_look(*arm, 3.2)) for arm, name in names.items()]


def _plain_first(arm: tuple[str, str]) -> tuple:
    norm, residual = arm
    return (norm != "none") + (residual != "none"), norm == "none", arm
