"""W <- W - lr g of all tensors of a stack in one compiled loop: else calls cost more than sums."""

from __future__ import annotations

import numpy as np

from .compiled import exact, reordered
from .lane_numbers import less_product, read, write
from .lane_sums import all_of, lanes_of
from .lane_totals import doubled, total_of
from .lanes import LANE_BYTES, Lanes, load, of_run, store

Array = np.ndarray
Told = tuple[Lanes, Lanes, Lanes, Lanes, Lanes]  # see descend_and_tell


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
def _descended(
    w: Lanes, g: Lanes, rate: float, kept: Lanes, start: Lanes, sums: Told
) -> tuple[Lanes, Told]:
    """W - lr g, and the sums with what it adds to them."""
    (squares, along, weights, changes, apart), now = sums, less_product(w, g, rate)
    of_w, of_g, step = doubled(w), doubled(g), doubled(g * rate)
    moved = doubled(now) - doubled(start)
    return now, (
        squares + of_g * of_g,
        along + of_g * doubled(kept),
        weights + of_w * of_w,
        changes + step * step,
        apart + moved * moved,
    )


@exact
def descend_and_tell(
    w: Array, g: Array, rate: float, kept: Array, start: Array, out: Array
) -> None:
    """As :func:`descend_run`, with its bits; g is kept.

    In ``out`` are, in float64, the squares of g, and g times what was ``kept``; the squares of W
    and of lr g; and those of W - start, of W as it becomes.
    """
    size, last, nothing, _, _ = lanes_of(all_of(w))
    none, rest = doubled(nothing), len(w) - last
    sums = none, none, none, none, none
    for j in range(0, last, size):
        slope = load(g, j, LANE_BYTES)
        now, sums = _descended(
            load(w, j, LANE_BYTES), slope, rate, load(kept, j, LANE_BYTES),
            load(start, j, LANE_BYTES), sums,
        )  # fmt: skip
        store(w, j, now)
        store(kept, j, slope)
    if rest:
        slope = read(g, last, rest)
        now, sums = _descended(
            read(w, last, rest), slope, rate, read(kept, last, rest), read(start, last, rest), sums
        )
        write(w, last, rest, now)
        write(kept, last, rest, slope)
    for n, told in enumerate(sums):
        out[n] = total_of(told)


@exact
def descend(tensors: Array, gradients: Array, sizes: Array, rates: Array) -> None:
    """Of tensors at these addresses, of so many numbers a run, with a rate for each run."""
    for n in range(len(tensors)):
        for run in range(len(rates)):
            w = of_run(tensors[n], run, sizes[n], rates[0])
            descend_run(w, of_run(gradients[n], run, sizes[n], rates[0]), rates[run])
