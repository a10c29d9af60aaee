r"""What follows a layer's product, norm and phi, and the way back through both, in compiled loops.

With x = (z - m) s, m the mean and s = 1 / sqrt(variance + eps), over the batch or over the units,

    h = gain x + bias,    a = phi(h);    dL/dh = dL/da phi'(h),
    dL/dbias = sum dL/dh,    dL/dgain = sum x dL/dh,    both over the batch,
    dL/dz = s (g - mean of g - x mean of g x),    g = gain dL/dh,

with means over what the norm takes its statistics of. Arrays of a run are flat: z, h, a, and what
is lost by them (batch * units), gain and bias (units). A run goes through all loops before the next
one, so that its values stay in the cache.
"""

from __future__ import annotations

import numpy as np

from .compiled import by_256_bits, reordered
from .fast_phi import ONE, ZERO, sigmoid, tanh

LINEAR, TANH, SIGMOID, RELU, LEAKY = range(5)  # which phi
PLAIN, BATCH, LAYER = range(3)  # which norm; PLAIN is none
Array = np.ndarray


@reordered
def phi(h: Array, which: int, slope: float, a: Array) -> None:
    """a <- phi(h); in other memory, for a choice in the same memory would become a jump."""
    if which == TANH:
        for j in range(len(h)):
            a[j] = tanh(h[j])
    elif which == SIGMOID:
        for j in range(len(h)):
            a[j] = sigmoid(h[j])
    else:
        rectify(h, which, slope, a)


@reordered
def rectify(h: Array, which: int, slope: float, a: Array) -> None:
    """a <- phi(h) of a phi that is a line on either side of 0: RELU, LEAKY, LINEAR."""
    if which == RELU:
        for j in range(len(h)):
            a[j] = ZERO if h[j] < ZERO else h[j]
    elif which == LEAKY:
        for j in range(len(h)):
            a[j] = h[j] if h[j] > ZERO else h[j] * slope
    else:
        for j in range(len(h)):
            a[j] = h[j]


@reordered
def phi_back(d: Array, a: Array, which: int, slope: float, dh: Array) -> None:
    """dh <- d phi'(h), from a = phi(h); of a leaky ReLU with a ``slope`` above 0."""
    if which == TANH:
        for j in range(len(d)):
            dh[j] = d[j] * (ONE - a[j] * a[j])
    elif which == SIGMOID:
        for j in range(len(d)):
            dh[j] = d[j] * (a[j] * (ONE - a[j]))
    else:
        rectify_back(d, a, which, slope, dh)


@reordered
def rectify_back(d: Array, a: Array, which: int, slope: float, dh: Array) -> None:
    """dh <- d phi'(h) of such a phi."""
    if which == RELU:
        for j in range(len(d)):
            dh[j] = ZERO if a[j] <= ZERO else d[j]
    elif which == LEAKY:
        for j in range(len(d)):
            dh[j] = d[j] if a[j] > ZERO else d[j] * slope
    else:
        for j in range(len(d)):
            dh[j] = d[j]


@reordered
def tanh_of(values: Array) -> None:
    """values <- tanh(values), in flat memory."""
    for j in range(len(values)):
        values[j] = tanh(values[j])


@reordered
def norm(
    z: Array, gain: Array, bias: Array, m: Array, s: Array, h: Array, which: int, eps: float
) -> None:
    """h of a run, with statistics over the batch (BATCH) or the units (LAYER), left in m and s."""
    if which == BATCH:
        _over_batch(z, gain, bias, m, s, h, eps)
    else:
        _over_units(z, gain, bias, m, s, h, eps)


@reordered
def norm_back(
    g: Array, z: Array, gain: Array, m: Array, s: Array, d_gain: Array, d_bias: Array, which: int
) -> None:
    """g, dL/dh of a run, becomes dL/dz; the gradients of gain and bias are left where asked."""
    if which == BATCH:
        _over_batch_back(g, z, gain, m, s, d_gain, d_bias)
    else:
        _over_units_back(g, z, gain, m, s, d_gain, d_bias)


@reordered
def outputs(
    z: Array, gain: Array, bias: Array, m: Array, s: Array, a: Array, normed: int, which: int,
    slope: float, eps: float,
) -> None:  # fmt: skip
    """a = phi(h) of a stack, all with the run axis in front."""
    h = np.empty(z.shape[1], z.dtype)
    for run in range(len(z)):
        norm(z[run], gain[run], bias[run], m[run], s[run], h, normed, eps)
        phi(h, which, slope, a[run])


@reordered
def back(
    d: Array, z: Array, a: Array, gain: Array, m: Array, s: Array,
    dz: Array, d_gain: Array, d_bias: Array, normed: int, which: int, slope: float,
) -> None:  # fmt: skip
    """Gradients of :func:`outputs`, left in ``dz``, ``d_gain`` and ``d_bias``."""
    for run in range(len(z)):
        phi_back(d[run], a[run], which, slope, dz[run])
        norm_back(
            dz[run], z[run], gain[run], m[run], s[run], d_gain[run], d_bias[run], normed
        )  # fmt: skip


@reordered
def _over_batch(
    z: Array, gain: Array, bias: Array, m: Array, s: Array, h: Array, eps: float
) -> None:
    units = len(gain)
    samples = len(z) // units
    count = z.dtype.type(samples)
    for j in range(units):
        m[j] = 0
        s[j] = 0
    for i in range(samples):
        for j in range(units):
            m[j] += z[i * units + j]
    for j in range(units):
        m[j] /= count
    for i in range(samples):
        for j in range(units):
            apart = z[i * units + j] - m[j]
            s[j] += apart * apart
    for j in range(units):
        s[j] = ONE / np.sqrt(s[j] / count + eps)
    for i in range(samples):
        for j in range(units):
            n = i * units + j
            h[n] = (z[n] - m[j]) * s[j] * gain[j] + bias[j]


@reordered
def _over_batch_back(
    g: Array, z: Array, gain: Array, m: Array, s: Array, d_gain: Array, d_bias: Array
) -> None:
    units = len(gain)
    samples = len(z) // units
    count = z.dtype.type(samples)
    for j in range(units):
        d_bias[j] = 0
        d_gain[j] = 0
    for i in range(samples):
        for j in range(units):
            n = i * units + j
            d_bias[j] += g[n]
            d_gain[j] += g[n] * ((z[n] - m[j]) * s[j])
    for i in range(samples):
        for j in range(units):
            n = i * units + j
            x = (z[n] - m[j]) * s[j]
            g[n] = (g[n] - d_bias[j] / count - x * (d_gain[j] / count)) * (s[j] * gain[j])


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
def _over_units(
    z: Array, gain: Array, bias: Array, m: Array, s: Array, h: Array, eps: float
) -> None:
    by_256_bits()  # a training does not depend on the processor by the order of these sums
    units = len(gain)
    count = z.dtype.type(units)
    for i in range(len(z) // units):
        mean = square = z.dtype.type(0)
        for j in range(units):
            mean += z[i * units + j]
        mean /= count
        for j in range(units):
            apart = z[i * units + j] - mean
            square += apart * apart
        scale = ONE / np.sqrt(square / count + eps)
        for j in range(units):
            n = i * units + j
            h[n] = (z[n] - mean) * scale * gain[j] + bias[j]
        m[i] = mean
        s[i] = scale


@reordered
def _over_units_back(
    g: Array, z: Array, gain: Array, m: Array, s: Array, d_gain: Array, d_bias: Array
) -> None:
    by_256_bits()
    units = len(gain)
    count = z.dtype.type(units)
    for j in range(units):
        d_gain[j] = 0
        d_bias[j] = 0
    for i in range(len(z) // units):
        mean, scale = m[i], s[i]
        total = along = z.dtype.type(0)
        for j in range(units):
            d_bias[j] += g[i * units + j]
        for j in range(units):
            n = i * units + j
            d_gain[j] += g[n] * ((z[n] - mean) * scale)
        for j in range(units):
            n = i * units + j
            total += g[n] * gain[j]
            along += g[n] * gain[j] * ((z[n] - mean) * scale)
        total /= count
        along /= count
        for j in range(units):
            n = i * units + j
            x = (z[n] - mean) * scale
            g[n] = (g[n] * gain[j] - total - x * along) * scale
