"""What a probe asks of a layer, added up while its values are in the cache.

Compiled loops for those of :mod:`.chain_kernels`, which come with all of a run's values, and those
of :mod:`.convolution_kernels`, which come with an image's after the other; ``n`` is a layer's
index. What they fill is told by :mod:`.layer_looks`.
"""

from __future__ import annotations

import numpy as np

from .compiled import exact
from .fast_phi import ONE, ZERO
from .lane_numbers import if_at_most, if_less, read, size_of, write
from .lane_sums import about_mean, all_of, of_errors, within
from .lane_totals import doubled, filled, ones_of, read_doubled, total_of
from .lanes import LANE_BYTES, Lanes
from .layer_kernels import LEAKY, RELU, SIGMOID, TANH
from .sum_kernels import finite_in, scaled, scan

Array = np.ndarray
# Of each layer and run: count, squares and finite ones of h, the sums of what leaves the layer,
# flat slopes, units alive, and the bounds of the flat; then the sums of delta, its squares scaled,
# the same of dL/dW, how many are small, and the limits of that.
ForwardLook = tuple[Array, Array, Array, Array, Array]
BackwardLook = tuple[Array, Array, Array, Array, Array, Array]


@exact
def _slope(which: int, a: Lanes, slope: float) -> Lanes:
    """phi'(h) of a = phi(h), as :func:`.layer_kernels.phi_back` has it."""
    if which == TANH:
        return ONE - a * a
    if which == SIGMOID:
        return a * (ONE - a)
    if which == RELU:
        return if_at_most(a, ZERO, ZERO, ONE)
    if which == LEAKY:
        return if_less(ZERO, a, ONE, slope)
    return filled(1.0, a)


@exact
def look_at_phi(
    n: int,
    run: int,
    h: Array,
    a: Array,
    which: int,
    slope: float,
    units: int,
    look: ForwardLook,
) -> None:
    """Add the squares of h, and how flat phi is there: of some units of all samples at a time."""
    look_at_rows(n, run, h, a, which, slope, look[3][n, run][:units], look)


@exact
def look_at_rows(
    n: int, run: int, h: Array, a: Array, which: int, slope: float, marks: Array, look: ForwardLook
) -> None:
    """The same, of rows as long as ``marks``, which become 1 where some slope is not 0."""
    sums, _, flat, _, (below, steepest) = look
    units, squares = len(marks), 0.0
    for u in range(0, units, LANE_BYTES // h.itemsize):
        left = units - u
        moves = read(marks, u, left)
        ones, none = ones_of(left, moves), filled(0.0, moves)
        lows = flats = none
        of_squares = doubled(none)
        for at in range(u, len(h), units):
            x = read(h, at, left)
            steepness = size_of(_slope(which, read(a, at, left), slope))
            wide = read_doubled(h, at, left)
            of_squares = of_squares + wide * wide
            flats = if_at_most(steepness, steepest, flats + ones, flats)
            more = if_at_most(x, below, lows + ones, lows)
            lows = if_at_most(steepness, steepest, more, lows)
            moves = if_at_most(steepness, ZERO, moves, ones)
        write(marks, u, left, moves)
        squares += total_of(of_squares)
        flat[n, run, 0] += total_of(doubled(lows))
        flat[n, run, 1] += total_of(doubled(flats))
    found = sums[n, run]
    found[0] += len(h)
    found[2] += squares
    found[5] += finite_in(h, squares)


@exact
def look_at_output(n: int, run: int, out: Array, look: ForwardLook) -> None:
    """Add the sums of what leaves the layer."""
    scan(out, (1, 1, len(out), 0, 0), (True, False), look[1][n, run : run + 1])


@exact
def look_at_delta(n: int, run: int, delta: Array, look: BackwardLook) -> None:
    """Add the sums of delta."""
    sums, of_all = look[0], look[1]
    squares, scale, zeros, finite = of_errors(all_of(delta))
    sums[n, run, 0] += len(delta)
    sums[n, run, 4] += zeros
    sums[n, run, 5] += finite
    if zeros < len(delta):  # else there is no scale
        _join(squares, scale, n, run, of_all)


@exact
def _join(squares: float, scale: float, n: int, run: int, of_all: Array) -> None:
    """Add ``squares`` of values over a ``scale`` to those before, over the larger of both scales.

    Those of all stand before their scale, 0 where there are none yet.
    """
    if scale > of_all[n, run, 1]:
        of_all[n, run, 0] *= (of_all[n, run, 1] / scale) ** 2
        of_all[n, run, 1] = scale
    of_all[n, run, 0] += squares * (scale / of_all[n, run, 1]) ** 2


@exact
def look_at_weight(
    n: int, run: int, g: Array, of_g: tuple[float, float, float], look: BackwardLook
) -> None:
    """All sums of a run's dL/dW, whose :func:`.lane_sums.moments` are known, and its small ones."""
    _, _, sums, squares, small, limits = look
    total, of_all, zeros = of_g
    sums[n, run, 0], sums[n, run, 1], sums[n, run, 2] = len(g), total, of_all
    sums[n, run, 3], sums[n, run, 4] = about_mean(total, of_all, all_of(g), 0.0), zeros
    sums[n, run, 5] = finite_in(g, of_all)
    scaled(g, of_all, squares[n, run])
    _count_small(n, run, g, zeros, limits, small)


@exact
def _count_small(n: int, run: int, g: Array, zeros: float, limits: Array, small: Array) -> None:
    """How many are at most each of ``limits``, which fall: below one that holds zeros, all do."""
    found = np.float64(len(g))
    for k in range(0, len(limits), 2):
        pair = min(k + 1, len(limits) - 1)
        if found > zeros:
            small[n, run, k], found = within(all_of(g), limits[k], limits[pair])
            small[n, run, pair] = found
        else:
            small[n, run, k] = small[n, run, pair] = found
