"""Figures in two worlds: three sentinel colours become CSS variables, or ink on white paper.

A figure is drawn with ``TEXT`` for text and axes, ``GRID`` for grid lines and ``BACKGROUND`` for
what lies behind; nothing else in it uses these colours.
"""

from __future__ import annotations

import re
from html import escape

TEXT, GRID, BACKGROUND = "#010203", "#040506", "#070809"
ON_PAPER = {TEXT: "#1c1c1e", GRID: "#d8d8dc", BACKGROUND: "#ffffff"}
ON_SCREEN = {TEXT: "var(--plot-text)", GRID: "var(--plot-grid)", BACKGROUND: "var(--plot-paper)"}


def for_paper(svg: str) -> str:
    """The figure as ink on white."""
    return _coloured(svg, ON_PAPER)


def for_screen(svg: str, name: str, alt: str) -> str:
    """The figure as an element of an HTML page that follows the page's colours.

    Its ids and its style sheet are made its own, so that figures on a page do not mix.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = _own_ids(svg, f"{name}-")
    svg = re.sub(r"(<style[^>]*>)\s*\*", rf"\1#plot-{name} *", svg)
    svg = re.sub(r"\b(fill|stroke|stop-color)=\"(#[0-9a-fA-F]{6})\"", _as_style, svg)
    svg = _coloured(svg, ON_SCREEN)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(?:width|height|role|aria-label|id|class)="[^"]*"', "", head)
    label = escape(alt, quote=True)
    return f'{head} id="plot-{name}" class="plot" role="img" aria-label="{label}">{rest}'


def _own_ids(svg: str, prefix: str) -> str:
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", svg)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', svg)


def _as_style(match: re.Match) -> str:
    """An attribute cannot hold a CSS variable, a style can; only sentinels need one."""
    return f'style="{match[1]}:{match[2]}"' if match[2].lower() in ON_SCREEN else match[0]


def _coloured(svg: str, colours: dict[str, str]) -> str:
    for sentinel, colour in colours.items():
        svg = re.sub(sentinel, colour, svg, flags=re.I)
    return svg
