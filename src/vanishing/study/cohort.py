"""Cohorts: runs of one graph that one job trains, and how the runs of a study fall into them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..parts.architecture import Architecture, Shape
from ..parts.registry import source_file
from ..parts.tasks import default_length
from .fields import REGISTRIES
from .grid import Grid, Settings, digest

# What all runs of a cohort share; init, learning rate and seed vary inside it.
GRAPH = (
    "family", "task", "data", "depth", "width", "activation", "norm", "residual", "batch",
    "optimizer", "loss", "steps", "norm_position", "block", "stages", "padding", "schedule", "clip",
    "recurrence", "length", "truncation", "game", "players", "generator", "latent",
    "discriminator_steps", "instance_noise", "normed",
)  # fmt: skip
PLAIN = {"residual": "none", "recurrence": "lstm"}  # for a part that only a job may import
FREEZE_SAMPLES = 500  # of an update, which a pass over a training split of some 1,500 costs
# The same, measured, of passes without gradient: three with noise over a test split of some 360
# samples; one in float64 over all 1,800, with the moments of every layer.
NOISY_SAMPLES, LINEAR_SAMPLES = 400, 2400
PROBE_COST = 3  # a probe's pass in float64, with its statistics, over a training pass in float32


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
    probe_batch: int
    blocks: tuple[str, ...]  # of expensive measures
    image: tuple[int, int, int] | None  # channels, height, width of a sample
    task: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> object:
        return dict(self.settings)[name]

    @property
    def flops(self) -> float:
        """Floating point operations of a run, from the graph alone.

        A pass forward and back costs 6 operations a weight, sample and pixel; the input layer and
        the head count as hidden layers. A freeze curve trains four times more, and sets back each
        layer once; a Jacobian goes back once for each unit, an explicit chain rule costs some three
        probes.
        """
        trained = self["steps"] * self["batch"]
        probed = PROBE_COST * len(self.probe_steps) * self.probe_batch
        ends = PROBE_COST * self.probe_batch * (1 + (self["steps"] > 0))  # init and end
        if "freeze" in self.blocks:
            trained = 5 * trained + self["depth"] * FREEZE_SAMPLES
        if "robustness" in self.blocks and self["steps"]:
            trained += NOISY_SAMPLES * len(self.probe_steps)
        if "linear_probe" in self.blocks:
            trained += LINEAR_SAMPLES * (1 + (self["steps"] > 0))
        if "interference" in self.blocks:
            probed *= 1 + self["depth"]
        if "jacobian" in self.blocks:
            probed += ends * self["width"]
        if "chain_rule" in self.blocks:
            probed += 3 * PROBE_COST * self.probe_batch
        if "shattering" in self.blocks:
            probed += ends * self.probe_batch / 4
        return 6.0 * self.multiplications * (trained + probed)

    @property
    def multiplications(self) -> int:
        """Of a forward pass of a sample, from the graph alone."""
        # Whatever the data's size: the input layer and the head count as hidden ones.
        width = self["width"]
        image = self.image and (width, *self.image[1:])
        own = {n: plain for n, plain in PLAIN.items() if ":" in self[n]}
        settings = {**dict(self.settings), **own}
        if self["family"] == "gan":
            return self._of_players({**settings, "family": self["players"]}, image)
        sequence = (self["length"], width) if self["length"] else None
        return Architecture.of(settings, Shape(width, width, image, sequence)).multiplications

    def _of_players(self, settings: dict, image: tuple[int, int, int] | None) -> int:
        """Of a GAN's update, a sample: the generator's pass, and four of the discriminator.

        Each of its updates takes a real sample and a generated one, and a penalty as much again.
        """
        one = Architecture.of(settings, Shape(self["width"], self["width"], image)).multiplications
        return one * (1 + 4 * self["discriminator_steps"])


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
        """Floating point operations of all its runs."""
        return self.graph.flops * len(self.members)

    @property
    def own_parts(self) -> list[Path]:
        """The files of the parts that are the user's own (``module:attribute``)."""
        shared = [self.graph[kind] for kind in REGISTRIES if kind != "init"]
        labels = {*shared, *(m.settings.init for m in self.members)}
        return sorted({file for label in labels if (file := source_file(str(label)))})

    def as_json(self) -> dict:
        """What the job reads: the graph once, and every run."""
        return {
            "id": self.id,
            **dict(self.graph.settings),
            "split": self.graph.split,
            "probes": {
                "steps": list(self.graph.probe_steps),
                "batch": self.graph.probe_batch,
                "blocks": list(self.graph.blocks),
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
    wanted: dict[Graph, list[Member]], capacity_flops: float, finished: Iterable[Iterable[str]] = ()
) -> list[Cohort]:
    """The cohorts of a study: of each graph, as many runs in order as ``capacity_flops`` holds.

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
        size = max(1, int(capacity_flops // graph.flops))
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
