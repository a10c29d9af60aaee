"""Where each number of the paper comes from: an entry a fact, with a link to the rows behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..tables import LEDGER, RUNS, TABLES
from .facts import anchor, asks, escaped, formatted, number, printed, used

if TYPE_CHECKING:
    import pandas as pd

ABOVE = Path("..")  # the study's folder, seen from the page
NONE = "*No number of this text comes from a fact.*"


def section(text: str, facts: Mapping[str, Mapping], results: Path) -> str:
    """An entry for every fact that ``text`` (Markdown, not yet bound) prints, by first use."""
    uses: dict[str, bool] = {}
    for name, linked in printed(text, facts):
        uses[name] = linked or uses.get(name, False)
    to = Links(results, explorer=asks(text, "explorer"), claims=asks(text, "claims"))
    entries = [_entry(name, facts[name], linked, to) for name, linked in uses.items()]
    return "\n\n".join(["::: {.numbers}", *entries, ":::"]) if entries else NONE


def _entry(name: str, fact: Mapping, linked: bool, to: Links) -> str:
    """An item of a definition list: the name, then value, query and links."""
    unit = ["unit"] if fact["unit"] not in ("", "1") else []
    shown = escaped(formatted(fact, ["value", *unit, "interval"]))
    links = [to.rows(fact["rows"], fact["query"])] if fact.get("rows") else []
    links += [f"[in the text](#{used(name)})"] if linked else []
    said = f"[{shown}]{{.value}} {escaped(fact['query'])}"
    behind = f" · [{' · '.join(links)}]{{.rows}}" if links else ""
    return f"[`{name}`]{{#{anchor(name)}}}\n:   {said}{behind}"


@dataclass(frozen=True)
class Links:
    """Where on the page, or beside it, the rows of a fact can be seen."""

    results: Path
    explorer: bool  # the page has the explorer of runs
    claims: bool  # the page has a section a claim
    columns: dict[str, pd.Series] = field(default_factory=dict)  # of the runs, read once

    def rows(self, rows: Mapping, query: str) -> str:
        """A link to ``rows``, as facts.json has them; their levels, where the query lacks them."""
        from ..analysis.fact_rows import words  # brings pandas

        table, where = rows["table"], rows["where"]
        if table == LEDGER.name and self.claims and len(where.get("claim", ())) == 1:
            return f"[claim {where['claim'][0]}](#claim-{where['claim'][0]})"
        count = self._count(where) if table == RUNS.name else None
        said = f"rows of {table}" if count is None else _runs(count)
        if count is not None and self.explorer:
            return f"[{said}](#{explored(where)})"
        there = words(where)
        told = "" if there in query or not where else f" {escaped(there)}"
        return f"[{said}]({_beside(table)}){told}"

    def _count(self, where: Mapping[str, Sequence]) -> int:
        keep = True
        for name, levels in where.items():
            keep &= self._column(name).isin(levels)
        ids = self._column("run_id")
        return int((ids if keep is True else ids[keep]).nunique())

    def _column(self, name: str) -> pd.Series:
        from ..analysis.finished import path_of

        if name not in self.columns:
            self.columns[name] = RUNS.read(path_of(self.results, RUNS), [name])[name]
        return self.columns[name]


def _runs(count: int) -> str:
    return "the run" if count == 1 else f"the {number(count)} runs"


def _beside(table: str) -> str:
    from ..analysis.finished import path_of

    return path_of(ABOVE, TABLES[table]).as_posix()


def explored(where: Mapping[str, Sequence]) -> str:
    """What the page's address says, behind ``#``, to show the runs that have these levels.

    >>> explored({"battery": ["signal"], "init": ["gaussian(sigma_w=1)", "he"], "depth": [10.0]})
    'runs?battery=signal&init=gaussian%28sigma_w%3D1%29,he&depth=10'
    """
    filters = [f"{name}={','.join(map(_level, levels))}" for name, levels in where.items()]
    return "runs" + ("?" + "&".join(filters) if filters else "")


def _level(level: object) -> str:
    """As JavaScript prints it, to be compared as text; nothing for what is missing."""
    if level is None:
        return ""
    whole = isinstance(level, float) and level.is_integer()
    return quote(str(int(level) if whole else level), safe="")
