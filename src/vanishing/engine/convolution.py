"""Convolutions of a stack of runs, each with its own kernel."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..lazy import Lazy
from ..parts.architecture import KERNEL

Array = np.ndarray

loops = Lazy("vanishing.engine.convolution_kernels")  # numba: only a CNN pays its loading


def load(dtypes: Sequence[torch.dtype] = (torch.float32, torch.float64)) -> None:
    """Compile the loops, or read them from the disk, so that forks of this process find them."""
    for dtype in dtypes:
        images, bias = torch.zeros(1, 1, 1, 1, 1, dtype=dtype), torch.zeros(1, 1, 1, dtype=dtype)
        _product(images, bias.expand(1, KERNEL**2, 1), bias, images.shape[3:], 1, 1, False)
        _weight_gradients(images, images, 1, False)


def convolved(a: Tensor, weight: Tensor, bias: Tensor, stride: int, circular: bool) -> Tensor:
    """z (runs, batch, units, height, width) of ``a`` (runs, batch, channels, height, width).

    ``weight`` (runs, channels * 9, units) and ``bias`` (runs, 1, units); the border is of zeros or
    ``circular``. On a CPU the loops of :mod:`.convolution_kernels`, in which a run's numbers do not
    depend on the runs beside it, and which were never slower: 1.1 to 2.3 times as fast as
    :func:`grouped` at 4 to 64 channels on AVX2 in float32, 2.7 in float64 (``benchmarks/README.md``
    has the table). Elsewhere :func:`grouped`.
    """
    if a.device.type == "cpu":
        return _Convolution.apply(a, weight, bias, stride, circular)
    return grouped(a, weight, bias, stride, circular)


def grouped(a: Tensor, weight: Tensor, bias: Tensor, stride: int, circular: bool) -> Tensor:
    """What :func:`convolved` gives, by torch: runs side by side are groups of channels."""
    runs, batch, channels, *pixels = a.shape
    kernel = weight.transpose(1, 2).reshape(-1, channels, KERNEL, KERNEL)
    flat_runs, padding = a.transpose(0, 1).reshape(batch, runs * channels, *pixels), KERNEL // 2
    if circular:
        flat_runs = functional.pad(flat_runs, [padding] * 4, mode="circular")
        padding = 0
    z = functional.conv2d(flat_runs, kernel, bias.reshape(-1), stride, padding, 1, runs)
    return z.view(batch, runs, -1, *z.shape[2:]).transpose(0, 1)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, weight: Tensor, bias: Tensor, stride: int, circular: bool
    ) -> Tensor:
        ctx.save_for_backward(a, weight, bias)
        ctx.stride, ctx.circular = stride, circular
        return _product(a, weight, bias, a.shape[3:], stride, 1, circular)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        a, weight, bias = ctx.saved_tensors
        stride, circular, wanted = ctx.stride, ctx.circular, ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # the gradient will be differentiated, which torch can do
            inputs = [t for t, asked in zip((a, weight, bias), wanted, strict=True) if asked]
            z = grouped(a, weight, bias, stride, circular)
            found = iter(torch.autograd.grad(z, inputs, delta, create_graph=True))
            return *(next(found) if asked else None for asked in wanted), None, None
        of_a = of_weight = of_bias = None
        if wanted[0]:
            runs, _, units = weight.shape
            turned = weight.detach().reshape(runs, -1, KERNEL**2, units).flip(2).permute(0, 3, 2, 1)
            turned = turned.reshape(runs, units * KERNEL**2, -1)
            zeros = weight.new_zeros(runs, 1, a.shape[2])
            of_a = _product(delta, turned, zeros, a.shape[3:], 1, stride, circular)
        if wanted[1] or wanted[2]:
            of_weight, of_bias = _weight_gradients(a, delta, stride, circular)
        return of_a, of_weight, of_bias, None, None


def _product(
    images: Tensor,
    weight: Tensor,
    bias: Tensor,
    inner: torch.Size,
    stride: int,
    apart: int,
    circular: bool,
) -> Tensor:
    """z of ``images`` that fill ``inner`` pixels, height and width, with their own ``apart``."""
    (runs, batch, channels), units = images.shape[:3], weight.shape[2]
    height, width = (-(-side // stride) for side in inner)
    pixels, taps = _windows(height, width, stride, inner[1] + 2, channels)
    z = images.new_empty(runs, batch, height, width, units)
    by = _in_lanes(weight), _in_lanes(bias), pixels, taps[: channels * KERNEL**2]
    padded = _border(images, inner)
    loops.convolve(*_strided(images), apart, circular, *by, padded, z.numpy())
    return z.permute(0, 1, 4, 2, 3)


def _weight_gradients(
    a: Tensor, delta: Tensor, stride: int, circular: bool
) -> tuple[Tensor, Tensor]:
    """dL/dW and dL/db of dL/dz = ``delta``."""
    (runs, _, channels, _, width), units = a.shape, delta.shape[2]
    height_out, width_out = delta.shape[3:]
    pixels, taps = _windows(height_out, width_out, stride, width + 2, channels)
    wide = loops.room(units, delta.itemsize)
    of_weight, of_bias = a.new_zeros(runs, len(taps), wide), a.new_zeros(runs, 1, wide)
    where = taps, pixels[: height_out * width_out], _border(a, a.shape[3:])
    of = *_strided(a), circular, *_strided(delta)
    loops.weight_gradients(*of, *where, of_weight.numpy(), of_bias.numpy())
    fan_in = channels * KERNEL**2
    return of_weight[:, :fan_in, :units].contiguous(), of_bias[..., :units].contiguous()


@functools.cache
def _windows(
    height: int, width: int, stride: int, pitch: int, channels: int
) -> tuple[Array, Array]:
    """Where windows begin, a pixel of the output each, and how far their numbers are from there.

    Zeros follow, up to a whole number of the rows that are made at a time.
    """
    pixels = loops.pixels(height, width, stride, pitch, channels)
    return loops.whole(pixels), loops.whole(loops.taps(pitch, channels))


def _border(images: Tensor, inner: torch.Size) -> Array:
    """Room for an image of so many pixels in a border, of zeros."""
    return images.new_zeros(inner[0] + 2, inner[1] + 2, images.shape[2]).numpy()


def _in_lanes(rows: Tensor) -> Array:
    """``rows`` with zeros behind them, as many as fill the last lanes."""
    units = rows.shape[2]
    missing = loops.room(units, rows.itemsize) - units
    rows = functional.pad(rows.detach(), (0, missing)) if missing else rows.detach()
    return rows.contiguous().numpy()


def _strided(images: Tensor) -> tuple[Array, tuple[int, ...]]:
    """The memory of ``images`` as a flat array, and their sizes and strides."""
    sizes, strides = images.shape, images.stride()
    reach = sum((size - 1) * step for size, step in zip(sizes, strides, strict=True))
    flat = images.detach().as_strided((reach + 1,), (1,)).numpy()
    return flat, (*sizes, *strides)
