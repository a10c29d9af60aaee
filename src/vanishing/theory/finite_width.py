r"""A plain network as wide as it is: q walks at random, and networks are drawn from that walk.

For a sample, with :math:`K_l = \overline{a_l^2}` over the n units of layer l, :math:`h_{l+1}` is
Gaussian with mean square :math:`q_{l+1} = \sigma_w^2 K_l + \sigma_b^2`. Given q_l, K_l is a mean of
n independent :math:`\phi(h)^2`, with the relative variance
:math:`(E\phi^4 / (E\phi^2)^2 - 1) / n`, 5/n for relu (Hanin, Rolnick 2018). K_0 is given. Going
back, the mean of :math:`\phi'^2`, drawn together with K, and that of the squares of dL/da, of
relative variance :math:`2 E\phi'^4 / (E\phi'^2)^2 / n`, fluctuate as well.

A probe shows the mean over a batch; then come the logarithm and the mean over networks. What the
samples share of a fluctuation lowers a mean logarithm, what they do not share averages out. They
share as much as functions of their h's are correlated. Their cos^2 starts at that of two inputs
(one number for all pairs), changes as in the mean field at the batch's mean square, and gains 1/n
per layer, as do the cos^2 of their gradients, which start at those of two labels.

Beside this is the part of dL/da along a: W given h = a W is :math:`a h^T / |a|^2` and a fresh draw
across a. Writing dL/da = kappa a + r with r across a, kappa one layer back is
:math:`\sigma_w^2 \overline{h \delta} / q`, delta = phi' (kappa phi + r).

At infinite width this is the mean field of Poole et al. 2016 and Schoenholz et al. 2017. What 1/n
adds per layer is kept to first order, and drawn as log-normal. Weights are independent: an
orthogonal draw is taken for a Gaussian one.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .cell import weights
from .head import heads
from .interpolation import Pairs, Ratios, pairs, ratios
from .slope import slope

if TYPE_CHECKING:
    from ..parts.activations import Activation
    from .cell import Cell

NETWORKS = 32  # drawn at a time
MOST = 512
REACH = 650.0  # of ln q in float64
PRECISION = 0.0015  # decades per layer, standard error of the slope at which drawing ends


class Layer(NamedTuple):
    """A hidden layer of the drawn networks, seen going forward; arrays are (network, sample)."""

    log_q: np.ndarray
    m: Ratios
    log_k: np.ndarray  # ln K
    of_slope: np.ndarray  # ln of the mean of phi'^2 in units of its expectation
    by_weights: np.ndarray  # share of q that is not the bias's
    alike: Pairs  # two samples, (network)


class Draws:
    """Standard normal draws, (network, 1) and (network, sample) in turn, the same for all cells."""

    def __init__(self, group: int, samples: int) -> None:
        self._kept, self._rng = _kept(group, samples)
        self.group, self._samples, self._next = group, samples, 0

    def skip(self, pairs: int) -> None:
        """Leave out what a walk that is taken over has drawn."""
        self._next += pairs

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        """The next of each."""
        if self._next == len(self._kept):
            sizes = (NETWORKS, 1), (NETWORKS, self._samples)
            self._kept.append(tuple(self._rng.standard_normal(size) for size in sizes))
        self._next += 1
        return self._kept[self._next - 1]


@functools.cache
def _kept(group: int, samples: int) -> tuple[list, np.random.Generator]:  # noqa: ARG001 - a key
    """What was drawn of a group of networks, and what draws the rest."""
    return [], np.random.default_rng(group)


def profiles(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """log10 of q and of rms(delta) by layer: of a batch's mean square, the mean over networks.

    As many networks are drawn as the slope's standard error asks for; always the same ones.
    """
    found = np.empty((0, 2, cell.depth))
    for group in range(MOST // NETWORKS):
        found = np.concatenate([found, _group(cell, Draws(group, cell.samples))])
        error = slope(found[:, 1]).std(ddof=1) / math.sqrt(len(found))
        if not error > PRECISION:  # also where there is no slope
            break
    q, delta = found.mean(0)
    return q, delta / 2


def _group(cell: Cell, rng: Draws) -> np.ndarray:
    """log10 of mean squares of h and delta over samples, (network, 2, layer)."""
    layers = forward(cell, rng)
    if layers is None:
        return np.full((NETWORKS, 2, cell.depth), np.nan)
    squares = [[layer.log_q for layer in layers], backward(cell, layers, rng)]
    return np.moveaxis(_log10_mean(np.array(squares)), 2, 0)


def forward(cell: Cell, rng: Draws) -> list[Layer] | None:
    """Draw q layer by layer; None where it leaves float64, or neither weights nor phi vary."""
    log_k, width = np.zeros((NETWORKS, cell.samples)), cell.architecture.width
    walk = _walk(cell.activation, width, cell.samples, cell.correlation, rng.group)
    c, layers = np.full(NETWORKS, cell.correlation), []
    for number in range(1, cell.depth + 1):
        sizes = cell.place(number).fan_in, *weights(cell, number)
        if walk[number - 1 : number] and walk[number - 1][0] == sizes:
            _, layer, c = walk[number - 1]
            log_k = layer.log_k
            layers.append(layer)
            rng.skip(2)
            continue
        del walk[number - 1 :]
        log_q, by_weights = _affine(cell, number, log_k)
        if not (np.abs(log_q).max() < REACH and by_weights.max() > 0):
            return None
        m = ratios(cell.activation, log_q)
        if not np.isfinite(m).all():
            return None
        c = 1 - by_weights.mean(1) * (1 - c)
        alike = pairs(cell.activation, np.log(np.exp(log_q).mean(1)), c)
        of_k, of_slope = _fluctuations(rng, m, alike, width)
        log_k = m.log_square + of_k
        layers.append(Layer(log_q, m, log_k, of_slope, by_weights, alike))
        joint = 1 + alike.square * (m.kurtosis.mean(1) - 1)
        c = np.sqrt(_cos2(alike.phi**2, joint, width))
        walk.append((sizes, layers[-1], c))
    return layers


@functools.lru_cache(maxsize=MOST // NETWORKS)
def _walk(*key: Activation | float) -> list[tuple[tuple[float, ...], Layer, np.ndarray]]:  # noqa: ARG001
    """The last such walk: what sizes each layer, the layer, and the samples' cosine behind it.

    Networks that differ in depth alone walk alike as far as they go together.
    """
    return []


def sigma_w2_back(cell: Cell) -> np.ndarray:
    """Units times the variance of a weight, of the hidden layers from 2 on."""
    n = cell.architecture.width
    return np.array([n * weights(cell, layer).variance for layer in range(2, cell.depth + 1)])


def _affine(cell: Cell, layer: int, log_k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ln of q = sigma_w^2 K + sigma_b^2, and the share of the weights in it."""
    variances = weights(cell, layer)
    log_w, log_b = (math.log(var) if var > 0 else -math.inf for var in variances)
    log_w = log_w + math.log(cell.place(layer).fan_in) + log_k
    log_q = np.logaddexp(log_w, log_b)
    return log_q, np.exp(log_w - np.maximum(log_q, -1e9))  # 0 where both are 0


def _fluctuations(rng: Draws, m: Ratios, alike: Pairs, n: int) -> tuple[np.ndarray, np.ndarray]:
    """ln of K and of the mean of phi'^2, in units of their expectations, (network, sample)."""
    var_k, var_slope = (np.maximum(k - 1, 1e-12) / n for k in (m.kurtosis, m.kurtosis_slope))
    together = (m.both - 1) / n / np.sqrt(var_k)
    alone = np.sqrt(np.maximum(var_slope - together**2, 0))
    z, own = (_shared(rng, r) for r in (alike.square, alike.slope_square))
    return np.sqrt(var_k) * z - var_k / 2, together * z + alone * own - var_slope / 2


def _shared(rng: Draws, r: np.ndarray) -> np.ndarray:
    """Standard normal draws, (network, sample), with correlation ``r`` (network) of samples."""
    common, own = next(rng)
    return np.sqrt(r)[:, None] * common + np.sqrt(1 - r)[:, None] * own


def _cos2(limit: np.ndarray, joint: np.ndarray, n: int) -> np.ndarray:
    r"""Mean cos^2 of two vectors of n independent entries (u, v), from that at infinite width.

    :math:`E(\sum uv)^2 / E \sum u^2 \sum v^2` to first order; ``joint`` is E u^2 v^2 for entries of
    mean square 1.
    """
    return np.clip(limit + (1 - limit) * joint / n, 0, 1)


def backward(cell: Cell, layers: list[Layer], rng: Draws) -> list[np.ndarray]:
    r"""ln of the mean square of delta, layer by layer, (network, sample) each.

    ``log_r`` is ln of the mean square of r, ``along`` that of kappa a in its units, ``cos2`` the
    mean cos^2 of the r's of two samples. Among units across a, phi'^2 has the mean
    :math:`E\phi'^2 + (E\phi'^2 - E\phi^2\phi'^2 / E\phi^2) / n`.
    """
    n = cell.architecture.width
    log_r, along, cos2 = _head(cell, layers[-1].log_k)
    log_delta = []
    for number, layer in reversed(list(enumerate(layers, 1))):
        m, alike = layer.m, layer.alike
        log_w = math.log(n * weights(cell, number).variance) - 1 / n  # across a
        var_r = 2 * m.kurtosis_slope / n
        of_r = np.sqrt(var_r) * _shared(rng, cos2) - var_r / 2
        growth = m.log_slope + layer.of_slope + of_r + (1 - m.both) / n + np.log1p(along * m.both)
        log_delta.append(log_r + growth)
        log_r = log_r + growth + log_w
        kept = along * m.elasticity**2 * np.exp(layer.log_k - m.log_square)
        fresh = np.maximum(m.lean - m.elasticity**2, 0) / n
        along = np.exp(m.log_square - layer.log_q - growth + 1 / n) * (kept + fresh)
        along = layer.by_weights * along + (1 - layer.by_weights) / n
        joint = 1 + alike.slope_square * (m.kurtosis_slope.mean(1) - 1)
        cos2 = _cos2(cos2 * alike.slope**2, joint * (1 + 2 * cos2), n)
    return log_delta[::-1]


def _head(cell: Cell, log_k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``log_r``, ``along`` and ``cos2`` of dL/da at the last hidden layer."""
    n, last = cell.architecture.width, cell.depth + 1
    log_q, by_weights = _affine(cell, last, log_k)
    head = heads(log_q, cell.architecture.outputs)
    log_r = np.log(head.error) + math.log(weights(cell, last).variance) - 1 / n
    return log_r, by_weights * head.along / head.error / n, head.alike.mean(1)


def _log10_mean(logs: np.ndarray) -> np.ndarray:
    """log10 of the mean over the last axis of what ``logs`` are natural logarithms of."""
    top = logs.max(-1, keepdims=True)
    return (top[..., 0] + np.log(np.exp(logs - top).mean(-1))) / math.log(10)
