"""Cohorts: runs of one graph that one job trains, and how the runs of a study fall into them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..parts.registries import REGISTRIES
from ..parts.registry import own_files
from ..parts.tasks import default_length
from . import cost
from .grid import Grid, Settings
from .identity import GRAPH, digest


@dataclass(frozen=True)
class Member:
    """A run with what its job must know besides: split, cell, id."""

    settings: Settings
    split: str  # tuning, judged, or init (nothing is trained)
    run_id: str
    cell: str


@dataclass(frozen=True)
class Graph:
    """What the runs of a cohort share: graph, task, probe schedule, split."""

    settings: tuple[tuple[str, object], ...]
    split: str
    probe_steps: tuple[int, ...]
    probe_batch: int  # 0: that of the training, whose own passes are looked at
    blocks: tuple[str, ...]  # of expensive measures
    image: tuple[int, int, int] | None  # channels, height, width of a sample
    task: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> object:
        return dict(self.settings)[name]

    @property
    def flops(self) -> float:
        """Equivalent operations of a run in a full stack: its time at :data:`.cost` 's rate."""
        runs = cost.stack_of(self)
        return cost.seconds_of_stack(self, runs) / runs * cost.FLOPS_PER_SECOND


@dataclass(frozen=True)
class Cohort:
    """Runs of one graph, trained by one job."""

    graph: Graph
    members: tuple[Member, ...]

    @property
    def id(self) -> str:
        """Readable graph and a hash of all contents: ``tanh-d8-w32-6e7fca0b12``."""
        g = self.graph
        family = "" if g["family"] == "mlp" else f"{g['family']}-"
        name = family + re.sub(r"[^a-z0-9]+", "_", str(g["activation"]).lower()).strip("_")
        # The data are known by their sha256, which is among the settings, and not by their path.
        named = [g.settings, g.split, g.probe_steps, g.probe_batch, g.blocks]
        content = digest([named, [m.run_id for m in self.members]])
        return f"{name}-d{g['depth']}-w{g['width']}-{content[:10]}"

    @property
    def flops(self) -> float:
        """Equivalent operations of all its runs, from the graph alone."""
        return cost.seconds_of_runs(self.graph, len(self.members)) * cost.FLOPS_PER_SECOND

    @property
    def own_parts(self) -> list[Path]:
        """The files of the parts that are the user's own (``module:attribute``)."""
        shared = [self.graph[kind] for kind in REGISTRIES if kind != "init"]
        return own_files({*shared, *(m.settings.init for m in self.members)})

    def as_json(self) -> dict:
        """What the job reads: the graph once, and every run."""
        return {
            "id": self.id,
            **dict(self.graph.settings),
            "split": self.graph.split,
            "probes": {
                "steps": list(self.graph.probe_steps),
                "batch": self.graph.probe_batch or self.graph["batch"],
                "blocks": list(self.graph.blocks),
                **({} if self.graph.probe_batch else {"own_pass": True}),
            },
            "data_source": dict(self.graph.task),
            "runs": [
                {
                    "run_id": m.run_id,
                    "cell": m.cell,
                    "init": m.settings.init,
                    "seed": m.settings.seed,
                    "lr": m.settings.lr,
                    "lr_policy": m.settings.lr_policy,
                    "lr_grid": list(m.settings.lr_grid),
                    "tuning_seeds": m.settings.tuning_seeds,
                    "first_tuning_seed": m.settings.first_tuning_seed,
                }
                for m in self.members
            ],
        }


def tuning_runs(member: Member) -> list[tuple[str, float, int]]:
    """Cell, learning rate and seed of every run that a tuned run's rate is chosen from."""
    s = member.settings
    seeds = range(s.first_tuning_seed, s.first_tuning_seed + s.tuning_seeds)
    return [(member.cell, rate, seed) for rate in s.lr_grid for seed in seeds]


def graph_of(settings: Settings, split: str, probes: tuple, grid: Grid) -> Graph:
    """The graph that ``settings`` belongs to; ``probes`` are their steps, batch and blocks."""
    shared = tuple((name, getattr(settings, name)) for name in GRAPH)
    task = dict(grid.task)
    if default_length(task["kind"]):
        task["length"] = settings.length
    return Graph(shared, split, *probes, grid.image, tuple(sorted(task.items())))


def layout(
    wanted: dict[Graph, list[Member]], seconds: float, finished: Iterable[Iterable[str]] = ()
) -> list[Cohort]:
    """The cohorts of a study: of each graph, in order, what a job of ``seconds`` trains.

    ``finished`` are the run ids of the cohorts that are done already: these stay as they are, and
    only what they lack is laid out anew, so that a study that grows retrains nothing. Cohorts that
    finish while a study runs change nothing: all but the last of a graph are full.
    """
    graph_of_run = {m.run_id: graph for graph, members in wanted.items() for m in members}
    done: dict[Graph, list[tuple[str, ...]]] = defaultdict(list)
    for runs in finished:
        if runs and runs[0] in graph_of_run:
            done[graph_of_run[runs[0]]].append(tuple(runs))
    cohorts = []
    for graph, members in wanted.items():
        kept, rest = _kept(members, done[graph])
        size = cost.runs_within(graph, seconds)
        chunks = kept + [rest[start : start + size] for start in range(0, len(rest), size)]
        cohorts += [Cohort(graph, tuple(chunk)) for chunk in chunks]
    return cohorts


def _kept(
    members: list[Member], finished: Iterable[tuple[str, ...]]
) -> tuple[list[list[Member]], list[Member]]:
    """The finished cohorts all of whose runs are wanted here, and the runs that are left.

    Of two that share a run (a study shrank and grew again) the first is kept.
    """
    left = {member.run_id: member for member in members}
    kept = []
    for runs in finished:
        if all(run_id in left for run_id in runs):
            kept.append([left.pop(run_id) for run_id in runs])
    return kept, list(left.values())
