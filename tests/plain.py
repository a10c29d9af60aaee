"""The same networks and trainings in plain torch.nn and torch.optim, to hold the engine against.

One run each; of the engine nothing is read but the numbers that it drew.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from . import plain_parts as parts


def affine(w, b, stride, graph):
    """A layer with the weights (fan_in, units) and biases (1, units) that the engine drew."""
    units = w.shape[1]
    if graph["family"] == "cnn":
        mode = {"zero": "zeros", "circular": "circular"}[graph.get("padding", "zero")]
        layer = nn.Conv2d(w.shape[0] // 9, units, 3, stride, padding=1, padding_mode=mode)
    else:
        layer = nn.Linear(w.shape[0], units)
    layer.weight.data, layer.bias.data = like(w, layer.weight), like(b, layer.bias)
    return layer


def like(engine, parameter):
    """A tensor (rows, units) of the engine, in the shape of a parameter of torch.nn."""
    return engine.detach().T.reshape(parameter.shape).clone()


class Plain(nn.Module):
    """The network of a cohort's ``graph``, with the weights of one run of the engine's ``drawn``.

    What nothing draws (gains, the factors of residuals, ...) starts as its definition says.
    """

    def __init__(self, graph, data, drawn, run=0):
        super().__init__()
        self.graph, depth, size = graph, graph["depth"], graph.get("block", 1)
        self.image = data.image if graph["family"] == "cnn" else None
        stages = np.array_split(np.arange(depth), graph.get("stages", 1))
        self.stage = [number for number, layers in enumerate(stages) for _ in layers]
        self.stride = [1 + (n > 0 and self.stage[n] > self.stage[n - 1]) for n in range(depth)]
        # Layer 0 stands before the first block.
        self.blocks = [range(n, min(n + size, depth)) for n in range(1, depth, size)]
        rows = {name: [t[run] for t in tensors] for name, tensors in drawn.items()}
        triples = zip(rows["W"], rows["b"], self.stride, strict=False)  # the head comes last
        self.layers = nn.ModuleList(affine(w, b, stride, graph) for w, b, stride in triples)
        self.norms = nn.ModuleList(self._norm(n) for n in range(depth))
        self.phis = nn.ModuleList(
            parts.made(parts.ACTIVATIONS, graph["activation"]) for _ in range(depth)
        )
        self.joins = nn.ModuleList(self._join(n, rows) for n in range(len(self.blocks)))
        self.head = affine(rows["W"][-1], rows["b"][-1], 1, {"family": "mlp"})
        self.double()

    def _shape(self, n):
        pixels = self.image[1:] if self.image else ()
        shrunk = 2 ** self.stage[n]
        return self.graph["width"] * shrunk, tuple(math.ceil(side / shrunk) for side in pixels)

    def _phi(self):
        return parts.made(parts.ACTIVATIONS, self.graph["activation"])

    def _norm(self, n):
        name, _ = parts.parsed(self.graph["norm"])
        if name not in parts.WEIGHT_NORMS:
            return parts.made(parts.VALUE_NORMS, self.graph["norm"], *self._shape(n))
        parts.made(
            parts.WEIGHT_NORMS,
            name,
            self.layers[n],
            parts.made(parts.ACTIVATIONS, self.graph["activation"]),
        )
        return nn.Identity()

    def _join(self, n, rows):
        gate = None
        if "W_gate" in rows:
            stride = math.prod(self.stride[i] for i in self.blocks[n])
            gate = affine(rows["W_gate"][n], rows["b_gate"][n], stride, self.graph)
        site = parts.Site(n + 1, len(self.blocks), *self._shape(self.blocks[n][-1]), gate)
        return parts.made(parts.RESIDUALS, self.graph["residual"], site)

    def forward(self, x, kept=None):
        """Logits (batch, classes); h and a of every layer are kept in ``self.h``, ``self.a``."""
        self._renew_v()
        self.h, self.a = [], []
        x = x.unflatten(1, self.image) if self.image else x
        before = parts.parsed(self.graph["residual"])[0] in parts.PRE_ACTIVATION
        a = (self._blocks_of_z if before else self._blocks_of_a)(x, kept)
        return self.head(a.mean(dim=(2, 3)) if self.image else a)

    def _blocks_of_a(self, x, kept):
        a = self._activated(0, self.layers[0](x))
        for n, block in enumerate(self.blocks):
            x = a
            for layer in block:
                a = self._activated(layer, self.layers[layer](a))
            a = self.joins[n](x, a, None if kept is None else kept[n])
            self.a[-1] = a
        return a

    def _blocks_of_z(self, x, kept):
        z = self.layers[0](x)
        for n, block in enumerate(self.blocks):
            f = z
            for layer in block:
                f = self.layers[layer](self._activated(layer - 1, f))
            z = self.joins[n](z, f, None if kept is None else kept[n])
        return self._activated(len(self.layers) - 1, z)

    def _activated(self, layer, z):
        norm, phi = self.norms[layer], self.phis[layer]
        before = self.graph.get("norm_position", "before") == "before"
        h = norm(z) if before else z
        if h.requires_grad:
            h.retain_grad()
        a = phi(h) if before else norm(phi(h))
        self.h.append(h)
        self.a.append(a)
        return a

    def named(self):
        """The parameters by the engine's names, in the order of its layers or blocks."""
        learned = [list(phi.parameters()) for phi in self.phis]
        gates = [join.gate for join in self.joins if isinstance(join, parts.Highway)]
        found = {
            "W": [weight(layer) for layer in (*self.layers, self.head)],
            "b": [layer.bias for layer in (*self.layers, self.head)],
            "gain": [gain(*pair) for pair in zip(self.layers, self.norms, strict=True)],
            "bias": [getattr(norm, "bias", None) for norm in self.norms],
            "phi_0": [parameters[0] for parameters in learned if parameters],
            "skip": [join.factor for join in self.joins if isinstance(join, parts.Learned)],
            "W_gate": [gate.weight for gate in gates],
            "b_gate": [gate.bias for gate in gates],
        }
        return {n: list(t) for n, t in found.items() if t and t[0] is not None}

    def load(self, parameters, run):
        """Take over all parameters of a run of the engine."""
        for name, tensors in self.named().items():
            for mine, theirs in zip(tensors, parameters[name], strict=True):
                mine.data.copy_(like(theirs[run], mine))
        return self

    @property
    def top(self):
        """The vectors that spectral norms keep, (units) each."""
        spectral = self.graph["norm"] == "spectral"
        return [layer.parametrizations.weight[0]._u for layer in self.layers if spectral]

    def _renew_v(self):
        """Miyato et al. 2018 keep u alone, and take v from the weights as they are."""
        for layer in self.layers if self.graph["norm"] == "spectral" else ():
            part = layer.parametrizations.weight
            flat = part.original.detach().flatten(1)
            part[0]._v.copy_(nn.functional.normalize(flat.T @ part[0]._u, dim=0))


def weight(layer):
    """The weight that a layer learns."""
    if not parametrize.is_parametrized(layer):
        return layer.weight
    part = layer.parametrizations.weight
    return part.original if hasattr(part, "original") else part.original1


def gain(layer, norm):
    """What a layer or its norm learns to multiply by."""
    if not parametrize.is_parametrized(layer):
        return getattr(norm, "weight", None)
    part = layer.parametrizations.weight
    return getattr(part[0], "gain", None) if hasattr(part, "original") else part.original0


class Trainer:
    """Gradients clipped, a step of the optimizer, a step of the schedule."""

    def __init__(self, graph, plain, lr):
        self.plain, self.clip = plain, graph.get("clip", "none")
        self.optimizer = parts.made(parts.OPTIMIZERS, graph["optimizer"], plain.parameters(), lr)
        factor = parts.made(parts.SCHEDULES, graph.get("schedule", "constant"), graph["steps"])
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)

    def step(self):
        """An update with the gradients that the parameters hold."""
        parts.made(parts.CLIPS, self.clip, self.plain.parameters())
        self.optimizer.step()
        self.schedule.step()
