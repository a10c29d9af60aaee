"""Device slots: which GPU of this machine a job may use, handed out by file locks.

Snakemake knows how many GPUs there are, and not which one a job got. A job therefore takes a slot:
a lock file for each device and place on it, and shows CUDA that device only, before CUDA starts.
The locks are flock's: the system frees them when their holder ends, however it does. They lie with
the machine's temporary files, so machines that share a home do not wait for each other. Inside a
job of a scheduler nothing is done: it has handed out its devices.
"""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"  # indices or UUIDs; CUDA reads it once, when it starts
DEVICES = "VANISHING_DEVICES"  # "0,1": stands in for what nvidia-smi says
PER_DEVICE = "VANISHING_SLOTS_PER_DEVICE"  # jobs that share a device, 2 by default
# What a scheduler sets in a job: SLURM, PBS, LSF, Grid Engine, Flux, OAR, HTCondor.
SCHEDULERS = (
    "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "FLUX_JOB_ID", "OAR_JOB_ID",
    "_CONDOR_JOB_AD",
)  # fmt: skip
TWO = "2"  # one trains while the other reads its data, probes and writes
MAY_USE_CUDA = ("auto", "cuda")
SECONDS_BETWEEN_LOOKS = 0.2  # while every slot is taken


@dataclass(frozen=True)
class Device:
    """A GPU: what its lock files are called by, and by what CUDA is told of it."""

    name: str
    visible: str


@contextmanager
def slot(wanted: str, environment: MutableMapping[str, str]) -> Iterator[Device | None]:
    """Hold a slot for a job whose config says ``wanted``; waits where all are taken.

    Sets CUDA_VISIBLE_DEVICES in ``environment`` (which CUDA sees where it is ``os.environ``) until
    the end. None where nothing is to be handed out: no GPU, a job that uses none, or a scheduler's.
    """
    there = devices(environment) if wanted in MAY_USE_CUDA and not scheduled(environment) else []
    if not there:
        yield None
        return
    before = environment.get(VISIBLE)
    device, lock = _taken(there, per_device(environment), _folder())
    environment[VISIBLE] = device.visible
    try:
        yield device
    finally:
        if before is None:
            del environment[VISIBLE]
        else:
            environment[VISIBLE] = before
        lock.release()


def scheduled(environment: Mapping[str, str]) -> bool:
    """Whether this is a job of a scheduler, which hands out the devices of its machine itself."""
    return any(environment.get(name) for name in SCHEDULERS)


def devices(environment: Mapping[str, str]) -> list[Device]:
    """The GPUs of this machine that a job may use: all, or those that a person left visible."""
    given = environment.get(DEVICES)
    names = _split(given) if given is not None else []
    there = [Device(name, name) for name in names] if given is not None else _of_nvidia_smi()
    if VISIBLE not in environment:
        return there
    chosen = []
    for word in _split(environment[VISIBLE]):
        device = next((d for d in there if _names(word, d)), None)
        if device is None:  # CUDA, too, sees nothing from the first one on that is not there
            break
        chosen.append(Device(device.name, word))
    return chosen


def per_device(environment: Mapping[str, str]) -> int:
    """How many jobs may share a device; one has the whole of it in a scheduler's job."""
    if scheduled(environment):
        return 1
    given = environment.get(PER_DEVICE, TWO)
    if not given.isdecimal() or int(given) < 1:
        raise UserError(f"{PER_DEVICE} is {given!r}: give a whole number of jobs, at least 1.")
    return int(given)


def jobs_at_once(environment: Mapping[str, str]) -> int:
    """As many jobs as there are slots; where there is no GPU, as there are cores."""
    return len(devices(environment)) * per_device(environment) or cores()


def cores() -> int:
    """The cores of this machine that we may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return there or 1


def _of_nvidia_smi() -> list[Device]:
    """By UUID: CUDA may count GPUs in another order than the driver does."""
    command = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if said.returncode:
        return []
    rows = [_split(line) for line in said.stdout.splitlines()]
    return [Device(row[0], row[1]) for row in rows if len(row) == 2]


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]


def _names(word: str, device: Device) -> bool:
    """Whether CUDA would take ``word`` for this device: its index, or how its UUID begins."""
    return word == device.name or (not word.isdecimal() and device.visible.startswith(word))


def _folder() -> Path:
    """Where the locks are: of this machine and this user, whom alone it belongs to."""
    user = getattr(os, "getuid", lambda: 0)()
    folder = Path(tempfile.gettempdir()) / f"vanishing-slots-{platform.node()}-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != user):
        raise UserError(
            f"{folder}, for the locks of device slots, belongs to somebody else: remove it, or set "
            "TMPDIR to a folder of your own on this machine."
        )
    return folder


def _taken(there: list[Device], slots: int, folder: Path) -> tuple[Device, object]:
    """A device with its lock: the first place on every device before the second on any."""
    places = [(device, n) for n in range(slots) for device in there]
    waiting = False
    while True:
        for device, n in places:
            lock = _locked(folder / f"{device.name.replace('/', '_')}-{n}.lock")
            if lock:
                return device, lock
        if not waiting:
            names = ", ".join(device.name for device in there)
            line = f"all {len(places)} slots of the devices {names} are taken: waiting for one"
            print(line, file=sys.stderr, flush=True)  # noqa: T201
        waiting = True
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _locked(path: Path) -> object | None:
    """The lock of ``path``, ours from now on; None where somebody holds it."""
    from filelock import FileLock, SoftFileLock, Timeout

    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    if isinstance(lock, SoftFileLock):  # what filelock falls back to; it would outlive its holder
        lock.release()
        raise UserError(
            f"{path.parent} knows no file locks, which device slots need: set TMPDIR to a "
            "folder on a disk of this machine."
        )
    return lock
