"""A finished study's folder, read with an answer to what it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import UserError
from ..table import Table, provenance_of
from ..tables import OF_CLAIMS


def path_of(results: Path, table: Table) -> Path:
    """Where a study keeps a table."""
    folder = "claims" if table.name in OF_CLAIMS else "tables"
    return results / folder / f"{table.name}.parquet"


def json_of(results: Path, name: str) -> dict:
    """A JSON file of a study: ``plan.json``, ``claims/facts.json``."""
    path = _there(results, results / name)
    return json.loads(path.read_text(encoding="utf-8"))


def stamp_of(results: Path, table: Table) -> dict:
    """The provenance of a table of a study."""
    return provenance_of(_there(results, path_of(results, table)))


def columns_of(results: Path, table: Table) -> list[str]:
    """The columns that a study's table has, which may be those of another version."""
    path = _there(results, path_of(results, table))
    try:
        return pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is no table ({error}): delete it, and make the study again."
        ) from None


def table_of(
    results: Path, table: Table, columns: Iterable[str] = (), where: pc.Expression | None = None
) -> pd.DataFrame:
    """A study's table, some of its columns, or its rows ``where``, whatever else the file has."""
    wanted = list(columns or table.columns)
    there = columns_of(results, table)
    if lacking := [name for name in wanted if name not in there]:
        commit = stamp_of(results, table).get("commit") or "unknown"
        raise UserError(
            f"{path_of(results, table)} was written by another version of vanishing (commit "
            f"{commit}) and lacks the columns {lacking}: run `vanishing study` on its config to "
            "make it anew, or use the code of that commit."
        )
    return table.read(path_of(results, table), wanted, where)


def _there(results: Path, path: Path) -> Path:
    if not results.is_dir():
        raise UserError(f"there is no folder {results}: give the folder of a study, results/<name>")
    if not path.exists():
        raise UserError(f"there is no {path}: finish the study first (`vanishing study`)")
    return path
