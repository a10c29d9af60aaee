"""Checkpoints: files from which the training of a cohort goes on after its job was ended."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

import torch

from ..files import atomic
from ..parts.registries import REGISTRIES
from ..parts.registry import own_files
from ..provenance import training_code
from .packing import packed, unpacked

SECONDS = 60.0  # between two checkpoints
SHARE = 0.05  # of the time at most that is spent on writing them


def key_of(cohort: dict, rates: list[float | None], device: torch.device) -> str:
    """Changes when a training would not go on to the same numbers from a checkpoint.

    It stands for the cohort, its learning rates, the code that trains it (a part of the user's own
    too), torch, numba and the device. How the runs are stacked is kept beside the checkpoints.
    """
    labels = {cohort[kind] for kind in REGISTRIES if kind in cohort}
    own = own_files(labels | {run["init"] for run in cohort["runs"]})
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    said = [cohort, rates, training_code(own), torch.__version__, where]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class Checkpoints:
    """The checkpoints in ``folder``; without one none is written or found.

    They belong to a ``key``, and one of another key or that cannot be read is put aside. One that
    cannot be written is told once: no training ends for it.
    """

    def __init__(self, folder: Path | None = None, key: str = "", seconds: float = SECONDS) -> None:
        self.folder, self.key, self.seconds = folder, key, seconds
        self._next = time.monotonic() + seconds
        self._kept: dict[str, dict] = {}
        self._told = False

    def due(self) -> bool:
        """Whether it is time to write."""
        return self.folder is not None and time.monotonic() >= self._next

    def read(self, name: str, device: torch.device) -> dict | None:
        """What was saved as ``name``, its tensors on the ``device``; None if there is no such."""
        file = self._file(name)
        if file is None:
            return None
        try:
            saved = torch.load(file, map_location="cpu", weights_only=True)
            key, content = saved["key"], saved["content"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # whatever is wrong with it, training can begin anew
            return self._put_aside(file, f"cannot be read ({type(error).__name__})")
        if key != self.key:
            return self._put_aside(file, "is of other settings, rates, code, torch or device")
        return unpacked(content, device)  # not tried: a full GPU is no fault of the checkpoint

    def keep(self, name: str, content: dict) -> None:
        """Have ``content`` written with what is saved next."""
        if self.folder is not None:
            self._kept[name] = content

    def save(self, name: str, content: dict) -> bool:
        """Write ``content`` and what is kept, and say whether that went well."""
        if self.folder is None:
            return False
        started, left = time.monotonic(), {**self._kept, name: content}
        try:
            for each, values in left.items():
                self._write(self._file(each), values)
                self._kept.pop(each, None)
        except Exception as error:  # a full disk, a state that cannot be pickled
            self._tell(f"no checkpoint can be written ({error}); the training goes on without")
            return False
        finally:
            spent = time.monotonic() - started
            self._next = started + spent + max(self.seconds, spent / SHARE)
        return True

    def remove(self) -> None:
        """What they were for is done."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, name: str) -> Path | None:
        return self.folder and self.folder / f"{name}.pt"

    def _write(self, file: Path, content: dict) -> None:
        with atomic(file) as temporary:
            torch.save({"key": self.key, "content": packed(content)}, temporary)

    def _put_aside(self, file: Path, why: str) -> None:
        aside = file.with_suffix(".aside")
        with contextlib.suppress(OSError):
            file.replace(aside)
        say(f"the checkpoint {file} {why}; it is put aside, and its training begins anew")

    def _tell(self, line: str) -> None:
        if not self._told:
            say(line)
        self._told = True


def say(line: str) -> None:
    """A line in the job's log."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
