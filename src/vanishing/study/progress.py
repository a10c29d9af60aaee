"""How far a study is, from its files alone: this works on a cluster and after a crash, too.

A cohort is done when its three logs are there; it runs when its text log was begun since the last
start of the study. What the other stations have to do stands in Snakemake's log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import snakemake_log
from .durations import duration
from .head import Head, head
from .plan import FLOPS_PER_SECOND, SECONDS_OF_REPORT, SECONDS_PER_JOB, config_path
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
    "paper": (("rulegraph", "paper"), ("report/paper.html", "report/paper.pdf")),
}
STATES = ("done", "running", "failed", "left")


@dataclass(frozen=True)
class CohortState:
    """A cohort of the plan: its runs, their estimated CPU time in seconds, and its state."""

    id: str
    runs: int
    seconds: float
    state: str  # one of STATES


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

    @property
    def runs(self) -> dict[str, int]:
        """How many runs are in each state."""
        return {s: sum(c.runs for c in self.cohorts if c.state == s) for s in STATES}

    def seconds_left(self, cores: int) -> float:
        """Estimated wall time to the paper, from the pace so far or else from ``cores``."""
        work = sum(c.seconds for c in self.cohorts if c.state != "done")
        others = [s for s in self.stations if s.name not in ("plan", "train")]
        jobs = sum(s.total for s in others) or 1
        report = SECONDS_OF_REPORT * (1 - sum(s.done for s in others) / jobs)
        return work / (self.pace or cores) + report / cores


def progress(results: Path) -> Progress:
    """How far the study in ``results`` is: one look into each folder, whatever its size."""
    log = snakemake_log.read(results / "snakemake.log")
    running = head(results)
    since = running.started if running else float("inf")
    plan = _plan(results)
    done = _finished(results)
    begun = {name for name, when in _times(results / "logs" / "train").items() if when >= since}
    failed = {f.subject for f in log.failures if f.rule == "train"}
    cohorts = tuple(
        CohortState(c["id"], c["runs"], _seconds(c), _state(c["id"], done, failed, begun))
        for c in plan.get("cohorts", ())
    )
    return Progress(
        study=results.name,
        cohorts=cohorts,
        stations=tuple(_station(results, name, log) for name in STATIONS),
        failures=tuple(log.failures),
        running=running,
        jobs=log.planned.total(),
        pace=_pace(cohorts, done, since),
    )


def status(config: str | os.PathLike) -> str:
    """What ``vanishing status`` prints: runs done, running, failed and left, by battery."""
    results = Path("results") / config_path(config).stem
    if not (results / "plan.json").exists():
        return f"{results.name}: not begun (make study STUDY={config})"
    now = progress(results)
    rows = [("battery", "runs", *STATES), *_battery_rows(results, now)]
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    lines = [_headline(now), ""]
    for name, *counts in rows:
        numbers = (f"{count:>{w}}" for count, w in zip(counts, widths[1:], strict=True))
        lines.append("  ".join([f"{name:<{widths[0]}}", *numbers]))
    lines += [f"failed: {f} ({f.log or f.output})" for f in now.failures]
    return "\n".join(lines)


def _headline(now: Progress) -> str:
    runs = now.runs
    total = sum(runs.values())
    says = f"{now.study}: {runs['done']:,} of {total:,} runs trained"
    if now.running:
        left = duration(now.seconds_left(os.cpu_count() or 1))
        return f"{says}, about {left} left (process {now.running.pid} on {now.running.host})"
    ends = [s for s in now.stations if s.name == "paper"]
    if all(s.done == s.total for s in ends) and not runs["left"]:
        return f"{says}, the paper is written"
    return f"{says}, nothing is running now"


def _battery_rows(results: Path, now: Progress) -> list[tuple]:
    """A row a battery; a run that two batteries share counts in both, and once in the total."""
    state = {}
    for cohort in now.cohorts:
        file = results / "cohorts" / f"{cohort.id}.json"
        for run in json.loads(file.read_text())["runs"] if file.exists() else ():
            state[run["run_id"]] = cohort.state
    rows = []
    for name, members in _plan(results)["members"].items():
        states = [state.get(run_id, "left") for run_id in members]
        rows.append((name, len(members), *(states.count(s) for s in STATES)))
    return [*rows, ("total", sum(now.runs.values()), *now.runs.values())]


def _plan(results: Path) -> Mapping:
    path = results / "plan.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _finished(results: Path) -> dict[str, float]:
    """When each cohort's last log was written, for those with all three."""
    logs = [_times(results / "logs" / table) for table in ("runs", "curves", "layers")]
    return {name: max(log[name] for log in logs) for name in set.intersection(*map(set, logs))}


def _times(folder: Path) -> dict[str, float]:
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {
            entry.name.rpartition(".")[0]: entry.stat().st_mtime
            for entry in entries
            if not entry.name.startswith(".")  # a file that is being written
        }


def _state(cohort: str, done: Mapping, failed: set[str], begun: set[str]) -> str:
    if cohort in done:
        return "done"
    return "failed" if cohort in failed else "running" if cohort in begun else "left"


def _seconds(cohort: Mapping) -> float:
    return cohort["flops"] / FLOPS_PER_SECOND + SECONDS_PER_JOB


def _pace(cohorts: tuple[CohortState, ...], done: Mapping, since: float) -> float | None:
    """Work done since the start of the study over the time that it took; None with too little."""
    fresh = [c for c in cohorts if done.get(c.id, 0) >= since]
    elapsed = max((done[c.id] for c in fresh), default=since) - since
    halves = sum(c.seconds for c in cohorts if c.state == "running") / 2  # on average
    enough = len(fresh) > 3 and elapsed > 0
    return (sum(c.seconds for c in fresh) + halves) / elapsed if enough else None


def _station(results: Path, name: str, log: snakemake_log.Log) -> Station:
    """By the jobs of this start if it has any of the station, else by the files that are there."""
    rules, files = STATIONS[name]
    if total := sum(log.planned[rule] for rule in rules):
        done = sum(log.finished[rule] for rule in rules)
        over = done + sum(failure.rule in rules for failure in log.failures)
        return Station(name, done, total, max(0, sum(log.started[r] for r in rules) - over))
    there = all((results / file).exists() for file in files)
    return Station(name, int(there), 1)
