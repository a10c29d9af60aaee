"""What is measured of a recurrent net: its layers, time lags, recurrent weights and gates."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor

from ..parts.data import UNASKED
from ..parts.losses import Loss
from .network import Network, Parameters
from .probes import Measures, Probed, of_delta, of_hidden, of_weights, tracked, whole
from .recurrent import Steps, recurrent_weights
from .recurrent_pass import Pass, pass_of
from .spectra import spectral_norm, spectral_radius


def measure_through_time(
    net: Network, parameters: Parameters, loss: Loss, x: Tensor, labels: Tensor
) -> Probed:
    """Every measure of a recurrent net in float64; ``x`` (batch, inputs) serves all runs.

    The layers' are those of :func:`.probes.measure`.
    """
    exact = tracked(net, parameters)
    runs = len(exact["W"][0])
    every, labels = x.double().expand(runs, *x.shape), labels.expand(runs, *labels.shape)
    weights = exact["W"][: net.depth]
    return measured_pass(net, exact, loss, every, labels, weights, of_sum=True)[-1]


def measured_pass(
    net: Network,
    parameters: Parameters,
    loss: Loss,
    x: Tensor,
    labels: Tensor,
    learning: list[Tensor],
    of_sum: bool = False,
) -> tuple[Tensor, list[Tensor], list[Steps], Probed]:
    """Losses (runs) of a batch, the gradients of what is ``learning``, h, and all measures.

    ``x`` is (runs, batch, inputs); the layers' weights must be among ``learning``. Losses are the
    means over the batch, or ``of_sum`` the sums. Compiled loops keep no h.
    """
    seen, samples = pass_of(net, parameters, x), x.shape[1]
    values, of_past = seen.of_values(), of_recurrences(net, parameters, seen)
    losses = loss.per_sample(seen.outputs, labels)
    losses = losses.sum(1) if of_sum else losses.mean(1)
    lags = _lags_of_last(net, loss, seen, labels)
    delta, gradients = seen.back(losses.sum(), learning)
    times = 1 if of_sum else samples
    if lags is None:
        lags = seen.of_steps(delta).flip(2) + math.log10(times)
    g = of_hidden(parameters, learning, gradients)
    back = of_delta(seen.of_delta(delta), times) | of_weights(g, samples if of_sum else 1)
    return losses, gradients, seen.h, Probed(whole(values, back), lags, of_past)


def _lags_of_last(net: Network, loss: Loss, seen: Pass, labels: Tensor) -> Tensor | None:
    """log10 rms of dL/dh_t by time lag T - t, (runs, depth, T); NaN where it is exactly 0.

    L is the loss of the last answer alone, a sample's; the mean is over units and samples. None
    where there is but one answer: ``labels`` are (runs, batch, steps) where there are more.
    """
    if not net.architecture.every_step:
        return None
    last = last_answer(labels.flatten(0, 1)).view_as(labels)
    delta, _ = seen.back(loss.per_sample(seen.outputs, last).sum(), [], again=True)
    return seen.of_steps(delta).flip(2)


def last_answer(labels: Tensor) -> Tensor:
    """``labels`` (batch, steps) of which only each sample's last answer is asked for."""
    asked = labels != UNASKED
    place = torch.arange(labels.shape[1], device=labels.device)
    last = torch.where(asked, place, -1).amax(1, keepdim=True)
    return torch.where(place == last, labels, UNASKED)


def of_recurrences(net: Network, parameters: Parameters, seen: Pass) -> dict[str, Measures]:
    """Of each column (a gate, or the candidate) the measures of its recurrent weight and its gate.

    All are (runs, depth). ``spectral_radius`` is the largest absolute eigenvalue of U,
    ``spectral_norm`` its largest singular value; a gate's mean and sd are over samples, units and
    time, as are the shares that are nearly shut or open.
    """
    spectra = _spectra(net, parameters)
    gates = [seen.of_gates(layer) for layer in range(net.depth)]
    found: dict[str, Measures] = defaultdict(dict)
    for n, name in enumerate(net.recurrence.columns):
        found[name] |= {measure: values[:, n].T for measure, values in spectra.items()}
    for n, name in enumerate(net.recurrence.gates):
        of_layers = [_of_gate(of_layer[n]) for of_layer in gates]
        for measure in of_layers[0]:
            found[name][measure] = torch.stack([of[measure] for of in of_layers], dim=1)
    return dict(found)


@torch.no_grad()
def _spectra(net: Network, parameters: Parameters) -> Measures:
    """Of U of each layer and column, (depth, columns, runs)."""
    layers = (recurrent_weights(net, parameters, layer) for layer in range(net.depth))
    weights = torch.stack([u for columns in layers for u in columns]).double()
    flat, shape = weights.flatten(0, 1), (net.depth, -1, weights.shape[1])
    found = {"spectral_radius": spectral_radius(flat), "spectral_norm": spectral_norm(flat)}
    return {name: values.view(shape) for name, values in found.items()}


def _of_gate(seen: Measures) -> Measures:
    """Of a gate, in [0, 1]; NaN in a run where it is not finite."""
    measures = {
        "gate_mean": seen["mean"],
        "gate_sd": seen["sd"],
        "shut": seen["shut"],
        "open": 1 - seen["ajar"],
    }
    finite = seen["finite"] == 1
    return {name: torch.where(finite, value, torch.nan) for name, value in measures.items()}
