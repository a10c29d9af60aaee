"""The gradient on its way back through time: what is left of it, step by step, against theory."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis.over_seeds import judged, pooled
from ..analysis.profiles import LAG_DECAY
from . import style

COLUMNS = 3  # of panels
MARKS = 10  # points on a line, at most: between them it is as smooth
FLOOR = -10.0  # decades: what lies deeper would flatten all the rest, and leaves the panel
SIZE = ["depth", "width", "length"]
CELL = ["cell", "recurrence", "activation", "init", *SIZE]
VANILLA = "vanilla"
DASHES = (0, (3, 3))


def points(runs: pd.DataFrame, profiles: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    r"""log10 of rms dL/dh_t over that of the last step, by time lag at init: a row a cell and lag.

    Of the top layer of recurrent nets without norm, residual and truncation, in the setting of most
    cells: mean over seeds, its interval, and theory. A lag at which the gradient of a seed is
    exactly zero has no mean.
    """
    # Before the first update a net is the same at all rates.
    chosen = _chosen(runs)[[*CELL, "lr_policy"]].drop_duplicates("cell")
    data = profiles[profiles["quantity"] == LAG_DECAY].merge(chosen, on=["cell", "lr_policy"])
    data = data.rename(columns={"place": "lag"}).astype({"lag": "int64"})
    found = pooled(data, [*CELL, "lag"])
    found = found[found["n"] == found.groupby("cell")["n"].transform("max")]
    theory = predictions[["cell", "layer", "lag", "log10_delta_rms"]]
    theory = theory.rename(columns={"layer": "depth", "log10_delta_rms": "theory"})
    found = found.merge(theory, on=["cell", "depth", "lag"], how="left")
    return found.sort_values(["recurrence", "activation", "init", "lag"], ignore_index=True)


def _chosen(runs: pd.DataFrame) -> pd.DataFrame:
    data = judged(runs, "rnn")
    untrained = data[data["steps"].eq(0)]
    data = untrained if len(untrained) else data
    plain = data["norm"].eq("none") & data["residual"].eq("none") & data["truncation"].eq(0)
    data = data[plain]
    for setting in ("task", *SIZE):
        cells = data.groupby(setting)["cell"].nunique().sort_index(ascending=False)
        if len(cells):
            data = data[data[setting] == cells.idxmax()]
    return data


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel a kind of cell and an init: vanilla cells first, a line an activation."""
    if data.empty:
        return style.nothing("This study measures no recurrent net: nothing goes through time.")
    panels = _panels(data)
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    drawn = style.figure(0.45 + 1.37 * rows)
    grid = drawn.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    lowest, highest = data[["value", "theory"]].min().min(), data[["value", "theory"]].max().max()
    reach = max(highest, 0) - max(lowest, FLOOR)
    low, high = max(lowest, FLOOR) - 0.05 * reach, max(highest, 0) + 0.05 * reach
    grid.flat[0].set_ylim(low, high)
    for axis in (grid.flat[0].xaxis, grid.flat[0].yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
    strokes = _strokes(panels.values())
    for axes, (title, panel) in zip(grid.flat, panels.items(), strict=False):
        _panel(axes, panel, strokes)
        _leaving(axes, panel, low)
        axes.set_title(title, loc="left")
    _name(grid, list(panels.values()), low)
    first = data.iloc[0]
    drawn.supylabel("rms of $\\delta_t$ (decades,\nless that at lag 0)", fontsize=style.SIZE)
    drawn.supxlabel(
        f"time lag (steps back from the last; length {first['length']}, width {first['width']})",
        fontsize=style.SIZE,
    )
    return drawn


def _panels(data: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Vanilla cells init by init, then the others; inits with most cells come first."""
    cells = data.groupby("init")["cell"].nunique()
    inits = cells.sort_values(ascending=False, kind="stable").index
    found = {}
    for kind, rows in (
        ("vanilla", data[data["recurrence"] == VANILLA]),
        ("other cells", data[data["recurrence"] != VANILLA]),
    ):
        for init in inits:
            here = rows[rows["init"] == init]
            if len(here):
                found[f"{kind}, {init}"] = here
    return found


def _strokes(panels: Iterable[pd.DataFrame]) -> dict[str, dict]:
    """The stroke of each line's name: every other one has dashes, above those that have none.

    So the colours of two neighbours alternate where their lines coincide. Dashes have open markers.
    """
    found = {}
    for recurrent in (False, True):
        here = [p for p in panels if p["recurrence"].ne(VANILLA).any() == recurrent]
        names = style.ordered(name for panel in here for name, *_ in _lines(panel))
        for place, name in enumerate(names):
            found[name] = {"linestyle": DASHES, "zorder": 2.2} if place % 2 else {}
    return found


def _panel(axes: Axes, panel: pd.DataFrame, strokes: dict[str, dict]) -> None:
    axes.axhline(0, color=style.TEXT, linewidth=0.6)
    names = _lines(panel)
    step = max(1, math.ceil(panel["lag"].max() / MARKS))
    sizes = style.marker_sizes(len(names))
    for (name, colour, marker, line), size in zip(names, sizes, strict=True):
        axes.plot(line["lag"], line["theory"], color=colour, linewidth=1.1, **strokes[name])
        shown = line[line["lag"] % step == 0]
        face = style.BACKGROUND if strokes[name] else colour
        style.interval(
            axes, shown["lag"], shown, color=colour, marker=marker, markersize=size,
            markerfacecolor=face, markeredgewidth=0.8,
        )  # fmt: skip


def _leaving(axes: Axes, panel: pd.DataFrame, low: float) -> None:
    """An arrow where a line leaves the panel at its lower edge."""
    for _, colour, _, line in _lines(panel):
        height = line["theory"].fillna(line["value"]).dropna()
        if height.min() < low:
            lag = np.interp(-low, -height.cummin(), line.loc[height.index, "lag"])
            axes.plot(lag, low, marker=7, markersize=4.5, color=colour, clip_on=False)


def _lines(panel: pd.DataFrame) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Name, colour, marker and rows of each line of a panel."""
    found = []
    for (recurrence, activation), line in panel.groupby(["recurrence", "activation"]):
        name = activation if recurrence == VANILLA else recurrence
        look = (part(recurrence, activation) for part in (style.cell_colour, style.cell_marker))
        found.append((name, *look, line.sort_values("lag")))
    known = {name: place for place, name in enumerate(style.ordered(n for n, *_ in found))}
    return sorted(found, key=lambda line: known[line[0]])


def _name(grid: np.ndarray, panels: list[pd.DataFrame], low: float) -> None:
    """A name for every line, once: in the first row that has it, in the last panel that has it.

    It stands where the line ends, or at the lower edge where the line leaves the panel.
    """
    named, columns = set(), grid.shape[1]
    for row in range(0, len(panels), columns):
        pairs = zip(grid[row // columns], panels[row : row + columns], strict=False)
        for axes, panel in reversed(list(pairs)):
            new = [line for line in _lines(panel) if line[0] not in named]
            style.label_ends(axes, [(max(_end(rows), low), name, c) for name, c, _, rows in new])
            named |= {name for name, *_ in new}


def _end(line: pd.DataFrame) -> float:
    """The height at which a line ends: as measured, or by theory where nothing is."""
    last = line[["value", "theory"]].dropna(how="all").iloc[-1]
    return last["value"] if np.isfinite(last["value"]) else last["theory"]
