"""What Snakemake must know of a plan, in one file: its jobs read it instead of planning again.

A study of a hundred thousand runs takes seconds to plan, and each of its jobs on a cluster parses
the Snakefile anew. The head plans once, and writes ``results/<study>/index.json`` beside the
cohorts' files. Nothing here imports what planning needs (pydantic, the parts) before it plans.

While its key stays the same an index holds: cohorts that finish meanwhile change no layout.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import write_text
from ..provenance import fingerprint
from .places import config_path

if TYPE_CHECKING:
    from .plan import Plan

FILE = "index.json"
# What the layout of cohorts rests on besides the config and the user's data.
_CODE = (
    "parts", "strict_yaml", "study.config", "study.cohort", "study.cost",
    "study.fields", "study.grid", "study.index", "study.plan", "study.tasks",
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """What Snakemake must know of a cohort: what it waits for, and what it will take."""

    runs: int
    seconds: float  # estimated, on one core
    memory_mb: int  # estimated, at its peak
    tuning: tuple[str, ...] = ()  # the cohorts that its learning rates are read from
    own_parts: tuple[str, ...] = ()  # files of parts that are the user's own


@dataclass(frozen=True)
class Index:
    """A plan without its runs."""

    study: str
    config_path: str
    device: str
    digest: str  # of the ids of all cohorts
    jobs: dict[str, Planned]

    @property
    def results(self) -> str:
        """The study's folder."""
        return f"results/{self.study}"

    @property
    def own_parts(self) -> list[str]:
        """The files of all parts that are the user's own."""
        return sorted({file for job in self.jobs.values() for file in job.own_parts})


def of_plan(plan: Plan) -> Index:
    """The index of a plan."""
    from . import cost
    from .identity import digest

    jobs = {
        id_: Planned(
            len(cohort.members),
            round(cost.seconds(cohort), 1),
            cost.memory_mb(cohort),
            plan.tuning_of[id_],
            tuple(map(str, cohort.own_parts)),
        )
        for id_, cohort in plan.by_id.items()
    }
    device = plan.study.device
    return Index(plan.name, str(plan.config_path), device, digest(sorted(jobs)), jobs)


def write(plan: Plan, results: Path) -> None:
    """Write the index of a plan, after the cohorts' files that it promises."""
    from .plan import write_cohorts

    write_cohorts(plan, results)
    files = [str(file) for file in (*plan.data_files, *plan.own_parts)]
    said = {"key": _key(plan.config_path, files), "files": files, **asdict(of_plan(plan))}
    write_text(results / FILE, json.dumps(said) + "\n")


def refresh(study: str | os.PathLike, plan: Plan | None = None) -> None:
    """Write the index of a study, unless the one that is there holds; ``plan`` spares a new one."""
    path = config_path(study)
    results = Path("results") / path.stem
    said = _read(results / FILE)
    if not _holds(said, path) or not set(said["jobs"]) <= _cohorts(results):
        from .plan import make

        write(plan or make(study), results)


def of_study(study: str | os.PathLike, in_job: bool = False) -> Index:
    """The index of a study: the written one while it holds, or else that of a new plan.

    A job (``in_job``) works on what its head has planned, and asks no more than that it is there.
    """
    path = config_path(study)
    said = _read(Path("results") / path.stem / FILE)
    if said and (in_job or _holds(said, path)):
        jobs = {id_: _planned(job) for id_, job in said["jobs"].items()}
        names = ("study", "config_path", "device", "digest")
        return Index(jobs=jobs, **{name: said[name] for name in names})
    from .plan import make

    return of_plan(make(study))


def _planned(said: dict) -> Planned:
    return Planned(**{name: tuple(v) if isinstance(v, list) else v for name, v in said.items()})


def _cohorts(results: Path) -> set[str]:
    """The cohorts that have a file."""
    return {file.stem for file in (results / "cohorts").glob("*.json")}


def laid_out(study: str | os.PathLike, results: Path) -> list[str] | None:
    """The cohorts of the index in ``results``, if it holds: a plan beside it must be of these."""
    said = _read(results / FILE)
    return list(said["jobs"]) if said and _holds(said, config_path(study)) else None


def _holds(said: dict | None, config: Path) -> bool:
    return bool(said) and config.exists() and said["key"] == _key(config, said["files"])


def _read(file: Path) -> dict | None:
    """What an index says; None where there is none, or none of this form."""
    try:
        said = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(said, dict) and {"key", "files", "jobs"} <= set(said)
    return said if whole else None


def _key(config: Path, data: Iterable[str]) -> str:
    """Changes with the config, the user's data and parts, and the code that lays out cohorts."""
    digest = hashlib.sha256(f"{config.resolve()} {fingerprint(*_CODE)}".encode())
    digest.update(config.read_bytes())
    for file in map(Path, data):
        there = file.stat() if file.exists() else None
        digest.update(f"{file} {there and (there.st_size, there.st_mtime_ns)}".encode())
    return digest.hexdigest()
