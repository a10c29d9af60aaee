"""Norm and phi of a layer as one operation, forward and back, where only its output counts.

Torch makes a tensor of every step between a product and the next: what the norm gives, times gain
plus bias, phi of it, and on the way back again. Here a run's values go through all of them while
they are in the cache (:mod:`.layer_kernels`). Measured against it, see ``benchmarks/README.md``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..lazy import Lazy
from ..parts.activations import ACTIVATIONS, Activation, leaky
from ..parts.norms import EPSILON, MOMENTUM, NORMS, Norm, Running, batch_norm, layer_norm
from ..parts.residuals import AFTER, concatenate, gated, plus, replace
from .network import Network, Parameters, learned_by_phi

kernels = Lazy("vanishing.engine.layer_kernels")  # numba takes a third of a second to load
# What they call each phi and norm. Looked up once: a registry parses what it is asked for. Compared
# by identity: what a user has written need have no hash.
PHIS = [(ACTIVATIONS[name].phi, name.upper()) for name in ("linear", "tanh", "sigmoid", "relu")]
NONE = NORMS["none"].apply
NORMED = [(NONE, "PLAIN"), (batch_norm, "BATCH"), (layer_norm, "LAYER")]
BRANCHES = (replace, plus, concatenate, gated)  # joins that a gradient comes back from
DTYPES = (torch.float32, torch.float64)


def phi_of(activation: Activation) -> tuple[int, float] | None:
    """Which phi of the loops an activation is, and its slope; None where it is none of them."""
    phi = activation.phi
    if isinstance(phi, partial) and phi.func is leaky:
        slope = phi.keywords["slope"]
        return (kernels.LEAKY, slope) if slope > 0 else None  # they tell phi' by the sign of a
    return next(((getattr(kernels, name), 0.0) for known, name in PHIS if phi is known), None)


def norm_of(norm: Norm) -> int | None:
    """Which norm of the loops this is; None where it is none of them."""
    found = next((name for known, name in NORMED if norm.apply is known), None)
    if not found or norm.weigh or (found != "PLAIN" and norm.affine != ("gain", "bias")):
        return None
    return getattr(kernels, found)


def is_fused(net: Network, z: Tensor, learning: bool) -> bool:
    """Whether :func:`outputs` can do, and faster, what follows the product ``z`` of a layer."""
    if z.dim() > 3 or z.device.type != "cpu" or z.dtype not in DTYPES or not net.norm_first:
        return False
    if net.norm.apply is not NONE:
        return bool(norm_of(net.norm)) and (learning or not net.norm.running)
    bare = not net.norm.weigh and net.residual.joins == AFTER
    return bare and phi_of(net.activation) == (kernels.TANH, 0.0) and z.is_contiguous()


def is_joined(net: Network) -> bool:
    """Whether a convolution can make phi(z) of its z at once, with the bits that torch gives."""
    which = phi_of(net.activation) if net.norm.apply is NONE else None
    lines = kernels.LINEAR, kernels.RELU, kernels.LEAKY
    return bool(which) and which[0] in lines and net.residual.joins == AFTER


def is_seen(net: Network, x: Tensor) -> bool:
    """Whether convolutions can tell of all layers of a net that sees ``x`` (runs, batch, inputs).

    Then each makes phi(z), of weights that are parameters, and goes back.
    """
    images = net.architecture.family == "cnn" and x.device.type == "cpu" and x.dtype in DTYPES
    if not images or net.norm.weigh:
        return False
    return is_joined(net) and any(net.residual.add is known for known in BRANCHES)


def outputs(
    net: Network, parameters: Parameters, layer: int, z: Tensor, running: Running | None
) -> Tensor:
    """phi(h) of the layer with this index; the statistics of a batch go to ``running``.

    Of a layer without a norm it is in the memory of ``z``, which must be nobody else's.
    """
    if net.norm.apply is NONE:
        return _Tanh.apply(z)
    which = phi_of(net.activation)
    gain, bias = parameters["gain"][layer], parameters["bias"][layer]
    kinds = norm_of(net.norm), *(which or (kernels.LINEAR, 0.0))
    a, mean, scale = _Normed.apply(z, gain, bias, kinds)
    if running:
        follow(running, mean, scale, z.shape[1])
    return a if which else net.activation.phi(a, *learned_by_phi(net, parameters, layer, a))


def follow(running: Running, mean: Tensor, scale: Tensor, samples: int) -> None:
    """Move running statistics by a share towards those of a batch of so many ``samples``."""
    given = map(_by_run, (*running, mean, scale))
    kernels.fold(*given, samples, MOMENTUM, EPSILON)


class _Tanh(torch.autograd.Function):
    """a = tanh(z), in the memory of z."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        """See :func:`.layer_kernels.tanh_of`."""
        kernels.tanh_of(z.numpy().reshape(-1))
        ctx.mark_dirty(z)
        ctx.save_for_backward(z)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> Tensor:
        """The gradient of z."""
        [a] = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(d, a)


class _Normed(torch.autograd.Function):
    """a = phi(gain norm(z) + bias), and mean and scale of the norm, which have no gradient."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, gain: Tensor, bias: Tensor, kinds: tuple[int, int, float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :func:`.layer_kernels.outputs`; ``kinds`` are which norm and phi, and its slope."""
        z, (normed, which, slope) = z.contiguous(), kinds
        of = z.shape[2] if normed == kernels.BATCH else z.shape[1]
        a, mean, scale = torch.empty_like(z), z.new_empty(len(z), of), z.new_empty(len(z), of)
        ctx.kinds = normed, which, number(z, slope)
        given = map(_by_run, (z, gain, bias, mean, scale, a))
        kernels.outputs(*given, *ctx.kinds, number(z, EPSILON))
        ctx.save_for_backward(z, a, gain, mean, scale)
        ctx.mark_non_differentiable(mean, scale)
        return a, mean, scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor, *of_statistics: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ARG004
        """The gradients of z, gain and bias."""
        z, a, gain, mean, scale = ctx.saved_tensors
        made = torch.empty_like(z), torch.empty_like(gain), torch.empty_like(gain)
        kernels.back(*map(_by_run, (d.contiguous(), z, a, gain, mean, scale, *made)), *ctx.kinds)
        return *made, None


def _by_run(values: Tensor) -> np.ndarray:
    """The same memory as (runs, all else)."""
    return values.numpy().reshape(len(values), -1)


def number(like: Tensor, number: float) -> np.floating:
    """A number in the precision of a tensor: else the loops would work in float64."""
    return like.numpy().dtype.type(number)
