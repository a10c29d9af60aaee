r"""A pass through a recurrent net, unrolled over the time steps of its samples.

With x_t what a layer sees at step t (of the layer below its output a_t) and a_0 = 0,

    h_t = x_t W + a_{t-1} U + b,    a_t = phi(h_t),    t = 1 .. T,

or what the net's recurrence makes of them (:mod:`vanishing.parts.recurrences`). W and U are rows of
one tensor. A linear head sees the last layer's a_T, or every a_t. A norm is taken over each column
(a gate's, or the candidate's units) of the sum apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..parts.recurrences import Step
from .network import Network, Parameters, learned_by_phi, normalised

OnStep = Callable[[int, Step], None]
Steps = list[Tensor]  # a tensor (runs, batch, units) a time step


def unroll(
    net: Network,
    parameters: Parameters,
    x: Tensor,
    on_step: OnStep | None = None,
) -> tuple[Tensor, list[Steps], list[Steps]]:
    """Logits (runs, batch, [steps,] outputs), and h and a of every layer, step by step.

    ``x`` is (runs, batch, inputs). ``on_step(layer, step)`` sees every step of the layer with this
    index. Where the net truncates, no gradient passes the edge of a stretch of so many steps,
    counted from the last (Williams, Peng 1990).
    """
    # Time in front of the samples: each step is then a block of memory of its own.
    below = x.unflatten(2, net.architecture.sequence).transpose(1, 2)  # (runs, steps, batch, ...)
    pre_activations, activations = [], []
    for layer in range(net.depth):
        steps = _of_layer(net, parameters, layer, below)
        for step in steps if on_step else ():
            on_step(layer, step)
        pre_activations.append([step.h for step in steps])
        activations.append([step.a for step in steps])
        if layer + 1 < net.depth or net.architecture.every_step:
            below = torch.stack(activations[-1], dim=1)
    weight, bias = parameters["W"][-1], parameters["b"][-1]
    if not net.architecture.every_step:
        return torch.baddbmm(bias, activations[-1][-1], weight), pre_activations, activations
    logits = torch.baddbmm(bias, below.flatten(1, 2), weight).view(*below.shape[:3], -1)
    return logits.transpose(1, 2), pre_activations, activations


def recurrent_weights(net: Network, parameters: Parameters, layer: int) -> tuple[Tensor, ...]:
    """U of the layer with this index, (runs, units, units) of each column."""
    return parameters["W"][layer][:, -net.architecture.width :].chunk(net.architecture.columns, 2)


def _of_layer(net: Network, parameters: Parameters, layer: int, below: Tensor) -> list[Step]:
    """Every time step of a layer that sees ``below`` (runs, steps, batch, inputs)."""
    recurrence, width = net.recurrence, net.architecture.width
    weight, bias = parameters["W"][layer], parameters["b"][layer]
    runs, count, batch, _ = below.shape
    drive = torch.baddbmm(bias, below.flatten(1, 2), weight[:, :-width])
    drives = drive.view(runs, count, batch, -1).unbind(1)
    past = weight[:, -width:].contiguous()
    zero = drive.new_zeros(runs, batch, width)
    behind, steps = [Step(zero, zero, zero)] * recurrence.reaches, []

    def see(column: int, total: Tensor) -> Tensor:
        units = slice(column * width, (column + 1) * width)
        return normalised(net, parameters, layer, total, {}, True, units)

    def phi(h: Tensor) -> Tensor:
        return net.activation.phi(h, *learned_by_phi(net, parameters, layer, h))

    columns = net.architecture.columns
    for t, p in enumerate(drives):
        if net.truncation and t and (count - t) % net.truncation == 0:
            behind = [_cut(step) for step in behind]
        r = torch.bmm(_recalled(behind), past)
        step = recurrence.step(p.chunk(columns, 2), r.chunk(columns, 2), behind[-1], phi, see)
        behind = [*behind[1:], step]
        steps.append(step)
    return steps


def _recalled(behind: list[Step]) -> Tensor:
    """What U acts on: the last output, and where the recurrence reaches farther that one too."""
    if len(behind) == 1:
        return behind[0].a
    return (behind[-1].a + behind[0].a) / math.sqrt(2)


def _cut(step: Step) -> Step:
    """The step with nothing behind it that a gradient could go back to."""
    memory = None if step.memory is None else step.memory.detach()
    return Step(step.h.detach(), step.a.detach(), memory)
