"""What a recurrence must keep: shapes, columns, runs and samples apart, gradients, its carry."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..parts.recurrences import CANDIDATE, Step
from .failure import told

if TYPE_CHECKING:
    from ..parts.recurrences import Recurrence

SHAPE = (3, 4, 5)  # runs, batch, units
STEPS = 3  # the first sees a past of zeros
PHIS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}
ROUNDING = 1e-9


@dataclass
class Given:
    """What a step is given: drive and recall of each column, and the step before."""

    p: tuple[Tensor, ...]
    r: tuple[Tensor, ...]
    before: Step

    def tensors(self) -> list[Tensor]:
        """All of it; a step before may have no memory."""
        past = (self.before.a, self.before.memory)
        return [*self.p, *self.r, *(t for t in past if t is not None)]


@dataclass
class Seen:
    """What the net saw of a step: sums by column as ``see`` gave them back, and phi's inputs."""

    sums: dict[int, list[Tensor]] = field(default_factory=dict)
    of_phi: list[Tensor] = field(default_factory=list)


def recurrence_problems(recurrence: Recurrence) -> list[str]:
    """Every promise that ``recurrence`` breaks."""
    problems = list(told(_of_fields(recurrence)))
    if problems:  # what follows gives it what its fields ask for
        return problems
    problems = list(told(_of_steps(recurrence)))
    if problems:
        return problems
    for promise in (_of_columns, _apart, _of_gradient, _of_carry):
        problems += told(promise(recurrence))
    return problems


def _of_fields(recurrence: Recurrence) -> Iterator[str]:
    columns = recurrence.columns
    if not columns or columns[-1] != CANDIDATE:
        yield f"columns must end with {CANDIDATE!r}, and {columns} came"
    if len(set(columns)) < len(columns):
        yield f"columns must have different names, and {columns} came"
    strangers = set(recurrence.bias) - set(columns)
    if strangers:
        yield f"bias must be of its columns {columns}, and has {', '.join(sorted(strangers))}"
    if not all(map(math.isfinite, recurrence.bias.values())):
        yield f"bias must be finite, and {recurrence.bias} came"
    if not isinstance(recurrence.reaches, int) or recurrence.reaches < 1:
        yield f"reaches must be a whole number from 1 on, and {recurrence.reaches} came"
    if not 0 <= recurrence.carry <= 1:
        yield f"carry must be in [0, 1], and {recurrence.carry} came"
    if not recurrence.formula:
        yield "formula must say what a step computes, and is empty"


def _of_steps(recurrence: Recurrence) -> Iterator[str]:
    """Shapes, dtypes and finite values of some steps in a row; inputs stay as they were."""
    for dtype in (torch.float64, torch.float32):
        before = None
        for seed in range(STEPS):
            given = _given(recurrence, seed, dtype, before)
            kept = [t.clone() for t in given.tensors()]
            step, _ = _made(recurrence, given)
            if not all(map(torch.equal, given.tensors(), kept)):
                yield "step changes its inputs in place"
                return
            problems = list(_of_one(recurrence, step, dtype))
            yield from problems
            if problems:
                return
            before = step


def _of_one(recurrence: Recurrence, step: Step, dtype: torch.dtype) -> Iterator[str]:
    if len(step.gates) != len(recurrence.gates):
        yield f"a step has {len(step.gates)} gates, and its columns name {recurrence.gates}"
    parts = {"h": step.h, "a": step.a, "memory": step.memory}
    parts |= {f"gate {n}": gate for n, gate in enumerate(step.gates, 1)}
    for name, values in parts.items():
        if values is None and name == "memory":
            continue
        if values.shape != SHAPE or values.dtype != dtype:
            yield (
                f"{name} is {tuple(values.shape)} in {values.dtype}, and must be {SHAPE} in {dtype}"
            )
        elif not values.isfinite().all():
            yield f"{name} holds values that are not finite"
        elif name.startswith("gate") and not ((values >= 0) & (values <= 1)).all():
            yield f"{name} must be in [0, 1], and is from {values.min():g} to {values.max():g}"


def _of_columns(recurrence: Recurrence) -> Iterator[str]:
    """Each column passes ``see`` once, where it is normalised; h is the candidate's, for phi."""
    step, seen = _made(recurrence, _given(recurrence), lambda n, z: torch.tanh(z) + n)
    for n, name in enumerate(recurrence.columns):
        count = len(seen.sums.get(n, []))
        if count != 1:
            yield f"the sum of column {n} ({name}) must pass see once, and passes {count} times"
    strangers = sorted(set(seen.sums) - set(range(len(recurrence.columns))))
    if strangers:
        yield f"see is given the columns {strangers}, and there are {len(recurrence.columns)}"
    of_candidate = seen.sums.get(len(recurrence.columns) - 1, [])
    if not any(torch.equal(step.h, z) for z in of_candidate):
        yield "h is not what see gives for the candidate, the last column"
    if not any(torch.equal(step.h, z) for z in seen.of_phi):
        yield "phi is not given h, its candidate's pre-activation"


def _apart(recurrence: Recurrence) -> Iterator[str]:
    """A run's, and a sample's, step follows from its own values, whatever the others are."""
    given = _given(recurrence)
    whole, _ = _made(recurrence, given)
    for what, axis in (("run", 0), ("sample", 1)):
        others = _changed(given, lambda t, axis=axis: _others_doubled(t, axis))
        alone = _changed(given, lambda t, axis=axis: t.narrow(axis, 0, 1))
        for other in (others, alone):
            found, _ = _made(recurrence, other)
            pairs = zip(_values(whole), _values(found), strict=True)
            if any(not _close(a.narrow(axis, 0, 1), b.narrow(axis, 0, 1)) for a, b in pairs):
                yield f"a {what}'s step depends on the other {what}s"
                break


def _of_gradient(recurrence: Recurrence) -> Iterator[str]:
    """The derivative by automatic differentiation against finite differences, in float64."""
    count = len(recurrence.columns)
    given = _changed(_given(recurrence), lambda t: t[:1, :2, :2].clone().requires_grad_())

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        p, r, past = tensors[:count], tensors[count : 2 * count], tensors[2 * count :]
        made, _ = _made(recurrence, Given(p, r, Step(past[0], past[0], past[1])))
        return tuple(_values(made))

    try:
        torch.autograd.gradcheck(step, given.tensors(), eps=1e-6, atol=1e-6, rtol=1e-5)
    except RuntimeError as error:  # GradcheckError among them
        first, *_ = str(error).splitlines()
        yield f"the gradient of a step is not that of finite differences ({first})"


def _of_carry(recurrence: Recurrence) -> Iterator[str]:
    """By what factor the state's gradient goes back a step where all weights and inputs are 0.

    Then there is no path but the direct one; the state is the memory, and without one the output.
    """
    drive = tuple(
        torch.full(SHAPE, recurrence.bias.get(name, 0.0), dtype=torch.float64)
        for name in recurrence.columns
    )
    nothing = tuple(torch.zeros_like(p) for p in drive)
    start = torch.linspace(-0.5, 0.5, math.prod(SHAPE), dtype=torch.float64).view(SHAPE)
    for name, phi in PHIS.items():
        past = start.clone().requires_grad_()
        given = Given(drive, nothing, Step(past, past, past))
        step, _ = _made(recurrence, given, phi=phi)
        state = step.a if step.memory is None else step.memory
        factor = torch.zeros_like(past)
        if state.requires_grad:
            [found] = torch.autograd.grad(state.sum(), past, allow_unused=True)
            factor = factor if found is None else found
        least = float(factor.min())
        if least < recurrence.carry - ROUNDING:
            yield (
                f"carry is {recurrence.carry:g}, and with phi {name}, no weights and no input a "
                f"step hands back {least:g} of a gradient: it must be a lower bound"
            )


def _given(
    recurrence: Recurrence,
    seed: int = 7,
    dtype: torch.dtype = torch.float64,
    before: Step | None = None,
) -> Given:
    """Random drives and recalls, and a random past unless one is given; at first it is zeros."""
    generator = torch.Generator().manual_seed(seed)

    def drawn() -> Tensor:
        return torch.randn(SHAPE, generator=generator, dtype=torch.float64).to(dtype)

    p, r = (tuple(drawn() for _ in recurrence.columns) for _ in range(2))
    if before is None:
        past = [torch.zeros(SHAPE, dtype=dtype)] * 2 if seed == 0 else [drawn(), drawn()]
        before = Step(past[0], past[0], past[1])
    return Given(p, r, before)


def _made(
    recurrence: Recurrence,
    given: Given,
    normed: Callable[[int, Tensor], Tensor] | None = None,
    phi: Callable[[Tensor], Tensor] = torch.tanh,
) -> tuple[Step, Seen]:
    """A step, and what the net saw of it; ``normed`` is what becomes of a column's sum."""
    seen = Seen()

    def see(column: int, total: Tensor) -> Tensor:
        values = normed(column, total) if normed else total
        seen.sums.setdefault(column, []).append(values)
        return values

    def noted(h: Tensor) -> Tensor:
        seen.of_phi.append(h)
        return phi(h)

    return recurrence.step(given.p, given.r, given.before, noted, see), seen


def _changed(given: Given, change: Callable[[Tensor], Tensor]) -> Given:
    """``given`` with every tensor changed."""
    a, memory = change(given.before.a), given.before.memory
    before = Step(a, a, None if memory is None else change(memory))
    return Given(tuple(map(change, given.p)), tuple(map(change, given.r)), before)


def _others_doubled(values: Tensor, axis: int) -> Tensor:
    """The first along ``axis`` as it is, and all others changed."""
    first, others = values.split([1, values.shape[axis] - 1], axis)
    return torch.cat([first, 2 * others.flip(axis) + 1], axis)


def _values(step: Step) -> list[Tensor]:
    return [step.h, step.a, *([] if step.memory is None else [step.memory]), *step.gates]


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=ROUNDING, atol=ROUNDING)
