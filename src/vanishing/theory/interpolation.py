r"""The moments of an activation at many mean squares q at once: cubic splines in ln q.

A Gaussian mean is smooth in ln q, for most ``phi`` on a scale of 1: knots half a unit apart are
good to some 1e-5. A kink off 0 comes into the reach of h faster, and a wave averages out faster:
these have finer knots and longer series. Knots are computed in blocks, where a q first falls, and
kept.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from .gaussian import nodes

if TYPE_CHECKING:
    from ..parts.activations import Activation

KNOTS = 8  # a block


class Resolution(NamedTuple):
    """How finely the moments of an activation are followed."""

    step: float  # of ln q between knots
    terms: int  # of the Hermite series


COARSE, FINE = Resolution(0.5, 16), Resolution(0.25, 48)


class Ratios(NamedTuple):
    r"""Means over :math:`h \sim N(0, q)`; all but the first two are ratios free of scale."""

    log_square: np.ndarray  # ln E phi^2
    log_slope: np.ndarray  # ln E phi'^2
    kurtosis: np.ndarray  # E phi^4 / (E phi^2)^2
    kurtosis_slope: np.ndarray  # E phi'^4 / (E phi'^2)^2
    both: np.ndarray  # E phi^2 phi'^2 / (E phi^2 E phi'^2)
    elasticity: np.ndarray  # E h phi' phi / E phi^2, which is d ln E phi^2 / d ln q
    lean: np.ndarray  # E (h phi')^2 / E phi^2


class Pairs(NamedTuple):
    """Means over two Gaussians u, v of correlation c, as shares of those at c = 1."""

    phi: np.ndarray  # E phi(u) phi(v)
    slope: np.ndarray  # E phi'(u) phi'(v)
    square: np.ndarray  # the covariance of phi(u)^2 and phi(v)^2
    slope_square: np.ndarray  # the covariance of phi'(u)^2 and phi'(v)^2


def ratios(activation: Activation, log_q: np.ndarray) -> Ratios:
    """The :class:`Ratios` at ``log_q`` of any shape, which is the shape of each."""
    return Ratios(*np.moveaxis(_at(0, activation, log_q), -1, 0))


def pairs(activation: Activation, log_q: np.ndarray, c: np.ndarray) -> Pairs:
    r"""The :class:`Pairs` at ``log_q`` and correlation ``c`` of the same shape.

    Mehler's formula: :math:`E f(u) f(v) = \sum_k c^k f_k^2` with the coefficients :math:`f_k` of f
    in normalised Hermite polynomials. What is left of E f^2 after the last term goes with it.
    """
    weights = _at(1, activation, log_q)  # (..., function, term)
    powers = c[..., None, None] ** np.arange(weights.shape[-1])
    series, constant = (weights * powers).sum(-1), weights[..., 0]
    covariance = (series - constant) / np.maximum(1 - constant, 1e-12)
    found = np.concatenate([series[..., :2], covariance[..., 2:]], axis=-1)
    return Pairs(*np.moveaxis(np.clip(found, 0, 1), -1, 0))


def _at(kind: int, activation: Activation, log_q: np.ndarray) -> np.ndarray:
    block = _resolution(activation).step * KNOTS
    first, last = math.floor(log_q.min() / block), math.floor(log_q.max() / block) + 1
    return _spline(kind, activation, first, last)(log_q)


@functools.lru_cache(maxsize=1000)
def _spline(
    kind: int, activation: Activation, first: int, last: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Through the knots of these blocks; not a number where one of them is (a constant phi)."""
    values = np.concatenate([_knots(activation, b)[kind] for b in range(first, last + 1)])
    if not np.isfinite(values).all():
        return lambda log_q: np.full((*log_q.shape, *values.shape[1:]), np.nan)
    knots = np.arange(first * KNOTS, (last + 1) * KNOTS)
    return CubicSpline(_resolution(activation).step * knots, values)


def _resolution(activation: Activation) -> Resolution:
    return FINE if any(activation.kinks) or activation.frequency else COARSE


@functools.lru_cache(maxsize=1000)
def _knots(activation: Activation, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Ratios, (knot, ratio), and shares of E f^2 in a Hermite series, (knot, function, term)."""
    knots = torch.arange(block * KNOTS, (block + 1) * KNOTS, dtype=torch.float64)
    q = torch.exp(_resolution(activation).step * knots)
    z, weight = nodes(q, activation.kinks, activation.frequency)
    h = q.sqrt()[:, None] * z  # (knot, node)
    phi, slope = activation.phi(h), activation.derivative(h)
    squares = _means([phi**2, slope**2], weight)
    a, lean = (f / squares[:, :1].sqrt() for f in (phi, h * slope))
    d = slope / squares[:, 1:].sqrt()
    others = _means([a**4, d**4, (a * d) ** 2, lean * a, lean**2], weight)
    functions = [a, d, a**2, d**2]
    size = _means([f**2 for f in functions], weight)
    series = polynomials(z, weight, _resolution(activation).terms)
    shares = (torch.stack(functions, dim=1) @ series) ** 2 / size[..., None]
    shares[..., -1] = 1 - shares[..., :-1].sum(-1)
    return torch.cat([squares.log(), others], dim=1).numpy(), shares.numpy()


def _means(functions: list[Tensor], weight: Tensor) -> Tensor:
    """The mean of each function of (knot, node), as (knot, function)."""
    return (torch.stack(functions, dim=1) @ weight[..., None])[..., 0]


def polynomials(z: Tensor, weight: Tensor, terms: int) -> Tensor:
    """Orthonormal Hermite polynomials at ``z`` times weights, (..., node, term)."""
    p = [torch.ones_like(z), z]
    for k in range(2, terms):
        p.append((z * p[-1] - math.sqrt(k - 1) * p[-2]) / math.sqrt(k))
    return torch.stack(p, dim=-1) * weight[..., None]
