"""Rules that update the weights, each run of a stack with a learning rate of its own.

Formulas and defaults are those of ``torch.optim``, whose import alone costs a second; the tests
hold the two against each other. What ``torch.optim`` lacks (Lion) is the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import within
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
    """``update(gradient, state, step)`` gives the direction d of W <- W - lr (d + decay W).

    ``state`` starts empty and belongs to one parameter; ``update`` may change it in place, and
    never the gradient. ``step`` counts from 1.
    """

    update: Callable[[Tensor, State, int], Tensor]
    source: str
    formula: str = ""
    weight_decay: float = 0.0  # decoupled from the gradient


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", Optimizer)


def _refuse_means(**shares: float) -> None:
    """Refuse shares of running means that are not in [0, 1)."""
    for name, share in shares.items():
        within(name, share, 0, 1)


def _memory(state: State, name: str, gradient: Tensor) -> Tensor:
    if name not in state:
        state[name] = torch.zeros_like(gradient)
    return state[name]


def momentum(beta: float = 0.9) -> Optimizer:
    """v <- beta v + g; d = v."""
    within("optimizer 'momentum': beta", beta, 0, 1)

    def update(gradient: Tensor, state: State, step: int) -> Tensor:  # noqa: ARG001
        return _memory(state, "v", gradient).mul_(beta).add_(gradient)

    return Optimizer(update, "Polyak 1964", "v ← beta v + g; d = v")


def nesterov(beta: float = 0.9) -> Optimizer:
    """v <- beta v + g; d = g + beta v."""
    within("optimizer 'nesterov': beta", beta, 0, 1)

    def update(gradient: Tensor, state: State, step: int) -> Tensor:  # noqa: ARG001
        return gradient + beta * _memory(state, "v", gradient).mul_(beta).add_(gradient)

    return Optimizer(
        update, "Nesterov 1983, Sutskever et al. 2013", "v ← beta v + g; d = g + beta v"
    )


def _adam(beta_1: float, beta_2: float, epsilon: float) -> Callable[[Tensor, State, int], Tensor]:
    _refuse_means(beta_1=beta_1, beta_2=beta_2)
    within("epsilon", epsilon, 0, math.inf)

    def update(gradient: Tensor, state: State, step: int) -> Tensor:
        m = _memory(state, "m", gradient).lerp_(gradient, 1 - beta_1)
        v = _memory(state, "v", gradient).mul_(beta_2)
        v.addcmul_(gradient, gradient, value=1 - beta_2)
        scale = (v / (1 - beta_2**step)).sqrt_().add_(epsilon)
        return (m / (1 - beta_1**step)).div_(scale)

    return update


_ADAM = "m, v ← running means of g, g², freed of their start at 0; d = m / (√v + epsilon)"


def adam(beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """m and v: running means of g and g^2, freed of their start at 0; d = m / (sqrt(v) + eps)."""
    return Optimizer(_adam(beta_1, beta_2, epsilon), "Kingma, Ba 2015", _ADAM)


def adamw(
    beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """Adam beside a decay of the weights that its scale does not touch."""
    update = _adam(beta_1, beta_2, epsilon)
    return Optimizer(update, "Loshchilov, Hutter 2019", _ADAM + " + weight_decay W", weight_decay)


def rmsprop(alpha: float = 0.99, epsilon: float = 1e-8) -> Optimizer:
    """v: running mean of g^2; d = g / (sqrt(v) + eps)."""
    _refuse_means(alpha=alpha)
    within("epsilon", epsilon, 0, math.inf)

    def update(gradient: Tensor, state: State, step: int) -> Tensor:  # noqa: ARG001
        v = _memory(state, "v", gradient).mul_(alpha)
        v.addcmul_(gradient, gradient, value=1 - alpha)
        return gradient / (v.sqrt() + epsilon)

    return Optimizer(
        update, "Tieleman, Hinton 2012", "v ← running mean of g²; d = g / (√v + epsilon)"
    )


def adagrad(epsilon: float = 1e-10) -> Optimizer:
    """v: sum of all g^2; d = g / (sqrt(v) + eps)."""
    within("epsilon", epsilon, 0, math.inf)

    def update(gradient: Tensor, state: State, step: int) -> Tensor:  # noqa: ARG001
        v = _memory(state, "v", gradient).addcmul_(gradient, gradient)
        return gradient / (v.sqrt() + epsilon)

    return Optimizer(
        update, "Duchi, Hazan, Singer 2011", "v ← sum of all g²; d = g / (√v + epsilon)"
    )


def lion(beta_1: float = 0.9, beta_2: float = 0.99, weight_decay: float = 0.0) -> Optimizer:
    """d = sign(beta_1 m + (1 - beta_1) g), then m <- beta_2 m + (1 - beta_2) g."""
    _refuse_means(beta_1=beta_1, beta_2=beta_2)

    def update(gradient: Tensor, state: State, step: int) -> Tensor:  # noqa: ARG001
        m = _memory(state, "m", gradient)
        direction = torch.lerp(m, gradient, 1 - beta_1).sign_()
        m.lerp_(gradient, 1 - beta_2)
        return direction

    formula = "d = sign(beta_1 m + (1 − beta_1) g), m ← beta_2 m + (1 − beta_2) g; + weight_decay W"
    return Optimizer(update, "Chen et al. 2023", formula, weight_decay)


OPTIMIZERS.add(
    "sgd", Optimizer(lambda gradient, state, step: gradient, "Robbins, Monro 1951", "d = g")
)
OPTIMIZERS.add("momentum", momentum)
OPTIMIZERS.add("nesterov", nesterov)
OPTIMIZERS.add("adam", adam)
OPTIMIZERS.add("adamw", adamw)
OPTIMIZERS.add("rmsprop", rmsprop)
OPTIMIZERS.add("adagrad", adagrad)
OPTIMIZERS.add("lion", lion)
