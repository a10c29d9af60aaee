"""How far a study is, from its files alone: this works on a cluster and after a crash, too.

A cohort is done when all its logs are there. It runs when its job gave a sign of life just now, or
its text log was begun since the last start of the study; where the last sign is old, or only a
checkpoint is there, it was interrupted. What the other stations have to do stands in Snakemake's
log.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..tables import LOGS
from . import snakemake_log
from .beats import Beat, beats
from .cost import FLOPS_PER_SECOND, SECONDS_OF_REPORT, SECONDS_PER_JOB
from .head import Head, head, last_head
from .snakemake_log import Failure

# Stations in the order of the data: the rules of each, and the files that it leaves.
STATIONS = {
    "plan": (("plan",), ("plan.json",)),
    "train": (("train",), ()),
    "tables": (
        ("gather",),
        ("tables/runs.parquet", "tables/curves.parquet", "tables/layers.parquet"),
    ),
    "verify": (("verify",), ("claims/verified.json",)),
    "theory": (("predict",), ("tables/predictions.parquet",)),
    "claims": (("judge",), ("claims/ledger.parquet", "claims/facts.json")),
    "notebooks": (("notebook",), ("notebooks",)),
    "paper": (
        ("rulegraph", "paper", "bundle"),
        ("report/paper.html", "report/paper.pdf", "report/bundle.zip"),
    ),
}
STATES = ("done", "running", "failed", "interrupted", "left")
SLOWEST = 0.01  # seconds of estimated work a second: a slower pace is a clock that has jumped


@dataclass(frozen=True)
class CohortState:
    """A cohort of the plan: its runs, their estimated CPU time in seconds, and its state."""

    id: str
    runs: int
    seconds: float
    state: str  # one of STATES
    beat: Beat | None = None  # the last sign of its job, where that has not ended well
    checkpoint: bool = False  # it can go on from one

    @property
    def left(self) -> float:
        """Estimated seconds of what is not trained yet."""
        if self.state == "done":
            return 0.0
        share = self.beat.done / self.beat.runs if self.beat and self.beat.runs else 0.0
        return self.seconds * (1 - min(share, 1))


@dataclass(frozen=True)
class Station:
    """A station of the study: how many of its jobs are done and how many there are."""

    name: str
    done: int
    total: int
    running: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a study is."""

    study: str
    cohorts: tuple[CohortState, ...]
    stations: tuple[Station, ...]
    failures: tuple[Failure, ...]
    running: Head | None  # the process that works on it
    jobs: int  # that this start has to do; 0 until Snakemake has said so
    pace: float | None  # seconds of estimated work done in a second, in this start
    queued: int = 0  # trainings given to a cluster that have not begun
    repeated: int = 0  # attempts that failed and were followed by another
    died: Head | None = None  # the last head, where it ended without putting things in order

    @property
    def runs(self) -> dict[str, int]:
        """How many runs are in each state."""
        return {s: sum(c.runs for c in self.cohorts if c.state == s) for s in STATES}

    @property
    def at_work(self) -> tuple[CohortState, ...]:
        """The cohorts in training."""
        return tuple(c for c in self.cohorts if c.state == "running")

    @property
    def ended(self) -> bool:
        """Whether nothing works on the study now."""
        return self.running is None and not self.at_work

    @property
    def written(self) -> bool:
        """Whether the paper is there, with all trained that it rests on."""
        paper = [s for s in self.stations if s.name == "paper"]
        return all(s.done == s.total for s in paper) and all(
            c.state == "done" for c in self.cohorts
        )

    def seconds_left(self, cores: int) -> float:
        """Estimated wall time to the paper, from the pace so far or else from ``cores``."""
        at_once = max(cores, sum(c.beat is not None for c in self.at_work))
        others = [s for s in self.stations if s.name not in ("plan", "train")]
        jobs = sum(s.total for s in others) or 1
        report = SECONDS_OF_REPORT * (1 - sum(s.done for s in others) / jobs)
        return sum(c.left for c in self.cohorts) / (self.pace or at_once) + report / cores


def progress(results: Path) -> Progress:
    """How far the study in ``results`` is: one look into each folder, whatever its size."""
    return Watch(results).look()


class Watch:
    """Looks at a study again and again; reads of its log what is new."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._reader = snakemake_log.Reader(results / "snakemake.log")
        self._plan, self._index = _Json(results / "plan.json"), _Json(results / "index.json")
        self.log = snakemake_log.Log()

    def look(self) -> Progress:
        """How far the study is now."""
        results, log = self.results, self._reader.read()
        self.log, running, last = log, head(results), last_head(results)
        since = (running.since or running.started) if running else float("inf")
        found = Found.in_folder(results, since, log)
        cohorts = tuple(
            CohortState(id_, runs, seconds, *found.of(id_))
            for id_, runs, seconds in _cohorts(self.plan(), self._index.read())
        )
        return Progress(
            study=results.name,
            cohorts=cohorts,
            stations=tuple(_station(results, name, log, cohorts) for name in STATIONS),
            failures=tuple(f for f in log.failures if f.rule != "train" or found.failed(f)),
            running=running,
            jobs=log.planned.total(),
            pace=_pace(cohorts, found.done, since),
            queued=_queued(log, cohorts) if running else 0,
            repeated=log.repeated,
            died=last if last and not last.ended and running is None else None,
        )

    def plan(self) -> dict:
        """What ``plan.json`` says; empty where it is not there yet."""
        return self._plan.read()


class _Json:
    """A file of JSON, read once each time that it is written."""

    def __init__(self, path: Path) -> None:
        self._path, self._stamp, self._said = path, None, {}

    def read(self) -> dict:
        """What the file says; empty where it is missing, half written or of another kind."""
        try:
            there = self._path.stat()
            stamp = (there.st_mtime_ns, there.st_size)
            if stamp != self._stamp:
                said = json.loads(self._path.read_text())
                self._stamp, self._said = stamp, said if isinstance(said, dict) else {}
        except (OSError, ValueError):
            return {}
        return self._said


@dataclass(frozen=True)
class Found:
    """What the files say of the cohorts."""

    done: Mapping[str, float]  # when the last log was written, in seconds since 1970
    beats: Mapping[str, Beat]
    begun: frozenset[str]
    failures: frozenset[str]
    checkpoints: frozenset[str]

    @classmethod
    def in_folder(cls, results: Path, since: float, log: snakemake_log.Log) -> Found:
        """What the files in ``results`` say, of a start at ``since``."""
        done = _finished(results)
        begun = _times(results / "logs" / "train", without=done) if since < float("inf") else {}
        return cls(
            done=done,
            beats=beats(results),
            begun=frozenset(name for name, when in begun.items() if when >= since),
            failures=frozenset(f.subject for f in log.failures if f.rule == "train"),
            checkpoints=frozenset(_names(results / "checkpoints")),
        )

    def of(self, cohort: str) -> tuple[str, Beat | None, bool]:
        """The state of a cohort, its last sign of life, and whether it has a checkpoint."""
        beat, kept = self.beats.get(cohort), cohort in self.checkpoints
        if cohort in self.done:
            return "done", None, False
        if beat and beat.alive:
            return "running", beat, kept
        if cohort in self.failures:
            return "failed", None, kept
        if not beat and cohort in self.begun:
            return "running", None, kept
        return ("interrupted" if beat or kept else "left"), beat, kept

    def failed(self, failure: Failure) -> bool:
        """Whether the cohort of a failed training is not done after all."""
        return failure.subject not in self.done


def _cohorts(plan: Mapping, index: Mapping) -> list[tuple[str, int, float]]:
    """Id, runs and estimated seconds of each cohort; the index's estimate where there is one."""
    known = {id_: (job["runs"], job["seconds"]) for id_, job in index.get("jobs", {}).items()}
    planned = {
        c["id"]: (c["runs"], c["flops"] / FLOPS_PER_SECOND + SECONDS_PER_JOB)
        for c in plan.get("cohorts", ())
    }
    return [(id_, *(known.get(id_) or planned[id_])) for id_ in known or planned]


def _finished(results: Path) -> dict[str, float]:
    """When the last log of each cohort was written, of those with all: the runs come last."""
    others = [_names(results / "logs" / table) for table in LOGS if table != "runs"]
    whole = set.intersection(*others)
    return {n: t for n, t in _times(results / "logs" / "runs").items() if n in whole}


def _names(folder: Path) -> set[str]:
    """The names in a folder without what comes after the dot; none of files being written."""
    try:
        with os.scandir(folder) as entries:
            return {_stem(entry) for entry in entries if not entry.name.startswith(".")}
    except OSError:
        return set()


def _times(folder: Path, without: Mapping[str, float] | None = None) -> dict[str, float]:
    """When each file in a folder was written, of those not named in ``without``."""
    found = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = _stem(entry)
            if not name.startswith(".") and name not in (without or ()):
                with contextlib.suppress(FileNotFoundError):  # removed as we looked
                    found[name] = entry.stat().st_mtime
    return found


def _stem(entry: os.DirEntry) -> str:
    name, dot, end = entry.name.rpartition(".")
    return name if dot and end in ("parquet", "log") else entry.name


def _pace(cohorts: tuple[CohortState, ...], done: Mapping, since: float) -> float | None:
    """Work done since the start of the study over the time that it took; None with too little."""
    fresh = [c for c in cohorts if done.get(c.id, 0) >= since]
    elapsed = max((done[c.id] for c in fresh), default=since) - since
    if len(fresh) <= 3 or elapsed <= 0:
        return None
    halves = sum(c.seconds for c in cohorts if c.state == "running") / 2  # on average
    pace = (sum(c.seconds for c in fresh) + halves) / elapsed
    return pace if pace > SLOWEST else None


def _queued(log: snakemake_log.Log, cohorts: tuple[CohortState, ...]) -> int:
    """How many trainings a cluster has been given that have not begun."""
    failed = sum(failure.rule == "train" for failure in log.failures)
    over = log.finished["train"] + failed + log.repeated
    training = sum(c.state == "running" for c in cohorts)
    return max(log.started["train"] - over - training, 0) if log.submitted else 0


def _station(
    results: Path, name: str, log: snakemake_log.Log, cohorts: tuple[CohortState, ...]
) -> Station:
    """By the jobs of this start if it has any of the station, else by the files that are there."""
    rules, files = STATIONS[name]
    training = sum(c.state == "running" for c in cohorts)  # others, on a cluster, may wait
    if total := sum(log.planned[rule] for rule in rules):
        done = sum(log.finished[rule] for rule in rules)
        over = done + sum(failure.rule in rules for failure in log.failures)
        running = max(0, sum(log.started[r] for r in rules) - over)
        return Station(name, done, total, training if name == "train" else running)
    if name == "train":
        trained = bool(cohorts) and all(c.state == "done" for c in cohorts)
        return Station(name, int(trained), 1, training)
    return Station(name, int(all((results / file).exists() for file in files)), 1)
