"""What must hold of all that turns gradients into steps: optimizers, schedules and clips."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .failure import told

if TYPE_CHECKING:
    from ..parts.optimizers import Optimizer
    from ..parts.schedules import Clip, Schedule

RUNS, SHAPES = 3, ((3, 6, 4), (3, 1, 4))  # of a weight and a bias
STEPS, RATE = 500, 0.01  # of the descent on a parabola


def optimizer_problems(optimizer: Optimizer) -> list[str]:
    """Every promise that ``optimizer`` breaks."""
    problems = list(told(_of_direction(optimizer)))
    if problems:
        return problems
    decay = optimizer.weight_decay
    if not 0 <= decay < math.inf:
        problems.append(f"weight_decay must be finite and not below 0, and {decay} came")
    for promise in (_apart, _at_rest, _descends, _fused):
        problems += told(promise(optimizer))
    return problems


def _gradients(steps: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = {"generator": generator, "dtype": torch.float64}
    return [torch.randn(SHAPES[0], **draw) for _ in range(steps)]


def _directions(optimizer: Optimizer, gradients: list[Tensor]) -> list[Tensor]:
    """The directions of a parameter whose gradients these are, copied: a state may change."""
    state: dict = {}
    return [
        optimizer.update(gradient.clone(), state, step).clone()
        for step, gradient in enumerate(gradients, start=1)
    ]


def _of_direction(optimizer: Optimizer) -> Iterator[str]:
    """Shape, dtype and finite values; gradients stay as they were, those of earlier steps too."""
    for shape in SHAPES:
        for dtype in (torch.float32, torch.float64):
            state, kept = {}, []
            for step in (1, 2, 3):
                generator = torch.Generator().manual_seed(step)
                gradient = torch.randn(shape, generator=generator, dtype=dtype)
                kept.append((gradient, gradient.clone()))
                d = optimizer.update(gradient, state, step)
                if d.shape != shape or d.dtype != dtype or not d.isfinite().all():
                    yield (
                        f"a gradient {tuple(shape)} in {dtype} gave a direction {tuple(d.shape)} "
                        f"in {d.dtype}, or one that is not finite"
                    )
                    return
            if not all(torch.equal(gradient, before) for gradient, before in kept):
                yield "update changes its gradient in place"
                return


def _apart(optimizer: Optimizer) -> Iterator[str]:
    """A run's directions follow from its own gradients, whatever the other runs get."""
    gradients = _gradients(5)
    other = [torch.cat([g[:1], 100 * g[1:].flip(0)]) for g in gradients]
    alone = [g[:1] for g in gradients]
    found = [_directions(optimizer, each) for each in (gradients, other, alone)]
    for first, among_others, by_itself in zip(*found, strict=True):
        if not (torch.equal(first[:1], among_others[:1]) and torch.equal(first[:1], by_itself)):
            yield "a run's direction depends on the gradients of the other runs of its stack"
            return


def _at_rest(optimizer: Optimizer) -> Iterator[str]:
    nothing = [torch.zeros(SHAPES[0], dtype=torch.float64)] * 3
    if any(d.count_nonzero() for d in _directions(optimizer, nothing)):
        yield "gradients that were always 0 must give a direction of 0 (and no 0 / 0)"


def _descends(optimizer: Optimizer) -> Iterator[str]:
    """On the parabola w^2 / 2 of every weight, whose gradient is w."""
    w = torch.tensor([[[1.0, -1.0, 0.5]]], dtype=torch.float64)
    state, first = {}, float(w.square().sum())
    for step in range(1, STEPS + 1):
        w = w - RATE * (optimizer.update(w.clone(), state, step) + optimizer.weight_decay * w)
    last = float(w.square().sum())
    if not last < 0.9 * first:
        yield (
            f"{STEPS} steps at a rate of {RATE} down the parabola w² / 2 led from {first:.3g} to "
            f"{last:.3g}: the direction d must be one in which W − lr d goes down"
        )


def _fused(optimizer: Optimizer) -> Iterator[str]:
    """Steps of tensors with several rates, in one call, as by ``update``."""
    if optimizer.fused is None:
        return
    rates, decay = [0.1, 0.1, 0.02], optimizer.weight_decay
    lr = torch.tensor(rates, dtype=torch.float64).view(-1, 1, 1)
    w = [torch.ones(shape, dtype=torch.float64) for shape in SHAPES]
    expected, states, by_update = [t.clone() for t in w], [{} for _ in w], [{} for _ in w]
    for step in (1, 2, 3):
        generator = torch.Generator().manual_seed(step)
        gradients = [torch.randn(t.mT.shape, generator=generator).double().mT for t in w]
        optimizer.fused(w, gradients, states, rates, step)
        for n, (t, g) in enumerate(zip(expected, gradients, strict=True)):
            d = optimizer.update(g, by_update[n], step)
            expected[n] = t - lr * (d + decay * t)
        if not all(torch.allclose(t, e, 1e-9, 1e-12) for t, e in zip(w, expected, strict=True)):
            yield f"step {step} of fused is not W − lr (d + decay W) with the d that update gives"
            return


def schedule_problems(schedule: Schedule) -> list[str]:
    """Every promise that ``schedule`` breaks: a factor in [0, 1] at all steps, and not always 0."""
    return list(told(_of_factors(schedule)))


def _of_factors(schedule: Schedule) -> Iterator[str]:
    for steps in (1, 2, 3, 10, 1000):
        factors = [schedule.factor(step, steps) for step in range(1, steps + 1)]
        wrong = [(n, f) for n, f in enumerate(factors, start=1) if not 0 <= f <= 1]
        if wrong:
            yield f"the factor at step {wrong[0][0]} of {steps} is {wrong[0][1]}, not in [0, 1]"
        elif not any(factors):
            yield f"the factors of all {steps} steps are 0: nothing would be learned"


def clip_problems(clip: Clip) -> list[str]:
    """Every promise that ``clip`` breaks, for gradients that are small, large and 0."""
    problems = []
    for size in (1e-30, 1.0, 1e6, 0.0):
        generator = torch.Generator().manual_seed(0)
        gradients = [
            size * torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES
        ]
        found = told(_clipped(clip, gradients))
        problems += [f"gradients of {size:g}: {problem}" for problem in found]
    return problems


def _clipped(clip: Clip, gradients: list[Tensor]) -> Iterator[str]:
    before = [g.clone() for g in gradients]
    clipped = clip.apply(gradients)
    if not all(map(torch.equal, gradients, before)):
        yield "apply changes its gradients in place"
    if [c.shape for c in clipped] != [g.shape for g in before]:
        yield f"{len(before)} gradients became {len(clipped)}, or their shapes changed"
        return
    pairs = list(zip(clipped, before, strict=True))
    if any((c * g < 0).any() or (c.abs() > g.abs()).any() for c, g in pairs):
        yield "an entry changed its sign, or grew"
    if not all(c.isfinite().all() for c in clipped):
        yield "values came that are not finite"
    others = [torch.cat([g[:1], 1e3 * g[1:] + 1]) for g in before]
    if any(
        not torch.equal(c[:1], other[:1])
        for c, other in zip(clipped, clip.apply(others), strict=True)
    ):
        yield "a run's gradients are clipped by those of other runs"
