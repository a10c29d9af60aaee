"""The benchmark of storage: its ways hold the same rows, and its sizes are those of the files."""

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from benchmarks import storage

from vanishing.tables import LAYERS

from . import finished_study


def layers():
    return storage.made_up(runs=3, probes=4, depth=5)


def test_made_up_layers_are_a_table_of_layers_with_a_row_a_run_probe_and_layer():
    rows = layers()
    assert len(rows) == 3 * 4 * 5
    data = LAYERS.check(LAYERS.frame(rows.to_pandas()))
    assert data["step"].unique().tolist() == [0, 1, 2, 4]
    assert data["snr"].isna().all()
    assert data["grad_sd"].notna().all()


@pytest.mark.parametrize("name", storage.WAYS)
def test_every_way_of_writing_gives_the_rows_back(name):
    rows, way = layers(), storage.WAYS[name]
    read = pq.read_table(io.BytesIO(way.bytes_of(rows, LAYERS))).to_pandas()
    tolerance = 1e-6 if way.dtype == "float32" else 0
    pd.testing.assert_frame_equal(
        read, rows.to_pandas(), check_dtype=False, check_categorical=False, rtol=tolerance, atol=0
    )
    if way.dtype:
        assert read["grad_sd"].dtype == way.dtype


def test_ways_are_compared_with_what_the_table_writes():
    found = storage.compared({"one": layers(), "two": layers()}, LAYERS, times=1)
    assert found.index.tolist() == ["as written", *storage.WAYS]
    assert found.loc["as written", "of as written"] == 1
    assert (found["bytes a run and layer"] / found["bytes a row"]).tolist() == pytest.approx(
        [4] * len(found)
    )
    assert found.loc["float32", "bytes a row"] < found.loc["float64", "bytes a row"]
    assert (found[["write ms", "read ms"]] > 0).all(axis=None)


def test_a_finished_study_is_measured_by_its_files(tmp_path):
    results = finished_study.finish(tmp_path, {"images": finished_study.CNN})
    found, files = storage.of_study(results), list((results / "logs/layers").iterdir())
    assert found.loc["layers", "MB"] == sum(file.stat().st_size for file in files) / 1e6
    rows = sum(map(len, storage.sampled(results).values()))
    assert found.loc["layers", "rows"] == rows > 0
    runs = found.loc["runs", "rows"]
    assert found.loc["layers", "bytes a run"] * runs == pytest.approx(
        found.loc["layers", "bytes a row"] * rows
    )


def test_values_that_float32_cannot_hold_are_counted(tmp_path):
    data = layers().to_pandas()
    data.loc[:3, "grad_mean"] = [1e-40, -1e39, 0.0, 1e-30]
    LAYERS.write(LAYERS.frame(data), tmp_path / "logs/layers/one.parquet")
    found = storage.beyond_float32(tmp_path)
    assert found["beyond float32"].drop("grad_mean").eq(0).all()
    assert found.loc["grad_mean", "beyond float32"] == 2
    assert found.loc["grad_mean", "least"] == 1e-40
    assert found.loc["q", "largest"] == np.abs(data["q"]).max()
    assert "snr" not in found.index
