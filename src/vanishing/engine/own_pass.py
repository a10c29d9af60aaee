"""What the pass of an update tells of every layer, where probes make no pass of their own.

All is read from the update's own batch in the precision of the training, and summed in float64;
the gradients are those before clipping. The underflow columns then tell of float32 itself.

An MLP or a recurrent net with compiled loops of its own, and a CNN whose convolutions make phi(z)
(:func:`.fused_layer.is_seen`), makes the same update, to the last bit, whether it is looked at or
not; plain descent of an MLP is made in :mod:`.stack`, looked at or not. Elsewhere a pass that is
looked at keeps its values, so that on a CPU it goes by no such loop, and a layer not by
:mod:`.fused_layer`: in float32 the last bits of such an update, and so of all that follow, are not
those of a training that is not looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .feedforward import pass_forward
from .fused_layer import is_seen
from .layer_looks import Look
from .network import flat
from .probes import (
    Probed,
    Slopes,
    gradients_of,
    limits_of_weights,
    of_gradients,
    of_hidden,
    of_look,
    of_values,
    whole,
)
from .through_time import measured_pass

if TYPE_CHECKING:
    from .chain import Passed
    from .stack import Stack


def own_pass(
    stack: Stack, x: Tensor, labels: Tensor, kept: Tensor | None
) -> tuple[Tensor, list[Tensor], list, Probed]:
    """Losses (runs) of a batch, (runs, batch, ...) each, their gradients, h, and all measures.

    As in all probes delta_l is that of a sample's own loss. No layer may be frozen.
    """
    net = stack.net
    if net.recurrence:
        loss = stack.budget.loss
        return measured_pass(net, stack.parameters, loss, x, labels, stack.learning)
    if stack.chained(x, kept):
        return _of_chain(stack, x, labels)
    if is_seen(net, x):
        return _of_convolutions(stack, x, labels, kept)
    slopes, samples = Slopes(), x.shape[1]
    outputs, h, a = pass_forward(
        net, stack.parameters, x, stack.buffers, kept=kept, on_phi=slopes.see
    )
    losses = stack.losses_of(labels)(outputs)
    seen = of_values(net, h, a, slopes)
    delta, gradients = gradients_of(losses.sum(), h, stack.learning)
    g = of_hidden(stack.parameters, stack.learning, gradients)
    layers = whole(seen, of_gradients(delta, g, samples, of_sum=False))
    return losses, gradients, h, Probed(layers)


def _of_chain(stack: Stack, x: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor], list, Probed]:
    """The same of nets whose layers the compiled loops know."""
    made = stack.passed(x, labels, looked_at=True)
    gradients, _ = made.chain.gradients(made.d_outputs, stack.parameters)
    return made.losses, flat(gradients), [], seen_by(made)


def _of_convolutions(
    stack: Stack, x: Tensor, labels: Tensor, kept: Tensor | None
) -> tuple[Tensor, list[Tensor], list, Probed]:
    """The same of nets whose convolutions tell of their layers."""
    look = Look.of(stack.net, x, limits_of_weights(1))
    outputs, *_ = pass_forward(
        stack.net, stack.parameters, x, stack.buffers, kept=kept, values=False, look=look
    )
    losses = stack.losses_of(labels)(outputs)
    gradients = list(torch.autograd.grad(losses.sum(), stack.learning))
    return losses, gradients, [], Probed(of_look(look, x.shape[1], of_sum=False))


def seen_by(made: Passed) -> Probed:
    """What a compiled pass that went forward and back has told of the layers."""
    return Probed(of_look(made.chain.look, made.chain.x.shape[1], of_sum=False))


def pass_without_update(stack: Stack) -> Probed:
    """The measures of the first batch, with the networks as they are; nothing is changed."""
    x, labels = stack.samples.at(stack.samples.order[0], stack.lr.dtype)
    kept = None if stack.kept is None else stack.kept[0]
    buffers = {name: [t.clone() for t in group] for name, group in stack.buffers.items()}
    return own_pass(replace(stack, buffers=buffers), x, labels, kept)[-1]
