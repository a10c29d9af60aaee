"""Where the maps of an infinitely deep network settle, how fast, and where it turns critical."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from .gaussian import expect, expect_pair
from .maps import c_map, chi_1, q_map

if TYPE_CHECKING:
    from ..parts.activations import Activation

SMALLEST, LARGEST = 1e-12, 1e12  # a q beyond these is on its way to 0 or to infinity


@functools.lru_cache(maxsize=10_000)
def q_star(
    activation: Activation, sigma_w: float, sigma_b: float = 0.0, start: float = 1.0
) -> float:
    """The fixed point of ``q_map`` that a mean square ``start`` goes to; 0 or infinity if none.

    The nearest root of q_map(q) - q in the direction in which the map moves ``start``. Where the
    map keeps every q (relu at sigma_w^2 = 2), ``start`` itself.
    """

    def drift(q: float) -> float:
        return float(q_map(activation, q, sigma_w, sigma_b)) / q - 1

    first = drift(start)
    if abs(first) < 1e-10:
        return start
    step = math.copysign(math.log(2) / 2, first)
    q = start
    while SMALLEST < q < LARGEST:
        following = q * math.exp(step)
        if drift(following) * first <= 0:
            return float(brentq(drift, *sorted((q, following)), xtol=1e-15, rtol=1e-13))
        q = following
    return 0.0 if first < 0 else math.inf


def chi_1_star(activation: Activation, sigma_w: float, sigma_b: float = 0.0) -> float:
    """``chi_1`` at :func:`q_star`; its limit where q* is 0 or infinite."""
    q = q_star(activation, sigma_w, sigma_b)
    return float(chi_1(activation, min(max(q, SMALLEST), LARGEST), sigma_w))


def critical_sigma_w(
    activation: Activation, sigma_b: float = 0.0, low: float = 0.05, high: float = 50.0
) -> float | None:
    """The smallest sigma_w at which ``chi_1`` at its q* rises through 1; None if it never does.

    Where q* jumps (gelu, from 0 to infinity), chi_1 jumps too, and this is where it jumps over 1.
    """

    def excess(log_sigma: float) -> float:
        return chi_1_star(activation, math.exp(log_sigma), sigma_b) - 1

    return _first_rise(excess, np.linspace(math.log(low), math.log(high), 60))


def c_star(activation: Activation, sigma_w: float, sigma_b: float = 0.0) -> float | None:
    """The correlation that two inputs' ``h`` go to: 1 where chi_1 <= 1, less in the chaotic phase.

    None where q* is 0 or infinite (there is no fixed point at which to ask).
    """
    q = q_star(activation, sigma_w, sigma_b)
    if not 0 < q < math.inf:
        return None

    def drift(c: float) -> float:
        return c_map(activation, c, q, sigma_w, sigma_b) - c

    near_one = 1 - 1e-6
    if float(chi_1(activation, q, sigma_w)) <= 1 or drift(near_one) >= 0:
        return 1.0
    return 0.0 if drift(0.0) <= 1e-12 else float(brentq(drift, 0.0, near_one, xtol=1e-12))


def xi_c(activation: Activation, sigma_w: float, sigma_b: float = 0.0) -> float | None:
    r"""The depth scale of the correlation, :math:`-1 / \ln(\sigma_w^2 E[\phi'(u)\phi'(v)])` at c*.

    In layers; infinite at criticality. Where c* = 1 it is -1/ln(chi_1), and the scale of the
    gradient too. Schoenholz et al. 2017.
    """
    q, c = q_star(activation, sigma_w, sigma_b), c_star(activation, sigma_w, sigma_b)
    if c is None:
        return None
    return _scale(sigma_w**2 * expect_pair(activation.derivative, activation.derivative, q, c))


def xi_q(activation: Activation, sigma_w: float, sigma_b: float = 0.0) -> float | None:
    r"""The depth scale of the length, :math:`-1 / \ln(dq'/dq)` at q*, in layers.

    :math:`dq'/dq = \sigma_w^2 E[\phi(h) \phi'(h) h] / q`. Schoenholz et al. 2017.
    """
    q = q_star(activation, sigma_w, sigma_b)
    if not 0 < q < math.inf:
        return None
    moved = expect(lambda h: activation.phi(h) * activation.derivative(h) * h, q)
    return _scale(sigma_w**2 * float(moved) / q)


def _scale(factor: float) -> float:
    """Layers in which a distance that shrinks by ``factor`` a layer shrinks by e."""
    factor = abs(factor)
    if factor == 0:
        return 0.0
    return math.inf if factor >= 1 - 1e-12 else -1 / math.log(factor)


def _first_rise(f: Callable[[float], float], grid: np.ndarray) -> float | None:
    """Exp of the place where ``f`` first rises through 0 on ``grid``."""
    values = [f(x) for x in grid]
    for x, y, before, after in zip(grid, grid[1:], values, values[1:], strict=False):
        if before < 0 <= after:
            return math.exp(brentq(f, x, y, xtol=1e-12))
    return None
