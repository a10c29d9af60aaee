r"""The largest absolute eigenvalue of small matrices in float64, by squaring, compiled by numba.

Vectors are rows, from the left of A, where they have the same eigenvalues. Some steps of Arnoldi's
method with :math:`A^m`, m a power of 2, leave out all but the largest eigenvalues, and squarings of
what is left all but one eigenvector, or a plane of two. Where a vector of it is one for A itself,
or A keeps the plane that it spans with its image, to some units in the last place of A, the
eigenvalue is that of A in it. Where neither holds, or where it is so much smaller than A that these
units count, there is no answer.
"""

from __future__ import annotations

import math

import numpy as np

from .compiled import exact, reordered
from .fast_phi import ZERO
from .lane_numbers import if_less, read, size_of, write
from .lane_sums import all_of, largest_in
from .lanes import LANE_BYTES
from .product_kernels import panel_size, product

# Squarings between two answers that are tried, the last, and those of what is left of a power.
EVERY, LAST, SMALL = 4, 25, 10
STEPS = 12  # of Arnoldi's method
CLOSE = 5e-14  # of the size of A: what a vector may lie beside a line or plane that A keeps
SHARE = 0.02  # of the size of A: a smaller eigenvalue has fewer digits than balancing leaves it
SEEN = 1e-3  # of the size of A^m: else its vector may come of a smaller eigenvalue
LEAST = 1e-18  # of the largest entry of A^m: lost in its rounding, but no 0 to the 16th power
Array = np.ndarray


@exact
def largest(matrices: Array, of_squares: bool, out: Array) -> None:
    """Put that of each of ``matrices`` (count, n, n) into ``out``; NaN where there is no answer.

    As for one that is not finite. Where ``of_squares``, the root of that of A'A: the largest
    singular value.
    """
    n = matrices.shape[1]
    panel, rows, start = np.empty(panel_size(n, 8)), np.empty((3, n)), np.empty(max(n, STEPS))
    a, power, other = np.empty(n * n), np.empty(n * n), np.empty(n * n)
    basis, left = np.empty((min(n, STEPS), n)), np.empty((2, STEPS * STEPS))
    for j in range(len(start)):
        start[j] = math.cos(1.0 + j * j)  # a vector that no structure of A knows
    for r in range(len(matrices)):
        a[:] = matrices[r].ravel()
        scale, found, out[r] = _scale(a, 0.0), math.nan, math.nan
        size = _dot(a, a)
        if size == 0:
            out[r] = 0
        if not (0 < size < math.inf and scale < math.inf):
            continue
        power[:] = a
        for k in range(1, LAST + 1):
            turns = of_squares and k == 1
            if k % EVERY == 1:
                _scale(power, LEAST)
            _multiply(power, 1 if turns else n, n if turns else 1, power, other, n, panel)
            power, other = other, power
            if turns:
                a[:] = power
            if k > 1 and k % EVERY == 1 and _is_seen(power, start, rows[0]):
                _sharpen(power, start, rows[0], basis, left)
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
def _scale(power: Array, least: float) -> float:
    """Divide by the power of 2 that all entries are below, and give it.

    Four squarings of numbers up to 1 stay finite. Sizes below the ``least`` become 0: soon they
    would be slow, as numbers without all their digits are.
    """
    _, digits = math.frexp(largest_in(all_of(power)))
    factor, count = math.ldexp(1.0, -digits), len(power)
    for i in range(0, count, LANE_BYTES // power.itemsize):
        value = read(power, i, count - i) * factor
        write(power, i, count - i, if_less(size_of(value), least, ZERO, value))
    return math.ldexp(1.0, digits)


@exact
def _is_seen(power: Array, start: Array, out: Array) -> bool:
    """Leave the ``start`` times A^m, of length 1, in ``out``; whether it was long."""
    n = len(out)
    _times(start, power, n, n, out)
    length = _shorten(out)
    return length > SEEN * math.sqrt(_dot(power, power) * _dot(start[:n], start[:n]))


@exact
def _sharpen(power: Array, start: Array, x: Array, basis: Array, left: Array) -> None:
    """Turn x towards the vectors of the largest eigenvalues of A^m.

    Within the span of x, x A^m, x A^2m, ..., of which the ``basis`` is orthonormal. What A^m is
    there is ``left``, and then a power of it.
    """
    n, small, other = len(x), left[0], left[1]
    small[:], basis[0] = 0.0, x
    steps, count = len(basis), 1
    for j in range(steps):
        _times(basis[j], power, n, n, x)
        for i in range(count):
            along = _dot(x, basis[i])
            _subtract(x, along, basis[i])
            small[j * STEPS + i] = along
        beside = _shorten(x)
        if count == steps or not beside > 0:  # rounding too may show a direction that was missed
            break
        small[j * STEPS + count], basis[count] = beside, x
        count += 1
    for k in range(SMALL):
        if k % EVERY == 0:
            _scale(small, LEAST)
        _times(small, small, STEPS, STEPS, other)
        small, other = other, small
    _times(start, small, STEPS, STEPS, other[:STEPS])
    _times(other, basis.ravel(), count, n, x)
    _shorten(x)


@exact
def _eigenvalue(a: Array, rows: Array) -> float:
    """The largest of A on the first of the ``rows``, or the plane of it and its image; or NaN."""
    size = math.sqrt(_dot(a, a))
    found = _on_plane(a, rows, CLOSE * size)
    return found if found > SHARE * size else math.nan


@exact
def _on_plane(a: Array, rows: Array, close: float) -> float:
    """The same, where A keeps the line or plane but for what is ``close``."""
    first, image, second = rows[0], rows[1], rows[2]
    _times(first, a, len(first), len(first), image)
    along = _dot(first, image)
    _subtract(image, along, first)  # A e = along e + beside f, with e and f of length 1
    beside = math.sqrt(_dot(image, image))
    if beside <= close:
        return abs(along)
    for j in range(len(image)):
        image[j] /= beside
    _times(image, a, len(first), len(first), second)
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
def _times(x: Array, w: Array, terms: int, n: int, out: Array) -> None:
    """x w into ``out``, all of them flat; as many rows as ``out`` has."""
    for i in range(len(out) // n):
        for j in range(0, n, LANE_BYTES // out.itemsize):
            total = read(w, 0, 0)
            for k in range(terms):
                total = total + x[i * terms + k] * read(w, k * n + j, n - j)
            write(out, i * n + j, n - j, total)


@exact
def _shorten(x: Array) -> float:
    """Divide x by its length, and give that."""
    length = math.sqrt(_dot(x, x))
    for j in range(len(x)):
        x[j] /= length
    return length


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
