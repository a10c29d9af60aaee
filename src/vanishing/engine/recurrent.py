r"""A pass through a recurrent net, unrolled over the time steps of its samples.

With x_t what a layer sees at step t (of the layer below its output a_t) and a_0 = 0,

    h_t = x_t W + a_{t-1} U + b,    a_t = phi(h_t),    t = 1 .. T,

or what the net's recurrence makes of them (:mod:`vanishing.parts.recurrences`). W and U are rows of
one tensor. A linear head sees the last layer's a_T, or every a_t. A norm is taken over each column
(a gate's, or the candidate's units) of the sum apart.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..parts.recurrences import Step
from . import fused_recurrent
from .feedforward import OnPhi
from .looks import Look
from .network import Network, Parameters, learned_by_phi, normalised

OnStep = Callable[[int, Step], None]
Steps = list[Tensor]  # a tensor (runs, batch, units) a time step


def unroll(
    net: Network,
    parameters: Parameters,
    x: Tensor,
    on_step: OnStep | None = None,
    on_phi: OnPhi | None = None,
    values: bool = True,
    looks: Sequence[Look] = (),
) -> tuple[Tensor, list[Steps], list[Steps]]:
    """Logits (runs, batch, [steps,] outputs), and h and a of every layer, step by step.

    ``x`` is (runs, batch, inputs). ``on_step(layer, step)`` sees every step of the layer with this
    index, ``on_phi(h, a)`` every h with phi(h). Where the net truncates, no gradient passes the
    edge of a stretch of so many steps, counted from the last (Williams, Peng 1990). Without
    ``values`` the logits are all that is asked for: h and a are empty, and the way is the fastest.
    ``looks``, one a layer, see what they do on that way.
    """
    # Time in front of the samples: each step is then a block of memory of its own.
    below = x.unflatten(2, net.architecture.sequence).transpose(1, 2)  # (runs, steps, batch, ...)
    if not (values or on_step or on_phi) and (cell := fused_recurrent.cell_of(net, x)):
        return _logits(net, parameters, _fused(net, parameters, cell, below, looks)), [], []
    pre_activations, activations = [], []
    for layer in range(net.depth):
        every = layer + 1 < net.depth or net.architecture.every_step
        h, a = [], deque(maxlen=None if values or every else 1)
        for step in _of_layer(net, parameters, layer, below, on_phi):
            if on_step:
                on_step(layer, step)
            h += [step.h] if values else []
            a.append(step.a)
        if values:
            pre_activations.append(h)
            activations.append(list(a))
        below = torch.stack(tuple(a) if every else (a[-1],), dim=1)
    return _logits(net, parameters, below), pre_activations, activations


def recurrent_weights(net: Network, parameters: Parameters, layer: int) -> tuple[Tensor, ...]:
    """U of the layer with this index, (runs, units, units) of each column."""
    return parameters["W"][layer][:, -net.architecture.width :].chunk(net.architecture.columns, 2)


def _logits(net: Network, parameters: Parameters, a: Tensor) -> Tensor:
    """What the head makes of the last layer's output ``a`` (runs, steps, batch, units)."""
    logits = torch.baddbmm(parameters["b"][-1], a.flatten(1, 2), parameters["W"][-1])
    logits = logits.view(*a.shape[:3], -1).transpose(1, 2)
    return logits if net.architecture.every_step else logits.squeeze(2)


def _fused(
    net: Network,
    parameters: Parameters,
    cell: fused_recurrent.Cell,
    below: Tensor,
    looks: Sequence[Look],
) -> Tensor:
    """The last layer's output of the steps that the head sees."""
    for layer in range(net.depth):
        weight, bias = parameters["W"][layer], parameters["b"][layer]
        every = layer + 1 < net.depth or net.architecture.every_step
        look = looks[layer] if looks else None
        below = fused_recurrent.outputs(cell, below, weight, bias, every, look)
    return below


def _of_layer(
    net: Network, parameters: Parameters, layer: int, below: Tensor, on_phi: OnPhi | None
) -> Iterator[Step]:
    """One time step after the other of a layer that sees ``below`` (runs, steps, batch, inputs)."""
    recurrence, width = net.recurrence, net.architecture.width
    weight, bias = parameters["W"][layer], parameters["b"][layer]
    runs, count, batch, _ = below.shape
    drive = torch.baddbmm(bias, below.flatten(1, 2), weight[:, :-width])
    drives = drive.view(runs, count, batch, -1).unbind(1)
    past = weight[:, -width:].contiguous()
    zero = drive.new_zeros(runs, batch, width)
    behind = [Step(zero, zero, zero)] * recurrence.reaches

    def see(column: int, total: Tensor) -> Tensor:
        units = slice(column * width, (column + 1) * width)
        return normalised(net, parameters, layer, total, {}, True, units)

    def phi(h: Tensor) -> Tensor:
        a = net.activation.phi(h, *learned_by_phi(net, parameters, layer, h))
        if on_phi:
            on_phi(h, a)
        return a

    columns = net.architecture.columns
    for t, p in enumerate(drives):
        if net.truncation and t and (count - t) % net.truncation == 0:
            behind = [_cut(step) for step in behind]
        r = torch.bmm(_recalled(behind), past)
        step = recurrence.step(p.chunk(columns, 2), r.chunk(columns, 2), behind[-1], phi, see)
        behind = [*behind[1:], step]
        yield step


def _recalled(behind: list[Step]) -> Tensor:
    """What U acts on: the last output, and where the recurrence reaches farther that one too."""
    if len(behind) == 1:
        return behind[0].a
    return (behind[-1].a + behind[0].a) / math.sqrt(2)


def _cut(step: Step) -> Step:
    """The step with nothing behind it that a gradient could go back to."""
    memory = None if step.memory is None else step.memory.detach()
    return Step(step.h.detach(), step.a.detach(), memory)
