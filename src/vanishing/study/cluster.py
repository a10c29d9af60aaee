"""A study's own jobs in the queue of a SLURM cluster: which there are, and how to end them.

They outlive the head that submitted them. Snakemake's plugin names a job ``<prefix>_<uuid of the
start>``, and the prefix is of one results folder: other studies and other people are left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError

EXECUTOR = "slurm"
FIELDS = "%i|%T|%S|%V|%j|%k"  # id, state, start, submission, name, comment
AT_ONCE = 200  # ids in one call of scancel
ASKING = 30  # seconds until a call of squeue or scancel is given up


@dataclass(frozen=True)
class Job:
    """A job in the queue: pending, running, suspended, or completing."""

    id: str
    state: str  # as SLURM writes it: RUNNING
    since: str  # when it started, or else was submitted; local time of the cluster
    rule: str
    cohort: str  # its wildcards; "" where the rule has none


class QueueError(UserError):
    """The cluster does not say what is in its queue: that is not an empty queue."""


def job_prefix(results: Path) -> str:
    """How the names of all jobs of the study in ``results`` begin, on every machine that sees it.

    >>> job_prefix(Path("/data/results/smoke"))
    'vanishing-3f3dbc19'
    """
    return f"vanishing-{hashlib.sha256(str(results.resolve()).encode()).hexdigest()[:8]}"


def jobs(prefix: str, patience: float = 60) -> list[Job]:
    """The jobs of a study that are in the queue still.

    A queue that does not answer is asked again for ``patience`` seconds, then :class:`QueueError`.
    """
    deadline, pause = time.monotonic() + patience, 1.0
    while True:
        try:
            lines = _ask("squeue", "--me", "--all", "--noheader", f"--format={FIELDS}")
            return [job for line in lines.splitlines() if (job := _job(line, prefix))]
        except (subprocess.SubprocessError, OSError) as error:
            if isinstance(error, FileNotFoundError) or time.monotonic() + pause > deadline:
                raise QueueError(_no_answer(error)) from None
        time.sleep(pause)
        pause = min(2 * pause, 15)


def cancel(left: Sequence[Job], prefix: str, patience: float = 180) -> None:
    """End ``left`` by ``scancel`` and wait until no job of the study is in the queue."""
    ids = [job.id for job in left]
    for first in range(0, len(ids), AT_ONCE):
        try:
            _ask("scancel", *ids[first : first + AT_ONCE])
        except subprocess.CalledProcessError:
            pass  # one that has just ended by itself is an error to scancel: the queue knows
        except (subprocess.SubprocessError, OSError) as error:
            raise QueueError(_no_answer(error)) from None
    deadline = time.monotonic() + patience
    while still := jobs(prefix):
        if time.monotonic() > deadline:
            names = ", ".join(job.id for job in still[:10])
            raise UserError(
                f"{len(still)} cancelled jobs are in the cluster's queue still ({names}): see "
                "`squeue --me`, and start again when they are gone."
            )
        time.sleep(min(1, patience))


def _ask(*command: str) -> str:
    """What a program of SLURM prints, whatever filters the user has set for their own eyes."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SQUEUE_", "SCANCEL_", "SLURM_TIME_FORMAT", "SLURM_CLUSTERS"))
    }
    done = subprocess.run(
        command, env=ours, capture_output=True, text=True, timeout=ASKING, check=True
    )
    return done.stdout


def _job(line: str, prefix: str) -> Job | None:
    """The job of a line of squeue; None if it is not of this study."""
    parts = line.strip().split("|", 5)
    if len(parts) != 6 or not parts[4].startswith(f"{prefix}_"):
        return None
    id_, state, started, submitted, _, comment = parts
    pending = started in ("N/A", "") or state == "PENDING"  # which may have an expected start
    said = re.fullmatch(r"rule_(.+?)(?:_wildcards_(.*))?", comment)
    rule, cohort = said.groups() if said else ("", "")
    return Job(id_, state, submitted if pending else started, rule or "", cohort or "")


def _no_answer(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return (
            f"the study was last run on a cluster, and there is no {error.filename} here to ask "
            "for its jobs: do this on a login node of that cluster."
        )
    said = getattr(error, "stderr", None) or str(error)
    said = said.decode(errors="replace") if isinstance(said, bytes) else said
    why = (said.strip().splitlines() or [""])[-1]
    return (
        f"the cluster does not say which jobs are in its queue ({why}): nothing was changed. "
        "Start again when `squeue --me` answers."
    )
