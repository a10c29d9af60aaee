r"""What follows a layer's product, norm and phi, and the way back through both, in compiled loops.

With x = (z - m) s, m the mean and s = 1 / sqrt(variance + eps), over the batch or over the units,

    h = gain x + bias,    a = phi(h);    dL/dh = dL/da phi'(h),
    dL/dbias = sum dL/dh,    dL/dgain = sum x dL/dh,    both over the batch,
    dL/dz = s (g - mean of g - x mean of g x),    g = gain dL/dh,

with means over what the norm takes its statistics of. Arrays are C-contiguous: z, a, and what is
lost by them are (runs, batch * units), gain and bias (runs, units). A run goes through all loops
before the next one, so that its values stay in the cache.
"""

from __future__ import annotations

import numpy as np

from .compiled import reordered
from .fast_phi import ONE, ZERO, sigmoid, tanh

IDENTITY, TANH, SIGMOID, RELU = range(4)  # which phi
Array = np.ndarray


@reordered
def _phi(h: Array, which: int, a: Array) -> None:
    """a <- phi(h); in other memory, for a choice in the same memory would become a jump."""
    if which == TANH:
        for j in range(len(h)):
            a[j] = tanh(h[j])
    elif which == SIGMOID:
        for j in range(len(h)):
            a[j] = sigmoid(h[j])
    elif which == RELU:
        for j in range(len(h)):
            a[j] = ZERO if h[j] < ZERO else h[j]
    else:
        for j in range(len(h)):
            a[j] = h[j]


@reordered
def _phi_back(d: Array, a: Array, which: int, dh: Array) -> None:
    """dh <- d phi'(h), from a = phi(h)."""
    if which == TANH:
        for j in range(len(d)):
            dh[j] = d[j] * (ONE - a[j] * a[j])
    elif which == SIGMOID:
        for j in range(len(d)):
            dh[j] = d[j] * (a[j] * (ONE - a[j]))
    elif which == RELU:
        for j in range(len(d)):
            dh[j] = ZERO if a[j] <= ZERO else d[j]
    else:
        for j in range(len(d)):
            dh[j] = d[j]


@reordered
def tanh_of(values: Array) -> None:
    """values <- tanh(values), in flat memory."""
    for j in range(len(values)):
        values[j] = tanh(values[j])


@reordered
def batch(
    z: Array, gain: Array, bias: Array, m: Array, s: Array, a: Array, which: int, eps: float
) -> None:
    """a = phi(h), with statistics over the batch, left in ``m`` and ``s`` (runs, units)."""
    units = gain.shape[1]
    samples = z.shape[1] // units
    h, count = np.empty(z.shape[1], z.dtype), z.dtype.type(samples)
    for run in range(len(z)):
        values, mean, scale, factor, shift = z[run], m[run], s[run], gain[run], bias[run]
        for j in range(units):
            mean[j] = 0
            scale[j] = 0
        for i in range(samples):
            for j in range(units):
                mean[j] += values[i * units + j]
        for j in range(units):
            mean[j] /= count
        for i in range(samples):
            for j in range(units):
                apart = values[i * units + j] - mean[j]
                scale[j] += apart * apart
        for j in range(units):
            scale[j] = ONE / np.sqrt(scale[j] / count + eps)
        for i in range(samples):
            for j in range(units):
                n = i * units + j
                h[n] = (values[n] - mean[j]) * scale[j] * factor[j] + shift[j]
        _phi(h, which, a[run])


@reordered
def fold(
    mean: Array, variance: Array, m: Array, s: Array, samples: int, share: float, eps: float
) -> None:
    """Move running ``mean`` and ``variance`` (runs, units) by a ``share`` towards a batch's."""
    free = samples / max(1, samples - 1)  # of the bias that comes with the batch's own mean
    for run in range(len(m)):
        for j in range(m.shape[1]):
            of_batch = free * (1 / np.float64(s[run, j]) ** 2 - eps)
            mean[run, j] += share * (m[run, j] - mean[run, j])
            variance[run, j] += share * (of_batch - variance[run, j])


@reordered
def batch_back(
    d: Array, z: Array, a: Array, gain: Array, m: Array, s: Array,
    dz: Array, d_gain: Array, d_bias: Array, which: int,
) -> None:  # fmt: skip
    """Gradients of :func:`batch`, left in ``dz``, ``d_gain`` and ``d_bias``."""
    units = gain.shape[1]
    samples = z.shape[1] // units
    count = z.dtype.type(samples)
    total, along = np.empty(units, z.dtype), np.empty(units, z.dtype)
    for run in range(len(z)):
        values, mean, scale, factor, g = z[run], m[run], s[run], gain[run], dz[run]
        _phi_back(d[run], a[run], which, g)
        for j in range(units):
            total[j] = 0
            along[j] = 0
        for i in range(samples):
            for j in range(units):
                n = i * units + j
                total[j] += g[n]
                along[j] += g[n] * ((values[n] - mean[j]) * scale[j])
        for j in range(units):
            d_bias[run, j] = total[j]
            d_gain[run, j] = along[j]
            total[j] /= count
            along[j] /= count
        for i in range(samples):
            for j in range(units):
                n = i * units + j
                x = (values[n] - mean[j]) * scale[j]
                g[n] = (g[n] - total[j] - x * along[j]) * (scale[j] * factor[j])


@reordered
def layer(
    z: Array, gain: Array, bias: Array, m: Array, s: Array, a: Array, which: int, eps: float
) -> None:
    """a = phi(h), with statistics over the units, left in ``m`` and ``s`` (runs, batch)."""
    units = gain.shape[1]
    samples = z.shape[1] // units
    h, count = np.empty(z.shape[1], z.dtype), z.dtype.type(units)
    for run in range(len(z)):
        values, factor, shift = z[run], gain[run], bias[run]
        for i in range(samples):
            mean = square = z.dtype.type(0)
            for j in range(units):
                mean += values[i * units + j]
            mean /= count
            for j in range(units):
                apart = values[i * units + j] - mean
                square += apart * apart
            scale = ONE / np.sqrt(square / count + eps)
            for j in range(units):
                n = i * units + j
                h[n] = (values[n] - mean) * scale * factor[j] + shift[j]
            m[run, i] = mean
            s[run, i] = scale
        _phi(h, which, a[run])


@reordered
def layer_back(
    d: Array, z: Array, a: Array, gain: Array, m: Array, s: Array,
    dz: Array, d_gain: Array, d_bias: Array, which: int,
) -> None:  # fmt: skip
    """Gradients of :func:`layer`, left in ``dz``, ``d_gain`` and ``d_bias``."""
    units = gain.shape[1]
    samples = z.shape[1] // units
    count = z.dtype.type(units)
    for run in range(len(z)):
        values, factor, g = z[run], gain[run], dz[run]
        of_gain, of_bias = d_gain[run], d_bias[run]
        _phi_back(d[run], a[run], which, g)
        for j in range(units):
            of_gain[j] = 0
            of_bias[j] = 0
        for i in range(samples):
            mean, scale = m[run, i], s[run, i]
            total = along = z.dtype.type(0)
            for j in range(units):
                of_bias[j] += g[i * units + j]
            for j in range(units):
                n = i * units + j
                of_gain[j] += g[n] * ((values[n] - mean) * scale)
            for j in range(units):
                n = i * units + j
                total += g[n] * factor[j]
                along += g[n] * factor[j] * ((values[n] - mean) * scale)
            total /= count
            along /= count
            for j in range(units):
                n = i * units + j
                x = (values[n] - mean) * scale
                g[n] = (g[n] * factor[j] - total - x * along) * scale
