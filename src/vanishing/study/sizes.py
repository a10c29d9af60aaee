"""How long jobs are, in words, and how many at a time a profile runs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from . import slots
from .places import profile_path

# Seconds that a job of a size stays under.
SIZES = {
    "under 10 s": 10, "10 s to 1 min": 60, "1 to 10 min": 600, "10 min to 1 h": 3600,
    "1 h and more": float("inf"),
}  # fmt: skip


@dataclass(frozen=True)
class Places:
    """How many jobs run at a time, and where."""

    count: int
    what: str  # "2 cores", "100 jobs in the queue of slurm"

    @classmethod
    def here(cls) -> Places:
        """This machine's cores."""
        count = slots.cores()
        return cls(count, f"{count} core{'s' * (count > 1)}")

    @classmethod
    def of_profile(cls, profile: str | os.PathLike) -> Places:
        """As a profile's ``config.yaml`` says; this machine's cores where it does not.

        Its template language is not run: of a value that Python makes, the last number counts.
        """
        folder = profile_path(profile, Path("workflow/profiles"))
        text = (folder / "config.yaml").read_text()
        said = _top_level(text)
        name, here = folder.name, cls.here()
        if said.get("executor", "local") != "local":
            count = _number(said.get("jobs", "")) or 100
            return cls(count, f"{count} jobs at a time of profile {name}")
        if "slots.jobs_at_once" in text and slots.devices(os.environ):
            count = slots.jobs_at_once(os.environ)
            return cls(count, f"{count} device slots of profile {name}")
        count = _number(said.get("cores", "")) or _number(said.get("jobs", "")) or here.count
        what = f"{count} core{'s' * (count > 1)}"
        return cls(count, what if name == "default" else f"{what} of profile {name}")


def size_of(seconds: float) -> str:
    """The size of a job that takes so long.

    >>> [size_of(s) for s in (3, 45, 60, 1800, 1e5)]
    ['under 10 s', '10 s to 1 min', '1 to 10 min', '10 min to 1 h', '1 h and more']
    """
    return next(name for name, limit in SIZES.items() if seconds < limit)


def _top_level(text: str) -> dict[str, str]:
    """The keys of a YAML file that are not indented, with what stands on their lines."""
    return dict(re.findall(r"^([a-z-]+):[ \t]*([^#\n]*?)[ \t]*(?:#.*)?$", text, re.MULTILINE))


def _number(value: str) -> int:
    """The last whole number in a value; 0 where there is none."""
    found = re.findall(r"\d+", value)
    return int(found[-1]) if found else 0
