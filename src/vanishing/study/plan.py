"""The plan of a study: its runs, cohorts, what trains after what, and what it will cost."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import UserError, unknown
from ..table import write_text
from . import config, grid
from .cohort import Cohort, Graph, Member, graph_of, layout, tuning_runs
from .durations import duration

# Measured on one core of 2026 (2 vCPU Zen 5, stacks of 16, width 64): a rough guide for the eye.
FLOPS_PER_SECOND = 2e10
SECONDS_PER_JOB = 2.5  # start-up of a process, torch's import, reading and writing
SECONDS_OF_REPORT = 60  # tables, claims, notebooks, paper
# What plan.json says of a cohort's graph.
_NAMED = ("family", "activation", "norm", "residual", "depth", "width", "steps")


@dataclass(frozen=True)
class Plan:
    """All that is to be run, and where it goes."""

    name: str
    config_path: Path
    study: config.Study
    grids: dict[str, grid.Grid]
    cohorts: tuple[Cohort, ...]

    @cached_property
    def by_id(self) -> dict[str, Cohort]:
        """The cohorts by id."""
        return {cohort.id: cohort for cohort in self.cohorts}

    @property
    def own_parts(self) -> list[Path]:
        """The files of all parts that are the user's own."""
        return sorted({file for cohort in self.cohorts for file in cohort.own_parts})

    @cached_property
    def tuning_of(self) -> dict[str, tuple[str, ...]]:
        """For every cohort, the tuning cohorts that its learning rates are read from."""
        trained_by = {
            (m.cell, m.settings.lr, m.settings.seed): id_
            for id_, cohort in self.by_id.items()
            if cohort.graph.split == "tuning"
            for m in cohort.members
        }
        return {
            id_: tuple(sorted({trained_by[run] for m in cohort.members for run in tuning_runs(m)}))
            for id_, cohort in self.by_id.items()
        }

    @property
    def seconds(self) -> float:
        """Estimated CPU time, in seconds."""
        work = sum(c.flops for c in self.cohorts) / FLOPS_PER_SECOND
        return work + SECONDS_PER_JOB * len(self.cohorts) + SECONDS_OF_REPORT

    def as_json(self) -> dict:
        """``plan.json``: what the later stations and the reader need of the plan."""
        return {
            "study": self.name,
            "path": os.path.relpath(self.config_path),
            "config": self.study.model_dump(exclude_none=True),
            "runs": sum(len(c.members) for c in self.cohorts),
            "cohorts": [
                {
                    "id": id_,
                    **{name: c.graph[name] for name in _NAMED},
                    "runs": len(c.members),
                    "split": c.graph.split,
                    "flops": c.flops,
                }
                for id_, c in sorted(self.by_id.items())
            ],
            "batteries": {name: _battery_json(g) for name, g in self.grids.items()},
            "members": {
                name: [s.run_id for s in (*g.judged, *g.tuning)] for name, g in self.grids.items()
            },
            "seconds": self.seconds,
        }


def _battery_json(g: grid.Grid) -> dict:
    return {
        "runs": len(g.judged) + len(g.tuning),
        "judged": len(g.judged),
        "tuning": len(g.tuning),
        "cells": g.cells,
        "excluded": [{"when": e.when, "because": e.because, "cells": e.cells} for e in g.excluded],
    }


def config_path(study: str | os.PathLike) -> Path:
    """The file of a study: a name in ``workflow/config/``, or the path of a YAML file."""
    path = Path(study)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = Path("workflow/config")
    names = sorted(file.stem for file in known.glob("*.yaml"))
    if not names:
        raise UserError(
            f"there is no {known} here, where {study!r} could be: start in the project's folder, "
            "or give the path of a .yaml file."
        )
    if str(study) not in names:
        raise UserError(unknown("study", str(study), names, "; or give the path of a .yaml file"))
    return known / f"{study}.yaml"


def make(study: str | os.PathLike, results: Path | None = None) -> Plan:
    """The plan of a study, with the finished cohorts in its results folder kept as they are."""
    path = config_path(study)
    read = config.read(path)
    grids, errors = {}, []
    for name, battery in read.batteries.items():
        try:
            grids[name] = grid.expand(battery, name, path.resolve().parent, read.first_seed)
        except UserError as error:
            errors.append(f"{path}: {error}")
    if errors:
        raise UserError("\n".join(errors))
    wanted = _wanted(read, grids, path)
    results = results or Path("results") / path.stem
    _refuse_another_study(path, results)
    cohorts = layout(wanted, read.cohort_flops, _finished(results))
    return Plan(path.stem, path, read, grids, tuple(cohorts))


def _refuse_another_study(path: Path, results: Path) -> None:
    """Two configs of one name would overwrite each other's results."""
    plan = results / "plan.json"
    owner = json.loads(plan.read_text()).get("path") if plan.exists() else None
    if owner and Path(owner).resolve() != path.resolve() and Path(owner).exists():
        raise UserError(
            f"{results} holds the results of {owner}, and {path} would write there too: rename one."
        )


def _wanted(
    read: config.Study, grids: dict[str, grid.Grid], path: Path
) -> dict[Graph, list[Member]]:
    """Every run of every battery, once, under its graph."""
    wanted: dict[Graph, list[Member]] = defaultdict(list)
    seen: dict[str, tuple[Graph, str]] = {}
    asked = [
        (name, settings, split, settings.run_id)
        for name, g in grids.items()
        for split, runs in (("tuning", g.tuning), ("judged", g.judged))
        for settings in runs
    ]
    blocks: dict[str, set[str]] = defaultdict(set)  # of expensive measures: what any battery asks
    for name, _, split, run_id in asked:
        if split == "judged":
            blocks[run_id] |= set(read.batteries[name].probes.blocks or ())
    for name, settings, split, run_id in asked:
        steps, batch = _probes(read.batteries[name].probes, settings.steps)
        if split == "tuning":  # it only chooses a rate: nobody looks at its way there
            steps = (0, settings.steps)
        probes = (steps, batch, tuple(sorted(blocks[run_id])))
        graph = graph_of(settings, split if settings.steps else "init", probes, grids[name])
        member = Member(settings, graph.split, run_id, settings.cell)
        first, other = seen.setdefault(run_id, (graph, name))
        if first != graph:
            raise UserError(
                f"{path}: batteries {other!r} and {name!r} hold the same run with different "
                "probe steps, splits or files of one content: make these alike, or their runs "
                "differ."
            )
        if other == name:
            wanted[graph].append(member)
    return wanted


def _probes(probes: config.Probes, steps: int) -> tuple[tuple[int, ...], int, tuple[str, ...]]:
    """The probe steps (always with 0 and the end), the probe batch, the expensive blocks."""
    if probes.steps is None:
        chosen = {2**k for k in range(steps.bit_length()) if 2**k < steps}
    else:
        chosen = {step for step in probes.steps if step < steps}
    return tuple(sorted({0, steps} | chosen)), probes.batch


def _finished(results: Path) -> list[tuple[str, ...]]:
    """The run ids of every cohort whose logs are there, in the order of their names."""
    logs = results / "logs" / "runs"
    if not logs.is_dir():
        return []
    done = sorted(file.stem for file in logs.glob("[!.]*.parquet"))
    files = [results / "cohorts" / f"{name}.json" for name in done]
    return [
        tuple(run["run_id"] for run in json.loads(file.read_text())["runs"])
        for file in files
        if file.exists()
    ]


def write(plan: Plan, results: Path) -> None:
    """Write ``plan.json`` and the cohorts' files."""
    write_cohorts(plan, results)
    write_text(results / "plan.json", json.dumps(plan.as_json(), indent=1) + "\n")


def config_digest(results: Path) -> str:
    """A hash of the resolved config of the study in ``results``."""
    return grid.digest(json.loads((results / "plan.json").read_text())["config"])


def write_cohorts(plan: Plan, results: Path) -> None:
    """Write a file for each cohort, but for those that are there."""
    for id_, cohort in plan.by_id.items():
        path, text = (
            results / "cohorts" / f"{id_}.json",
            json.dumps(cohort.as_json(), indent=1) + "\n",
        )
        if not path.exists() or path.read_text() != text:
            write_text(path, text)


def rule_in_words(when: Mapping[str, object]) -> str:
    """Which cells a rule of ``exclude`` takes out.

    >>> rule_in_words({"recurrence": ["gru", {"skip": {"steps": 5}}], "depth": 2})
    'recurrence gru or skip(steps=5), depth 2'
    """
    named = {
        axis: " or ".join(map(_as_label, given if isinstance(given, list) else [given]))
        for axis, given in when.items()
    }
    return ", ".join(f"{axis} {values}" for axis, values in named.items())


def _as_label(value: object) -> str:
    """A part with its parameters as they were given, like its label; all else as it is."""
    if not isinstance(value, Mapping):
        return str(value)
    [(name, given)] = value.items()
    return f"{name}({', '.join(f'{key}={setting}' for key, setting in given.items())})"


def description(plan: Plan) -> str:
    """What a study runs and what it will cost, for a person."""
    lines = [f"study {plan.name}: {sum(len(c.members) for c in plan.cohorts)} runs in "
             f"{len(plan.cohorts)} cohorts"]  # fmt: skip
    for name, g in plan.grids.items():
        rates = len({settings.lr for settings in g.judged})
        fixed = "one rate" if rates == 1 else f"each at {rates} rates"
        untuned = fixed if g.judged[0].steps else "nothing is trained"
        tuning = f"{len(g.tuning)} tuning runs" if g.tuning else untuned
        lines.append(f"  {name}: {g.cells} cells, {len(g.judged)} judged runs, {tuning}")
        lines += [
            f"    left out, {e.cells} cells: {rule_in_words(e.when)} ({e.because})"
            for e in g.excluded
        ]
    cores = os.cpu_count() or 1
    wait = duration(plan.seconds / cores)
    lines.append(f"about {duration(plan.seconds)} of CPU, {wait} on {cores} cores")
    return "\n".join(lines)
