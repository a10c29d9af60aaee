"""The workflow's rule graph as a figure, drawn from Snakemake's ``--rulegraph dot``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from ..errors import UserError
from ..files import write_text
from .svg import GRID, TEXT

BOX, GAP = (104, 26), (22, 30)  # width and height, in points

Edges = set[tuple[str, str]]


def write(dot: Path, out: Path) -> None:
    """Draw the rule graph in the file ``dot`` into the SVG file ``out``."""
    write_text(out, draw(Path(dot).read_text(encoding="utf-8")))


def draw(dot: str) -> str:
    """An SVG picture of a rule graph: one box a rule, data flowing down."""
    names, edges = _parsed(dot)
    edges = _reduced(edges)
    rows = _ordered(_layers(names, edges), edges)
    place = _placed(rows)
    width = max(x for x, _ in place.values()) + BOX[0] / 2 + 1
    height = len(rows) * (BOX[1] + GAP[1]) - GAP[1] + 2
    lines = [_edge(place[a], place[b]) for a, b in sorted(edges)]
    boxes = [_box(names[node], *place[node]) for node in sorted(place)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}pt" height="{height:g}pt">\n' + "\n".join(lines + boxes) + "\n</svg>\n"
    )


def _parsed(dot: str) -> tuple[dict[str, str], Edges]:
    """Rule by node, and the edges, without the rule ``all`` that only collects."""
    names = dict(re.findall(r'^\s*(\w+)\s*\[\s*label\s*=\s*"([^"\\]+)', dot, re.M))
    edges = set(re.findall(r"^\s*(\w+)\s*->\s*(\w+)", dot, re.M))
    if not names:
        raise UserError("the rule graph names no rules: make it by `snakemake --rulegraph dot`")
    names = {node: name for node, name in names.items() if name != "all"} or names
    return names, {(a, b) for a, b in edges if a in names and b in names and a != b}


def _reduced(edges: Edges) -> Edges:
    """The edges that no longer way already implies."""
    after: dict[str, set[str]] = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)

    def reach(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            new = after.get(todo.pop(), set()) - seen
            seen |= new
            todo += new
        return seen

    return {(a, b) for a, b in edges if not any(b in reach(c) for c in after[a] - {b})}


def _layers(names: Mapping[str, str], edges: Edges) -> dict[str, int]:
    """For every node the length of the longest way that leads to it."""
    layer = dict.fromkeys(names, 0)
    for _ in names:
        for a, b in edges:
            layer[b] = max(layer[b], layer[a] + 1)
    return layer


def _ordered(layer: Mapping[str, int], edges: Edges) -> list[list[str]]:
    """The rows, each node near the mean place of those before it."""
    rows: list[list[str]] = []
    for depth in range(max(layer.values()) + 1):
        place = {n: i / max(1, len(row) - 1) for row in rows for i, n in enumerate(row)}

        def mean(node: str, place: dict = place) -> tuple[float, str]:
            before = [place[a] for a, b in edges if b == node]
            return (sum(before) / len(before) if before else 0.5, node)

        rows.append(sorted((n for n in layer if layer[n] == depth), key=mean))
    return rows


def _placed(rows: list[list[str]]) -> dict[str, tuple[float, float]]:
    """The centre of every box, rows centred."""
    step = BOX[0] + GAP[0]
    widest = max(map(len, rows))
    return {
        node: (
            1 + BOX[0] / 2 + (column + (widest - len(row)) / 2) * step,
            1 + BOX[1] / 2 + number * (BOX[1] + GAP[1]),
        )
        for number, row in enumerate(rows)
        for column, node in enumerate(row)
    }


def _edge(a: tuple[float, float], b: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = (a[0], a[1] + BOX[1] / 2), (b[0], b[1] - BOX[1] / 2)
    bend = (y2 - y1) / 2
    tip = f"M{x2 - 3:g} {y2 - 6:g}L{x2:g} {y2:g}L{x2 + 3:g} {y2 - 6:g}"
    curve = f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}{tip}"
    return f'<path style="fill:none;stroke:{TEXT};stroke-width:0.8" d="{curve}"/>'


def _box(name: str, x: float, y: float) -> str:
    corner = f'x="{x - BOX[0] / 2:g}" y="{y - BOX[1] / 2:g}" width="{BOX[0]}" height="{BOX[1]}"'
    return (
        f'<rect {corner} rx="4" style="fill:{GRID};stroke:{TEXT};stroke-width:0.6"/>'
        f'<text x="{x:g}" y="{y + 3.5:g}" text-anchor="middle" style="fill:{TEXT};'
        f"font-family:'Libertinus Serif',serif;font-size:11px\">{escape(name)}</text>"
    )
