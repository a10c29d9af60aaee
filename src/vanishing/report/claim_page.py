"""``vanishing claim C06``: a claim's page as text, from its words down to the runs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import UserError
from .claim_record import Record, behind, concluded, estimate, p_value, registered, said
from .facts import number

if TYPE_CHECKING:
    import pandas as pd

LABEL = 14  # letters of the column of labels
INDENT = 2


def run_ids(found: Record) -> str:
    """The ids of the runs that the verdict rests on, one a line."""
    if not found.runs and found.verdict["done"]:
        raise UserError(
            f"{found.results} does not say which runs its verdicts rest on: "
            f"`vanishing judge {found.results}` writes claims/evidence.parquet."
        )
    return "\n".join(found.runs)


def page(found: Record, width: int) -> str:
    """The whole page, in lines of at most ``width`` letters, tables aside."""
    blocks = [_head(found, width), _lines(said(found), width)]
    if found.claim.primary:
        blocks.append(_titled("Registered test", _lines(registered(found.claim.primary), width)))
    verdict = [("verdict", found.verdict["verdict"]), *concluded(found)]
    blocks.append(_titled("Verdict", _lines(verdict, width)))
    blocks += [_titled(title, rows) for title, rows in _tables(found) if rows]
    blocks.append(_titled("Behind it", _lines(_behind(found), width)))
    return "\n\n".join(blocks)


def _head(found: Record, width: int) -> str:
    statement = " ".join(found.claim.statement.split())
    head = f"{found.claim.id}  {found.verdict['verdict']}"
    return "\n".join([head, *textwrap.wrap(statement, width)])


def _tables(found: Record) -> list[tuple[str, str]]:
    kinds = (
        ("Other specifications", found.specifications, "specification", None),
        ("Strata (intervals hold all at once)", found.strata, "stratum", None),
        ("Secondary analyses (exploratory)", found.secondary, "stratum", "p_bh"),
    )
    return [(title, _aligned(*_rows(part, name, p))) for title, part, name, p in kinds if len(part)]


def _rows(part: pd.DataFrame, name: str, p: str | None) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table; ``p``: the column of the corrected p, if it is shown."""
    head = ["", "value", "95 % interval", "n", *(["p (B.–H.)"] if p else []), "verdict"]
    rows = [
        [getattr(row, name), *estimate(row), number(row.n)]
        + ([p_value(getattr(row, p))] if p else [])
        + [row.verdict]
        for row in part.itertuples()
    ]
    return head, rows


def _behind(found: Record) -> list[tuple[str, str]]:
    row = found.verdict
    counts = f"{number(row['done'])} of {number(row['planned'])} planned"
    figures = ", ".join(map(str, found.figures()))
    lines = [("figure", figures), ("runs", behind(found))]
    if row["planned"]:
        lines += [("done", f"{counts}; of these diverged {number(row['diverged'])}")]
    if found.runs:
        lines.append(
            ("every run", f"vanishing claim {found.claim.id} --results {found.results} --runs")
        )
    return lines


def _titled(title: str, body: str) -> str:
    return f"{title}\n{body}"


def _lines(pairs: Iterable[tuple[str, str]], width: int) -> str:
    """Labels, and beside them what they say, wrapped; a label without anything is left out."""
    lines = []
    for label, text in pairs:
        lines += textwrap.wrap(
            re.sub("[ \n]+", " ", str(text)).strip(),  # and not at spaces that do not break
            width,
            initial_indent=" " * INDENT + label.ljust(LABEL),
            subsequent_indent=" " * (INDENT + LABEL),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be: names and verdicts to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    last = len(head) - 1
    return "\n".join(
        " " * INDENT
        + "  ".join(
            cell.ljust(width) if at in (0, last) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )
