"""The network that a training starts from: drawn, scaled where the init asks for it, in a stack."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts.inits import INITS, Init
from ..parts.norms import FIRST_ITERATIONS, next_top
from ..parts.seeds import generator_of
from .forward import forward
from .network import Buffers, Network, Parameters


def draw(net: Network, inits: list[str], seeds: list[int]) -> Parameters:
    """The initial parameters of a stack: the run of seed s and init i draws as it would alone.

    Runs of one seed and init, at several learning rates say, share a draw.
    """
    pairs = list(zip(inits, seeds, strict=True))
    once = {pair: _draw_one(net, *pair) for pair in dict.fromkeys(pairs)}
    drawn = [once[pair] for pair in pairs]
    stacked = {
        name: [torch.stack(tensors) for tensors in zip(*(run[name] for run in drawn), strict=True)]
        for name in drawn[0]
    }
    return {**stacked, **_undrawn(net, stacked)}


def _draw_one(net: Network, init: str, seed: int) -> Parameters:
    generator, rule = generator_of(seed, "init"), INITS[init]
    draw_layer = _draw_recurrent if net.recurrence else _draw_layer
    layers = [draw_layer(net, rule, n, generator) for n in range(1, net.depth + 2)]
    drawn = {"W": [w for w, _ in layers], "b": [b for _, b in layers]}
    if net.residual.gate_bias is not None:  # after the layers, which every arm draws alike
        places = [net.architecture.gate_place(n, net.activation) for n in net.block_ends]
        gates = [rule.draw(place, generator)[0] for place in places]
        drawn["W_gate"] = gates
        drawn["b_gate"] = [torch.full((1, w.shape[1]), net.residual.gate_bias) for w in gates]
    return drawn


def _draw_layer(
    net: Network, rule: Init, layer: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer, or of the head."""
    return rule.draw(net.architecture.place(layer, net.activation), generator)


def _draw_recurrent(
    net: Network, rule: Init, layer: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a recurrent layer: each column's rows on what it sees, and on its past."""
    place = net.architecture.place(layer, net.activation)
    if place.head:
        return rule.draw(place, generator)
    past = net.architecture.recurrent_place(layer, net.activation)
    weights, biases = [], []
    for column in net.recurrence.columns:
        seen, bias = rule.draw(place, generator)
        weights.append(torch.cat([seen, rule.draw(past, generator)[0]]))
        biases.append(bias if "bias" in net.norm.affine else bias + _start(net, column))
    return torch.cat(weights, dim=1), torch.cat(biases, dim=1)


def _start(net: Network, column: str) -> float:
    """The bias that a gate starts with."""
    return net.recurrence.bias.get(column, 0.0)


def _undrawn(net: Network, drawn: Parameters) -> Parameters:
    """Gains, biases and residual factors, which start at the same values in every run."""
    rows = [torch.ones(len(w), 1, w.shape[2]) for w in drawn["W"][: net.depth]]
    found: Parameters = {}
    if "gain" in net.norm.affine:
        first = net.norm.first_gain
        found["gain"] = [first(w) for w in drawn["W"][: net.depth]] if first else rows
    if "bias" in net.norm.affine:
        found["bias"] = [torch.zeros_like(row) for row in rows]
        if net.recurrence:  # a layer norm would take the same bias of all units away again
            width, columns = net.architecture.width, net.recurrence.columns
            start = torch.tensor([_start(net, column) for column in columns])
            found["bias"] = [row + start.repeat_interleave(width) for row in found["bias"]]
    for n, start in enumerate(net.activation.learned):
        found[f"phi_{n}"] = [torch.full((len(row), 1, 1), start) for row in rows]
    if net.residual.learned:
        ends = [rows[n - 1] for n in net.block_ends]
        ends = ends if net.residual.learned == "unit" else [row[..., :1] for row in ends]
        found["skip"] = [net.residual.start * row for row in ends]
    return {name: [t.clone() for t in tensors] for name, tensors in found.items()}


def initial_buffers(net: Network, parameters: Parameters) -> Buffers:
    """Running mean 0 and variance 1 of every unit, and first singular vectors, where needed."""
    weights = [w.detach() for w in parameters["W"][: net.depth]]
    rows = [w.new_zeros(len(w), 1, w.shape[2]) for w in weights]
    buffers: Buffers = {}
    if net.norm.running:
        buffers = {"mean": rows, "variance": [torch.ones_like(row) for row in rows]}
    if net.norm.iterates:
        # One start for all runs, so that a run's vector does not depend on its stack.
        starts = [torch.randn(w.shape[2], 1, generator=generator_of(0, "top")) for w in weights]
        buffers["top"] = [
            next_top(w, start.to(w).expand(len(w), -1, -1), FIRST_ITERATIONS)
            for w, start in zip(weights, starts, strict=True)
        ]
    return buffers


def scale_to_unit_variance(
    net: Network, parameters: Parameters, inits: list[str], x: Tensor
) -> None:
    """Divide weights by the sd of what they give on ``x`` (runs, batch, inputs), layer by layer.

    In place, in the runs whose init asks for it, the head included (Mishkin, Matas 2016).
    """
    chosen = torch.tensor([INITS[init].unit_variance for init in inits], device=x.device)
    if not chosen.any():
        return

    def scale(layer: int, z: Tensor) -> Tensor:
        sd = z.flatten(1).std(1, correction=0).clamp_min(1e-12)
        sd = torch.where(chosen, sd, torch.ones_like(sd))
        parameters["W"][layer] /= sd.view(-1, 1, 1)
        if net.norm.weigh and "gain" in net.norm.affine and layer < net.depth:
            parameters["gain"][layer] /= sd.view(-1, 1, 1)  # the weight's own size is divided out
        return z / sd.view(-1, *[1] * (z.dim() - 1))

    with torch.no_grad():
        forward(net, parameters, x, initial_buffers(net, parameters), on_affine=scale)
