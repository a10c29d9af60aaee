"""One head a study: the process that runs Snakemake, how it starts and ends, and what it leaves.

Two heads would write the same files. A head holds a lock on ``results/<study>/.running.json`` that
the system frees however it dies; every process below it carries the study's folder in its
environment, so that what a killed head left running is found and stopped.
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
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from ..errors import UserError

RECORD = ".running.json"
MARK = "VANISHING_RESULTS"  # in the environment of Snakemake and of all its jobs
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Head:
    """The process at the head of a study; ``started`` tells it from a later one with its pid."""

    pid: int
    started: float  # seconds since 1970
    host: str

    def alive(self) -> bool:
        """Whether it runs still; a head on another machine is believed to."""
        import psutil

        if self.host != platform.node():
            return True
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 2
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def head(results: Path) -> Head | None:
    """The head that works on the study now, if one does."""
    try:
        said = Head(**json.loads((results / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # no record, or an empty one: the last head ended well
    return said if said.alive() else None


@contextlib.contextmanager
def only_head(results: Path, patience: float = 5) -> Iterator[None]:
    """Be the only head of the study in ``results``, after what a dead one left is stopped.

    Another one is given ``patience`` seconds to end, then refuses us (:class:`UserError`).
    """
    results.mkdir(parents=True, exist_ok=True)
    with (results / RECORD).open("a+") as record:
        _lock(record, results, patience)
        stop_all(below(results))
        remove_stale_locks(results)
        _write(record, json.dumps(asdict(_myself())))
        try:
            yield
        finally:
            _write(record, "")


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
    }


def below(results: Path) -> list:
    """All processes that work on the study below a head, by the mark in their environment."""
    import psutil

    found, mark = [], str(results.resolve())
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.pid != os.getpid():
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
    other = head(results)
    who = f"process {other.pid} on {other.host}" if other else "another process"
    raise UserError(
        f"{results} is being worked on already, by {who}. Wait until it ends (vanishing status "
        f"{results.name} says how far it is), or stop it: it goes on from there."
    )


def _myself() -> Head:
    import psutil

    return Head(os.getpid(), psutil.Process().create_time(), platform.node())


def _write(record: IO, text: str) -> None:
    record.seek(0)
    record.truncate()
    record.write(text)
    record.flush()
