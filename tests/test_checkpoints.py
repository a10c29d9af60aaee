"""Checkpoints: a training that is stopped goes on to the same numbers; a bad one stops nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from vanishing.engine import heartbeat, job
from vanishing.engine.checkpoints import Checkpoints, key_of
from vanishing.engine.packing import packed, unpacked
from vanishing.engine.watch import Stopped, Watch, watching
from vanishing.tables import LOGS

from .interrupted import COHORTS, NET, StoppingWatch, assert_same, cohort_of, run_in_parts

CPU = torch.device("cpu")
PLAIN = cohort_of(NET)


@pytest.fixture(autouse=True)
def _two_stacks(monkeypatch):
    """Cohorts of three runs come in a stack of two and one of one."""
    monkeypatch.setattr(job, "stacks", lambda runs, *_: [range(2), range(2, runs)])


@pytest.fixture(scope="module")
def undisturbed():
    """The logs of the plain cohort, in stacks of one and two as all here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "stacks", lambda runs, *_: [range(2), range(2, runs)])
        return job.run(PLAIN, device="cpu")


@pytest.mark.parametrize("name", COHORTS)
def test_a_training_that_is_stopped_again_and_again_ends_with_the_same_numbers(name, tmp_path):
    cohort = cohort_of(COHORTS[name])
    found, stops = run_in_parts(cohort, tmp_path, seed=len(name))
    assert stops >= 3
    assert_same(found, job.run(cohort, device="cpu"))


def test_a_training_may_be_stopped_after_every_update(tmp_path):
    cohort = cohort_of(NET | {"steps": 3, "probes": {**NET["probes"], "steps": [0, 2, 3]}})
    found, stops = run_in_parts(cohort, tmp_path, longest=1)
    assert stops == 2 * (cohort["steps"] + 1)
    assert_same(found, job.run(cohort, device="cpu"))


def test_a_finished_stack_is_not_trained_again(tmp_path, undisturbed, monkeypatch):
    steps = PLAIN["steps"] + 1
    with pytest.raises(Stopped, match=f"after update 3 of {PLAIN['steps']}"):
        job.run(PLAIN, device="cpu", watch=StoppingWatch(tmp_path, steps + 4))
    from vanishing.engine import training

    made, advance = [], training.advance

    def counted(stack, step, *wanted):
        made.append((len(stack.lr), step))
        return advance(stack, step, *wanted)

    monkeypatch.setattr(training, "advance", counted)
    assert_same(job.run(PLAIN, device="cpu", watch=Watch(Checkpoints(tmp_path))), undisturbed)
    assert made == [(1, step) for step in range(4, steps)]


def test_what_froze_no_layers_is_not_trained_again_for_the_sake_of_what_did(tmp_path, monkeypatch):
    from vanishing.engine import training

    monkeypatch.setattr(job, "stacks", lambda runs, *_: [range(runs)])
    cohort = cohort_of(COHORTS["freeze, schedule, clip"])
    steps = cohort["steps"] + 1
    with pytest.raises(Stopped):  # in the third training, of which two layers are frozen
        job.run(cohort, device="cpu", watch=StoppingWatch(tmp_path, 2 * steps + 4))
    made, advance = [], training.advance

    def counted(stack, step, *wanted):
        made.append(step)
        return advance(stack, step, *wanted)

    monkeypatch.setattr(training, "advance", counted)
    found = job.run(cohort, device="cpu", watch=Watch(Checkpoints(tmp_path)))
    rest = list(range(1, steps))
    assert made == rest[3:] + rest  # of the third and the fourth
    assert_same(found, job.run(cohort, device="cpu"))


def test_seconds_count_the_time_before_the_stop(tmp_path, monkeypatch):
    clock = iter(range(0, 10**6, 10))
    monkeypatch.setattr("vanishing.engine.watch.time.perf_counter", lambda: next(clock))
    first = Watch(Checkpoints(tmp_path), signals=[signal.SIGTERM])
    with pytest.raises(Stopped):
        first.after("a", 1, 2, lambda: {"step": 1})
    second = Watch(Checkpoints(tmp_path))
    second.resume("a", CPU)
    assert second.seconds() == 10 + 10


# When one is written


def test_a_training_writes_no_checkpoint_before_it_is_time(tmp_path, undisturbed):
    watch = Watch(Checkpoints(tmp_path / "c", seconds=3600))
    assert_same(job.run(PLAIN, device="cpu", watch=watch), undisturbed)
    assert not (tmp_path / "c").exists()


def test_a_training_writes_when_it_is_time_and_goes_on(tmp_path, undisturbed):
    checkpoints = Checkpoints(tmp_path / "c", seconds=0)
    checkpoints._next = 0
    assert_same(job.run(PLAIN, device="cpu", watch=Watch(checkpoints)), undisturbed)
    assert (tmp_path / "c/runs-0-2.pt").exists()
    checkpoints.remove()
    assert not (tmp_path / "c").exists()


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("vanishing.engine.checkpoints.time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, seconds=60)
    write = checkpoints._write

    def slow(*arguments):
        now[0] += 10
        write(*arguments)

    monkeypatch.setattr(checkpoints, "_write", slow)
    now[0] = 60.0
    assert checkpoints.due()
    checkpoints.save("a", {})
    now[0] += 150
    assert not checkpoints.due()
    now[0] += 60
    assert checkpoints.due()


# What is wrong with one


def stopped_at(folder, updates, cohort=PLAIN):
    with pytest.raises(Stopped):
        job.run(cohort, device="cpu", watch=StoppingWatch(folder, updates))


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[::-1]])
def test_a_damaged_checkpoint_is_put_aside(damage, tmp_path, undisturbed, capsys):
    stopped_at(tmp_path, 20)
    for file in tmp_path.glob("*.pt"):
        file.write_bytes(damage(file.read_bytes()))
    watch = Watch(Checkpoints(tmp_path, seconds=3600))
    assert_same(job.run(PLAIN, device="cpu", watch=watch), undisturbed)
    assert "cannot be read" in capsys.readouterr().err
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".aside"] * 3


def test_a_checkpoint_of_other_rates_is_put_aside(tmp_path, undisturbed, capsys):
    other = {**PLAIN, "runs": [{**run, "lr": 0.9} for run in PLAIN["runs"]]}
    stopped_at(tmp_path, 5, other)
    assert_same(job.run(PLAIN, device="cpu", watch=Watch(Checkpoints(tmp_path))), undisturbed)
    assert "is of other settings, rates, code, torch or device" in capsys.readouterr().err


def test_a_key_changes_with_all_that_numbers_rest_on(monkeypatch, tmp_path):
    for function in ("sin", "cos"):
        (tmp_path / function).mkdir()
        (tmp_path / function / "my_snake.py").write_text(
            f"import torch\nsnake = torch.{function}\n"
        )
    monkeypatch.syspath_prepend(tmp_path / "sin")
    cohort, rates = cohort_of(NET | {"activation": "my_snake:snake"}), [0.1, 0.1, 0.1]
    keys = [
        key_of(cohort, rates, CPU),
        key_of({**cohort, "width": 9}, rates, CPU),
        key_of(cohort, [0.1, 0.1, 0.2], CPU),
    ]
    for name in ("A GPU", "another"):
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
            keys.append(key_of(cohort, rates, torch.device("cuda")))
    assert key_of(json.loads(json.dumps(cohort)), rates, CPU) == keys[0]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0.1")
        keys.append(key_of(cohort, rates, CPU))
    with monkeypatch.context() as patch:
        patch.setattr("vanishing.engine.checkpoints.training_code", lambda own: "other")
        keys.append(key_of(cohort, rates, CPU))
    monkeypatch.syspath_prepend(tmp_path / "cos")
    keys.append(key_of(cohort, rates, CPU))
    assert len(set(keys)) == len(keys) == 8


def test_a_checkpoint_that_cannot_be_written_is_told_once_and_ends_nothing(
    tmp_path, undisturbed, capsys
):
    (tmp_path / "file").write_text("")
    checkpoints = Checkpoints(tmp_path / "file" / "c", seconds=0)
    checkpoints._next = 0
    assert_same(job.run(PLAIN, device="cpu", watch=Watch(checkpoints)), undisturbed)
    assert capsys.readouterr().err.count("no checkpoint can be written") == 1


def test_a_stop_without_a_checkpoint_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    watch = StoppingWatch(tmp_path / "file" / "c", 3)
    with pytest.raises(Stopped, match="after update 2 of 9; no checkpoint could be written"):
        job.run(PLAIN, device="cpu", watch=watch)


def test_what_is_packed_comes_back_from_a_file_the_same(tmp_path):
    value = {
        "a": [np.arange(3.0), {("mmd", np.float64(0.5)): np.array([True])}, None],
        np.int64(3): {np.str_("x"): 1},
        "b": (1, "x", np.float64(0.1)),
        "c": [{}, {"v": torch.ones(2, 1).expand(2, 3)}],
    }
    torch.save(packed(value), tmp_path / "a.pt")
    found = unpacked(torch.load(tmp_path / "a.pt", weights_only=True), CPU)
    assert found["a"][0].dtype == np.float64
    assert found["a"][0].tolist() == [0, 1, 2]
    assert found["a"][1]["mmd", 0.5].tolist() == [True]
    assert found["b"] == (1, "x", 0.1)
    assert found[3] == {"x": 1}
    assert torch.equal(found["c"][1]["v"], torch.ones(2, 3))


def test_a_layout_that_a_full_disk_kept_back_is_written_with_what_is_saved_next(tmp_path, capsys):
    watch = Watch(Checkpoints(tmp_path / "c"))
    watch.lay_out([range(3)])
    (tmp_path / "c").write_text("")  # no folder can be made
    watch.split([range(2), range(2, 3)])
    assert "no checkpoint can be written" in capsys.readouterr().err
    (tmp_path / "c").unlink()
    assert watch.checkpoints.save("runs-0-2", {})
    assert Watch(Checkpoints(tmp_path / "c")).layout() == [range(2), range(2, 3)]


# A job


def started(folder, cohort):
    path = folder / "cohorts" / f"{cohort['id']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(cohort))
    program = str(Path(sys.executable).parent / "vanishing")
    command = [program, "train", str(path), "--logs", str(folder / "logs"), "--device", "cpu"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait(until, job, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := until()) and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if not found:
        job.kill()
        raise AssertionError(job.communicate()[1])
    return found


def test_a_job_that_gets_sigterm_goes_on_at_its_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "stacks", lambda runs, *_: [range(runs)])  # as in the job
    cohort = cohort_of(NET | {"steps": 400, "probes": {**NET["probes"], "steps": [0, 400]}})
    alive = tmp_path / "running" / "c.json"
    first = started(tmp_path, cohort)
    said = json.loads(wait(lambda: alive.exists() and alive.read_text(), first))
    assert (said["pid"], said["runs"], said["done"]) == (first.pid, 3, 0)
    first.send_signal(signal.SIGTERM)
    lines = first.communicate(timeout=60)[1]
    assert first.returncode == 143
    assert "of 400; a checkpoint is written, the next start goes on from it" in lines
    assert "Traceback" not in lines
    assert not alive.exists()
    assert (tmp_path / "checkpoints/c/runs-0-3.pt").exists()
    second = started(tmp_path, cohort)
    assert "a training goes on after update" in second.communicate(timeout=120)[1]
    assert second.returncode == 0
    assert not (tmp_path / "checkpoints/c").exists()
    expected = job.run(cohort, device="cpu")
    found = {name: LOGS[name].read(tmp_path / "logs" / name / "c.parquet") for name in LOGS}
    assert_same(found, {name: table.reset_index(drop=True) for name, table in expected.items()})


def test_a_second_ctrl_c_ends_a_job_at_once(tmp_path):
    with watching(tmp_path, "c", 3) as watch:
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.signals == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped, match="stopped by SIGINT after update 3 of 5") as stopped:
            watch.after("a", 3, 5, dict)
    assert stopped.value.status == 130


def test_signals_are_as_before_when_a_job_is_done(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with watching(tmp_path, "c", 3) as watch:
        os.kill(os.getpid(), signal.SIGTERM)
        assert watch.signals == [signal.SIGTERM]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


# The heartbeat


def test_a_heartbeat_says_how_far_the_job_is_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "SECONDS", 0.01)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    file = tmp_path / "running/c.json"
    beating = heartbeat.Heartbeat(file, 3)
    said = json.loads(file.read_text())
    assert set(said) == {
        "host", "pid", "job", "started", "beat", "runs", "done", "step", "steps",
    }  # fmt: skip
    assert (said["job"], said["step"], said["steps"]) == ("77", 0, 0)
    beating.done = 2
    beating.beat(5, 9)
    later = beat_that(file, lambda new: new["step"] == 5)
    assert (later["done"], later["steps"]) == (2, 9)
    assert later["started"] == said["started"] <= later["beat"]
    beating.end()
    assert not file.exists()
    assert not beating._thread.is_alive()


def test_a_heartbeat_goes_on_while_nothing_is_told_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "SECONDS", 0.01)
    file = tmp_path / "running/c.json"
    beating = heartbeat.Heartbeat(file, 3)
    first = json.loads(file.read_text())["beat"]
    second = beat_that(file, lambda new: new["beat"] > first)["beat"]
    beat_that(file, lambda new: new["beat"] > second)
    beating.end()


def beat_that(file, fits, seconds=60):
    """The first sign of life that fits."""
    deadline = time.monotonic() + seconds
    while not fits(said := json.loads(file.read_text())) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert fits(said), said
    return said


def test_a_heartbeat_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "running").write_text("")
    beating = heartbeat.Heartbeat(tmp_path / "running/c.json", 3)
    beating.end()
    assert (tmp_path / "running").read_text() == ""


def test_a_heartbeat_is_gone_when_a_job_fails(tmp_path):
    def fail():
        with watching(tmp_path, "c", 3):
            assert (tmp_path / "running/c.json").exists()
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert not (tmp_path / "running/c.json").exists()
