r"""The gradient through time of a recurrent net at initialisation, lag by lag.

With :math:`a = \phi(h)`, layer l of a vanilla net sees :math:`h_{l,t} = x_{l,t} W_l + a_{l,t-1} U_l
+ b_l`. Over its units h is Gaussian, of mean square :math:`q_{l,t}`, which differs between samples:
the drive of layer 1 is :math:`\mathrm{var}(W) |x_t|^2` of the sample's own input, and phi is not
linear, so the recursion runs for each sample apart and squared gradients are averaged at the end:

.. math:: q_{l,t} = n\,\mathrm{var}(U)\, E\phi^2(q_{l,t-1}) + n\,\mathrm{var}(W_l)\,
          E\phi^2(q_{l-1,t}) + \mathrm{var}(b), \qquad D_{l,t} = E\phi'^2(q_{l,t})\,
          (n\,\mathrm{var}(U)\, D_{l,t+1} + n\,\mathrm{var}(W_{l+1})\, D_{l+1,t})

Weights are the same at all steps. To leading order in 1/n that changes no mean square of a vanilla
net, forwards or backwards, where weights are random: h at two steps are correlated, but q_t asks
for one step at a time, and weights of the backward pass may be taken for independent of those of
the forward pass, as the head is independent of both and centred (Yang 2019, arXiv:1902.04760; used
by Chen, Pennington, Schoenholz 2018 and Poole et al. 2016). The next order is steps²/n: powers of
one matrix of independent entries spread more than products of many. It does matter for a state that
adds up more than one past step, or where U is the identity: those are in :mod:`.population`.

A layer norm divides h by the root of its q: D by q, and what phi sees has q = 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ..errors import UserError
from ..parts import laws
from ..parts.architecture import Architecture
from ..parts.norms import EPSILON
from ..parts.recurrences import RECURRENCES
from .interpolation import ratios
from .population import population
from .slope import lag_slope

if TYPE_CHECKING:
    from ..parts.activations import Activation
    from ..parts.inits import Init
    from ..parts.recurrences import Recurrence

MOST_STEPS = 400  # for which correlations between all pairs of steps are followed
REACH = 650.0  # of ln q in float64
NORMED = {"none": False, "layer": True}

VANILLA = (
    "chi_1 = n var(U) E phi'^2 step by step, q with each input's drive, weights shared in time "
    "(Poole et al. 2016, Chen et al. 2018, Yang 2019)"
)
SHARED = (
    "units in Gaussian fields, correlated over time as shared weights make them (dynamic mean "
    "field, after Yang 2019)"
)
UNIT = "U = gain · 1: each unit follows its own past (Le, Jaitly, Hinton 2015); averaged over units"
BOUND = "the direct path alone, a lower bound: log10 of the share that a state keeps"


class Unrolled(NamedTuple):
    """What is predicted of a recurrent net at initialisation; arrays are (layers, steps).

    A bound has no profile: its arrays are not numbers.
    """

    q: np.ndarray  # mean square of what phi sees, over samples and units
    log10_delta_rms: np.ndarray  # of dL/dh_t, L a sum of the last step's units, weights N(0, 1)
    lag_slope: float  # decades a step, of the top layer
    source: str
    bound: bool = False  # the slope is at least lag_slope


class Spread(NamedTuple):
    """Variances times fan_in, layer by layer; at layer 1 that of the input is the variance."""

    below: list[float]  # of W
    past: list[float]  # of U
    bias: list[float]


def unrolled(
    activation: Activation,
    init: Init,
    norm_name: str,
    recurrence: Recurrence,
    x: np.ndarray,
    depth: int,
    width: int,
) -> Unrolled | None:
    """The prediction for a stack of ``depth`` layers that sees ``x`` (samples, steps, features).

    L is a sum of the units of the last layer's last step, each times an N(0, 1). None where there
    is no theory.
    """
    x = np.asarray(x, dtype=float)
    architecture = Architecture(
        "rnn", depth, width, x[0].size, 1, sequence=x.shape[1:], columns=len(recurrence.columns)
    )
    spread = _spread(activation, init, architecture) if norm_name in NORMED else None
    normed = NORMED.get(norm_name, False)
    if spread is None:
        return None
    identical = init.law is laws.identity
    if recurrence == RECURRENCES["vanilla"] and not identical:
        return _predicted(*_vanilla(activation, spread, normed, x), VANILLA)
    if not identical and x.shape[1] > MOST_STEPS:
        return None if normed else _bound(recurrence, depth, x.shape[1])
    found = population(activation, recurrence, spread, normed, x, identical)
    return _predicted(*found, UNIT if identical else SHARED)


def _spread(activation: Activation, init: Init, architecture: Architecture) -> Spread | None:
    """The variances that ``init`` gives; None where no theory takes them."""
    n, layers = architecture.width, range(1, architecture.depth + 1)
    below = [architecture.place(layer, activation) for layer in layers]
    past = [architecture.recurrent_place(layer, activation) for layer in layers]
    try:
        stds = [[init.weight_std(place) for place in places] for places in (below, past)]
        means = [init.weight_mean(place) for place in (*below, *past)]
        bias = [init.bias_std(place) ** 2 for place in below]
    except UserError:
        return None
    if any(means) or init.unit_variance or init.needs_block or not min(map(min, stds)) > 0:
        return None
    fan_in = [1, *[n] * (architecture.depth - 1)]
    return Spread(
        [k * std**2 for k, std in zip(fan_in, stds[0], strict=True)],
        [n * std**2 for std in stds[1]],
        bias,
    )


def _predicted(q: np.ndarray, log10_delta: np.ndarray, source: str) -> Unrolled | None:
    if not (np.isfinite(q).all() and (log10_delta < np.inf).all()):  # it left float64
        return None
    censored = np.where(np.isneginf(log10_delta), np.nan, log10_delta)
    return Unrolled(q, censored, float(lag_slope(censored[-1, ::-1])), source)


def _bound(recurrence: Recurrence, depth: int, steps: int) -> Unrolled | None:
    """The slope of the direct path through a cell's memory; None where there is no such path."""
    if not recurrence.carry > 0:
        return None
    nothing = np.full((depth, steps), np.nan)
    return Unrolled(nothing, nothing, math.log10(recurrence.carry), BOUND, bound=True)


def _vanilla(
    activation: Activation, spread: Spread, normed: bool, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """q and log10 of rms(delta), (layers, steps), by the recursion of each sample."""
    drive, layers = (x**2).sum(-1), []  # (sample, step)
    for below, past, bias in zip(*spread, strict=True):
        layers.append(_forward(activation, below * drive + bias, past, normed))
        drive = layers[-1].square
    q = np.array([layer.q.mean(0) for layer in layers])
    if not np.isfinite(q).all():
        return q, np.full_like(q, np.nan)
    return q, _log10_rms(np.array(_backward(layers, spread)))


class Layer(NamedTuple):
    """A layer seen going forward; arrays are (sample, step)."""

    q: np.ndarray  # of what phi sees
    square: np.ndarray  # E phi^2
    log_slope: np.ndarray  # ln E phi'^2
    log_divisor: np.ndarray  # ln of what a norm divides squares by


def _forward(activation: Activation, drive: np.ndarray, past: float, normed: bool) -> Layer:
    """A layer that sees ``drive``, the part of q that is not its own past's."""
    square, steps = np.zeros(len(drive)), []
    for now in drive.T:
        with np.errstate(over="ignore"):
            q = past * square + now
        divisor = q + EPSILON if normed else np.ones_like(q)
        square, log_slope = _squares(activation, q / divisor)
        steps.append((q / divisor, square, log_slope, np.log(divisor)))
    return Layer(*np.moveaxis(np.array(steps), 0, -1))


def _squares(activation: Activation, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E phi^2 and ln E phi'^2 at each ``q``; at q = 0 those of h = 0, where relu has no slope."""
    if not np.isfinite(q).all() or q.max() > math.exp(REACH):
        return np.full_like(q, np.nan), np.full_like(q, np.nan)
    zero, least = torch.zeros(1, dtype=torch.float64), math.exp(-REACH)
    m = ratios(activation, np.log(np.where(q > least, q, 1.0)))
    slope = float(activation.derivative(zero) ** 2)
    with np.errstate(over="ignore"):
        square = np.exp(m.log_square)
    return (
        np.where(q > least, square, float(activation.phi(zero) ** 2)),
        np.where(q > least, m.log_slope, math.log(slope) if slope else -math.inf),
    )


def _backward(layers: list[Layer], spread: Spread) -> list[np.ndarray]:
    """ln of the mean square of delta, layer by layer, (sample, step) each."""
    above = np.full_like(layers[-1].q, -np.inf)
    above[:, -1] = 0.0  # a head of variance 1 at the last step
    found = []
    for layer, below, past in reversed(list(zip(layers, *spread[:2], strict=True))):
        log_delta, later = np.empty_like(above), np.full(len(above), -np.inf)
        for t in reversed(range(above.shape[1])):
            log_delta[:, t] = layer.log_slope[:, t] + np.logaddexp(later, above[:, t])
            later = log_delta[:, t] - layer.log_divisor[:, t] + math.log(past)
        above = log_delta - layer.log_divisor + math.log(below)
        found.append(log_delta)
    return found[::-1]


def _log10_rms(log_square: np.ndarray) -> np.ndarray:
    """log10 of the root mean square over samples, of ln of squares (layer, sample, step)."""
    top = log_square.max(1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        mean = np.log(np.exp(log_square - shift).mean(1))
    return (shift[:, 0] + mean) / (2 * math.log(10))
