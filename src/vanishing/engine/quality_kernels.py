r"""Sums of Gaussian kernels over pairs of points, in float64, compiled by numba.

Of a pair one exponential is taken, that of the widest kernel; every other has half the bandwidth of
the one before, so that it is its fourth power. With :math:`w = |a - b|^2 / 64 s^2`,

.. math:: e^{-|a - b|^2 / 2 s^2} = (e^{-w})^{32}, \qquad e^{-w} = \sum_{n \le 10} (-w)^n / n!,

which is within 2e-14 of the truth, and of pairs so far apart that nothing is left within 2e-16.
Points must be finite.
"""

from __future__ import annotations

import math

import numpy as np

from .compiled import reordered

SQUARINGS = 5
NARROWER = 4  # kernels than the widest
FAR = 40 / 2**SQUARINGS  # the largest w that counts: e^-40 is 4e-18
C2, C3, C4, C5, C6, C7, C8, C9, C10 = ((-1) ** n / math.factorial(n) for n in range(2, 11))


@reordered
def own_sums(x: np.ndarray, scale: float, row: np.ndarray, out: np.ndarray) -> None:
    """Put into ``out`` (runs) the sum of all kernels over the pairs of a run's points.

    Each pair of two points is taken once. ``x`` is (runs, values, points) with an even number of
    values, ``scale`` is 1 / 64 s² of the widest kernel, and ``row`` (points) memory to work in.
    """
    runs, _, points = x.shape
    for r in range(runs):
        total = 0.0
        for i in range(1, points):
            _squares(x[r], i, x[r], row[:i])
            total += _kernels(row[:i], scale)
        out[r] = total


@reordered
def shared_sums(
    x: np.ndarray, y: np.ndarray, scale: float, row: np.ndarray, out: np.ndarray
) -> None:
    """Put into ``out`` (runs) the sum of all kernels over all pairs of a run's point and one of y.

    ``y`` is (values, points); the rest as of :func:`own_sums`.
    """
    runs, _, points = x.shape
    for r in range(runs):
        total = 0.0
        for i in range(points):
            _squares(x[r], i, y, row[: y.shape[1]])
            total += _kernels(row[: y.shape[1]], scale)
        out[r] = total


@reordered
def _squares(x: np.ndarray, i: int, y: np.ndarray, out: np.ndarray) -> None:
    """Squared distances of point ``i`` of ``x`` from the first ones of ``y``, two values at a time.

    Both are (values, points). Of differences: exact where two points are close.
    """
    out[:] = 0.0
    for k in range(0, len(x), 2):
        first, second = x[k, i], x[k + 1, i]
        firsts, seconds = y[k], y[k + 1]
        for j in range(len(out)):
            a, b = first - firsts[j], second - seconds[j]
            out[j] += a * a + b * b


@reordered
def _kernels(squares: np.ndarray, scale: float) -> float:
    """The sum of all kernels over pairs with these squared distances, which it overwrites."""
    for j in range(len(squares)):  # two loops: in one, each number waits for the one before it
        w = squares[j] * scale
        w = w if w < FAR else FAR
        e = C6 + w * (C7 + w * (C8 + w * (C9 + w * C10)))
        squares[j] = w * (-1.0 + w * (C2 + w * (C3 + w * (C4 + w * (C5 + w * e)))))
    total = 0.0
    for j in range(len(squares)):
        e = squares[j]
        for _ in range(SQUARINGS):  # of e^-w less 1: near 0 it has more digits
            e = e * (e + 2.0)
        e += 1.0
        total += e
        for _ in range(NARROWER):
            e = e * e
            e = e * e
            total += e
    return total
