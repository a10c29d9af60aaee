r"""The mean field of a network with any of our norms, residuals and families, layer by layer.

Going back, with :math:`G_l = E(dL/da_l)^2` and :math:`D_l = E \delta_l^2` per unit and pixel,
:math:`D_l = E\phi'(h_l)^2 G_l`, and :math:`n_l\, \mathrm{var}(W_l) D_l / s_l` goes to the layer
before: ``n_l`` units, ``s_l`` what the norm divides squares by. Where a block ends, what leaves it
sends its gradient to the branch and past it. It starts at the head, :math:`G_L = \mathrm{var}(W) E
\sum_k (p_k - y_k)^2`. The gradients that meet are independent, so their squares add; the part that
is not is in :mod:`.along`.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..parts.residuals import AFTER, BEFORE, plus, replace
from .along import NONE_MET, NOTHING, Along, Met, met
from .cell import Weights, factor, weights
from .convolution import gather
from .head import softmax_head
from .maps import Moments
from .residual import Join, back, joined, weighed
from .stream import Affine, Stream, activated, affine, inputs, normalised, normalised_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cell import Cell


class Layer(NamedTuple):
    """A hidden layer, seen going forward."""

    number: int
    square: np.ndarray  # E z^2
    q: np.ndarray  # of h
    m: Moments
    weights: Weights
    came: Stream  # what it sees
    shape: tuple[int, int]  # the pixels of that
    divisor: float  # of squares, by a norm before phi ...
    divisor_after: float  # ... and by one behind it
    own_mean: np.ndarray  # E of phi(h), normalised where a norm stands behind phi
    join: Join | None  # where a block ends
    meets: bool  # the stream passes behind this layer: a block ends, or the first may begin
    out: Stream  # what the next layer sees
    pull: float  # sigma_w^2 / q, or 0: a norm takes out what points along h
    fresh: float  # share of W's inputs left once what points along a is set apart


class Gradient(NamedTuple):
    """Squared gradients on their way back, in units of 10^log10."""

    log10: float
    own: np.ndarray  # of a_l, through the layers after it
    past: np.ndarray | float  # of the stream, past the branch
    along: Along
    along_past: Along

    def rescaled(self) -> Gradient:
        """The same with values near 1: of 200 sigmoid layers they underflow in float64."""
        size = float(np.mean(self.own)) + float(np.mean(self.past))
        if not 0 < size < math.inf:
            return self
        log10, by = self.log10 + math.log10(size), size**-0.5
        alongs = self.along.scaled(by), self.along_past.scaled(by)
        return Gradient(log10, self.own / size, self.past / size, *alongs)


class Walk(NamedTuple):
    """What a gradient shows on its way: log10, layer 1 first."""

    delta: np.ndarray  # E delta^2
    stream: np.ndarray  # E of its square where the stream enters the first block, and leaves each


@functools.lru_cache(maxsize=64)  # what is asked of a cell is asked in a row
def forward(cell: Cell) -> tuple[Layer, ...] | None:
    """The layers; None where a part has no formula."""
    came, start, layers = inputs(cell), None, []
    for number in range(1, cell.depth + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # a q that leaves float64 ends it
            made = _layer(cell, number, came, start)
        if made is None:
            return None
        layer, start = made
        layers.append(layer)
        came = layer.out
    return tuple(layers)


def _layer(
    cell: Cell, number: int, came: Stream, start: Stream | Affine | None
) -> tuple[Layer, Stream | Affine] | None:
    """A layer, and the stream of the blocks as it is behind it."""
    place, w, joins = cell.place(number), weights(cell, number), cell.residual.joins
    z = affine(cell, came, w, place.fan_in, cell.architecture.stride(number))
    if cell.init.unit_variance and not cell.norm.weigh:
        w = Weights(w.variance / float(z.square.mean()), w.bias)
        z = affine(cell, came, w, place.fan_in, cell.architecture.stride(number))
    join, own = None, _positive(z.square)
    ends = cell.architecture.ends_block(number)
    if own and ends and joins == BEFORE:
        z, join = joined(cell, number, start, z)
    h = normalised(cell, z) if own else None
    if h is None or not _positive(h.q):
        return None
    m, phi, share = activated(cell, h)
    a, divisor_after = normalised_after(cell, phi, h.q)
    own_mean = a.mean
    if ends and joins == AFTER:
        a, join = joined(cell, number, start, a)
    meets = cell.residual.skips and (number == 1 or ends)
    follows = follows_along(cell)
    pull = place.fan_in * w.variance / h.q if follows else 0.0
    fresh = 1 - place.field / place.fan_in if follows else 1.0
    shape, divisor = came.square.shape, h.divisor / share
    layer = Layer(
        number, z.square, h.q, m, w, came, shape, divisor, divisor_after, own_mean, join, meets, a,
        pull, fresh,
    )  # fmt: skip
    stream = (a if joins == AFTER else z) if meets else start
    return layer, stream


def _positive(values: np.ndarray) -> bool:
    return bool((values > 0).all() and np.isfinite(values).all())


def follows_along(cell: Cell) -> bool:
    """Whether the gradient along the signal is followed: see :mod:`.along`."""
    simple = (cell.residual.add, cell.residual.joins) in ((replace, AFTER), (plus, AFTER))
    free = cell.normed == "none" and cell.kind != "standardised"
    return simple and free and cell.architecture.stages == 1 and cell.init.law.cdf is not None


def backward(cell: Cell, layers: Sequence[Layer], start: Gradient) -> Walk:
    """Squared gradients by layer, from those of the last hidden layer's activations."""
    gradient, deltas, streams = start, [], []
    for layer in reversed(layers):
        delta, gradient, stream = _back(cell, layer, gradient)
        deltas.append(delta)
        if layer.meets:
            streams.append(stream)
    return Walk(np.array(deltas[::-1]), np.array(streams[::-1]))


def _back(cell: Cell, layer: Layer, g: Gradient) -> tuple[float, Gradient, float]:
    """log10 of E delta^2 here, the gradient one layer back, and log10 of that of the stream."""
    joins, join = cell.residual.joins, layer.join
    own, past, along, along_past = g.own, g.past, g.along, g.along_past
    stream = math.nan
    if layer.meets and joins == AFTER:
        own = own + past
        stream = _log10(g.log10, own + along.mean_square(layer.out))
        past, along_past = 0.0, NOTHING
        if join:
            past, own = back(cell, join, own)
    passed = _met(cell, layer, along)
    delta = (layer.m.derivative * own + passed.delta) / layer.divisor_after
    z, h_is_z = delta / layer.divisor, cell.normed == "none" or not cell.norm_first
    if layer.meets and joins == BEFORE:
        z = z + past
        stream = _log10(g.log10, z)
        past = 0.0
        if h_is_z:
            delta = z
        if join:
            past, z = back(cell, join, z)
    units = cell.architecture.units(layer.number)
    before = layer.fresh * weighed(cell, layer.number, z, layer.weights, layer.shape, units)
    if join and join.adds and joins == AFTER:
        along_past = passed.skipping
    along, along_past = _along_before(cell, layer, passed, along_past)
    following = Gradient(g.log10, before, past, along, along_past)
    return _log10(g.log10, delta), following.rescaled(), stream


def _met(cell: Cell, layer: Layer, along: Along) -> Met:
    """What the layer makes of the part along the signal; nothing where images shrink."""
    if cell.architecture.stages > 1:
        return NONE_MET
    join = layer.join if cell.residual.joins == AFTER else None
    if join and join.adds:
        passed = met(along, layer.m, layer.pull, join.factor, join.start)
    else:
        passed = met(along, layer.m, layer.pull)
        passed = passed._replace(delta=passed.delta * (join.branch if join else 1.0))
    if cell.architecture.family == "mlp":
        return passed
    kappa = passed.kappa * np.ones(layer.q.shape)
    return passed._replace(kappa=gather(cell, kappa, layer.shape))


def _along_before(cell: Cell, layer: Layer, passed: Met, along_past: Along) -> tuple[Along, Along]:
    """The part along a_{l-1}, and what still waits for the block's begin."""
    if cell.architecture.starts_block(layer.number):
        k, *later = along_past
        return Along(k + passed.kappa, *later), NOTHING
    return Along(passed.kappa, 0.0, 0.0), along_past


def head(cell: Cell, out: Stream) -> Gradient | None:
    """The gradient of the last activations; None where logits are 0 or leave float64.

    A CNN's head sees their mean over pixels, which are taken as one: that sets the logits' size,
    so the level of all gradients and none of their ratios.
    """
    w, place = weights(cell, cell.depth + 1), cell.place(cell.depth + 1)
    pooled = float(np.sqrt(out.square).mean() ** 2)
    if cell.init.unit_variance and pooled > 0:
        w = Weights(1 / (place.fan_in * pooled), 0.0)
    q = place.fan_in * w.variance * pooled + w.bias
    if not 0 < q < math.inf:
        return None
    error, along, _ = softmax_head(q, place.units)
    random = cell.architecture.stages == 1 and cell.init.law.cdf is not None
    k = math.sqrt(w.variance * along / error) / q if random else 0.0
    log10 = _log10(0.0, np.array(w.variance * error / out.square.size**2))
    return Gradient(log10, np.ones_like(out.square), 0.0, Along(k, 0.0, 0.0), NOTHING)


def bare(layers: Sequence[Layer], start: Gradient) -> tuple[list[Layer], Gradient]:
    """The same without the part along the signal: the mean field of an infinite width."""
    free = [layer._replace(pull=0.0, fresh=1.0) for layer in layers]
    return free, start._replace(along=NOTHING, along_past=NOTHING)


def factors(cell: Cell) -> list[float]:
    """What the branch of each residual block is multiplied by at init."""
    return [factor(cell, block) for block in range(1, cell.architecture.blocks + 1)]


def _log10(unit: float, values: np.ndarray) -> float:
    """log10 of the mean of ``values``, in units of 10^unit; not a number where there is none."""
    mean = float(np.mean(values))
    return unit + math.log10(mean) if 0 < mean < math.inf else math.nan
