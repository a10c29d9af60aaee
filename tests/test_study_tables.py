"""What measures read of a study's layers is all that they need: whole tables give the same."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.measures import MEASURES
from vanishing.analysis.study_tables import Tables
from vanishing.tables import LOGS, RUN_LOG, TABLES

from .planted import runs_of
from .planted_nets import GAN, RECURRENT, TRAINED, nothing

STEPS = (0, 1, 2, 3, 4, 6, 8, 9, 16, 32, 64)
OTHERS = ("lags", "recurrences", "scores", "games", "curves", "networks", "freeze", "predictions")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with the tables of nets, recurrent nets and two players, full of random numbers."""
    rng = np.random.default_rng(0)
    kinds = [TRAINED | {"depth": 6}, TRAINED | RECURRENT | {"depth": 2}, GAN | {"depth": 4}, {}]
    runs = pd.concat(
        [runs_of("b", {}, 3, nothing, **kind) for kind in kinds], ignore_index=True
    ).assign(outcome="slow", final_test_accuracy=rng.uniform(size=12), vanishing_index=-1.0)
    layers = rows_of("layers", {"player": "net"}, places(runs, "depth"), rng)
    layers = pd.concat([layers, layers.assign(player="discriminator")], ignore_index=True)
    layers["interference"] = layers["interference"].where(layers["step"].isin([9, 32]))
    found = {"runs": runs, "layers": layers}
    found["lags"] = rows_of("lags", {"layer": 2}, places(runs, "length"), rng, "lag")
    found["curves"] = rows_of("curves", {}, places(runs.assign(depth=1), "depth"), rng)
    folder = tmp_path_factory.mktemp("tables")
    for name in ("runs", "layers", *OTHERS):
        TABLES[name].write(found.get(name, TABLES[name].frame([])), folder / f"{name}.parquet")
    return folder


def places(runs: pd.DataFrame, size: str) -> pd.DataFrame:
    """A row for each run, step and place, of which there are so many as its ``size`` says."""
    numbered = runs[["run_id", size]].merge(pd.DataFrame({"step": STEPS}), how="cross")
    repeated = numbered.loc[numbered.index.repeat(numbered[size])]
    place = repeated.groupby(["run_id", "step"]).cumcount()
    return repeated.assign(place=place).drop(columns=size).reset_index(drop=True)


def rows_of(
    name: str, fixed: dict, rows: pd.DataFrame, rng: np.random.Generator, place: str = "layer"
) -> pd.DataFrame:
    """A log with these rows, and random numbers from 0 to 1 in its other columns."""
    first = 1 if place == "layer" else 0
    known = {"run_id": rows["run_id"], "step": rows["step"], place: rows["place"] + first, **fixed}
    drawn = {column: rng.uniform(size=len(rows)) for column in TABLES[name].columns}
    own = {column: value for column, value in known.items() if column in drawn}
    return TABLES[name].frame(pd.DataFrame(drawn | own))


def read(folder, name, **some):
    return TABLES[name].read(folder / f"{name}.parquet", **some)


@pytest.fixture(scope="module")
def some(study):
    """The tables as a study is judged from them."""
    return Tables.of(partial(read, study))


@pytest.fixture(scope="module")
def whole(study):
    """The same with all that is there."""
    long = [name for name, table in LOGS.items() if table is not RUN_LOG]
    return Tables(
        read(study, "runs"), **{name: read(study, name) for name in [*long, "predictions"]}
    )


def test_fewer_rows_and_columns_of_layers_are_read_than_there_are(some, whole):
    assert len(some.layers) < len(whole.layers) / 2
    assert set(some.layers.columns) < set(whole.layers.columns)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_the_same_from_whole_tables(name, some, whole):
    pd.testing.assert_series_equal(MEASURES[name].of(some), MEASURES[name].of(whole))


@pytest.mark.parametrize("name", ["early_imbalance", "interference", "early_change", "lag_slope"])
def test_the_runs_have_what_a_measure_is_of(name, whole):
    assert MEASURES[name].of(whole).notna().any()
