"""What a probe asks of a recurrent layer's values, taken while a time step is in the cache.

Compiled loops beside those of :mod:`.step_kernels`, whose z, p and s they read as they lie, some
numbers of a sample at a time (:mod:`.lane_sums`), each step of each run apart.
"""

from __future__ import annotations

import numpy as np

from .compiled import exact
from .lane_numbers import if_at_most, read, size_of, write
from .lane_sums import Some, finite_among, of_errors, spread, within
from .lane_totals import doubled, ones_of, read_doubled, total_of
from .lanes import LANE_BYTES
from .step_kernels import slope

Array = np.ndarray
# Of a step of a run: squares and finite ones of h, sum of a and squares about its mean, flat slopes
# below the peak and in all; then of each gate sum, squares about its mean, finite ones, and how
# many are nearly shut, and not nearly open.
OF_VALUES, OF_GATE = 6, 5
OF_DELTA = 4  # on the way back, see .lane_sums.of_errors
# Which phi, how many gates stand before the candidate, whether its recall stands apart behind it,
# whether phi(h) is the output itself.
Form = tuple[int, int, bool, bool]
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
) -> None:
    """Leave a step's sums in ``out``, and add the sizes of its phi' to ``sizes`` (units).

    ``made`` are the first columns of z, and ``kept`` of p. ``limits``, of the values' own
    precision, are the largest h below the peak and the steepest slope that is flat, and where a
    gate is nearly shut, and nearly open. Of a candidate whose recall stands apart, z becomes h.
    """
    (which, gates, apart, is_output), (found, at) = form, out
    h = _behind(made, gates)
    if apart:
        _add_recalled(h, kept)
    found[at + 2], found[at + 3] = spread(a)
    of_h = a if is_output else _behind(kept, gates)
    squares, low, both = _of_phi(which, h, of_h, limits, sizes)
    found[at], found[at + 4], found[at + 5] = squares, low, both
    found[at + 1] = finite_among(h, squares)
    at += OF_VALUES
    for number in range(gates):
        gate = _behind(kept, number)
        total, about = spread(gate)
        found[at], found[at + 1] = total, about
        found[at + 2] = finite_among(gate, total)
        found[at + 3], found[at + 4] = within(gate, limits[2], limits[3])  # it is never below 0
        at += OF_GATE


@exact
def backward(delta: Some, out: Part) -> None:
    """Leave in ``out`` a step's sums of delta, see :func:`.lane_sums.of_errors`."""
    sums, at = out
    sums[at], sums[at + 1], sums[at + 2], sums[at + 3] = of_errors(delta)


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
    which: int, h: Some, of_h: Some, limits: Array, sizes: Part
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
        one, size = ones_of(left, nothing), read(moves, to + j, left)
        for i in range(batch):
            value = read(flat, start + i * apart + j, left)
            steepness = size_of(slope(which, read(phis, begin + i * beside + j, left)))
            wide = read_doubled(flat, start + i * apart + j, left)
            squares = squares + wide * wide
            both = if_at_most(steepness, steep, both + one, both)
            more = if_at_most(value, below, low + one, low)
            low = if_at_most(steepness, steep, more, low)
            size = size + steepness
        write(moves, to + j, left, size)
    return total_of(squares), total_of(low), total_of(both)
