"""How all figures look, and how they are saved: the same bytes for the same data.

Text, grid and background have sentinel colours, which the paper replaces: by CSS variables in HTML,
so that figures follow a dark page, and by plain colours in the PDF. All other colours have a
contrast of at least 3 to white and to near-black. Letters are saved as paths: they look the same
in a browser, in the PDF and in a notebook, whatever fonts are there.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ..files import write_text
from ..parts.activations import ACTIVATIONS
from ..parts.norms import NORMS
from .stamp import missing, stamped

TEXT, GRID, BACKGROUND = "#010203", "#040506", "#070809"
ON_PAPER = {TEXT: "#1c1c1e", GRID: "#d8d8dc", BACKGROUND: "#ffffff"}
WIDTH = 6.3  # inches: 160 mm, the width of the paper's text
PALETTE = ("#6e6e6e", "#d55e00", "#0072b2", "#009e73", "#4f7330", "#c86fae", "#8c6239", "#d1416f",
           "#5b8c1a", "#6f6bd1", "#dd3bf3", "#f0253b", "#f532b3", "#de715b", "#7154ef", "#309fa6",
           "#606828", "#a15b6a", "#9a88b8", "#9c932b", "#6396b9", "#2ba63c", "#b04a2f")  # fmt: skip
# What else has a colour of its own. What stands side by side stays apart for the colour-blind and,
# by its marker, in grey: tests/test_figures_style.py has the rule.
CELLS = {"lstm": "#bf4381", "gru": "#7154ef", "minimal_gated": "#8c6239", "leaky": "#5c991f",
         "skip": "#7a8fa8"}  # fmt: skip
CELL_MARKERS = {"lstm": "s", "gru": "v", "minimal_gated": ">", "leaky": "P", "skip": "X"}
GAMES = {"saturating": "#cc2939", "non_saturating": "#9933ff", "least_squares": "#d9720b",
         "hinge": "#63996e", "wgan": "#ac74b2", "wgan_gp": "#cb4cd9"}  # fmt: skip
GAME_MARKERS = dict(zip(GAMES, "os^Dv<", strict=True))
CONDITIONS = {"torch_default": "#de715b", "orthogonal": "#606828"}  # in grey: light and dark
CONDITION_MARKERS = {"torch_default": "o", "orthogonal": "s"}
MARKERS = {"none": "o", "batch": "s", "layer": "^"}
MORE_MARKERS = "DvP*Xh"
# A remedy is a norm, a residual or an init; the network that has none is drawn in ink.
REMEDIES = {"plain": TEXT, "batch": "#067373", "layer": "#c44fa8", "identity": "#a88a12",
            "he": "#7b50e6"}  # fmt: skip
REMEDY_MARKERS = {"plain": "o", "identity": "d", "he": "p"}
REMEDY_STROKES = {"plain": "-", "batch": (0, (5, 1.5)), "layer": (0, (1.2, 1.2)),
                  "identity": (0, (5, 1.5, 1.2, 1.5))}  # fmt: skip
BY_CHANCE = (0, (1, 2))  # the stroke of what guessing would give
SIZE = 8  # points


def rc() -> dict:
    """The settings of matplotlib under which every figure is made and saved."""
    return {
        **sns.axes_style("whitegrid"),
        **sns.plotting_context("paper"),
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), TEXT),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), BACKGROUND),
        "axes.edgecolor": TEXT,
        "axes.linewidth": 0.5,
        "axes.titlesize": SIZE,
        "axes.labelsize": SIZE,
        "axes.unicode_minus": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "errorbar.capsize": 0,
        "figure.constrained_layout.w_pad": 0.06,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": SIZE,
        "grid.color": GRID,
        "grid.linewidth": 0.4,
        "legend.fontsize": SIZE,
        "legend.frameon": False,
        "lines.linewidth": 1.1,
        "lines.markersize": 3.5,
        "mathtext.fontset": "dejavusans",
        "svg.fonttype": "path",
        "text.hinting": "none",
        "svg.hashsalt": "vanishing",
        "xtick.labelsize": SIZE - 0.5,
        "ytick.labelsize": SIZE - 0.5,
    }


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """``draw``, under the style; what it gives is laid out once and then stays."""

    @wraps(draw)
    def drawn(*arguments: object, **settings: object) -> Figure:
        with mpl.rc_context(rc()):
            made = draw(*arguments, **settings)
            for _ in range(3):  # a pass moves what the next one measures
                made.draw_without_rendering()
            made.set_layout_engine("none")  # a layout that is computed again moves a little
            return made

    return drawn


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of ``height`` and ``width`` (the text's) inches, apart from any window."""
    # At a low resolution letters are measured narrower than an SVG draws them.
    return Figure(figsize=(width, height), layout="constrained", dpi=288)


def activation_colour(label: str) -> str:
    """The colour of an activation, the same in every figure of every study.

    Registered ones take the palette in their order, others by a hash of their label.
    """
    known = list(ACTIVATIONS)
    return PALETTE[(known.index(label) if label in known else _hash(label)) % len(PALETTE)]


def activation_marker(label: str) -> str:
    """The marker of an activation, where nothing else has one; the first nine have their own."""
    known = list(ACTIVATIONS)
    shapes = "so^Dv" + "P*Xh"
    return shapes[(known.index(label) if label in known else _hash(label)) % len(shapes)]


def cell_colour(recurrence: str, activation: str) -> str:
    """The colour of a recurrent cell; a vanilla one, which is all activation, has that one's."""
    return activation_colour(activation) if recurrence == "vanilla" else _of(CELLS, recurrence)


def cell_marker(recurrence: str, activation: str) -> str:
    """The marker of a recurrent cell, of a vanilla one that of its activation."""
    kind = recurrence.partition("(")[0]
    if kind == "vanilla":
        return activation_marker(activation)
    return CELL_MARKERS.get(kind) or _of_hash(kind)


def game_colour(label: str) -> str:
    """The colour of a GAN's game, the same in every figure of every study."""
    return _of(GAMES, label)


def game_marker(label: str) -> str:
    """The marker of a GAN's game."""
    kind = label.partition("(")[0]
    return GAME_MARKERS.get(kind) or _of_hash(kind)


def condition_colour(init: str) -> str:
    """The colour of an init where networks of the same kind differ in it alone."""
    return _of(CONDITIONS, init)


def condition_marker(init: str) -> str:
    """The marker of an init where networks of the same kind differ in it alone."""
    return CONDITION_MARKERS.get(init.partition("(")[0]) or _of_hash(init)


def remedy_colour(name: str) -> str:
    """The colour of a remedy: of a norm, a residual or an init; ``plain``, without one, is ink."""
    return TEXT if name == "none" else _of(REMEDIES, name)


def remedy_marker(name: str) -> str:
    """The marker of a remedy, a norm's being that which it has everywhere."""
    return REMEDY_MARKERS.get(name.partition("(")[0]) or norm_marker(name)


def remedy_look(norm: str = "none", residual: str = "none") -> dict:
    """Colour, stroke and marker of a network with this norm and this residual.

    With both it has the colour and the marker of its norm, which is open, and the residual's
    stroke; with a residual alone all three are the residual's.
    """
    names = [name for name in (norm, residual) if name != "none"] or ["plain"]
    colour = remedy_colour(names[0])
    return {
        "color": colour,
        "linestyle": REMEDY_STROKES.get(names[-1].partition("(")[0], "-."),
        "marker": remedy_marker(names[0]),
        "markerfacecolor": BACKGROUND if len(names) > 1 else colour,
    }


def _of(colours: dict[str, str], label: str) -> str:
    """The colour of a part, whatever its parameters are; of a part of the user's by its label."""
    return colours.get(label.partition("(")[0]) or PALETTE[_hash(label) % len(PALETTE)]


def _of_hash(label: str) -> str:
    """A marker for a part that has none of its own, such as a user's."""
    return MORE_MARKERS[_hash(label) % len(MORE_MARKERS)]


def norm_marker(name: str) -> str:
    """The marker of a norm, the same in every figure of every study."""
    kind, known = name.partition("(")[0], [norm for norm in NORMS if norm not in MARKERS]
    place = known.index(kind) if kind in known else _hash(name)
    return MARKERS.get(name) or MORE_MARKERS[place % len(MORE_MARKERS)]


def ordered(labels: Iterable[str]) -> list[str]:
    """The different ``labels``, activations in the order of their registry, others behind."""
    known = {name: place for place, name in enumerate(ACTIVATIONS)}
    return sorted(set(labels), key=lambda label: (known.get(label, len(known)), label))


def _hash(label: str) -> int:
    return int(hashlib.sha256(label.encode()).hexdigest(), 16)


@styled
def nothing(what: str) -> Figure:
    """A figure that says what is missing, where a study has no data for one."""
    blank = figure(1.2)
    blank.text(0.5, 0.5, what, ha="center", va="center", wrap=True)
    return blank


def update_axis(axes: Axes, steps: Iterable[float]) -> None:
    """An x axis of updates made: 0, which is before the first one, and then by powers of ten."""
    last = max(steps, default=1)
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    axes.set_xlim(-0.2, 1.25 * max(last, 1))
    axes.xaxis.set_major_locator(
        FixedLocator([0, *(10.0**n for n in range(int(np.log10(last)) + 1))])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], gap: float = 1.25) -> None:
    """Names at the right of ``axes``, at heights y in data, moved apart where they would overlap.

    ``ends`` holds (y, name, colour); a hair line leads from a height to its name.
    """
    if not ends:
        return
    axes.figure.draw_without_rendering()  # settles limits and sizes
    height = axes.get_window_extent().height / axes.figure.dpi * 72
    ends = sorted(ends, key=lambda end: end[0])
    heights = [(1, y) for y, *_ in ends]  # 1: a log axis has no 0
    inside = (axes.transData - axes.transAxes).transform(heights)[:, 1]
    wanted = np.clip(inside, 0, 1)
    places = _apart(wanted, gap * SIZE / height)
    for at, place, (_, name, colour) in zip(wanted, places, ends, strict=True):
        axes.annotate(
            name, (1, at), (12, (place - at) * height), xycoords="axes fraction",
            textcoords="offset points", color=colour, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4,
                        "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 1},
        )  # fmt: skip


def _apart(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Sorted heights at least ``gap`` apart, nearest to the ``wanted`` ones in least squares.

    Heights less their rank times the gap need only rise: neighbours that fall are pooled.
    """
    groups: list[list[float]] = []
    for rank, height in enumerate(wanted):
        groups.append([height - rank * gap])
        while len(groups) > 1 and np.mean(groups[-2]) >= np.mean(groups[-1]):
            fallen = groups.pop()
            groups[-1] += fallen
    level = np.concatenate([np.full(len(group), np.mean(group)) for group in groups])
    return level + gap * np.arange(len(wanted))


def marker_sizes(count: int) -> np.ndarray:
    """Sizes for as many series, from large to small: where points coincide, all remain visible."""
    return np.linspace(4.2, 2.0, count) if count > 1 else np.array([3.0])


def interval(
    axes: Axes, x: object, points: pd.DataFrame, *,
    within: tuple[float, float] = (-np.inf, np.inf), **look: object,
) -> None:  # fmt: skip
    """Points with their intervals: the columns value, low, high of ``points`` at ``x``.

    An interval is drawn as far as the quantity itself can reach, which is ``within``.
    """
    value = points["value"].to_numpy(float)
    low, high = (np.clip(points[name].to_numpy(float), *within) for name in ("low", "high"))
    error = np.nan_to_num(np.maximum([value - low, high - value], 0))
    axes.errorbar(x, value, error, **{"linestyle": "none", "elinewidth": 0.7, **look})


def bars(axes: Axes, x: object, points: pd.DataFrame, **look: object) -> None:
    """The intervals alone, from ``low`` to ``high`` of ``points`` at ``x``: all are one path."""
    ends = points[["low", "high"]].to_numpy(float)
    heights = np.column_stack([ends, np.full(len(ends), np.nan)]).ravel()
    axes.plot(np.repeat(np.asarray(x, float), 3), heights, **{"linewidth": 0.7, **look})


@dataclass(frozen=True)
class Saved:
    """A figure on disk; a notebook shows it in the colours of paper."""

    path: Path

    def _repr_svg_(self) -> str:
        svg = self.path.read_text(encoding="utf-8")
        for sentinel, colour in ON_PAPER.items():
            svg = svg.replace(sentinel, colour)
        return svg


def save(drawn: Figure, path: str | Path, data: pd.DataFrame) -> Saved:
    """Write a figure as SVG to ``path``, and the ``data`` that it shows as CSV beside it.

    Among the results of a study that lacks runs it says so below itself.
    """
    path, buffer = Path(path), io.StringIO()
    with mpl.rc_context(rc()):
        drawn.savefig(buffer, format="svg", metadata={"Date": None})
        svg = stamped(buffer.getvalue(), missing(path), BACKGROUND)
    table = data.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_text(path.with_suffix(".csv"), table)
    write_text(path, svg)
    return Saved(path)
