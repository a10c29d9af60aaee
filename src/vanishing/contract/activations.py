"""What every activation must keep: its shape, derivative, kinks, formula and Gaussian means."""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..parts.activations import Activation
from ..theory.maps import mean
from .formulas import evaluate

SPAN = 8.0  # h is looked at from -SPAN to SPAN
SHAPES = [(5,), (2, 3, 4), (2, 3, 4, 2, 2)]  # units; runs in front; channels and an image behind
QS = (0.1, 1.0, 10.0, 1e6)  # the last shows an oscillation that was not declared
DRAWS = 200_000
ERRORS = 5.0  # standard errors of a Monte Carlo mean
JUMP = 1e-4  # of phi or phi', as a share of its largest value
OFF = 0.125  # from the initial values of learned parameters, to look at other ones too


def activation_problems(activation: Activation) -> list[str]:
    """Every way in which ``activation`` breaks its contract, in words; none: an empty list."""
    basic = [*shape_problems(activation), *finite_problems(activation)]
    if basic:  # what follows would only repeat them
        return basic
    checks = (
        derivative_problems,
        kink_problems,
        learned_problems,
        formula_problems,
        mean_problems,
    )
    return [problem for check in checks for problem in check(activation)]


def shape_problems(activation: Activation) -> Iterator[str]:
    """Where phi or phi' changes shape or dtype, or one element depends on another."""
    for name, f in (("phi", activation.phi), ("phi'", activation.derivative)):
        yield from itertools.islice(_misshapen(name, f), 1)


def _misshapen(name: str, f: Callable[[Tensor], Tensor]) -> Iterator[str]:
    for dtype, shape in itertools.product((torch.float32, torch.float64), SHAPES):
        h = torch.randn(shape, generator=_generator(), dtype=torch.float64).to(dtype)
        a = f(h)
        if (a.shape, a.dtype) != (h.shape, dtype):
            was, now = (f"{tuple(t.shape)} of {t.dtype}" for t in (h, a))
            yield f"{name} turns a tensor {was} into {now}: keep shape and dtype"
        elif not torch.allclose(f(h.flatten()[:1]), a.flatten()[:1], rtol=1e-5, equal_nan=True):
            yield f"{name} of one h depends on other elements: it must be elementwise"


def finite_problems(activation: Activation) -> Iterator[str]:
    """Where phi or phi' is not a number."""
    h = _line(4001)
    for name, f in (("phi", activation.phi), ("phi'", activation.derivative)):
        bad = h[~torch.isfinite(f(h))]
        if len(bad):
            yield f"{name} is not finite at h = {bad[0]:g}"


def derivative_problems(activation: Activation, step: float = 1e-6) -> Iterator[str]:
    """Where phi' is not the central difference of phi, kinks apart."""
    h = _line(4001)
    for kink in activation.kinks:
        h = h[(h - kink).abs() > 2 * step]
    above, below = activation.phi(h + step), activation.phi(h - step)
    slope, difference = activation.derivative(h), (above - below) / (2 * step)
    rounding = 1e-15 * above.abs().max() / step
    off = (slope - difference).abs() > 1e-6 * (slope.abs() + slope.abs().max()) + 10 * rounding
    if off.any():
        at, found, known = (float(values[off][0]) for values in (h, slope, difference))
        yield f"phi'({at:g}) is {found:g}, and differences of phi give {known:g}"


def kink_problems(activation: Activation) -> Iterator[str]:
    """Jumps of phi or phi' that ``kinks`` does not list, and listed ones where there is none."""
    known = sorted(activation.kinks)
    found: set[float] = set()
    for learned in _settings(activation):
        found |= set(jumps(lambda h, p=learned: activation.phi(h, *p), known))
        found |= set(jumps(lambda h, p=learned: activation.derivative(h, *p), known))
    missing = [x for x in sorted(found) if all(abs(x - k) > 1e-6 for k in known)]
    for x in _apart(missing):
        yield f"phi or phi' jumps at h = {x:.6g}, which kinks = {tuple(known)} leaves out"
    for kink in known:
        if all(abs(x - kink) > 1e-6 for x in found):
            yield f"kinks has {kink:g}, and neither phi nor phi' jumps there"


def jumps(f: Callable[[Tensor], Tensor], also: list[float]) -> list[float]:
    """Where ``f`` jumps on [-SPAN, SPAN], or near a place of ``also``.

    Each cell of a grid is halved again and again, towards the half over which ``f`` changes more:
    in the end a continuous ``f`` changes by nothing over it, one that jumps still by the jump.
    """
    edges = torch.cat([_line(16_002), torch.tensor(also, dtype=torch.float64) - 3e-4])
    low = torch.cat([edges[:16_001], edges[16_002:]])
    high = torch.cat([edges[1:16_002], edges[16_002:] + 1e-3])
    for _ in range(24):
        middle = (low + high) / 2
        left = (f(middle) - f(low)).abs() >= (f(high) - f(middle)).abs()
        low, high = torch.where(left, low, middle), torch.where(left, middle, high)
    size = f(_line(16_002)).abs().max().clamp(min=1e-300)
    return ((low + high) / 2)[(f(high) - f(low)).abs() > JUMP * size].tolist()


def learned_problems(activation: Activation, step: float = 1e-6) -> Iterator[str]:
    """Where learned parameters do not default to ``learned``, broadcast or have a gradient."""
    h, start = _line(201), activation.learned
    if not torch.equal(activation.phi(h), activation.phi(h, *start)):
        yield f"phi(h) is not phi(h, *{start}): give the parameters these defaults"
    runs = h.expand(2, 3, -1)
    shifted = [torch.tensor([p, p + OFF], dtype=h.dtype)[:, None, None] for p in start]
    together = activation.phi(runs, *shifted)
    alone = [activation.phi(h, *(p + shift for p in start)) for shift in (0.0, OFF)]
    if not torch.allclose(together, torch.stack(alone)[:, None].expand(2, 3, -1)):
        yield "phi with learned parameters of shape (runs, 1, 1) is not phi run by run"
    for i, p in enumerate(start):
        value = torch.tensor(p, dtype=h.dtype, requires_grad=True)
        values = [activation.phi(h, *start[:i], p + s, *start[i + 1 :]) for s in (step, -step)]
        difference = ((values[0] - values[1]) / (2 * step)).sum()
        a = activation.phi(h, *start[:i], value, *start[i + 1 :]).sum()
        slope = torch.autograd.grad(a, value)[0] if a.requires_grad else torch.zeros(())
        if not torch.allclose(slope.double(), difference, rtol=1e-5, atol=1e-5):
            letter = string.ascii_lowercase[i]
            yield f"the gradient by {letter} is {slope:g}, and differences give {difference:g}"


def formula_problems(activation: Activation) -> Iterator[str]:
    """Where the formula, read as maths, is something else than phi. It may be left out."""
    if not activation.formula:
        return
    h = _line(401)
    for learned in _settings(activation):
        letters = dict(zip(string.ascii_lowercase, learned, strict=False))
        try:
            written = evaluate(activation.formula, {"h": h.numpy(), **letters})
        except ValueError as error:
            yield f"the formula {error}"
            return
        phi = activation.phi(h, *learned).numpy()
        off = ~np.isclose(written, phi, rtol=1e-6, atol=1e-7)
        if off.any():
            at, says, is_ = (float(np.broadcast_to(v, h.shape)[off][0]) for v in (h, written, phi))
            yield f"the formula {activation.formula!r} is {says:g} at h = {at:g}, and phi {is_:g}"
            return


def mean_problems(activation: Activation) -> Iterator[str]:
    """Where E phi^2 or E phi'^2 (q map and chi_1) by quadrature is not what draws give."""
    draws = torch.randn(DRAWS, generator=_generator(), dtype=torch.float64)
    functions = {
        "E phi^2": lambda h: activation.phi(h) ** 2,
        "E phi'^2": lambda h: activation.derivative(h) ** 2,
    }
    for q in QS:
        for name, f in functions.items():
            values, found = f(math.sqrt(q) * draws), float(mean(activation, f, q))
            if not (math.isfinite(found) and torch.isfinite(values).all()):
                continue  # it grows beyond float64: there is no theory at this q
            drawn, error = float(values.mean()), float(values.std()) / math.sqrt(DRAWS)
            if abs(found - drawn) > ERRORS * error + 1e-9 * abs(drawn):
                yield (
                    f"{name} at q = {q:g} is {found:.6g} by quadrature, and {drawn:.6g} +- "
                    f"{error:.1g} of draws: declare its kinks, and frequency if it oscillates"
                )


def _settings(activation: Activation) -> list[tuple[float, ...]]:
    """Learned parameters at their initial values, and off them."""
    start = activation.learned
    return [start, tuple(p + OFF for p in start)] if start else [start]


def _line(points: int) -> Tensor:
    return torch.linspace(-SPAN, SPAN, points, dtype=torch.float64)


def _apart(places: list[float]) -> list[float]:
    """Sorted ``places``, those within a step of the one before left out."""
    return [x for i, x in enumerate(places) if i == 0 or x - places[i - 1] > 1e-6]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
