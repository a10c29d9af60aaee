"""W <- W - lr g of all tensors of a stack in one compiled loop: else calls cost more than sums."""

from __future__ import annotations

import numpy as np

from .compiled import exact, reordered
from .lane_numbers import less_product, read, write
from .lane_sums import all_of, error, lanes_of
from .lane_totals import doubled, load_doubled, read_doubled, total_of
from .lanes import LANE_BYTES, Lanes, load, of_run, store

Array = np.ndarray
SMALL, LARGE = 1e-50, 1e50  # squares of steps whose sizes are among float32's by far


@exact
def descend_run(w: Array, g: Array, rate: float) -> None:
    """Of one tensor of one run: in whichever loop it is called, with the same roundings."""
    for j in range(len(w)):
        w[j] -= rate * g[j]


@reordered
def keep(g: Array, kept: Array) -> float:
    """kept <- g; the squares of g, in float64."""
    squares = 0.0
    for j in range(len(g)):
        kept[j] = g[j]
        squares += np.float64(g[j]) * np.float64(g[j])
    return squares


@exact
def _add_gradient(g: Lanes, kept: Lanes, total: Lanes, along: Lanes) -> tuple[Lanes, Lanes]:
    return total + g, along + g * kept


@exact
def _add_weights(w: Lanes, start: Lanes, squares: Lanes, apart: Lanes) -> tuple[Lanes, Lanes]:
    moved = w - start
    return squares + w * w, apart + moved * moved


@exact
def descend_and_tell(
    w: Array, g: Array, rate: float, kept: Array, start: Array, out: Array
) -> tuple[float, float, float]:
    """As :func:`descend_run`, with its bits; g is kept. Gives its :func:`.lane_sums.moments`.

    In ``out`` are, in float64, the squares of g, and g times what was ``kept``; the squares of
    lr g; and those of W and of W - start, of W as it becomes.
    """
    size, last, zeros, ones, some = lanes_of(all_of(w))
    none, rest = doubled(zeros), len(w) - last
    total = squares = along = weights = apart = none
    for j in range(0, last, size):
        slope, wide = load(g, j, LANE_BYTES), load_doubled(g, j)
        squares, zeros = error(slope, wide, ones, squares, zeros)
        total, along = _add_gradient(wide, load_doubled(kept, j), total, along)
        store(w, j, less_product(load(w, j, LANE_BYTES), slope, rate))
        store(kept, j, slope)
        weights, apart = _add_weights(load_doubled(w, j), load_doubled(start, j), weights, apart)
    if rest:
        slope, begun = read(g, last, rest), read_doubled(start, last, rest)
        wide = doubled(slope)
        squares, zeros = error(slope, wide, some, squares, zeros)
        total, along = _add_gradient(wide, read_doubled(kept, last, rest), total, along)
        write(w, last, rest, less_product(read(w, last, rest), slope, rate))
        write(kept, last, rest, slope)
        now = read_doubled(w, last, rest)  # zeros behind it, whatever the rate
        weights, apart = _add_weights(now, begun, weights, apart)
    out[0], out[1] = total_of(squares), total_of(along)
    out[2], out[3] = _squares_of_steps(g, rate, out[0]), total_of(weights)
    out[4] = total_of(apart)
    return total_of(total), out[0], total_of(doubled(zeros))


@exact
def _squares_of_steps(g: Array, rate: float, squares: float) -> float:
    """Those of lr g, where the ``squares`` of g are known: lr^2 times these.

    Each step is not rounded then, to some billionths of them all; but where steps are near the
    smallest or the largest numbers, they are taken as the precision of g has them.
    """
    of_all = np.float64(rate) * np.float64(rate) * squares
    return of_all if SMALL < of_all < LARGE else _steps_squared(g, rate)


@reordered
def _steps_squared(g: Array, rate: float) -> float:
    squares = 0.0
    for j in range(len(g)):
        step = np.float64(g[j] * rate)
        squares += step * step
    return squares


@exact
def descend(tensors: Array, gradients: Array, sizes: Array, rates: Array) -> None:
    """Of tensors at these addresses, of so many numbers a run, with a rate for each run."""
    for n in range(len(tensors)):
        for run in range(len(rates)):
            w = of_run(tensors[n], run, sizes[n], rates[0])
            descend_run(w, of_run(gradients[n], run, sizes[n], rates[0]), rates[run])
