"""Where the maps of an infinitely deep network settle, how fast, and where it turns critical."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from .maps import c_map, chi_1, mean, mean_pair, q_map

if TYPE_CHECKING:
    from ..parts.activations import Activation

SMALLEST, LARGEST = 1e-12, 1e12  # a q beyond these is on its way to 0 or to infinity
GRID = 2.0 ** np.arange(-40, 41)  # of q, from one of these to the other
SIGMAS = np.geomspace(1e-3, 1e3, 120)  # where a critical sigma_w is looked for
STILL = 1e-10  # a relative change of q that counts as none
JUMP = 1e-2  # of chi_1


class CriticalPoint(NamedTuple):
    """Where ``chi_1`` at its q* rises through 1: the edge of chaos."""

    sigma_w: float
    q_star: float
    chi_1: float


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
    if abs(first) < STILL:
        return start
    onward = np.flatnonzero((start - GRID) * first < 0)[:: 1 if first > 0 else -1]
    moved = _drifts(activation, sigma_w, sigma_b)[onward] * np.sign(first)
    over = np.flatnonzero(moved <= 1e-13)  # a root, which rounding may hide
    if not over.size:
        return 0.0 if first < 0 else math.inf
    q = float(GRID[onward[over[0]]])
    if drift(q) * first >= 0:
        return q
    before = float(GRID[onward[over[0] - 1]]) if over[0] else start
    return float(brentq(drift, *sorted((before, q)), xtol=1e-15, rtol=1e-13))


def chi_1_star(activation: Activation, sigma_w: float, sigma_b: float = 0.0) -> float:
    """``chi_1`` at :func:`q_star`; its limit where q* is 0 or infinite."""
    q = q_star(activation, sigma_w, sigma_b)
    return float(chi_1(activation, _bounded(q), sigma_w))


def critical_sigma_w(activation: Activation, sigma_b: float = 0.0) -> float | None:
    """The smallest sigma_w at which ``chi_1`` at its q* rises through 1; None if it never does.

    Between .001 and 1000. Where q* jumps (gelu, from 0 to infinity), chi_1 jumps too, and this is
    where it jumps over 1.
    """
    point = critical_point(activation, sigma_b)
    return point.sigma_w if point else None


@functools.lru_cache(maxsize=1000)
def critical_point(activation: Activation, sigma_b: float = 0.0) -> CriticalPoint | None:
    """The :class:`CriticalPoint`, at :func:`critical_sigma_w`; None where there is none.

    ``q_star`` may be 0 (tanh: the limit from above) or infinite (softplus), and is 1 where every q
    stays as it is (relu). Where chi_1 jumps over 1 (gelu), a q of 1 goes to one end below
    ``sigma_w`` and to another above it. ``q_star`` is then the unstable fixed point at which this
    turns, where a deep network stays for many layers, and ``chi_1`` what a gradient sees there: it
    is not 1.
    """

    def excess(log_sigma: float) -> float:
        return chi_1_star(activation, math.exp(log_sigma), sigma_b) - 1

    sigma_w = None
    for i in _rises(np.array([_rough_chi(activation, s, sigma_b) for s in SIGMAS]) - 1):
        near = np.log(SIGMAS[max(i - 1, 0) : i + 3])
        sigma_w = sigma_w or _first_rise(excess, near)
    if sigma_w is None:
        return None
    q = _turning(activation, sigma_w, sigma_b)
    return CriticalPoint(sigma_w, q, float(chi_1(activation, _bounded(q), sigma_w)))


def _turning(activation: Activation, sigma_w: float, sigma_b: float) -> float:
    """The ``q_star`` of :func:`critical_point`, from those on both sides of it."""
    sides = [sigma_w * (1 + sign * 1e-7) for sign in (-1, 1)]
    low, high = sorted(q_star(activation, s, sigma_b) for s in sides)
    low, high = 0.0 if low < 2 * SMALLEST else low, math.inf if high > LARGEST / 2 else high
    below, above = (chi_1_star(activation, s, sigma_b) for s in sides)
    if above - below > JUMP or (low, high) == (0.0, math.inf):
        return sorted([low, high, 1.0])[1]  # 1 where it lies between them, or else the nearer one
    if low == 0.0 or high == math.inf:
        return low if low == 0.0 else high
    return q_star(activation, sigma_w, sigma_b)


def _bounded(q: float) -> float:
    return min(max(q, SMALLEST), LARGEST)


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
    return _scale(sigma_w**2 * mean_pair(activation, activation.derivative, q, c))


def xi_q(activation: Activation, sigma_w: float, sigma_b: float = 0.0) -> float | None:
    r"""The depth scale of the length, :math:`-1 / \ln(dq'/dq)` at q*, in layers.

    :math:`dq'/dq = \sigma_w^2 E[\phi(h) \phi'(h) h] / q`. Schoenholz et al. 2017.
    """
    q = q_star(activation, sigma_w, sigma_b)
    if not 0 < q < math.inf:
        return None
    moved = mean(activation, lambda h: activation.phi(h) * activation.derivative(h) * h, q)
    return _scale(sigma_w**2 * float(moved) / q)


def _scale(factor: float) -> float:
    """Layers in which a distance that shrinks by ``factor`` a layer shrinks by e."""
    factor = abs(factor)
    if factor == 0:
        return 0.0
    return math.inf if factor >= 1 - 1e-12 else -1 / math.log(factor)


@functools.lru_cache(maxsize=1000)
def _on_grid(activation: Activation) -> tuple[np.ndarray, np.ndarray]:
    """E phi^2 and E phi'^2 at the q of GRID."""
    q = torch.from_numpy(GRID)

    def squares(h: Tensor) -> Tensor:
        return torch.stack([activation.phi(h) ** 2, activation.derivative(h) ** 2])

    square, slope = mean(activation, squares, q).numpy()
    return square, slope


def _drifts(activation: Activation, sigma_w: float, sigma_b: float) -> np.ndarray:
    """By what share the map moves each q of GRID."""
    square, _ = _on_grid(activation)
    with np.errstate(invalid="ignore"):  # 0 times infinity
        return (sigma_w**2 * square + sigma_b**2) / GRID - 1


def _rough_chi(activation: Activation, sigma_w: float, sigma_b: float) -> float:
    """``chi_1_star`` by straight lines between the q of GRID."""
    drifts, slope = _drifts(activation, sigma_w, sigma_b), _on_grid(activation)[1]
    middle = len(GRID) // 2  # q = 1
    step = 1 if drifts[middle] > 0 else -1
    over = np.flatnonzero(drifts[middle::step] * step <= 0)
    if not over.size or not over[0]:
        return sigma_w**2 * float(slope[::step][-1] if not over.size else slope[middle])
    after = middle + step * over[0]
    share = drifts[after - step] / (drifts[after - step] - drifts[after])
    return sigma_w**2 * float(slope[after - step] + share * (slope[after] - slope[after - step]))


def _rises(values: np.ndarray) -> np.ndarray:
    """Before which steps ``values`` are below 0, and after them not."""
    return np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0))


def _first_rise(f: Callable[[float], float], grid: np.ndarray) -> float | None:
    """Exp of the place where ``f`` first rises through 0 on ``grid``."""
    for i in _rises(np.array([f(x) for x in grid])):
        return math.exp(brentq(f, grid[i], grid[i + 1], xtol=1e-12))
    return None
