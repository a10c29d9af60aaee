"""Elementwise nonlinearities ``phi``: what a layer does to its pre-activation ``h``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")

# A unit saturates where its derivative is at most this share of the largest one.
SATURATION = 0.1


@dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity ``phi``, and where it comes from.

    All else follows from ``phi``: its derivative here, chi_1 and q_star in :mod:`vanishing.theory`.
    """

    phi: Callable[[Tensor], Tensor]
    source: str

    def derivative(self, h: Tensor) -> Tensor:
        """phi'(h), by automatic differentiation (0 at the kink of a ReLU)."""
        with torch.enable_grad():
            h = h.detach().requires_grad_()
            a = self.phi(h)
            if not a.requires_grad:  # a constant
                return torch.zeros_like(h)
            return torch.autograd.grad(a.sum(), h)[0].detach()

    @cached_property
    def peak(self) -> tuple[float, float]:
        """Where abs(phi') is largest (the middle, where that is an interval), and how large."""
        h = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
        steepness = self.derivative(h).abs()
        top = h[steepness >= steepness.max() * (1 - 1e-9)]
        return float(top.median()), float(steepness.max())

    def saturated(self, h: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Which units of ``h``, where phi' is ``slope``, are flat: below and above phi's steepest.

        Flat is where abs(phi') <= .1 of its largest value.
        """
        peak, steepest = self.peak
        flat, below = slope.abs() <= SATURATION * steepest, h < peak
        return flat & below, flat & ~below


ACTIVATIONS: Registry[Activation] = Registry("activation", Activation)


def leaky_relu(slope: float = 0.01) -> Activation:
    """max(h, 0) + slope min(h, 0)."""
    return Activation(
        lambda h: torch.nn.functional.leaky_relu(h, slope), "Maas, Hannun, Ng 2013"
    )  # fmt: skip


ACTIVATIONS.add("linear", Activation(lambda h: h * 1, "Saxe, McClelland, Ganguli 2014"))
ACTIVATIONS.add("sigmoid", Activation(lambda h: torch.sigmoid(h), "Rumelhart et al. 1986"))
ACTIVATIONS.add("tanh", Activation(lambda h: torch.tanh(h), "LeCun et al. 1998"))
ACTIVATIONS.add("relu", Activation(lambda h: torch.relu(h), "Nair, Hinton 2010"))
ACTIVATIONS.add("leaky_relu", leaky_relu)
ACTIVATIONS.add("gelu", Activation(lambda h: torch.nn.functional.gelu(h), "Hendrycks, Gimpel 2016"))
