r"""What a convolution does to mean squares, pixel by pixel.

With independent weights, z at a pixel has :math:`\sigma_w^2` times the mean of K = E a^2 over the
kernel, and the gradient goes back the same way. Beyond a border of zeros nothing comes in and what
is sent out is lost; around a circle every pixel is alike, as in an MLP (Xiao et al. 2018). An MLP
has one pixel, and a kernel of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..parts.architecture import KERNEL
from ..parts.laws import delta_orthogonal, identity

if TYPE_CHECKING:
    from .cell import Cell


def spread(cell: Cell, values: np.ndarray, stride: int = 1) -> np.ndarray:
    """The mean of ``values`` (height, width) over the kernel, at the pixels that are kept."""
    return sum(shifts(cell, values))[::stride, ::stride]


def gather(cell: Cell, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The adjoint of :func:`spread`: what pixels send back to those of ``shape`` before them."""
    return sum(shifts(cell, scattered(values, shape)))  # the kernel is symmetric


def shifts(cell: Cell, values: np.ndarray) -> list[np.ndarray]:
    """``values`` as each of the kernel's pixels sees them, over the number of these."""
    if cell.architecture.family != "cnn" or cell.init.law in (delta_orthogonal, identity):
        return [values]
    reach = KERNEL // 2
    zero = cell.architecture.padding == "zero"
    padded = np.pad(values, reach, mode="constant" if zero else "wrap")
    height, width = values.shape
    return [
        padded[i : i + height, j : j + width] / KERNEL**2
        for i in range(KERNEL)
        for j in range(KERNEL)
    ]


def strides(values: np.ndarray, shape: tuple[int, int]) -> int:
    """Every how many pixels of ``values`` those of the smaller ``shape`` are."""
    return round(values.shape[0] / shape[0])


def scattered(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``values`` among zeros, at the pixels of the larger ``shape`` that they come from."""
    if values.shape == shape:
        return values
    stride = round(shape[0] / values.shape[0])
    apart = np.zeros(shape)
    apart[::stride, ::stride] = values
    return apart
