"""What a cohort costs, from its graph alone: time on one core, memory, disk.

The same on every machine, and without a measurement: cohorts are sized by it. A stack's time is a
sum of terms, each an amount (:func:`terms`) times what one of it takes (:data:`SECONDS`), fitted to
timed jobs; ``python -m benchmarks.cost`` compares the sum with the times of a finished study.
"""

from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING

from ..parts.architecture import Architecture, Shape
from ..parts.stack_sizes import CPU_BYTES, bytes_of_run, most_runs
from ..parts.tasks import TASKS, TEST_FRACTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .cohort import Cohort, Graph, Member

FLOPS_PER_SECOND = 2e10  # what turns `cohort_flops`, of a config, into seconds
SECONDS_PER_JOB = 0.5  # a fork's start, reading and writing; a process of its own takes 2 more
SECONDS_OF_REPORT = 60  # tables, claims, notebooks, paper
# Jobs of a study whose config gives no `cohort_flops`: short ones fill the cores of one machine to
# the end, long ones spare a cluster's scheduler.
LARGE_STUDY = 8 * 3600.0  # seconds of one core, from where jobs are long
SHORT_JOB, LONG_JOB = 60.0, 1800.0  # seconds

PLAIN = {"residual": "none", "recurrence": "lstm"}  # for a part that only a job may import
SAMPLES = 1800  # of data whose number only a job knows; the digits' 1,797
PUBLISHED = {"mnist": 70_000, "fashion_mnist": 70_000, "cifar10": 60_000}
EVALUATION = 1024  # samples, or time steps of them, that an evaluation takes at a time
# Tensors of a weight's size that an update reads or writes, by optimizer; of our others 3.
STATE = {"sgd": 1, "momentum": 2, "nesterov": 3, "adam": 6, "adamw": 6}

# Blocks, as so many passes forward and back. Freeze trains a net four times more from the end of a
# quarter of its layers on; linear_probe goes over all samples in float64 with their moments.
FROZEN = 4
NOISY_PASSES = 3  # robustness: over the test split, forward
LINEAR_PASSES = 4.0

# Seconds that one of each amount takes: of a core of 2026 (2 vCPU Zen 3), by the family's kernels.
# Fitted by least squares of log(measured / estimated) to the 359 jobs of the laptop study, near the
# rates of an earlier fit to more and larger graphs, which what the study lacks keeps. A product
# costs no less than at 80 GFLOP/s, 40 in float64.
SECONDS: Mapping[str, Mapping[str, float]] = {
    "mlp": {
        "product": 1.2e-11, "value": 3.1e-09, "norm": 1.1e-09, "weight": 1.7e-10, "call": 1.5e-05,
        "norm_call": 4.2e-05, "update": 4.8e-04, "probed_product": 2.4e-11,
        "probed_value": 1.1e-08, "probed_call": 1.2e-03, "drawn": 6.4e-09, "stack": 2.1e-02,
    },
    "cnn": {
        "product": 1.2e-11, "value": 1.7e-08, "norm": 2.5e-09, "weight": 5.9e-09, "call": 2.0e-05,
        "norm_call": 3.3e-12, "update": 2.0e-04, "probed_product": 2.4e-11,
        "probed_value": 3.0e-08, "probed_call": 6.6e-04, "drawn": 5.9e-09, "stack": 6.8e-02,
    },
    "rnn": {
        "product": 1.2e-11, "value": 3.7e-09, "norm": 5.8e-09, "weight": 7.7e-11, "call": 6.3e-06,
        "norm_call": 2.0e-04, "update": 1.0e-03, "probed_product": 2.4e-11,
        "probed_value": 1.9e-08, "probed_call": 1.2e-04, "eigenvalue": 3.4e-11, "drawn": 3.3e-09,
        "stack": 3.3e-02,
    },
    "gan": {
        "product": 1.2e-11, "value": 2.2e-10, "norm": 1.9e-08, "weight": 2.4e-11, "call": 6.8e-05,
        "norm_call": 3.4e-09, "update": 1.5e-04, "probed_product": 4.9e-11,
        "probed_value": 1.2e-08, "probed_call": 5.6e-05, "drawn": 4.4e-09, "stack": 1.0e-02,
    },
}  # fmt: skip

MEMORY_MB = 600  # of a process with torch
COPIES_OF_DATA = 3  # the samples, those of a stack's splits, and what is read from
# Bytes of a log: of an empty one, its head and provenance, and of a row, compressed; medians of the
# laptop study's logs.
HEAD_BYTES = 54_000  # of all tables of a cohort
ROW_BYTES = {
    "runs": 35, "curves": 5, "layers": 64, "networks": 9, "lags": 6, "recurrences": 40,
    "games": 56, "scores": 5, "freeze": 54,
}  # fmt: skip
OWN_PASS = 0.4  # of a probe with a pass in float64: one that looks at an update's own
OWN_TURNS = 0.12  # the same of a GAN whose players are MLPs, which is not scored then
CURVE_POINTS = 60  # rows of a loss curve, besides the probes


def seconds(cohort: Cohort) -> float:
    """About how long its job takes on one core of the reference machine, start-up included."""
    return SECONDS_PER_JOB + seconds_of_runs(cohort.graph, len(cohort.members))


def cpu_seconds(cohorts: Iterable[Cohort], ratio: float = 1.0) -> float:
    """Of all jobs of a study and its report; jobs take ``ratio`` times what is estimated."""
    return ratio * sum(map(seconds, cohorts)) + SECONDS_OF_REPORT


def memory_mb(cohort: Cohort) -> int:
    """About the most that its job holds at a time, in megabytes (10⁶ bytes)."""
    graph = cohort.graph
    runs = min(stack_of(graph), len(cohort.members))
    _, features, _ = _shape(graph)
    data = 4.0 * COPIES_OF_DATA * samples_of(graph) * features
    return MEMORY_MB + math.ceil((runs * _bytes_of_run(graph) + data) / 1e6)


def disk_bytes(cohort: Cohort) -> float:
    """About the size of its logs, and of its rows in the study's tables."""
    rows = rows_of_run(cohort.graph)
    of_rows = len(cohort.members) * sum(ROW_BYTES[name] * n for name, n in rows.items())
    return HEAD_BYTES + 2 * of_rows


def seconds_of_study(wanted: Mapping[Graph, list[Member]]) -> float:
    """Of all runs of a study, on one core, without the start-up of jobs."""
    return sum(seconds_of_runs(graph, len(members)) for graph, members in wanted.items())


def seconds_of_job(cohort_flops: float | None, study: float) -> float:
    """How long a job should take at most, by the config or else by the ``study``'s seconds."""
    if cohort_flops:
        return cohort_flops / FLOPS_PER_SECOND
    return SHORT_JOB if study < LARGE_STUDY else LONG_JOB


def seconds_of_runs(graph: Graph, runs: int) -> float:
    """Of so many runs, in stacks of about equal size, on one core."""
    stacks = math.ceil(runs / stack_of(graph))
    return stacks * seconds_of_stack(graph, runs / stacks)


def runs_within(graph: Graph, limit: float) -> int:
    """How many runs a job of at most ``limit`` seconds trains: full stacks if any, at least 1."""
    full = stack_of(graph)
    if whole := int(limit // seconds_of_stack(graph, full)):
        return whole * full
    start = seconds_of_stack(graph, 0)
    return max(1, int((limit - start) // (seconds_of_stack(graph, 1) - start)))


@functools.lru_cache(100_000)
def seconds_of_stack(graph: Graph, runs: float) -> float:
    """Of one stack of so many runs, on one core: of each amount what it takes, in sum."""
    rates = SECONDS[graph["family"]]
    return sum(rates.get(name, 0.0) * amount for name, amount in terms(graph, runs).items())


def stack_of(graph: Graph) -> int:
    """The most runs of a stack on a core."""
    architecture = _architectures(graph)[0]
    return max(1, min(most_runs(architecture), int(CPU_BYTES // _bytes_of_run(graph))))


def terms(graph: Graph, runs: float) -> dict[str, float]:
    """How much of everything that takes time a stack of ``runs`` does.

    ``product``: operations of matrix products and convolutions, 6 a weight, sample and pixel (or
    time step) of a pass forward and back; ``value``: values of hidden layers that such passes make,
    ``norm`` those that a norm sees; ``weight``: numbers that updates read and write; ``call``:
    layers (at each time step) that are called; ``update``, ``stack``: how often. Those of a probe,
    in float64 and with its statistics, are counted apart; ``eigenvalue``: what those of recurrent
    weights take, the cube of their width; ``drawn``: weights that are drawn and copied.
    """
    calls, values, products, weights = _sizes(graph)
    updates, probes = graph["steps"] * _turns(graph), len(graph.probe_steps)
    trained, evaluated = _passes(graph)
    probed = _probed(graph)
    seen = runs * (trained + evaluated / 3)  # a pass forward alone costs a third
    parts = math.ceil(TEST_FRACTION * samples_of(graph) * max(1, graph["length"]) / EVALUATION)
    called = calls * ((updates * _retrained(graph)) + _evaluations(graph) * parts / 3)
    normed = graph["norm"] != "none"
    optimizer = STATE.get(str(graph["optimizer"]).partition("(")[0], 3)
    return {
        "product": 6.0 * products * seen,
        "value": values * seen,
        "norm": normed * values * seen,
        "weight": runs * weights * updates * optimizer,
        "call": called,
        "norm_call": normed * called,
        "update": updates * _retrained(graph),
        "probed_product": 6.0 * products * runs * probed,
        "probed_value": values * runs * probed,
        "probed_call": calls * probes,
        "eigenvalue": runs * probes * _recurrent(graph) * graph["width"] ** 3,
        "drawn": runs * weights * (1 + probes),
        "stack": 1.0,
    }


def rows_of_run(graph: Graph) -> dict[str, int]:
    """How many rows a run has in each table of the logs."""
    probes, depth, steps = len(graph.probe_steps), graph["depth"], graph["steps"]
    players = 2 if graph["family"] == "gan" else 1
    in_time = graph["family"] == "rnn"
    return {
        "runs": 1,
        "curves": min(steps, CURVE_POINTS) + probes if steps else 0,
        "layers": players * probes * depth,
        "networks": players * probes,
        "lags": in_time * probes * depth * graph["length"],
        "recurrences": in_time * probes * depth * _architectures(graph)[0].columns,
        "games": (players - 1) * probes,
        "scores": 3 * (players - 1) * _scored(graph) + 5 * probes * ("robustness" in graph.blocks),
        "freeze": FROZEN * ("freeze" in graph.blocks),
    }


def samples_of(graph: Graph) -> int:
    """How many samples the task has, training and test; a plan reads no data."""
    task = dict(graph.task)
    if task.get("samples"):
        return int(task["samples"])
    return _samples_by_default(task["kind"])


@functools.cache
def _samples_by_default(kind: str) -> int:
    given = inspect.signature(TASKS[kind]).parameters.get("samples")
    return (given and given.default) or PUBLISHED.get(kind, SAMPLES)


def _passes(graph: Graph) -> tuple[float, float]:
    """Samples of a run that training sees, and those that evaluations do."""
    steps, samples = graph["steps"], samples_of(graph)
    trained = steps * graph["batch"] * _turns(graph) * _retrained(graph)
    if not steps or graph["family"] == "gan":
        return trained, 0.0
    noisy = NOISY_PASSES * len(graph.probe_steps) * ("robustness" in graph.blocks)
    evaluated = TEST_FRACTION * samples * (_evaluations(graph) + noisy)
    evaluated += (1 - TEST_FRACTION) * samples
    if "freeze" in graph.blocks:  # each layer is set back once
        evaluated += samples * (FROZEN + TEST_FRACTION * graph["depth"])
    return trained, evaluated


def _evaluations(graph: Graph) -> int:
    """How often the accuracy on the test split is taken: at both ends, or at every probe."""
    if not graph["steps"]:
        return 0
    return len(graph.probe_steps) if "accuracy" in graph.blocks else 2


def _scored(graph: Graph) -> int:
    """At how many probes what a GAN generates is scored: with passes of their own, at all.

    A fixed generator's samples are scored once.
    """
    probes = len(graph.probe_steps)
    if graph["generator"] != "live":
        return min(1, probes)
    return probes if graph.probe_batch or "scores" in graph.blocks else min(2, probes)


def _probed(graph: Graph) -> float:
    """Samples of a run that probes see, as passes forward and back with the usual statistics."""
    probes, batch, blocks = len(graph.probe_steps), graph.probe_batch, graph.blocks
    ends = 1 + (graph["steps"] > 0)  # init and end
    passes = float(probes) * (3 if graph["family"] == "gan" else 1)
    if not batch:  # what a pass tells costs less than half of making it
        share = OWN_TURNS if graph["players"] == "mlp" else OWN_PASS
        passes, batch = share * passes, graph["batch"]
    passes += probes * ("noise" in blocks)
    passes += (probes - 1) * graph["depth"] * ("interference" in blocks)
    passes += ends * graph["width"] * ("jacobian" in blocks)
    passes += 3 * ("chain_rule" in blocks)
    passes += ends * batch / 4 * ("shattering" in blocks)
    of_features = LINEAR_PASSES * ends * samples_of(graph) * ("linear_probe" in blocks)
    return passes * batch + of_features / 3


def _turns(graph: Graph) -> int:
    """Updates of a step, as passes of one player: a generator's is also one of its opponent.

    A discriminator takes a real sample and a generated one, and a penalty as much again.
    """
    return 1 + 4 * graph["discriminator_steps"] if graph["family"] == "gan" else 1


def _recurrent(graph: Graph) -> int:
    """How many square matrices act on the past of a net."""
    return graph["depth"] * _architectures(graph)[0].columns * (graph["family"] == "rnn")


def _retrained(graph: Graph) -> int:
    """How often a net is trained, the first time included."""
    return 1 + FROZEN * ("freeze" in graph.blocks)


@functools.lru_cache(100_000)
def _sizes(graph: Graph) -> tuple[int, int, int, int]:
    """Of a player: calls of a pass, values of a sample, products of a sample, weights."""
    architecture = _architectures(graph)[0]
    times = architecture.sequence[0] if architecture.sequence else 1
    values = _values(architecture) * times * architecture.columns
    return (
        architecture.depth * times,
        values,
        architecture.multiplications,
        architecture.weights,
    )


@functools.lru_cache(100_000)
def _bytes_of_run(graph: Graph) -> float:
    batch = max(graph["batch"], graph.probe_batch)
    return bytes_of_run(_architectures(graph)[0], batch, _architectures(graph)[1])


@functools.lru_cache(100_000)
def _values(architecture: Architecture) -> int:
    return sum(
        architecture.channels(n) * math.prod(architecture.pixels(n))
        for n in range(1, architecture.depth + 1)
    )


def _shape(graph: Graph) -> tuple[tuple | None, int, tuple[int, int] | None]:
    """Image, numbers and sequence of a sample, as far as a plan knows them."""
    width, length = graph["width"], graph["length"]
    image = graph.image and (width, *graph.image[1:])
    numbers = math.prod(graph.image) if graph.image else max(1, length) * 2
    return image, numbers, (length, width) if length else None


@functools.lru_cache(10_000)
def _architectures(graph: Graph) -> tuple[Architecture, Architecture | None]:
    """The net, or a GAN's discriminator and a generator of the same size."""
    # Whatever the data's size: the input layer and the head count as hidden ones.
    width, (image, _, sequence) = graph["width"], _shape(graph)
    settings = dict(graph.settings)
    settings |= {name: plain for name, plain in PLAIN.items() if ":" in settings[name]}
    if settings["family"] != "gan":
        return Architecture.of(settings, Shape(width, width, image, sequence)), None
    settings["family"] = settings["players"]
    player = Architecture.of(settings, Shape(width, width, image))
    return player, player
