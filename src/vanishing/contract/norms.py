"""What a norm must keep: sizes, scale invariance, runs and samples apart, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..parts.activations import ACTIVATIONS
from ..parts.norms import FIRST_ITERATIONS, next_top
from .failure import told

if TYPE_CHECKING:
    from ..parts.norms import Norm

RUNS, BATCH, UNITS, FAN_IN = 3, 12, 8, 10
PIXELS = {"mlp": (), "cnn": (5, 4), "rnn": ()}  # of a layer's values
CLOSE = 1e-4  # of a value whose variance the norm's epsilon changes
EXACT = 1e-9
TURNS = 10  # FIRST_ITERATIONS each, so that the power method has converged


def norm_problems(norm: Norm) -> list[str]:
    """Every promise that ``norm`` breaks, for the values and the weights of its families."""
    if not norm.families or not set(norm.families) <= set(PIXELS):
        return [f"families must be some of {', '.join(PIXELS)}, and {norm.families} came"]
    problems = list(_of_fields(norm))
    for family in norm.families:
        problems += [f"{family}: {problem}" for problem in told(_of_values(norm, family))]
    return problems + (list(told(_of_weights(norm))) if norm.weigh else [])


def _of_fields(norm: Norm) -> Iterator[str]:
    known = ("gain",) if norm.weigh else ("gain", "bias")
    if not set(norm.affine) <= set(known):
        what = "a norm of weights" if norm.weigh else "a norm"
        yield f"{what} can learn {' and '.join(known)}, and affine is {norm.affine}"
    if norm.groups < 0 or norm.groups != int(norm.groups):
        yield f"groups must be a whole number from 0, and {norm.groups} came"


def _of_values(norm: Norm, family: str) -> Iterator[str]:
    z = _values(norm, family)
    for dtype in (torch.float64, torch.float32):
        h = norm.apply(z.to(dtype), None, True)
        if h.shape != z.shape or h.dtype != dtype:
            yield f"{tuple(z.shape)} in {dtype} became {tuple(h.shape)} in {h.dtype}"
            return
        if not h.isfinite().all():
            yield "values came that are not finite"
            return
    yield from _of_size(norm, z)
    yield from _apart(norm, z)
    yield from _of_running(norm, z) if norm.running else _without_running(norm, z)
    small = (z[:2, :4, : z.shape[2] // 2] / 100).requires_grad_()
    yield from _gradient("apply", lambda z: norm.apply(z, None, True), small)


def _values(norm: Norm, family: str) -> Tensor:
    """Random values whose means and sizes differ by run, sample and unit."""
    units = 2 * norm.groups if norm.groups else UNITS
    generator, shape = torch.Generator().manual_seed(0), (RUNS, BATCH, units, *PIXELS[family])
    z = torch.randn(shape, generator=generator, dtype=torch.float64)
    for axis in (0, 1, 2):
        row = [1] * len(shape)
        row[axis] = shape[axis]
        scale = torch.linspace(0.5, 2.0, shape[axis], dtype=torch.float64).view(row)
        z = z * scale + 3 * scale
    return 100 * z  # so large that no norm's epsilon counts


def _of_size(norm: Norm, z: Tensor) -> Iterator[str]:
    """What is normalised has mean square 1, forgets its scale, and stays as it is the next time."""
    h = norm.apply(z, None, True)
    if torch.equal(h, z):
        return
    size = h.square().flatten(1).mean(1)
    if (size - 1).abs().max() > CLOSE:
        yield f"the mean squares of the runs are {_listed(size)}, and must be 1"
    off = (norm.apply(7 * z, None, True) - h).abs().max()
    if off > CLOSE:
        yield f"values 7 times as large give a result that is {off:.2g} off"
    off = (norm.apply(h, None, True) - h).abs().max()
    if off > CLOSE:
        yield f"normalised a second time, values change by {off:.2g}"


def _apart(norm: Norm, z: Tensor) -> Iterator[str]:
    """Runs do not influence each other; samples do exactly where the norm says so."""
    h = norm.apply(z, None, True)
    alone = norm.apply(z[:1].clone(), None, True)
    if (h[:1] - alone).abs().max() > EXACT:
        yield "a run's values depend on the other runs of its stack"
    mixes = _samples_mix(norm, z)
    if mixes != norm.mixes_samples:
        says = "do not" if mixes else "do"
        yield f"mixes_samples says that samples {says} influence each other, and it is not so"


def _samples_mix(norm: Norm, z: Tensor, running: tuple | None = None) -> bool:
    """Whether a sample's values depend on the others of its batch."""
    other = z.clone()
    other[:, 1:] = other[:, 1:].flip(1) * 2 + 1
    learning = running is None
    h, changed = norm.apply(z, running, learning), norm.apply(other, running, learning)
    return bool((h[:, 0] - changed[:, 0]).abs().max() > EXACT)


def _without_running(norm: Norm, z: Tensor) -> Iterator[str]:
    if not torch.equal(norm.apply(z, None, True), norm.apply(z, None, False)):
        yield "keeps no running statistics, and gives other values when it is not learning"


def _of_running(norm: Norm, z: Tensor) -> Iterator[str]:
    """Statistics follow the batch while learning, each run's its own; then they stand in for it."""

    def fresh() -> tuple[Tensor, Tensor]:
        row = z.new_zeros(RUNS, 1, z.shape[2])
        return row, row + 1

    running, alone = fresh(), fresh()
    with_running = norm.apply(z, running, True)
    if (with_running - norm.apply(z, None, True)).abs().max() > EXACT:
        yield "while learning, values depend on the running statistics"
    if any(torch.equal(t, start) for t, start in zip(running, fresh(), strict=True)):
        yield "while learning, the running mean or variance stays as it was"
    other = torch.cat([z[:1], 2 * z[1:] + 1])
    norm.apply(other, alone, True)
    if any((a[0] - b[0]).abs().max() > EXACT for a, b in zip(running, alone, strict=True)):
        yield "a run's running statistics depend on the other runs of its stack"
    kept = [t.clone() for t in running]
    if _samples_mix(norm, z, running):
        yield "samples influence each other where running statistics stand in for the batch's"
    if not all(map(torch.equal, running, kept)):
        yield "the running statistics change while the norm is not learning"


def _of_weights(norm: Norm) -> Iterator[str]:
    """The weights that are used have a shape, forget the scale of W, and are a run's own."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(RUNS, FAN_IN, UNITS, generator=generator, dtype=torch.float64)
    start = torch.randn(RUNS, UNITS, 1, generator=generator, dtype=torch.float64)
    if ("gain" in norm.affine) != (norm.first_gain is not None):
        yield "first_gain must be given exactly where affine has a gain"
        return
    gain = norm.first_gain(weight) if norm.first_gain else None
    if gain is not None and (gain.shape != (RUNS, 1, UNITS) or not (gain > 0).all()):
        yield f"first_gain must be above 0 and (runs, 1, units), and {tuple(gain.shape)} came"
        return
    weigh = _weighing(norm, start, TURNS)
    used = weigh(weight, gain)
    if used.shape != weight.shape or used.dtype != weight.dtype or not used.isfinite().all():
        yield f"a weight {tuple(weight.shape)} became {tuple(used.shape)}, or is not finite"
        return
    first_gain = None if gain is None else gain[:1]
    for what, again in {
        "a weight 7 times as large": weigh(7 * weight, gain),
        "a weight that is weighed a second time": weigh(used, gain),
        "a run alone": _weighing(norm, start[:1], TURNS)(weight[:1], first_gain),
    }.items():
        if (used[: len(again)] - again).abs().max() > 1e-6:
            yield f"weigh: {what} gives another result"
    small = weight[:2, :4, :3].clone().requires_grad_()
    gain = None if gain is None else gain[:2, :, :3].clone().requires_grad_()
    yield from _gradient("weigh", _weighing(norm, start[:2, :3], 0), small, gain)


def _weighing(norm: Norm, start: Tensor, turns: int) -> Callable[..., Tensor]:
    """The function of weight and gain, with first singular vectors where the norm needs them."""

    def weigh(weight: Tensor, gain: Tensor | None = None) -> Tensor:
        top = start
        for _ in range(turns if norm.iterates else 0):
            top = next_top(weight.detach(), top, FIRST_ITERATIONS)
        return norm.weigh(weight, gain, ACTIVATIONS["tanh"], top if norm.iterates else None)

    return weigh


def _gradient(what: str, f: Callable[..., Tensor], *inputs: Tensor | None) -> Iterator[str]:
    """The derivative by automatic differentiation against finite differences, in float64."""
    try:
        given = [t for t in inputs if t is not None]
        torch.autograd.gradcheck(f, given, eps=1e-6, atol=1e-5, rtol=1e-4)
    except RuntimeError as error:  # GradcheckError among them
        first, *_ = str(error).splitlines()
        yield f"{what}: its gradient is not that of finite differences ({first})"


def _listed(values: Tensor) -> str:
    return ", ".join(f"{value:.4g}" for value in values.tolist())
