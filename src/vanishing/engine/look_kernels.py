"""What a probe asks of a recurrent layer's values, taken while a time step is in the cache.

Compiled loops beside those of :mod:`.step_kernels`, whose arrays they read: ``z``, ``p``, ``s`` and
``at`` are the same. Sums are in float64, of each step of each run apart.
"""

from __future__ import annotations

import numpy as np

from .compiled import exact, reordered
from .fast_phi import ONE, ZERO
from .step_kernels import At, slope
from .sum_kernels import APART, LARGEST, SMALLEST

Array = np.ndarray
# Of a step of a run: squares and finite ones of h, sum of a and squares about its mean, flat slopes
# below the peak and in all; then of each gate sum, squares about its mean, finite ones, and how
# many are nearly shut, and not nearly open.
OF_VALUES, OF_GATE = 6, 5
# On the way back: squares of delta, what it was divided by first, zeros, finite ones.
OF_DELTA = 4
# Which phi, how many gates stand before the candidate, whether its recall stands apart behind it,
# whether phi(h) is the output itself.
Form = tuple[int, int, bool, bool]


@exact
def _copy(rows: Array, first: int, n: int, to: Array) -> None:
    """So many columns of ``rows`` from the ``first`` into flat ``to``: loops over it are faster."""
    for i in range(len(rows)):
        row, out = rows[i, first : first + n], to[i * n : (i + 1) * n]
        for j in range(n):
            out[j] = row[j]


@exact
def _add_recalled(z: Array, gates: Array, first: int, n: int, h: Array) -> None:
    """Add to the drive ``h`` what the first gate leaves of the recall."""
    for i in range(len(z)):
        out, gate, recall = h[i * n : (i + 1) * n], gates[i, :n], z[i, first : first + n]
        for j in range(n):
            out[j] += gate[j] * recall[j]


@reordered
def _squares(values: Array) -> float:
    found = 0.0
    for i in range(len(values)):
        v = np.float64(values[i])
        found += v * v
    return found


@reordered
def _finite(values: Array) -> int:
    found = 0
    for i in range(len(values)):
        found += np.isfinite(values[i])
    return found


@reordered
def _spread(values: Array) -> tuple[float, float]:
    """The sum, and the squares about the mean."""
    total, squares = 0.0, 0.0
    for i in range(len(values)):
        v = np.float64(values[i])
        total += v
        squares += v * v
    mean = total / len(values)
    about = squares - total * mean
    if not (about > APART * squares and SMALLEST < squares < LARGEST):  # as in .sum_kernels.scan
        about = 0.0
        for i in range(len(values)):
            d = np.float64(values[i]) - mean
            about += d * d
    return total, about


@reordered
def _at_most(values: Array, limit: float) -> float:
    """How many are at most ``limit``; a step's are few enough to be counted in any precision."""
    found = values.dtype.type(0)
    for i in range(len(values)):
        found += ONE if values[i] <= limit else ZERO
    return found


@reordered
def _flat(which: int, h: Array, a: Array, limits: Array, sizes: Array) -> tuple[float, float]:
    """How many slopes are flat: below the peak, and in all. Adds up the ``sizes`` of each."""
    below, steep = limits[0], limits[1]
    low = both = sizes.dtype.type(0)
    for i in range(len(sizes)):
        size = abs(slope(which, a[i]))
        both += ONE if size <= steep else ZERO
        low += ONE if (size <= steep) & (h[i] <= below) else ZERO
        sizes[i] += size
    return low, both


@exact
def forward(
    z: Array,
    p: Array,
    s: Array,
    at: At,
    form: Form,
    limits: Array,
    out: Array,
    sizes: Array,
    room: Array,
) -> None:
    """Leave a step's sums in ``out``, and add the sizes of its phi' to ``sizes`` (batch x units).

    ``limits``, of the values' own precision, are the largest h below the peak and the steepest
    slope that is flat, and where a gate is nearly shut, and nearly open. ``room`` is for two times
    as many numbers as ``sizes``.
    """
    (t, now, _, _), (which, gates, apart, is_output) = at, form
    count = len(sizes)
    n = count // len(z)
    first, h, a = gates * n, room[:count], room[count:]
    _copy(z, first, n, h)
    if apart:
        _add_recalled(z, p[now], first + n, n, h)
    _copy(s[t + 1], s.shape[2] - n, n, a)
    out[2], out[3] = _spread(a)
    if not is_output:
        _copy(p[now], first, n, a)
    out[0] = _squares(h)
    out[1] = count if np.isfinite(out[0]) else _finite(h)
    out[4], out[5] = _flat(which, h, a, limits, sizes)
    for number in range(gates):
        found = out[OF_VALUES + number * OF_GATE :]
        _copy(p[now], number * n, n, a)
        found[0], found[1] = _spread(a)
        found[2] = count if np.isfinite(found[0]) else _finite(a)
        found[3], found[4] = _at_most(a, limits[2]), _at_most(a, limits[3])


@reordered
def backward(rows: Array, first: int, out: Array, delta: Array) -> None:
    """Leave in ``out`` a step's sums of delta: of the columns of ``rows`` from the ``first`` on.

    Where squares have lost digits they are those of delta over its largest size. ``delta`` is room
    for it.
    """
    count, scale, zeros = len(delta), 1.0, delta.dtype.type(0)
    _copy(rows, first, count // len(rows), delta)
    squares = _squares(delta)
    finite = count if np.isfinite(squares) else _finite(delta)
    for i in range(count):
        zeros += ONE if delta[i] == ZERO else ZERO
    if not SMALLEST < squares < LARGEST:
        scale = 0.0
        for i in range(count):
            scale = max(scale, abs(np.float64(delta[i])))
        if scale > 0:  # else all are 0, or there is a NaN, and so in the squares
            squares = 0.0
            for i in range(count):
                v = np.float64(delta[i]) / scale
                squares += v * v
    out[0], out[1], out[2], out[3] = squares, scale, zeros, finite
