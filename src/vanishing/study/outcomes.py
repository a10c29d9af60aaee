"""What finished cohorts came to: runs, time and divergences, of one look at each runs log.

A log is read once: what it says is kept by its name, time and size, within a process and, where
the folder can be written, in ``results/<study>/.cache/status.json``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import write_text

CACHE = Path(".cache/status.json")
COLUMNS = ("run_id", "outcome", "seconds")
WORTH_KEEPING = 200  # logs newly read that are worth a write of the cache


@dataclass(frozen=True)
class Outcome:
    """Of a cohort's runs log: its time and size, training time in seconds, the diverged runs."""

    stamp: tuple[int, int]  # nanoseconds since 1970, bytes
    seconds: float
    diverged: tuple[str, ...]


class Outcomes:
    """The outcomes of finished cohorts, read when they are first asked for."""

    def __init__(self, results: Path) -> None:
        self._results, self._known = results, _cached(results / CACHE)

    def of(self, cohorts: Iterable[str]) -> dict[str, Outcome]:
        """The outcome of each cohort, but for those whose log cannot be read."""
        new = 0
        found = {}
        for cohort in cohorts:
            file = self._results / "logs" / "runs" / f"{cohort}.parquet"
            try:
                there = file.stat()
            except OSError:
                continue
            stamp = (there.st_mtime_ns, there.st_size)
            known = self._known.get(cohort)
            if known is None or known.stamp != stamp:
                known, new = _read(file, stamp), new + 1
            if known:
                found[cohort] = self._known[cohort] = known
        if new >= WORTH_KEEPING:
            self._keep()
        return found

    def _keep(self) -> None:
        text = json.dumps({name: asdict(known) for name, known in self._known.items()})
        with contextlib.suppress(OSError):  # a folder that may only be read
            write_text(self._results / CACHE, text)


def _cached(path: Path) -> dict[str, Outcome]:
    """What an earlier look has kept; nothing where it cannot be understood."""
    try:
        said = json.loads(path.read_text())
        return {
            name: Outcome(tuple(o["stamp"]), float(o["seconds"]), tuple(o["diverged"]))
            for name, o in said.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _read(file: Path, stamp: tuple[int, int]) -> Outcome | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as log:
            read = log.read(columns=list(COLUMNS)).to_pydict()
        seconds = float(sum(read["seconds"]))
        pairs = zip(read["run_id"], read["outcome"], strict=True)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None  # cut short, empty, of another version: for `vanishing study` to judge
    return Outcome(stamp, seconds, tuple(run for run, outcome in pairs if outcome == "diverged"))
