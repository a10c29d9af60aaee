"""How the input of a block of layers joins what the block gives.

The branch f is the block's output: phi(h) where blocks join ``activations``, z = a W + b where they
join ``pre_activations``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserError
from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")

BEFORE, AFTER = "pre_activations", "activations"  # of phi: where blocks join


def replace(x: Tensor, branch: Tensor) -> Tensor:  # noqa: ARG001
    """No skip: the branch alone."""
    return branch


def plus(x: Tensor, branch: Tensor) -> Tensor:
    """x + f."""
    return x + branch


def concatenate(x: Tensor, branch: Tensor) -> Tensor:
    """x and f side by side."""
    return torch.cat([x, branch], dim=2)


def gated(x: Tensor, branch: Tensor, gate: Tensor) -> Tensor:
    """x + t (f - x), with a gate t in (0, 1)."""
    return torch.lerp(x, branch, gate)


def _whole(block: int, blocks: int) -> float:  # noqa: ARG001
    return 1.0


@dataclass(frozen=True)
class Residual:
    """``add(x, branch)`` gives a block's output from its input and its branch, of one shape.

    The branch is first multiplied by ``strength(block, blocks)``, by what is ``learned`` (from
    ``start`` on), and in training it is left out with probability 1 - ``survival``; else it counts
    by that probability. Blocks count from 1.
    """

    add: Callable[..., Tensor]
    source: str
    formula: str = ""
    joins: str = AFTER
    strength: Callable[[int, int], float] = _whole
    survival: Callable[[int, int], float] | None = None
    learned: str = ""  # a factor for each "layer" (block), or for each "unit" of it
    start: float = 1.0
    gate_bias: float | None = None  # add takes a gate, sigmoid(x W_t + b_t) with b_t from here on

    @property
    def skips(self) -> bool:
        """Whether there is a skip at all."""
        return self.add is not replace


RESIDUALS: Registry[Residual] = Registry("residual", Residual)


def skip_init(start: float = 0.0) -> Residual:
    """x + alpha f with a learned alpha for each block."""
    return Residual(
        plus, "De, Smith 2020", "x + alpha f, alpha = start at init", BEFORE,
        learned="layer", start=start,
    )  # fmt: skip


def layer_scale(start: float = 0.1) -> Residual:
    """x + lambda f with a learned lambda for each unit."""
    return Residual(
        plus, "Touvron et al. 2021", "x + lambda ⊙ f, lambda = start at init", BEFORE,
        learned="unit", start=start,
    )  # fmt: skip


def highway(bias: float = -2.0) -> Residual:
    """t f + (1 - t) x with a learned gate t = sigmoid(x W_t + b_t)."""
    return Residual(
        gated, "Srivastava, Greff, Schmidhuber 2015",
        "t ⊙ f + (1 − t) ⊙ x, t = sigmoid(x W_t + b_t), b_t = bias at init", gate_bias=bias,
    )  # fmt: skip


def stochastic_depth(survival: float = 0.5) -> Residual:
    """x + f, or x alone: the last block survives with probability ``survival``, the first more."""
    if not 0 < survival <= 1:
        raise UserError(
            f"residual 'stochastic_depth': survival must be in (0, 1], not {survival:g}"
        )
    return Residual(
        plus, "Huang et al. 2016", "x + f with probability p_l = 1 − (1 − survival) l / L, else x",
        survival=lambda block, blocks: 1 - (1 - survival) * block / blocks,
    )  # fmt: skip


RESIDUALS.add("none", Residual(replace, "", "f"))
# He et al. 2016 apply phi to the sum; here the branch ends in phi (2016b, "ReLU before addition").
RESIDUALS.add("identity", Residual(plus, "He et al. 2016b", "x + f, f = φ(h)"))
RESIDUALS.add("pre_activation", Residual(plus, "He et al. 2016b", "x + f", BEFORE))
RESIDUALS.add(
    "scaled",
    Residual(
        plus, "Hayou et al. 2021", "x + f / √L in L blocks", BEFORE,
        strength=lambda block, blocks: 1 / math.sqrt(blocks),
    ),
)  # fmt: skip
RESIDUALS.add(
    "rezero",
    Residual(
        plus, "Bachlechner et al. 2021", "x + alpha f, alpha = 0 at init", learned="layer",
        start=0.0,
    ),
)  # fmt: skip
RESIDUALS.add("skip_init", skip_init)
RESIDUALS.add("layer_scale", layer_scale)
RESIDUALS.add("highway", highway)
RESIDUALS.add("stochastic_depth", stochastic_depth)
RESIDUALS.add("dense", Residual(concatenate, "Huang et al. 2017", "x and f side by side"))
