"""A feed-forward pass: of an MLP, a CNN, or a net that makes images of noise.

In a CNN the product is a convolution, and the head sees the mean over pixels; a net that generates
has one more convolution for a head, and doubles its image where a stage begins. The norm may stand
after phi. A residual joins a block's input to its output, either the a's or the z's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..parts.activations import Activation
from ..parts.norms import next_top
from ..parts.residuals import AFTER, BEFORE, concatenate
from . import chain, fused_layer, products
from .convolution import Seen, convolved
from .layer_looks import Look
from .network import (
    Buffers,
    Network,
    Parameters,
    learned_by_phi,
    normalised,
    over_pixels,
    running_of,
)

OnAffine = Callable[[int, Tensor], Tensor]
OnStream = Callable[[Tensor], None]
OnPhi = Callable[[Tensor, Tensor], None]


def pass_forward(
    net: Network,
    parameters: Parameters,
    x: Tensor,
    buffers: Buffers | None = None,
    learning: bool = True,
    kept: Tensor | None = None,
    on_affine: OnAffine | None = None,
    on_stream: OnStream | None = None,
    on_phi: OnPhi | None = None,
    values: bool = True,
    look: Look | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Logits (runs, batch, classes), and h and a of every layer, (runs, batch, units[, pixels]).

    ``x`` is (runs, batch, inputs). With ``learning`` what the norm keeps in ``buffers`` follows the
    batch; without, batch norm normalises by its running statistics where it is given any. ``kept``
    (runs, blocks) says which blocks survive; without it they count by their probability.
    ``on_affine(layer, values)`` may change what the layer with this index gives, the head too;
    ``on_stream(stream)`` sees what enters the first residual block, and what leaves each, and
    ``on_phi(h, a)`` every h with phi(h). Without ``values`` the lists may be empty, where that is
    faster. A ``look`` is filled in a CNN that :func:`.fused_layer.is_seen`, without values or
    what asks for them.
    """
    buffers = buffers or {}
    seen = values or kept is not None or on_affine or on_stream or on_phi
    if not seen and chain.is_known(net, parameters, x, buffers, learning):
        return chain.outputs(net, parameters, x, buffers), [], []
    architecture = net.architecture
    a = x if architecture.family == "mlp" else x.unflatten(2, architecture.image)
    stream, pre_activations, activations = None, [], []
    for layer in range(net.depth):
        weight = _weight(net, parameters, layer, buffers, learning)
        stride = architecture.stride(layer + 1)
        if architecture.generates and architecture.starts_stage(layer + 1):
            a = _doubled(a)
        joined = a.dim() > 3 and not (values or on_phi or on_affine) and fused_layer.is_joined(net)
        phi, ends_block = net.activation if joined else None, architecture.ends_block(layer + 1)
        told = look and (look, layer, not ends_block)
        z = affine(net, a, weight, parameters["b"][layer], stride, phi, told)
        z = on_affine(layer, z) if on_affine else z
        if net.residual.joins == BEFORE:
            z, stream = _joined(net, parameters, layer, stream, z, kept)
        if joined:
            a = z
        elif not (values or on_phi) and fused_layer.is_fused(net, z, learning):
            a = fused_layer.outputs(net, parameters, layer, z, running_of(buffers, layer))
        else:
            h = normalised(net, parameters, layer, z, buffers, learning) if net.norm_first else z
            a = net.activation.phi(h, *learned_by_phi(net, parameters, layer, h))
        if on_phi:
            on_phi(h, a)
        if not net.norm_first:
            a = normalised(net, parameters, layer, a, buffers, learning)
        if net.residual.joins == AFTER:
            a, stream = _joined(net, parameters, layer, stream, a, kept)
        if look and ends_block:
            look.see_output(layer, a)
        if values:
            pre_activations.append(h)
            activations.append(a)
        if on_stream and (not layer or ends_block):
            on_stream(stream)
    if a.dim() > 3 and not architecture.generates:
        a = a.mean((3, 4))
    logits = affine(net, a, parameters["W"][-1], parameters["b"][-1]).flatten(2)
    logits = on_affine(net.depth, logits) if on_affine else logits
    return logits, pre_activations, activations


def affine(
    net: Network,
    a: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int = 1,
    activation: Activation | None = None,
    seen: Seen | None = None,
) -> Tensor:
    """a W + b, or the convolution of ``a`` (runs, batch, channels, height, width) with W.

    Of that phi, where an ``activation`` is given; what is ``seen`` of it fills a look.
    """
    if a.dim() == 3:
        return products.affine(a, weight, bias)
    circular = net.architecture.padding == "circular"
    return convolved(a, weight, bias, stride, circular, activation, seen)


def _weight(
    net: Network, parameters: Parameters, layer: int, buffers: Buffers, learning: bool
) -> Tensor:
    """The weight that a layer uses: its own, or what the norm makes of it."""
    weight = parameters["W"][layer]
    if not net.norm.weigh:
        return weight
    top = None
    if net.norm.iterates:
        if learning:
            buffers["top"][layer] = next_top(weight.detach(), buffers["top"][layer])
        top = buffers["top"][layer]
    gain = parameters["gain"][layer] if "gain" in net.norm.affine else None
    return net.norm.weigh(weight, gain, net.activation, top)


def _doubled(a: Tensor) -> Tensor:
    """Every pixel of ``a`` (runs, batch, channels, height, width) four times."""
    return a.repeat_interleave(2, 3).repeat_interleave(2, 4)


def _joined(
    net: Network,
    parameters: Parameters,
    layer: int,
    stream: Tensor | None,
    branch: Tensor,
    kept: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """What leaves a layer, and the stream of the blocks, which changes where a block ends."""
    architecture, residual = net.architecture, net.residual
    block = architecture.block_of(layer + 1)
    if not block:
        return branch, branch
    if not architecture.ends_block(layer + 1):
        return branch, stream
    factor = _factor(net, parameters, block, branch, kept)
    branch = branch if isinstance(factor, float) and factor == 1 else branch * factor
    skip = _fitting(stream, branch, pad=residual.add is not concatenate)
    if residual.gate_bias is None:
        out = residual.add(skip, branch)
    else:
        weight, bias = parameters["W_gate"][block - 1], parameters["b_gate"][block - 1]
        layers = range(1, layer + 2)
        strides = (architecture.stride(n) for n in layers if architecture.block_of(n) == block)
        stride = math.prod(strides)
        gate = torch.sigmoid(affine(net, stream, weight, bias, stride))
        out = residual.add(skip, branch, gate)
    return out, out


def _factor(
    net: Network, parameters: Parameters, block: int, branch: Tensor, kept: Tensor | None
) -> Tensor | float:
    """What multiplies a branch: its strength, what is learned, and whether it survives."""
    residual, blocks = net.residual, net.architecture.blocks
    factor = net.strengths[block - 1]
    if residual.learned:
        factor = factor * over_pixels(parameters["skip"][block - 1], branch)
    if residual.survival is None:
        return factor
    if kept is None:
        return factor * residual.survival(block, blocks)
    return factor * over_pixels(kept[:, block - 1].view(-1, 1, 1).to(branch.dtype), branch)


def _fitting(stream: Tensor, branch: Tensor, pad: bool) -> Tensor:
    """``stream`` at every second pixel where the block strides, new channels 0 (He et al. 2016).

    Where images grow, each pixel four times, and the first channels.
    """
    if stream.dim() > 3 and stream.shape[3] < branch.shape[3]:
        return _fitting(_doubled(stream), branch, pad)
    if stream.dim() > 3 and stream.shape[3:] != branch.shape[3:]:
        stream = stream[..., ::2, ::2]
        if stream.shape[3:] != branch.shape[3:]:  # a block over two strides
            return _fitting(stream, branch, pad)
    missing = branch.shape[2] - stream.shape[2]
    if not pad or not missing:
        return stream
    if missing < 0:
        return stream[:, :, : branch.shape[2]]
    return torch.cat([stream, stream.new_zeros(*branch.shape[:2], missing, *branch.shape[3:])], 2)
