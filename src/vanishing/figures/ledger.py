"""The verdicts at a glance: every claim's effect in units of the smallest that would matter."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath
from matplotlib.ticker import NullLocator

from ..analysis.claims import Registry
from ..analysis.ledger import unit_of
from . import style

COLOURS = {
    "SUPPORTED": "#2e8b57",
    "REFUTED": "#cf4034",
    "CONDITIONAL": "#b87700",
    "INCONCLUSIVE": "#808080",
    "INCOMPLETE": "#808080",
    "NOT TESTABLE": "#808080",
}
# Verdicts differ in shape and filling too: only a supported claim has a full disc.
MARKERS = {"SUPPORTED": "o", "REFUTED": "X", "CONDITIONAL": "D", "INCONCLUSIVE": "o",
           "INCOMPLETE": "s", "NOT TESTABLE": "s"}  # fmt: skip
FILLED = ("SUPPORTED", "REFUTED")

PARTS = {"ledger": "CE", "ledger_remedies": "RAW"}  # a figure's name and its kinds of claims
GROUPS = {
    "C": "What makes the gradient vanish",
    "E": "What follows where it vanishes",
    "R": "What helps",
    "A": "Through time, in images, between players, without a nonlinearity",
    "W": "Real-world cases",
}
COLUMNS = ["claim", "statement", "side", "verdict", "value", "low", "high", "n",
           "effect", "unit"]  # fmt: skip
# Widths in points: of a claim's id, its statement, and its effect; the axis has what remains.
ID, STATEMENT, EFFECT, GAP = 21.0, 224.0, 56.0, 6.0
SMALL = 7.0  # points: letters
ONE_LINE, TWO_LINES, HEADING = 10.4, 15.3, 13.0  # points: heights of rows
ABOVE, BELOW = 21.0, 27.0  # points: for the key, and for the axis
REACH = (-30.0, 100.0)  # smallest effects: what lies beyond has an arrow
LINES = 2


def points(ledger: pd.DataFrame, claims: Registry, kinds: str = "") -> pd.DataFrame:
    """A claim a row: verdict, and effect with interval divided by the smallest effect of interest.

    Of the claims whose ids begin with one of the letters ``kinds``, or of all. ``effect`` is the
    effect as it was measured, in its ``unit``.

    The sign is turned so that the claimed direction is to the right; of an equivalence it is the
    distance from its target, which the claim has under 1.
    """
    rows = ledger[ledger["stratum"] == "all"].set_index("claim")
    found = []
    for claim in claims.claims:
        if claim.id not in rows.index or (kinds and claim.id[0] not in kinds):
            continue
        row, analysis = rows.loc[claim.id], claim.primary
        side = analysis.side if analysis else ""
        scale = (-1 if side == "less" else 1) / (analysis.smallest_effect if analysis else np.nan)
        ends = sorted([scale * row["low"], scale * row["high"]])
        found.append(
            {"claim": claim.id, "statement": claim.statement, "side": side,
             "verdict": row["verdict"], "value": scale * row["value"],
             "low": ends[0], "high": ends[1], "n": row["n"],
             "effect": row["value"], "unit": _unit(str(row["statistic"]))}
        )  # fmt: skip
    return pd.DataFrame(found, columns=COLUMNS)


def _unit(statistic: str) -> str:
    """The unit in which a statistic is given; none of a share or of another bare number.

    >>> _unit("slope at init [decades/layer], mean over cells"), _unit("share of runs [1]")
    ('decades/layer', '')
    """
    unit = unit_of(statistic)
    return "" if unit == "1" else f"({unit})" if unit.startswith("log") else unit


def look(verdict: str) -> dict:
    """Colour, marker and filling of a verdict, the same wherever one is drawn."""
    colour = COLOURS.get(verdict, style.TEXT)
    face = colour if verdict in FILLED else style.BACKGROUND
    return {"color": colour, "marker": MARKERS.get(verdict, "o"), "markerfacecolor": face}


@style.styled
def draw(data: pd.DataFrame) -> Figure:
    """A row a claim: what it says, its effect with interval, and that in its own unit.

    A shade lies where the claim says that its effect is: beyond the smallest one of interest, of
    an equivalence within it.
    """
    if data.empty:
        return style.nothing("No claim of the registry was judged in this study.")
    data = data.assign(group=data["claim"].str[0].map(GROUPS).fillna(""))
    data = data.assign(place=data["group"].map(list(dict.fromkeys(data["group"])).index))
    data = data.sort_values(["place", "claim"], kind="stable", ignore_index=True)
    data["words"] = [_wrapped(statement, STATEMENT) for statement in data["statement"]]
    data["measured"] = [_wrapped(_measured(row), EFFECT) for row in data.itertuples()]
    both = data["words"] + data["measured"]
    data["tall"] = np.where(both.str.contains("\n"), TWO_LINES, ONE_LINE)
    heights, headings, total = _heights(data)
    axes = _frame(total)
    _ground(axes, data, heights, total)
    for y, name in headings:
        axes.annotate(name, (0, y), (-ID - STATEMENT - GAP, 0), fontweight="bold", **_beside(axes))
    for y, row in zip(heights, data.itertuples(), strict=True):
        _row(axes, y, row)
    _marks(axes, data, np.array(heights))
    _key(axes, data.loc[np.isfinite(data["value"]), "verdict"])
    return axes.figure


def _heights(data: pd.DataFrame) -> tuple[list[float], list[tuple[float, str]], float]:
    """The height of each row's middle in points from the top, headings with theirs, and all."""
    heights, headings, top = [], [], 0.0
    for n, (group, tall) in enumerate(zip(data["group"], data["tall"], strict=True)):
        if group and (n == 0 or data["group"][n - 1] != group):
            headings.append((top + HEADING / 2, group))
            top += HEADING
        heights.append(top + tall / 2)
        top += tall
    return heights, headings, top


def _frame(points_high: float) -> Axes:
    """Axes as high as that, in which y is points from the top; set by hand, to the point."""
    whole = (points_high + ABOVE + BELOW) / 72
    drawn = style.figure(whole)
    drawn.set_layout_engine("none")
    left = (ID + STATEMENT + GAP + 4) / 72 / style.WIDTH
    wide = 1 - left - (EFFECT + GAP) / 72 / style.WIDTH
    axes = drawn.add_axes((left, BELOW / 72 / whole, wide, points_high / 72 / whole))
    axes.set_ylim(points_high, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    return axes


def _ground(axes: Axes, data: pd.DataFrame, heights: list[float], total: float) -> None:
    """The axis, what is too small to matter, and where each claim says its effect lies."""
    shown = data[["value", "low", "high"]].to_numpy(float)
    shown = np.clip(shown[np.isfinite(shown)], *REACH)
    low, high = min([*shown, -1.5]), max([*shown, 3.0])
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(1.35 * low, 1.35 * high)
    ticks = [-10.0, -1.0, 0.0, 1.0, 10.0, 100.0]
    axes.set_xticks([x for x in ticks if axes.get_xlim()[0] <= x <= axes.get_xlim()[1]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", "\u2212"))
    axes.set_xlabel("effect / smallest effect of interest")
    claimed = [(0.0, 1.0) if side == "equivalent" else (1.0, axes.get_xlim()[1])
               for side in data["side"]]  # fmt: skip
    corners = [
        [(x0, y - h), (x1, y - h), (x1, y + h), (x0, y + h)]
        for (x0, x1), y, h in zip(claimed, heights, data["tall"] / 2 - 0.6, strict=True)
    ]
    shade = PolyCollection(corners, facecolors=style.TEXT, alpha=0.09, linewidths=0)
    axes.add_collection(shade, autolim=False)
    axes.axvline(0, color=style.TEXT, linewidth=0.7)
    axes.vlines([-1, 1], 0, total, color=style.TEXT, linewidth=0.5, linestyle=style.BY_CHANCE)
    axes.annotate("too small", (0, 0), (0, 2), xycoords="data", textcoords="offset points",
                  ha="center", va="bottom", fontsize=SMALL)  # fmt: skip
    axes.annotate("as claimed", (1, 1), (0, 2), xycoords="axes fraction", ha="right", va="bottom",
                  textcoords="offset points", fontsize=SMALL)  # fmt: skip


def _beside(axes: Axes) -> dict:
    return {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center",
            "annotation_clip": False, "fontsize": SMALL}  # fmt: skip


def _row(axes: Axes, y: float, row: tuple) -> None:
    """The words of a row: id and statement at the left, the effect in its own unit at the right."""
    beside = _beside(axes)
    axes.annotate(row.claim, (0, y), (-ID - STATEMENT - GAP, 0), fontweight="bold", **beside)
    axes.annotate(row.words, (0, y), (-STATEMENT - GAP, 0), linespacing=1.0, **beside)
    axes.annotate(row.measured, (1, y), (GAP, 0), linespacing=1.0, **beside)


def _measured(row: tuple) -> str:
    """The effect in its own unit, to two digits; without one it says so, and not testable."""
    if not np.isfinite(row.value):
        return "no estimate" if row.verdict in (*FILLED, "INCONCLUSIVE") else row.verdict.lower()
    digits = f"{row.effect:.0f}" if 99.5 <= abs(row.effect) < 1e6 else f"{row.effect:#.2g}"
    return f"{digits.rstrip('.')} {row.unit}".replace("-", "\u2212").rstrip()


def _marks(axes: Axes, data: pd.DataFrame, heights: np.ndarray) -> None:
    """Effects with their intervals, a colour and a shape a verdict; an arrow leaves the axis."""
    left, right = axes.get_xlim()
    for verdict in dict.fromkeys(data["verdict"]):
        mine = data["verdict"].eq(verdict) & np.isfinite(data["value"])
        rows, y = data[mine], heights[mine.to_numpy()]
        drawn = look(verdict)
        low, high = (rows[name].fillna(rows["value"]) for name in ("low", "high"))
        axes.hlines(y, low.clip(left, right), high.clip(left, right), color=drawn["color"],
                    linewidth=1.3, zorder=2.5)  # fmt: skip
        inside = rows["value"].between(left, right).to_numpy()
        edge = 0.4 if verdict in FILLED else 1.1
        axes.plot(rows["value"][inside], y[inside], linestyle="none", markersize=5.2,
                  markeredgewidth=edge, zorder=3, **drawn)  # fmt: skip
        for end, leaves, marker in ((left, low < left, "<"), (right, high > right, ">")):
            axes.plot(np.full(leaves.sum(), end), y[leaves.to_numpy()], linestyle="none",
                      marker=marker, markersize=4, color=drawn["color"], clip_on=False)  # fmt: skip


def _key(axes: Axes, verdicts: Iterable[str]) -> None:
    """The verdicts that there are with their marks, in one line at the top."""
    seen = [verdict for verdict in COLOURS if verdict in set(verdicts)]
    marks = [
        Line2D([], [], linestyle="none", markersize=5.2, label=verdict.lower(), **look(verdict))
        for verdict in seen
    ]
    axes.figure.legend(
        handles=marks, loc="upper left", bbox_to_anchor=(0, 1), ncols=len(marks), borderpad=0.2,
        handletextpad=0.2, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip


def _wrapped(text: str, width: float, lines: int = LINES) -> str:
    """``text`` in at most two lines no wider than the column, in points; the rest is cut off."""
    found = [""]
    for word in text.split():
        longer = f"{found[-1]} {word}".lstrip()
        if found[-1] and _width(longer) > width:
            found.append(word)
        else:
            found[-1] = longer
    if len(found) > lines:
        last = found[lines - 1]
        while " " in last and _width(f"{last} \u2026") > width:
            last = last.rpartition(" ")[0]
        found = [*found[: lines - 1], f"{last} \u2026"]
    return "\n".join(found)


def _width(text: str) -> float:
    """How wide a text is in points; without a figure."""
    return TextToPath().get_text_width_height_descent(text, FontProperties(size=SMALL), False)[0]
