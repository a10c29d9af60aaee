r"""A wide recurrent net as a population of units in Gaussian fields: any cell, any memory.

A unit sees the rest of a net of random weights through sums over many others: its drive
:math:`p_t = x_t W` and its recall :math:`r_t = s_t U`, s_t the past that U acts on. Over units
these are Gaussian; as W and U are the same at every step, they are correlated over time:

.. math:: \overline{r_t r_{t'}} = n\,\mathrm{var}(U)\, \overline{s_t s_{t'}}, \qquad
          \overline{p_t p_{t'}} = n\,\mathrm{var}(W)\, \overline{x_t x_{t'}}

So units are drawn that share these moments, step by step, each new field given all earlier ones.
Going back it is the same: :math:`U^T \delta_t` is a field independent of those of the way forward
(Yang 2019, arXiv:1902.04760), whose moments over time are those of the derivatives with respect to
r. The cell itself is never approximated: it is the cell's own step, and its derivative.

Where U = gain · 1 there is no field of the past: each unit sees its own, and this is exact.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..parts.norms import layer_norm
from ..parts.recurrences import Step

if TYPE_CHECKING:
    from ..parts.activations import Activation
    from ..parts.recurrences import Recurrence
    from .recurrent import Spread

SAMPLES = 32  # that are followed, at most
UNITS = 256  # of a sample, at least
NUMBERS = 2**22  # of all units of all samples at all steps ...
OF_THEIR_OWN = 2**23  # ... and where no unit sees another
LEAST_PIVOT = 1e-10  # of a variance: less is what rounding left of a field that is settled
SEED = 0


class Cell(NamedTuple):
    """What a unit is, and how it sees the others."""

    activation: Activation
    recurrence: Recurrence
    normed: bool
    identical: bool  # U is a multiple of the identity
    generator: torch.Generator

    @property
    def starts(self) -> list[float]:
        """The bias that the cell adds to each column."""
        return [self.recurrence.bias.get(c, 0.0) for c in self.recurrence.columns]

    def step(self, p: Tensor, r: Tensor, before: Step) -> Step:
        """A step of all units; drive and recall are (column, sample, unit)."""

        def see(column: int, z: Tensor) -> Tensor:
            # Behind the norm, as in the engine: it would take the same bias of all units away.
            return layer_norm(z[None])[0] + self.starts[column] if self.normed else z

        phi = self.activation.phi
        return self.recurrence.step(tuple(p), tuple(r), before, phi, see)


class Lived(NamedTuple):
    """A layer seen going forward."""

    p: Tensor  # (step, column, sample, unit)
    r: Tensor  # likewise
    before: list[Step]  # each step's past
    a: Tensor  # (step, sample, unit)
    q: Tensor  # (step)


def population(
    activation: Activation,
    recurrence: Recurrence,
    spread: Spread,
    normed: bool,
    x: np.ndarray,
    identical: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """q and log10 of rms(delta), (layers, steps), for inputs ``x`` (samples, steps, features).

    Always the same units are drawn; ``identical``: U is the identity times a gain.
    """
    generator = torch.Generator().manual_seed(SEED)
    cell = Cell(activation, recurrence, normed, identical, generator)
    x = torch.from_numpy(x[:SAMPLES])
    samples, steps, features = x.shape
    columns, numbers = len(recurrence.columns), OF_THEIR_OWN if identical else NUMBERS
    units = max(UNITS, int(numbers / (samples * steps * columns)))
    weights = math.sqrt(spread.below[0]) * _normal(cell, columns, samples, units, features)
    p = torch.einsum("stf,csuf->tcsu", x, weights)
    layers = []
    for n, (past, bias) in enumerate(zip(spread.past, spread.bias, strict=True)):
        if n:
            together = spread.below[n] * _together(layers[-1].a[:, None])
            p = _field(cell, together, columns, units)
        layers.append(_forward(cell, p + _bias(cell, bias, p), past))
    return _profiles(cell, layers, spread)


def _profiles(cell: Cell, layers: list[Lived], spread: Spread) -> tuple[np.ndarray, np.ndarray]:
    """q and log10 of rms(delta), with a head of variance 1 at the last step."""
    above = torch.zeros_like(layers[-1].a)
    above[-1] = _normal(cell, *above.shape[1:])
    squares = []
    for n in reversed(range(len(layers))):
        delta2, at_drive = _backward(cell, layers[n], spread.past[n], above)
        squares.append(delta2)
        if n:  # nothing is asked of the input's gradient
            together = spread.below[n] * _together(at_drive)
            above = _field(cell, together, 1, above.shape[-1])[:, 0]
    q = torch.stack([layer.q for layer in layers]).numpy()
    return q, torch.stack(squares[::-1]).log10().numpy() / 2


def _forward(cell: Cell, p: Tensor, past: float) -> Lived:
    """A layer's life in drive ``p``; ``past`` is the variance of U times its units."""
    steps, columns, samples, units = p.shape
    nothing = p.new_zeros(samples, units)
    state, field = Step(nothing, nothing, nothing), Field(cell, steps, columns, samples, units)
    seen = Steps(steps, 1, samples, units)
    a, recalls, before, q = [], [], [], []
    for t in range(steps):
        now = _recalled(cell.recurrence, a, nothing)
        if cell.identical:
            r = (math.sqrt(past) * now).expand(columns, -1, -1)
        else:
            seen.add(now[None])
            r = field.draw(past * seen.with_last())
        before.append(state)
        state = cell.step(p[t], r, state)
        a.append(state.a)
        recalls.append(r)
        q.append((state.h**2).mean())
    return Lived(p, torch.stack(recalls), before, torch.stack(a), torch.stack(q))


def _backward(cell: Cell, layer: Lived, past: float, above: Tensor) -> tuple[Tensor, Tensor]:
    """Mean square of delta, (step), and dL/dp, (step, column, sample, unit).

    ``above``, (step, sample, unit), is dL/da that comes from the layer above, or from the head.
    """
    steps, samples, units = above.shape
    field, to_a, to_memory = Field(cell, steps, 1, samples, units), above.clone(), None
    at_recall = Steps(steps, layer.r.shape[1], samples, units)
    delta2, at_drive = [], []
    for t in reversed(range(steps)):
        found = _back_a_step(cell, layer, t, to_a[t], to_memory)
        delta2.append((found.h**2).mean())
        at_drive.append(found.p)
        to_memory = found.memory
        if cell.identical:
            recalled = math.sqrt(past) * found.r.sum(0)
        else:
            at_recall.add(found.r)
            recalled = field.draw(past * at_recall.with_last())[0]
        if t:
            to_a[t - 1] += found.a
        for lag, share in reached(cell.recurrence):
            if t >= lag:
                to_a[t - lag] += share * recalled
    return torch.stack(delta2[::-1]), torch.stack(at_drive[::-1])


class Back(NamedTuple):
    """Derivatives of L with respect to what a step saw."""

    p: Tensor
    r: Tensor
    a: Tensor
    memory: Tensor
    h: Tensor


def _back_a_step(cell: Cell, layer: Lived, t: int, to_a: Tensor, to_memory: Tensor | None) -> Back:
    """The derivatives at step t, given those with respect to its output and its memory."""
    before = layer.before[t]
    with torch.enable_grad():
        given = [z.detach().requires_grad_() for z in (layer.p[t], layer.r[t], before.a)]
        memory = (before.a if before.memory is None else before.memory).detach().requires_grad_()
        state = cell.step(*given[:2], Step(before.h, given[2], memory))
        ends, arrives = [state.a], [to_a]
        if state.memory is not None and to_memory is not None:
            ends, arrives = [*ends, state.memory], [*arrives, to_memory]
        wanted = [*given, memory, state.h]
        found = torch.autograd.grad(ends, wanted, arrives, allow_unused=True)
    whole = [torch.zeros_like(z) if g is None else g for z, g in zip(wanted, found, strict=True)]
    return Back(*whole)


def reached(recurrence: Recurrence) -> list[tuple[int, float]]:
    """How many steps ago the outputs are that U acts on, and times what."""
    if recurrence.reaches == 1:
        return [(1, 1.0)]
    return [(1, math.sqrt(0.5)), (recurrence.reaches, math.sqrt(0.5))]


def _recalled(recurrence: Recurrence, a: list[Tensor], nothing: Tensor) -> Tensor:
    """What U acts on, given all outputs until now; before the first there is nothing."""
    parts = [share * a[-lag] for lag, share in reached(recurrence) if lag <= len(a)]
    return sum(parts, nothing)


class Steps:
    """Numbers of units, step by step, in memory that is asked for once."""

    def __init__(self, steps: int, columns: int, samples: int, units: int) -> None:
        self._kept = torch.empty(steps, columns, samples, units, dtype=torch.float64)
        self._product, self._count = torch.empty_like(self._kept[0]), 0

    def add(self, values: Tensor) -> None:
        """The next step, (column, sample, unit)."""
        self._kept[self._count] = values
        self._count += 1

    def with_last(self) -> Tensor:
        """Means over units of each step times the last, summed over columns, (step, sample)."""
        last = self._kept[self._count - 1]
        means = [torch.mul(step, last, out=self._product).mean(-1) for step in self._so_far()]
        return torch.stack(means).sum(1)

    def mixed(self, factors: Tensor) -> Tensor:
        """The sum of all steps times ``factors`` (sample, step), as (column, sample, unit)."""
        mixed = torch.zeros_like(self._product)
        for n, step in enumerate(self._so_far()):
            mixed += torch.mul(step, factors[:, n, None], out=self._product)
        return mixed

    def _so_far(self) -> Tensor:
        return self._kept[: self._count]


class Field:
    """A Gaussian field over units, drawn step by step, each step given all earlier ones.

    The covariance of the steps is factored row by row as it becomes known (Cholesky).
    """

    def __init__(self, cell: Cell, steps: int, columns: int, samples: int, units: int) -> None:
        self._cell, self._shape = cell, (columns, samples, units)
        self._noise = Steps(steps, columns, samples, units)
        self._factor = torch.zeros(samples, steps, steps, dtype=torch.float64)
        self._moves = torch.zeros(samples, steps, dtype=torch.float64)  # 0 where it is settled

    def draw(self, together: Tensor) -> Tensor:
        """The next step, (column, sample, unit), of the covariances (step, sample) until now."""
        t, now = len(together) - 1, together[-1]
        known = together[:-1].T[..., None]  # (sample, step, 1)
        pivots = torch.diag_embed(1 - self._moves[:, :t])  # a settled step has the pivot 0
        row = (
            torch.linalg.solve_triangular(self._factor[:, :t, :t] + pivots, known, upper=False)[
                ..., 0
            ]
            * self._moves[:, :t]
        )
        rest = now - (row**2).sum(-1)
        moves = (rest > LEAST_PIVOT * now).double()
        self._moves[:, t], self._factor[:, t, :t] = moves, row
        self._factor[:, t, t] = moves * rest.clamp(min=0).sqrt()
        self._noise.add(_normal(self._cell, *self._shape))
        return self._noise.mixed(self._factor[:, t, : t + 1])


def _together(values: Tensor) -> Tensor:
    """Means over units of products of two steps, summed over columns, (sample, step, step)."""
    return torch.einsum("tcsu,rcsu->str", values, values) / values.shape[-1]


def _field(cell: Cell, together: Tensor, columns: int, units: int) -> Tensor:
    """A Gaussian field (step, column, sample, unit) of known covariances (sample, step, step)."""
    if not together.isfinite().all():
        return together.new_full((together.shape[1], columns, len(together), units), math.nan)
    size, axes = torch.linalg.eigh(together)
    root = axes * size.clamp(min=0).sqrt()[:, None]
    root = root * (together.diagonal(dim1=1, dim2=2) > 0)[..., None]  # no rounding where all is 0
    noise = _normal(cell, columns, *root.shape[:2], units)
    return torch.einsum("str,csru->tcsu", root, noise)


def _bias(cell: Cell, variance: float, p: Tensor) -> Tensor:
    """A bias for each column and unit: as drawn, and before no norm what the cell adds to it."""
    drawn = math.sqrt(variance) * _normal(cell, *p.shape[1:])
    if cell.normed:
        return drawn
    return drawn + torch.tensor(cell.starts, dtype=torch.float64)[:, None, None]


def _normal(cell: Cell, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=cell.generator)
