"""What a probe asks of a recurrent layer's values, taken while a time step is in the cache.

Compiled loops beside those of :mod:`.step_kernels`, whose z, p and s they read as they lie, some
numbers of a sample at a time (:mod:`.lane_numbers`); ``ones`` are as many. Sums are in float64, of
each step of each run apart, and what is counted is few enough to be counted in any precision.
"""

from __future__ import annotations

import numpy as np

from .compiled import exact
from .fast_phi import ZERO
from .lane_numbers import if_at_most, if_less, read, size_of, write
from .lane_totals import doubled, largest_of, total_of
from .lanes import LANE_BYTES
from .step_kernels import slope
from .sum_kernels import APART, LARGEST, SMALLEST

Array = np.ndarray
# Of a step of a run: squares and finite ones of h, sum of a and squares about its mean, flat slopes
# below the peak and in all; then of each gate sum, squares about its mean, finite ones, and how
# many are nearly shut, and not nearly open.
OF_VALUES, OF_GATE = 6, 5
# On the way back: squares of delta, what it was divided by first, zeros, finite ones.
OF_DELTA = 4
# Which phi, how many gates stand before the candidate, whether its recall stands apart behind it,
# whether phi(h) is the output itself.
Form = tuple[int, int, bool, bool]
# Some columns of a step: flat memory, where the first sample's begin, how far those of the next are
# apart, samples, columns.
Some = tuple[Array, int, int, int, int]
Part = tuple[Array, int]  # flat memory from an index on


@exact
def forward(
    made: Some,
    kept: Some,
    a: Some,
    form: Form,
    limits: Array,
    out: Part,
    sizes: Part,
    ones: Array,
) -> None:
    """Leave a step's sums in ``out``, and add the sizes of its phi' to ``sizes`` (units).

    ``made`` are the first columns of z, and ``kept`` of p. ``limits``, of the values' own
    precision, are the largest h below the peak and the steepest slope that is flat, and where a
    gate is nearly shut, and nearly open. Of a candidate whose recall stands apart, z becomes h.
    """
    (which, gates, apart, is_output), (found, at) = form, out
    h, count = _behind(made, gates), a[3] * a[4]
    if apart:
        _add_recalled(h, kept)
    found[at + 2], found[at + 3] = _spread(a, ones)
    squares, low, both = _of_phi(
        which, h, a if is_output else _behind(kept, gates), limits, sizes, ones
    )
    found[at], found[at + 4], found[at + 5] = squares, low, both
    found[at + 1] = count if np.isfinite(squares) else _finite(h, ones)
    at += OF_VALUES
    for number in range(gates):
        gate = _behind(kept, number)
        total, about = _spread(gate, ones)
        found[at], found[at + 1] = total, about
        found[at + 2] = count if np.isfinite(total) else _finite(gate, ones)
        found[at + 3], found[at + 4] = _at_most(gate, limits[2], limits[3], ones)
        at += OF_GATE


@exact
def backward(delta: Some, out: Part, ones: Array) -> None:
    """Leave in ``out`` a step's sums of delta.

    Where squares have lost digits they are those of delta over its largest size.
    """
    (flat, start, apart, batch, n), (sums, at) = delta, out
    zeros = nothing = read(flat, start, 0)
    squares, scale = doubled(nothing), 1.0
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        one = read(ones, 0, n - j)
        for i in range(batch):
            d = read(flat, start + i * apart + j, n - j)
            wide = doubled(d)
            squares = squares + wide * wide
            zeros = zeros + if_at_most(size_of(d), ZERO, one, nothing)
    found = total_of(squares)
    finite = batch * n if np.isfinite(found) else _finite(delta, ones)
    if not SMALLEST < found < LARGEST:
        scale = _largest(delta)
        if scale > 0:  # else all are 0, or there is a NaN, and so in the squares
            found = _squares_over(scale, delta)
    sums[at], sums[at + 1], sums[at + 2], sums[at + 3] = found, scale, total_of(zeros), finite


@exact
def _behind(some: Some, blocks: int) -> Some:
    """As many columns behind so many ``blocks`` of them."""
    flat, start, apart, batch, n = some
    return flat, start + blocks * n, apart, batch, n


@exact
def _add_recalled(h: Some, kept: Some) -> None:
    """Add to the drive in ``h`` what the first gate leaves of the recall behind it."""
    (flat, start, apart, batch, n), (gates, begin, beside, _, _) = h, kept
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // flat.itemsize):
            here, left = start + i * apart + j, n - j
            gate, recall = read(gates, begin + i * beside + j, left), read(flat, here + n, left)
            write(flat, here, left, read(flat, here, left) + gate * recall)


@exact
def _of_phi(
    which: int, h: Some, of_h: Some, limits: Array, sizes: Part, ones: Array
) -> tuple[float, float, float]:
    """The squares of h; how many slopes are flat, below the peak and in all.

    Adds to ``sizes`` those of the slopes, of each unit.
    """
    (flat, start, apart, batch, n), (phis, begin, beside, _, _), (moves, to) = h, of_h, sizes
    below, steep = limits[0], limits[1]
    low = both = nothing = read(flat, start, 0)
    squares = doubled(nothing)
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        left = n - j
        one, size = read(ones, 0, left), read(moves, to + j, left)
        for i in range(batch):
            value = read(flat, start + i * apart + j, left)
            steepness = size_of(slope(which, read(phis, begin + i * beside + j, left)))
            is_flat, wide = if_at_most(steepness, steep, one, nothing), doubled(value)
            squares = squares + wide * wide
            both = both + is_flat
            low = low + if_at_most(value, below, is_flat, nothing)
            size = size + steepness
        write(moves, to + j, left, size)
    return total_of(squares), total_of(low), total_of(both)


@exact
def _spread(some: Some, ones: Array) -> tuple[float, float]:
    """The sum, and the squares about the mean."""
    flat, start, _, batch, n = some
    near, count = np.float64(flat[start]), batch * n
    near = near if np.isfinite(near) else 0.0
    total, squares = _sums_about(near, some, ones)
    about = squares - total * (total / count)
    if not (about > APART * squares and SMALLEST < squares < LARGEST):  # as in .sum_kernels.scan
        about = _sums_about(near + total / count, some, ones)[1]
    return count * near + total, about


@exact
def _sums_about(near: float, some: Some, ones: Array) -> tuple[float, float]:
    """Those of what numbers have more than ``near``, and of its squares.

    Near the mean as any of them is, their squares about it keep their digits.
    """
    flat, start, apart, batch, n = some
    total = squares = doubled(read(flat, start, 0))
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        less = doubled(read(ones, 0, n - j)) * near
        for i in range(batch):
            more = doubled(read(flat, start + i * apart + j, n - j)) - less
            total = total + more
            squares = squares + more * more
    return total_of(total), total_of(squares)


@exact
def _at_most(some: Some, lower: float, upper: float, ones: Array) -> tuple[float, float]:
    """How many are at most either."""
    flat, start, apart, batch, n = some
    few = many = nothing = read(flat, start, 0)
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        one = read(ones, 0, n - j)
        for i in range(batch):
            value = read(flat, start + i * apart + j, n - j)
            few = few + if_at_most(value, lower, one, nothing)
            many = many + if_at_most(value, upper, one, nothing)
    return total_of(few), total_of(many)


@exact
def _finite(some: Some, ones: Array) -> float:
    """How many are finite: those that less themselves are 0."""
    flat, start, apart, batch, n = some
    found = nothing = read(flat, start, 0)
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        one = read(ones, 0, n - j)
        for i in range(batch):
            value = read(flat, start + i * apart + j, n - j)
            found = found + if_at_most(value - value, ZERO, one, nothing)
    return total_of(found)


@exact
def _largest(some: Some) -> float:
    """The largest size that is a number."""
    flat, start, apart, batch, n = some
    top = read(flat, start, 0)
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        for i in range(batch):
            size = size_of(read(flat, start + i * apart + j, n - j))
            top = if_less(top, size, size, top)
    return np.float64(largest_of(top))


@exact
def _squares_over(scale: float, some: Some) -> float:
    flat, start, apart, batch, n = some
    squares = doubled(read(flat, start, 0))
    for j in range(0, n, LANE_BYTES // flat.itemsize):
        for i in range(batch):
            value = doubled(read(flat, start + i * apart + j, n - j)) / scale
            squares = squares + value * value
    return total_of(squares)
