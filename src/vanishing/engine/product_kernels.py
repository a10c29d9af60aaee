"""Products of a stack of runs on a CPU, compiled by numba.

    out[i] = b + sum over k of x[i, k] w[k],

each term a number times a row of numbers, with some rows of ``out`` in registers at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import carray

from .compiled import exact
from .lane_tiles import descend_rows, fetch, plus, repeat, steps, store_rows
from .lanes import HALF, LANE_BYTES, ROWS, load, load_as, memory, store, turn

Array = np.ndarray
Two = tuple[int, int]
NOTHING = (0, 0), (0, 0)


def _columns_of(size: int) -> Callable[..., None]:
    """A loop that makes as many columns of ``out`` as ``size`` bytes hold.

    From those of w in the ``panel``, and of b behind them, at ``tile``. At each term it fetches
    what is ``ahead``, at a ``pace`` in bytes.
    """

    @exact
    def columns(
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
        rate: float | None,
        ahead: Two,
        pace: Two,
    ) -> None:
        (first, second), (step, other) = ahead, pace
        biases, whole = repeat(load(panel, tile, size)), size // out.itemsize
        for i in range(0, rows, ROWS):
            starts = steps(start + i * by_row, by_row, rows - i)
            sums, at = biases, 0
            for k in range(0, tile, whole):
                sums = plus(sums, x, starts, at, load(panel, k, size))
                at += by_term
                fetch(first)
                fetch(second)
                first += step
                second += other
            if rate is None:
                store_rows(out, to + i * by_out, by_out, rows - i, sums)
            else:
                descend_rows(out, to + i * by_out, by_out, rows - i, sums, rate)

    return columns


_columns, _half_columns = _columns_of(LANE_BYTES), _columns_of(HALF)


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
    rate: float | None = None,
    soon: tuple[Two, Two] = NOTHING,
) -> None:
    """x w + b of one run into flat ``out`` from ``to`` on; ``shape`` is rows, terms, units.

    x and w are flat, from ``start`` and ``begin`` on, in steps as given; w may be float32 beside x
    in float64. ``b`` (units), or (0) for none. ``panel`` is memory of :func:`panel_size` numbers.
    With a ``rate`` the product is not what ``out`` becomes but a gradient, by which it descends.
    What is needed ``soon``, two addresses with bytes, is fetched meanwhile: from beyond the second
    cache it takes as long as to multiply.
    """
    (rows, terms, units), (ahead, pace), lane = shape, _pace(soon, shape, panel), 0
    while lane < units:
        half = (units - lane) * out.itemsize <= HALF
        whole = (HALF if half else LANE_BYTES) // out.itemsize
        wide, tile = min(whole, units - lane), terms * whole
        _copy(w, begin + lane * by_unit, by_w_term, by_unit, terms, wide, panel, whole)
        for u in range(whole):
            panel[tile + u] = b[lane + u] if u < wide and len(b) else 0
        if wide == whole:
            _make(
                x, start, by_row, by_term, rows, panel, tile, out, to + lane, units, half, rate,
                ahead, pace,
            )  # fmt: skip
            times = terms * -(-rows // ROWS)
            ahead = ahead[0] + pace[0] * times, ahead[1] + pace[1] * times
        else:
            _make_narrow(
                x, start, by_row, by_term, rows, panel, tile, out, to + lane, units, half, rate,
                wide,
            )  # fmt: skip
        lane += whole


@exact
def _pace(soon: tuple[Two, Two], shape: tuple[int, int, int], panel: Array) -> tuple[Two, Two]:
    """Where to begin to fetch, and how many bytes to go on at each term of each tile."""
    (rows, terms, units), here = shape, panel.ctypes.data
    (first, size), (second, other) = soon
    tiles = -(-rows // ROWS) * max(1, units * panel.itemsize // LANE_BYTES)
    times = max(1, tiles * terms)
    ahead = first if size else here, second if other else here
    return ahead, (1 + size // times if size else 0, 1 + other // times if other else 0)


@exact
def _make(
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
    half: bool,
    rate: float | None,
    ahead: Two,
    pace: Two,
) -> None:
    columns = x, start, by_row, by_term, rows, panel, tile, out, to, by_out, rate, ahead, pace
    if half:
        _half_columns(*columns)
    else:
        _columns(*columns)


@exact
def _make_narrow(
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
    half: bool,
    rate: float | None,
    wide: int,
) -> None:
    """The first ``wide`` columns, through memory behind those in the ``panel``."""
    whole = (HALF if half else LANE_BYTES) // out.itemsize
    at = tile + whole
    for i in range(0, rows, ROWS):
        some, here = min(ROWS, rows - i), start + i * by_row
        _make(
            x, here, by_row, by_term, some, panel, tile, panel, at, whole, half, None,
            (panel.ctypes.data, panel.ctypes.data), (0, 0),
        )  # fmt: skip
        for n in range(some):
            for u in range(wide):
                made, place = panel[at + n * whole + u], to + (i + n) * by_out + u
                if rate is None:
                    out[place] = made
                else:
                    out[place] -= rate * made


@exact
def panel_size(terms: int, itemsize: int) -> int:
    """Numbers that :func:`product` needs: some columns of w, of b, and of ``out``."""
    return (terms + 1 + ROWS) * (LANE_BYTES // itemsize)


@exact
def _copy(
    w: Array, start: int, by_term: int, by_unit: int, terms: int, wide: int, panel: Array,
    whole: int,
) -> None:  # fmt: skip
    """``wide`` columns of w next to each other, where reading them is fast, and zeros beside.

    ``whole`` numbers a row of the panel.
    """
    side, done = HALF // panel.itemsize, 0
    if wide == whole and by_unit == 1:
        for k in range(terms):
            for u in range(0, whole, side):
                store(panel, k * whole + u, load_as(w, start + k * by_term + u, HALF, panel))
        return
    if wide == whole and by_term == 1:
        done = terms // side * side
        for k in range(0, done, side):
            for u in range(0, whole, side):
                turn(w, start + k + u * by_unit, by_unit, panel, k * whole + u, whole, HALF)
    for k in range(done, terms):
        for u in range(whole):
            panel[k * whole + u] = w[start + k * by_term + u * by_unit] if u < wide else 0


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
