r"""Second moments of the signal at each pixel, and what layers, norms and activations make of them.

Arrays are (height, width); of an MLP (1, 1). An ``overlap`` is the mean over units of the product
of two samples: what a unit's mean over the batch squares to. A batch norm's mean is one over pixels
too: there the overlap of two pixels is taken for the product of its roots, and correlations within
a sample, a small part of all pairs, are left out.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from ..parts.norms import EPSILON
from . import interpolation
from .convolution import shifts, spread
from .gaussian import expect
from .maps import Moments, mean, moments

if TYPE_CHECKING:
    from ..parts.activations import Activation
    from .cell import Cell, Weights

STEP, KNOTS = 0.5, 8  # of ln q between knots; knots a block


class Stream(NamedTuple):
    """The activations ``a`` that a layer passes on."""

    mean: np.ndarray  # E a
    square: np.ndarray  # E a^2
    overlap: np.ndarray


class Affine(NamedTuple):
    """z = a W + b, of mean 0; ``mu`` is a unit's mean over batch and pixels."""

    square: np.ndarray  # E z^2
    overlap: np.ndarray
    with_mean: np.ndarray  # E z mu
    of_mean: float  # E mu^2

    def plus(self, other: Affine, here: float = 1.0, there: float = 1.0) -> Affine:
        """Independent parts side by side, their squares ``here`` and ``there`` times as large."""
        return Affine(*(here * a + there * b for a, b in zip(self, other, strict=True)))


class Normed(NamedTuple):
    """``h`` where a norm stands before phi."""

    q: np.ndarray
    overlap: np.ndarray
    divisor: float  # of squares, and of squared gradients
    members: int = 0  # units of a group, where its size is accounted for


def inputs(cell: Cell) -> Stream:
    """A batch of inputs, standardised and taken as uncorrelated."""
    shape = cell.architecture.pixels(0)
    square = np.array(cell.pixels).reshape(shape) if cell.pixels else np.ones(shape)
    return Stream(np.zeros(shape), square, np.zeros(shape))


def affine(cell: Cell, came: Stream, w: Weights, fan_in: int, stride: int) -> Affine:
    """What a layer makes of the stream that ``came``."""
    var = fan_in * w.variance
    square = spread(cell, came.square, stride)
    if cell.kind == "standardised":  # a unit's weights have mean 0
        square = square - spread(cell, came.mean, stride) ** 2
    if cell.kind != "batch":
        nothing = np.zeros_like(square)
        return Affine(var * square + w.bias, nothing, nothing, 0.0)
    overlap = var * spread(cell, came.overlap, stride) + w.bias
    roots = [part[::stride, ::stride] for part in shifts(cell, np.sqrt(came.overlap))]
    means = [len(roots) * part.mean() for part in roots]
    with_mean = var * sum(part * mean for part, mean in zip(roots, means, strict=True)) + w.bias
    of_mean = float(np.mean(with_mean))
    return Affine(var * square + w.bias, overlap, with_mean, of_mean)


def normalised(cell: Cell, z: Affine) -> Normed | None:
    """``h`` of z, where the norm stands before phi; None where the norm has no formula here.

    A norm divides by the root of the variance v of z plus epsilon, over units (layer, rms, group),
    a CNN's pixels among them, or over the batch.
    """
    if not cell.norm_first or cell.normed == "none":
        return Normed(z.square, z.overlap, 1.0)
    if cell.kind == "batch":
        v = float(z.square.mean()) - z.of_mean + EPSILON
        off = z.of_mean - 2 * z.with_mean
        return Normed((z.square + off) / v, (z.overlap + off) / v, v)
    v = float(z.square.mean()) + EPSILON
    if cell.kind != "group":
        return Normed(z.square / v, z.overlap, v)
    members = cell.architecture.width // cell.norm.groups
    if cell.architecture.family == "cnn":
        return Normed(z.square / v, z.overlap, v)
    return Normed(z.square / v, z.overlap, v, members) if members >= 8 else None


def normalised_after(cell: Cell, a: Stream, q: np.ndarray) -> tuple[Stream, float]:
    """phi(h) normalised, where the norm stands behind phi, and the divisor of squared gradients.

    ``q`` is the mean square of h.
    """
    if cell.norm_first or cell.normed == "none":
        return a, 1.0
    if cell.kind == "rms":
        v = float(a.square.mean()) + EPSILON
        return Stream(a.mean / math.sqrt(v), a.square / v, a.overlap / v), v
    centre, root, share = float(a.mean.mean()), a.mean, 1.0
    if cell.kind == "batch":  # a unit's own mean over the batch
        root = np.sqrt(a.overlap)
        centre = float(root.mean())
    v = float(a.square.mean()) - centre**2 + EPSILON
    if cell.kind == "group" and cell.architecture.family == "mlp":
        members = cell.architecture.width // cell.norm.groups
        share = through_group(cell.activation, float(q.mean()), members)
    off = centre**2 - 2 * centre * root
    centred = (a.mean - a.mean.mean()) / math.sqrt(v)
    return Stream(centred, (a.square + off) / v, (a.overlap + off).clip(0) / v), v / share


def activated(cell: Cell, h: Normed) -> tuple[Moments, Stream, float]:
    """The moments of phi(h), the stream that leaves phi, and the share of squared gradients.

    That share is what passes back through the norm of a small group beside 1 / divisor.
    """
    if h.members:
        m, share = on_sphere(cell.activation, float(h.q.mean()), h.members)
    else:
        m, share = moments_at(cell.activation, h.q), 1.0
    overlap = m.mean**2
    if cell.kind == "batch" and h.overlap.max() > 1e-9 * h.q.max():
        c = np.clip(h.overlap / h.q, 0, 1)
        overlap = m.square * interpolation.pairs(cell.activation, np.log(h.q), c).phi
    return m, Stream(m.mean, m.square, overlap), share


def moments_at(activation: Activation, q: np.ndarray) -> Moments:
    """The :class:`Moments` at each pixel, by splines in ln q where pixels differ."""
    if np.ptp(q) <= 1e-12 * q.max():
        ones = np.ones_like(q)
        return Moments(*(ones * value for value in moments(activation, float(q.flat[0]))))
    found, (first, lean, tilt) = interpolation.ratios(activation, np.log(q)), _odd(activation, q)
    square, slope = np.exp(found.log_square), np.exp(found.log_slope)
    root = np.sqrt(square)
    pull, fourth = square * found.elasticity, square * slope * found.both
    return Moments(root * first, square, slope, root * lean, pull, slope * root * tilt, fourth)


def _odd(activation: Activation, q: np.ndarray) -> np.ndarray:
    log_q, block = np.log(q), STEP * KNOTS
    first, last = math.floor(log_q.min() / block), math.floor(log_q.max() / block) + 1
    return np.moveaxis(_spline(activation, first, last)(log_q), -1, 0)


@functools.lru_cache(maxsize=1000)
def _spline(activation: Activation, first: int, last: int) -> CubicSpline:
    """E phi and E h phi' over sqrt(E phi^2), and E phi'^2 phi over E phi'^2 sqrt(E phi^2)."""
    knots = STEP * np.arange(first * KNOTS, (last + 1) * KNOTS)
    at = [(m, math.sqrt(m.square)) for x in knots for m in [moments(activation, math.exp(x))]]
    return CubicSpline(
        knots, [(m.mean / root, m.lean / root, m.tilt / m.derivative / root) for m, root in at]
    )


@functools.lru_cache(maxsize=10_000)
def on_sphere(activation: Activation, q: float, members: int) -> tuple[Moments, float]:
    r"""Moments over a coordinate h of a centred point on the sphere :math:`|h|^2 = m q`.

    Its density is :math:`\propto (1 - h^2 / ((m - 1) q))^{(m - 4) / 2}`. The share of squared
    gradients that passes back is :math:`\frac{m}{m - 3} E[\phi'^2 (1 - 1/m - h^2/(m q))] /
    E\phi'^2`: the norm takes out what points along the mean and along h, and divides by a sample
    variance, :math:`E[1/s^2] = m / ((m - 3) v)`. For a linear phi it is (m - 2) / (m - 3).
    """
    radius2 = (members - 1) * q

    def terms(h: torch.Tensor) -> torch.Tensor:
        inside = (1 - h**2 / radius2).clamp_min(0)
        density = torch.exp(h**2 / (2 * q)) * inside ** ((members - 4) / 2)
        a, d = activation.phi(h), activation.derivative(h)
        through = d**2 * (1 - 1 / members - h**2 / (members * q))
        return torch.stack([torch.ones_like(h), a, a**2, d**2, through]) * density

    edge = math.sqrt(radius2)
    size, *found = expect(terms, q, (*activation.kinks, -edge, edge)).tolist()
    first, square, derivative, through = (value / size for value in found)
    share = members / (members - 3) * through / derivative if derivative > 0 else 1.0
    values = (first, square, derivative, 0.0, 0.0, 0.0, 0.0)
    return Moments(*(np.full((1, 1), value) for value in values)), share


@functools.lru_cache(maxsize=10_000)
def through_group(activation: Activation, q: float, members: int) -> float:
    r"""The share of squared gradients that passes back through a norm of m activations.

    To first order :math:`1 + (\kappa - 2 b) / m`, where :math:`\kappa` is the kurtosis of phi and
    :math:`b = E[\phi'^2 (\phi - E\phi)^2] / (E\phi'^2\, \mathrm{Var}\,\phi)`: 1 + 1/m if linear.
    """
    m = moments(activation, q)
    v = m.square - m.mean**2

    def terms(h: torch.Tensor) -> torch.Tensor:
        off = activation.phi(h) - m.mean
        return torch.stack([off**4, (activation.derivative(h) * off) ** 2])

    fourth, both = mean(activation, terms, q).tolist()
    b = both / (v * m.derivative) if m.derivative > 0 else 0.0
    return 1 + (fourth / v**2 - 2 * b) / members
