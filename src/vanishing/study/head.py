"""One head a study: the process that runs Snakemake, how it starts and ends, and what it leaves.

Two heads would write the same files. A head holds a lock on ``results/<study>/.running.json`` that
the system frees however it dies; every process below it carries the study's folder in its
environment, so that what a killed head left running is found and stopped. Where other machines
share the folder, a living head is known by its touching the record every half a minute: the file
system's clock alone tells how long ago that was.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from ..errors import UserError

RECORD = ".running.json"
MARK = "VANISHING_RESULTS"  # in the environment of Snakemake and of all its jobs
MARK_JOB = "VANISHING_HEAD_JOB"  # beside it: the cluster's job that the head itself runs in
CLUSTER_JOB = "SLURM_JOB_ID"
BEAT = 30  # seconds between two touches of the record by a head
SILENCE = 300  # seconds without one, after which a head on another machine is dead
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Head:
    """The process at the head of a study; ``started`` tells it from a later one with its pid."""

    pid: int
    started: float  # seconds since 1970
    host: str
    executor: str = "local"  # of its profile: what may outlive it
    code: str = ""  # fingerprint of the code that trains
    since: float = 0.0  # ``started`` by the clock of the file system
    ended: bool = False  # by itself, after all below it had


def head(results: Path) -> Head | None:
    """The head that works on the study now, if one does."""
    last = last_head(results)
    return last if last and not last.ended and alive(last, results) else None


def last_head(results: Path) -> Head | None:
    """The head that began to work on the study last; None where no record tells."""
    try:
        return Head(**json.loads((results / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def alive(last: Head, results: Path) -> bool:
    """Whether a head that has not ended runs still; on another machine, whether it beats."""
    import psutil

    if last.host != platform.node():
        return silence(results) < SILENCE
    try:
        process = psutil.Process(last.pid)
        same = abs(process.create_time() - last.started) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def silence(results: Path) -> float:
    """For how many seconds no head has touched the record, by the clock of the file system."""
    return clock(results) - (results / RECORD).stat().st_mtime


def clock(folder: Path) -> float:
    """What time it is for the file system of ``folder``, in seconds since 1970."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock") as file:
            return Path(file.name).stat().st_mtime
    except OSError:  # a folder that we may only read: the clock of this machine is near enough
        return time.time()


@contextlib.contextmanager
def only_head(
    results: Path,
    patience: float = 5,
    *,
    executor: str = "local",
    code: str = "",
    after: Callable[[Head | None], None] = lambda last: None,
) -> Iterator[Callable[[], None]]:
    """Be the only head of the study in ``results``, after what a dead one left is stopped.

    Another one is given ``patience`` seconds to end, then refuses us (:class:`UserError`). What
    the last head left is shown to ``after``, which may refuse too: its record is kept then. What
    this gives is to be called if what is below us has not ended in order: the next head then deals
    with it as after a death.
    """
    results.mkdir(parents=True, exist_ok=True)
    with held(results, patience) as record:
        after(last_head(results))
        remove_stale_locks(results)
        me = _myself(executor, code, clock(results))
        _write(record, json.dumps(asdict(me)))
        in_order = [True]
        try:
            with _beating(results / RECORD):
                yield in_order.clear
        finally:
            _write(record, json.dumps(asdict(replace(me, ended=bool(in_order)))))


@contextlib.contextmanager
def held(results: Path, patience: float = 5, *, gone: bool = False) -> Iterator[IO]:
    """The record of a study whose head is dead, locked, with what it left here stopped.

    A head on another machine that beats is alive, unless a person says that it is ``gone``.
    """
    with (results / RECORD).open("a+") as record:
        _lock(record, results, patience)
        other = last_head(results)
        if other and other.host != platform.node() and head(results) and not gone:
            raise UserError(
                f"{_busy(results, other)} It was alive {max(0, silence(results)):.0f} s ago, and "
                f"counts as dead after {SILENCE} s of silence. If you know that it is gone: "
                f"vanishing recover {results.name} --head-is-gone."
            )
        stop_all(below(results))
        yield record


def conclude(record: IO, last: Head) -> None:
    """Write down that nothing of a dead head is left, in the record that :func:`held` gives."""
    _write(record, json.dumps(asdict(replace(last, ended=True))))


def start(
    command: Sequence[str], results: Path, log: IO, variables: Mapping[str, str]
) -> subprocess.Popen:
    """Start ``command`` in a session of its own: a Ctrl-C at the terminal reaches only its head.

    Its environment is :func:`environment` with ``variables``.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**environment(os.environ, results), **variables},
        start_new_session=True,
    )


def environment(outer: Mapping[str, str], results: Path) -> dict[str, str]:
    """The environment of all jobs: one thread each, our programs first, caches in ``results``."""
    cache = results.resolve() / ".cache"  # the home folder need not be writable
    programs = str(Path(sys.executable).parent)
    kept = {k: v for k, v in outer.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return kept | {
        **dict.fromkeys(ONE_THREAD, "1"),
        # glibc's defaults give memory back and fetch it again at every step: half the speed of
        # stacked convolutions. 32 MiB is the most that the first of them takes.
        "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20),
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "XDG_CACHE_HOME": str(cache),
        "MPLCONFIGDIR": str(cache / "matplotlib"),
        "PATH": os.pathsep.join([programs, outer.get("PATH", os.defpath)]),
        MARK: str(results.resolve()),
        MARK_JOB: outer.get(CLUSTER_JOB, ""),
    }


def below(results: Path) -> list:
    """All processes that work on the study below a head, by the mark in their environment.

    Those of a cluster's jobs are not, though their node be this machine: the cluster ends them.
    """
    import psutil

    found, mark = [], str(results.resolve())
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            theirs = process.environ()
            of_cluster = theirs.get(CLUSTER_JOB, "") not in ("", theirs.get(MARK_JOB))
            if theirs.get(MARK) == mark and not of_cluster and process.pid != os.getpid():
                found.append(process)
    return found


def stop(child: subprocess.Popen, results: Path, patience: float = 8) -> None:
    """End Snakemake as Ctrl-C does, so that it tidies up; kill what is left after ``patience``."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(patience)
    stop_all(below(results), patience=1)
    child.wait()


def stop_all(processes: list, patience: float = 5) -> None:
    """End ``processes`` with SIGTERM, and with SIGKILL those that do not end."""
    import psutil

    for send in ("terminate", "kill"):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                getattr(process, send)()
        _, processes = psutil.wait_procs(processes, timeout=patience)


def remove_stale_locks(results: Path, folder: Path = Path(".snakemake/locks")) -> None:
    """Remove Snakemake's locks on files of this study, which a killed head leaves behind.

    ``snakemake --unlock`` would remove those of every study in the folder, and take seconds.
    """
    inside = f"{results}/"
    for lock in folder.glob("*.lock"):
        ours = any(line.startswith(inside) for line in lock.read_text().splitlines())
        if ours and not _by_hand():
            lock.unlink(missing_ok=True)


def _by_hand() -> bool:
    """Whether somebody runs ``snakemake`` itself in this folder, without a head of ours."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            named = any(
                Path(word).name in ("snakemake", "__main__.py") for word in process.cmdline()[:3]
            )
            if named and Path(process.cwd()) == Path.cwd() and MARK not in process.environ():
                return True
    return False


def _lock(record: IO, results: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                break
        time.sleep(0.1)
    raise UserError(_busy(results, head(results)))


def _busy(results: Path, other: Head | None) -> str:
    who = f"process {other.pid} on {other.host}" if other else "another process"
    return (
        f"{results} is being worked on already, by {who}. Wait until it ends (vanishing status "
        f"{results.name} says how far it is), or stop it: it goes on from there."
    )


def _myself(executor: str, code: str, since: float) -> Head:
    import psutil

    created = psutil.Process().create_time()
    return Head(os.getpid(), created, platform.node(), executor, code, since)


@contextlib.contextmanager
def _beating(record: Path) -> Iterator[None]:
    """Touch ``record`` every :data:`BEAT` seconds, in a thread: whatever the head waits for."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(OSError):  # a network file system that is away for a while
                os.utime(record)

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _write(record: IO, text: str) -> None:
    record.seek(0)
    record.truncate()
    record.write(text)
    record.flush()
