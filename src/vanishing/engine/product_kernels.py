"""Products of a stack of runs on a CPU in float64, compiled by numba.

    out[i] = b + sum over k of x[i, k] w[k],

each term a number times a row of numbers, with six rows of ``out`` in registers at a time.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from .compiled import exact
from .lanes import LANE_BYTES, ROWS, load, memory, plus, store

Array = np.ndarray

WIDE = LANE_BYTES // 8  # columns that are made at a time, ROWS of each


@exact
def _copy(w: Array, start: int, by_term: int, by_unit: int, wide: int, panel: Array) -> None:
    """``wide`` columns of a run's w next to each other, where reading them is fast."""
    terms = len(panel) // WIDE
    if wide < WIDE:
        for k in range(terms):
            for u in range(wide):
                panel[k * WIDE + u] = w[start + k * by_term + u * by_unit]
    elif by_unit == 1:
        for k in range(terms):
            store(panel, k * WIDE, load(w, start + k * by_term, LANE_BYTES))
    else:
        for k in range(terms):
            for u in range(WIDE):
                panel[k * WIDE + u] = w[start + k * by_term + u * by_unit]


@exact
def _columns(
    x: Array,
    start: int,
    by_row: int,
    by_term: int,
    rows: int,
    panel: Array,
    b: Array,
    out: Array,
    to: int,
    units: int,
) -> None:
    """WIDE columns of a run's ``out``, and so many numbers after a row's end where it is short.

    The last rows are repeated up to a multiple of ROWS.
    """
    biases, last = load(b, 0, LANE_BYTES), rows - 1
    for i in range(0, rows, ROWS):
        r0, r1 = start + i * by_row, start + min(i + 1, last) * by_row
        r2, r3 = start + min(i + 2, last) * by_row, start + min(i + 3, last) * by_row
        r4, r5 = start + min(i + 4, last) * by_row, start + min(i + 5, last) * by_row
        s0 = s1 = s2 = s3 = s4 = s5 = biases
        c = 0
        for k in range(0, len(panel), WIDE):
            factors = load(panel, k, LANE_BYTES)
            s0 = plus(s0, x, r0 + c, factors)
            s1 = plus(s1, x, r1 + c, factors)
            s2 = plus(s2, x, r2 + c, factors)
            s3 = plus(s3, x, r3 + c, factors)
            s4 = plus(s4, x, r4 + c, factors)
            s5 = plus(s5, x, r5 + c, factors)
            c += by_term
        at = to + i * units
        store(out, at, s0)
        store(out, at + units, s1)
        store(out, at + 2 * units, s2)
        store(out, at + 3 * units, s3)
        store(out, at + 4 * units, s4)
        store(out, at + 5 * units, s5)


def slack(units: int) -> int:
    """How many numbers are written after the end of ``out``."""
    return ROWS * units + WIDE


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
    out: int,
    runs: int,
    rows: int,
    terms: int,
    units: int,
) -> None:
    """x w + b of every run into ``out`` (runs, rows, units), with :func:`slack` behind it.

    x, w, b and out are addresses, which cost less to hand over than arrays; b is 0 where there is
    none. From the last columns to the first, and from the first run to the last: what is written
    past a row's or a run's end is overwritten by what belongs there.
    """
    xs, ws, bs = carray(memory(x), 1), carray(memory(w), 1), carray(memory(b), 1)
    made, panel, biases = carray(memory(out), 1), np.empty(terms * WIDE), np.zeros(WIDE)
    panel[:] = 0.0
    for r in range(runs):
        for lane in range((units - 1) // WIDE * WIDE, -1, -WIDE):
            wide, start = min(WIDE, units - lane), r * w_by_run + lane * w_by_unit
            _copy(ws, start, w_by_term, w_by_unit, wide, panel)
            if b:
                for u in range(wide):
                    biases[u] = bs[r * b_by_run + (lane + u) * b_by_unit]
            to = r * rows * units + lane
            _columns(xs, r * x_by_run, x_by_row, x_by_term, rows, panel, biases, made, to, units)
