"""A table is what it is declared to be, on disk and in memory; writes are whole or not at all."""

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vanishing.engine.logs import _columns, below, stacked
from vanishing.errors import UserError
from vanishing.files import atomic, make_durable, write_text
from vanishing.table import provenance_of
from vanishing.tables import CURVES, LAGS, LEDGER, RUN_LOG, TABLES, data_dictionary

ROOT = Path(__file__).parents[1]
ROW = {"run_id": "a", "step": 0, "layer": 1, "lag": 1, "log10_delta_rms": -3.0}


@pytest.mark.parametrize("far", [1, 2**40])  # the latter makes too large a number of a row's key
def test_a_log_is_refused_only_where_a_whole_key_is_there_twice(tmp_path, far):
    path = tmp_path / "x.parquet"
    rows = [
        {**ROW, "run_id": run, "step": step, "lag": lag}
        for run in "ba" for step in (-far, 0, far) for lag in (0, far)
    ]  # fmt: skip
    LAGS.frame(rows).to_parquet(path, index=False)
    assert LAGS.load(path).to_pylist() == rows
    pd.concat([LAGS.frame(rows), LAGS.frame(rows[7:8])]).to_parquet(path, index=False)
    with pytest.raises(UserError, match=r"more than one row has the key .*'a'"):
        LAGS.load(path)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_log_that_lacks_a_value_which_none_may_is_refused(tmp_path, missing):
    one = {"run_id": "a", "step": 0, "score": "s", "level": 0.5, "value": 1.0}
    rows = pa.Table.from_pylist([one, one | {"level": missing}])
    pq.write_table(rows, tmp_path / "x.parquet")
    with pytest.raises(UserError, match="column 'level' may hold no missing value"):
        TABLES["scores"].load(tmp_path / "x.parquet")


def test_a_table_comes_back_as_it_was_written(tmp_path):
    frame = LAGS.frame([ROW, {**ROW, "lag": 2, "log10_delta_rms": None}])
    LAGS.write(frame, tmp_path / "x.parquet", {"code": "c"})
    pd.testing.assert_frame_equal(LAGS.read(tmp_path / "x.parquet"), frame)
    assert provenance_of(tmp_path / "x.parquet") == {"code": "c"}


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_keeps_its_types(name, tmp_path):
    table = TABLES[name]
    empty = table.check(table.frame([]))
    table.write(empty, tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(table.read(tmp_path / "x.parquet"), empty)


def test_blocks_of_rows_miss_what_they_lack_and_what_is_not_finite():
    first = {"run_id": np.array(["a", "b"]), "step": 0, "layer": 1, "lag": 2}
    second = first | {"step": 1, "log10_delta_rms": np.array([-np.inf, -3.0])}
    found = LAGS.frame(below([first, second], LAGS))
    assert found["run_id"].tolist() == ["a", "b", "a", "b"]
    assert found["step"].tolist() == [0, 0, 1, 1]
    assert found["log10_delta_rms"].isna().tolist() == [True, True, True, False]
    assert LAGS.frame(below([], LAGS)).empty


def test_columns_of_arrays_make_the_same_table_as_rows():
    rows = [ROW, {**ROW, "run_id": "b", "step": 3, "log10_delta_rms": None}]
    columns = {name: np.array([row[name] for row in rows]) for name in ROW}
    columns["log10_delta_rms"] = np.array([-3.0, np.nan], dtype=np.float32)
    pd.testing.assert_frame_equal(LAGS.frame(columns), LAGS.frame(rows))


def test_columns_of_runs_make_the_same_table_as_rows_whatever_is_missing_in_some_stacks():
    whole = {
        name: {"string": "a", "bool": True}.get(column.dtype, 1)
        for name, column in RUN_LOG.columns.items()
    }
    nothing = dict.fromkeys((n for n, c in RUN_LOG.columns.items() if c.null), None)
    rows = [whole, whole | {"run_id": "b"} | nothing, whole | {"run_id": "c"}]
    parts = [_columns(rows[:1]), _columns(rows[1:])]
    pd.testing.assert_frame_equal(RUN_LOG.frame(stacked(parts)), RUN_LOG.frame(rows))


def test_parts_with_other_columns_are_not_put_below_each_other():
    one, two = {"a": np.zeros(1)}, {"a": np.zeros(1), "b": np.zeros(1)}
    for parts in ([one, two], [two, one]):
        with pytest.raises(KeyError):
            stacked(parts)


def test_an_array_in_which_an_integer_is_missing_is_refused():
    columns = {name: np.array([value]) for name, value in ROW.items()}
    with pytest.raises((ValueError, UserError)):
        LAGS.frame({**columns, "lag": np.array([np.nan])})


@pytest.mark.parametrize("name", TABLES)
def test_every_column_says_unit_and_meaning(name):
    assert set(TABLES[name].key) <= set(TABLES[name].columns)
    for column in TABLES[name].columns.values():
        assert column.unit
        assert column.meaning


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [ROW, ROW],
            "more than one row has the key {'run_id': 'a', 'step': 0, 'layer': 1, 'lag': 1}",
        ),
        ([{**ROW, "run_id": None}], "'run_id' may hold no missing value"),
        ([{**ROW, "extra": 1}], r"unknown columns \['extra'\]"),
        (
            [{"run_id": "a", "step": 0, "layer": 1, "lag": 1}],
            r"missing columns \['log10_delta_rms'\]",
        ),
    ],
)
def test_what_differs_from_the_declaration_is_refused(rows, message):
    with pytest.raises(UserError, match=message):
        LAGS.frame(rows)


def test_a_wrong_type_is_refused():
    frame = LAGS.frame([ROW]).astype({"step": np.float64})
    with pytest.raises(UserError, match="column 'step' is float64, and must be int64"):
        LAGS.check(frame)


def test_integers_may_be_missing_where_it_says_so():
    assert "planned" in LEDGER.columns
    frame = CURVES.frame([{"run_id": "a", "step": 1, "train_loss": 1.0, "test_accuracy": None}])
    assert frame["test_accuracy"].isna().all()


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "x.parquet"
    LAGS.write(LAGS.frame([ROW]), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="Delete it and start again"):
        LAGS.read(path)
    with pytest.raises(UserError, match="has not been made yet"):
        LAGS.read(tmp_path / "none.parquet")


def test_a_table_of_another_version_is_refused(tmp_path):
    pd.DataFrame({"run_id": ["a"], "old": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(UserError, match="missing columns"):
        LAGS.read(tmp_path / "x.parquet")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")

    def fail():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert path.read_text() == "old"


def test_a_disk_that_refuses_a_file_at_the_end_is_told_with_the_files_name(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_text("old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (lambda: write_text(path, "new"), lambda: make_durable([path])):
        with pytest.raises(OSError, match="No space") as told:
            write()
        assert told.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert path.read_text() == "old"


def test_the_data_dictionary_is_in_step():
    assert (ROOT / "reports/data-dictionary.md").read_text() == data_dictionary()
