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
from .lane_sums import about_mean, all_of, of_errors
from .lane_totals import doubled, filled, ones_of, read_doubled, total_of
from .lanes import LANE_BYTES, Lanes
from .layer_kernels import LEAKY, RELU, SIGMOID, TANH
from .sum_kernels import count_small, finite_in, scaled, scan

Array = np.ndarray
# Of each layer and run: the sums of h, those of what leaves the layer, flat slopes, units alive,
# and the bounds of the flat; then the sums of delta, its squares scaled, the same of dL/dW, how
# many are small, and the limits of that.
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
    """Add the sums of h, and how flat phi is there: of some units of all samples at a time."""
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
    sums, (squares, scale, zeros, finite) = look[0][n, run], of_errors(all_of(delta))
    sums[0] += len(delta)
    sums[4] += zeros
    sums[5] += finite
    if zeros < len(delta):  # else there is no scale
        _join(squares, scale, look[1][n, run])


@exact
def _join(squares: float, scale: float, of_all: Array) -> None:
    """Add ``squares`` of values over a ``scale`` to those before, over the larger of both scales.

    Those of all stand before their scale, 0 where there are none yet.
    """
    if scale > of_all[1]:
        of_all[0] *= (of_all[1] / scale) ** 2
        of_all[1] = scale
    of_all[0] += squares * (scale / of_all[1]) ** 2


@exact
def look_at_weight(
    n: int, run: int, g: Array, of_g: tuple[float, float, float], look: BackwardLook
) -> None:
    """All sums of a run's dL/dW, whose :func:`.lane_sums.moments` are known, and its small ones."""
    _, _, sums, squares, small, limits = look
    found, (total, of_all, zeros), layout = sums[n, run], of_g, (1, 1, len(g), 0, 0)
    found[0], found[1], found[2], found[4] = len(g), total, of_all, zeros
    found[3] = about_mean(total, of_all, all_of(g))
    found[5] = finite_in(g, of_all)
    scaled(g, of_all, squares[n, run])
    count_small(g, layout, limits, zeros, small[n, run : run + 1])
