"""What a game must keep: a loss for each sample, finite slopes, runs apart, and its aims."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .failure import told

if TYPE_CHECKING:
    from ..parts.games import Game

RUNS, REAL, FAKE = 3, 5, 7  # runs; samples of each kind
EXTREMES = (-1e4, -700.0, -50.0, -1.0, 0.0, 0.5, 1.0, 50.0, 700.0, 1e4)
LOSSES = (
    "of the discriminator on real samples",
    "of the discriminator on generated samples",
    "of the generator",
)
STEP = 1e-6  # of finite differences


def game_problems(game: Game) -> list[str]:
    """Every promise that ``game`` breaks."""
    problems = [*told(_of_fields(game)), *told(_of_shapes(game))]
    if problems:  # what follows would only repeat them
        return problems
    for promise in (_of_extremes, _of_slopes, _apart, _of_aims, _of_settled):
        problems += told(promise(game))
    return problems


def _of_fields(game: Game) -> Iterator[str]:
    if game.threshold is not None and not math.isfinite(game.threshold):
        yield f"threshold must be finite, or None, and {game.threshold} came"
    if game.clip is not None and not 0 < game.clip < math.inf:
        yield f"clip must be finite and above 0, or None, and {game.clip} came"
    if not 0 <= game.penalty < math.inf:
        yield f"penalty must be finite and not below 0, and {game.penalty} came"


def _of_shapes(game: Game) -> Iterator[str]:
    for dtype in (torch.float32, torch.float64):
        real, fake = _outputs(REAL).to(dtype), _outputs(FAKE).to(dtype)
        before = real.clone(), fake.clone()
        found = (*game.discriminator(real, fake), game.generator(fake))
        if not (torch.equal(real, before[0]) and torch.equal(fake, before[1])):
            yield "a loss changes its inputs in place"
            return
        for name, loss, output in zip(LOSSES, found, (real, fake, fake), strict=True):
            if loss.shape != output.shape or loss.dtype != dtype:
                yield (
                    f"the loss {name} of outputs {tuple(output.shape)} in {dtype} is "
                    f"{tuple(loss.shape)} in {loss.dtype}: it must be one for each sample"
                )


def _of_extremes(game: Game) -> Iterator[str]:
    """Losses, their slopes and the slopes of those are finite wherever a discriminator may be."""
    for dtype in (torch.float32, torch.float64):
        at = torch.tensor([EXTREMES], dtype=dtype, requires_grad=True)
        for name, loss in zip(LOSSES, _losses(game, at), strict=True):
            slope = _slope(loss, at)
            bend = _slope(slope, at) if slope.requires_grad else torch.zeros_like(at)
            for what, values in {
                "": loss,
                "slope of the ": slope,
                "curvature of the ": bend,
            }.items():
                bad = at[~values.isfinite()]
                if len(bad):
                    yield f"the {what}loss {name} is not finite at an output of {bad[0]:g}, {dtype}"


def _of_slopes(game: Game) -> Iterator[str]:
    """Slopes by automatic differentiation against finite differences."""
    at = _outputs(REAL).requires_grad_()
    above, below = (_losses(game, at.detach() + step) for step in (STEP, -STEP))
    for name, loss, a, b in zip(LOSSES, _losses(game, at), above, below, strict=True):
        difference = (a - b) / (2 * STEP)
        if not torch.allclose(_slope(loss, at), difference, rtol=1e-6, atol=1e-8):
            yield f"the slope of the loss {name} is not that of finite differences"


def _apart(game: Game) -> Iterator[str]:
    """A sample's loss rests on its own output alone: on no other run's, and no other sample's."""
    output = _outputs(REAL)
    whole = _losses(game, output)
    for what, axis in (("run", 0), ("sample", 1)):
        first, others = output.split([1, output.shape[axis] - 1], axis)
        changed = _losses(game, torch.cat([first, 2 * others.flip(axis) + 1], axis))
        for name, one, other in zip(LOSSES, whole, changed, strict=True):
            if not torch.equal(one.narrow(axis, 0, 1), other.narrow(axis, 0, 1)):
                yield f"the loss {name} depends, for a {what}, on the other {what}s"


def _of_aims(game: Game) -> Iterator[str]:
    """Where the discriminator is undecided it wants to put out more on real samples, and less on
    generated ones, and the generator wants that it puts out more on those.
    """
    at = torch.full((1, 1), game.threshold or 0.0, dtype=torch.float64, requires_grad=True)
    slopes = [float(_slope(loss, at).detach()) for loss in _losses(game, at)]
    for name, slope, wanted in zip(LOSSES, slopes, (-1, 1, -1), strict=True):
        if not slope * wanted > 0:
            way = "fall" if wanted < 0 else "rise"
            yield (
                f"the loss {name} must {way} with the output where it is {float(at.detach()):g}: a "
                f"discriminator's output is high for what it holds for real; its slope is {slope:g}"
            )


def _of_settled(game: Game) -> Iterator[str]:
    """Which samples are settled, and the share that is told right, are those of each run alone."""
    real, fake = _outputs(REAL), _outputs(FAKE)
    _, slopes = game.slopes(real, fake)
    alone = game.settled(*(slope[:1] for slope in slopes))
    for output, settled, own in zip((real, fake), game.settled(*slopes), alone, strict=True):
        if settled.shape != output.shape or settled.dtype != torch.bool:
            yield f"settled gives {tuple(settled.shape)} in {settled.dtype}, not true or false"
            return
        if not torch.equal(settled[:1], own):
            yield "what is settled of a run depends on the other runs"
    right = game.right(real, fake)
    if right.shape != (RUNS,) or not ((right >= 0) & (right <= 1)).all():
        yield f"right must be a share a run, and {right.tolist()} came"
    elif not torch.equal(right[:1], game.right(real[:1], fake[:1])):
        yield "the share of a run that is told right depends on the other runs"


def _outputs(batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    return 2 * torch.randn(RUNS, batch, generator=generator, dtype=torch.float64)


def _losses(game: Game, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All three losses of an output."""
    return *game.discriminator(output, output), game.generator(output)


def _slope(loss: Tensor, at: Tensor) -> Tensor:
    """The derivative of the sum by the outputs; 0 where it does not depend on them."""
    if not loss.requires_grad:
        return torch.zeros_like(at)
    [slope] = torch.autograd.grad(loss.sum(), at, create_graph=True, materialize_grads=True)
    return slope
