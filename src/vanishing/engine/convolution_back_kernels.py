"""The way back through a convolution of a stack of runs on a CPU, compiled by numba.

An image's dL/dz is made of dL/da where it is needed: next to the gradient of the image that the
layer was given, and that of the weights, so that it stays in the cache. The memory of all is told
as in :mod:`.convolution_kernels`, whose product makes the gradients.
"""

from __future__ import annotations

import numpy as np

from .compiled import exact
from .convolution_kernels import TAPS, Array, Layout, add_products, copy_units, pad
from .lane_sums import all_of, moments
from .lanes import SHORT, load, store, turn
from .layer_kernels import LINEAR, rectify_back
from .layer_look_kernels import BackwardLook, look_at_delta, look_at_weight


@exact
def turned(w: Array, channels: int, units: int, out: Array) -> None:
    """A run's kernel (channels 9, room) turned round, for dL/da: into ``out`` (units 9, room)."""
    lanes, given, width = SHORT // w.itemsize, w.ravel(), w.shape[1]
    flat, wide = out.ravel(), out.shape[1]
    squares = channels % lanes == 0
    for k in range(TAPS):
        for u in range(0, width, lanes):
            if squares and u + lanes <= units:
                for c in range(0, channels, lanes):
                    at, to = (c * TAPS + k) * width + u, (u * TAPS + TAPS - 1 - k) * wide + c
                    turn(given, at, TAPS * width, flat, to, TAPS * wide, SHORT)
            else:
                for j in range(u, min(u + lanes, units)):
                    for c in range(channels):
                        out[j * TAPS + TAPS - 1 - k, c] = w[c * TAPS + k, j]


@exact
def _lost(
    delta: Array, of_delta: Layout, r: int, n: int, a: Array, which: int, slope: float,
    given: Array, errors: Array,
) -> None:  # fmt: skip
    """dL/dz of an image from its dL/da, ``delta``, and a = phi(z), which no LINEAR phi reads.

    Into ``errors`` (pixels, room), whose last numbers of a pixel, of no unit, are left as they are;
    ``given`` is room for dL/da.
    """
    _, _, units, height, width, by_run, by_sample, by_unit, by_row, by_pixel = of_delta
    start, pixels = r * by_run + n * by_sample, height * width
    room = len(errors) // pixels
    if by_unit == 1 and by_pixel == units == room and by_row == width * units:
        given = delta[start : start + pixels * units]
    else:
        for p in range(pixels):
            at = start + p // width * by_row + p % width * by_pixel
            for u in range(units):
                given[p * room + u] = delta[at + u * by_unit]
    if which == LINEAR:
        rectify_back(given, given, which, slope, errors)
    elif units == room:
        rectify_back(given, a, which, slope, errors)
    else:
        for p in range(pixels):
            of, at = slice(p * room, p * room + units), p * units
            rectify_back(given[of], a[at : at + units], which, slope, errors[of])


@exact
def _add_errors(errors: Array, sums: Array) -> None:
    """All rows of ``errors``, which are as long as ``sums``, to these."""
    for u in range(0, len(sums), SHORT // errors.itemsize):
        made = load(sums, u, SHORT)
        for p in range(u, len(errors), len(sums)):
            made = made + load(errors, p, SHORT)
        store(sums, u, made)


@exact
def back(
    images: Array, layout: Layout, circular: bool, delta: Array, of_delta: Layout,
    a: Array, which: int, slope: float,
    rows: Array, columns: Array, lined: int, padded: Array, of_w: Array, of_b: Array, learns: bool,
    rows_back: Array, columns_back: Array, shift_back: int, apart: int, border: Array,
    w: Array, of_images: Array, goes_on: bool, layer: int, look: BackwardLook,
) -> None:  # fmt: skip
    """Gradients of what :func:`.convolution_kernels.convolve` was given, from dL/da = ``delta``.

    Where it ``learns`` of weights and biases, into (runs, fan_in, units) and (runs, 1, units).
    Where it ``goes_on`` of the images, by dL/dz with its pixels ``apart`` in its ``border``, of
    zeros. ``padded`` is such room for an image. A ``look`` that is not empty is filled at the index
    ``layer``.
    """
    runs, batch, units, height, width = of_delta[:5]
    channels, room, pixels, lanes = layout[2], w.shape[2], height * width, SHORT // w.itemsize
    given, errors = np.zeros(pixels * room, w.dtype), np.zeros(pixels * room, w.dtype)
    own = errors if units == room else np.empty(pixels * units, w.dtype)
    one, none = np.int64(1), np.int64(0)  # see add_products
    of_errors = (one, one, units, height, width, none, none, one, width * room, room)
    size, wide = layout[3] * layout[4] * channels, -(-channels // lanes) * lanes
    kernel, zeros = np.zeros((units * TAPS, wide), w.dtype), np.zeros(wide, w.dtype)
    made, flat = np.empty(len(rows_back) * wide, w.dtype), kernel.ravel()
    x, x_back, of_image = padded.ravel(), border.ravel(), of_images.ravel()
    out, sums = np.empty(len(rows) * room, w.dtype), np.empty(room, w.dtype)
    for r in range(runs):
        out[:] = 0
        sums[:] = 0
        if goes_on:
            turned(w[r], channels, units, kernel)
        for n in range(batch):
            at, to = (r * batch + n) * pixels * units, (r * batch + n) * size
            _lost(delta, of_delta, r, n, a[at : at + pixels * units], which, slope, given, errors)
            if len(look[0]):
                if units != room:
                    copy_units(errors, room, units, own)
                look_at_delta(layer, r, own, look)
            if goes_on:
                pad(errors, of_errors, none, none, apart, circular, border)
                add_products(
                    x_back, rows_back, columns_back, flat, zeros, none, none, made, wide,
                    shift_back, none,
                )  # fmt: skip
                copy_units(made, wide, channels, of_image[to : to + size])
            if learns:
                pad(images, layout, r, n, one, circular, padded)
                _add_errors(errors, sums)
                add_products(x, rows, columns, errors, out, none, room, out, room, none, lined)
        if learns:
            copy_units(sums, room, units, of_b[r].ravel())
            copy_units(out, room, units, of_w[r].ravel())
        if learns and len(look[0]):
            g = of_w[r].ravel()
            look_at_weight(layer, r, g, moments(all_of(g)), look)
