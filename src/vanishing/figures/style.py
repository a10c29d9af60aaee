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

from ..parts.activations import ACTIVATIONS
from ..parts.norms import NORMS
from ..table import write_text

TEXT, GRID, BACKGROUND = "#010203", "#040506", "#070809"
ON_PAPER = {TEXT: "#1c1c1e", GRID: "#d8d8dc", BACKGROUND: "#ffffff"}
WIDTH = 6.3  # inches: 160 mm, the width of the paper's text
PALETTE = ("#808080", "#d55e00", "#0072b2", "#009e73", "#b87700", "#b25aa0", "#8c6239", "#d1416f",
           "#5b8c1a", "#6f6bd1", "#dd3bf3", "#f0253b", "#f532b3", "#de715b", "#7154ef", "#309fa6",
           "#606828", "#a15b6a", "#9a88b8", "#9c932b", "#6396b9", "#2ba63c", "#b04a2f")  # fmt: skip
# What else has a colour of its own: such as the first activations of the palette do not have.
CELLS = {"lstm": "#d1416f", "gru": "#7154ef", "minimal_gated": "#8c6239", "leaky": "#5b8c1a",
         "skip": "#309fa6"}  # fmt: skip
GAMES = {"saturating": "#f0253b", "non_saturating": "#dd3bf3", "least_squares": "#9c932b",
         "hinge": "#2ba63c", "wgan": "#a15b6a", "wgan_gp": "#6396b9"}  # fmt: skip
CONDITIONS = {"torch_default": "#de715b", "orthogonal": "#606828"}  # in grey: light and dark
CONDITION_MARKERS = {"torch_default": "o", "orthogonal": "s"}
MARKERS = {"none": "o", "batch": "s", "layer": "^"}
MORE_MARKERS = "DvP*Xh"
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


def figure(height: float) -> Figure:
    """An empty figure of the text's width and ``height`` inches, apart from any window."""
    # At a low resolution letters are measured narrower than an SVG draws them.
    return Figure(figsize=(WIDTH, height), layout="constrained", dpi=288)


def activation_colour(label: str) -> str:
    """The colour of an activation, the same in every figure of every study.

    Registered ones take the palette in their order, others by a hash of their label.
    """
    known = list(ACTIVATIONS)
    return PALETTE[(known.index(label) if label in known else _hash(label)) % len(PALETTE)]


def cell_colour(recurrence: str, activation: str) -> str:
    """The colour of a recurrent cell; a vanilla one, which is all activation, has that one's."""
    return activation_colour(activation) if recurrence == "vanilla" else _of(CELLS, recurrence)


def game_colour(label: str) -> str:
    """The colour of a GAN's game, the same in every figure of every study."""
    return _of(GAMES, label)


def condition_colour(init: str) -> str:
    """The colour of an init where networks of the same kind differ in it alone."""
    return _of(CONDITIONS, init)


def condition_marker(init: str) -> str:
    """The marker of an init where networks of the same kind differ in it alone."""
    known = CONDITION_MARKERS.get(init.partition("(")[0])
    return known or MORE_MARKERS[_hash(init) % len(MORE_MARKERS)]


def _of(colours: dict[str, str], label: str) -> str:
    """The colour of a part, whatever its parameters are; of a part of the user's by its label."""
    return colours.get(label.partition("(")[0]) or PALETTE[_hash(label) % len(PALETTE)]


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
    """Write a figure as SVG to ``path``, and the ``data`` that it shows as CSV beside it."""
    path, buffer = Path(path), io.StringIO()
    with mpl.rc_context(rc()):
        drawn.savefig(buffer, format="svg", metadata={"Date": None})
    table = data.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_text(path.with_suffix(".csv"), table)
    write_text(path, buffer.getvalue())
    return Saved(path)
