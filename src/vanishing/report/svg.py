"""Figures in two worlds: three sentinel colours become CSS variables, or ink on white paper.

A figure is drawn with ``TEXT`` for text and axes, ``GRID`` for grid lines and ``BACKGROUND`` for
what lies behind; nothing else in it uses these colours.
"""

from __future__ import annotations

import re
from html import escape

from .svg_compact import Sheet, compact

TEXT, GRID, BACKGROUND = "#010203", "#040506", "#070809"
ON_PAPER = {TEXT: "#1c1c1e", GRID: "#d8d8dc", BACKGROUND: "#ffffff"}
ON_SCREEN = {TEXT: "var(--plot-text)", GRID: "var(--plot-grid)", BACKGROUND: "var(--plot-paper)"}


def for_paper(svg: str) -> str:
    """The figure as ink on white."""
    return _coloured(svg, ON_PAPER)


def for_screen(svg: str, name: str, alt: str, sheet: Sheet) -> str:
    """The figure as an element of an HTML page that follows the page's colours.

    What figures share (letters, words, styles) goes to the page's ``sheet``.
    """
    attributes, content = compact(_coloured(svg, ON_SCREEN), name, sheet)
    label = escape(alt, quote=True)
    head = f'<svg id="plot-{name}" class="plot" role="img" aria-label="{label}" {attributes}'
    return f"{head}>{content}</svg>"


def _coloured(svg: str, colours: dict[str, str]) -> str:
    for sentinel, colour in colours.items():
        svg = re.sub(sentinel, colour, svg, flags=re.I)
    return svg
