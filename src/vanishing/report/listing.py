"""The catalogue of parts as plain text, in aligned columns for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from .catalogue import COLUMNS, NOTES, NOTHING, REGISTRIES, Row, plain, rows

GAP = 2  # spaces between columns


def text(kind: str | None = None, family: str | None = None, width: int = 110) -> str:
    """The parts of a kind, or of all, in aligned columns of a terminal ``width`` wide."""
    kinds = REGISTRIES if kind is None else [kind]
    return "\n\n".join(_as_text(k, rows(k, family), width) for k in kinds)


def _as_text(kind: str, found: list[Row], width: int) -> str:
    numbers = [column.text for column in COLUMNS.get(kind, [])]
    head = [kind, "formula", "source", *numbers, "combines with"]
    lines = [
        [row.name, row.formula, row.source or NOTHING, *map(plain, row.numbers), row.combines]
        for row in found
    ]
    widths = _widths([head, *lines], width)
    rule = ["─" * n for n in widths]
    written = [_wrapped(line, widths, len(numbers)) for line in [head, rule, *lines]]
    return "\n".join([*written, *textwrap.wrap(NOTES.get(kind, ""), width)])


def _widths(lines: list[list[str]], width: int) -> list[int]:
    """Names up to 23 and sources up to 20 wide; formulas get twice what is left for the last."""
    longest = [max(map(len, column)) for column in zip(*lines, strict=True)]
    longest[0], longest[2] = min(23, longest[0]), min(20, longest[2])
    left = width - sum(longest) + longest[1] + longest[-1] - GAP * (len(longest) - 1)
    longest[-1] = min(longest[-1], max(left // 3, left - longest[1]))
    longest[1] = min(longest[1], left - longest[-1])
    return longest


def _wrapped(cells: Sequence[str], widths: list[int], numbers: int) -> str:
    """One row, over as many lines as its longest cell takes; numbers stand to the right."""
    wrapped = [_lines(cell, w) for cell, w in zip(cells, widths, strict=True)]
    height = max(map(len, wrapped))
    lines = []
    for n in range(height):
        parts = [cell[n] if n < len(cell) else "" for cell in wrapped]
        padded = [
            part.rjust(w) if 3 <= i < 3 + numbers else part.ljust(w)
            for i, (part, w) in enumerate(zip(parts, widths, strict=True))
        ]
        lines.append((" " * GAP).join(padded).rstrip())
    return "\n".join(lines)


def _lines(cell: str, width: int) -> list[str]:
    """``cell`` in lines of at most ``width``; a signature may break behind its bracket too."""
    if len(cell) > width:
        cell = re.sub(r"(?<=\w\()(?=\w+=)", " ", cell)
    found = textwrap.wrap(cell, width, break_on_hyphens=False)
    return [re.sub(r"(\w\() (?=\w+=)", r"\1", line) for line in found] or [""]
