"""A multilayer perceptron that carries the run axis itself: a single run is a stack of one.

The letters are those of Poole et al. 2016, but for a, which they call x: with a_0 the input,

    z_l = a_{l-1} W_l + b_l,    h_l = norm(z_l),    a_l = phi(h_l)  [+ a_{l-1}],    l = 1 .. depth,

and a linear head on top. h is always what phi sees; delta_l = dL/dh_l.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from ..parts.activations import ACTIVATIONS, Activation
from ..parts.inits import INITS
from ..parts.norms import NORMS, Norm
from ..parts.residuals import RESIDUALS, Residual

Parameters = dict[str, list[Tensor]]  # W and b: a tensor a layer and the head; gain, bias: a layer
Running = list[tuple[Tensor, Tensor]]  # batch norm's running mean and variance of each layer


@dataclass(frozen=True)
class MLP:
    """The graph that all runs of a stack share."""

    activation: Activation
    norm: Norm
    residual: Residual
    depth: int
    width: int
    inputs: int
    classes: int

    @classmethod
    def of(cls, graph: dict, inputs: int, classes: int) -> MLP:
        """The network that a cohort's settings name, for data of a size."""
        return cls(
            ACTIVATIONS[graph["activation"]],
            NORMS[graph["norm"]],
            RESIDUALS[graph["residual"]],
            graph["depth"],
            graph["width"],
            inputs,
            classes,
        )

    def sizes(self) -> list[tuple[int, int]]:
        """(fan_in, fan_out) of every layer, the head last."""
        units = [self.inputs] + [self.width] * self.depth + [self.classes]
        return list(itertools.pairwise(units))


def draw(net: MLP, inits: list[str], seeds: list[int]) -> Parameters:
    """The initial parameters of a stack: the run of seed s and init i draws as it would alone."""
    drawn = [_draw_one(net, init, seed) for init, seed in zip(inits, seeds, strict=True)]
    stacked = {
        name: [torch.stack(tensors) for tensors in zip(*(run[name] for run in drawn), strict=True)]
        for name in ("W", "b")
    }
    if net.norm.affine:
        shape = (len(seeds), 1, net.width)
        stacked["gain"] = [torch.ones(shape) for _ in range(net.depth)]
        stacked["bias"] = [torch.zeros(shape) for _ in range(net.depth)]
    return stacked


def _draw_one(net: MLP, init: str, seed: int) -> Parameters:
    generator, rule = generator_of(seed, "init"), INITS[init]
    layers = [rule.draw(fan_in, fan_out, generator) for fan_in, fan_out in net.sizes()]
    return {"W": [w for w, _ in layers], "b": [b for _, b in layers]}


def generator_of(seed: int, purpose: str) -> torch.Generator:
    """A generator of a run's own for a purpose (init, split, order), the same in every arm."""
    code = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(code[:7], "big"))


def initial_running(net: MLP, runs: int, like: Tensor) -> Running:
    """Mean 0 and variance 1 for every unit, where the norm keeps running statistics."""
    shape = (runs, 1, net.width)
    if not net.norm.running:
        return []
    return [(like.new_zeros(shape), like.new_ones(shape)) for _ in range(net.depth)]


def forward(
    net: MLP, parameters: Parameters, x: Tensor, running: Running = (), learning: bool = True
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Logits (runs, batch, classes), and h and a of every layer, each (runs, batch, width).

    ``x`` is (runs, batch, inputs). With ``learning`` a batch norm normalises by the batch, and
    folds it into ``running`` where that is given; without, it normalises by ``running``.
    """
    weights, biases = parameters["W"], parameters["b"]
    a, pre_activations, activations = x, [], []
    for layer in range(net.depth):
        z = torch.baddbmm(biases[layer], a, weights[layer])
        affine = (parameters["gain"][layer], parameters["bias"][layer]) if net.norm.affine else None
        h = net.norm.apply(z, affine, running[layer] if running else None, learning)
        branch = net.activation.phi(h)
        # The input has another width than the layers: it can't be added.
        a = net.residual.add(a, branch) if layer else branch
        pre_activations.append(h)
        activations.append(a)
    return torch.baddbmm(biases[-1], a, weights[-1]), pre_activations, activations


def flat(parameters: Parameters) -> list[Tensor]:
    """All tensors of the stack, in a fixed order."""
    return [tensor for name in parameters for tensor in parameters[name]]
