"""Where two versions of the same runs' rows differ, and by how much."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..table import Column, Table

# Columns that say nothing of a run's numbers: where it was trained, and beside what.
NOT_OF_THE_NUMBERS = ("seconds", "device", "cohort")
ROWS = "(rows)"  # stands for a column where one of the two lacks a row


def differences(
    table: Table, before: pd.DataFrame, after: pd.DataFrame, ignored: Iterable[str] = ()
) -> pd.DataFrame:
    """A row a run and column of both frames: whether equal to the bit, else the largest difference.

    ``table`` has ``run_id`` in its key. Columns: ``run_id``, ``column``, ``equal``, ``absolute``,
    ``relative`` (over the larger of the two). Both differences are infinite where only one has the
    value, or the row, and where two words differ.
    """
    key = list(table.key)
    a, b = before.set_index(key), after.set_index(key)
    rows = a.index.union(b.index)
    unmatched = ~(rows.isin(a.index) & rows.isin(b.index))
    a, b = a.reindex(rows), b.reindex(rows)
    skipped = {*key, *ignored}
    names = [n for n in table.columns if n in a and n in b and n not in skipped]
    found = {name: _difference(a[name], b[name], table.columns[name]) for name in names}
    found[ROWS] = (~unmatched, *[np.where(unmatched, np.inf, 0.0)] * 2)
    runs = rows.get_level_values("run_id")
    frames = [_by_run(runs, name, *values) for name, values in found.items()]
    return pd.concat(frames, ignore_index=True)


def _difference(
    a: pd.Series, b: pd.Series, column: Column
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each row: whether the two are equal, and how far they lie apart."""
    if column.dtype in ("string", "bool"):
        equal = ((a == b) | (a.isna() & b.isna())).to_numpy(bool)
        apart = np.where(equal, 0.0, np.inf)
        return equal, apart, apart
    # A float32 is the same float64 to the bit, and so is every count below 2^53.
    x, y = (s.to_numpy(np.float64, na_value=np.nan).copy() for s in (a, b))
    lacking = np.isnan(x), np.isnan(y)
    equal = (x.view(np.int64) == y.view(np.int64)) | (lacking[0] & lacking[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(x - y)
        relative = apart / np.maximum(np.abs(x), np.abs(y))
    apart[lacking[0] ^ lacking[1]] = relative[lacking[0] ^ lacking[1]] = np.inf
    same = equal | (apart == 0)  # 0 and -0 differ by a bit, and by nothing
    return equal, np.where(same, 0.0, apart), np.where(same, 0.0, relative)


def _by_run(
    runs: pd.Index, name: str, equal: np.ndarray, absolute: np.ndarray, relative: np.ndarray
) -> pd.DataFrame:
    rows = pd.DataFrame({"equal": equal, "absolute": absolute, "relative": relative})
    largest = {"equal": "min", "absolute": "max", "relative": "max"}
    found = rows.groupby(np.asarray(runs, dtype=object), sort=False).agg(largest)
    return found.rename_axis("run_id").reset_index().assign(column=name)
