"""The way back through all layers of an MLP in compiled loops; see :mod:`.chain_kernels`."""

from __future__ import annotations

import numpy as np

from .chain_kernels import (
    AFTER,
    BEFORE,
    NOWHERE,
    SINGLE,
    Addresses,
    Blocks,
    Kept,
    Kinds,
    Sizes,
    learned_of,
    place_of,
)
from .compiled import exact
from .fast_phi import ZERO
from .lane_sums import all_of, moments
from .lanes import of_run
from .layer_kernels import PLAIN, norm_back, phi_back
from .layer_look_kernels import BackwardLook, look_at_delta, look_at_weight
from .product_kernels import NOTHING, Two, panel_size, product
from .update_kernels import descend_and_tell, descend_run, keep

Array = np.ndarray
# What hidden weights that descend are told by, see .descent: where their gradients are kept, and
# where the weights lie as they began, if more is asked for than to keep them; sums.
Moves = tuple[Array, Array, Array]


@exact
def _gather(d: Array, stream: Array) -> None:
    """Add to ``d``, by what left a layer, what comes back by the stream, which follows."""
    for n in range(len(d)):
        d[n] += stream[n]
        stream[n] = d[n]


@exact
def _weaken(d: Array, strength: float) -> None:
    for n in range(len(d)):
        d[n] *= strength


@exact
def _add_up(rows: Array, out: Array) -> None:
    """out <- the sum of the rows, each as long as it."""
    wide = len(out)
    out[:] = 0
    for i in range(len(rows) // wide):
        for j in range(wide):
            out[j] += rows[i * wide + j]


@exact
def backward(
    d_logits: Array,
    x: Array,
    learned: Addresses,
    narrow: bool,
    gradients: Addresses,
    rates: Array,
    sizes: Sizes,
    kinds: Kinds,
    blocks: Blocks,
    slope: float,
    lowest: int,
    kept: Kept,
    d_x: Array,
    look: BackwardLook,
    moves: Moves,
) -> None:
    """Gradients of what ``forward`` made, from ``d_logits``, into memory like ``learned``.

    An address may be 0, of what is not asked for; with ``rates``, one a run, what has learned makes
    a step of gradient descent at once. Below the layer with index ``lowest`` nothing is done.
    ``d_x``, of the samples, the ``look`` and the ``moves`` are filled where they are not empty.
    Gradients are as precise as x; where what has ``learned`` is ``narrow`` there are no ``rates``.
    """
    (batch, inputs, units, outputs), weights, out = sizes, learned[0], kept[2]
    depth, like, widest = len(weights) - 1, x.dtype.type(0), max(inputs, units, outputs)
    panel = np.empty(panel_size(max(batch, widest), x.itemsize), x.dtype)
    rows = np.empty((3, batch * units), x.dtype)
    own, stream = rows[1], rows[2]
    spare, extra = np.empty(units * widest, x.dtype), np.empty((3, widest), x.dtype)
    for run in range(len(x)):
        stream[:] = 0
        after, wide = d_logits[run], outputs
        for n in range(depth, lowest - 1, -1):
            fan_in = units if n else inputs
            below, size = out[n - 1, run] if n else x[run], fan_in * wide
            told = n < depth and (len(look[0]) > 0 or len(moves[0]) > 0)
            soon = _below_that(n, run, x.itemsize, narrow, sizes, weights, out)
            of_moves = _of_moves(n, run, size, x.itemsize, told, moves)
            g = spare[:size]
            if gradients[0][n]:
                g = of_run(gradients[0][n], run, size, like)
            if gradients[0][n] or told:
                _multiply_back(below, after, fan_in, g, panel, None, (soon[0], of_moves[0]))
            weight = of_run(weights[n], run, size, like)
            _learn_bias(n, run, after, extra[0, :wide], learned, gradients, rates)
            if n > lowest or (n == 0 and len(d_x)):
                made, shape = rows[0] if n else d_x[run], (batch, wide, fan_in)
                if narrow:
                    stored = of_run(weights[n], run, size, ZERO)
                    product(
                        after, 0, wide, 1, stored, 0, 1, wide, after[:0], made, 0, shape, panel,
                        None, (soon[1], of_moves[1]),
                    )  # fmt: skip
                else:
                    product(
                        after, 0, wide, 1, weight, 0, 1, wide, after[:0], made, 0, shape, panel,
                        None, (soon[1], of_moves[1]),
                    )  # fmt: skip
            if told:
                _tell(n, run, weight, g, rates, look, moves)
            elif len(rates):
                _multiply_back(
                    below, after, fan_in, weight, panel, rates[run], (soon[0], of_moves[0])
                )
            if n > lowest:
                _pass_layer_back(
                    n - 1, run, rows, (spare, extra), learned, narrow, gradients, rates, units,
                    kinds, blocks, slope, kept, look,
                )  # fmt: skip
                after, wide = own, units


@exact
def _below_that(
    n: int, run: int, itemsize: int, narrow: bool, sizes: Sizes, weights: Array, out: Array
) -> tuple[Two, Two]:
    """What the layer before needs, but that which layer n has: its weights, and its inputs."""
    batch, inputs, units, _ = sizes
    if n == 0:
        return NOTHING
    of_weight = units * (units if n > 1 else inputs)
    weight = place_of(weights[n - 1], run, of_weight, SINGLE if narrow else itemsize)
    values = place_of(out[n - 2, run].ctypes.data, 0, batch * units, itemsize)
    return weight, values if n > 1 else NOTHING[1]


@exact
def _of_moves(
    n: int, run: int, size: int, itemsize: int, told: bool, moves: Moves
) -> tuple[Two, Two]:
    """Where what a layer's update is told by lies: the gradient kept, where its weights began."""
    gradients, starts, _ = moves
    if not (told and len(gradients)):
        return NOTHING
    kept = place_of(gradients[n], run, size, itemsize)
    return kept, place_of(starts[n], run, size, itemsize) if len(starts) else NOTHING[1]


@exact
def _multiply_back(
    below: Array,
    delta: Array,
    fan_in: int,
    out: Array,
    panel: Array,
    rate: float | None,
    soon: tuple[Two, Two],
) -> None:
    """x^T delta, dL/dW (fan_in, units), into ``out``; with a ``rate`` out descends by it."""
    batch, wide = len(below) // fan_in, len(out) // fan_in
    product(
        below, 0, 1, fan_in, delta, 0, wide, 1, delta[:0], out, 0, (fan_in, batch, wide), panel,
        rate, soon,
    )  # fmt: skip


@exact
def _learn_bias(
    n: int,
    run: int,
    delta: Array,
    sums: Array,
    learned: Addresses,
    gradients: Addresses,
    rates: Array,
) -> None:
    wide = len(sums)
    if gradients[1][n]:
        sums = of_run(gradients[1][n], run, wide, delta[0])
    if gradients[1][n] or len(rates):
        _add_up(delta, sums)
    if len(rates):
        descend_run(of_run(learned[1][n], run, wide, delta[0]), sums, rates[run])


@exact
def _pass_layer_back(
    n: int,
    run: int,
    rows: Array,
    spare: tuple[Array, Array],
    learned: Addresses,
    narrow: bool,
    gradients: Addresses,
    rates: Array,
    units: int,
    kinds: Kinds,
    blocks: Blocks,
    slope: float,
    kept: Kept,
    look: BackwardLook,
) -> None:
    """From what is lost by what leaves a layer, row 0 of ``rows``, to its product, row 1."""
    d, own, stream, (normed, which, joins) = rows[0], rows[1], rows[2], kinds
    (ends, strength), (z, a, out, mean, scale) = blocks, kept
    follows = joins != NOWHERE and (ends[n] or n == 0)
    if joins == AFTER and follows:
        _gather(d, stream)
    if joins == AFTER and ends[n]:
        _weaken(d, strength[n])
    phi_back(d, a[n, run] if joins == AFTER else out[n, run], which, slope, own)
    if joins == BEFORE and follows and normed == PLAIN:
        _gather(own, stream)
    if len(look[0]):
        look_at_delta(n, run, own, look)
    if normed != PLAIN:
        gain = learned_of(learned[2][n], run, units, narrow, spare[1][1])
        shift = learned_of(learned[3][n], run, units, narrow, spare[1][2])
        of_gain, of_shift = spare[0][:units], spare[1][0, :units]
        if gradients[2][n]:
            of_gain = of_run(gradients[2][n], run, units, slope)
            of_shift = of_run(gradients[3][n], run, units, slope)
        norm_back(own, z[n, run], gain, mean[n, run], scale[n, run], of_gain, of_shift, normed)
        if len(rates):
            descend_run(gain, of_gain, rates[run])
            descend_run(shift, of_shift, rates[run])
        if joins == BEFORE and follows:
            _gather(own, stream)
    if joins == BEFORE and ends[n]:
        _weaken(own, strength[n])


@exact
def _tell(
    n: int, run: int, w: Array, g: Array, rates: Array, look: BackwardLook, moves: Moves
) -> None:
    """What is asked of a hidden layer's gradient; and W <- W - lr g where there are ``rates``.

    With the bits of :func:`.update_kernels.descend_run`.
    """
    (gradients, starts, sums), size = moves, len(g)
    known, of_g = len(starts) > 0, (0.0, 0.0, 0.0)
    if len(gradients):
        kept = of_run(gradients[n], run, size, g[0])
        if known:
            start = of_run(starts[n], run, size, g[0])
            of_g = descend_and_tell(w, g, rates[run], kept, start, sums[n, run])
        else:
            sums[n, run, 0] = keep(g, kept)
    if len(look[0]):
        look_at_weight(n, run, g, of_g if known else moments(all_of(g)), look)
    if len(rates) and not known:
        descend_run(w, g, rates[run])
