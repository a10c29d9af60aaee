"""How the learning rate changes over a training, and how gradients are clipped before a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserError, within
from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")


@dataclass(frozen=True)
class Schedule:
    """``factor(step, steps)`` multiplies the learning rate of update ``step``, counted from 1."""

    factor: Callable[[int, int], float]
    source: str
    formula: str = ""


@dataclass(frozen=True)
class Clip:
    """``apply(gradients)`` gives the gradients that are used: a tensor (runs, ...) a parameter.

    Every run is clipped by itself. Gradients are logged before they are clipped.
    """

    apply: Callable[[list[Tensor]], list[Tensor]]
    source: str
    formula: str = ""


SCHEDULES: Registry[Schedule] = Registry("schedule", Schedule)
CLIPS: Registry[Clip] = Registry("clip", Clip)


def _rise(step: int, steps: int, warmup: float) -> float:
    """From near 0 to 1 over the first share ``warmup`` of the updates."""
    return min(1.0, step / max(1, round(warmup * steps)))


def _refuse_share(name: str, warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise UserError(
            f"schedule {name!r}: warmup is a share of the steps in [0, 1), not {warmup:g}"
        )


def warmup(warmup: float = 0.1) -> Schedule:
    """A linear rise over the first share ``warmup`` of the updates, then constant."""
    _refuse_share("warmup", warmup)
    return Schedule(
        lambda step, steps: _rise(step, steps, warmup),
        "Goyal et al. 2017",
        "min(1, t / (warmup T))",
    )


def cosine(warmup: float = 0.0) -> Schedule:
    """Half a cosine from 1 to 0, after a linear rise over the share ``warmup`` of the updates."""
    _refuse_share("cosine", warmup)

    def factor(step: int, steps: int) -> float:
        rising = round(warmup * steps)
        if step <= rising:
            return step / rising
        return (1 + math.cos(math.pi * (step - 1 - rising) / (steps - rising))) / 2

    return Schedule(factor, "Loshchilov, Hutter 2017", "(1 + cos(π t / T)) / 2, after a warm-up")


def clip_norm(limit: float) -> Clip:
    """All gradients of a run scaled down together, to a common norm of at most ``limit``."""
    within("clip 'norm': limit", limit, 0, math.inf, open_low=True)

    def apply(gradients: list[Tensor]) -> list[Tensor]:
        norms = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients]
        total = torch.linalg.vector_norm(torch.stack(norms), dim=0)  # (runs)
        # 1e-6 as in torch.nn.utils.clip_grad_norm_
        factor = (limit / (total + 1e-6)).clamp(max=1.0)
        return [g * factor.view(-1, *[1] * (g.dim() - 1)) for g in gradients]

    return Clip(apply, "Pascanu, Mikolov, Bengio 2013", "g · min(1, limit / ‖g‖)")


def clip_value(limit: float) -> Clip:
    """Every entry of a gradient brought into [-limit, limit]."""
    within("clip 'value': limit", limit, 0, math.inf, open_low=True)
    return Clip(
        lambda gradients: [g.clamp(-limit, limit) for g in gradients],
        "Mikolov 2012",
        "min(max(g, −limit), limit)",
    )


SCHEDULES.add("constant", Schedule(lambda step, steps: 1.0, "Robbins, Monro 1951", "1"))
SCHEDULES.add("warmup", warmup)
SCHEDULES.add("cosine", cosine)
CLIPS.add("none", Clip(lambda gradients: gradients, "", "g"))
CLIPS.add("norm", clip_norm)
CLIPS.add("value", clip_value)
