"""Logs become tables cohort by cohort: the same as in one go, and whole or not at all."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from vanishing import table as table_module
from vanishing.analysis import profiles
from vanishing.analysis.dynamics import followed
from vanishing.analysis.estimates import signals
from vanishing.analysis.gather import gather
from vanishing.analysis.study_tables import Tables
from vanishing.errors import UserError
from vanishing.table import provenance_of
from vanishing.tables import LOGS, PROFILES, RUNS, TABLES

from . import finished_study
from .aggregated import profiles_of
from .planted import runs_of
from .planted_nets import TRAINED, nothing


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of two small batteries, with its logs and its tables."""
    return finished_study.finish(tmp_path_factory.mktemp("study"), finished_study.BATTERIES)


@pytest.fixture
def copy(study, tmp_path):
    """It, to be changed."""
    return finished_study.rewrite(study, None, None, tmp_path)


def cohorts_of(results) -> list[str]:
    return [cohort["id"] for cohort in json.loads((results / "plan.json").read_text())["cohorts"]]


def read(results, name: str) -> pd.DataFrame:
    return TABLES[name].read(results / "tables" / f"{name}.parquet")


def below_each_other(results, name: str) -> pd.DataFrame:
    logs = [results / "logs" / name / f"{cohort}.parquet" for cohort in cohorts_of(results)]
    return pd.concat([LOGS[name].read(log) for log in logs], ignore_index=True)


@pytest.mark.parametrize("name", [name for name in LOGS if name != "runs"])
def test_a_table_is_the_cohorts_logs_below_each_other(study, name):
    pd.testing.assert_frame_equal(read(study, name), below_each_other(study, name))


def test_runs_have_the_order_of_the_plan_and_the_signal_of_all_layers(study):
    runs, members = read(study, "runs"), json.loads((study / "plan.json").read_text())["members"]
    wanted = [(name, run) for name, ids in members.items() for run in ids]
    assert list(zip(runs["battery"], runs["run_id"], strict=True)) == wanted
    logged = below_each_other(study, "runs").set_index("run_id").loc[runs["run_id"]]
    assert runs["final_loss"].tolist() == logged["final_loss"].tolist()
    whole = signals(Tables(runs, read(study, "layers")))
    assert runs["signal"].tolist() == whole.tolist()


def test_a_gradient_that_overflowed_at_init_is_not_taken_for_one_that_vanished(copy):
    runs = below_each_other(copy, "runs").assign(vanishing_index=np.nan)
    layers = below_each_other(copy, "layers")
    first = layers["layer"].eq(1) & layers["step"].eq(0)
    layers["log10_delta_rms"] = layers["log10_delta_rms"].mask(first)
    up = layers["run_id"].isin(runs.loc[runs["family"] == "cnn", "run_id"])
    zeros = layers["delta_zero_fraction"].mask(first, 1.0)
    layers["delta_zero_fraction"] = zeros.mask(first & up, 0.0)
    for cohort, mine in runs.groupby("cohort"):
        LOGS["runs"].write(mine, copy / "logs/runs" / f"{cohort}.parquet")
        own = layers[layers["run_id"].isin(mine["run_id"])]
        LOGS["layers"].write(own, copy / "logs/layers" / f"{cohort}.parquet")
    gather(copy)
    found = read(copy, "runs").groupby("family")["signal"].unique().map(list).to_dict()
    assert found == {"cnn": ["severely exploding"], "mlp": ["severely vanishing"]}


def test_rows_go_to_disk_in_groups_and_the_table_stays_the_same(study, copy, monkeypatch):
    monkeypatch.setattr(table_module, "GROUP", 10)
    monkeypatch.setattr(profiles, "WAITING", 10)
    gather(copy, {"code": "c"})
    assert pq.ParquetFile(copy / "tables/layers.parquet").num_row_groups > 3
    assert provenance_of(copy / "tables/layers.parquet") == {"code": "c"}
    for name in (*LOGS, "profiles"):
        pd.testing.assert_frame_equal(read(copy, name), read(study, name))


def test_a_truncated_log_is_named_with_what_to_do_and_no_table_is_touched(copy):
    before = {file: file.stat().st_mtime_ns for file in (copy / "tables").iterdir()}
    log = copy / "logs/layers" / f"{cohorts_of(copy)[-1]}.parquet"
    log.write_bytes(log.read_bytes()[:-20])
    with pytest.raises(UserError, match=f"{log.name} cannot be read .* Delete it and start again"):
        gather(copy)
    assert {file: file.stat().st_mtime_ns for file in (copy / "tables").iterdir()} == before


def test_a_log_of_another_version_is_named_with_what_to_do(copy):
    log = copy / "logs/curves" / f"{cohorts_of(copy)[0]}.parquet"
    pd.read_parquet(log).rename(columns={"train_loss": "loss"}).to_parquet(log)
    with pytest.raises(UserError, match=f"{log.name} is no table .*train_loss.* Delete it"):
        gather(copy)


def test_a_run_in_two_cohorts_is_refused(copy):
    one, two = (copy / "logs/runs" / f"{cohort}.parquet" for cohort in cohorts_of(copy)[:2])
    two.write_bytes(one.read_bytes())
    with pytest.raises(UserError, match="in the logs of more than one cohort"):
        gather(copy)


def test_keys_that_are_there_twice_are_refused(copy):
    log = copy / "logs/curves" / f"{cohorts_of(copy)[0]}.parquet"
    rows = pd.read_parquet(log)
    pd.concat([rows, rows]).to_parquet(log, index=False)
    with pytest.raises(UserError, match=f"{log.name}.*more than one row has the key"):
        gather(copy)


def test_cohorts_without_logs_are_passed_over(copy):
    first = cohorts_of(copy)[0]
    for name in LOGS:
        (copy / "logs" / name / f"{first}.parquet").unlink()
    gather(copy)
    assert first not in set(read(copy, "runs")["cohort"])
    assert set(read(copy, "layers")["run_id"]) == set(read(copy, "runs")["run_id"])


@pytest.mark.parametrize("kind", ["layers", "curves"])
def test_a_damaged_log_of_a_cohort_that_is_not_trained_stops_nothing(copy, kind):
    first = cohorts_of(copy)[0]
    (copy / "logs/runs" / f"{first}.parquet").unlink()
    (copy / "logs" / kind / f"{first}.parquet").write_bytes(b"PAR1")
    gather(copy)
    assert first not in set(read(copy, "runs")["cohort"])
    assert set(read(copy, kind)["run_id"]) == set(read(copy, "runs")["run_id"])


def test_every_log_is_read_once(copy, monkeypatch):
    loaded = []
    load = table_module.Table.load

    def counted(table, file, *arguments):
        loaded.append(file)
        return load(table, file, *arguments)

    monkeypatch.setattr(table_module.Table, "load", counted)
    gather(copy)
    assert len(loaded) == len(set(loaded)) == len(LOGS) * len(cohorts_of(copy))


def test_profiles_are_means_and_spreads_over_the_judged_runs_of_a_cell(study):
    runs, cells = read(study, "runs"), read(study, "profiles")
    judged = runs[runs["split"] == "judged"]
    rows = read(study, "layers").query("step == 0").merge(judged, on="run_id")
    rows["log10_q"] = np.log10(rows["q"])
    for quantity in ("log10_q", "log10_delta_rms"):
        plain = rows.groupby(["cell", "layer"])[quantity].agg(["count", "mean", "std"])
        mine = cells[cells["quantity"] == quantity].set_index(["cell", "place"])
        mine = mine.loc[plain.index]
        assert mine["n"].tolist() == plain["count"].tolist()
        np.testing.assert_allclose(mine["mean"], plain["mean"], rtol=1e-6)
        np.testing.assert_allclose(mine["sd"], plain["std"], rtol=1e-5)
    assert set(cells["cell"]) == set(judged["cell"])


def test_a_few_trainings_are_followed_against_their_last_layers_at_all_probe_steps(study):
    shown = followed(read(study, "runs"))
    cells = read(study, "profiles").query("quantity == 'layer_decay'")
    assert set(cells["cell"]) == set(shown["cell"])
    rows = read(study, "layers").merge(shown, on="run_id").astype({"log10_delta_rms": "float64"})
    last = rows[rows["layer"] == rows["depth"]].set_index(["run_id", "step"])["log10_delta_rms"]
    at = pd.MultiIndex.from_frame(rows[["run_id", "step"]])
    rows["decay"] = rows["log10_delta_rms"] - last.reindex(at).to_numpy()
    plain = rows.groupby(["cell", "step", "layer"])["decay"].mean()
    mine = cells.set_index(["cell", "step", "place"])["mean"]
    assert len(plain.index.get_level_values("step").unique()) > 1
    np.testing.assert_allclose(mine.loc[plain.index], plain, atol=1e-12)
    assert len(mine) == len(plain)


def test_saturation_is_one_row_a_cell_the_mean_over_its_layers(study):
    runs, cells = read(study, "runs"), read(study, "profiles").query("quantity == 'saturation'")
    rows = read(study, "layers").query("step == 0 and player != 'discriminator'")
    rows = rows.merge(runs[runs["split"] == "judged"].drop_duplicates("run_id"), on="run_id")
    share = rows["saturation_low"].astype(float) + rows["saturation_high"]
    plain = share.groupby([rows["cell"], rows["run_id"]]).mean().groupby(level="cell").mean()
    np.testing.assert_allclose(cells.set_index("cell")["mean"].loc[plain.index], plain, rtol=1e-9)
    assert len(cells) == len(plain)
    assert (cells["place"] == 0).all()


def test_profiles_do_not_depend_on_how_the_runs_are_split_into_cohorts():
    runs = runs_of("b", {"depth": [2, 3]}, 5, nothing, **TRAINED)
    accuracy = np.random.default_rng(0).normal(1e6, 1, len(runs)).astype("float32")
    curves = LOGS["curves"].frame(
        {"run_id": runs["run_id"], "step": 0, "train_loss": 1.0, "test_accuracy": accuracy}
    )
    together = profiles_of(runs, curves=curves)
    apart = profiles_of(runs, *({run} for run in runs["run_id"]), curves=curves)
    pd.testing.assert_frame_equal(apart, together, rtol=1e-12)
    wide = curves.merge(runs).astype({"test_accuracy": "float64"})
    plain = wide.groupby("cell")["test_accuracy"].std()
    np.testing.assert_allclose(together.set_index("cell")["sd"], plain, rtol=1e-9)


def test_rates_of_which_each_is_judged_have_profiles_of_their_own():
    rates = ["fixed(0.1)", "fixed(0.2)"]
    runs = runs_of("b", {"lr_policy": rates}, 3, nothing, **(TRAINED | {"depth": 2}))
    runs["cell"] = "the same"
    layers = LOGS["layers"].frame(
        dict.fromkeys(LOGS["layers"].columns, 0.0)
        | {"run_id": run, "step": 0, "player": "net", "layer": layer, "q": 10.0**seed}
        for run, seed in zip(runs["run_id"], runs["seed"], strict=True)
        for layer in (1, 2)
    )
    found = profiles_of(runs, layers=layers).query("quantity == 'log10_q'")
    assert found[["lr_policy", "place"]].values.tolist() == [[p, n] for p in rates for n in (1, 2)]
    assert found["n"].tolist() == [3] * 4
    np.testing.assert_allclose(found["mean"], 1)
    np.testing.assert_allclose(found["sd"], 1)


def test_a_single_run_has_a_mean_and_no_spread():
    runs = runs_of("b", {}, 1, nothing, **TRAINED)
    curves = LOGS["curves"].frame(
        {"run_id": runs["run_id"], "step": 0, "train_loss": 1.0, "test_accuracy": 0.5}
    )
    [row] = profiles_of(runs, curves=curves).to_dict("records")
    assert (row["n"], row["mean"]) == (1, 0.5)
    assert np.isnan(row["sd"])
    assert PROFILES.check(profiles_of(runs)).empty


def test_the_same_columns_of_runs_come_back(study):
    assert list(read(study, "runs").columns) == list(RUNS.columns)
