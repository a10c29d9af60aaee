"""Signs of life of training jobs: who trains which cohort now, and how far each is.

A job writes ``results/<study>/running/<cohort>.json`` every few seconds and removes it at its end.
The clocks of a cluster's nodes differ, and a clock may jump: how old a sign is, is said by the
file's time against that of a file made now, both by the clock of the file system.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from .head import clock

FOLDER = "running"
DEAD_AFTER = 120.0  # seconds without a sign; a job gives one every 5
LONGEST = 60 * 24 * 3600.0  # seconds; a job that has run for longer has seen its clock jump


@dataclass(frozen=True)
class Beat:
    """The last sign of a job: where it runs, how far it is, and how old the sign is."""

    host: str
    pid: int
    job: str  # the scheduler's id of it, or empty
    runs: int
    done: int  # runs of the stacks that are finished
    step: int  # of the stack in training
    steps: int
    elapsed: float | None  # seconds since the job's start; None where its clock has jumped
    age: float  # seconds since the sign; negative where the file is of a clock ahead of ours

    @property
    def alive(self) -> bool:
        """Whether the job is still there. A sign from the future is of a clock that was put back:
        a job that lives writes a new one at once."""
        return abs(self.age) <= DEAD_AFTER and not self._gone_from_here()

    @property
    def where(self) -> str:
        """The job or the process, as a person looks it up."""
        return f"{f'job {self.job}' if self.job else f'process {self.pid}'} on {self.host}"

    def _gone_from_here(self) -> bool:
        """On this machine, whether its process has ended without removing the sign."""
        if self.host != platform.node():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            pass  # somebody else's process
        return False


def beats(results: Path) -> dict[str, Beat]:
    """The last sign of every cohort that has one; files of another kind are left aside."""
    folder = results / FOLDER
    files = sorted(folder.glob("[!.]*.json")) if folder.is_dir() else []
    if not files:
        return {}
    now = clock(folder)
    read = {file.stem: _read(file, now) for file in files}
    return {name: beat for name, beat in read.items() if beat}


def _read(file: Path, now: float) -> Beat | None:
    try:
        age = now - file.stat().st_mtime
        said = json.loads(file.read_text())
        whole = {key: max(int(said[key]), 0) for key in ("pid", "runs", "done", "step", "steps")}
        took = float(said["beat"]) - float(said["started"])  # both by the job's own clock
        host, job = str(said["host"]), str(said["job"] or "")
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None  # removed since, half written, or not ours
    elapsed = took + min(max(age, 0), DEAD_AFTER)
    known = 0 <= took <= LONGEST
    return Beat(host=host, job=job, elapsed=elapsed if known else None, age=age, **whole)
