"""Markdown that generated text is made of: pipe tables, and cells that do not break them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NONE = "*none*"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """A pipe table; ``align`` has a letter a column, ``l`` or ``r``."""
    rules = [{"l": ":---", "r": "---:"}[side] for side in align]
    lines = [head, rules, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(text: str) -> str:
    """Markdown of one line that no pipe cuts."""
    return " ".join(str(text).split()).replace("|", "\\|")
