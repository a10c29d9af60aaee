"""Convolutions of a stack of runs, each with its own kernel."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..lazy import Lazy
from ..parts.activations import Activation
from ..parts.architecture import KERNEL
from .fused_layer import kernels, number, phi_of
from .layer_looks import Look, nothing

Array = np.ndarray
Phi = tuple[int, float]  # which of the loops', and its slope
Seen = tuple[Look, int, bool]  # of the layer with an index, which phi(z) leaves or not

loops = Lazy("vanishing.engine.convolution_kernels")  # numba: only a CNN pays its loading
loops_back = Lazy("vanishing.engine.convolution_back_kernels")


def load(dtypes: Sequence[torch.dtype] = (torch.float32, torch.float64)) -> None:
    """Compile the loops, or read them from the disk, so that forks of this process find them."""
    for dtype in dtypes:
        images, bias = torch.zeros(1, 1, 1, 1, 1, dtype=dtype), torch.zeros(1, 1, 1, dtype=dtype)
        weight, seen = bias.expand(1, KERNEL**2, 1), (nothing(dtype), 0, False)
        z = _outputs(images, weight, bias, 1, False, None, seen)
        _gradients(images, weight, z, None, 1, False, None, (True, True), seen)


def convolved(
    a: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int,
    circular: bool,
    activation: Activation | None = None,
    seen: Seen | None = None,
) -> Tensor:
    """z (runs, batch, units, height, width) of ``a`` (runs, batch, channels, height, width).

    ``weight`` (runs, channels * 9, units) and ``bias`` (runs, 1, units); the border is of zeros or
    ``circular``. With an ``activation``, which :func:`.fused_layer.is_joined` must know, phi(z).
    What is ``seen`` of it on the way forward and back fills a look, on a CPU.

    On a CPU the loops of :mod:`.convolution_kernels`, in which a run's numbers do not depend on the
    runs beside it, and which were faster than :func:`grouped` at 4 to 64 channels wherever they
    were measured (see ``benchmarks/README.md``). Elsewhere :func:`grouped`.
    """
    if a.device.type == "cpu":
        seen = seen or (nothing(a.dtype), 0, False)
        return _Convolution.apply(a, weight, bias, stride, circular, activation, seen)
    z = grouped(a, weight, bias, stride, circular)
    return activation.phi(z) if activation else z


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
        ctx: Any,
        a: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: int,
        circular: bool,
        activation: Activation | None,
        seen: Seen,
    ) -> Tensor:
        ctx.how, ctx.activation, ctx.seen = (stride, circular), activation, seen
        ctx.phi = phi_of(activation) if activation else None
        out = _outputs(a, weight, bias, *ctx.how, ctx.phi, seen)
        ctx.save_for_backward(a, weight, bias, out if activation else None)
        return out

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        a, weight, bias, out = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():  # the gradient will be differentiated, which torch can do
            inputs = [t for t, asked in zip((a, weight, bias), wanted, strict=True) if asked]
            z = grouped(a, weight, bias, *ctx.how)
            made = ctx.activation.phi(z) if ctx.activation else z
            found = iter(torch.autograd.grad(made, inputs, delta, create_graph=True))
            return *(next(found) if asked else None for asked in wanted), *[None] * 4
        asked = wanted[0], wanted[1] or wanted[2]
        found = _gradients(a, weight, delta, out, *ctx.how, ctx.phi, asked, ctx.seen)
        return *found, *[None] * 4


def _outputs(
    a: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int,
    circular: bool,
    phi: Phi | None,
    seen: Seen,
) -> Tensor:
    """phi(z), which lies in memory as (runs, batch, height, width, units)."""
    look, *of_layer = seen
    (runs, batch, channels), inner, units = a.shape[:3], a.shape[3:], weight.shape[2]
    height, width = (-(-side // stride) for side in inner)
    pixels, taps, shift, _ = _windows(height, width, stride, inner, channels)
    out = a.new_empty(runs, batch, height, width, units)
    by = _in_lanes(weight), _in_lanes(bias), pixels, taps[: channels * KERNEL**2], shift
    padded = _border(a, inner, channels)
    made = *_numbers(a, phi), out.numpy(), *of_layer, look.forward
    loops.convolve(*_strided(a), circular, *by, padded, *made)
    return out.permute(0, 1, 4, 2, 3)


def _gradients(
    a: Tensor,
    weight: Tensor,
    delta: Tensor,
    out: Tensor | None,
    stride: int,
    circular: bool,
    phi: Phi | None,
    asked: tuple[bool, bool],
    seen: Seen,
) -> tuple[Tensor | None, ...]:
    """dL/da, dL/dW and dL/db, the first and the others if ``asked``, of ``delta``.

    That is the gradient of phi(z), which is ``out`` where there is a phi.
    """
    (runs, batch, channels), inner, units = a.shape[:3], a.shape[3:], weight.shape[2]
    pixels, rows, _, lined = _windows(*delta.shape[3:], stride, inner, channels)
    of_weight, of_bias = (a.new_empty(runs, n, units) for n in (channels * KERNEL**2, 1))
    made = a.new_empty(0) if out is None else out.permute(0, 1, 3, 4, 2).reshape(-1)
    rows_back, taps, shift, _ = _windows(*inner, 1, inner, units)
    of_a = a.new_empty(runs, batch, *inner, channels) if asked[0] else a.new_empty([0] * 5)
    loops_back.back(
        *_strided(a),
        circular,
        *_strided(delta),
        made.detach().numpy(),
        *_numbers(a, phi),
        rows,
        pixels[: math.prod(delta.shape[3:])],
        int(lined and len(rows) % loops.WINDOWS == 0),
        _border(a, inner, channels),
        of_weight.numpy(),
        of_bias.numpy(),
        asked[1],
        rows_back,
        taps[: units * KERNEL**2],
        shift,
        stride,
        _border(a, inner, units),
        _in_lanes(weight),
        of_a.numpy(),
        asked[0],
        seen[1],
        seen[0].backward,
    )
    of_a = of_a.permute(0, 1, 4, 2, 3) if asked[0] else None
    return (of_a, of_weight, of_bias) if asked[1] else (of_a, None, None)


@functools.cache
def _windows(
    height: int, width: int, stride: int, inner: torch.Size, channels: int
) -> tuple[Array, Array, int, bool]:
    """Where windows begin, a pixel of the output each, and how far their numbers are from there.

    Zeros follow, up to a whole number of the rows that are made at a time.
    """
    pitch, plane = inner[1] + 2, (inner[0] + 2) * (inner[1] + 2)
    pixels, taps = loops.pixels(height, width, stride, pitch), loops.taps(plane, pitch, channels)
    lines = loops.lower(height, width, stride, pitch), loops.in_lines(width, stride)
    return loops.whole(pixels), loops.whole(taps), *lines


def _border(like: Tensor, inner: torch.Size, channels: int) -> Array:
    """Room for an image of so many pixels in a border, of zeros."""
    return like.new_zeros(channels, inner[0] + 2, inner[1] + 2).numpy()


def _numbers(like: Tensor, phi: Phi | None) -> tuple[int, np.floating]:
    """Which phi of the loops, and its slope in the precision of a tensor."""
    which, slope = phi or (kernels.LINEAR, 0.0)
    return which, number(like, slope)


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
