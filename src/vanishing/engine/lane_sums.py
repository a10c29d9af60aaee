"""Sums over numbers next to each other, as looks at a pass ask for them, for numba.

Many numbers of a row are read at a time (:mod:`.lane_numbers`). Sums are in float64, and what is
counted is few enough to be counted in any precision.
"""

from __future__ import annotations

import numpy as np

from .compiled import exact
from .fast_phi import ZERO
from .lane_numbers import if_at_most, if_less, read, size_of
from .lane_totals import (
    doubled,
    filled,
    largest_of,
    load_doubled,
    ones_of,
    read_doubled,
    total_of,
)
from .lanes import LANE_BYTES, Lanes, load
from .sum_kernels import APART, LARGEST, SMALLEST

Array = np.ndarray
# Some columns: flat memory, where those of the first row begin, how far those of the next are
# apart, rows, columns.
Some = tuple[Array, int, int, int, int]


@exact
def all_of(flat: Array) -> Some:
    """All numbers of ``flat`` memory, as a row."""
    return flat, 0, 0, 1, len(flat)


@exact
def lanes_of(some: Some) -> tuple[int, int, Lanes, Lanes, Lanes]:
    """Lanes that fill a row: how many numbers, up to which column; zeros, ones, ones of the rest.

    What is behind is fewer numbers than lanes have, and is read with zeros behind it.
    """
    flat, start, _, _, n = some
    size = LANE_BYTES // flat.itemsize
    last = n - n % size
    nothing = read(flat, start, 0)
    return size, last, nothing, filled(1.0, nothing), ones_of(n - last, nothing)


@exact
def error(d: Lanes, wide: Lanes, one: Lanes, squares: Lanes, zeros: Lanes) -> tuple[Lanes, Lanes]:
    """The squares and zeros with those of ``d``, which is ``wide`` in float64."""
    return squares + wide * wide, if_at_most(size_of(d), ZERO, zeros + one, zeros)


@exact
def of_errors(some: Some) -> tuple[float, float, float, float]:
    """Squares of delta, what it was divided by first, zeros, finite ones.

    The second is 1 but where squares lose digits: there it is the largest size.
    """
    (flat, start, apart, rows, n), scale = some, 1.0
    size, last, nothing, ones, rest = lanes_of(some)
    zeros, squares = nothing, doubled(nothing)
    for i in range(rows):
        at = start + i * apart
        for j in range(0, last, size):
            d, wide = load(flat, at + j, LANE_BYTES), load_doubled(flat, at + j)
            squares, zeros = error(d, wide, ones, squares, zeros)
        if last < n:
            d = read(flat, at + last, n - last)
            squares, zeros = error(d, doubled(d), rest, squares, zeros)
    found = total_of(squares)
    finite = finite_among(some, found)
    if not SMALLEST < found < LARGEST:
        scale = largest_in(some)
        if scale > 0:  # else all are 0, or there is a NaN, and so in the squares
            found = _squares_over(scale, some)
    return found, scale, total_of(doubled(zeros)), finite


@exact
def moments(some: Some) -> tuple[float, float, float]:
    """The sum, squares, and zeros."""
    flat, start, apart, rows, n = some
    size, last, nothing, ones, rest = lanes_of(some)
    total = squares = doubled(nothing)
    zeros = nothing
    for i in range(rows):
        at = start + i * apart
        for j in range(0, last, size):
            d, wide = load(flat, at + j, LANE_BYTES), load_doubled(flat, at + j)
            total, (squares, zeros) = total + wide, error(d, wide, ones, squares, zeros)
        if last < n:
            d = read(flat, at + last, n - last)
            wide = doubled(d)
            total, (squares, zeros) = total + wide, error(d, wide, rest, squares, zeros)
    return total_of(total), total_of(squares), total_of(doubled(zeros))


@exact
def about_mean(total: float, squares: float, some: Some, near: float) -> float:
    """The squares about the mean, where the sum and the squares of what is more than ``near`` are.

    Where they would lose digits, they are taken again, of what is more than the mean.
    """
    apart = total / (some[3] * some[4])
    about = squares - total * apart
    if not (about > APART * squares and SMALLEST < squares < LARGEST):  # as in .sum_kernels.scan
        about = _sums_about(near + apart, some)[1]
    return about


@exact
def spread(some: Some) -> tuple[float, float]:
    """The sum, and the squares about the mean."""
    flat, start, _, rows, n = some
    near = np.float64(flat[start])
    near = near if np.isfinite(near) else 0.0
    total, squares = _sums_about(near, some)
    return rows * n * near + total, about_mean(total, squares, some, near)


@exact
def _more(x: Lanes, near: Lanes, total: Lanes, squares: Lanes) -> tuple[Lanes, Lanes]:
    more = x - near
    return total + more, squares + more * more


@exact
def _sums_about(near: float, some: Some) -> tuple[float, float]:
    """Those of what numbers have more than ``near``, and of its squares.

    Near the mean as any of them is, their squares about it keep their digits.
    """
    flat, start, apart, rows, n = some
    size, last, nothing, ones, rest = lanes_of(some)
    nears, some_nears = doubled(ones) * near, doubled(rest) * near
    total = squares = doubled(nothing)
    for i in range(rows):
        at = start + i * apart
        for j in range(0, last, size):
            total, squares = _more(load_doubled(flat, at + j), nears, total, squares)
        if last < n:
            rest_of = read_doubled(flat, at + last, n - last)
            total, squares = _more(rest_of, some_nears, total, squares)
    return total_of(total), total_of(squares)


@exact
def finite_among(some: Some, told: float) -> float:
    """How many are finite; all, where a sum of them or of their squares, ``told``, is."""
    flat, start, apart, rows, n = some
    if np.isfinite(told):
        return rows * n
    found = nothing = read(flat, start, 0)
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        one = ones_of(n - j, nothing)
        for i in range(rows):
            value = read(flat, start + i * apart + j, n - j)
            found = if_at_most(value - value, ZERO, found + one, found)  # else a NaN
    return total_of(doubled(found))


@exact
def within(some: Some, lower: float, upper: float) -> tuple[float, float]:
    """How many are at most either in size."""
    flat, start, apart, rows, n = some
    size, last, nothing, ones, rest = lanes_of(some)
    few = many = nothing
    for i in range(rows):
        at = start + i * apart
        for j in range(0, last, size):
            few, many = _within(load(flat, at + j, LANE_BYTES), lower, upper, ones, few, many)
        if last < n:
            few, many = _within(read(flat, at + last, n - last), lower, upper, rest, few, many)
    return total_of(doubled(few)), total_of(doubled(many))


@exact
def _within(
    x: Lanes, lower: float, upper: float, one: Lanes, few: Lanes, many: Lanes
) -> tuple[Lanes, Lanes]:
    size = size_of(x)
    few = if_at_most(size, lower, few + one, few)
    return few, if_at_most(size, upper, many + one, many)


@exact
def largest_in(some: Some) -> float:
    """The largest size that is a number."""
    flat, start, apart, rows, n = some
    top = read(flat, start, 0)
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        for i in range(rows):
            size = size_of(read(flat, start + i * apart + j, n - j))
            top = if_less(top, size, size, top)
    return np.float64(largest_of(top))


@exact
def _squares_over(scale: float, some: Some) -> float:
    flat, start, apart, rows, n = some
    squares = doubled(read(flat, start, 0))
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        for i in range(rows):
            value = doubled(read(flat, start + i * apart + j, n - j)) / scale
            squares = squares + value * value
    return total_of(squares)
