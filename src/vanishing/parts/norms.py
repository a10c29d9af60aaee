"""Normalisation of a layer's affine output ``z`` before the activation sees it.

All tensors carry the run axis in front: ``z`` is (runs, batch, width).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")

EPSILON = 1e-5  # added to every variance, as torch.nn does
MOMENTUM = 0.1  # of the running statistics that batch norm evaluates with


@dataclass(frozen=True)
class Norm:
    """``apply(z, running)`` gives the normalised z, before gain and bias.

    ``running`` is None, or the pair (mean, variance) of shape (runs, 1, width): batch statistics
    are folded into it where ``learning``, and used instead of them where not.
    """

    apply: Callable[[Tensor, tuple[Tensor, Tensor] | None, bool], Tensor]
    source: str
    gain_and_bias: bool = True
    running: bool = False


NORMS: Registry[Norm] = Registry("norm", Norm)


def batch_norm(
    z: Tensor, running: tuple[Tensor, Tensor] | None = None, learning: bool = True
) -> Tensor:
    """(z - mean) / sqrt(variance + eps), both over the batch, for each run and unit apart."""
    runs, batch, width = z.shape
    # A run's unit is a channel: one call of the fused kernel serves the whole stack.
    channels = z.transpose(0, 1).reshape(batch, runs * width)
    mean, variance = (s.view(-1) for s in running) if running else (None, None)
    out = torch.nn.functional.batch_norm(
        channels,
        mean,
        variance,
        training=learning or running is None,
        momentum=MOMENTUM,
        eps=EPSILON,
    )
    return out.view(batch, runs, width).transpose(0, 1)


def layer_norm(z: Tensor, running: None = None, learning: bool = True) -> Tensor:  # noqa: ARG001
    """(z - mean) / sqrt(variance + eps), both over the units of a layer, for each sample apart."""
    return torch.nn.functional.layer_norm(z, z.shape[-1:], eps=EPSILON)


NORMS.add("none", Norm(lambda z, running, learning: z, "", gain_and_bias=False))
NORMS.add("batch", Norm(batch_norm, "Ioffe, Szegedy 2015", running=True))
NORMS.add("layer", Norm(layer_norm, "Ba, Kiros, Hinton 2016"))
