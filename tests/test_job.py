"""A job: a cohort in, its tables out; how a training is classed, and which rate is chosen."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from vanishing.engine import job
from vanishing.engine.devices import choose, stacks
from vanishing.engine.measures import outcome, smoothed, steps_to_threshold
from vanishing.errors import UserError
from vanishing.parts.architecture import Architecture
from vanishing.parts.losses import LOSSES, chance
from vanishing.parts.stack_sizes import bytes_of_run
from vanishing.parts.tasks import digits
from vanishing.study import plan
from vanishing.table import provenance_of
from vanishing.tables import LOGS

CHANCE = np.log(10)
CONFIG = """
batteries:
  b:
    family: mlp
    task: digits
    factors: {activation: [relu], init: [he, torch_default], norm: [%s], depth: [3]}
    width: 16
    seeds: {tuning: 1, judged: 2}
    train: {steps: 20, lr: [0.05, 0.2, 1e20], batch: 16}
    probes: {batch: 16}
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The logs of a tuning cohort (one of whose rates diverges) and of the judged one."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "mine.yaml").write_text(CONFIG % "none")
    tuning, judged = plan.make(folder / "mine.yaml", folder).cohorts
    first = job.run(json.loads(json.dumps(tuning.as_json())))
    return first, job.run(judged.as_json(), first["runs"]), judged


def test_every_run_of_a_cohort_is_logged_once(logs):
    tuning, judged, cohort = logs
    assert sorted(judged["runs"]["run_id"]) == sorted(m.run_id for m in cohort.members)
    assert set(judged["runs"]["split"]) == {"judged"}
    assert set(tuning["runs"]["split"]) == {"tuning"}
    assert (
        set(judged["layers"]["run_id"])
        == set(judged["curves"]["run_id"])
        == set(judged["runs"]["run_id"])
    )


def test_a_diverged_run_is_a_result(logs):
    runs = logs[0]["runs"]
    diverged = runs[runs["lr"] == 1e20]
    assert set(diverged["outcome"]) == {"diverged"}
    known = chance(LOSSES["cross_entropy"], digits()).accuracy
    assert np.allclose(diverged["final_test_accuracy"], known)
    assert diverged["steps_to_threshold"].isna().all()


def test_judged_runs_train_at_the_best_rate_of_their_cell(logs):
    tuning, judged, _ = logs
    best = {cell: job.best_rate(runs) for cell, runs in tuning["runs"].groupby("cell")}
    assert (judged["runs"]["lr"] == judged["runs"]["cell"].map(best)).all()
    assert judged["runs"]["lr_policy"].str.startswith("tuned(").all()


def test_layers_are_measured_at_every_probe_step_and_layer(logs):
    layers = logs[1]["layers"]
    assert sorted(layers["step"].unique()) == [0, 1, 4, 16, 20]
    assert (
        layers.groupby(["run_id", "step"])["layer"].apply(list).map(lambda x: x == [1, 2, 3]).all()
    )
    assert layers.loc[layers["step"] == 0, "update_ratio"].isna().all()
    assert (layers.loc[layers["step"] > 0, "update_ratio"] > 0).all()


def test_the_index_is_the_first_layer_over_the_last_at_init(logs):
    _, judged, _ = logs
    first = judged["layers"][judged["layers"]["step"] == 0].set_index(["run_id", "layer"])
    v = first["log10_delta_rms"].xs(1, level=1) - first["log10_delta_rms"].xs(3, level=1)
    runs = judged["runs"].set_index("run_id")
    np.testing.assert_allclose(runs["vanishing_index"], v[runs.index], atol=1e-5)


def test_a_cohort_without_its_tuning_runs_is_refused(logs):
    with pytest.raises(UserError, match="0 of 3 tuning runs of the cell"):
        job.run(logs[2].as_json())


def test_logs_are_written_and_read_back(logs, tmp_path):
    job.write(logs[1], tmp_path, "c", {"code": "x"})
    assert set(logs[1]) == set(LOGS)
    for name, table in LOGS.items():
        path = tmp_path / name / "c.parquet"
        written = logs[1][name].reset_index(drop=True)
        pd.testing.assert_frame_equal(table.read(path), written, check_dtype=False)
        assert provenance_of(path) == {"code": "x"}


def test_the_log_that_vouches_for_the_others_comes_when_the_disk_has_them(
    logs, tmp_path, monkeypatch
):
    files = {name: tmp_path / name / "c.parquet" for name in LOGS}
    files["runs"].parent.mkdir()
    files["runs"].write_text("of an earlier training")
    on_disk, to_disk = [], os.fsync

    def noted(handle):
        assert not files["runs"].exists()
        to_disk(handle)
        on_disk.append(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    job.write(logs[1], tmp_path, "c", {})
    written = {name: file.stat().st_ino for name, file in files.items()}
    assert set(on_disk) == set(written.values())
    assert on_disk[-1] == written["runs"]


def test_an_init_battery_measures_and_trains_nothing(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "batteries: {b: {family: mlp, task: digits, width: 8, seeds: {judged: 3}, "
        "train: {steps: 0}, factors: {activation: [tanh], init: [he], depth: [6]}}}"
    )
    [cohort] = plan.make(tmp_path / "mine.yaml", tmp_path).cohorts
    logs = job.run(cohort.as_json())
    assert logs["runs"]["outcome"].isna().all()
    assert logs["runs"]["slope"].notna().all()
    assert logs["curves"].empty
    assert len(logs["layers"]) == 3 * 6
    assert len(logs["networks"]) == 3
    assert logs["freeze"].empty


def test_a_cohort_of_convolutions_is_logged_like_any_other(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "batteries: {b: {family: cnn, task: digits, width: 4, seeds: {judged: 2}, "
        "train: {steps: 3, lr: 0.05, batch: 16}, probes: {batch: 16}, "
        "factors: {activation: [relu], init: [he, delta_orthogonal], norm: [batch], "
        "residual: [pre_activation], depth: [5]}}}"
    )
    [cohort] = plan.make(tmp_path / "mine.yaml", tmp_path).cohorts
    logs = job.run(cohort.as_json())
    assert set(logs["runs"]["family"]) == {"cnn"}
    assert len(logs["runs"]) == logs["layers"]["run_id"].nunique() == 4
    assert logs["runs"]["final_loss"].notna().all()
    for runs in (logs["runs"], logs["networks"], logs["curves"]):
        assert set(runs["run_id"]) == {m.run_id for m in cohort.members}


HEALTHY = {"q": 1.0, "grad_mean": 0.0, "dead_fraction": 0.0, "delta_zero_fraction": 0.0}


@pytest.mark.parametrize(
    ("losses", "accuracy", "end", "expected"),
    [
        ([2.0] * 9 + [np.nan], 0.99, {}, "diverged"),
        ([2.0] * 5 + [CHANCE + 2] * 20, 0.99, {}, "diverged"),
        ([1.0] * 20, 0.99, {"q": np.inf}, "diverged"),
        ([1.0] * 20, 0.99, {"grad_mean": np.nan}, "diverged"),
        ([CHANCE] * 20, 0.1, {"dead_fraction": 0.995}, "dead"),
        ([CHANCE] * 20, 0.1, {"delta_zero_fraction": 1.0}, "dead"),
        ([1.0] * 20, 0.9, {}, "trained"),
        ([0.1 * CHANCE] * 20, 0.5, {}, "trained"),
        ([0.981 * CHANCE] * 20, 0.1, {}, "stalled"),
        ([0.97 * CHANCE] * 20, 0.1, {}, "slow"),
    ],
)
def test_outcome_is_the_first_class_that_is_true(losses, accuracy, end, expected):
    last = {name: np.full(3, value) for name, value in {**HEALTHY, **end}.items()}
    assert outcome(np.array(losses), CHANCE, accuracy, last) == expected


def test_smoothing_is_the_mean_of_the_last_ten():
    losses = np.random.default_rng(0).normal(size=(30, 2))
    expected = pd.DataFrame(losses).rolling(10, min_periods=1).mean()
    np.testing.assert_allclose(smoothed(losses), expected)


def test_a_spike_leaves_no_trace_in_later_smoothed_losses():
    losses = np.array([1e20] + [1.0] * 15)
    assert smoothed(losses)[-1] == 1.0


def test_steps_to_threshold_counts_updates_or_is_censored():
    losses = np.array([2.0, 2.0, 0.1, 0.1, 0.1])
    smooth = smoothed(losses)
    assert steps_to_threshold(losses, 2.2) == int(np.argmax(smooth <= 1.1))
    assert steps_to_threshold(losses, 0.1) is None


def tuning_runs(rows):
    return pd.DataFrame(rows, columns=["cell", "lr", "final_loss", "outcome"])


def test_a_rate_that_diverges_for_one_seed_is_not_chosen():
    rows = [("a", 0.1, 1.0, "slow"), ("a", 0.1, 1.0, "slow"),
            ("a", 0.3, 0.1, "trained"), ("a", 0.3, None, "diverged")]  # fmt: skip
    assert job.best_rate(tuning_runs(rows)) == 0.1


@pytest.mark.parametrize(("loss", "outcome"), [(None, "diverged"), (2.0, "slow")])
def test_the_smallest_rate_is_chosen_where_none_is_better(loss, outcome):
    rows = [("a", 0.3, loss, outcome), ("a", 0.1, loss, outcome)]
    assert job.best_rate(tuning_runs(rows)) == 0.1


def test_a_rate_is_chosen_from_the_policys_own_tuning_runs_alone(logs):
    """Another battery tunes the same cell at better rates and on more seeds."""
    tuning, judged, cohort = logs
    better = tuning["runs"].assign(lr=0.07, final_loss=0.0)
    more_seeds = tuning["runs"].assign(
        seed=tuning["runs"]["seed"] + 1, final_loss=5 - tuning["runs"]["lr"]
    )
    every = pd.concat([tuning["runs"], better, more_seeds])
    again = job.run(cohort.as_json(), every)
    assert again["runs"]["lr"].tolist() == judged["runs"]["lr"].tolist()


@pytest.mark.parametrize(("family", "most"), [("mlp", 48), ("cnn", 12)])
def test_stacks_hold_every_run_once_and_are_of_about_one_size(family, most):
    for runs, width in [(1, 8), (20, 64), (21, 64), (50, 128)]:
        architecture = Architecture(family, 3, width, inputs=64, outputs=10, image=(1, 8, 8))
        found = stacks(runs, architecture, 64, choose("cpu"))
        assert [i for stack in found for i in stack] == list(range(runs))
        assert max(map(len, found)) - min(map(len, found)) <= 1
        assert max(map(len, found)) <= most


def test_a_stack_of_large_networks_fits_into_memory():
    large = Architecture("cnn", 56, 32, inputs=3072, outputs=10, image=(3, 32, 32), stages=3)
    [*found] = stacks(8, large, 128, choose("cpu"))
    assert [len(stack) for stack in found] == [1] * 8
    assert bytes_of_run(large, 256) > 1.9 * bytes_of_run(large, 128)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="mps"):
        choose("mps")


def test_a_net_that_stays_where_it_began_above_chance_is_stalled_and_not_diverged():
    end = {
        "q": np.ones(2), "grad_mean": np.zeros(2), "dead_fraction": np.zeros(2),
        "delta_zero_fraction": np.zeros(2),
    }  # fmt: skip
    assert outcome(np.full(30, 4.5), 3.0, 0.1, end) == "stalled"
    assert outcome(np.linspace(4.5, 6, 30), 3.0, 0.1, end) == "diverged"


def test_a_stack_of_long_sequences_fits_into_memory():
    long, short = (
        Architecture("rnn", 2, 256, 256, 10, sequence=(steps, 1), columns=4) for steps in (800, 8)
    )
    assert bytes_of_run(long, 64) > 30 * bytes_of_run(short, 64)  # the weights are the same
    assert max(map(len, stacks(40, long, 64, choose("cpu")))) == 1
