r"""How a block's input and its branch join, as second moments see it.

The branch counts f times: its strength, what is learned at its initial value, the probability that
it survives. With x the block's input, t a gate and means over independent Gaussians:

    x + f b:             E x^2 + 2 f E x E b + f^2 E b^2;  back: 1 to x, f^2 to b
    (1 - t) x + t f b:   E(1-t)^2 E x^2 + 2 E t(1-t) f E x E b + E t^2 f^2 E b^2;
                         back: E(1-t)^2 to x, E t^2 f^2 to b, E t'^2 E(f b - x)^2 to what t sees
    x and f b in a row:  the mean over both;  back: 1 to x, f^2 to b
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..parts.residuals import concatenate, gated
from .cell import Weights, factor
from .convolution import gather, scattered, spread, strides
from .stream import Affine, Stream

if TYPE_CHECKING:
    from .cell import Cell

NODES = 40  # of a gate's Gaussian


class Join(NamedTuple):
    """What a joint does to squared gradients, and where its block began."""

    layer: int  # that the block ends with
    start: Stream | Affine  # the block's input
    factor: float  # of the branch
    skip: np.ndarray | float  # back to the input
    branch: np.ndarray | float  # back to the branch
    gate: np.ndarray | float  # back to what the gate sees, before its weights
    gate_weights: Weights
    adds: bool  # a plain sum


class Gate(NamedTuple):
    """Means over a gate t = sigmoid(g), g Gaussian around its bias; t, u of two samples."""

    mean: np.ndarray  # E t
    square: np.ndarray  # E t^2
    overlap: np.ndarray  # E t u
    slope: np.ndarray  # E t'^2


def joined(
    cell: Cell, layer: int, start: Stream | Affine, branch: Stream | Affine
) -> tuple[Stream | Affine, Join]:
    """What leaves the block that ends with ``layer``, and how gradients come back."""
    architecture = cell.architecture
    block = architecture.block_of(layer)
    f = factor(cell, block)
    came = fitted(cell, layer, start, branch.square.shape)
    if cell.residual.add is concatenate:
        units = architecture.channels(layer)
        share = architecture.units(layer) / units
        join = Join(layer, start, f, 1.0, f**2, 0.0, Weights(0, 0), adds=False)
        return mixed(came, branch, 1 - share, share * f**2, share * f), join
    if cell.residual.add is gated:
        return _gated(cell, layer, f, start, came, branch)
    join = Join(layer, start, f, 1.0, f**2, 0.0, Weights(0, 0), adds=True)
    return summed(came, branch, f), join


def summed(x: Stream | Affine, b: Stream | Affine, f: float) -> Stream | Affine:
    """x + f b."""
    if isinstance(x, Affine):
        return x.plus(b, 1.0, f**2)
    return Stream(
        x.mean + f * b.mean,
        x.square + 2 * f * x.mean * b.mean + f**2 * b.square,
        x.overlap + 2 * f * x.mean * b.mean + f**2 * b.overlap,
    )


def mixed(x: Stream, b: Stream, here: float, there: float, there_mean: float) -> Stream:
    """x and f b side by side: shares of their squares, and of b's mean."""
    return Stream(
        here * x.mean + there_mean * b.mean,
        here * x.square + there * b.square,
        here * x.overlap + there * b.overlap,
    )


def fitted(
    cell: Cell, layer: int, start: Stream | Affine, shape: tuple[int, int]
) -> Stream | Affine:
    """The block's input at the pixels that are left, and over the units that it is padded to."""
    architecture = cell.architecture
    first = layer - (layer - 2) % architecture.block
    kept = 1.0
    if cell.residual.add is not concatenate:
        kept = architecture.units(first - 1) / architecture.units(layer)
    stride = strides(start.square, shape)
    parts = [
        kept * (part[::stride, ::stride] if isinstance(part, np.ndarray) else part)
        for part in start
    ]
    return type(start)(*parts)


def _gated(
    cell: Cell, layer: int, f: float, start: Stream | Affine, x: Stream | Affine, b: Stream | Affine
) -> tuple[Stream | Affine, Join]:
    place = cell.architecture.gate_place(layer, cell.activation)
    w = Weights(cell.init.weight_std(place) ** 2, 0.0)
    stride = strides(start.square, b.square.shape)
    var = place.fan_in * w.variance
    t = gate(
        cell.residual.gate_bias,
        var * spread(cell, start.square, stride),
        var * spread(cell, start.overlap, stride),
    )
    skip, both = 1 - 2 * t.mean + t.square, t.mean - t.square
    here, there = 1 - 2 * t.mean + t.overlap, t.overlap
    between = x.square + f**2 * b.square
    if isinstance(x, Affine):
        out = Affine(
            skip * x.square + f**2 * t.square * b.square,
            *(here.mean() * p + there.mean() * f**2 * r for p, r in zip(x[1:], b[1:], strict=True)),
        )
    else:
        cross = 2 * f * x.mean * b.mean
        between = between - cross
        out = Stream(
            (1 - t.mean) * x.mean + t.mean * f * b.mean,
            skip * x.square + cross * both + f**2 * t.square * b.square,
            here * x.overlap + cross * (t.mean - t.overlap) + f**2 * there * b.overlap,
        )
    return out, Join(layer, start, f, skip, f**2 * t.square, t.slope * between, w, adds=False)


def gate(bias: float, q: np.ndarray, overlap: np.ndarray) -> Gate:
    """The :class:`Gate` at pixels with mean squares ``q`` of what the gate adds to its bias."""
    z, weight = _nodes()
    c = np.clip(overlap / q, 0, 1)[..., None, None]
    u = z[:, None] * np.ones(len(z))
    v = c * u + np.sqrt(1 - c**2) * z
    size = np.sqrt(q)[..., None]
    t, other = (1 / (1 + np.exp(-(bias + s))) for s in (size * z, size[..., None] * v))
    pair = (t[..., :, None] * other * np.outer(weight, weight)).sum((-2, -1))
    return Gate(t @ weight, t**2 @ weight, pair, (t * (1 - t)) ** 2 @ weight)


@functools.cache
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    z, weight = np.polynomial.hermite_e.hermegauss(NODES)
    return z, weight / weight.sum()


def back(cell: Cell, join: Join, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared gradients of the block's input and of its branch, from that of what left the block.

    The way through the branch comes on top of the first.
    """
    shape = join.start.square.shape
    through = scattered(join.skip * gradient, shape)
    if np.any(join.gate):
        units = cell.architecture.units(join.layer)
        through = through + weighed(
            cell, join.layer, join.gate * gradient, join.gate_weights, shape, units
        )
    return through, join.branch * gradient


def weighed(
    cell: Cell, layer: int, gradient: np.ndarray, w: Weights, shape: tuple[int, int], units: int
) -> np.ndarray:
    """The squared gradient of what a weight sees, from that of the units that it gives."""
    return units * cell.place(layer).field * w.variance * gather(cell, gradient, shape)
