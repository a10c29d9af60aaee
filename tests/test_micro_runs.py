"""Timed micro-runs: what they train, and how they are carried over to a whole study."""

import pytest
import yaml

from vanishing import micro_runs
from vanishing.cli import main
from vanishing.engine import job
from vanishing.micro_runs import Timed, by_how_much, groups_of, ratio, report, short, timed
from vanishing.study import cost, plan
from vanishing.study.sizes import Places
from vanishing.tables import RUN_LOG

MLP = {
    "family": "mlp",
    "task": "digits",
    "factors": {"activation": ["tanh"], "init": ["he"], "depth": [3]},
    "width": 8,
    "seeds": {"judged": 4},
    "train": {"steps": 30, "lr": 0.1, "batch": 8},
    "probes": {"batch": 8},
}
INIT = {**MLP, "train": {"steps": 0}}
TUNED = {**MLP, "seeds": {"tuning": 1, "judged": 2}, "train": {"steps": 20, "lr": [0.1, 0.3]}}
RNN = {**MLP, "family": "rnn", "task": {"adding": {"samples": 60}}, "length": 5}
DOWNLOADED = {**MLP, "task": "mnist"}


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(**batteries):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"batteries": batteries, "device": "cpu"}))
        return plan.make(path, tmp_path / "results" / "mine")

    return make


@pytest.mark.parametrize(
    "battery", [MLP, INIT, RNN, DOWNLOADED], ids=["trained", "init", "rnn", "to be downloaded"]
)
def test_a_stack_of_any_graph_gives_a_ratio(make, battery):
    found = ratio(make(b=battery).cohorts[0], "cpu", 2.0)
    assert 0 < found < float("inf")


def test_a_tuned_cohort_is_timed_before_its_tuning_is_there(make):
    judged = [c for c in make(b=TUNED).cohorts if c.graph.split == "judged"]
    assert ratio(judged[0], "cpu", 2.0) > 0


def test_what_no_time_is_left_for_is_not_trained(make, monkeypatch):
    monkeypatch.setattr(job, "run", None)
    assert ratio(make(b=MLP).cohorts[0], "cpu", 1e-6) is None
    assert timed(make(b=MLP).cohorts, "cpu", 0.0) == []


def test_data_that_cannot_be_read_leave_a_group_out(make, tmp_path):
    import numpy as np

    np.savez(tmp_path / "mine.npz", x=np.eye(20), y=np.arange(20) % 2)
    planned = make(b={**MLP, "task": {"npz": {"path": "mine.npz"}}}, c=RNN)
    (tmp_path / "mine.npz").unlink()
    assert {found.family for found in timed(planned.cohorts, "cpu", 6.0)} == {"rnn"}


def test_an_update_and_the_rest_are_carried_over_apart(make):
    graph = make(b={**MLP, "train": {"steps": 4000, "lr": 0.1, "batch": 8}}).cohorts[0].graph
    estimates = [cost.seconds_of_runs(short(graph, n), 4) for n in (1, 500)]
    updates, rest = estimates[1] - estimates[0], estimates[0]
    for slower_updates, slower_rest in ((1.0, 1.0), (3.0, 1.0), (1.0, 3.0), (2.0, 2.0)):
        measured = [slower_rest * rest, slower_rest * rest + slower_updates * updates]
        found = micro_runs._carried_over(graph, 4, [1, 500], measured, estimates)
        low, high = sorted((slower_updates, slower_rest))
        assert low - 0.05 <= found <= high + 0.05
        if slower_updates > slower_rest:
            assert found > (slower_updates + slower_rest) / 2  # most of its time is in updates


def test_the_groups_with_most_work_weigh_most():
    found = [Timed("mlp", "under 10 s", 90.0, 1.0, "a"), Timed("rnn", "under 10 s", 10.0, 2.0, "b")]
    assert by_how_much(found) == pytest.approx(1.1)
    assert by_how_much(found[1:]) == 2.0


def test_cohorts_are_grouped_by_family_and_size_of_job(make):
    groups = groups_of(make(a=MLP, b=RNN).cohorts)
    assert set(groups) == {("mlp", "under 10 s"), ("rnn", "under 10 s")}


def test_a_short_training_has_no_freeze_curve(make):
    frozen = make(b={**MLP, "probes": {"batch": 8, "blocks": ["freeze", "noise"]}})
    graph = short(frozen.cohorts[0].graph, 2)
    assert (graph["steps"], graph.probe_steps, graph.blocks) == (2, (0, 2), ("noise",))


def test_finished_cohorts_are_compared_with_their_estimates(make, tmp_path):
    planned = make(b=MLP)
    cohort = planned.cohorts[0]
    logs = job.run(cohort.as_json(), None, "cpu")
    folder = tmp_path / "results" / "mine" / "logs"
    job.write(logs, folder, cohort.id, {})
    spent = RUN_LOG.read(folder / "runs" / f"{cohort.id}.parquet")["seconds"].sum()
    off = spent / cost.seconds_of_runs(cohort.graph, len(cohort.members))
    assert micro_runs.finished_seconds(planned) == {cohort.id: pytest.approx(spent)}
    said = report(planned, Places(1, "1 core"))[0][-1]
    assert f"1 finished cohorts took {off:.2f} times their estimate" in said


def test_quick_plans_and_written_ones_time_nothing(make, monkeypatch, capsys, tmp_path):
    make(b=MLP)
    monkeypatch.setattr(micro_runs, "timed", None)
    assert main(["plan", "mine.yaml", "--quick"]) == 0
    assert main(["plan", "mine.yaml", "--out", str(tmp_path / "out")]) == 0
    assert "here:" not in capsys.readouterr().out


def test_a_plan_says_the_time_on_this_machine(make, capsys):
    make(b=MLP)
    assert main(["plan", "mine.yaml"]) == 0
    said = capsys.readouterr().out
    assert "of this machine's CPU by 1 micro-runs" in said
    assert "measured over estimated" in said
