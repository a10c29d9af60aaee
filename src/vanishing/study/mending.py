"""What a start puts right in a study's files before anything relies on them.

A clock that jumped leaves files from the future: Snakemake refuses to make anything from them. A
person who deletes a damaged log leaves a cohort that counts as trained and has not all of its logs.
A process that was killed leaves the file that it was writing, under a name that nobody reads; a
config that changed leaves checkpoints of cohorts that nobody trains any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from ..tables import LOGS
from .head import clock

VOUCHES = "runs"  # the log that is written last, and says that the others are there
# What Snakemake compares the times of.
TIMED = ("", f"logs/{VOUCHES}", "tables", "claims", "figures", "notebooks", "report")
WRITING = re.compile(r"\..+\.[a-z0-9_]{8}")  # names of temporary files, as files.atomic has them


def mend(results: Path, planned: Collection[str] | None = None) -> list[str]:
    """Put right what can be; gives what to tell a person of it, a line each.

    ``planned``: the ids of the plan's cohorts; without them all checkpoints are left. Nothing may
    be at work on the study meanwhile.
    """
    said = []
    remove_leftovers(results)
    if count := len(to_present(results)):
        files = "1 file was" if count == 1 else f"{count:,} files were"
        said.append(f"a clock has jumped: {files} from the future, and given the present time")
    if ids := forget_incomplete(results):
        some = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        cohorts = "1 cohort" if len(ids) == 1 else f"{len(ids):,} cohorts"
        said.append(f"some logs are missing, and trained again: {cohorts} ({some})")
    if planned is not None:
        remove_checkpoints(results, planned)
    return said


def to_present(results: Path) -> list[Path]:
    """Give all files from the future the present time, in the order that they had."""
    now = int(clock(results) * 1e9)
    ahead = sorted((time, path) for path, time in _times(results).items() if time > now)
    for place, (_, path) in enumerate(ahead, 1):
        then = now - 1000 * (len(ahead) - place)  # nanoseconds
        os.utime(path, ns=(then, then))
    return [path for _, path in ahead]


def remove_leftovers(results: Path) -> None:
    """Remove the files that a killed process was writing."""
    logs = (f"logs/{name}" for name in LOGS)
    for folder in (results / name for name in {*TIMED, *logs, "cohorts", "running"}):
        for file in folder.glob(".*") if folder.is_dir() else ():
            if WRITING.fullmatch(file.name):
                file.unlink(missing_ok=True)


def forget_incomplete(results: Path) -> list[str]:
    """Have the cohorts trained again that lack one of their logs; their ids.

    What an older version trained, that has a kind of log less, is trained again in any case.
    """
    others = [set(_files(results / "logs" / name)) for name in LOGS if name != VOUCHES]
    trained = set(_files(results / "logs" / VOUCHES))
    torn = sorted(name for name in trained if not all(name in other for other in others))
    for name in torn:
        (results / "logs" / VOUCHES / name).unlink()
    return [Path(name).stem for name in torn]


def remove_checkpoints(results: Path, planned: Collection[str]) -> None:
    """Remove the checkpoints of cohorts that are trained, or not ``planned`` any more."""
    folder = results / "checkpoints"
    trained = {Path(name).stem for name in _files(results / "logs" / VOUCHES)}
    for mine in folder.iterdir() if folder.is_dir() else ():
        if mine.name in trained or mine.name not in planned:
            shutil.rmtree(mine, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()  # where nothing is left in it; no job makes a folder in it meanwhile


def _times(results: Path) -> dict[Path, int]:
    """When each file was written, in nanoseconds since 1970."""
    found = {}
    for folder in (results / name for name in TIMED):
        found |= {folder / name: stat.st_mtime_ns for name, stat in _files(folder).items()}
    return found


def _files(folder: Path) -> dict[str, os.stat_result]:
    """The files in a folder, but for hidden ones: what is being written is none yet."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        mine = (e for e in entries if not e.name.startswith(".") and e.is_file())
        return {entry.name: entry.stat() for entry in mine}
