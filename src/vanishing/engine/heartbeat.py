"""A sign of life: how far a training job is, in a file that is gone when the job is."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from pathlib import Path

from ..table import write_text

SECONDS = 5.0  # between two beats at least


class Heartbeat:
    """The file of a job that trains ``runs`` runs; without a ``file`` nothing is written.

    It names the host, the process and the scheduler's job, and says when they started, when they
    were last seen (seconds since 1970), how many ``runs`` there are and are ``done``, and the
    ``step`` of ``steps`` that the stack in training is at. A file that cannot be written is none:
    no training ends for it.
    """

    def __init__(self, file: Path | None = None, runs: int = 0) -> None:
        self.file, self.runs, self.done = file, runs, 0
        self.started, self._next = time.time(), 0.0
        self.beat()

    def beat(self, step: int = 0, steps: int = 0) -> None:
        """Say that the job lives, if it did not just now."""
        now = time.monotonic()
        if self.file is None or now < self._next:
            return
        self._next = now + SECONDS
        said = {
            "host": platform.node(),
            "pid": os.getpid(),
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "started": self.started,
            "beat": time.time(),
            "runs": self.runs,
            "done": self.done,
            "step": step,
            "steps": steps,
        }
        with contextlib.suppress(OSError):
            write_text(self.file, json.dumps(said), durable=False)

    def end(self) -> None:
        """The job ends, well or not: nothing is left of it."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)
