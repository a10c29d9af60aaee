"""How two factors act together: means of a measure by both, for the pairs that interact most."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas.api.types import is_numeric_dtype

from ..analysis.measures import MEASURES
from ..parts.registry import parsed
from ..tables import RUNS
from . import style
from .importance import named

SYMBOLS = {"sigma_w": "$\\sigma_w$", "sigma_b": "$\\sigma_b$"}
LONG = 36  # letters of an axis: more are turned


def points(interactions: pd.DataFrame, measure: str = "slope") -> pd.DataFrame:
    """The pairs that interact most in ``measure``; levels are numbers again where they were."""
    data = interactions[interactions["measure"] == measure].reset_index(drop=True)
    levels = {
        f"{axis}_level": [_level(*pair) for pair in zip(data[axis], words, strict=True)]
        for axis, words in (("x", data["x_level"]), ("line", data["line_level"]))
    }
    return data.astype(dict.fromkeys(levels, "object")).assign(**levels)


def _level(factor: str, word: str) -> str | int | float:
    kinds = {"int64": int, "float64": float}
    return kinds.get(RUNS.columns[factor].dtype, str)(word)


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel a pair, on one scale: where lines are parallel, two factors do not interact."""
    if data.empty:
        return style.nothing("No battery of this study crosses two factors: none can interact.")
    panels = [panel for _, panel in data.groupby(["battery", "term"], sort=False)]
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    drawn = style.figure(0.1 + 1.6 * rows)
    grid = drawn.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid, panels, strict=False):
        _panel(axes, panel)
    measure = MEASURES[data["measure"].iloc[0]]
    unit = "" if measure.unit == "1" else f" ({measure.unit})"
    drawn.supylabel(measure.meaning + unit, fontsize=style.SIZE)
    for axes, panel in zip(grid, panels, strict=False):  # once all share their limits
        _name_lines(axes, panel)
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame) -> None:
    first = panel.iloc[0]
    along, levels = _named_levels(first["x"], panel["x_level"])
    _, lines = _named_levels(first["line"], panel["line_level"])
    for i, level in enumerate(lines):
        own = panel[panel["line_level"] == level]
        own = own.assign(place=own["x_level"].map(list(levels).index)).sort_values("place")
        aside = 0.1 * (i - (len(lines) - 1) / 2) / len(lines)
        look = {"linestyle": "-", **_look(first["line"], level, i)}
        style.interval(axes, own["place"] + aside, own, linewidth=1.0, **look)
    long = sum(len(name) + 3 for name in levels.values()) > LONG
    turned = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks(range(len(levels)), list(levels.values()), **turned)
    axes.set_xlim(-0.2, len(levels) - 0.8)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(along)
    axes.set_title(f"{named(first['term'])} ({first['battery']})", loc="left")


def _name_lines(axes: Axes, panel: pd.DataFrame) -> None:
    """Each line's level at its right end."""
    _, levels = _named_levels(panel["x"].iloc[0], panel["x_level"])
    factor = panel["line"].iloc[0]
    _, lines = _named_levels(factor, panel["line_level"])
    ends = panel[panel["x_level"] == list(levels)[-1]].set_index("line_level")["value"]
    middle = sum(axes.get_ylim()) / 2
    style.label_ends(
        axes,
        [
            (ends.get(level, middle), name, _look(factor, level, i)["color"])
            for i, (level, name) in enumerate(lines.items())
        ],
    )


def _named_levels(factor: str, levels: pd.Series) -> tuple[str, dict[object, str]]:
    """The name of a factor, and those of its levels in order: activations by their registry.

    Where the levels are one part with one parameter, which all have, its values name them.
    """
    found = list(dict.fromkeys(levels))
    if factor == "activation":
        return factor, {level: level for level in style.ordered(found)}
    if is_numeric_dtype(levels.infer_objects()):
        return named(factor), {level: f"{level:g}" for level in sorted(found)}
    if factor == "lr_policy":  # tuned, or fixed(0.03): no label of a part
        return named(factor), {level: level for level in sorted(found)}
    parts = {level: parsed(level) for level in found}
    [name, given], *others = parts.values()
    alike = all(other == name and list(own) == list(given) for other, own in others)
    if len(found) > 1 and alike and len(given) == 1:
        [parameter] = given
        values = {level: own[parameter] for level, (_, own) in parts.items()}
        return f"{name} {factor}: {SYMBOLS.get(parameter, named(parameter))}", {
            level: f"{values[level]:.3g}" for level in sorted(found, key=values.get)
        }
    return named(factor), {v: v for v in sorted(found, key=lambda v: (v != "none", v))}


def _look(factor: str, level: object, place: int) -> dict:
    """The colour and marker of a line; an activation has its own colour, a norm its marker."""
    known = factor == "activation"
    colours = (*style.CONDITIONS.values(), *style.CELLS.values(), *style.GAMES.values())
    markers = ("o", *style.MORE_MARKERS)
    return {
        "color": style.activation_colour(level) if known else colours[place % len(colours)],
        "marker": style.norm_marker(level) if factor == "norm" else markers[place % len(markers)],
    }
