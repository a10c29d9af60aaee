"""Jobs of a study in a cluster's queue: which are its own, asked for and cancelled."""

from pathlib import Path

import pytest

from vanishing.errors import UserError
from vanishing.study import cluster

from ..fake_slurm import DOWN, job


def test_names_of_jobs_are_of_one_results_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cluster.job_prefix(Path("results/a")) == cluster.job_prefix(tmp_path / "results/a")
    assert cluster.job_prefix(Path("results/a")) != cluster.job_prefix(Path("results/b"))


def test_only_the_jobs_of_this_study_are_seen(queue, prefix):
    other = cluster.job_prefix(Path("results/tiny2"))
    foreign = ["9", "RUNNING", "N/A", "N/A", "my|own job", ""]
    mine = [job(1, prefix), job(2, prefix, "b", "PENDING")]
    queue.holds([*mine, job(3, other), foreign, job(4, prefix + "0")])
    assert cluster.jobs(prefix) == [
        cluster.Job("1", "RUNNING", "2026-03-01T10:00:00", "train", "a"),
        cluster.Job("2", "PENDING", "2026-03-01T09:00:00", "train", "b"),
    ]


def test_filters_that_a_user_has_set_for_squeue_hide_no_job(queue, prefix, monkeypatch):
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")
    cluster.jobs(prefix)
    arguments, environment = queue.said("asked")
    assert "--me" in arguments
    assert "SQUEUE_STATES" not in environment
    assert "PATH" in environment


def test_controller_that_is_away_for_a_moment_is_asked_again(queue, prefix, monkeypatch):
    monkeypatch.setattr(cluster.time, "sleep", lambda _: None)
    queue.holds(DOWN, DOWN, [job(1, prefix)])
    assert [j.id for j in cluster.jobs(prefix)] == ["1"]


def test_controller_that_stays_away_is_no_empty_queue(queue, prefix):
    queue.holds(DOWN)
    with pytest.raises(UserError, match=r"does not say which jobs.*contact slurm controller"):
        cluster.jobs(prefix, patience=0)


def test_cancelling_ends_the_jobs_of_this_study_only(queue, prefix):
    other = cluster.job_prefix(Path("results/tiny2"))
    queue.holds([job(1, prefix), job(2, prefix), job(3, other)])
    cluster.cancel(cluster.jobs(prefix), prefix)
    assert queue.said("cancelled") == ["1", "2"]
    assert cluster.jobs(prefix) == []
    assert [j.id for j in cluster.jobs(other)] == ["3"]


def test_job_that_ended_before_it_was_cancelled_is_no_error(queue, prefix):
    queue.holds([job(1, prefix)])
    left = cluster.jobs(prefix)
    queue.holds([])
    cluster.cancel(left, prefix)
    assert queue.said("cancelled") == ["1"]


def test_jobs_that_cannot_be_cancelled_are_named(queue, prefix):
    queue.holds([job(17, prefix)])
    (queue.folder / "stubborn").touch()
    with pytest.raises(UserError, match=r"1 cancelled jobs are in .* still \(17\)"):
        cluster.cancel(cluster.jobs(prefix), prefix, patience=0)
