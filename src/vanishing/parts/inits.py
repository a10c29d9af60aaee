"""Rules that draw the initial weights, each stating the standard deviation that it draws with.

A weight has the shape (fan_in, fan_out): a layer maps ``a`` to ``a @ W + b``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor
else:
    torch = Lazy("torch")


def normal(fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """Independent standard normal entries."""
    return torch.randn(fan_in, fan_out, generator=generator)


def uniform(fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """Independent uniform entries with mean 0 and variance 1."""
    return math.sqrt(3) * (2 * torch.rand(fan_in, fan_out, generator=generator) - 1)


def orthogonal(fan_in: int, fan_out: int, generator: Generator) -> Tensor:
    """A Haar-random (semi-)orthogonal matrix, scaled so that the mean square of an entry is 1."""
    draw = torch.randn(max(fan_in, fan_out), min(fan_in, fan_out), generator=generator)
    basis, triangle = torch.linalg.qr(draw)
    basis = basis * triangle.diagonal().sign()  # makes the draw uniform over the group
    return math.sqrt(max(fan_in, fan_out)) * (basis if fan_in >= fan_out else basis.T)


@dataclass(frozen=True)
class Init:
    """Weights and biases of a layer: ``law`` says how they are spread, the two stds how widely."""

    weight_std: Callable[[int, int], float]
    source: str
    bias_std: Callable[[int, int], float] = lambda fan_in, fan_out: 0.0
    law: Callable[[int, int, Generator], Tensor] = normal

    def draw(self, fan_in: int, fan_out: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """A weight (fan_in, fan_out) and a bias (1, fan_out), in float32.

        The bias is drawn even where its std is 0, so that arms with one seed share all draws.
        """
        weight = self.weight_std(fan_in, fan_out) * self.law(fan_in, fan_out, generator)
        bias_law = uniform if self.law is uniform else normal
        return weight, self.bias_std(fan_in, fan_out) * bias_law(1, fan_out, generator)


INITS: Registry[Init] = Registry("init", Init)


def gaussian(sigma_w: float, sigma_b: float = 0.0) -> Init:
    """W ~ N(0, sigma_w^2 / fan_in), b ~ N(0, sigma_b^2)."""
    return Init(
        lambda fan_in, fan_out: sigma_w / math.sqrt(fan_in),
        "Poole et al. 2016",
        lambda fan_in, fan_out: sigma_b,
    )


def orthogonal_init(gain: float = 1.0) -> Init:
    """W = gain Q with orthonormal rows or columns: for a square W, sigma_w = gain."""
    return Init(
        lambda fan_in, fan_out: gain / math.sqrt(max(fan_in, fan_out)),
        "Saxe, McClelland, Ganguli 2014",
        law=orthogonal,
    )


# nn.Linear draws weights and biases from U(-1, 1) / sqrt(fan_in): sigma_w^2 = 1/3.
INITS.add(
    "torch_default",
    Init(
        lambda fan_in, fan_out: 1 / math.sqrt(3 * fan_in),
        "LeCun et al. 1998, as in torch.nn.Linear",
        lambda fan_in, fan_out: 1 / math.sqrt(3 * fan_in),
        uniform,
    ),
)
INITS.add("lecun", Init(lambda fan_in, fan_out: 1 / math.sqrt(fan_in), "LeCun et al. 1998"))
INITS.add(
    "xavier",
    Init(lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)), "Glorot, Bengio 2010"),
)
INITS.add("he", Init(lambda fan_in, fan_out: math.sqrt(2 / fan_in), "He et al. 2015"))
INITS.add("orthogonal", orthogonal_init)
INITS.add("gaussian", gaussian)
