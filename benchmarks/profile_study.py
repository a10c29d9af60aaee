"""Prints where a finished study's time went: ``python -m benchmarks.profile_study RESULTS``.

A column a start of the study, a row a kind of time, in core seconds: the wall time of its jobs by
their rule, that of ``train`` in its parts, and what no job had of the cores. It is read from
``snakemake.log``, whose times are whole seconds, and from the logs of the runs. How much of the
training its probes took is no measurement: it is what the plan estimates of the same cohorts.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pandas as pd

from vanishing.study import cost, plan
from vanishing.study.cohort import Cohort
from vanishing.study.snakemake_log import START
from vanishing.tables import RUN_LOG

WHEN = re.compile(r"^\[\w{3} (\w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]$")
BEGUN = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
FIELD = re.compile(r"^    (jobid|wildcards): (.*)$")
FINISHED = re.compile(r"^Finished jobid: (\d+) \(Rule: (\w+)\)")
CORES = re.compile(r"^Provided cores: (\d+)")


@dataclass(frozen=True)
class Job:
    """A job that finished; seconds since the epoch."""

    rule: str
    wildcards: str
    begin: float
    end: float


@dataclass(frozen=True)
class Session:
    """A start of the study, from when it was called until Snakemake's last word."""

    begin: float
    end: float
    cores: int
    jobs: tuple[Job, ...]

    @property
    def at_work(self) -> Counter[int]:
        """For how many seconds so many jobs were at work at once."""
        edges = sorted(
            [(self.begin, 0), (self.end, 0)]
            + [(job.begin, 1) for job in self.jobs]
            + [(job.end, -1) for job in self.jobs]
        )
        found, working = Counter(), 0
        for (here, change), (there, _) in pairwise(edges):
            working += change
            found[working] += there - here
        return found


def sessions(log: str) -> list[Session]:
    """Every start that a ``snakemake.log`` tells of."""
    return [_session(text) for text in re.split(f"^{START} ", log, flags=re.MULTILINE)[1:]]


def _session(text: str) -> Session:
    lines, jobs, begun = text.splitlines(), [], {}
    now = first = datetime.strptime(lines[0].strip(), "%Y-%m-%d %H:%M:%S").timestamp()
    cores, rule, job = 1, "", ""
    for line in lines:
        if found := WHEN.match(line):
            now = datetime.strptime(found[1], "%b %d %H:%M:%S %Y").timestamp()
        elif found := CORES.match(line):
            cores = int(found[1])
        elif found := BEGUN.match(line):
            rule = found[1]
        elif found := FINISHED.match(line):
            if found[1] in begun:
                jobs.append(Job(*begun.pop(found[1]), end=now))
        elif found := FIELD.match(line):
            if found[1] == "jobid":
                job = found[2]
                begun[job] = (rule, "", now)
            elif job in begun:
                begun[job] = (rule, found[2].partition("=")[2], begun[job][2])
    return Session(first, now, cores, tuple(jobs))


def profile(session: Session, trained: pd.Series, cohorts: dict[str, Cohort]) -> pd.Series:
    """Core seconds of a session by kind; ``trained`` are the seconds of each cohort's runs."""
    walls: Counter[str] = Counter()
    for job in session.jobs:
        walls[job.rule] += job.end - job.begin
    mine = [job.wildcards for job in session.jobs if job.rule == "train"]
    training = float(trained.reindex(mine).fillna(0).sum())
    probes = training * probe_share(cohorts[id_] for id_ in mine if id_ in cohorts)
    whole, idle = session.end - session.begin, session.at_work
    rows = {
        "wall": whole,
        "cores x wall": session.cores * whole,
        "train: updates": training - probes,
        "train: probes (estimated)": probes,
        "train: start, data, writing": walls.pop("train", 0.0) - training,
        **{rule: walls[rule] for rule in sorted(walls, key=lambda rule: -walls[rule])},
        "no job at work": session.cores * idle[0],
        "cores idle beside a job": sum(
            (session.cores - n) * idle[n] for n in range(1, session.cores)
        ),
    }
    return pd.Series(rows)


def probe_share(cohorts: Iterable[Cohort]) -> float:
    """The share of cohorts' estimated time that is their probes'."""
    whole = updates = 0.0
    for cohort in cohorts:
        graph, runs = cohort.graph, len(cohort.members)
        whole += cost.seconds_of_runs(graph, runs)
        updates += cost.seconds_of_runs(replace(graph, probe_steps=()), runs)
    return 1 - updates / whole if whole else 0.0


def seconds_of_cohorts(results: Path) -> pd.Series:
    """What the runs of each cohort took in training, by its id."""
    files = sorted((results / "logs/runs").glob("*.parquet"))
    return pd.Series({file.stem: float(RUN_LOG.read(file)["seconds"].sum()) for file in files})


def table(results: Path, cohorts: dict[str, Cohort]) -> pd.DataFrame:
    """The seconds of every session that had jobs, and what they are of its cores, in %."""
    trained, columns = seconds_of_cohorts(results), {}
    log = (results / "snakemake.log").read_text(errors="replace")
    for number, session in enumerate(sessions(log), 1):
        if session.jobs:
            found = profile(session, trained, cohorts)
            columns[f"start {number}"] = found
            columns[f"% of {number}"] = 100 * found.drop("wall") / found["cores x wall"]
    order = dict.fromkeys(name for column in columns.values() for name in column.index)
    last = ["no job at work", "cores idle beside a job"]
    return pd.DataFrame(columns).reindex([n for n in order if n not in last] + last)


def main(folder: str, config: str | None = None) -> None:
    """Print the table of the study in ``folder``; its plan is of ``config``, if that is given."""
    results = Path(folder)
    cohorts = plan.make(config or results.name, results).by_id
    print(table(results, cohorts).round(1).to_string(na_rep=""))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
