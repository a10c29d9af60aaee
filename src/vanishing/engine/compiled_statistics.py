"""The statistics of :mod:`.statistics` on a CPU, by the compiled loops of :mod:`.sum_kernels`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..parts.activations import SATURATION, Activation
from .statistics import Pieces
from .sum_kernels import (
    LARGEST,
    SMALLEST,
    Layout,
    count_flat,
    count_small,
    largest,
    products,
    scaled_squares,
    scan,
)


def moments(layers: Sequence[Pieces], wanted: Iterable[str]) -> dict[str, Tensor]:
    """As :func:`.statistics.moments`."""
    wanted = set(wanted)
    asked = "sd" in wanted, "zero" in wanted
    sums = np.zeros((len(layers), len(layers[0][0]), 6))
    for pieces, of_layer in zip(layers, sums, strict=True):
        for values in pieces:
            scan(*_laid_out(values), asked, of_layer)
    found = of_sums(sums)
    if "log10_rms" in wanted:
        found["log10_rms"] = log10_rms(*_scaled(layers, sums[..., 2]), sums[..., 0])
    return {name: torch.from_numpy(found[name].T) for name in found if name in wanted}


def of_sums(sums: np.ndarray) -> dict[str, np.ndarray]:
    """The moments (...) of what :func:`scan` added up, (..., 6)."""
    count, total, squares, about, zeros, finite = np.moveaxis(sums, -1, 0)
    with np.errstate(all="ignore"):
        return {
            "mean": total / count,
            "sd": np.sqrt(about) / np.sqrt(count),
            "mean_square": squares / count,
            "zero": zeros / count,
            "finite": finite / count,
        }


def log10_rms(squares: np.ndarray, scale: np.ndarray, count: np.ndarray) -> np.ndarray:
    """That of values which over their ``scale`` have these ``squares``; NaN where all are 0."""
    with np.errstate(all="ignore"):
        log = np.log10(np.sqrt(squares / count)) + np.log10(scale)
    return np.where(np.isfinite(log), log, np.nan)


def _scaled(layers: Sequence[Pieces], squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``squares`` (layers, runs) and 1, or those of values over their largest size, and that."""
    squares, scale = squares.copy(), np.ones_like(squares)
    lost = ~((squares > SMALLEST) & (squares < LARGEST))
    for n in np.flatnonzero(lost.any(1)):
        laid, (runs,) = [_laid_out(values) for values in layers[n]], squares[n].shape
        top, again = np.zeros(runs), np.zeros(runs)
        for flat, layout in laid:
            largest(flat, layout, top)
        for flat, layout in laid:
            scaled_squares(flat, layout, top, again)
        scale[n], squares[n] = (
            np.where(lost[n], new, old) for new, old in ((top, scale[n]), (again, squares[n]))
        )
    return squares, scale


def shares_within(layers: Sequence[Pieces], limits: Sequence[float]) -> Tensor:
    """As :func:`.statistics.shares_within`."""
    within, order = falling(limits, layers[0][0])
    found = np.zeros((len(layers), len(layers[0][0]), len(limits)))
    for pieces, of_layer in zip(layers, found, strict=True):
        for values in pieces:
            count_small(*_laid_out(values), within, of_layer)
        of_layer /= len(pieces) * pieces[0][0].numel()
    return torch.from_numpy(found[..., order].swapaxes(0, 1))


def falling(limits: Sequence[float], like: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """``limits`` as :func:`count_small` asks for them, and where each of them then stands."""
    return _falling(tuple(limits), like.dtype)


@functools.lru_cache
def _falling(limits: tuple[float, ...], dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The same arrays for all who ask alike, every update of a training that is looked at."""
    order = np.argsort(limits)[::-1]
    return rounded_down(np.array(limits)[order], torch.empty(0, dtype=dtype)), np.argsort(order)


def rounded_down(numbers: np.ndarray, like: Tensor) -> np.ndarray:
    """The largest not above ``numbers`` in a tensor's precision: its values compare alike."""
    dtype = like.detach().numpy().dtype
    with np.errstate(over="ignore"):
        near = numbers.astype(dtype)
    return np.where(near > numbers, np.nextafter(near, dtype.type(-np.inf)), near)


def bounds_of(numbers: tuple[float, ...], like: Tensor) -> np.ndarray:
    """As :func:`rounded_down`, the same array for all who ask alike."""
    return _bounds_of(numbers, like.dtype)


@functools.lru_cache
def _bounds_of(numbers: tuple[float, ...], dtype: torch.dtype) -> np.ndarray:
    return rounded_down(np.array(numbers), torch.empty(0, dtype=dtype))


def flatness(
    activation: Activation, layers: Sequence[Pieces], slope: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """As :func:`.statistics.flatness`."""
    bounds = bounds_of(flat_bounds(activation), layers[0][0])
    runs = len(layers[0][0])
    low, both, dead = np.zeros((3, len(layers), runs))
    for n, pieces in enumerate(layers):
        order = _order(pieces[0])
        sizes, found = [pieces[0].shape[axis] for axis in order[2:]], np.zeros((runs, 2))
        alive = np.zeros((runs, *sizes), dtype=np.bool_)
        for h in pieces:
            both_laid = (*_by_sample(h.permute(order)), *_by_sample(slope(h).permute(order)))
            count_flat(*both_laid, bounds, found, alive.reshape(runs, -1))
        low[n], both[n] = found.T / (len(pieces) * pieces[0][0].numel())
        pixels = tuple(place - 1 for place in range(2, len(order)) if order[place] != 2)
        dead[n] = (~alive.any(pixels)).mean(1)
    shares = {"saturation_low": low, "saturation_high": both - low, "dead_fraction": dead}
    return {name: torch.from_numpy(share.T) for name, share in shares.items()}


def flat_bounds(activation: Activation) -> tuple[float, float]:
    """The largest h that is below phi's peak, and the steepest slope that is flat."""
    peak, steepest = activation.peak
    return math.nextafter(peak, -math.inf), SATURATION * steepest


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """As :func:`.statistics.cosine`."""
    sums = _sums_of_products(x, y)
    squares = sums[:, ::2]
    lost = ~((squares > SMALLEST) & (squares < LARGEST)).all(1)
    if lost.any():  # only these: a run's cosine must not depend on those beside it
        x, y = (t.detach()[torch.from_numpy(lost)].double() for t in (x, y))
        x, y = (t / t.abs().amax(tuple(range(1, t.dim())), keepdim=True) for t in (x, y))
        sums[lost] = _sums_of_products(x, y)
    xx, xy, yy = sums.T
    return _ratio(xy, np.sqrt(xx) * np.sqrt(yy))


def _sums_of_products(x: Tensor, y: Tensor) -> np.ndarray:
    found = np.zeros((len(x), 3))
    rows = (t.detach().reshape(len(t), -1).contiguous().numpy() for t in (x, y))
    products(*rows, found)
    return found


def _ratio(above: np.ndarray, below: np.ndarray) -> Tensor:
    with np.errstate(all="ignore"):
        return torch.from_numpy(above / below)


def _laid_out(values: Tensor) -> tuple[np.ndarray, Layout]:
    """The memory of ``values`` (runs, ...) as it lies: a run in one block, or one each sample.

    What has pixels behind its units comes from a convolution, which lays it sample by sample.
    """
    if values.dim() > 3:
        return _by_sample(values.permute(_order(values)))
    runs, numbers = len(values), values[0].numel()
    flat = values.detach().reshape(-1).numpy()
    return flat, (runs, 1, numbers, numbers, 0)


def _order(values: Tensor) -> list[int]:
    """The axes of ``values`` (runs, batch, ...), those of a sample as they lie in memory."""
    return [0, 1, *sorted(range(2, values.dim()), key=values.stride, reverse=True)]


def _by_sample(values: Tensor) -> tuple[np.ndarray, Layout]:
    """Of ``values`` (runs, batch, ...) a block a sample, copied where that lies in pieces."""
    runs, batch, *units = values.shape
    numbers = math.prod(units)
    values = values.detach()
    if values.is_contiguous():
        return values.view(-1).numpy(), (runs, batch, numbers, batch * numbers, numbers)
    blocks = values.reshape(runs, batch, numbers)
    if blocks.stride(2) != 1:
        blocks = blocks.contiguous()
    of_run, of_block, _ = blocks.stride()
    reach = (runs - 1) * of_run + (batch - 1) * of_block + numbers
    return blocks.as_strided((reach,), (1,)).numpy(), (runs, batch, numbers, of_run, of_block)
