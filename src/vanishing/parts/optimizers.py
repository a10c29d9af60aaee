"""Rules that update the weights, each run of a stack with a learning rate of its own.

Formulas and defaults are those of ``torch.optim``, whose import alone costs a second; the tests
hold the two against each other.
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

State = dict[str, "Tensor"]


@dataclass(frozen=True)
class Optimizer:
    """``update(gradient, state, step)`` gives the direction d of W <- W - lr d; step counts from 1.

    ``state`` starts empty and belongs to one parameter; ``update`` may change it in place.
    """

    update: Callable[[Tensor, State, int], Tensor]
    source: str


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", Optimizer)


def momentum(beta: float = 0.9) -> Optimizer:
    """v <- beta v + g; d = v."""

    def update(gradient: Tensor, state: State, step: int) -> Tensor:  # noqa: ARG001
        if "v" not in state:
            state["v"] = torch.zeros_like(gradient)
        return state["v"].mul_(beta).add_(gradient)

    return Optimizer(update, "Polyak 1964")


def adam(beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """m and v: running means of g and g^2, freed of their start at 0; d = m / (sqrt(v) + eps)."""

    def update(gradient: Tensor, state: State, step: int) -> Tensor:
        if "m" not in state:
            state["m"] = torch.zeros_like(gradient)
            state["v"] = torch.zeros_like(gradient)
        m = state["m"].lerp_(gradient, 1 - beta_1)
        v = state["v"].mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)
        scale = (v / (1 - beta_2**step)).sqrt_().add_(epsilon)
        return (m / (1 - beta_1**step)).div_(scale)

    return Optimizer(update, "Kingma, Ba 2015")


OPTIMIZERS.add("sgd", Optimizer(lambda gradient, state, step: gradient, "Robbins, Monro 1951"))
OPTIMIZERS.add("momentum", momentum)
OPTIMIZERS.add("adam", adam)
