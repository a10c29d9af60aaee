"""Heads of a study, on this machine and on others: which lives, and what its record says."""

import json
import os
import subprocess
import time
from dataclasses import replace

import pytest

from vanishing.errors import UserError
from vanishing.study import head, processes
from vanishing.study.recover import recover

from .. import killed_study as killed
from ..killed_study import RESULTS


def test_head_on_another_machine_lives_while_it_touches_its_record():
    killed.record(killed.dead(host="elsewhere", pid=7))
    assert head.head(RESULTS).pid == 7
    with pytest.raises(UserError, match=r"process 7 on elsewhere.*--head-is-gone"):
        recover("tiny.yaml")
    with (
        pytest.raises(UserError, match="process 7 on elsewhere"),
        head.only_head(RESULTS, patience=0),
    ):
        pass
    with head.held(RESULTS, gone=True):
        assert head.last_head(RESULTS).pid == 7


@pytest.mark.usefixtures("queue")
def test_head_on_another_machine_is_dead_after_five_minutes_of_silence(said):
    killed.record(killed.dead(host="elsewhere"))
    _silent_for(head.SILENCE + 1)
    assert head.head(RESULTS) is None
    assert recover("tiny.yaml", say=said.append) == 0
    assert "goes on from what is finished" in said[-1]


def test_head_on_this_machine_lives_while_it_holds_its_record():
    with head.only_head(RESULTS):
        me = head.last_head(RESULTS)
        killed.record(replace(me, started=me.started - 3600))  # the clock has jumped since
        assert head.head(RESULTS).pid == os.getpid()
    assert head.head(RESULTS) is None
    killed.record(replace(me, ended=False))  # somebody else has its pid
    assert head.head(RESULTS) is None


def test_recovery_at_work_is_no_head():
    killed.record(killed.dead())
    with head.held(RESULTS):
        assert head.head(RESULTS) is None


def test_exception_is_no_end_in_order():
    with pytest.raises(KeyboardInterrupt), head.only_head(RESULTS):
        raise KeyboardInterrupt
    assert not head.last_head(RESULTS).ended


@pytest.mark.parametrize(("fails", "is_new"), [("pwrite", False), ("ftruncate", True)])
def test_record_can_be_read_after_a_write_that_failed(monkeypatch, fails, is_new):
    """No room on the disk, or a kill in the middle: the record is the old one or the new one."""
    old = killed.dead(code="x" * 300, ended=True)
    killed.record(old)

    def no_room(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(head.os, fails, no_room)
        with pytest.raises(OSError, match="No space left"), head.only_head(RESULTS):
            pass
    assert head.last_head(RESULTS).pid == (os.getpid() if is_new else old.pid)
    with head.only_head(RESULTS):
        pass
    assert head.last_head(RESULTS).ended


def test_refusals_name_the_config_by_its_path():
    RESULTS.mkdir(parents=True)
    (RESULTS / "index.json").write_text(json.dumps({"config_path": "mine/tiny.yaml"}))
    killed.record(killed.dead(host="elsewhere"))
    refused = r"vanishing status mine/tiny.yaml says .*: vanishing recover mine/tiny.yaml --head"
    with pytest.raises(UserError, match=refused), head.held(RESULTS):
        pass


def test_head_touches_its_record_while_it_lives(monkeypatch):
    monkeypatch.setattr(head, "BEAT", 0.02)
    with head.only_head(RESULTS):
        _silent_for(1000)
        killed.until(lambda: head.silence(RESULTS) < 100)
    assert head.last_head(RESULTS).ended


def test_silence_is_by_the_clock_of_the_file_system(monkeypatch):
    killed.record(killed.dead())
    monkeypatch.setattr(time, "time", lambda: 0.0)  # a machine whose clock has jumped
    assert 0 <= head.silence(RESULTS) + 0.01 < 100


def test_jobs_of_the_cluster_on_this_machine_are_not_stopped_as_what_a_head_left(study):
    def sleeper(head_in, job_of):
        outer = {**os.environ, "SLURM_JOB_ID": head_in} if head_in else dict(os.environ)
        variables = processes.environment(outer, RESULTS) | (
            {"SLURM_JOB_ID": job_of} if job_of else {}
        )
        return subprocess.Popen(["sleep", "60"], env=variables)

    RESULTS.mkdir(parents=True)
    started = [sleeper(*jobs) for jobs in (("", ""), ("", "77"), ("5", "5"), ("5", "77"))]
    try:
        below, _, in_job, _ = (process.pid for process in started)
        killed.until(lambda: len(processes.below(study / RESULTS)) == 2)
        assert {process.pid for process in processes.below(RESULTS)} == {below, in_job}
        with head.held(RESULTS):
            assert [process.poll() is None for process in started] == [False, True, False, True]
    finally:
        for process in started:
            process.kill()
            process.wait()


def _silent_for(time_: float) -> None:
    when = head.clock(RESULTS) - time_
    os.utime(RESULTS / head.RECORD, (when, when))
