r"""The largest absolute eigenvalue of small matrices in float64, by squaring, compiled by numba.

Of :math:`A^m`, m a high power of 2, one eigenvector is left, or a plane of two: where a vector of
it is one for A itself, or A keeps the plane that it spans with its image, to some units in the last
place of A, the eigenvalue is that of A in it. Where neither holds, or where it is so much smaller
than A that these units count, there is no answer.
"""

from __future__ import annotations

import math

import numpy as np

from .compiled import exact, reordered
from .product_kernels import panel_size, product

FIRST, EVERY, LAST = 8, 4, 24  # squarings before the first answer is tried, each other, the last
CLOSE = 5e-14  # of the size of A: what a vector may lie beside a line or plane that A keeps
SMALL = 0.02  # of the size of A: an eigenvalue below has fewer digits than a solver that balances A
SEEN = 1e-3  # of the size of A^m: else its vector may come of a smaller eigenvalue
Array = np.ndarray


@exact
def largest(matrices: Array, of_squares: bool, out: Array) -> None:
    """Put that of each of ``matrices`` (count, n, n) into ``out``; NaN where there is no answer.

    Where ``of_squares``, the root of that of A'A: the largest singular value.
    """
    n = matrices.shape[1]
    panel, rows = np.empty(panel_size(n, 8)), np.empty((4, n))
    a, power, other = np.empty(n * n), np.empty(n * n), np.empty(n * n)
    for j in range(n):
        rows[3, j] = math.cos(1.0 + j * j)  # a vector that no structure of A knows
    for r in range(len(matrices)):
        a[:] = matrices[r].ravel()
        scale, found = _scale(a), math.nan
        if scale == 0:
            out[r] = 0
            continue
        if of_squares:
            power[:] = a
            _multiply(power, 1, n, power, a, n, panel)
        power[:] = a
        for k in range(1, LAST + 1):
            if k % EVERY == 1:
                _scale(power)
            _multiply(power, n, 1, power, other, n, panel)
            power, other = other, power
            if k >= FIRST and k % EVERY == 0 and _is_seen(power, rows):
                found = _eigenvalue(a, rows)
                if not math.isnan(found):
                    break
        out[r] = scale * (math.sqrt(found) if of_squares else found)


@exact
def _multiply(
    x: Array, by_row: int, by_term: int, w: Array, out: Array, n: int, panel: Array
) -> None:
    none = np.empty(0)
    product(x, 0, by_row, by_term, w, 0, n, 1, none, out, 0, (n, n, n), panel)


@exact
def _scale(power: Array) -> float:
    """Divide by the largest entry, and give it; four squarings of numbers up to 1 stay finite."""
    largest = 0.0
    for i in range(len(power)):
        largest = max(largest, abs(power[i]))
    for i in range(len(power) if largest > 0 else 0):
        power[i] /= largest
    return largest


@exact
def _is_seen(power: Array, rows: Array) -> bool:
    """Leave A^m times the last of the ``rows``, of length 1, in the first; whether it is long."""
    _apply(power, rows[3], rows[0])
    length = math.sqrt(_dot(rows[0], rows[0]))
    for j in range(len(rows[0])):
        rows[0, j] /= length
    return length > SEEN * math.sqrt(_dot(power, power) * _dot(rows[3], rows[3]))


@exact
def _eigenvalue(a: Array, rows: Array) -> float:
    """The largest of A on the first of the ``rows``, or the plane of it and its image; or NaN."""
    size = math.sqrt(_dot(a, a))
    found = _on_plane(a, rows, CLOSE * size)
    return found if found > SMALL * size else math.nan


@exact
def _on_plane(a: Array, rows: Array, close: float) -> float:
    """The same, where A keeps the line or plane but for what is ``close``."""
    first, image, second = rows[0], rows[1], rows[2]
    _apply(a, first, image)
    along = _dot(first, image)
    _subtract(image, along, first)  # A e = along e + beside f, with e and f of length 1
    beside = math.sqrt(_dot(image, image))
    if beside <= close:
        return abs(along)
    for j in range(len(image)):
        image[j] /= beside
    _apply(a, image, second)
    back, own = _dot(first, second), _dot(image, second)
    _subtract(second, back, first)
    _subtract(second, own, image)  # A f = back e + own f + what leaves the plane
    if not math.sqrt(_dot(second, second)) <= close:
        return math.nan
    half, apart = (along + own) / 2, ((along - own) / 2) ** 2 + beside * back
    if apart < 0:
        return math.sqrt(along * own - beside * back)
    return abs(half) + math.sqrt(apart)


@exact
def _apply(a: Array, x: Array, out: Array) -> None:
    n = len(x)
    for i in range(n):
        out[i] = _dot(a[i * n : (i + 1) * n], x)


@reordered
def _dot(x: Array, y: Array) -> float:
    total = 0.0
    for j in range(len(x)):
        total += x[j] * y[j]
    return total


@exact
def _subtract(x: Array, factor: float, y: Array) -> None:
    for j in range(len(x)):
        x[j] -= factor * y[j]
