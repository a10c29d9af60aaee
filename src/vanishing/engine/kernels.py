"""The sums of :mod:`.statistics` in one or two passes over a CPU's memory, compiled by numba.

torch goes over a tensor once for every sum, product and comparison; here all that is asked of a
run's values is taken while they are in the cache. float32 and float64 are read as they lie and
summed in float64, every run's values in the same order whatever the stack's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..parts.activations import SATURATION, Activation
from .compiled import reordered
from .statistics import Pieces

Layout = tuple[int, int, int, int, int]  # runs, blocks, numbers a block; strides of run and block

# Squares beyond these may have lost digits: they are taken again of values that are scaled.
SMALLEST, LARGEST = 1e-280, 1e280
# Squares about the mean that are less than this share of all are taken again, value by value.
APART = 0.01


@reordered
def scan(flat: np.ndarray, layout: Layout, asked: tuple[bool, bool], out: np.ndarray) -> None:
    """Add to ``out`` (runs, 6): count, sum, squares, squares about the mean, zeros, finite ones.

    Only where ``asked`` are there squares about the mean, and zeros. Squares about two means are
    joined as Chan, Golub, LeVeque 1983 do it. Loops over what is in the cache cost little, and each
    does the same to every number.
    """
    spread, nothing = asked
    runs, blocks, size, run_stride, block_stride = layout
    count = blocks * size
    for r in range(runs):
        total, squares, zeros, finite = 0.0, 0.0, 0, 0
        for b in range(blocks):
            start = r * run_stride + b * block_stride
            values, own = flat[start : start + size], 0.0
            for i in range(size):
                v = np.float64(values[i])
                total += v
                own += v * v
            squares += own
            if np.isfinite(own):
                finite += size
            else:  # not all of them, or their squares are not
                for i in range(size):
                    finite += np.isfinite(values[i])
            if nothing:
                for i in range(size):
                    zeros += values[i] == 0
        about = 0.0
        if spread:
            mean = total / count
            about = squares - total * mean
            if not (about > APART * squares and SMALLEST < squares < LARGEST):
                about = 0.0
                for b in range(blocks):
                    start = r * run_stride + b * block_stride
                    values = flat[start : start + size]
                    for i in range(size):
                        d = np.float64(values[i]) - mean
                        about += d * d
            before = out[r, 0]
            if before > 0:
                apart = mean - out[r, 1] / before
                about += apart * apart * before * count / (before + count)
        out[r, 0] += count
        out[r, 1] += total
        out[r, 2] += squares
        out[r, 3] += about
        out[r, 4] += zeros
        out[r, 5] += finite


@reordered
def _largest(flat: np.ndarray, layout: Layout, out: np.ndarray) -> None:
    """Raise ``out`` (runs) to the largest size of a run's values."""
    runs, blocks, size, run_stride, block_stride = layout
    for r in range(runs):
        top = out[r]
        for b in range(blocks):
            start = r * run_stride + b * block_stride
            values = flat[start : start + size]
            for i in range(size):
                top = max(top, abs(np.float64(values[i])))
        out[r] = top


@reordered
def _scaled_squares(flat: np.ndarray, layout: Layout, scale: np.ndarray, out: np.ndarray) -> None:
    """Add to ``out`` (runs) the squares of a run's values over its ``scale``."""
    runs, blocks, size, run_stride, block_stride = layout
    for r in range(runs):
        squares = 0.0
        for b in range(blocks):
            start = r * run_stride + b * block_stride
            values = flat[start : start + size]
            for i in range(size):
                v = np.float64(values[i]) / scale[r]
                squares += v * v
        out[r] += squares


@reordered
def scaled(values: np.ndarray, squares: float, out: np.ndarray) -> None:
    """Leave in ``out`` (2) a run's ``squares`` and 1, or those of values over their largest size.

    The second where squares have lost digits; the number behind is what was divided by.
    """
    out[0], out[1] = squares, 1.0
    if not SMALLEST < squares < LARGEST:
        layout, top, again = (1, 1, len(values), 0, 0), np.zeros(1), np.zeros(1)
        _largest(values, layout, top)
        _scaled_squares(values, layout, top, again)
        out[0], out[1] = again[0], top[0]


@reordered
def count_small(
    flat: np.ndarray, layout: Layout, limits: np.ndarray, zeros: float, out: np.ndarray
) -> None:
    """Add to ``out`` (runs, limits) how many values are at most each of ``limits`` in size.

    These fall, and are of the values' own precision. So many ``zeros`` as are known to be in each
    block of each run are not looked for again.
    """
    runs, blocks, size, run_stride, block_stride = layout
    for r in range(runs):
        for b in range(blocks):
            start = r * run_stride + b * block_stride
            values = flat[start : start + size]
            found = size
            for n in range(len(limits)):
                if found > zeros:  # else no smaller limit holds any but these
                    limit, found = limits[n], 0
                    for i in range(size):
                        found += abs(values[i]) <= limit
                out[r, n] += found


@reordered
def count_flat(
    h: np.ndarray,
    of_h: Layout,
    slope: np.ndarray,
    of_slope: Layout,
    bounds: np.ndarray,
    out: np.ndarray,
    alive: np.ndarray,
) -> None:
    """Add to ``out`` (runs, 2) how many slopes are flat: below the peak, and in all.

    ``bounds``, of the values' own precision, are the largest h that is below the peak, and the
    steepest slope that is flat. Marks in ``alive`` (runs, numbers a block) where a slope is not 0.
    """
    below, limit = bounds
    runs, blocks, size, h_run, h_block = of_h
    _, _, _, s_run, s_block = of_slope
    for r in range(runs):
        low, both, moves = 0, 0, alive[r]
        for b in range(blocks):
            start = r * h_run + b * h_block
            values = h[start : start + size]
            start = r * s_run + b * s_block
            slopes = slope[start : start + size]
            for i in range(size):
                flat = abs(slopes[i]) <= limit
                both += flat
                low += flat & (values[i] <= below)
            for i in range(size):
                moves[i] |= slopes[i] != 0
        out[r, 0] += low
        out[r, 1] += both


@reordered
def _products(x: np.ndarray, y: np.ndarray, difference: bool, out: np.ndarray) -> None:
    """The sums (runs, 3) of xx, xy and yy; with ``difference`` of x - y for x. Both (runs, n)."""
    for r in range(len(x)):
        xs, ys, xx, xy, yy = x[r], y[r], 0.0, 0.0, 0.0
        for i in range(len(xs)):
            b = np.float64(ys[i])
            a = np.float64(xs[i]) - b if difference else np.float64(xs[i])
            xx += a * a
            xy += a * b
            yy += b * b
        out[r, 0], out[r, 1], out[r, 2] = xx, xy, yy


def load() -> None:
    """Compile every loop, or read it from the disk, so that forks of this process find it."""
    layout, sums, top = (1, 1, 1, 1, 0), np.zeros((1, 6)), np.ones(1)
    for dtype in (np.float64, np.float32):
        flat = np.zeros(1, dtype)
        scan(flat, layout, (True, True), sums)
        count_small(flat, layout, flat, 0.0, sums)
        count_flat(flat, layout, flat, layout, np.zeros(2, dtype), sums, np.ones((1, 1), np.bool_))
        _products(flat[None], flat[None], False, sums)
        _largest(flat, layout, top)
        _scaled_squares(flat, layout, top, top)


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
            _largest(flat, layout, top)
        for flat, layout in laid:
            _scaled_squares(flat, layout, top, again)
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
            count_small(*_laid_out(values), within, 0.0, of_layer)
        of_layer /= len(pieces) * pieces[0][0].numel()
    return torch.from_numpy(found[..., order].swapaxes(0, 1))


def falling(limits: Sequence[float], like: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """``limits`` as :func:`count_small` asks for them, and where each of them then stands."""
    order = np.argsort(limits)[::-1]
    return rounded_down(np.array(limits)[order], like), np.argsort(order)


def rounded_down(numbers: np.ndarray, like: Tensor) -> np.ndarray:
    """The largest not above ``numbers`` in a tensor's precision: its values compare alike."""
    dtype = like.detach().numpy().dtype
    with np.errstate(over="ignore"):
        near = numbers.astype(dtype)
    return np.where(near > numbers, np.nextafter(near, dtype.type(-np.inf)), near)


def flatness(
    activation: Activation, layers: Sequence[Pieces], slope: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """As :func:`.statistics.flatness`."""
    bounds = rounded_down(np.array(flat_bounds(activation)), layers[0][0])
    runs = len(layers[0][0])
    low, both, dead = np.zeros((3, len(layers), runs))
    for n, pieces in enumerate(layers):
        units = pieces[0].shape[2:]
        found = np.zeros((runs, 2))
        alive = np.zeros((runs, units.numel()), dtype=np.bool_)
        for h in pieces:
            count_flat(*_by_sample(h), *_by_sample(slope(h)), bounds, found, alive)
        low[n], both[n] = found.T / (len(pieces) * pieces[0][0].numel())
        dead[n] = (~alive.reshape(runs, units[0], -1).any(2)).mean(1)
    shares = {"saturation_low": low, "saturation_high": both - low, "dead_fraction": dead}
    return {name: torch.from_numpy(share.T) for name, share in shares.items()}


def flat_bounds(activation: Activation) -> tuple[float, float]:
    """The largest h that is below phi's peak, and the steepest slope that is flat."""
    peak, steepest = activation.peak
    return math.nextafter(peak, -math.inf), SATURATION * steepest


def relative_norm(change: Tensor, whole: Tensor) -> Tensor:
    """As :func:`.statistics.relative_norm`."""
    changed, _, all_of_it = _sums_of_products(change, whole).T
    return _ratio(np.sqrt(changed), np.sqrt(all_of_it))


def relative_distance(now: Tensor, then: Tensor) -> Tensor:
    """As :func:`.statistics.relative_distance`."""
    apart, _, whole = _sums_of_products(now, then, difference=True).T
    return _ratio(np.sqrt(apart), np.sqrt(whole))


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


def _sums_of_products(x: Tensor, y: Tensor, difference: bool = False) -> np.ndarray:
    found = np.zeros((len(x), 3))
    rows = (t.detach().reshape(len(t), -1).contiguous().numpy() for t in (x, y))
    _products(*rows, difference, found)
    return found


def _ratio(above: np.ndarray, below: np.ndarray) -> Tensor:
    with np.errstate(all="ignore"):
        return torch.from_numpy(above / below)


def _laid_out(values: Tensor) -> tuple[np.ndarray, Layout]:
    """The memory of ``values`` (runs, ...) as it lies: a run in one block, or one each sample.

    What has pixels behind its units comes from a convolution, which lays it sample by sample.
    """
    if values.dim() > 3:
        return _by_sample(values)
    runs, numbers = len(values), values[0].numel()
    flat = values.detach().reshape(-1).numpy()
    return flat, (runs, 1, numbers, numbers, 0)


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
