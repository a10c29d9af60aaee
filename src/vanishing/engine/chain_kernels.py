r"""All layers of an MLP in compiled loops: run by run, so that caches serve.

Of layer l, with what goes into it called x_l, and c its block's strength,

    z_l = x_l W_l + b_l,    h_l = norm(z_l),    a_l = phi(h_l),

x_1 the sample, x_{l+1} = a_l; where a residual block ends, x_{l+1} = s + c a_l, or z_l is
s + c (x_l W_l + b_l), and s is what left the block before in the same place, at first that of
layer 1. The head is a product alone. The way back is in :mod:`.chain_back_kernels`.

A stack's tensors come as addresses, one a layer and name, each of (runs, rows, units). What is
kept for the way back is (layers, runs, batch * units): ``out``, what leaves a layer, always, ``z``
where there is a norm, and ``a`` where blocks join AFTER phi; ``mean`` and ``scale`` (layers, runs,
...) are a norm's. ``ends[l]`` says whether a block ends with the layer, by ``strength[l]``.
"""

from __future__ import annotations

import numpy as np

from .compiled import exact
from .fast_phi import ZERO
from .lanes import of_run
from .layer_kernels import PLAIN, norm, phi
from .layer_look_kernels import ForwardLook, look_at_output, look_at_phi
from .product_kernels import panel_size, product

SINGLE = 4  # bytes of a number in float32
NOWHERE, BEFORE, AFTER = range(3)  # phi: where blocks join
Array = np.ndarray
Sizes = tuple[int, int, int, int]  # batch, inputs, units, outputs
Kinds = tuple[int, int, int]  # which norm and phi, and where blocks join
Blocks = tuple[Array, Array]  # ends, strength
Addresses = tuple[Array, Array, Array, Array]  # of W, b, gain and bias: one a layer, or none
Kept = tuple[Array, Array, Array, Array, Array]  # z, a, out, and mean and scale of a norm


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
def learned_of(address: int, run: int, size: int, narrow: bool, room: Array) -> Array:
    """The ``size`` numbers of a run of a tensor: as they lie, or of a ``narrow`` one in ``room``.

    A probe in float64 so reads float32 parameters, without a copy of all of them. (A product reads
    hidden weights as they lie.)
    """
    if narrow:
        stored = of_run(address, run, size, ZERO)
        for n in range(size):
            room[n] = stored[n]
        return room[:size]
    return of_run(address, run, size, room[0])


@exact
def place_of(address: int, run: int, count: int, itemsize: int) -> tuple[int, int]:
    """Where the ``count`` numbers of a run of a tensor at an ``address`` lie, and their bytes.

    Of an address that is 0 there is nothing.
    """
    return (address + run * count * itemsize, count * itemsize) if address else (0, 0)


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
    own, room = np.empty((3, batch * units), x.dtype), np.empty((3, wide), x.dtype)
    of_head = np.empty(units * outputs, x.dtype)
    z, size = own[0], SINGLE if narrow else x.itemsize
    for run in range(len(x)):
        below, fan_in = x[run], inputs
        for n in range(depth):
            bias = learned_of(biases[n], run, units, narrow, room[0])
            shape = batch, fan_in, units
            above = units if n + 1 < depth else outputs
            soon = (
                place_of(weights[n + 1], run, units * above, size),
                place_of(out[n, run].ctypes.data, 0, batch * units, x.itemsize),
            )
            if narrow:
                stored = of_run(weights[n], run, fan_in * units, ZERO)
                product(
                    below, 0, fan_in, 1, stored, 0, units, 1, bias, z, 0, shape, panel, None, soon
                )  # fmt: skip
            else:
                weight = of_run(weights[n], run, fan_in * units, z[0])
                product(
                    below, 0, fan_in, 1, weight, 0, units, 1, bias, z, 0, shape, panel, None, soon
                )  # fmt: skip
            _pass_layer(
                n, run, own, learned, narrow, room, units, kinds, blocks, numbers, kept, look
            )
            below, fan_in = out[n, run], units
        bias = learned_of(biases[depth], run, outputs, narrow, room[0])
        head = learned_of(weights[depth], run, fan_in * outputs, narrow, of_head)
        shape = batch, fan_in, outputs
        product(below, 0, fan_in, 1, head, 0, outputs, 1, bias, logits[run], 0, shape, panel)


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
        gain = learned_of(learned[2][n], run, units, narrow, room[1])
        shift = learned_of(learned[3][n], run, units, narrow, room[2])
        norm(z, gain, shift, mean[n, run], scale[n, run], h, normed, eps)
        seen = h
    phi(seen, which, slope, leaves)
    if len(look[0]):
        look_at_phi(n, run, seen, leaves, which, slope, units, look)
    if joins == AFTER:
        activations[n, run] = leaves
        _join(leaves, stream, strength[n], ends[n], n == 0)
    if len(look[0]):
        look_at_output(n, run, leaves, look)
