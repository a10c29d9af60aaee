"""Products of a stack of runs on a CPU, compiled by numba.

    out[i] = b + sum over k of x[i, k] w[k],

each term a number times a row of numbers, with some rows of ``out`` in registers at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import carray
from numba.extending import overload

from .compiled import exact
from .lane_tiles import descend_rows, fetch, plus, repeat, steps, store_rows
from .lanes import HALF, LANE_BYTES, load, load_as, memory, store, turn

Array = np.ndarray
Two = tuple[int, int]
NOTHING = (0, 0), (0, 0)
# Bytes of a row and rows of ``out`` that are made at a time, sums in registers: of many columns,
# of what is left of them, and of a few. AVX-512 has 32 registers, of which the first takes 24.
TILES = ((256, 6), (128, 8), (64, 8)) if LANE_BYTES == 128 else ((64, 6), (64, 6), (32, 6))
WIDEST, FEWEST, HIGHEST = TILES[0][0], TILES[2][0], max(rows for _, rows in TILES)
TERMS = 4  # are added in turn without asking whether there are more
IN_CACHE = 1 << 15  # bytes of w that the first cache holds, as they lie, beside x


def _columns_of(size: int, height: int) -> Callable[..., None]:
    """A loop that makes as many columns of ``out`` as ``size`` bytes hold, ``height`` rows a time.

    From those of w from ``begin`` on, and of b from ``tile`` on. Every other term it fetches what
    is ``ahead``, at a ``pace`` in bytes a term.
    """

    @exact
    def columns(
        x: Array,
        start: int,
        by_row: int,
        by_term: int,
        shape: Two,
        w: Array,
        begin: int,
        by_w_term: int,
        b: Array,
        tile: int,
        out: Array,
        to: int,
        by_out: int,
        rate: float | None,
        ahead: Two,
        pace: Two,
    ) -> None:
        (first, second), (step, other), (rows, terms) = ahead, pace, shape
        biases, last = repeat(load(b, tile, size), height), terms - terms % TERMS
        for i in range(0, rows, height):
            starts = steps(start + i * by_row, by_row, rows - i, height)
            sums, at, place = biases, 0, begin
            for _ in range(0, last, TERMS):
                for n in range(TERMS):
                    sums = plus(sums, x, starts, at, load(w, place, size))
                    at += by_term
                    place += by_w_term
                    if n % 2:
                        fetch(first)
                        fetch(second)
                        first += 2 * step
                        second += 2 * other
            for _ in range(last, terms):
                sums = plus(sums, x, starts, at, load(w, place, size))
                at += by_term
                place += by_w_term
            if rate is None:
                store_rows(out, to + i * by_out, by_out, rows - i, sums)
            else:
                descend_rows(out, to + i * by_out, by_out, rows - i, sums, rate)

    return columns


_LOOPS = {shape: _columns_of(*shape) for shape in TILES}
_wide_columns, _columns, _few_columns = (_LOOPS[shape] for shape in TILES)


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
    lies = by_unit == 1 and terms * by_w_term * panel.itemsize <= IN_CACHE
    lies = lies and w.itemsize == panel.itemsize
    while lane < units:
        size, height = _tile((units - lane) * panel.itemsize)
        whole = size // panel.itemsize
        wide, tile = min(whole, units - lane), terms * whole
        for u in range(tile, tile + whole):
            panel[u] = 0
        if len(b):
            for u in range(wide):
                panel[tile + u] = b[lane + u]
        if wide < whole:
            _copy(w, begin + lane * by_unit, by_w_term, by_unit, terms, wide, panel, whole)
            _make_narrow(
                x, start, by_row, by_term, rows, panel, tile, out, to + lane, units, size, rate,
                wide,
            )  # fmt: skip
        elif lies:
            _make(
                x, start, by_row, by_term, (rows, terms), _alike(w, panel), begin + lane, by_w_term,
                panel, tile, out, to + lane, units, size, rate, ahead, pace,
            )  # fmt: skip
        else:
            _copy(w, begin + lane * by_unit, by_w_term, by_unit, terms, wide, panel, whole)
            _make(
                x, start, by_row, by_term, (rows, terms), panel, 0, whole, panel, tile,
                out, to + lane, units, size, rate, ahead, pace,
            )  # fmt: skip
        times = terms * -(-rows // height)
        ahead = ahead[0] + pace[0] * times, ahead[1] + pace[1] * times
        lane += whole


def _alike(w: Array, panel: Array) -> Array:
    """``w``, of the precision of ``panel``; for code that is not run otherwise."""
    return w if w.dtype == panel.dtype else panel


@overload(_alike, inline="always")
def _of_alike(w, panel):
    return (lambda w, panel: w) if w.dtype == panel.dtype else (lambda w, panel: panel)


@exact
def _tile(left: int) -> tuple[int, int]:
    """That of :data:`TILES` by which the next of so many bytes of columns are made."""
    if left >= WIDEST:
        return TILES[0]
    return TILES[1] if left > FEWEST else TILES[2]


@exact
def _pace(soon: tuple[Two, Two], shape: tuple[int, int, int], panel: Array) -> tuple[Two, Two]:
    """Where to begin to fetch, and how many bytes to go on at each term of each tile."""
    (rows, terms, units), here = shape, panel.ctypes.data
    (first, size), (second, other) = soon
    left, times = units * panel.itemsize, 1
    while left > 0:
        tile, height = _tile(left)
        left -= tile
        times += terms * (-(-rows // height))
    ahead = first if size else here, second if other else here
    return ahead, (1 + size // times if size else 0, 1 + other // times if other else 0)


@exact
def _make(
    x: Array,
    start: int,
    by_row: int,
    by_term: int,
    shape: Two,
    w: Array,
    begin: int,
    by_w_term: int,
    b: Array,
    tile: int,
    out: Array,
    to: int,
    by_out: int,
    size: int,
    rate: float | None,
    ahead: Two,
    pace: Two,
) -> None:
    of_x, of_w = (x, start, by_row, by_term, shape), (w, begin, by_w_term, b, tile)
    made = out, to, by_out, rate, ahead, pace
    if size == TILES[0][0]:
        _wide_columns(*of_x, *of_w, *made)
    elif size == TILES[1][0]:
        _columns(*of_x, *of_w, *made)
    else:
        _few_columns(*of_x, *of_w, *made)


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
    size: int,
    rate: float | None,
    wide: int,
) -> None:
    """The first ``wide`` columns, through memory behind those in the ``panel``."""
    whole = size // out.itemsize
    at, terms, here = tile + whole, tile // whole, (panel.ctypes.data, panel.ctypes.data)
    for i in range(0, rows, HIGHEST):
        some = min(HIGHEST, rows - i)
        _make(
            x, start + i * by_row, by_row, by_term, (some, terms), panel, 0, whole, panel, tile,
            panel, at, whole, size, None, here, (0, 0),
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
    return (terms + 1 + HIGHEST) * (WIDEST // itemsize)


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
