r"""All layers of an MLP, forward and back, in compiled loops: run by run, so that caches serve.

Of layer l, with what goes into it called x_l, and c its block's strength,

    z_l = x_l W_l + b_l,    h_l = norm(z_l),    a_l = phi(h_l),

x_1 the sample, x_{l+1} = a_l; where a residual block ends, x_{l+1} = s + c a_l, or z_l is
s + c (x_l W_l + b_l), and s is what left the block before in the same place, at first that of
layer 1. The head is a product alone.

A stack's tensors come as addresses, one a layer and name, each of (runs, rows, units). What is
kept for the way back is (layers, runs, batch * units): ``out``, what leaves a layer, always, ``z``
where there is a norm, and ``a`` where blocks join AFTER phi; ``mean`` and ``scale`` (layers, runs,
...) are a norm's. ``ends[l]`` says whether a block ends with the layer, by ``strength[l]``.
"""

from __future__ import annotations

import numpy as np

from .chain_look_kernels import (
    BackwardLook,
    ForwardLook,
    look_at_delta,
    look_at_output,
    look_at_phi,
    look_at_weight,
)
from .compiled import exact
from .fast_phi import ZERO
from .lanes import of_run
from .layer_kernels import PLAIN, norm, norm_back, phi, phi_back
from .product_kernels import panel_size, product
from .update_kernels import descend_and_tell, descend_run, keep, tell_gradient

NOWHERE, BEFORE, AFTER = range(3)  # phi: where blocks join
Array = np.ndarray
Sizes = tuple[int, int, int, int]  # batch, inputs, units, outputs
Kinds = tuple[int, int, int]  # which norm and phi, and where blocks join
Blocks = tuple[Array, Array]  # ends, strength
Addresses = tuple[Array, Array, Array, Array]  # of W, b, gain and bias: one a layer, or none
Kept = tuple[Array, Array, Array, Array, Array]  # z, a, out, and mean and scale of a norm
# What hidden weights that descend are told by, see .descent: where their gradients are kept, and
# where the weights lie as they began; sums, or none; whether those kept are of the update before.
Moves = tuple[Array, Array, Array, bool]


@exact
def _join(x: Array, stream: Array, strength: float, ends: bool, first: bool) -> None:
    """x becomes what leaves the layer: where a block ends, the sum with the stream."""
    if ends:
        for n in range(len(x)):
            x[n] = stream[n] + strength * x[n]
    if ends or first:
        for n in range(len(x)):
            stream[n] = x[n]


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
def _learned(address: int, run: int, size: int, narrow: bool, room: Array) -> Array:
    """The ``size`` numbers of a run of a tensor: as they lie, or of a ``narrow`` one in ``room``.

    A probe in float64 so reads float32 parameters, without a copy of all of them.
    """
    if narrow:
        stored = of_run(address, run, size, ZERO)
        for n in range(size):
            room[n] = stored[n]
        return room[:size]
    return of_run(address, run, size, room[0])


@exact
def forward(
    x: Array,
    learned: Addresses,
    narrow: bool,
    sizes: Sizes,
    kinds: Kinds,
    blocks: Blocks,
    numbers: tuple[float, float],
    kept: Kept,
    logits: Array,
    look: ForwardLook,
) -> None:
    """Outputs of a stack into ``logits`` (runs, batch * outputs), of ``x`` (runs, batch * inputs).

    ``numbers`` are phi's slope and the norm's epsilon. What has ``learned`` is float32 beside an
    ``x`` of float64 where it is ``narrow``. A ``look`` that is not empty is filled.
    """
    (batch, inputs, units, outputs), (weights, biases, _, _) = sizes, learned
    depth, out, wide = len(weights) - 1, kept[2], max(units, outputs)
    panel = np.empty(panel_size(max(inputs, units), x.itemsize), x.dtype)
    own, room = np.empty((5, batch * units), x.dtype), np.empty((3, wide), x.dtype)
    of_weight = np.empty(max(inputs, units) * wide, x.dtype)
    z, own[4] = own[0], 1
    for run in range(len(x)):
        below, fan_in = x[run], inputs
        for n in range(depth):
            weight = _learned(weights[n], run, fan_in * units, narrow, of_weight)
            bias = _learned(biases[n], run, units, narrow, room[0])
            shape = batch, fan_in, units
            product(below, 0, fan_in, 1, weight, 0, units, 1, bias, z, 0, shape, panel)
            _pass_layer(
                n, run, own, learned, narrow, room, units, kinds, blocks, numbers, kept, look
            )
            below, fan_in = out[n, run], units
        weight = _learned(weights[depth], run, fan_in * outputs, narrow, of_weight)
        bias = _learned(biases[depth], run, outputs, narrow, room[0])
        shape = batch, fan_in, outputs
        product(below, 0, fan_in, 1, weight, 0, outputs, 1, bias, logits[run], 0, shape, panel)


@exact
def _pass_layer(
    n: int,
    run: int,
    own: Array,
    learned: Addresses,
    narrow: bool,
    room: Array,
    units: int,
    kinds: Kinds,
    blocks: Blocks,
    numbers: tuple[float, float],
    kept: Kept,
    look: ForwardLook,
) -> None:
    """From the product of a layer, row 0 of the memory that is ``own``, to what leaves it."""
    z, h, stream, (normed, which, joins) = own[0], own[1], own[2], kinds
    (ends, strength), (slope, eps), (zs, activations, out, mean, scale) = blocks, numbers, kept
    if joins == BEFORE:
        _join(z, stream, strength[n], ends[n], n == 0)
    seen, leaves = z, out[n, run]
    if normed != PLAIN:
        zs[n, run] = z
        gain = _learned(learned[2][n], run, units, narrow, room[1])
        shift = _learned(learned[3][n], run, units, narrow, room[2])
        norm(z, gain, shift, mean[n, run], scale[n, run], h, normed, eps)
        seen = h
    phi(seen, which, slope, leaves)
    if len(look[0]):
        look_at_phi(n, run, seen, leaves, which, slope, units, own[3:], look)
    if joins == AFTER:
        activations[n, run] = leaves
        _join(leaves, stream, strength[n], ends[n], n == 0)
    if len(look[0]):
        look_at_output(n, run, leaves, look)


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
    """Gradients of what :func:`forward` made, from ``d_logits``, into memory like ``learned``.

    An address may be 0, of what is not asked for; with ``rates``, one a run, what has learned makes
    a step of gradient descent at once. Below the layer with index ``lowest`` nothing is done.
    ``d_x``, of the samples, the ``look`` and the ``moves`` are filled where they are not empty.
    Where what has ``learned`` is ``narrow``, only ``d_x`` and the ``look`` may be.
    """
    (batch, inputs, units, outputs), weights, out = sizes, learned[0], kept[2]
    depth, like, no_bias = len(weights) - 1, x.dtype.type(0), np.empty(0, x.dtype)
    widest = max(inputs, units, outputs)
    panel = np.empty(panel_size(max(batch, widest), x.itemsize), x.dtype)
    rows = np.empty((3, batch * units), x.dtype)
    own, stream = rows[1], rows[2]
    spare, extra = np.empty(units * widest, x.dtype), np.empty((3, widest), x.dtype)
    of_weight = np.empty(units * widest, x.dtype)
    for run in range(len(x)):
        stream[:] = 0
        after, wide = d_logits[run], outputs
        for n in range(depth, lowest - 1, -1):
            fan_in = units if n else inputs
            below = out[n - 1, run] if n else x[run]
            g = spare[: fan_in * wide]
            if gradients[0][n]:
                g = of_run(gradients[0][n], run, fan_in * wide, like)
            shape = fan_in, batch, wide
            if gradients[0][n] or len(rates) or (len(look[0]) and n < depth):
                product(below, 0, 1, fan_in, after, 0, wide, 1, no_bias, g, 0, shape, panel)
            if len(look[0]) and n < depth:
                look_at_weight(n, run, g, look)
            _learn_bias(n, run, after, extra[0, :wide], learned, gradients, rates)
            weight = _learned(weights[n], run, fan_in * wide, narrow, of_weight)
            if n > lowest or (n == 0 and len(d_x)):
                made, shape = rows[0] if n else d_x[run], (batch, wide, fan_in)
                product(after, 0, wide, 1, weight, 0, 1, wide, no_bias, made, 0, shape, panel)
            if len(rates) and len(moves[0]) and n < depth:
                _move(n, run, weight, g, rates[run], moves)
            elif len(rates):
                descend_run(weight, g, rates[run])
            if n > lowest:
                _pass_layer_back(
                    n - 1, run, rows, (spare, extra), learned, narrow, gradients, rates, units,
                    kinds, blocks, slope, kept, look,
                )  # fmt: skip
                after, wide = own, units


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
        gain = _learned(learned[2][n], run, units, narrow, spare[1][1])
        shift = _learned(learned[3][n], run, units, narrow, spare[1][2])
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
def _move(n: int, run: int, w: Array, g: Array, rate: float, moves: Moves) -> None:
    """W <- W - lr g of a hidden layer, with the bits of :func:`.update_kernels.descend_run`."""
    (gradients, starts, sums, compares), size = moves, len(g)
    kept = of_run(gradients[n], run, size, g[0])
    if len(sums):
        tell_gradient(w, g, rate, kept, compares, sums[n, run])
        descend_and_tell(w, g, rate, of_run(starts[n], run, size, g[0]), sums[n, run])
    else:
        keep(g, kept)
        descend_run(w, g, rate)
