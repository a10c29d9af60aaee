"""The expensive measures, in blocks that a battery switches on, and the steps where each is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .chain_rule import chain_rule_error, is_plain
from .forward import forward
from .interference import interference
from .jacobian import jacobian, shattering, stream_growth
from .layer_reset import reset_accuracy
from .linear_probe import linear_probe
from .noise import noise
from .output_bins import output_bins
from .probes import Measures, doubled, probed_buffers
from .robustness import noisy_accuracy
from .singular_values import effective_rank, of_jacobian

if TYPE_CHECKING:
    from .evaluation import Scores
    from .stack import Stack, Update

# Measured as accuracies are, in the dtype of the training.
NOT_EXACT = {"accuracy", "freeze", "robustness"}


def at_probe(stack: Stack, step: int, last: Update | None) -> tuple[Measures, dict[str, Tensor]]:
    """What the blocks measure after ``step`` updates: by layer (runs, depth), and whole (runs).

    In float64, on the probe batch; the growth of a residual stream's gradient belongs to no block
    and is measured at init. Interference is measured on the batch of the ``last`` update, and the
    accuracy of a net with a layer set back as all accuracies.
    """
    due = blocks_due(stack.budget.blocks, step, stack.budget.steps)
    of_layers, of_network = {}, {}
    if "freeze" in due:
        of_layers["reset_accuracy"] = reset_accuracy(
            stack.net,
            stack.parameters,
            stack.initial,
            stack.buffers,
            stack.budget.loss,
            stack.samples,
        )
    skips = step == 0 and stack.net.architecture.blocks > 0
    if not (due - NOT_EXACT or skips):
        return of_layers, of_network
    exact, buffers = doubled(stack.parameters), probed_buffers(stack.buffers)
    x, labels = stack.samples.at(stack.samples.probe, torch.float64)
    if skips:
        of_network["stream_growth"] = stream_growth(
            stack.net, exact, buffers, stack.budget.loss, x, labels
        )
    if "noise" in due:
        of_layers["snr"], of_network["noise_scale"] = noise(
            stack.net, exact, buffers, stack.budget.loss, x, labels
        )
    if "interference" in due:
        of_layers |= interference(
            stack.net, doubled(last.before), exact, buffers,
            stack.budget.loss, last.x.double(), last.labels,
        )  # fmt: skip
    if "chain_rule" in due and is_plain(stack.net):
        of_network["chain_rule_error"] = chain_rule_error(
            stack.net, exact, buffers, stack.budget.loss, x, labels
        )
    of_layers |= _of_features(stack, due, exact, buffers)
    return of_layers, of_network | _of_ends(stack, due, exact, buffers)


def scores_at_probe(stack: Stack, seeds: list[int], step: int) -> Scores:
    """What the blocks measure after ``step`` updates that has levels; the runs have ``seeds``."""
    if "robustness" not in blocks_due(stack.budget.blocks, step, stack.budget.steps):
        return {}
    return noisy_accuracy(*stack.network, stack.budget.loss, stack.samples, seeds)


def _of_features(stack: Stack, due: set[str], exact: dict, buffers: dict) -> Measures:
    """What the values in each layer tell of the classes, and how steep phi is where they lie."""
    net, found = stack.net, {}
    if "linear_probe" in due and not stack.budget.loss.of_values:
        found["linear_probe_accuracy"] = linear_probe(net, exact, buffers, stack.samples)
    if "output_bins" in due and net.architecture.family == "mlp":
        x = stack.samples.seen(stack.samples.probe, torch.float64)
        found |= output_bins(net, exact, buffers, x)
    return found


def _of_ends(stack: Stack, due: set[str], exact: dict, buffers: dict) -> dict[str, Tensor]:
    """What is measured of a net as it begins and as it ends."""
    net, found = stack.net, {}
    x = stack.samples.seen(stack.samples.probe, torch.float64)
    if "jacobian" in due and (rows := jacobian(net, exact, buffers, x)) is not None:
        found |= of_jacobian(rows)
    if "shattering" in due:
        found["shattering_cosine"] = shattering(net, exact, buffers, x)
    if "rank" in due:
        every = x.expand(len(exact["W"][0]), *x.shape)
        _, _, a = forward(net, exact, every, buffers, learning=False)
        found["effective_rank"] = effective_rank(a[-1] if net.recurrence is None else a[-1][-1])
    return found


def blocks_due(blocks: tuple[str, ...], step: int, steps: int) -> set[str]:
    """Which of ``blocks`` (see :mod:`vanishing.parts.measure_blocks`) are due after a step."""
    when = {
        "accuracy": steps > 0,
        "jacobian": step in (0, steps),
        "shattering": step in (0, steps),
        "rank": step in (0, steps),
        "noise": True,
        "interference": step > 0,
        "freeze": step == steps > 0,
        "robustness": steps > 0,
        "linear_probe": step in (0, steps),
        "chain_rule": step == 0,
        "output_bins": step == 0,
    }
    return {block for block in blocks if when[block]}


def frozen_layers(depth: int) -> list[int]:
    """How many layers next to the input a freeze curve freezes: quarters of the depth, 0 left out.

    >>> frozen_layers(8), frozen_layers(2)
    ([2, 4, 6, 8], [1, 2])
    """
    return sorted({round(depth * share / 4) for share in (1, 2, 3, 4)} - {0})
