"""The sums of a run's values, in one or two passes over a CPU's memory, compiled by numba.

torch goes over a tensor once for every sum, product and comparison; here all that is asked of a
run's values is taken while they are in the cache. float32 and float64 are read as they lie and
summed in float64, every run's values in the same order whatever the stack's size. What is counted
of a block is counted in integers of 32 bits, of which more are added at a time.
"""

from __future__ import annotations

import numpy as np

from .compiled import reordered

Layout = tuple[int, int, int, int, int]  # runs, blocks, numbers a block; strides of run and block

# Squares beyond these may have lost digits: they are taken again of values that are scaled.
SMALLEST, LARGEST = 1e-280, 1e280
# Squares about the mean that are less than this share of all are taken again, value by value.
APART = 0.01


@reordered
def scan(flat: np.ndarray, layout: Layout, asked: tuple[bool, bool], out: np.ndarray) -> None:
    """Add to ``out`` (runs, 6): count, sum, squares, squares about the mean, zeros, finite ones.

    Only where ``asked`` are there squares about the mean, and zeros. Squares about two means are
    joined as Chan, Golub, LeVeque 1983 do it. Loops over what is in the cache cost little, and each
    does the same to every number.
    """
    spread, nothing = asked
    runs, blocks, size, run_stride, block_stride = layout
    count = blocks * size
    for r in range(runs):
        total, squares, zeros, finite = 0.0, 0.0, 0, 0
        for b in range(blocks):
            start = r * run_stride + b * block_stride
            values = flat[start : start + size]
            own, none = 0.0, np.int32(0)
            for i in range(size):
                v = np.float64(values[i])
                total += v
                own += v * v
            squares += own
            finite += finite_in(values, own)
            if nothing:
                for i in range(size):
                    none = np.int32(none + (values[i] == 0))
                zeros += none
        about = 0.0
        if spread:
            mean = total / count
            about = squares - total * mean
            if not (about > APART * squares and SMALLEST < squares < LARGEST):
                about = 0.0
                for b in range(blocks):
                    start = r * run_stride + b * block_stride
                    values = flat[start : start + size]
                    for i in range(size):
                        d = np.float64(values[i]) - mean
                        about += d * d
            before = out[r, 0]
            if before > 0:
                apart = mean - out[r, 1] / before
                about += apart * apart * before * count / (before + count)
        out[r, 0] += count
        out[r, 1] += total
        out[r, 2] += squares
        out[r, 3] += about
        out[r, 4] += zeros
        out[r, 5] += finite


@reordered
def finite_in(values: np.ndarray, squares: float) -> int:
    """How many are finite of values with these ``squares``."""
    if np.isfinite(squares):
        return len(values)
    found = 0
    for i in range(len(values)):
        found += np.isfinite(values[i])
    return found


@reordered
def largest(flat: np.ndarray, layout: Layout, out: np.ndarray) -> None:
    """Raise ``out`` (runs) to the largest size of a run's values."""
    runs, blocks, size, run_stride, block_stride = layout
    for r in range(runs):
        top = out[r]
        for b in range(blocks):
            start = r * run_stride + b * block_stride
            values = flat[start : start + size]
            for i in range(size):
                top = max(top, abs(np.float64(values[i])))
        out[r] = top


@reordered
def scaled_squares(flat: np.ndarray, layout: Layout, scale: np.ndarray, out: np.ndarray) -> None:
    """Add to ``out`` (runs) the squares of a run's values over its ``scale``."""
    runs, blocks, size, run_stride, block_stride = layout
    for r in range(runs):
        squares = 0.0
        for b in range(blocks):
            start = r * run_stride + b * block_stride
            values = flat[start : start + size]
            for i in range(size):
                v = np.float64(values[i]) / scale[r]
                squares += v * v
        out[r] += squares


@reordered
def scaled(values: np.ndarray, squares: float, out: np.ndarray) -> None:
    """Leave in ``out`` (2) a run's ``squares`` and 1, or those of values over their largest size.

    The second where squares have lost digits; the number behind is what was divided by.
    """
    out[0], out[1] = squares, 1.0
    if not SMALLEST < squares < LARGEST:
        layout, top, again = (1, 1, len(values), 0, 0), np.zeros(1), np.zeros(1)
        largest(values, layout, top)
        scaled_squares(values, layout, top, again)
        out[0], out[1] = again[0], top[0]


@reordered
def count_small(flat: np.ndarray, layout: Layout, limits: np.ndarray, out: np.ndarray) -> None:
    """Add to ``out`` (runs, limits) how many values are at most each of ``limits`` in size.

    These fall, and are of the values' own precision.
    """
    runs, blocks, size, run_stride, block_stride = layout
    for r in range(runs):
        for b in range(blocks):
            start = r * run_stride + b * block_stride
            values = flat[start : start + size]
            found = np.int32(size)
            for n in range(len(limits)):
                if found > 0:  # else no smaller limit holds any
                    limit, found = limits[n], np.int32(0)
                    for i in range(size):
                        found = np.int32(found + (abs(values[i]) <= limit))
                out[r, n] += found


@reordered
def count_flat(
    h: np.ndarray,
    of_h: Layout,
    slope: np.ndarray,
    of_slope: Layout,
    bounds: np.ndarray,
    out: np.ndarray,
    alive: np.ndarray,
) -> None:
    """Add to ``out`` (runs, 2) how many slopes are flat: below the peak, and in all.

    ``bounds``, of the values' own precision, are the largest h that is below the peak, and the
    steepest slope that is flat. Marks in ``alive`` (runs, numbers a block) where a slope is not 0.
    """
    runs, blocks, size, h_run, h_block = of_h
    _, _, _, s_run, s_block = of_slope
    for r in range(runs):
        moves = alive[r]
        for b in range(blocks):
            start = r * s_run + b * s_block
            slopes = slope[start : start + size]
            for i in range(size):
                moves[i] |= slopes[i] != 0
    if h_block == s_block == size:  # blocks that follow each other are counted as one
        blocks, size = 1, blocks * size
    for r in range(runs):
        for b in range(blocks):
            first, start = r * h_run + b * h_block, r * s_run + b * s_block
            values, slopes = h[first : first + size], slope[start : start + size]
            low, both = _flat_in(values, slopes, bounds)
            out[r, 0] += low
            out[r, 1] += both


@reordered
def _flat_in(values: np.ndarray, slopes: np.ndarray, bounds: np.ndarray) -> tuple[int, int]:
    """How many slopes are flat: below the peak, and in all."""
    (below, limit), low, both = bounds, np.int32(0), np.int32(0)
    for i in range(len(values)):
        flat = abs(slopes[i]) <= limit
        both = np.int32(both + flat)
        low = np.int32(low + (flat & (values[i] <= below)))
    return low, both


@reordered
def products(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """The sums (runs, 3) of xx, xy and yy; both are (runs, n)."""
    for r in range(len(x)):
        xs, ys, xx, xy, yy = x[r], y[r], 0.0, 0.0, 0.0
        for i in range(len(xs)):
            a, b = np.float64(xs[i]), np.float64(ys[i])
            xx += a * a
            xy += a * b
            yy += b * b
        out[r, 0], out[r, 1], out[r, 2] = xx, xy, yy


def load() -> None:
    """Compile every loop, or read it from the disk, so that forks of this process find it."""
    layout, sums, top = (1, 1, 1, 1, 0), np.zeros((1, 6)), np.ones(1)
    for dtype in (np.float64, np.float32):
        flat = np.zeros(1, dtype)
        scan(flat, layout, (True, True), sums)
        count_small(flat, layout, flat, sums)
        count_flat(flat, layout, flat, layout, np.zeros(2, dtype), sums, np.ones((1, 1), np.bool_))
        products(flat[None], flat[None], sums)
        largest(flat, layout, top)
        scaled_squares(flat, layout, top, top)
