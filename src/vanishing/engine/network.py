"""A feed-forward network that carries the run axis itself: a single run is a stack of one.

The letters are those of Poole et al. 2016, but for a, which they call x: with a_0 the input,

    z_l = a_{l-1} W_l + b_l,    h_l = norm(z_l),    a_l = phi(h_l),    l = 1 .. depth,

and a linear head on top. h is always what phi sees; delta_l = dL/dh_l. In a CNN the product is a
convolution, and the head sees the mean over pixels. The norm may stand after phi instead. A
residual joins a block's input to its output, either the a's or the z's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..parts.activations import ACTIVATIONS, Activation
from ..parts.architecture import KERNEL, Architecture, Place
from ..parts.norms import NORMS, Norm, next_top
from ..parts.residuals import AFTER, BEFORE, RESIDUALS, Residual, concatenate
from ..parts.tasks import Data

# W and b: a tensor a layer and the head; gain, bias, phi_<n> (what phi learns): a layer; skip,
# W_gate, b_gate: a residual block. Each is (runs, rows, units); b, gain, bias have one row.
Parameters = dict[str, list[Tensor]]
# What is neither learned nor drawn, a tensor a layer: batch norm's running mean and variance, and
# top, the first singular vectors of a spectral norm.
Buffers = dict[str, list[Tensor]]
OnAffine = Callable[[int, Tensor], Tensor]
OnStream = Callable[[Tensor], None]


@dataclass(frozen=True)
class Network:
    """The graph that all runs of a stack share."""

    activation: Activation
    norm: Norm
    residual: Residual
    architecture: Architecture
    norm_first: bool = True  # before phi

    @classmethod
    def of(cls, graph: dict, data: Data) -> Network:
        """The network that a cohort's settings name, for data of a size."""
        return cls(
            ACTIVATIONS[graph["activation"]],
            NORMS[graph["norm"]],
            RESIDUALS[graph["residual"]],
            Architecture.of(graph, data.inputs.shape[1], data.classes, data.image),
            graph.get("norm_position", "before") == "before",
        )

    @property
    def depth(self) -> int:
        """Hidden layers."""
        return self.architecture.depth

    @property
    def places(self) -> list[Place]:
        """The place of every layer's weight, the head last."""
        return [self.architecture.place(n, self.activation) for n in range(1, self.depth + 2)]

    @property
    def block_ends(self) -> list[int]:
        """The layers that residual blocks end with."""
        return [n for n in range(1, self.depth + 1) if self.architecture.ends_block(n)]


def forward(
    net: Network,
    parameters: Parameters,
    x: Tensor,
    buffers: Buffers | None = None,
    learning: bool = True,
    kept: Tensor | None = None,
    on_affine: OnAffine | None = None,
    on_stream: OnStream | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Logits (runs, batch, classes), and h and a of every layer, (runs, batch, units[, pixels]).

    ``x`` is (runs, batch, inputs). With ``learning`` what the norm keeps in ``buffers`` follows the
    batch; without, batch norm normalises by its running statistics where it is given any. ``kept``
    (runs, blocks) says which blocks survive; without it they count by their probability.
    ``on_affine(layer, values)`` may change what the layer with this index gives, the head too;
    ``on_stream(stream)`` sees what enters the first residual block, and what leaves each.
    """
    buffers = buffers or {}
    a = x if net.architecture.family == "mlp" else x.unflatten(2, net.architecture.image)
    stream, pre_activations, activations = None, [], []
    for layer in range(net.depth):
        weight = _weight(net, parameters, layer, buffers, learning)
        stride = net.architecture.stride(layer + 1)
        z = affine(net, a, weight, parameters["b"][layer], stride)
        z = on_affine(layer, z) if on_affine else z
        if net.residual.joins == BEFORE:
            z, stream = _joined(net, parameters, layer, stream, z, kept)
        h = _normalised(net, parameters, layer, z, buffers, learning) if net.norm_first else z
        a = net.activation.phi(h, *learned_by_phi(net, parameters, layer, h))
        if not net.norm_first:
            a = _normalised(net, parameters, layer, a, buffers, learning)
        if net.residual.joins == AFTER:
            a, stream = _joined(net, parameters, layer, stream, a, kept)
        pre_activations.append(h)
        activations.append(a)
        if on_stream and (not layer or net.architecture.ends_block(layer + 1)):
            on_stream(stream)
    a = a if a.dim() == 3 else a.mean((3, 4))
    logits = torch.baddbmm(parameters["b"][-1], a, parameters["W"][-1])
    logits = on_affine(net.depth, logits) if on_affine else logits
    return logits, pre_activations, activations


def affine(net: Network, a: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """a W + b, or the convolution of ``a`` (runs, batch, channels, height, width) with W."""
    if a.dim() == 3:
        return torch.baddbmm(bias, a, weight)
    runs, batch, channels, *pixels = a.shape
    kernel = weight.transpose(1, 2).reshape(-1, channels, KERNEL, KERNEL)
    flat_runs, padding = a.transpose(0, 1).reshape(batch, runs * channels, *pixels), KERNEL // 2
    if net.architecture.padding == "circular":
        flat_runs = torch.nn.functional.pad(flat_runs, [padding] * 4, mode="circular")
        padding = 0
    z = torch.nn.functional.conv2d(flat_runs, kernel, bias.reshape(-1), stride, padding, 1, runs)
    return z.view(batch, runs, -1, *z.shape[2:]).transpose(0, 1)


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


def _normalised(
    net: Network,
    parameters: Parameters,
    layer: int,
    values: Tensor,
    buffers: Buffers,
    learning: bool,
) -> Tensor:
    running = (buffers["mean"][layer], buffers["variance"][layer]) if "mean" in buffers else None
    values = net.norm.apply(values, running, learning)
    if net.norm.weigh or not net.norm.affine:
        return values
    gain = over_pixels(parameters["gain"][layer], values)
    if "bias" not in net.norm.affine:
        return values * gain
    return torch.addcmul(over_pixels(parameters["bias"][layer], values), values, gain)


def over_pixels(rows: Tensor, values: Tensor) -> Tensor:
    """``rows`` (runs, 1, units) in a shape that goes with ``values``, which may have pixels."""
    return rows.view(*rows.shape, *[1] * (values.dim() - 3))


def learned_by_phi(net: Network, parameters: Parameters, layer: int, h: Tensor) -> list[Tensor]:
    """What the activation of a layer learns."""
    names = [f"phi_{n}" for n in range(len(net.activation.learned))]
    return [over_pixels(parameters[name][layer], h) for name in names]


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
    factor = residual.strength(block, blocks)
    if residual.learned:
        factor = factor * over_pixels(parameters["skip"][block - 1], branch)
    if residual.survival is None:
        return factor
    if kept is None:
        return factor * residual.survival(block, blocks)
    return factor * over_pixels(kept[:, block - 1].view(-1, 1, 1).to(branch.dtype), branch)


def _fitting(stream: Tensor, branch: Tensor, pad: bool) -> Tensor:
    """``stream`` at every second pixel where the block strides, new channels 0 (He et al. 2016)."""
    if stream.dim() > 3 and stream.shape[3:] != branch.shape[3:]:
        stream = stream[..., ::2, ::2]
        if stream.shape[3:] != branch.shape[3:]:  # a block over two strides
            return _fitting(stream, branch, pad)
    missing = branch.shape[2] - stream.shape[2]
    if not pad or not missing:
        return stream
    return torch.cat([stream, stream.new_zeros(*branch.shape[:2], missing, *branch.shape[3:])], 2)


def flat(parameters: Parameters) -> list[Tensor]:
    """All tensors of the stack, in a fixed order."""
    return [tensor for name in parameters for tensor in parameters[name]]
