"""What a table is: declared columns that writers and readers check, written whole or not at all."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import arrow
from .errors import UserError
from .files import atomic
from .lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pandas._typing import ArrayLike
else:
    np = Lazy("numpy")
    pd = Lazy("pandas")
    pa = Lazy("pyarrow")
    pq = Lazy("pyarrow.parquet")

GROUP = 2**16  # rows that a writer holds before they go to disk: tens of megabytes at most


@dataclass(frozen=True)
class Column:
    """A column: its type (``string``, ``int64``, ``float64``, ``float32``, ``bool``) and sense."""

    dtype: str
    unit: str
    meaning: str
    null: str = ""  # what a missing value means; a column without it has none

    @property
    def arrow(self) -> pa.DataType:
        """The type on disk; strings repeat in long tables, so they are dictionary-encoded."""
        if self.dtype == "string":
            return pa.dictionary(pa.int32(), pa.string())
        return {"bool": pa.bool_()}.get(self.dtype) or pa.type_for_alias(self.dtype)

    @property
    def pandas(self) -> str:
        """The type in a data frame where nothing is missing that may not be."""
        nullable = self.dtype == "int64" and self.null
        return {"string": "str"}.get(self.dtype) or ("Int64" if nullable else self.dtype)


@dataclass(frozen=True)
class Table:
    """A declared table: :meth:`frame` builds one, :meth:`check` refuses what differs from it."""

    name: str
    row: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]

    def without(self, *names: str) -> Table:
        """The same table before the columns ``names`` are known (a cohort's log, say)."""
        rest = {name: column for name, column in self.columns.items() if name not in names}
        key = tuple(name for name in self.key if name not in names)
        return Table(self.name, self.row, key, rest)

    @property
    def signature(self) -> str:
        """Changes when a file of this table can no longer be read as it: names and types."""
        return " ".join(f"{name}:{column.dtype}" for name, column in self.columns.items())

    def schema(self) -> pa.Schema:
        """The enforced Arrow schema."""
        return self._schema

    @functools.cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema(
            [
                pa.field(name, column.arrow, nullable=bool(column.null))
                for name, column in self.columns.items()
            ]
        )

    def frame(
        self, rows: Iterable[Mapping] | Mapping[str, Iterable] | pd.DataFrame
    ) -> pd.DataFrame:
        """A checked data frame with this table's columns, in its order and types."""
        if isinstance(rows, Mapping) and all(isinstance(v, np.ndarray) for v in rows.values()):
            there = rows
        else:
            whole = isinstance(rows, Mapping | pd.DataFrame)
            there = dict(pd.DataFrame(rows if whole else list(rows)).items())
        if not any(map(len, there.values())):
            nothing = {n: pd.array([], dtype=c.pandas) for n, c in self.columns.items()}
            return pd.DataFrame(nothing)
        self._refuse_other_columns(there)
        typed = {name: _typed(there[name], column) for name, column in self.columns.items()}
        return self.check(pd.DataFrame(typed))

    def check(self, data: pd.DataFrame) -> pd.DataFrame:
        """``data`` itself, if it is this table; else a :class:`UserError` on what differs."""
        self._refuse_other_columns(data.columns)
        missing = data.isna().any()
        for name, dtype, lacks in zip(data.columns, data.dtypes, missing, strict=True):
            column = self.columns[name]
            if lacks and not column.null:
                raise _missing(self.name, name)
            if column.dtype != "string" and str(dtype).lower() != column.dtype:
                raise UserError(
                    f"table {self.name!r}: column {name!r} is {dtype}, and must be {column.dtype}"
                )
        if len(data):
            self._refuse_twice(data)
        return data

    def _refuse_twice(self, data: pd.DataFrame) -> None:
        twice = data.duplicated(list(self.key))
        if twice.any():
            first = data.loc[twice, list(self.key)].iloc[0].to_dict()
            raise UserError(f"table {self.name!r}: more than one row has the key {first}")

    def _refuse_other_columns(self, there: Iterable) -> None:
        missing = [name for name in self.columns if name not in there]
        unknown = [str(name) for name in there if name not in self.columns]
        if missing or unknown:
            raise UserError(
                f"table {self.name!r}: missing columns {missing}, unknown columns {unknown}"
            )

    def write(
        self,
        data: pd.DataFrame,
        path: Path,
        provenance: Mapping | None = None,
        checked: bool = False,
        durable: bool = True,
    ) -> None:
        """Write ``data`` to ``path`` at once or not at all, with its provenance in the metadata.

        It is ``checked`` where :meth:`frame` has just made it, and ``durable`` as :class:`atomic`.
        """
        schema, there = self.schema(), len(data if checked else self.check(data)) > 0
        table = self._in_arrow(data, schema) if there else None
        with self.writer(path, provenance, durable) as parts:
            if table:
                parts.add(table)

    @staticmethod
    def _in_arrow(data: pd.DataFrame, schema: pa.Schema) -> pa.Table:
        """Column by column: a conversion of the whole looks at every name several times."""
        columns = [pa.array(data[field.name], field.type, from_pandas=True) for field in schema]
        return pa.Table.from_arrays(columns, schema=schema)

    @contextmanager
    def writer(
        self, path: Path, provenance: Mapping | None = None, durable: bool = True
    ) -> Iterator[Writer]:
        """Writes part by part, each checked by :meth:`load`: at ``path`` at the end, or not at all.

        Keys are the caller's to keep apart: two parts are not compared with each other.
        """
        stamp = {"table": self.name, "provenance": json.dumps(provenance or {}, sort_keys=True)}
        schema = self.schema().with_metadata(stamp)
        with (
            atomic(path, durable) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd", **_encodings(schema)) as file,
        ):
            parts = Writer(file)
            yield parts
            parts.flush()

    def load(self, path: Path) -> pa.Table:
        """The table at ``path`` as Arrow has it, checked: for what only passes through."""
        table = self._open(path, lambda: arrow.whole(path))
        try:
            return self._conforming(table)
        except (UserError, pa.ArrowException) as error:
            raise UserError(
                f"{path} is no table {self.name!r} of this version of vanishing ({error}). "
                "Delete it and start again: it will be made anew."
            ) from None

    def _conforming(self, table: pa.Table) -> pa.Table:
        self._refuse_other_columns(table.column_names)
        if not len(table):
            return self.schema().empty_table()
        for name, column in self.columns.items():
            if not column.null and arrow.lacks(table[name]):
                raise _missing(self.name, name)
        table = table.replace_schema_metadata(None)
        if not table.schema.equals(self.schema()):
            table = table.select(list(self.columns)).cast(self.schema())
        if not arrow.all_differ([table[name] for name in self.key]):
            self._refuse_twice(table.select(list(self.key)).to_pandas())
        return table

    def _open(self, path: Path, read: Callable[[], pa.Table]) -> pa.Table:
        try:
            return read()
        except FileNotFoundError:
            raise UserError(f"no table at {path}: it has not been made yet") from None
        except (pa.ArrowException, OSError) as error:
            raise UserError(
                f"{path} cannot be read as the table {self.name!r} ({error}). "
                "Delete it and start again: it will be made anew."
            ) from None

    def read(
        self, path: Path, columns: list[str] | None = None, where: pc.Expression | None = None
    ) -> pd.DataFrame:
        """The table at ``path`` (or some columns, or the rows ``where`` something holds), checked.

        What is not asked for is not held in memory.
        """
        table = self._open(path, lambda: pq.read_table(path, columns=columns, filters=where))
        data = table.to_pandas(
            strings_to_categorical=False,
            types_mapper={pa.int64(): pd.Int64Dtype()}.get if self._has_null_integers() else None,
        )
        del table  # before the columns are copied into their types
        typed = {n: _typed(v, self.columns[n]) if n in self.columns else v for n, v in data.items()}
        data = pd.DataFrame(typed, copy=False)
        return data if columns else self.check(data)

    def _has_null_integers(self) -> bool:
        return any(c.null and c.dtype == "int64" for c in self.columns.values())


def _encodings(schema: pa.Schema) -> dict[str, list[str]]:
    """Keys by dictionary; numbers as they are, their bytes apart: three quarters of the size.

    Measured numbers hardly ever repeat, and those of a column share their exponents' bytes.
    """
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    others = [name for name in schema.names if name not in floats]
    return {"use_dictionary": others, "use_byte_stream_split": floats}


class Writer:
    """Rows on their way into a file: held until they fill a row group, and then let go."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self.file = file
        self.held: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        """Rows below those that were added before."""
        if len(rows):
            self.held.append(rows)
        if sum(map(len, self.held)) >= GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        rows = pa.concat_tables(self.held).unify_dictionaries() if self.held else []
        if len(rows):
            self.file.write_table(rows.combine_chunks(), row_group_size=2 * GROUP)
        self.held = []


def provenance_of(path: Path) -> dict:
    """The provenance that :meth:`Table.write` put into the file at ``path``."""
    return json.loads((pq.read_schema(path).metadata or {}).get(b"provenance", b"{}"))


def _missing(table: str, column: str) -> UserError:
    return UserError(f"table {table!r}: column {column!r} may hold no missing value")


def _typed(values: pd.Series | np.ndarray, column: Column) -> pd.Series | ArrayLike:
    if isinstance(values, np.ndarray):
        # As a series only where it must be one: making these takes longer than all else.
        numbers = values.dtype.kind in ("if" if column.dtype.startswith("float") else "i")
        if numbers and column.pandas in ("float64", "float32", "int64"):
            return values.astype(column.dtype, copy=False)
        made = _typed(pd.Series(values), column)
        return made if made.dtype == object else made.array  # a frame would make strings of these
    if column.dtype == "string" and values.hasnans:
        return values.astype("object")
    if column.dtype.startswith("float") and values.dtype == object:
        values = pd.to_numeric(values)
    return values if values.dtype == column.pandas else values.astype(column.pandas)
