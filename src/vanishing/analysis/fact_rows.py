"""Which rows a fact rests on: a table of the study, and the levels that its rows have there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ..tables import RUNS
from .study_tables import Tables

SHOWN = 6  # levels of a column; more are counted
JUDGED = ("judged",)

Where = Mapping[str, Sequence]  # the levels of which a row has one, by column


def rows(table: str, where: Where) -> dict:
    """The rows of a fact as facts.json has them; no ``where`` means the whole table."""
    return {"table": table, "where": {name: _plain(levels) for name, levels in where.items()}}


def levels(column: pd.Series) -> list:
    """The levels of a column in their order, as JSON has them."""
    return sorted(_plain(column.dropna().unique()))


def _plain(found: Iterable) -> list:
    return [level.item() if hasattr(level, "item") else level for level in found]


def taken(data: pd.DataFrame, where: Where) -> pd.DataFrame:
    """The rows of ``data`` that have one of the levels in every column of ``where``."""
    keep = pd.Series(True, index=data.index)
    for name, found in where.items():
        keep &= data[name].isin(list(found))
    return data[keep]


def words(where: Where) -> str:
    """What the rows have in common, in words.

    >>> words({"battery": ["signal"], "depth": [10, 20]}), words({})
    ('battery signal, depth 10 or 20', 'all')
    """
    return ", ".join(f"{name} {_any(found)}" for name, found in where.items()) or "all"


def _any(found: Sequence) -> str:
    if len(found) > SHOWN:
        return f"one of {len(found)} levels"
    return " or ".join(map(str, found)) or "of no level"


@dataclass(frozen=True)
class Selection:
    """Some runs of a study, and the levels that tell them from all others."""

    tables: Tables
    where: Where
    also: str = ""  # what no level of a run says

    @property
    def runs(self) -> pd.DataFrame:
        """Their rows of the table of runs."""
        return self.tables.runs

    @property
    def rows(self) -> dict:
        """These rows as facts.json has them."""
        return rows(RUNS.name, self.where)

    @property
    def query(self) -> str:
        """What they are, in words."""
        return words(self.where) + (f", {self.also}" if self.also else "")

    def at(self, **more: object) -> Selection:
        """Those of them at these levels, one a column.

        A part is taken at its defaults, and where the runs have it with other parameters alone,
        with those.
        """
        where = dict(self.where)
        keep = pd.Series(True, index=self.runs.index)
        for name, level in more.items():
            where[name] = _named(self.runs.loc[keep, name], level)
            keep &= self.runs[name].isin(where[name])
        runs = self.runs[keep].reset_index(drop=True)
        return replace(self, tables=replace(self.tables, runs=runs), where=where)


def _named(column: pd.Series, level: object) -> list:
    there = column.unique()
    if level in there:
        return [level]
    return [label for label in sorted(there) if str(label).partition("(")[0] == level] or [level]


def selected(tables: Tables, batteries: str | Sequence[str], **more: object) -> Selection:
    """The judged runs of a battery, or of several, at these levels (see :meth:`Selection.at`)."""
    names = [batteries] if isinstance(batteries, str) else list(batteries)
    where = {"battery": names, "split": list(JUDGED)}
    runs = taken(tables.runs, where).reset_index(drop=True)
    return Selection(replace(tables, runs=runs), where).at(**more)
