"""A pass through a recurrent net that is looked at, forward and back, in either of two ways.

Where the net has compiled loops, :mod:`.looks` see its values as they go by; else all values are
kept, and read when the pass is made. Both tell the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..parts.recurrences import Step
from . import fused_recurrent, looks
from .network import Network, Parameters
from .probes import OF_DELTA, Measures, Slopes, gradients_of, of_values, statistics_on
from .recurrent import Steps, unroll

NEARLY = 0.1  # a gate within so much of 0 or 1 is nearly shut, or nearly open


class Pass(Protocol):
    """What a pass tells; what :meth:`back` gives as delta is dL/dh of all layers and steps."""

    outputs: Tensor  # (runs, batch, ...)
    h: list[Steps]  # of each layer; none where they are not kept

    def of_values(self) -> Measures:
        """As :func:`.probes.of_values`; before the way back."""

    def of_gates(self, layer: int) -> list[Measures]:
        """Of each gate mean, sd, and the shares finite, nearly shut and not nearly open, (runs)."""

    def back(self, total: Tensor, tensors: list[Tensor], again: bool = False) -> tuple:
        """Delta, and the gradients of ``tensors``; ``again``: the way will be gone once more."""

    def of_delta(self, delta: list) -> Measures:
        """Its :data:`.probes.OF_DELTA`, (runs, depth)."""

    def of_steps(self, delta: list) -> Tensor:
        """log10 of its rms at every time step, (runs, depth, steps); NaN where it is 0."""


def pass_of(net: Network, parameters: Parameters, x: Tensor) -> Pass:
    """The pass of ``x`` (runs, batch, inputs), forward."""
    cell = fused_recurrent.cell_of(net, x)
    return Looked.of(net, cell, parameters, x) if cell else Kept.of(net, parameters, x)


@dataclass
class Looked:
    """A pass by compiled loops."""

    outputs: Tensor
    h: list[Steps]
    weights: list[Tensor]  # of the layers
    looks: list[looks.Look]

    @classmethod
    def of(
        cls, net: Network, cell: fused_recurrent.Cell, parameters: Parameters, x: Tensor
    ) -> Looked:
        """The pass of ``x``."""
        at = [looks.Look.of(net, cell, x, NEARLY) for _ in range(net.depth)]
        outputs, h, _ = unroll(net, parameters, x, values=False, looks=at)
        return cls(outputs, h, parameters["W"][: net.depth], at)

    def of_values(self) -> Measures:
        """See :class:`Pass`."""
        return looks.of_values(self.looks)

    def of_gates(self, layer: int) -> list[Measures]:
        """See :class:`Pass`."""
        return looks.of_gates(self.looks[layer])

    def back(
        self, total: Tensor, tensors: list[Tensor], again: bool = False
    ) -> tuple[list[np.ndarray], list[Tensor]]:
        """See :class:`Pass`."""
        for look in self.looks:
            look.again = again
        # The way back is gone for the weights' sake, even where it is one that only looks.
        found = torch.autograd.grad(
            total, tensors or self.weights, retain_graph=again, materialize_grads=True
        )
        return [look.delta[-1] for look in self.looks], list(found) if tensors else []

    def of_delta(self, delta: list[np.ndarray]) -> Measures:
        """See :class:`Pass`."""
        return looks.of_delta(delta, self.looks[0].each)

    def of_steps(self, delta: list[np.ndarray]) -> Tensor:
        """See :class:`Pass`."""
        return looks.of_steps(delta, self.looks[0].each)


@dataclass
class Kept:
    """A pass by the general way, whose values are kept."""

    net: Network
    outputs: Tensor
    h: list[Steps]
    a: list[Steps]
    slopes: Slopes
    steps: list[list[Step]] = field(repr=False)  # of each layer

    @classmethod
    def of(cls, net: Network, parameters: Parameters, x: Tensor) -> Kept:
        """The pass of ``x``."""
        slopes, steps = Slopes(), [[] for _ in range(net.depth)]

        def on_step(layer: int, step: Step) -> None:
            steps[layer].append(step)

        return cls(net, *unroll(net, parameters, x, on_step, slopes.see), slopes, steps)

    def of_values(self) -> Measures:
        """See :class:`Pass`."""
        return of_values(self.net, self.h, self.a, self.slopes)

    def of_gates(self, layer: int) -> list[Measures]:
        """See :class:`Pass`."""
        gates = zip(*(step.gates for step in self.steps[layer]), strict=True)
        return [_of_gate(list(gate)) for gate in gates]

    def back(
        self, total: Tensor, tensors: list[Tensor], again: bool = False
    ) -> tuple[list[Steps], list[Tensor]]:
        """See :class:`Pass`."""
        return gradients_of(total, self.h, tensors, keep_graph=again)

    def of_delta(self, delta: list[Steps]) -> Measures:
        """See :class:`Pass`."""
        return statistics_on(self.outputs.device).moments(delta, OF_DELTA)

    def of_steps(self, delta: list[Steps]) -> Tensor:
        """See :class:`Pass`."""
        take = statistics_on(self.outputs.device)
        found = take.moments([[step] for layer in delta for step in layer], ("log10_rms",))
        return found["log10_rms"].unflatten(1, (len(delta), -1))


def _of_gate(steps: Steps) -> Measures:
    take = statistics_on(steps[0].device)
    found = take.moments([steps], ("mean", "sd", "finite"))
    limits = [NEARLY, math.nextafter(1 - NEARLY, 0)]
    shut, ajar = take.shares_within([steps], limits)[:, 0].unbind(1)
    return {name: values[:, 0] for name, values in found.items()} | {"shut": shut, "ajar": ajar}
