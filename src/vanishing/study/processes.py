"""The processes below the head of a study: how they start, how they are found, how they end.

Each carries the study's folder in its environment: so what a killed head left running is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

MARK = "VANISHING_RESULTS"  # in the environment of Snakemake and of all its jobs
MARK_JOB = "VANISHING_HEAD_JOB"  # beside it: the cluster's job that the head itself runs in
CLUSTER_JOB = "SLURM_JOB_ID"
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


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


def stop(child: subprocess.Popen, results: Path, patience: float) -> bool:
    """End Snakemake as Ctrl-C does, so that it tidies up; whether it did within ``patience``.

    Its jobs have the same seconds, for their checkpoints. What is left then is killed.
    """
    deadline = time.monotonic() + patience
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(patience)
    by_itself = child.poll() is not None
    stop_below(results, max(1, deadline - time.monotonic()))
    return child.wait() >= 0 and by_itself


def stop_below(results: Path, patience: float = 5) -> None:
    """End all that works on the study below a head, and what that has begun meanwhile.

    Where there was something, none is believed to be left only when looked for twice: a process
    shows no mark while it is turning into another program.
    """
    looks, unseen = 1, 0
    for _ in range(8):  # one that even SIGKILL does not end waits for a disk, and stays
        if left := below(results):
            stop_all(left, patience)
            looks, unseen = 2, 0
        elif (unseen := unseen + 1) == looks:
            return
        else:
            time.sleep(0.1)


def stop_all(processes: list, patience: float = 5) -> None:
    """End ``processes`` with SIGTERM, and with SIGKILL those that do not end."""
    import psutil

    for send in ("terminate", "kill"):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                getattr(process, send)()
        deadline = time.monotonic() + patience
        while (processes := [p for p in processes if _runs(p)]) and time.monotonic() < deadline:
            time.sleep(0.05)


def _runs(process: object) -> bool:
    """Whether a process has not ended; one that its parent has not asked after has."""
    import psutil

    try:  # psutil.wait_procs would keep the exit status of our own children from us
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
