"""Products of a stack of runs on a CPU, compiled by numba.

    out[i] = b + sum over k of x[i, k] w[k],

each term a number times a row of numbers, with six rows of ``out`` in registers at a time.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from .compiled import exact
from .lanes import HALF, LANE_BYTES, ROWS, load, memory, plus, store, turn

Array = np.ndarray


@exact
def product(
    x: Array,
    start: int,
    by_row: int,
    by_term: int,
    w: Array,
    begin: int,
    by_w_term: int,
    by_unit: int,
    b: Array,
    out: Array,
    to: int,
    shape: tuple[int, int, int],
    panel: Array,
) -> None:
    """x w + b of one run into flat ``out`` from ``to`` on; ``shape`` is rows, terms, units.

    x and w are flat, from ``start`` and ``begin`` on, in steps as given. ``b`` (units), or (0) for
    none. ``panel`` is memory of :func:`panel_size` numbers.
    """
    rows, terms, units = shape
    whole = LANE_BYTES // out.itemsize
    tile = terms * whole
    for lane in range(0, units, whole):
        wide = min(whole, units - lane)
        _copy(w, begin + lane * by_unit, by_w_term, by_unit, terms, wide, panel)
        for u in range(whole):
            panel[tile + u] = b[lane + u] if u < wide and len(b) else 0
        if wide == whole:
            _columns(x, start, by_row, by_term, rows, panel, tile, out, to + lane, units)
            continue
        for i in range(0, rows, ROWS):
            some, at = min(ROWS, rows - i), tile + whole
            _columns(x, start + i * by_row, by_row, by_term, some, panel, tile, panel, at, whole)
            for n in range(some):
                for u in range(wide):
                    out[to + lane + (i + n) * units + u] = panel[at + n * whole + u]


@exact
def panel_size(terms: int, itemsize: int) -> int:
    """Numbers that :func:`product` needs: some columns of w, of b, and of ``out``."""
    return (terms + 1 + ROWS) * (LANE_BYTES // itemsize)


@exact
def _copy(
    w: Array, start: int, by_term: int, by_unit: int, terms: int, wide: int, panel: Array
) -> None:
    """``wide`` columns of w next to each other, where reading them is fast, and zeros beside."""
    whole, side = LANE_BYTES // panel.itemsize, HALF // panel.itemsize
    done = 0
    if wide == whole and by_unit == 1:
        for k in range(terms):
            store(panel, k * whole, load(w, start + k * by_term, LANE_BYTES))
        return
    if wide == whole and by_term == 1:
        done = terms // side * side
        for k in range(0, done, side):
            turn(w, start + k, by_unit, panel, k * whole, whole)
            turn(w, start + k + side * by_unit, by_unit, panel, k * whole + side, whole)
    for k in range(done, terms):
        for u in range(whole):
            panel[k * whole + u] = w[start + k * by_term + u * by_unit] if u < wide else 0


@exact
def _columns(
    x: Array,
    start: int,
    by_row: int,
    by_term: int,
    rows: int,
    panel: Array,
    tile: int,
    out: Array,
    to: int,
    by_out: int,
) -> None:
    """As many columns of ``out`` as fill the lanes, from those of w and b in the ``panel``."""
    biases, last, whole = load(panel, tile, LANE_BYTES), rows - 1, LANE_BYTES // out.itemsize
    for i in range(0, rows, ROWS):
        r0, r1 = start + i * by_row, start + min(i + 1, last) * by_row
        r2, r3 = start + min(i + 2, last) * by_row, start + min(i + 3, last) * by_row
        r4, r5 = start + min(i + 4, last) * by_row, start + min(i + 5, last) * by_row
        s0 = s1 = s2 = s3 = s4 = s5 = biases
        c = 0
        for k in range(0, tile, whole):
            factors = load(panel, k, LANE_BYTES)
            s0 = plus(s0, x, r0 + c, factors)
            s1 = plus(s1, x, r1 + c, factors)
            s2 = plus(s2, x, r2 + c, factors)
            s3 = plus(s3, x, r3 + c, factors)
            s4 = plus(s4, x, r4 + c, factors)
            s5 = plus(s5, x, r5 + c, factors)
            c += by_term
        at = to + i * by_out
        store(out, at, s0)
        if i + 1 < rows:
            store(out, at + by_out, s1)
        if i + 2 < rows:
            store(out, at + 2 * by_out, s2)
        if i + 3 < rows:
            store(out, at + 3 * by_out, s3)
        if i + 4 < rows:
            store(out, at + 4 * by_out, s4)
        if i + 5 < rows:
            store(out, at + 5 * by_out, s5)


@exact
def multiply(
    x: int,
    x_by_run: int,
    x_by_row: int,
    x_by_term: int,
    w: int,
    w_by_run: int,
    w_by_term: int,
    w_by_unit: int,
    b: int,
    b_by_run: int,
    b_by_unit: int,
    out: Array,
    terms: int,
) -> None:
    """x w + b of every run into ``out`` (runs, rows, units).

    x, w and b are addresses, of numbers as ``out`` has them, which cost less to hand over than
    arrays; b is 0 where there is none.
    """
    runs, rows, units = out.shape
    made, zero = out.ravel(), out.dtype.type(0)
    xs, ws = carray(memory(x, zero), 1), carray(memory(w, zero), 1)
    bs = carray(memory(b, zero), 1)
    panel, bias = np.empty(panel_size(terms, out.itemsize), out.dtype), np.empty(units, out.dtype)
    for r in range(runs):
        for u in range(units):
            bias[u] = bs[r * b_by_run + u * b_by_unit] if b else 0
        product(
            xs, r * x_by_run, x_by_row, x_by_term, ws, r * w_by_run, w_by_term, w_by_unit, bias,
            made, r * rows * units, (rows, terms, units), panel,
        )  # fmt: skip
