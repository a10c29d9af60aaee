"""How two factors act together: means of a measure by both, for the pairs that interact most."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas.api.types import is_numeric_dtype

from ..analysis.measures import MEASURES
from ..analysis.study_tables import Tables
from ..parts.registry import parsed
from . import style
from .estimates import means
from .importance import named

PAIRS = 4
SYMBOLS = {"sigma_w": "$\\sigma_w$", "sigma_b": "$\\sigma_b$"}
LONG = 36  # letters of an axis: more are turned
COLUMNS = ["battery", "term", "x", "x_level", "line", "line_level", "measure", "value", "low",
           "high", "n", "omega_squared"]  # fmt: skip


def points(
    runs: pd.DataFrame, layers: pd.DataFrame, importance: pd.DataFrame, measure: str = "slope"
) -> pd.DataFrame:
    """The mean of ``measure`` by two factors, for the four pairs of the greatest omega squared.

    A pair is shown once, in the battery where it explains most. A mean is over all runs of judged
    seeds with these two levels: first within a seed, then over seeds, with Student's interval.
    """
    pairs = importance[importance["order"].eq(2) & importance["measure"].eq(measure)]
    pairs = pairs.sort_values("omega_squared", ascending=False, kind="stable")
    judged = runs[runs["split"] == "judged"]
    found = [
        _means(judged[judged["battery"] == row.battery], layers, row)
        for row in pairs.drop_duplicates("term").head(PAIRS).itertuples()
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _means(runs: pd.DataFrame, layers: pd.DataFrame, pair: tuple) -> pd.DataFrame:
    runs = runs.reset_index(drop=True)
    x, line = _axes_of(runs, *pair.term.split(":"))
    data = runs.assign(value=MEASURES[pair.measure].of(Tables(runs, layers)))
    data = data.dropna(subset="value").assign(x_level=data[x], line_level=data[line])
    each = data.groupby(["x_level", "line_level", "seed"], as_index=False)["value"].mean()
    found = means(each, ["x_level", "line_level"], "value")
    named_by = {"battery": pair.battery, "term": pair.term, "x": x, "line": line}
    found = found.assign(**named_by, measure=pair.measure, omega_squared=pair.omega_squared)
    return found[COLUMNS]


def _axes_of(runs: pd.DataFrame, one: str, two: str) -> tuple[str, str]:
    """Which factor goes along the axis, and which has lines: activations, else the fewer names."""

    def along(name: str) -> tuple:
        return name != "activation", is_numeric_dtype(runs[name]), runs[name].nunique()

    line, x = sorted((one, two), key=along)
    return x, line


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A panel a pair: where lines are parallel, two factors do not interact."""
    if data.empty:
        return style.nothing("No battery of this study crosses two factors: none can interact.")
    panels = [panel for _, panel in data.groupby(["battery", "term"], sort=False)]
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    drawn = style.figure(0.2 + 2.35 * rows)
    grid = drawn.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel)
    measure = MEASURES[data["measure"].iloc[0]]
    unit = "" if measure.unit == "1" else f" ({measure.unit})"
    drawn.supylabel(measure.meaning + unit, fontsize=style.SIZE)
    return drawn


def _panel(axes: Axes, panel: pd.DataFrame) -> None:
    first = panel.iloc[0]
    along, levels = _named_levels(first["x"], panel["x_level"])
    beside, lines = _named_levels(first["line"], panel["line_level"])
    marks = []
    for i, (level, name) in enumerate(lines.items()):
        own = panel[panel["line_level"] == level]
        own = own.assign(place=own["x_level"].map(list(levels).index)).sort_values("place")
        look = {"linestyle": "-", **_look(first["line"], level, i)}
        aside = 0.1 * (i - (len(lines) - 1) / 2) / len(lines)
        style.interval(axes, own["place"] + aside, own, linewidth=1.0, **look)
        marks.append(Line2D([], [], label=name, **look))
    long = sum(len(name) + 3 for name in levels.values()) > LONG
    turned = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks(range(len(levels)), list(levels.values()), **turned)
    axes.set_xlim(-0.3, len(levels) - 0.7)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(along)
    axes.set_title(f"{named(first['term'])} ({first['battery']})", loc="left")
    axes.legend(
        handles=marks, title=beside, title_fontsize=style.SIZE - 0.5, fontsize=style.SIZE - 1,
        loc="center left", bbox_to_anchor=(1, 0.5), handlelength=1.2, alignment="left",
    )  # fmt: skip


def _named_levels(factor: str, levels: pd.Series) -> tuple[str, dict[object, str]]:
    """The name of a factor, and those of its levels in order: activations by their registry.

    Where the levels are one part with one parameter, which all have, its values name them.
    """
    found = list(dict.fromkeys(levels))
    if factor == "activation":
        return factor, {level: level for level in style.ordered(found)}
    if is_numeric_dtype(levels.infer_objects()):
        return named(factor), {level: f"{level:g}" for level in sorted(found)}
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
