"""Training a stack of runs: draw, step, probe, update."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..parts.data import Data
from .blocks import at_probe, frozen_layers, scores_at_probe
from .descent import Descent
from .evaluation import Scores, accuracy, scores
from .moves import nothing_moved
from .network import Network
from .nonfinite import first_weights, note, nothing_yet
from .own_pass import pass_without_update
from .packing import set_values, values_of
from .probes import Measures, Probed, effective_depth, measure
from .samples import samples_of
from .stack import Budget, Stack, Update, advance
from .through_time import measure_through_time
from .watch import Watch


@dataclass
class Trace:
    """What the training of a stack left behind; the run axis is last in ``losses``, else first."""

    losses: np.ndarray  # (steps, runs) nats, of the batch before each update
    first_nonfinite: np.ndarray  # (runs, 2): update and layer of the first such value, or 0
    test_accuracy: dict[int, np.ndarray] = field(default_factory=dict)  # step -> (runs)
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
    watch: Watch | None = None,
    name: str = "",
) -> Trace:
    """Train the runs (init, seed, learning rate) of a stack together, and measure on the way.

    The ``frozen`` layers next to the input stay as they were drawn. Where the ``watch`` has a state
    of the training called ``name``, it goes on from there.
    """
    watch = watch or Watch()
    saved = watch.resume(name, device)
    if saved and "finished" in saved:
        return _trace(saved["finished"])
    samples = samples_of(data, seeds, budget.steps, budget.batch, budget.probe_batch, device)
    stack = Stack.of(net, budget, samples, (inits, seeds, rates), dtype, frozen)
    if dtype == torch.float32 and "interference" not in budget.blocks:
        stack.descent = Descent()
    losses = torch.empty(budget.steps, len(seeds), device=device, dtype=dtype)
    first = nothing_yet(len(seeds), device)
    trace = Trace(np.empty(0), np.zeros((len(seeds), 2), dtype=np.int64))
    last, begin = None, 0
    if saved:
        trace, last, begin = _restore(stack, losses, saved)
        first.copy_(torch.from_numpy(trace.first_nonfinite))
    for step in range(begin, budget.steps + 1):
        if step:
            looked_at = budget.own_pass and step - 1 in budget.probe_steps
            wanted = step in budget.probe_steps
            last = advance(stack, step, wanted, looked_at, last and last.gradients)
            _note_pass(trace, step - 1, last.probed)
            last.probed = None
            losses[step - 1] = last.losses
            note(first, step, last.nonfinite)
        if step in budget.probe_steps:
            _probe(stack, seeds, step, last, trace)
        state = partial(_state, stack, losses, first, step, last, trace)
        watch.after(name, step, budget.steps, state)
    # No loss saw what the last update left.
    note(first, budget.steps, first_weights(stack.parameters))
    trace.first_nonfinite = first.cpu().numpy()
    trace.losses = losses.double().cpu().numpy()
    if budget.steps:
        trace.train_accuracy = accuracy(*stack.network, budget.loss, samples, "train")
    if "freeze" in budget.blocks and budget.steps:
        watch.made(name, _state(stack, losses, first, budget.steps, last, trace))
        end_only = replace(budget, blocks=(), probe_steps=(budget.steps,), own_pass=False)
        for layers in frozen_layers(net.depth):
            trace.frozen[layers] = train_stack(
                net, end_only, data, inits, seeds, rates, device, dtype, layers,
                watch, f"{name}-frozen-{layers}",
            )  # fmt: skip
    watch.finished(name, trace)
    return trace


def _state(
    stack: Stack, losses: Tensor, first: Tensor, step: int, last: Update | None, trace: Trace
) -> dict:
    """All that the updates after ``step`` rest on, and what was measured until then."""
    trace.first_nonfinite = first.cpu().numpy()
    made = {"step": step, "losses": losses[:step].clone(), "last": last, "trace": trace}
    return values_of(stack) | made | {"descent": stack.descent}


def _restore(stack: Stack, losses: Tensor, saved: dict) -> tuple[Trace, Update | None, int]:
    """Have a stack be as it was saved; gives its trace, its last update, and the next step."""
    set_values(stack, saved)
    losses[: saved["step"]] = saved["losses"]
    last = saved["last"] and Update(**saved["last"])
    stack.descent = saved["descent"] and Descent(**saved["descent"])
    return _trace(saved["trace"]), last, saved["step"] + 1


def _trace(fields: dict) -> Trace:
    frozen = {layers: Trace(**found) for layers, found in fields["frozen"].items()}
    return Trace(**{**fields, "frozen": frozen})


def _probe(
    stack: Stack,
    seeds: list[int],
    step: int,
    last: Update | None,
    trace: Trace,
) -> None:
    """Everything that is measured after ``step`` updates, of runs with these ``seeds``."""
    budget, samples = stack.budget, stack.samples
    layers = last.moved if last else nothing_moved(stack.parameters)
    more_of_layers, of_network = at_probe(stack, step, last)
    measures = arrays(layers | more_of_layers)
    depth = effective_depth(measures["total_change"])
    trace.measures[step] = measures
    trace.of_network[step] = arrays(of_network) | {"effective_depth": depth}
    _note_pass(trace, step, _probed(stack, step))
    if budget.steps and (step in (0, budget.steps) or "accuracy" in budget.blocks):
        trace.test_accuracy[step] = accuracy(*stack.network, budget.loss, samples, "test")
    found = scores_at_probe(stack, seeds, step)
    if budget.steps and budget.score:
        found |= scores(*stack.network, samples, budget.score)
    if found:
        trace.scores[step] = found


def _probed(stack: Stack, step: int) -> Probed | None:
    """What a pass tells after ``step`` updates; None where that is the next update's own."""
    budget, samples = stack.budget, stack.samples
    if budget.own_pass:
        return pass_without_update(stack) if step == budget.steps else None
    x, labels = samples.at(samples.probe, torch.float64)
    if stack.net.recurrence:
        return measure_through_time(stack.net, stack.parameters, budget.loss, x, labels)
    return Probed(measure(*stack.network, budget.loss, x, labels))


def _note_pass(trace: Trace, step: int, probed: Probed | None) -> None:
    """Add to the trace what a pass told of the networks after ``step`` updates."""
    if probed is None:
        return
    trace.measures[step] |= arrays(probed.layers)
    if probed.lags is not None:
        trace.lags[step] = probed.lags.cpu().numpy()
        trace.recurrences[step] = {name: arrays(m) for name, m in probed.recurrences.items()}


def arrays(measures: Measures) -> dict[str, np.ndarray]:
    """The same on the host, in float64."""
    return {
        name: np.ascontiguousarray(values.cpu().numpy(), np.float64)
        for name, values in measures.items()
    }
