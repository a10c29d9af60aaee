r"""Convolutions of 3 x 3 of a stack of runs on a CPU, and their gradients, compiled by numba.

All three are one product: with a padded image laid out flat as X,

    out[i] += sum over k of X[rows[i] + columns[k]] w[k],

each term a number times a row of numbers. For z the rows are pixels, the columns the kernel's taps,
w its weights; for dL/dW the rows are the taps, the columns the pixels, and w is dL/dz; dL/da is z
of dL/dz with the kernel turned round. So no column is ever copied out of an image.

``images`` are flat memory, with their ``layout``: runs, batch, channels, height, width, and the
strides of each. What is made lies as (runs, batch, height, width, channels), flat too: the order in
which the next layer reads it fastest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..parts.architecture import KERNEL
from .compiled import exact
from .lanes import HALF, LANE_BYTES, ROWS, SHORT, load, load_rows, plus, store, store_rows, take

Array = np.ndarray
Layout = tuple[int, ...]  # runs, batch, channels, height, width; the strides of each

TAPS = KERNEL**2


def _adding(size: int) -> Callable[..., None]:
    """The product above for ``size`` bytes of ``out``'s rows from index ``lane`` on.

    All are flat; rows of ``w`` and ``out`` have ``width`` numbers, and there are a multiple of ROWS
    in ``rows``.
    """

    @exact
    def add(
        x: Array, rows: Array, columns: Array, w: Array, out: Array, width: int, lane: int
    ) -> None:
        for i in range(0, len(rows), ROWS):
            starts, at = take(rows, i), i * width + lane
            sums = load_rows(out, at, width, size)
            for k in range(len(columns)):
                sums = plus(sums, x, starts, columns[k], load(w, k * width + lane, size))
            store_rows(out, at, width, ROWS, sums)

    return add


_add_whole, _add_half, _add_short = _adding(LANE_BYTES), _adding(HALF), _adding(SHORT)


@exact
def _add_products(x: Array, rows: Array, columns: Array, w: Array, out: Array, width: int) -> None:
    lane, whole, half = 0, LANE_BYTES // out.itemsize, HALF // out.itemsize
    while lane < width:
        if width - lane >= whole:
            _add_whole(x, rows, columns, w, out, width, lane)
            lane += whole
        elif width - lane >= half:
            _add_half(x, rows, columns, w, out, width, lane)
            lane += half
        else:
            _add_short(x, rows, columns, w, out, width, lane)
            lane += SHORT // out.itemsize


def pixels(height: int, width: int, stride: int, pitch: int, channels: int) -> Array:
    """Where the window of each output pixel begins in a padded image, ``pitch`` pixels a row."""
    y, x = np.divmod(np.arange(height * width), width)
    return stride * (y * pitch + x) * channels


def taps(pitch: int, channels: int) -> Array:
    """How far from a window's beginning its numbers are, in the order of the weights' rows."""
    c, y, x = np.unravel_index(np.arange(channels * TAPS), (channels, KERNEL, KERNEL))
    return (y * pitch + x) * channels + c


def whole(rows: Array) -> Array:
    """``rows`` up to a multiple of ROWS; what the last of them make is not read."""
    return np.pad(rows, (0, -len(rows) % ROWS))


def room(channels: int, itemsize: int) -> int:
    """Numbers that so many channels take in lanes."""
    lanes = SHORT // itemsize
    return -(-channels // lanes) * lanes


@exact
def _pad(
    images: Array, layout: Layout, r: int, n: int, apart: int, circular: bool, padded: Array
) -> None:
    """An image with its pixels ``apart`` and a border, in (height + 2, width + 2, channels).

    What no pixel is written to is left as it is. A circular border has the opposite side's values.
    """
    _, _, channels, height, width, by_run, by_sample, by_channel, by_row, by_pixel = layout
    start, pitch, lanes = r * by_run + n * by_sample, padded.shape[1], SHORT // padded.itemsize
    in_lanes, flat = by_channel == 1 and channels % lanes == 0, padded.ravel()
    for y in range(height):
        for x in range(width):
            to = ((y * apart + 1) * pitch + x * apart + 1) * channels
            at = start + y * by_row + x * by_pixel
            if in_lanes:
                for c in range(0, channels, lanes):
                    store(flat, to + c, load(images, at + c, SHORT))
            else:
                for c in range(channels):
                    flat[to + c] = images[at + c * by_channel]
    if not circular:
        return
    below, right = padded.shape[0] - 2, pitch - 2
    for c in range(channels):
        for x in range(1, right + 1):
            padded[0, x, c] = padded[below, x, c]
            padded[below + 1, x, c] = padded[1, x, c]
        for y in range(below + 2):
            padded[y, 0, c] = padded[y, right, c]
            padded[y, right + 1, c] = padded[y, 1, c]


@exact
def convolve(
    images: Array,
    layout: Layout,
    apart: int,
    circular: bool,
    w: Array,
    b: Array,
    rows: Array,
    columns: Array,
    padded: Array,
    out: Array,
) -> None:
    """z into ``out``, of the weights ``w`` (runs, fan_in, room) and biases ``b`` (runs, 1, room).

    ``padded`` is room for an image with its border, of zeros.
    """
    runs, batch, height, row, units = out.shape
    lanes, width, pixels = SHORT // out.itemsize, w.shape[2], height * row
    made = np.empty(len(rows) * width, dtype=out.dtype)
    x, biases, flat = padded.ravel(), b.ravel(), out.ravel()
    for r in range(runs):
        kernel = w[r].ravel()
        for n in range(batch):
            _pad(images, layout, r, n, apart, circular, padded)
            for i in range(0, len(made), width):
                for u in range(0, width, lanes):
                    store(made, i + u, load(biases, r * width + u, SHORT))
            _add_products(x, rows, columns, kernel, made, width)
            to = (r * batch + n) * pixels * units
            if units == width:
                for i in range(0, pixels * units, lanes):
                    store(flat, to + i, load(made, i, SHORT))
            else:
                for i in range(pixels):
                    for u in range(units):
                        flat[to + i * units + u] = made[i * width + u]


@exact
def weight_gradients(
    images: Array,
    layout: Layout,
    circular: bool,
    delta: Array,
    of_delta: Layout,
    rows: Array,
    columns: Array,
    padded: Array,
    of_w: Array,
    of_b: Array,
) -> None:
    """dL/dW and dL/db of dL/dz = ``delta``, into zeros (runs, rows, room) and (runs, 1, room)."""
    runs, batch, units, height, width, by_run, by_sample, by_unit, by_row, by_pixel = of_delta
    lanes, room = SHORT // of_w.itemsize, of_w.shape[2]
    errors = np.zeros(height * width * room, dtype=of_w.dtype)
    x, sums, in_lanes = padded.ravel(), of_b.ravel(), by_unit == 1 and units == room
    for r in range(runs):
        out = of_w[r].ravel()
        for n in range(batch):
            _pad(images, layout, r, n, 1, circular, padded)
            for p in range(height * width):
                at = r * by_run + n * by_sample + p // width * by_row + p % width * by_pixel
                if in_lanes:
                    for u in range(0, room, lanes):
                        store(errors, p * room + u, load(delta, at + u, SHORT))
                else:
                    for u in range(units):
                        errors[p * room + u] = delta[at + u * by_unit]
            for p in range(height * width):
                for u in range(room):
                    sums[r * room + u] += errors[p * room + u]
            _add_products(x, rows, columns, errors, out, room)
