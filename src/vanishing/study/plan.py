"""The plan of a study: its runs, cohorts, what trains after what, and what it will cost."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import UserError
from ..files import write_text
from . import config, cost, grid
from .cohort import Cohort, Graph, Member, graph_of, layout, tuning_runs
from .identity import digest
from .places import config_path

FILES_OF_TASK = ("path", "images", "labels", "folder")  # settings that name the user's files
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

    @property
    def data_files(self) -> list[Path]:
        """The user's own files that samples are read from; of a folder, all that it holds."""
        named = {
            Path(str(g.task[key]))
            for g in self.grids.values()
            for key in FILES_OF_TASK
            if key in g.task
        }
        inside = {file for path in named if path.is_dir() for file in path.iterdir()}
        return sorted({path for path in named if path.is_file()} | inside)

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
        return cost.cpu_seconds(self.cohorts)

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


def make(
    study: str | os.PathLike,
    results: Path | None = None,
    laid_out: Iterable[str] | None = None,
) -> Plan:
    """The plan of a study, with the finished cohorts in its results folder kept as they are.

    Or those that are ``laid_out``, ids of an earlier plan: what works on that plan keeps it.
    """
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
    size = cost.seconds_of_job(read.cohort_flops, cost.seconds_of_study(wanted))
    kept = finished(results) if laid_out is None else laid_out
    cohorts = layout(wanted, size, _runs_of(results, kept))
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
        if split == "judged" and read.batteries[name].probes.blocks:
            blocks[run_id] |= set(read.batteries[name].probes.blocks)
    graphs: dict[tuple, Graph] = {}  # the runs of a cell have one, which takes a while to make
    for name, settings, split, run_id in asked:
        measured = tuple(sorted(blocks.get(run_id, ())))
        key = (name, split, settings.cell, measured)
        if key not in graphs:
            graphs[key] = _graph(settings, split, measured, read.batteries[name], grids[name])
        graph = graphs[key]
        member = Member(settings, graph.split, run_id, settings.cell)
        first, other = seen.setdefault(run_id, (graph, name))
        if first is not graph and first != graph:
            raise UserError(
                f"{path}: batteries {other!r} and {name!r} hold the same run with different "
                "probe steps, splits or files of one content: make these alike, or their runs "
                "differ."
            )
        if other == name:
            wanted[graph].append(member)
    return wanted


def _graph(
    settings: grid.Settings,
    split: str,
    blocks: tuple[str, ...],
    battery: config.Battery,
    own: grid.Grid,
) -> Graph:
    """What a run shares with those it is trained with."""
    steps, batch = _probes(battery.probes, settings.steps)
    if split == "tuning":  # it only chooses a rate: nobody looks at its way there
        steps = (0, settings.steps)
    return graph_of(settings, split if settings.steps else "init", (steps, batch, blocks), own)


def _probes(probes: config.Probes, steps: int) -> tuple[tuple[int, ...], int, tuple[str, ...]]:
    """The probe steps (always with 0 and the end), the probe batch, the expensive blocks."""
    if isinstance(probes.steps, str):
        chosen = config.SCHEDULED[probes.steps](steps)
    else:
        chosen = {step for step in probes.steps if step < steps}
    return tuple(sorted({0, steps} | chosen)), 0 if probes.own_pass else probes.batch


def finished(results: Path) -> list[str]:
    """Every cohort whose logs are there, in the order of their names."""
    return sorted(file.stem for file in (results / "logs/runs").glob("[!.]*.parquet"))


def _runs_of(results: Path, ids: Iterable[str]) -> list[tuple[str, ...]]:
    """The run ids of these cohorts, of those that have a file."""
    files = [results / "cohorts" / f"{id_}.json" for id_ in ids]
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
    return digest(json.loads((results / "plan.json").read_text())["config"])


def write_cohorts(plan: Plan, results: Path) -> None:
    """Write a file for each cohort, but for those that are there."""
    for id_, cohort in plan.by_id.items():
        path, text = results / "cohorts" / f"{id_}.json", json.dumps(cohort.as_json()) + "\n"
        if not path.exists() or path.read_text() != text:
            write_text(path, text, durable=False)
    os.sync()  # once for all of them: ten thousand waits for a disk take minutes
