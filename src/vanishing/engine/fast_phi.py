r"""tanh and sigmoid of a number inside a compiled loop, which the compiler turns into vectors.

In float32 both rest on :math:`e^y - 1 = 2^n (e^r - 1) + (2^n - 1)`, y = n log 2 + r, with a
polynomial for :math:`(e^r - 1 - r) / r^2`; n changes where it costs no digits near 0. tanh is
within 2.1 units in the last place. In float64, where nothing here must be fast, they are the system
library's.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import overload

from .compiled import exact

ZERO, ONE, TWO, QUARTER = np.float32(0), np.float32(1), np.float32(2), np.float32(0.25)
PER_LOG_2 = np.float32(1 / math.log(2))
LOG_2_HIGH = np.float32(0.693145751953125)  # its product with n is exact
LOG_2_LOW = np.float32(math.log(2) - 0.693145751953125)
# Through the Chebyshev nodes of r in [-log(2)/4, 3 log(2)/4]; the error is 1e-9 of r.
C0, C1, C2, C3, C4, C5 = (
    np.float32(c)
    for c in (0.499999998, 0.166666666, 0.0416669698, 0.008332784, 0.0013812709, 0.000226622304)
)
FLAT = np.float32(9.2)  # from here on tanh is 1 to the last digit
FAR = np.float32(87)  # exp of more is not finite


def tanh(x: float) -> float:
    """tanh(x), for compiled code; a NaN stays one."""
    return math.tanh(x)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), for compiled code; a NaN stays one."""
    return 1 / (1 + math.exp(-x))


@exact
def _power(y: np.float32) -> tuple[np.float32, np.float32]:
    r""":math:`2^n (e^r - 1)` and :math:`2^n`, of which exp(y) is the sum."""
    n = np.rint(y * PER_LOG_2 - QUARTER)
    r = (y - n * LOG_2_HIGH) - n * LOG_2_LOW
    less_one = r + r * r * (C0 + r * (C1 + r * (C2 + r * (C3 + r * (C4 + r * C5)))))
    two_n = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return two_n * less_one, two_n


@exact
def _tanh_32(x: np.float32) -> np.float32:
    size = abs(x)
    size = FLAT if size > FLAT else size
    rest, two_n = _power(size + size)
    e = rest + (two_n - ONE)
    return np.copysign(e / (e + TWO), x)


@exact
def _sigmoid_32(x: np.float32) -> np.float32:
    y = FAR if -x > FAR else -x
    y = -FAR if y < -FAR else y
    rest, two_n = _power(y)
    return ONE / (ONE + (two_n + rest))


@overload(tanh, inline="always")
def _of_tanh(x):
    if x == types.float32:
        return lambda x: _tanh_32(x)
    return lambda x: math.tanh(x)


@overload(sigmoid, inline="always")
def _of_sigmoid(x):
    if x == types.float32:
        return lambda x: _sigmoid_32(x)
    return lambda x: 1 / (1 + math.exp(-x))
