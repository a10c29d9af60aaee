"""Device slots: jobs on GPUs that are not there, each a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from vanishing.errors import UserError
from vanishing.study import slots

from .test_workflow import ROOT

DEADLINE = 60.0  # seconds that a condition is waited for
# Says what it got, waits until as many jobs as argv[2] got something (or a line comes), and ends.
JOB = """
import os, sys, time
from pathlib import Path
from vanishing.study.slots import slot

log, others = Path(sys.argv[1]), int(sys.argv[2])
def say(word, what):
    with log.open("a") as file:
        file.write(f"{word} {what} {os.getpid()}\\n")

with slot("auto", os.environ) as device:
    locks = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
             if os.path.exists(f"/proc/self/fd/{n}")]
    mine = [Path(lock).stem for lock in locks if lock.endswith(".lock")]
    assert [name.split("-")[0] for name in mine] == [os.environ["CUDA_VISIBLE_DEVICES"]]
    say("take", mine[0])
    while log.read_text().count("take") < others:
        time.sleep(0.01)
    exec(sys.argv[3])
    say("free", mine[0])
"""
HOLDS = "sys.stdin.read()"  # until it is killed, or its standard input ends
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def machine(tmp_path):
    """The variables of a machine with three GPUs, two jobs on each, and a folder of its own."""
    own = {"TMPDIR": str(tmp_path), slots.DEVICES: "0,1,2", slots.PER_DEVICE: "2"}
    hidden = (*slots.SCHEDULERS, slots.VISIBLE)
    return {k: v for k, v in os.environ.items() if k not in hidden} | own


def start(log, environment, others=1, then=HOLDS):
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(log), str(others), then],
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def events(log):
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def until(condition):
    """Wait until ``condition`` holds; what it gives."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)
    return found


def end(job):
    said = job.communicate()[1]
    assert job.returncode == 0, said
    return said


@linux
def test_no_two_of_many_jobs_are_ever_on_one_slot(machine, tmp_path):
    """Of 17, six are at work at once, two on each of three GPUs; every slot is used again."""
    log = tmp_path / "log"
    for job in [start(log, machine, 6, "") for _ in range(17)]:
        end(job)
    holders, most = {}, 0
    for word, place, pid in events(log):
        if word == "take":
            assert place not in holders
            holders[place] = pid
            most = max(most, len(holders))
        else:
            assert holders.pop(place) == pid
    assert most == 6
    assert not holders
    assert Counter(word for word, *_ in events(log)) == {"take": 17, "free": 17}
    assert {place for _, place, _ in events(log)} == {f"{d}-{n}" for d in "012" for n in "01"}


@linux
def test_every_gpu_gets_a_job_before_any_gets_a_second(machine, tmp_path):
    log, holders = tmp_path / "log", []
    for count in range(1, 7):
        holders.append(start(log, machine))
        until(lambda count=count: len(events(log)) == count)
    assert [place for _, place, _ in events(log)] == ["0-0", "1-0", "2-0", "0-1", "1-1", "2-1"]
    for holder in holders:
        end(holder)


@linux
@pytest.mark.parametrize("then", ["os.fork() or time.sleep(1e4)", "os.system('sleep 10000 &')"])
def test_a_killed_holder_frees_its_slot_whatever_it_started(machine, tmp_path, then):
    """A child that outlives it, forked or a program of its own, does not keep the lock."""
    log, one = tmp_path / "log", machine | {slots.DEVICES: "0", slots.PER_DEVICE: "1"}
    holder = start(log, one, then=f"{then}\nsay('started', 'it')\n{HOLDS}")
    until(lambda: len(events(log)) >= 2)
    waiting = start(log, one)
    assert "all 1 slots of the devices 0 are taken" in waiting.stderr.readline()
    assert [word for word, *_ in events(log)].count("take") == 1
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    orphans = children or _sleepers(holder.pid)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdin.close()
    holder.stderr.close()
    until(lambda: [word for word, *_ in events(log)].count("take") == 2)
    for pid in orphans:
        os.kill(int(pid), signal.SIGKILL)
    end(waiting)


def _sleepers(pid):
    """Programs that the shell of process ``pid`` left behind: they share its process group."""
    group = os.getpgid(pid)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = (folder / "cmdline").read_text() == "sleep\x0010000\x00"
            if mine and os.getpgid(int(folder.name)) == group:
                found.append(folder.name)
        except OSError:  # ended meanwhile
            continue
    return found


def visible(wanted, environment):
    """What CUDA is shown of the device while a slot is held, and what after."""
    with slots.slot(wanted, environment):
        during = environment.get(slots.VISIBLE)
    return during, environment.get(slots.VISIBLE)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(slots.tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("own_folder")
def test_a_slot_shows_its_device_only_and_leaves_no_trace():
    given = {slots.DEVICES: "4,7"}
    jobs = [dict(given), dict(given)]
    with slots.slot("cuda", jobs[0]) as first, slots.slot("auto", jobs[1]) as second:
        assert [job[slots.VISIBLE] for job in jobs] == ["4", "7"] == [first.name, second.name]
    assert jobs == [given, given]


@pytest.mark.parametrize("scheduler", slots.SCHEDULERS)
def test_what_a_scheduler_handed_out_is_left_alone(scheduler, own_folder):
    given = {scheduler: "17", slots.VISIBLE: "3", slots.DEVICES: "0,1", slots.PER_DEVICE: "4"}
    assert visible("cuda", dict(given)) == ("3", "3")
    assert visible("auto", {scheduler: "17", slots.DEVICES: "0"}) == (None, None)
    assert slots.per_device(given) == 1
    assert not list(own_folder.iterdir())


@pytest.mark.parametrize("wanted", ["cpu", "mps"])
def test_a_job_that_uses_no_gpu_takes_no_slot(wanted, own_folder):
    assert visible(wanted, {slots.DEVICES: "0"}) == (None, None)
    assert not list(own_folder.iterdir())


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("1", ["1"]),
        ("2,0", ["2", "0"]),
        ("GPU-bb", ["1"]),
        ("", []),
        ("-1", []),
        ("0,-1,2", ["0"]),
        ("0,9,2", ["0"]),
        (None, ["0", "1", "2"]),
    ],
)
def test_a_persons_restriction_is_kept_and_read_as_cuda_reads_it(given, names, monkeypatch):
    ids = ["GPU-aa1", "GPU-bb2", "GPU-cc3"]
    there = [slots.Device(str(n), uuid) for n, uuid in enumerate(ids)]
    monkeypatch.setattr(slots, "_of_nvidia_smi", lambda: there)
    environment = {} if given is None else {slots.VISIBLE: given}
    assert [device.name for device in slots.devices(environment)] == names
    shown = ids[0] if given is None else given.split(",")[0] if names else given
    assert visible("auto", environment) == (shown, given)


def test_gpus_are_those_of_nvidia_smi_and_none_without_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slots.devices({}) == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-aa1'\necho '1, GPU-bb2'\n")
    program.chmod(0o700)
    assert slots.devices({}) == [slots.Device("0", "GPU-aa1"), slots.Device("1", "GPU-bb2")]
    program.write_text("#!/bin/sh\necho 'couldn't communicate with the driver'\nexit 9\n")
    assert slots.devices({}) == []


def test_there_are_as_many_jobs_at_once_as_slots_and_as_cores_where_there_is_no_gpu(monkeypatch):
    assert slots.jobs_at_once({slots.DEVICES: "0,1,2", slots.PER_DEVICE: "2"}) == 6
    assert slots.jobs_at_once({slots.DEVICES: "0,1,2"}) == 6
    monkeypatch.setattr(slots.os, "sched_getaffinity", lambda _: set(range(5)), raising=False)
    assert slots.jobs_at_once({slots.DEVICES: ""}) == 5


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_slots_of_a_device_are_a_whole_number(given):
    with pytest.raises(UserError, match=r"VANISHING_SLOTS_PER_DEVICE is .* at least 1"):
        slots.per_device({slots.PER_DEVICE: given})


def test_locks_are_in_a_folder_that_nobody_else_can_write(own_folder):
    with slots.slot("auto", {slots.DEVICES: "0"}):
        [folder] = own_folder.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_somebody_elses_is_refused(own_folder):
    with slots.slot("auto", {slots.DEVICES: "0"}):
        [folder] = own_folder.iterdir()
    target = own_folder / "elsewhere"
    folder.rename(target)
    folder.symlink_to(target)
    with (
        pytest.raises(UserError, match="belongs to somebody else"),
        slots.slot("auto", {slots.DEVICES: "0"}),
    ):
        pass


def test_a_disk_without_file_locks_is_refused(own_folder, monkeypatch):
    """Filelock would fall back to files that outlive a killed job."""
    import filelock

    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    with (
        pytest.raises(UserError, match="knows no file locks"),
        slots.slot("auto", {slots.DEVICES: "0"}),
    ):
        pass
    assert not list(own_folder.rglob("*.lock"))


def test_slots_load_without_torch():
    code = "import sys, vanishing.study.slots; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


def test_the_process_that_forks_jobs_never_starts_cuda():
    """A fork could not start it again; and it would see another device than its slot's."""
    code = """
import torch
from vanishing.study import preloaded
def refuse(*_, **__):
    raise AssertionError("CUDA was asked")
for name in ("is_available", "device_count", "init", "_lazy_init", "current_device"):
    setattr(torch.cuda, name, refuse)
preloaded._load(["mlp", "rnn", "cnn", "gan"])
import vanishing.cli, vanishing.analysis.verify
print("loaded", torch.cuda.is_initialized())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "loaded False", done.stderr
