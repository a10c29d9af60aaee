"""Norm and phi of a layer as one operation, forward and back, where only its output counts.

Torch makes a tensor of every step between a product and the next: what the norm gives, times gain
plus bias, phi of it, and on the way back again. Here a run's values go through all of them while
they are in the cache (:mod:`.layer_kernels`). Measured against it, see ``benchmarks/README.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..lazy import Lazy
from ..parts.activations import ACTIVATIONS
from ..parts.norms import EPSILON, MOMENTUM, NORMS, Running, batch_norm, layer_norm
from ..parts.residuals import AFTER
from .network import Network, Parameters, learned_by_phi

kernels = Lazy("vanishing.engine.layer_kernels")  # numba takes a third of a second to load
# What they call each phi, and a norm with the way back through it.
PHIS = {ACTIVATIONS[name].phi: name.upper() for name in ("tanh", "sigmoid", "relu")}
NORMED = {batch_norm: ("batch", "batch_back"), layer_norm: ("layer", "layer_back")}
NONE = NORMS["none"].apply  # looked up once: a registry parses what it is asked for
DTYPES = (torch.float32, torch.float64)


def is_fused(net: Network, z: Tensor, learning: bool) -> bool:
    """Whether :func:`outputs` can do, and faster, what follows the product ``z`` of a layer."""
    if z.dim() > 3 or z.device.type != "cpu" or z.dtype not in DTYPES or not net.norm_first:
        return False
    if net.norm.apply in NORMED:
        return net.norm.affine == ("gain", "bias") and (learning or not net.norm.running)
    bare = net.norm.apply is NONE and net.residual.joins == AFTER
    return bare and PHIS.get(net.activation.phi) == "TANH" and z.is_contiguous()


def outputs(
    net: Network, parameters: Parameters, layer: int, z: Tensor, running: Running | None
) -> Tensor:
    """phi(h) of the layer with this index; the statistics of a batch go to ``running``.

    Of a layer without a norm it is in the memory of ``z``, which must be nobody else's.
    """
    if net.norm.apply not in NORMED:
        return _Tanh.apply(z)
    which = getattr(kernels, PHIS.get(net.activation.phi, "IDENTITY"))
    gain, bias = parameters["gain"][layer], parameters["bias"][layer]
    a, mean, scale = _Normed.apply(z, gain, bias, net.norm.apply, which)
    if running:
        given = map(_by_run, (*running, mean, scale))
        kernels.fold(*given, z.shape[1], MOMENTUM, EPSILON)
    if which == kernels.IDENTITY:
        return net.activation.phi(a, *learned_by_phi(net, parameters, layer, a))
    return a


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
        ctx: Any, z: Tensor, gain: Tensor, bias: Tensor, norm: Callable[..., Tensor], which: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :func:`.layer_kernels.batch` and :func:`.layer_kernels.layer`."""
        z = z.contiguous()
        of = z.shape[2] if norm is batch_norm else z.shape[1]
        a, mean, scale = torch.empty_like(z), z.new_empty(len(z), of), z.new_empty(len(z), of)
        there, ctx.back = (getattr(kernels, name) for name in NORMED[norm])
        given = map(_by_run, (z, gain, bias, mean, scale, a))
        there(*given, which, _number(z, EPSILON))
        ctx.save_for_backward(z, a, gain, mean, scale)
        ctx.mark_non_differentiable(mean, scale)
        ctx.which = which
        return a, mean, scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor, *of_statistics: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ARG004
        """The gradients of z, gain and bias."""
        z, a, gain, mean, scale = ctx.saved_tensors
        made = torch.empty_like(z), torch.empty_like(gain), torch.empty_like(gain)
        ctx.back(*map(_by_run, (d.contiguous(), z, a, gain, mean, scale, *made)), ctx.which)
        return *made, None, None


def _by_run(values: Tensor) -> np.ndarray:
    """The same memory as (runs, all else)."""
    return values.numpy().reshape(len(values), -1)


def _number(like: Tensor, number: float) -> np.floating:
    """A number in the precision of a tensor: else the loops would work in float64."""
    return like.numpy().dtype.type(number)
