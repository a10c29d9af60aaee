r"""Sums of Gaussian kernels over pairs of points, in float64, compiled by numba.

Of a pair one exponential is taken, that of the widest kernel; every other has half the bandwidth of
the one before, so that it is its fourth power. Where all points of a run lie near each other, as
those of a generator do that has learned anything, with :math:`u = |a - b|^2 / 2 s^2` it is

.. math:: e^{-u} = 1 + u Q(u),

Q of degree 10; else, with :math:`w = u / 32`, it is

.. math:: e^{-u} = (e^{-w})^{32}, \qquad e^{-w} = \sum_{n \le 10} (-w)^n / n!,

which takes longer. Either is within 2e-14 of the truth, and of pairs so far
apart that nothing is left within 2e-16. Points must be finite.
"""

from __future__ import annotations

import math

import numpy as np

from .compiled import reordered

NEAR = 1.2  # the largest u of points that are near each other
# Through the Chebyshev nodes of u up to there; the error is at most 4e-15 u.
Q0, Q1, Q2, Q3, Q4, Q5, Q6, Q7, Q8, Q9, Q10 = (
    -0.9999999999999956, 0.4999999999990955, -0.16666666663645585, 0.04166666627245513,
    -0.008333330689895183, 0.0013888785204512236, -0.00019838724787988666, 2.4761227335980457e-05,
    -2.7141906824690153e-06, 2.4847791479137326e-07, -1.4560897302160984e-08,
)  # fmt: skip
SQUARINGS = 5
NARROWER = 4  # kernels than the widest
FAR = 40 / 2**SQUARINGS  # the largest w that counts: e^-40 is 4e-18
C2, C3, C4, C5, C6, C7, C8, C9, C10 = ((-1) ** n / math.factorial(n) for n in range(2, 11))


@reordered
def own_sums(
    x: np.ndarray, scale: float, near: np.ndarray, row: np.ndarray, out: np.ndarray
) -> None:
    """Put into ``out`` (runs) the sum of all kernels over the pairs of a run's points.

    Each pair of two points is taken once. ``x`` is (runs, values, points) with an even number of
    values, ``scale`` is 1 / 2 s² of the widest kernel, ``near`` (runs) says of which runs no u is
    above :data:`NEAR`, and ``row`` (points) is memory to work in.
    """
    runs, _, points = x.shape
    for r in range(runs):
        total = 0.0
        for i in range(1, points):
            _squares(x[r], i, x[r], row[:i])
            total += _kernels(row[:i], scale, near[r])
        out[r] = total


@reordered
def shared_sums(
    x: np.ndarray, y: np.ndarray, scale: float, near: np.ndarray, row: np.ndarray, out: np.ndarray
) -> None:
    """Put into ``out`` (runs) the sum of all kernels over all pairs of a run's point and one of y.

    ``y`` is (values, points); the rest as of :func:`own_sums`.
    """
    runs, _, points = x.shape
    for r in range(runs):
        total = 0.0
        for i in range(points):
            _squares(x[r], i, y, row[: y.shape[1]])
            total += _kernels(row[: y.shape[1]], scale, near[r])
        out[r] = total


@reordered
def _squares(x: np.ndarray, i: int, y: np.ndarray, out: np.ndarray) -> None:
    """Squared distances of point ``i`` of ``x`` from the first ones of ``y``, two values at a time.

    Both are (values, points). Of differences: exact where two points are close.
    """
    for k in range(0, len(x), 2):
        first, second = x[k, i], x[k + 1, i]
        firsts, seconds = y[k], y[k + 1]
        if k == 0:
            for j in range(len(out)):
                a, b = first - firsts[j], second - seconds[j]
                out[j] = a * a + b * b
        else:
            for j in range(len(out)):
                a, b = first - firsts[j], second - seconds[j]
                out[j] += a * a + b * b


@reordered
def _kernels(squares: np.ndarray, scale: float, near: bool) -> float:
    """The sum of all kernels over pairs with these squared distances, which it may overwrite."""
    if near:
        return _near_kernels(squares, scale)
    for j in range(len(squares)):  # two loops: in one, each number waits for the one before it
        w = squares[j] * (scale / 2**SQUARINGS)
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


@reordered
def _near_kernels(squares: np.ndarray, scale: float) -> float:
    """The same of pairs whose u are at most :data:`NEAR`."""
    total = 0.0
    for j in range(len(squares)):
        u = squares[j] * scale
        q = Q5 + u * (Q6 + u * (Q7 + u * (Q8 + u * (Q9 + u * Q10))))
        e = 1.0 + u * (Q0 + u * (Q1 + u * (Q2 + u * (Q3 + u * (Q4 + u * q)))))
        of_pair = e  # added up by itself: else each pair waits for the one before it
        for _ in range(NARROWER):
            e = e * e
            e = e * e
            of_pair += e
        total += of_pair
    return total
