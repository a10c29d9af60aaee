"""A sign of life: how far a training job is, in a file that is gone when the job is."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from pathlib import Path

from ..files import write_text

SECONDS = 5.0  # between two beats


class Heartbeat:
    """The file of a job that trains ``runs`` runs; without a ``file`` nothing is written.

    It names the host, the process and the scheduler's job, and says when they started, when they
    were last seen (seconds since 1970), how many ``runs`` there are and are ``done``, and the
    ``step`` of ``steps`` that the stack in training is at. A thread of its own writes it: a probe
    or an update may take minutes. A file that cannot be written is none: no training ends for it.
    """

    def __init__(self, file: Path | None = None, runs: int = 0) -> None:
        self.file, self.runs, self.done = file, runs, 0
        self.step, self.steps, self.started = 0, 0, time.time()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)
        if file is not None:
            self._write(file)
            self._thread.start()

    def beat(self, step: int, steps: int) -> None:
        """The stack in training is at ``step`` of ``steps``, which the next sign will say."""
        self.step, self.steps = step, steps

    def end(self) -> None:
        """The job ends, well or not: nothing is left of it."""
        if self.file is None:
            return
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)

    def _go_on(self) -> None:
        while not self._ended.wait(SECONDS):
            self._write(self.file)

    def _write(self, file: Path) -> None:
        said = {
            "host": platform.node(),
            "pid": os.getpid(),
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "started": self.started,
            "beat": time.time(),
            "runs": self.runs,
            "done": self.done,
            "step": self.step,
            "steps": self.steps,
        }
        with contextlib.suppress(OSError):
            write_text(file, json.dumps(said), durable=False)
