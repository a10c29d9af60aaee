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


Running = tuple["Tensor", "Tensor"]  # mean and variance, each (runs, 1, width)
Affine = tuple["Tensor", "Tensor"]  # gain and bias, each (runs, 1, width)


@dataclass(frozen=True)
class Norm:
    """``apply(z, affine, running, learning)`` gives h = gain * normalised z + bias.

    Without ``affine`` gain is 1 and bias 0. Where ``running`` is given, batch statistics are folded
    into it while ``learning``, and it stands in for them where not.
    """

    apply: Callable[[Tensor, Affine | None, Running | None, bool], Tensor]
    source: str
    affine: bool = True  # has a gain and a bias to learn
    running: bool = False  # keeps running statistics


NORMS: Registry[Norm] = Registry("norm", Norm)


def batch_norm(
    z: Tensor, affine: Affine | None = None, running: Running | None = None, learning: bool = True
) -> Tensor:
    """(z - mean) / sqrt(variance + eps), both over the batch, for each run and unit apart."""
    runs, batch, width = z.shape
    # A run's unit is a channel: one call of the fused kernel serves the whole stack.
    channels = z.transpose(0, 1).reshape(batch, runs * width)
    gain, bias = (t.reshape(-1) for t in affine) if affine else (None, None)
    mean, variance = (t.view(-1) for t in running) if running else (None, None)
    h = torch.nn.functional.batch_norm(
        channels,
        mean,
        variance,
        gain,
        bias,
        training=learning or running is None,
        momentum=MOMENTUM,
        eps=EPSILON,
    )
    return h.view(batch, runs, width).transpose(0, 1)


def layer_norm(
    z: Tensor,
    affine: Affine | None = None,
    running: None = None,  # noqa: ARG001
    learning: bool = True,  # noqa: ARG001
) -> Tensor:
    """(z - mean) / sqrt(variance + eps), both over the units of a layer, for each sample apart."""
    h = torch.nn.functional.layer_norm(z, z.shape[-1:], eps=EPSILON)
    return torch.addcmul(affine[1], h, affine[0]) if affine else h


NORMS.add("none", Norm(lambda z, affine, running, learning: z, "", affine=False))
NORMS.add("batch", Norm(batch_norm, "Ioffe, Szegedy 2015", running=True))
NORMS.add("layer", Norm(layer_norm, "Ba, Kiros, Hinton 2016"))
