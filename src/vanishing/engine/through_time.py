"""What is measured of a recurrent net besides its layers: time lags, recurrent weights, gates.

Like all probes in float64, on one fixed batch.
"""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor

from ..parts.data import UNASKED
from ..parts.losses import Loss
from ..parts.recurrences import Step
from .network import Network, Parameters
from .probes import (
    Measures,
    Probed,
    Slopes,
    gradients_of,
    of_gradients,
    of_values,
    statistics_on,
    tracked,
    whole,
)
from .recurrent import recurrent_weights, unroll

NEARLY = 0.1  # a gate within so much of 0 or 1 is nearly shut, or nearly open


def measure_through_time(
    net: Network, parameters: Parameters, loss: Loss, x: Tensor, labels: Tensor
) -> Probed:
    """Every measure of a recurrent net; ``x`` (batch, inputs) serves all runs.

    The layers' are those of :func:`.probes.measure`.
    """
    exact, slopes = tracked(net, parameters), Slopes()
    runs = len(exact["W"][0])
    steps: list[list[Step]] = [[] for _ in range(net.depth)]
    outputs, h, a = unroll(
        net, exact, x.double().expand(runs, *x.shape),
        lambda layer, step: steps[layer].append(step), slopes.see,
    )  # fmt: skip
    seen = of_values(net, h, a, slopes)
    labels = labels.expand(runs, *labels.shape)
    of_last = delta_of_last(net, loss, outputs, labels, h)
    total = loss.per_sample(outputs, labels).sum()
    delta, g = gradients_of(total, h, exact["W"][: net.depth])
    layers = whole(seen, of_gradients(delta, g, len(x)))
    return Probed(layers, lag_profile(of_last or delta), of_recurrences(net, exact, steps))


def delta_of_last(
    net: Network, loss: Loss, outputs: Tensor, labels: Tensor, h: list[list[Tensor]]
) -> list[list[Tensor]] | None:
    """dL/dh_t of each layer, L the loss of a sample's last answer; None where it has but one.

    ``labels`` are (runs, batch, steps); the graph of the pass stays.
    """
    if not net.architecture.every_step:
        return None
    last = last_answer(labels.flatten(0, 1)).view_as(labels)
    total = loss.per_sample(outputs, last).sum()
    return gradients_of(total, h, [], keep_graph=True)[0]


def lag_profile(delta: list[list[Tensor]], samples: int = 1) -> Tensor:
    """log10 rms of dL/dh_t by time lag T - t, (runs, depth, T); NaN where it is exactly 0.

    L is the loss of the last answer alone, a sample's, and ``delta`` the dL/dh_t of each layer; the
    mean is over units and samples. Where ``delta`` came of the mean loss, it was that of so many
    ``samples``.
    """
    take = statistics_on(delta[0][0].device)
    found = take.moments([[step] for layer in delta for step in layer], ("log10_rms",))
    return found["log10_rms"].unflatten(1, (len(delta), -1)).flip(2) + math.log10(samples)


def last_answer(labels: Tensor) -> Tensor:
    """``labels`` (batch, steps) of which only each sample's last answer is asked for."""
    asked = labels != UNASKED
    place = torch.arange(labels.shape[1], device=labels.device)
    last = torch.where(asked, place, -1).amax(1, keepdim=True)
    return torch.where(place == last, labels, UNASKED)


def of_recurrences(
    net: Network, parameters: Parameters, steps: list[list[Step]]
) -> dict[str, Measures]:
    """Of each column (a gate, or the candidate) the measures of its recurrent weight and its gate.

    All are (runs, depth); ``steps`` are those of each layer. ``spectral_radius`` is the largest
    absolute eigenvalue of U, ``spectral_norm`` its largest singular value; a gate's mean and sd are
    over samples, units and time, as are the shares that are nearly shut or open.
    """
    found: dict[str, dict[str, list[Tensor]]] = defaultdict(lambda: defaultdict(list))
    for layer, of_layer in enumerate(steps):
        weights = recurrent_weights(net, parameters, layer)
        for name, weight in zip(net.recurrence.columns, weights, strict=True):
            for measure, value in _of_weight(weight).items():
                found[name][measure].append(value)
        gates = zip(*(step.gates for step in of_layer), strict=True)
        for name, gate in zip(net.recurrence.gates, gates, strict=True):
            for measure, value in _of_gate(list(gate)).items():
                found[name][measure].append(value)
    return {
        name: {measure: torch.stack(rows, dim=1) for measure, rows in measures.items()}
        for name, measures in found.items()
    }


def _of_weight(weight: Tensor) -> dict[str, Tensor]:
    """Of U (runs, units, units); NaN in a run where it is not finite, which no solver takes."""
    finite = weight.isfinite().flatten(1).all(1)
    safe = torch.where(finite.view(-1, 1, 1), weight.detach(), 0.0)
    found = {
        "spectral_radius": torch.linalg.eigvals(safe).abs().amax(1),
        "spectral_norm": torch.linalg.matrix_norm(safe, 2),
    }
    return {name: torch.where(finite, value, torch.nan) for name, value in found.items()}


def _of_gate(steps: list[Tensor]) -> dict[str, Tensor]:
    """Of a gate, in [0, 1], (runs, batch, units) each step; NaN in a run where it is not finite."""
    take = statistics_on(steps[0].device)
    found = take.moments([steps], ("mean", "sd", "finite"))
    found = {name: values[:, 0] for name, values in found.items()}
    limits = [NEARLY, math.nextafter(1 - NEARLY, 0)]
    shut, ajar = take.shares_within([steps], limits)[:, 0].unbind(1)
    measures = {"gate_mean": found["mean"], "gate_sd": found["sd"], "shut": shut, "open": 1 - ajar}
    finite = found["finite"] == 1
    return {name: torch.where(finite, value, torch.nan) for name, value in measures.items()}
