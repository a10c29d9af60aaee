"""Recovering from a dead head: jobs that a cluster still has, half-written files, stale locks."""

import os
import signal
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from vanishing.cli import main
from vanishing.errors import UserError
from vanishing.study import cluster, head, processes, run
from vanishing.study.durations import seconds
from vanishing.study.recover import recover, settle_before
from vanishing.study.snakemake_records import made_by, record_path
from vanishing.tables import LOGS

from .. import killed_study as killed
from ..fake_slurm import DOWN, job
from ..killed_study import RESULTS


def test_start_is_refused_while_a_dead_heads_jobs_are_in_the_queue(queue, prefix, capsys):
    killed.record(killed.dead())
    queue.holds([job(1, prefix), job(2, prefix, "b")])
    assert main(["study", "tiny.yaml"]) == 2
    refused = capsys.readouterr().err
    assert "2 jobs of tiny are in the cluster's queue without a head" in refused
    assert "`vanishing recover tiny.yaml --wait` lets them finish, `--cancel`" in refused
    assert head.last_head(RESULTS) == killed.dead()  # so that the next start refuses too
    assert killed.trained() == []


def test_start_on_the_cluster_is_refused_without_any_record(queue, prefix):
    queue.holds([job(1, prefix)])
    refuse = settle_before(RESULTS, "tiny.yaml", "slurm", "", print)
    with pytest.raises(UserError, match="1 job of tiny is in the cluster's queue"):
        refuse(None)


@pytest.mark.usefixtures("queue")
def test_head_of_a_cluster_names_its_jobs_and_leaves_its_executor_and_code(
    study, prefix, monkeypatch
):
    (study / "own").mkdir()
    (study / "own/config.yaml").write_text("executor: slurm\njobs: 2\n")
    seen = []

    def start(command, *_):
        seen.extend([command, head.last_head(RESULTS)])
        return subprocess.Popen(["true"])

    monkeypatch.setattr(run, "start", start)
    assert run.run_study("tiny.yaml", profile="own") == 0
    command, me = seen
    assert command[command.index("--slurm-jobname-prefix") + 1] == prefix
    assert (me.executor, me.ended, me.pid) == ("slurm", False, os.getpid())
    assert me.code == made_by([], "auto")
    assert abs(me.since - head.clock(RESULTS)) < 600
    assert head.last_head(RESULTS) == replace(me, ended=True)


def stop_on_cluster(study, queue, monkeypatch, on_int, *looks):
    """Ctrl-C to a study of the cluster; its Snakemake does ``on_int``, its queue is ``looks``."""
    (study / "own").mkdir()
    (study / "own/config.yaml").write_text("executor: slurm\njobs: 2\n")
    script = f"trap '{on_int}' INT; touch begun; while :; do sleep 0.1; done"

    def start(_, results, log, variables):
        child = processes.start(["sh", "-c", script], results, log, variables)
        killed.until((study / "begun").exists)
        queue.holds(*looks)
        os.kill(os.getpid(), signal.SIGINT)
        return child

    with monkeypatch.context() as here:
        here.setattr(run, "start", start)
        here.setattr(run, "PATIENCE_OF_CLUSTER", 60 if on_int else 0.1)
        here.setattr(cluster, "jobs", partial(cluster.jobs, patience=0))
        assert run.run_study("tiny.yaml", profile="own") == 128 + signal.SIGINT


def test_stop_cancels_what_snakemake_leaves_in_the_queue(study, queue, prefix, monkeypatch, capsys):
    left = [job(1, prefix), job(2, prefix, state="COMPLETING"), job(3, "vanishing-other")]
    stop_on_cluster(study, queue, monkeypatch, "exit 1", left)
    assert queue.said("cancelled") == ["1", "2"]
    assert "cancelled 2 jobs that Snakemake had left" in capsys.readouterr().out
    assert head.last_head(RESULTS).ended


def test_stop_that_has_to_kill_snakemake_is_no_end_in_order(
    study, queue, prefix, monkeypatch, capsys
):
    stop_on_cluster(study, queue, monkeypatch, "", [job(1, prefix)])
    assert queue.said("cancelled") == ["1"]
    last = head.last_head(RESULTS)
    assert (last.ended, last.executor) == (False, "slurm")
    queue.holds([job(2, prefix)])  # its sbatch was on the way
    with pytest.raises(UserError, match="1 job of tiny is in the cluster's queue"):
        run.run_study("tiny.yaml")
    queue.holds([])
    assert run.run_study("tiny.yaml") == 0
    assert "stopped (SIGINT)" in capsys.readouterr().out


def test_stop_beside_a_queue_that_does_not_answer_is_no_end_in_order(
    study, queue, monkeypatch, capsys
):
    stop_on_cluster(study, queue, monkeypatch, "exit 1", DOWN)
    assert "the cluster does not say which jobs are in its queue" in capsys.readouterr().out
    assert not head.last_head(RESULTS).ended


@pytest.mark.parametrize("text", [None, "", '{"pid": 7, "sta'])
def test_results_whose_head_left_no_record_have_the_queue_asked(queue, prefix, text, said, capsys):
    (RESULTS / "logs").mkdir(parents=True)
    if text is not None:
        (RESULTS / head.RECORD).write_text(text)
    queue.holds([job(1, prefix)])
    assert main(["study", "tiny.yaml"]) == 2
    assert "1 job of tiny is in the cluster's queue without a head" in capsys.readouterr().err
    assert recover("tiny.yaml", say=said.append) == 1
    assert recover("tiny.yaml", "cancel", say=said.append) == 0
    assert said[-2:] == [
        "cancelled 1 job",
        "recovered: vanishing study tiny.yaml goes on from what is finished",
    ]
    assert recover("tiny.yaml", say=said.append) == 0
    assert "has left no record, and no job in the queue" in said[-1]


def test_logs_are_made_by_code_tables_and_device(study, monkeypatch):
    own = study / "own.py"
    own.write_text("x = 1")
    now = made_by([own], "cpu")
    assert made_by([own], "cpu") == now
    others = [made_by([], "cpu"), made_by([own], "cuda")]
    fewer = dict(list(LOGS.items())[1:])
    monkeypatch.setattr("vanishing.tables.LOGS", fewer)
    assert len({now, *others, made_by([own], "cpu")}) == 4


def test_jobs_that_a_stop_has_cancelled_are_given_time_to_go(queue, prefix):
    queue.holds([job(1, prefix, state="COMPLETING")], [])
    settle_before(RESULTS, "tiny.yaml", "slurm", "", print)(killed.dead(ended=True))
    assert cluster.jobs(prefix) == []


@pytest.mark.parametrize("verb", ["study", "recover"])
def test_study_of_a_cluster_is_refused_where_there_is_none(verb, capsys, monkeypatch):
    killed.record(killed.dead())
    monkeypatch.setenv("PATH", "/nowhere")
    assert main([verb, "tiny.yaml"]) == 2
    assert "last run on a cluster, and there is no squeue here" in capsys.readouterr().err


def test_nothing_to_recover_is_said_and_is_no_failure(said):
    assert recover("tiny.yaml", say=said.append) == 0
    assert said.pop() == "nothing to recover: results/tiny has never been worked on"
    assert not RESULTS.exists()
    killed.record(killed.dead(executor="local", ended=True))
    assert recover("tiny.yaml", say=said.append) == 0
    assert said == ["nothing to recover: the last start of tiny ended by itself"]


def test_recovery_without_a_choice_shows_the_jobs_and_changes_nothing(queue, prefix, capsys):
    killed.record(killed.dead())
    queue.holds([job(1, prefix), job(2, prefix, "b", "PENDING")])
    assert main(["recover", "tiny.yaml"]) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["job", "state", "since", "rule", "cohort"]
    assert lines[1] == ["2", "pending", "2026-03-01T09:00:00", "train", "b"]
    assert lines[2] == ["1", "running", "2026-03-01T10:00:00", "train", "a"]
    assert not head.last_head(RESULTS).ended
    assert queue.said("cancelled") == []


def test_waiting_lasts_until_the_queue_is_empty(queue, prefix, said):
    killed.record(killed.dead())
    both, one = [job(1, prefix), job(2, prefix)], [job(2, prefix)]
    queue.holds(both, both, one, [])
    assert recover("tiny.yaml", "wait", say=said.append, poll=0) == 0
    assert said[:3] == [
        "waiting for 2 jobs: 2 running",
        "waiting for 1 job: 1 running",
        "all of them have ended",
    ]
    assert head.last_head(RESULTS).ended
    assert recover("tiny.yaml", say=said.append) == 0
    assert "nothing to recover" in said[-1]


def test_waiting_ends_with_its_time_and_changes_nothing(queue, prefix, capsys):
    killed.record(killed.dead())
    queue.holds([job(1, prefix)])
    assert main(["recover", "tiny.yaml", "--wait", "--timeout", "0s"]) == 1
    assert "1 job left after 0 s. Nothing was changed." in capsys.readouterr().out
    assert not head.last_head(RESULTS).ended


def test_cancelling_recovers_and_removes_the_locks(study, queue, prefix):
    killed.record(killed.dead())
    locks = study / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/tiny/plan.json\n")
    queue.holds([job(1, prefix)])
    assert main(["recover", "tiny.yaml", "--cancel"]) == 0
    assert queue.said("cancelled") == ["1"]
    assert not any(locks.iterdir())


def test_controller_that_is_down_leaves_everything_as_it_is(queue, monkeypatch):
    killed.record(killed.dead())
    queue.holds(DOWN)
    monkeypatch.setattr(cluster.time, "monotonic", iter(range(0, 10_000, 100)).__next__)
    with pytest.raises(UserError, match="nothing was changed"):
        recover("tiny.yaml", "cancel")
    assert head.last_head(RESULTS) == killed.dead()


def test_second_recovery_at_once_is_refused():
    killed.record(killed.dead())
    with (
        head.held(RESULTS),
        pytest.raises(UserError, match="worked on already, by another process"),
    ):
        recover("tiny.yaml")


def test_recovery_is_refused_while_the_head_lives():
    begun = killed.begin()
    try:
        with pytest.raises(UserError, match=f"worked on already, by process {begun.pid} on"):
            recover("tiny.yaml", "cancel")
    finally:
        killed.kill(begun)


@pytest.mark.parametrize("marked", [True, False])
def test_cohorts_finished_without_their_head_are_kept_until_the_code_changes(
    study, queue, prefix, said, marked
):
    """Trained by version 1; the head of version 2 is killed, and only cohort a's job ends well."""
    assert run.run_study("tiny.yaml") == 0
    assert killed.trained() == ["a", "b"]
    (study / "version").write_text("2")
    killed.kill(killed.begin())
    queue.holds([job(1, prefix)], [])
    killed.finish("a", marked=marked)
    assert recover("tiny.yaml", "wait", say=said.append, poll=0) == 0
    assert "finished after their head died, and kept: 1 cohort (a)" in said
    assert run.run_study("tiny.yaml") == 0
    assert killed.trained() == ["a", "b", "b"]  # b once more, by version 2
    (study / "version").write_text("3")
    assert run.run_study("tiny.yaml") == 0
    assert killed.trained() == ["a", "a", "b", "b", "b"]


@pytest.mark.usefixtures("queue")
def test_start_after_an_emptied_queue_keeps_what_was_finished(capsys):
    killed.kill(killed.begin())
    killed.finish("a", marked=True)
    assert run.run_study("tiny.yaml") == 0
    assert "finished after their head died, and kept: 1 cohort (a)" in capsys.readouterr().out
    assert killed.trained() == ["b"]


@pytest.mark.parametrize("harm", ["torn", "older code"])
@pytest.mark.usefixtures("queue")
def test_what_cannot_count_is_trained_again(said, harm):
    killed.kill(killed.begin())
    killed.finish("a", marked=False)
    if harm == "torn":
        (RESULTS / "logs/curves/a.parquet").write_bytes(b"PAR1 and no more")
        words = "left half written, and trained again: 1 cohort (a)"
    else:
        killed.record(replace(head.last_head(RESULTS), code="0" * 12))
        words = (
            "finished after their head died, but code, tables or device have changed since, and "
            "trained again: 1 cohort (a)"
        )
    assert recover("tiny.yaml", say=said.append) == 0
    assert said[0] == words
    assert run.run_study("tiny.yaml") == 0
    assert killed.trained() == ["a", "b"]


def test_record_of_a_long_path_lies_in_pieces_that_a_folder_can_hold():
    pieces = record_path("metadata", Path("results", "x" * 400, "a.parquet")).parts[2:]
    assert len(pieces) == 3
    assert all(len(piece) <= 255 for piece in pieces)
    assert [piece.startswith("@") for piece in pieces] == [True, True, False]


def test_times_are_given_with_their_unit():
    assert seconds("2h") == 7200
    for wrong in ("2", "h", "-3s", "2 weeks", "infs"):
        with pytest.raises(UserError, match="a number with its unit"):
            seconds(wrong)
