"""Rules that update the weights, each run of a stack with a learning rate of its own.

Formulas and defaults are those of ``torch.optim``, whose import alone costs a second; the tests
hold the two against each other. What ``torch.optim`` lacks (Lion) is the paper's.
"""

from __future__ import annotations

import itertools
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
Fused = Callable[[list["Tensor"], list["Tensor"], list[State], list[float], int], None]


@dataclass(frozen=True)
class Optimizer:
    """``update(gradient, state, step)`` gives the direction d of W <- W - lr (d + decay W).

    ``state`` starts empty and belongs to one parameter; ``update`` may change it in place, and
    never the gradient. ``step`` counts from 1.

    ``fused(tensors, gradients, states, rates, step)`` is all of the same step, in place, on a CPU:
    W and its decay too, of several tensors (runs, ...), with a learning rate a run. It is only
    there to be faster. ``moments`` (beta_1, beta_2, epsilon) are given where all that is taken is
    lr d, and d Adam's of the state's m and v.
    """

    update: Callable[[Tensor, State, int], Tensor]
    source: str
    formula: str = ""
    weight_decay: float = 0.0  # decoupled from the gradient
    fused: Fused | None = None
    moments: tuple[float, float, float] | None = None


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", Optimizer)


def _refuse_means(**shares: float) -> None:
    """Refuse shares of running means that are not in [0, 1)."""
    for name, share in shares.items():
        within(name, share, 0, 1)


def _memory(state: State, name: str, gradient: Tensor) -> Tensor:
    if name not in state:
        state[name] = torch.zeros_like(gradient, memory_format=torch.contiguous_format)
    return state[name]


def _over(gradient: Tensor, scale: Tensor) -> Tensor:
    """gradient / scale, in the memory of the scale."""
    return torch.div(gradient, scale, out=scale)


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


def _fused_adam(beta_1: float, beta_2: float, epsilon: float, weight_decay: float = 0.0) -> Fused:
    """Adam by torch's kernel, which has one rate: a call for each range of runs of equal rates."""

    def fused(
        tensors: list[Tensor],
        gradients: list[Tensor],
        states: list[State],
        rates: list[float],
        step: int,
    ) -> None:
        alike = [(rate, len(list(runs))) for rate, runs in itertools.groupby(rates)]
        sizes = [size for _, size in alike]
        pairs = list(zip(states, gradients, strict=True))
        of_step = [
            tensors,
            [g.contiguous() for g in gradients],  # the kernel looks at the memory alone
            *([_memory(state, name, g) for state, g in pairs] for name in ("m", "v")),
        ]
        ranges = [[of] for of in of_step]
        if len(alike) > 1:
            ranges = [list(zip(*(t.split(sizes) for t in of), strict=True)) for of in of_step]
        steps = [torch.tensor(float(step))] * len(tensors)
        for n, (rate, _) in enumerate(alike):
            torch._fused_adamw_(
                *(list(of[n]) for of in ranges), [], steps, lr=rate, beta1=beta_1, beta2=beta_2,
                weight_decay=weight_decay, eps=epsilon, amsgrad=False, maximize=False,
            )  # fmt: skip

    return fused


_ADAM = "m, v ← running means of g, g², freed of their start at 0; d = m / (√v + epsilon)"


def adam(beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """m and v: running means of g and g^2, freed of their start at 0; d = m / (sqrt(v) + eps)."""
    means = beta_1, beta_2, epsilon
    fused = _fused_adam(*means)
    return Optimizer(_adam(*means), "Kingma, Ba 2015", _ADAM, fused=fused, moments=means)


def adamw(
    beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """Adam beside a decay of the weights that its scale does not touch."""
    return Optimizer(
        _adam(beta_1, beta_2, epsilon),
        "Loshchilov, Hutter 2019",
        _ADAM + " + weight_decay W",
        weight_decay,
        _fused_adam(beta_1, beta_2, epsilon, weight_decay),
    )


def rmsprop(alpha: float = 0.99, epsilon: float = 1e-8) -> Optimizer:
    """v: running mean of g^2; d = g / (sqrt(v) + eps)."""
    _refuse_means(alpha=alpha)
    within("epsilon", epsilon, 0, math.inf)

    def update(gradient: Tensor, state: State, step: int) -> Tensor:  # noqa: ARG001
        v = _memory(state, "v", gradient).mul_(alpha)
        v.addcmul_(gradient, gradient, value=1 - alpha)
        return _over(gradient, v.sqrt().add_(epsilon))

    return Optimizer(
        update, "Tieleman, Hinton 2012", "v ← running mean of g²; d = g / (√v + epsilon)"
    )


def adagrad(epsilon: float = 1e-10) -> Optimizer:
    """v: sum of all g^2; d = g / (sqrt(v) + eps)."""
    within("epsilon", epsilon, 0, math.inf)

    def update(gradient: Tensor, state: State, step: int) -> Tensor:  # noqa: ARG001
        v = _memory(state, "v", gradient).addcmul_(gradient, gradient)
        return _over(gradient, v.sqrt().add_(epsilon))

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
