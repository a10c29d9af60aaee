"""Timed micro-runs: how long a study will take on this machine, from seconds of it.

Of each family and size of jobs the graph with the most work is trained for a few updates, a full
stack of it, warm. What an update takes and what the rest does (draws, probes, scores), each over
its estimate from the graph, is carried over to all jobs of that family and size.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .engine import job
from .engine.devices import choose
from .parts.downloads import SETS
from .parts.stack_sizes import GPU_STACK
from .parts.tasks import load
from .rehearsal import shortened
from .study import cost
from .study.cohort import Cohort, Graph
from .study.description import of_finished, wall_seconds
from .study.durations import duration
from .study.outcomes import Outcomes
from .study.plan import Plan
from .study.sizes import Places, size_of

LIMIT = 20.0  # seconds of timing in all
STAND_IN = 2000  # samples of noise in the place of a set that would have to be downloaded
CLASSES = 10
TELLING = 0.3  # of a micro-run's rest, what its updates must take to be told from it
TRIES = 5  # graphs of a group, of which the first that can be trained is timed


@dataclass(frozen=True)
class Timed:
    """A micro-run: the jobs that it speaks for, and by how much the estimate is off for them."""

    family: str
    size: str
    work: float  # estimated seconds of training of all jobs of this family and size
    ratio: float  # measured over estimated
    cohort: str


def report(plan: Plan, places: Places) -> tuple[list[str], float]:
    """What the micro-runs say of a study, and its finished cohorts, for a person.

    With it, by how much the estimates are off here; 1 where nothing could be timed.
    """
    lines, measured, off = [], finished_seconds(plan), 1.0
    if found := timed(plan.cohorts, plan.study.device):
        off, families = by_how_much(found), {one.family for one in found}
        each = {f: by_how_much(one for one in found if one.family == f) for f in sorted(families)}
        says = ", ".join(f"{family} {times:.2f}" for family, times in each.items())
        cpu = cost.cpu_seconds(plan.cohorts, off)
        wall = wall_seconds(plan.cohorts, places, off)
        lines = [
            f"here:    about {duration(cpu)} of this machine's {_engine(plan)} by {len(found)} "
            f"micro-runs, {duration(wall)} on {places.what}",
            f"         measured over estimated: {off:.2f} ({says})",
        ]
    return lines + ([of_finished(plan, measured)] if measured else []), off


def finished_seconds(plan: Plan, results: Path | None = None) -> dict[str, float]:
    """What each finished cohort of a study's results folder took, in seconds of training."""
    results = results or Path("results") / plan.name
    return {id_: o.seconds for id_, o in Outcomes(results).of(plan.by_id).items()}


def _engine(plan: Plan) -> str:
    return "CPU" if choose(plan.study.device).type == "cpu" else "GPU"


def timed(cohorts: Sequence[Cohort], device: str = "auto", limit: float = LIMIT) -> list[Timed]:
    """A micro-run of each family and size of jobs, the ones with most work first.

    ``limit`` is of the time for all; a group is left out where its turn does not come, or where
    nothing of it can be trained in its time.
    """
    where, found = choose(device), []
    groups = sorted(groups_of(cohorts).items(), key=lambda group: -_work(group[1]))
    until = time.perf_counter() + limit
    for n, ((family, size), members) in enumerate(groups):
        left = (until - time.perf_counter()) / (len(groups) - n)
        if left <= 0:
            break
        chosen, ratio = _first_ratio(members, where.type, left)
        if chosen:
            found.append(Timed(family, size, _work(members), ratio, chosen.id))
    return found


def groups_of(cohorts: Iterable[Cohort]) -> dict[tuple[str, str], list[Cohort]]:
    """The cohorts of each family and size of jobs."""
    groups: dict[tuple[str, str], list[Cohort]] = {}
    for cohort in cohorts:
        key = (str(cohort.graph["family"]), size_of(cost.seconds(cohort)))
        groups.setdefault(key, []).append(cohort)
    return groups


def by_how_much(found: Iterable[Timed]) -> float:
    """Measured over estimated, in all; jobs that no micro-run speaks for are taken to be alike."""
    pairs = [(one.work * one.ratio, one.work) for one in found]
    measured, estimated = (sum(column) for column in zip(*pairs, strict=True))
    return measured / estimated


def ratio(cohort: Cohort, device: str, limit: float) -> float | None:
    """Measured over estimated time of a cohort's runs, from two short trainings of one stack.

    None where ``limit`` seconds do not hold an update.
    """
    graph = cohort.graph
    runs = min(len(cohort.members), cost.stack_of(graph) if device == "cpu" else GPU_STACK)
    while runs > 1 and _estimate(graph, 1, runs) > limit / 6:
        runs //= 2
    if _estimate(graph, 1, runs) > limit / 3:
        return None
    with _at_hand(cohort.as_json()) as spec:
        load(spec["data_source"])  # the first time may read a file, or import a package
        idle = _seconds(lambda: load(spec["data_source"]), device)
        _train(spec, 0, 1, device)  # warm
        steps = _updates(graph, runs, limit)
        shapes = [0] if not graph["steps"] else sorted({1, steps})
        measured = [
            max(1e-4, _seconds(lambda n=n: _train(spec, n, runs, device), device) - idle)
            for n in shapes
        ]
    estimates = [_estimate(graph, n, runs) for n in shapes]
    return _carried_over(graph, runs, shapes, measured, estimates)


def _carried_over(
    graph: Graph, runs: int, steps: list[int], measured: list[float], estimates: list[float]
) -> float:
    """Measured over estimated of the whole training, from those of its updates and of the rest."""
    if len(steps) == 1:
        return measured[0] / estimates[0]
    updates = steps[1] - steps[0]
    of_update = [max(0.0, t[1] - t[0]) / updates for t in (measured, estimates)]
    rest = [max(1e-4, t[0] - u) for t, u in zip((measured, estimates), of_update, strict=True)]
    if of_update[1] * updates < TELLING * rest[1]:  # too few to tell them from the rest
        return measured[1] / estimates[1]
    whole = cost.seconds_of_runs(graph, runs)
    in_updates = min(whole, graph["steps"] * of_update[1])
    share = in_updates / whole
    return share * of_update[0] / of_update[1] + (1 - share) * rest[0] / rest[1]


def _first_ratio(members: list[Cohort], device: str, limit: float) -> tuple[Cohort | None, float]:
    """The cohort with the most work that can be trained here, and its ratio."""
    for cohort in _heaviest_first(members)[:TRIES]:
        # Data that are not here, a part of the user's own that fails, a GPU that is too small: a
        # plan is made all the same, and training says what is wrong.
        with contextlib.suppress(Exception):
            if found := ratio(cohort, device, limit):
                return cohort, found
    return None, 1.0


def _heaviest_first(members: list[Cohort]) -> list[Cohort]:
    """One cohort of each graph, those of the graphs with most work first."""
    work: dict[Graph, float] = {}
    first: dict[Graph, Cohort] = {}
    for cohort in members:
        first.setdefault(cohort.graph, cohort)
        work[cohort.graph] = work.get(cohort.graph, 0.0) + cost.seconds(cohort)
    return [first[graph] for graph in sorted(work, key=lambda graph: -work[graph])]


def short(graph: Graph, steps: int) -> Graph:
    """The graph of a training that ends after ``steps``, as a micro-run makes it."""
    settings = tuple((n, steps if n == "steps" else value) for n, value in graph.settings)
    blocks = tuple(block for block in graph.blocks if block != "freeze")
    probes = tuple(sorted({0, steps}))
    return replace(graph, settings=settings, probe_steps=probes, blocks=blocks)


def _estimate(graph: Graph, steps: int, runs: int) -> float:
    return cost.seconds_of_runs(short(graph, min(steps, graph["steps"])), runs)


def _updates(graph: Graph, runs: int, limit: float) -> int:
    """How many updates fit into a third of ``limit``: few are timed badly, many take long."""
    one = _estimate(graph, 1, runs)
    each = max(1e-6, _estimate(graph, 2, runs) - one)
    return max(2, min(graph["steps"], int((limit / 3 - one) / each)))


def _train(spec: dict, steps: int, runs: int, device: str) -> None:
    blocks = [block for block in spec["probes"]["blocks"] if block != "freeze"]
    trained = shortened({**spec, "probes": {**spec["probes"], "blocks": blocks}}, steps, runs)
    with contextlib.redirect_stderr(io.StringIO()):
        job.run(trained, None, device)


def _seconds(task: object, device: str) -> float:
    """What a call takes: of a core its own time, whoever else is at work, and else of the clock."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    task()
    return clock() - began


@contextlib.contextmanager
def _at_hand(cohort: dict) -> Iterator[dict]:
    """The cohort with data that need no download: noise of its shape where it would take one."""
    kind = cohort["data_source"]["kind"]
    if kind not in SETS or cohort["data_source"].get("folder"):
        yield cohort
        return
    with tempfile.TemporaryDirectory() as folder:
        path, rng = Path(folder) / "noise.npz", np.random.default_rng(0)
        images = rng.standard_normal((STAND_IN, *SETS[kind].image)).astype(np.float32)
        np.savez(path, x=images, y=np.arange(STAND_IN) % CLASSES)
        yield {**cohort, "data_source": {"kind": "npz", "path": str(path)}}


def _work(cohorts: Iterable[Cohort]) -> float:
    return sum(cost.seconds_of_runs(c.graph, len(c.members)) for c in cohorts)
