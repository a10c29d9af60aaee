"""Training a stack of runs: draw, step, probe, update."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..parts.data import Data
from .blocks import at_probe, frozen_layers, scores_at_probe
from .evaluation import Scores, accuracy, scores
from .network import Network, Parameters
from .probes import Measures, doubled, effective_depth, measure, of_update
from .samples import samples_of
from .stack import Budget, Stack, Update, advance
from .through_time import lag_profile, of_recurrences


@dataclass
class Trace:
    """What the training of a stack left behind; the run axis is last in ``losses``, else first."""

    losses: np.ndarray  # (steps, runs) nats, of the batch before each update
    first_nonfinite: np.ndarray  # (runs, 2): update and layer of the first such value, or 0
    test_accuracy: dict[int, np.ndarray] = field(default_factory=dict)  # probe step -> (runs)
    train_accuracy: np.ndarray | None = None  # (runs), at the end
    measures: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)  # (runs, depth) each
    of_network: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)  # (runs) each
    lags: dict[int, np.ndarray] = field(default_factory=dict)  # (runs, depth, steps)
    recurrences: dict[int, dict[str, dict[str, np.ndarray]]] = field(default_factory=dict)
    scores: dict[int, Scores] = field(default_factory=dict)  # of the task's own, and of blocks
    frozen: dict[int, Trace] = field(default_factory=dict)  # the same with so many layers frozen


def train_stack(
    net: Network,
    budget: Budget,
    data: Data,
    inits: list[str],
    seeds: list[int],
    rates: list[float | None],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    frozen: int = 0,
) -> Trace:
    """Train the runs (init, seed, learning rate) of a stack together, and measure on the way.

    The ``frozen`` layers next to the input stay as they were drawn.
    """
    samples = samples_of(data, seeds, budget.steps, budget.batch, budget.probe_batch, device)
    stack = Stack.of(net, budget, samples, (inits, seeds, rates), dtype, frozen)
    losses = torch.empty(budget.steps, len(seeds), device=device, dtype=dtype)
    trace = Trace(np.empty(0), np.zeros((len(seeds), 2), dtype=np.int64))
    last = earlier = None
    for step in range(budget.steps + 1):
        if step:
            earlier, last = last, advance(stack, step, wanted=step in budget.probe_steps)
            losses[step - 1] = last.losses
            note(trace.first_nonfinite, step, last.nonfinite)
        if step in budget.probe_steps:
            _probe(stack, seeds, step, last, earlier, trace)
    # No loss saw what the last update left.
    note(trace.first_nonfinite, budget.steps, nonfinite_weights(stack.parameters))
    trace.losses = losses.double().cpu().numpy()
    if budget.steps:
        trace.train_accuracy = accuracy(*stack.network, budget.loss, samples, "train")
    if "freeze" in budget.blocks and budget.steps:
        end_only = replace(budget, blocks=(), probe_steps=(budget.steps,))
        for layers in frozen_layers(net.depth):
            trace.frozen[layers] = train_stack(
                net, end_only, data, inits, seeds, rates, device, dtype, layers
            )
    return trace


def _probe(
    stack: Stack,
    seeds: list[int],
    step: int,
    last: Update | None,
    earlier: Update | None,
    trace: Trace,
) -> None:
    """Everything that is measured after ``step`` updates, of runs with these ``seeds``."""
    budget, samples = stack.budget, stack.samples
    x, labels = samples.at(samples.probe, torch.float64)
    layers = measure(*stack.network, budget.loss, x, labels) | of_update(stack, last, earlier)
    more_of_layers, of_network = at_probe(stack, step, last)
    of_network["effective_depth"] = effective_depth(layers["total_change"])
    trace.measures[step], trace.of_network[step] = (
        arrays(layers | more_of_layers),
        arrays(of_network),
    )
    if stack.net.recurrence:
        exact = doubled(stack.parameters)
        trace.lags[step] = lag_profile(stack.net, exact, budget.loss, x, labels).cpu().numpy()
        trace.recurrences[step] = {
            column: arrays(measures)
            for column, measures in of_recurrences(stack.net, exact, x).items()
        }
    if budget.steps:
        trace.test_accuracy[step] = accuracy(*stack.network, budget.loss, samples, "test")
    found = scores_at_probe(stack, seeds, step)
    if budget.steps and budget.score:
        found |= scores(*stack.network, samples, budget.score)
    if found:
        trace.scores[step] = found


def note(first: np.ndarray, step: int, found: dict[int, int]) -> None:
    """Note in ``first`` (runs, 2) the step and layer of the runs that were finite until now."""
    for run, layer in found.items():
        if not first[run, 0]:
            first[run] = step, layer


def nonfinite_weights(parameters: Parameters) -> dict[int, int]:
    """The first layer of each run in which a weight is not finite; the head counts as one."""
    bad = torch.stack([~w.isfinite().flatten(1).all(1) for w in parameters["W"]], dim=1)
    return {run: int(bad[run].nonzero()[0]) + 1 for run in bad.any(1).nonzero().ravel().tolist()}


def arrays(measures: Measures) -> dict[str, np.ndarray]:
    """The same on the host, in float64."""
    return {name: values.double().cpu().numpy() for name, values in measures.items()}
