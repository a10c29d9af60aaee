r"""Convolutions of 3 x 3 of a stack of runs on a CPU, and their gradients, compiled by numba.

All three are one product: with a padded image laid out flat as X,

    out[i] += sum over k of X[rows[i] + columns[k]] w[k],

each term a number times a row of numbers. For z the rows are pixels, the columns the kernel's taps,
w its weights; for dL/dW the rows are the taps, the columns the pixels, and w is dL/dz; dL/da is z
of dL/dz with the kernel turned round. So no column is ever copied out of an image. A padded image
lies as (channels, height + 2, width + 2): what a row of the kernel meets is next to each other.

Where registers are many and ROWS pixels in turn share an image's row, a number of X is loaded once
for the three taps of a row of the kernel: else its loads, one for each product of 64 bytes, take
longer than the products. The order of each sum is the same.

``images`` are flat memory, with their ``layout``: runs, batch, channels, height, width, and the
strides of each. What is made lies as (runs, batch, height, width, channels), flat too: the order in
which the next layer reads it fastest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..parts.architecture import KERNEL
from .compiled import exact
from .lane_tiles import (
    load_rows,
    plus,
    plus_spread,
    plus_windows,
    spread,
    store_rows,
    take,
)
from .lanes import HALF, LANE_BYTES, ROWS, SHORT, load, turn
from .layer_kernels import rectify
from .layer_look_kernels import ForwardLook, look_at_output, look_at_rows

Array = np.ndarray
Layout = tuple[int, ...]  # runs, batch, channels, height, width; the strides of each

TAPS = KERNEL**2
MANY = LANE_BYTES > 2 * SHORT  # registers: enough for what keeps a number for several products
WINDOWS = 4 * KERNEL  # taps at a time, each of the three next to each other


def _adding(size: int) -> Callable[..., None]:
    """The product above for ``size`` bytes of ``out``'s rows from index ``lane`` on.

    All are flat; rows of ``w`` and ``out`` have ``width`` numbers, and there are a multiple of ROWS
    in ``rows``. A sum begins with its row of ``start``, from ``at`` on and ``apart``.
    """

    @exact
    def add(
        x: Array, rows: Array, columns: Array, w: Array, start: Array, at: int, apart: int,
        out: Array, width: int, lane: int,
    ) -> None:  # fmt: skip
        for i in range(0, len(rows), ROWS):
            begin = take(rows, i)
            sums = load_rows(start, at + i * apart + lane, apart, size, ROWS)
            for k in range(len(columns)):
                sums = plus(sums, x, begin, columns[k], load(w, k * width + lane, size))
            store_rows(out, i * width + lane, width, ROWS, sums)

    return add


_add_whole, _add_half, _add_short = _adding(LANE_BYTES), _adding(HALF), _adding(SHORT)


@exact
def _add_lines(
    x: Array, rows: Array, columns: Array, w: Array, start: Array, at: int, apart: int, out: Array,
    width: int, lane: int, shift: int,
) -> None:  # fmt: skip
    """As ``_add_half``, of ``rows`` that are pixels, ROWS of them next to each other.

    The ``columns`` are taps. The second half of the rows are those of the first, ``shift`` further
    on: two times ROWS sums are made at a time, as many as hide how long a sum takes.
    """
    half = len(rows) // 2
    for i in range(0, half, ROWS):
        sums = load_rows(start, at + i * apart + lane, apart, HALF, ROWS)
        others = load_rows(start, at + (half + i) * apart + lane, apart, HALF, ROWS)
        for k in range(0, len(columns), KERNEL):
            row, here = k * width + lane, rows[i] + columns[k]
            first, second = load(w, row, HALF), load(w, row + width, HALF)
            third = load(w, row + 2 * width, HALF)
            numbers = spread(x, here, HALF)
            sums = plus_spread(sums, numbers, 0, first)
            sums = plus_spread(sums, numbers, 1, second)
            sums = plus_spread(sums, numbers, 2, third)
            numbers = spread(x, here + shift, HALF)
            others = plus_spread(others, numbers, 0, first)
            others = plus_spread(others, numbers, 1, second)
            others = plus_spread(others, numbers, 2, third)
        store_rows(out, i * width + lane, width, ROWS, sums)
        store_rows(out, (half + i) * width + lane, width, ROWS, others)


@exact
def _add_windows(
    x: Array, rows: Array, columns: Array, w: Array, start: Array, at: int, apart: int, out: Array,
    width: int, lane: int,
) -> None:  # fmt: skip
    """As ``_add_half``, of ``rows`` that are taps; ``columns`` are pixels, ROWS in turn in line."""
    for i in range(0, len(rows), WINDOWS):
        begin = (rows[i], rows[i + KERNEL], rows[i + 2 * KERNEL], rows[i + 3 * KERNEL])
        sums = load_rows(start, at + i * apart + lane, apart, HALF, WINDOWS)
        for k in range(0, len(columns), ROWS):
            sums = plus_windows(sums, x, begin, columns[k], w, k * width + lane, width, HALF)
        store_rows(out, i * width + lane, width, WINDOWS, sums)


@exact
def add_products(
    x: Array, rows: Array, columns: Array, w: Array, start: Array, at: int, apart: int,
    out: Array, width: int, shift: int, lined: int,
) -> None:  # fmt: skip
    """The product above; a sum begins with its row of ``start``, from ``at`` on and ``apart``.

    Of pixels with a ``shift``, of taps that are ``lined``, see :func:`lower` and :func:`in_lines`.
    """
    whole, half = LANE_BYTES // out.itemsize, HALF // out.itemsize
    lane = np.int64(0)  # no literal, of which numba would compile forms of their own
    while lane < width:
        if width - lane >= whole and not (MANY and (shift or lined)):
            _add_whole(x, rows, columns, w, start, at, apart, out, width, lane)
            lane += whole
        elif width - lane >= half:
            if MANY and shift:
                _add_lines(x, rows, columns, w, start, at, apart, out, width, lane, shift)
            elif MANY and lined:
                _add_windows(x, rows, columns, w, start, at, apart, out, width, lane)
            else:
                _add_half(x, rows, columns, w, start, at, apart, out, width, lane)
            lane += half
        else:
            _add_short(x, rows, columns, w, start, at, apart, out, width, lane)
            lane += SHORT // out.itemsize


def pixels(height: int, width: int, stride: int, pitch: int) -> Array:
    """Where the window of each output pixel begins in a padded image, ``pitch`` pixels a row."""
    y, x = np.divmod(np.arange(height * width), width)
    return stride * (y * pitch + x)


def taps(plane: int, pitch: int, channels: int) -> Array:
    """How far from a window's beginning its numbers are, in the order of the weights' rows.

    Channels are ``plane`` apart.
    """
    c, y, x = np.unravel_index(np.arange(channels * TAPS), (channels, KERNEL, KERNEL))
    return c * plane + y * pitch + x


def whole(rows: Array) -> Array:
    """``rows`` up to a multiple of ROWS; what the last of them make is not read."""
    return np.pad(rows, (0, -len(rows) % ROWS))


def lower(height: int, width: int, stride: int, pitch: int) -> int:
    """How far the lower half of an image's windows begins behind the upper; 0 if not in lines."""
    return height // 2 * pitch if in_lines(width, stride) and height % 2 == 0 else 0


def in_lines(width: int, stride: int) -> bool:
    """Whether ROWS windows in turn are next to each other, and registers hold what that saves."""
    return MANY and stride == 1 and width % ROWS == 0


def room(channels: int, itemsize: int) -> int:
    """Numbers that so many channels take in lanes."""
    lanes = SHORT // itemsize
    return -(-channels // lanes) * lanes


@exact
def pad(
    images: Array, layout: Layout, r: int, n: int, apart: int, circular: bool, padded: Array
) -> None:
    """An image with its pixels ``apart`` and a border, in (channels, height + 2, width + 2).

    What no pixel is written to is left as it is. A circular border has the opposite side's values.
    """
    _, _, channels, height, width, by_run, by_sample, by_channel, by_row, by_pixel = layout
    pitch, plane, lanes = padded.shape[2], padded[0].size, SHORT // padded.itemsize
    squares = by_channel == apart == 1 and channels % lanes == 0 and width >= lanes
    flat = padded.ravel()
    for y in range(height):
        at, to = r * by_run + n * by_sample + y * by_row, (y * apart + 1) * pitch + 1
        if squares:
            for first in range(0, width, lanes):
                x = min(first, width - lanes)
                for c in range(0, channels, lanes):
                    place = c * plane + to + x
                    turn(images, at + x * by_pixel + c, by_pixel, flat, place, plane, SHORT)
        else:
            for c in range(channels):
                for x in range(width):
                    flat[c * plane + to + x * apart] = images[at + c * by_channel + x * by_pixel]
    if not circular:
        return
    below, right = padded.shape[1] - 2, pitch - 2
    for c in range(channels):
        for x in range(1, right + 1):
            padded[c, 0, x] = padded[c, below, x]
            padded[c, below + 1, x] = padded[c, 1, x]
        for y in range(below + 2):
            padded[c, y, 0] = padded[c, y, right]
            padded[c, y, right + 1] = padded[c, y, 1]


@exact
def marks_of(size: int, units: int, like: Array) -> Array:
    """Zeros: marks of the units of as many pixels of an image as fill lanes, where they all do."""
    wide = units
    while wide * like.itemsize < LANE_BYTES and size % (2 * wide) == 0:
        wide *= 2
    return np.zeros(wide, like.dtype)


@exact
def move_marks(marks: Array, alive: Array) -> None:
    """Units that any of their ``marks`` tells of are ``alive``; the marks are zeros again."""
    for k in range(len(marks)):
        if marks[k] > 0:
            alive[k % len(alive)] = 1
        marks[k] = 0


@exact
def convolve(
    images: Array, layout: Layout, circular: bool, w: Array, b: Array, rows: Array,
    columns: Array, shift: int, padded: Array, which: int, slope: float, out: Array,
    layer: int, leaves: bool, look: ForwardLook,
) -> None:  # fmt: skip
    """phi(z) into ``out``, of weights ``w`` (runs, fan_in, room) and biases ``b`` (runs, 1, room).

    ``padded`` is room for an image with its border, of zeros; ``which`` phi it is, and its
    ``slope``, is told as in :mod:`.layer_kernels`. A ``look`` that is not empty is filled at the
    index ``layer``; with what leaves the layer where that is phi(z).
    """
    runs, batch, height, row, units = out.shape
    width, size = w.shape[2], height * row * units
    made, of_units = np.empty(len(rows) * width, out.dtype), np.empty(size, out.dtype)
    z, marks = made[:size] if units == width else of_units, marks_of(size, units, out)
    one, none = np.int64(1), np.int64(0)  # see add_products
    x, biases, flat = padded.ravel(), b.ravel(), out.ravel()
    for r in range(runs):
        kernel = w[r].ravel()
        for n in range(batch):
            pad(images, layout, r, n, one, circular, padded)
            add_products(
                x, rows, columns, kernel, biases, r * width, none, made, width, shift, none
            )
            if units != width:
                copy_units(made, width, units, z)
            to = (r * batch + n) * size
            a = flat[to : to + size]
            rectify(z, which, slope, a)
            if len(look[0]):
                look_at_rows(layer, r, z, a, which, slope, marks, look)
            if len(look[0]) and leaves:
                look_at_output(layer, r, a, look)
        if len(look[0]):
            move_marks(marks, look[3][layer, r, :units])


@exact
def copy_units(made: Array, width: int, units: int, out: Array) -> None:
    """The first ``units`` of each row of ``made``, of ``width``, into ``out``."""
    for i in range(len(out) // units):
        for u in range(units):
            out[i * units + u] = made[i * width + u]
