"""What is measured of a recurrent net besides its layers: time lags, recurrent weights, gates.

Like all probes in float64, on one fixed batch.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from ..parts.data import UNASKED
from ..parts.losses import Loss
from ..parts.recurrences import Step
from .network import Network, Parameters
from .probes import log10_rms
from .recurrent import recurrent_weights, unroll

NEARLY = 0.1  # a gate within so much of 0 or 1 is nearly shut, or nearly open


def lag_profile(
    net: Network, parameters: Parameters, loss: Loss, x: Tensor, labels: Tensor
) -> Tensor:
    """log10 rms of dL/dh_t by time lag T - t, (runs, depth, T); NaN where it is exactly 0.

    L is the loss of the last answer alone, a sample's; the mean is over units and samples. ``x`` is
    (batch, inputs), labels as the data have them.
    """
    runs = len(parameters["W"][0])
    tracked = [bias.detach().requires_grad_() for bias in parameters["b"]]  # h_t has a graph
    outputs, h, _ = unroll(net, {**parameters, "b": tracked}, x.expand(runs, *x.shape))
    last = last_answer(labels) if net.architecture.every_step else labels
    total = loss.per_sample(outputs, last.expand(runs, *last.shape)).sum()
    flat = [z for layer in h for z in layer]
    # What comes after the last answer has no part in it.
    found = torch.autograd.grad(total, flat, materialize_grads=True)
    rows = torch.stack([log10_rms(delta) for delta in found], dim=1)
    return rows.view(runs, net.depth, -1).flip(2)


def last_answer(labels: Tensor) -> Tensor:
    """``labels`` (batch, steps) of which only each sample's last answer is asked for."""
    asked = labels != UNASKED
    place = torch.arange(labels.shape[1], device=labels.device)
    last = torch.where(asked, place, -1).amax(1, keepdim=True)
    return torch.where(place == last, labels, UNASKED)


def of_recurrences(net: Network, parameters: Parameters, x: Tensor) -> dict[str, dict[str, Tensor]]:
    """Of each column (a gate, or the candidate) the measures of its recurrent weight and its gate.

    All are (runs, depth). ``spectral_radius`` is the largest absolute eigenvalue of U,
    ``spectral_norm`` its largest singular value; a gate's mean and sd are over samples, units and
    time, as are the shares that are nearly shut or open.
    """
    found: dict[str, dict[str, list[Tensor]]] = defaultdict(lambda: defaultdict(list))
    gates = _gates(net, parameters, x)
    for layer in range(net.depth):
        weights = recurrent_weights(net, parameters, layer)
        for name, weight in zip(net.recurrence.columns, weights, strict=True):
            for measure, value in _of_weight(weight).items():
                found[name][measure].append(value)
        for name, gate in zip(net.recurrence.gates, gates[layer], strict=True):
            for measure, value in _of_gate(gate).items():
                found[name][measure].append(value)
    return {
        name: {measure: torch.stack(rows, dim=1) for measure, rows in measures.items()}
        for name, measures in found.items()
    }


def _gates(net: Network, parameters: Parameters, x: Tensor) -> list[list[Tensor]]:
    """The gates of every layer, (runs, batch, units, steps) each; no pass where there are none."""
    if not net.recurrence.gates:
        return [[] for _ in range(net.depth)]
    steps: list[list[Step]] = [[] for _ in range(net.depth)]
    with torch.no_grad():
        runs = len(parameters["W"][0])
        unroll(
            net, parameters, x.expand(runs, *x.shape), lambda layer, step: steps[layer].append(step)
        )
    return [
        [torch.stack(gate, dim=3) for gate in zip(*(s.gates for s in layer), strict=True)]
        for layer in steps
    ]


def _of_weight(weight: Tensor) -> dict[str, Tensor]:
    """Of U (runs, units, units); NaN in a run where it is not finite, which no solver takes."""
    finite = weight.isfinite().flatten(1).all(1)
    safe = torch.where(finite.view(-1, 1, 1), weight.detach(), 0.0)
    found = {
        "spectral_radius": torch.linalg.eigvals(safe).abs().amax(1),
        "spectral_norm": torch.linalg.matrix_norm(safe, 2),
    }
    return {name: torch.where(finite, value, torch.nan) for name, value in found.items()}


def _of_gate(gate: Tensor) -> dict[str, Tensor]:
    """Of a gate (runs, batch, units, steps); NaN in a run where it is not finite."""
    flat = gate.flatten(1)
    found = {
        "gate_mean": flat.mean(1),
        "gate_sd": flat.std(1, correction=0),
        "shut": (flat <= NEARLY).double().mean(1),
        "open": (flat >= 1 - NEARLY).double().mean(1),
    }
    finite = flat.isfinite().all(1)
    return {name: torch.where(finite, value, torch.nan) for name, value in found.items()}
