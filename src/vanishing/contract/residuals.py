"""What a rule for adding must keep: the skip is there, shapes fit, runs stay apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..parts.residuals import AFTER, BEFORE, concatenate, gated, replace
from .failure import told

if TYPE_CHECKING:
    from ..parts.residuals import Residual

SHAPES = {"mlp": (3, 4, 5), "cnn": (3, 4, 5, 6, 6)}  # runs, batch, units, pixels
BLOCKS = (1, 2, 9, 54)
FACTORS = ("", "layer", "unit")


def residual_problems(residual: Residual) -> list[str]:
    """Every promise that ``residual`` breaks."""
    problems = list(told(_of_fields(residual)))
    for family, shape in SHAPES.items():
        generator = torch.Generator().manual_seed(0)
        x, f = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
        problems += [f"{family}: {problem}" for problem in told(_of_add(residual, x, f))]
    return problems


def _of_fields(residual: Residual) -> Iterator[str]:
    if residual.joins not in (BEFORE, AFTER):
        yield f"joins must be {BEFORE!r} or {AFTER!r}, and {residual.joins!r} came"
    if residual.learned not in FACTORS:
        yield f"learned must be one of {FACTORS}, and {residual.learned!r} came"
    if not math.isfinite(residual.start):
        yield f"start must be finite, and {residual.start} came"
    for name in ("strength", "survival"):
        share = getattr(residual, name)
        if share is None:
            continue
        found = {(b, n): share(b, n) for n in BLOCKS for b in range(1, n + 1)}
        wrong = {where: value for where, value in found.items() if not 0 < value <= 1}
        if wrong:
            (block, blocks), value = next(iter(wrong.items()))
            yield f"{name} of block {block} of {blocks} is {value}, and must be in (0, 1]"


def _of_add(residual: Residual, x: Tensor, f: Tensor) -> Iterator[str]:
    if residual.gate_bias is not None:
        yield from _of_gate(residual, x, f)
        return
    before = x.clone(), f.clone()
    out = residual.add(x, f)
    if not (torch.equal(x, before[0]) and torch.equal(f, before[1])):
        yield "add changes its inputs in place"
    wanted = torch.cat([x, f], 2).shape if residual.add is concatenate else x.shape
    if out.shape != wanted or out.dtype != x.dtype:
        yield f"x and f {tuple(x.shape)} became {tuple(out.shape)}, not {tuple(wanted)}"
        return
    yield from _of_identity(residual, x, f)
    if not torch.equal(residual.add(x[:1], f[:1]), out[:1]):
        yield "a run's sum depends on the other runs of its stack"


def _of_identity(residual: Residual, x: Tensor, f: Tensor) -> Iterator[str]:
    """Without a branch x is left, and without an x the branch; side by side, both at any time."""
    if residual.add is replace:
        return
    nothing, units = torch.zeros_like(x), x.shape[2]
    without_branch, without_x = residual.add(x, nothing), residual.add(nothing, f)
    if residual.add is concatenate:
        without_branch, without_x = without_branch[:, :, :units], without_x[:, :, units:]
    if not torch.allclose(without_branch, x):
        yield "where the branch is 0, the block does not give its input x: the skip is missing"
    if not torch.allclose(without_x, f):
        yield "where the input x is 0, the block does not give its branch"


def _of_gate(residual: Residual, x: Tensor, f: Tensor) -> Iterator[str]:
    """A gate leads from x to f."""
    if not math.isfinite(residual.gate_bias):
        yield f"gate_bias must be finite, and {residual.gate_bias} came"
    closed, half, opened = (
        residual.add(x, f, torch.full_like(x, gate)) for gate in (0.0, 0.5, 1.0)
    )
    if half.shape != x.shape:
        yield f"x, f and a gate {tuple(x.shape)} became {tuple(half.shape)}"
        return
    if not (torch.allclose(closed, x) and torch.allclose(opened, f)):
        yield "a gate of 0 must give x, and a gate of 1 the branch"
    low, high = torch.minimum(x, f), torch.maximum(x, f)
    if ((half < low - 1e-12) | (half > high + 1e-12)).any():
        yield "a gate between 0 and 1 must give what lies between x and the branch"
    if residual.add is not gated and not torch.equal(
        residual.add(x[:1], f[:1], torch.full_like(x[:1], 0.5)), half[:1]
    ):
        yield "a run's sum depends on the other runs of its stack"
