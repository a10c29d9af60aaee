"""What the pass of an update tells of every layer, where probes make no pass of their own.

All is read from the update's own batch in the precision of the training, and summed in float64;
the gradients are those before clipping. The underflow columns then tell of float32 itself.

A pass that is looked at keeps its values, so that on a CPU a recurrent net goes by the general pass
and not by :mod:`.fused_recurrent`, and a layer not by :mod:`.fused_layer`: in float32 the last bits
of such an update, and so of all that follow, are not those of a training that is not looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from ..parts.recurrences import Step
from .feedforward import pass_forward
from .probes import Probed, Slopes, doubled, gradients_of, of_gradients, of_values, whole
from .recurrent import unroll
from .through_time import delta_of_last, lag_profile, of_recurrences

if TYPE_CHECKING:
    from .stack import Stack


def own_pass(
    stack: Stack, x: Tensor, labels: Tensor, kept: Tensor | None
) -> tuple[Tensor, list[Tensor], list, Probed]:
    """Losses (runs) of a batch, (runs, batch, ...) each, their gradients, h, and all measures.

    As in all probes delta_l is that of a sample's own loss. No layer may be frozen.
    """
    net, loss = stack.net, stack.budget.loss
    slopes, steps = Slopes(), [[] for _ in range(net.depth)]
    outputs, h, a = _forward(stack, x, kept, slopes, steps)
    losses, samples = loss.per_sample(outputs, labels).mean(1), x.shape[1]
    seen = of_values(net, h, a, slopes)
    of_last = delta_of_last(net, loss, outputs, labels, h)
    delta, gradients = gradients_of(losses.sum(), h, stack.learning)
    positions = {id(tensor): n for n, tensor in enumerate(stack.learning)}
    weights = stack.parameters["W"]
    g = [gradients[positions[id(weight)]] for weight in weights[: net.depth]]
    layers = whole(seen, of_gradients(delta, g, samples, of_sum=False))
    if not net.recurrence:
        return losses, gradients, h, Probed(layers)
    lags = lag_profile(of_last or delta, 1 if of_last else samples)
    of_past = of_recurrences(net, doubled({"W": weights}), steps)
    return losses, gradients, h, Probed(layers, lags, of_past)


def pass_without_update(stack: Stack) -> Probed:
    """The measures of the first batch, with the networks as they are; nothing is changed."""
    x, labels = stack.samples.at(stack.samples.order[0], stack.lr.dtype)
    kept = None if stack.kept is None else stack.kept[0]
    buffers = {name: [t.clone() for t in group] for name, group in stack.buffers.items()}
    return own_pass(replace(stack, buffers=buffers), x, labels, kept)[-1]


def _forward(
    stack: Stack, x: Tensor, kept: Tensor | None, slopes: Slopes, steps: list[list[Step]]
) -> tuple[Tensor, list, list]:
    """Outputs, h and a; ``slopes`` see every phi, and ``steps`` are filled where there are any."""

    def on_step(layer: int, step: Step) -> None:
        steps[layer].append(step)

    if stack.net.recurrence:
        return unroll(stack.net, stack.parameters, x, on_step, slopes.see)
    return pass_forward(stack.net, stack.parameters, x, stack.buffers, kept=kept, on_phi=slopes.see)
