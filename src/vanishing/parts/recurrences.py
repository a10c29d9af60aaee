r"""How a recurrent layer makes its state of what it sees now and of its past.

With x_t from below and a_{t-1} its own last output, every step sees the drive :math:`p = x_t W + b`
and the recall :math:`r = a_{t-1} U`, each in as many columns of units as there are gates and a
candidate; the candidate's pre-activation is h_t, which phi sees. Gates are sigmoids.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import UserError, whole
from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")

CANDIDATE = "candidate"
Phi = Callable[["Tensor"], "Tensor"]
# The sum of drive and recall of the column with this index, normalised where the net is.
Column = Callable[[int, "Tensor"], "Tensor"]


@dataclass
class Step:
    """What a time step leaves behind, each (runs, batch, units)."""

    h: Tensor  # the candidate's pre-activation
    a: Tensor  # the output
    memory: Tensor | None = None  # what is carried beside the output
    gates: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Recurrence:
    """``step(p, r, before, phi, see)``: drive, recall, the last step, phi, and see(column, sum).

    ``carry`` is the least share of its past that the state keeps at init, by the direct path alone:
    a lower bound on the gradient's factor a step, 0 where there is no such path.
    """

    step: Callable[[tuple[Tensor, ...], tuple[Tensor, ...], Step, Phi, Column], Step]
    source: str
    formula: str = ""
    columns: tuple[str, ...] = (CANDIDATE,)  # of the weights: the gates, then the candidate
    bias: dict[str, float] = field(default_factory=dict)  # added to a column's bias as drawn
    reaches: int = 1  # U acts on the outputs of one step ago, and of so many
    carry: float = 0.0

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of its gates."""
        return self.columns[:-1]


RECURRENCES: Registry[Recurrence] = Registry("recurrence", Recurrence)


def _vanilla(p: tuple, r: tuple, before: Step, phi: Phi, see: Column) -> Step:  # noqa: ARG001
    h = see(0, p[0] + r[0])
    return Step(h, phi(h))


def _leaky(p: tuple, r: tuple, before: Step, phi: Phi, see: Column, alpha: float) -> Step:
    h = see(0, p[0] + r[0])
    return Step(h, torch.lerp(before.a, phi(h), alpha))


def _lstm(p: tuple, r: tuple, before: Step, phi: Phi, see: Column) -> Step:
    take, keep, show = (torch.sigmoid(see(n, p[n] + r[n])) for n in range(3))
    h = see(3, p[3] + r[3])
    memory = keep * before.memory + take * phi(h)
    return Step(h, show * phi(memory), memory, (take, keep, show))


def _gru(p: tuple, r: tuple, before: Step, phi: Phi, see: Column) -> Step:
    reset, keep = (torch.sigmoid(see(n, p[n] + r[n])) for n in range(2))
    h = see(2, p[2] + reset * r[2])
    return Step(h, torch.lerp(phi(h), before.a, keep), gates=(reset, keep))


def _minimal(p: tuple, r: tuple, before: Step, phi: Phi, see: Column) -> Step:
    forget = torch.sigmoid(see(0, p[0] + r[0]))
    h = see(1, p[1] + forget * r[1])
    return Step(h, torch.lerp(before.a, phi(h), forget), gates=(forget,))


def leaky(alpha: float = 0.1) -> Recurrence:
    """A state that takes on a share ``alpha`` of its new value at each step."""
    if not 0 < alpha <= 1:
        raise UserError(f"recurrence 'leaky': alpha must be in (0, 1], and {alpha:g} came.")
    return Recurrence(
        functools.partial(_leaky, alpha=alpha),
        "Jaeger et al. 2007",
        "h = x W + a₋₁ U + b, a = (1 − alpha) a₋₁ + alpha phi(h)",
        carry=1 - alpha,
    )


def skip(steps: float = 5) -> Recurrence:
    """A state that sees its past of one step ago, and of ``steps``: a skip in time."""
    whole("recurrence 'skip': steps", steps, 2)
    return Recurrence(
        _vanilla,
        "Lin et al. 1996",
        "h = x W + (a₋₁ + a₋ₖ) U / √2 + b, a = phi(h), k the steps",
        reaches=int(steps),
    )


def lstm(forget_bias: float = 1.0) -> Recurrence:
    """Long short-term memory, its forget gate biased towards keeping."""
    return Recurrence(
        _lstm,
        "Hochreiter, Schmidhuber 1997; Gers et al. 2000; Jozefowicz et al. 2015",
        "i, f, o = σ(x W + a₋₁ U + b), c = f c₋₁ + i phi(h), a = o phi(c)",
        columns=("input", "forget", "output", CANDIDATE),
        bias={"forget": forget_bias},
        carry=(1 + math.tanh(forget_bias / 2)) / 2,
    )


RECURRENCES.add("vanilla", Recurrence(_vanilla, "Elman 1990", "h = x W + a₋₁ U + b, a = phi(h)"))
RECURRENCES.add("lstm", lstm)
RECURRENCES.add(
    "gru",
    Recurrence(
        _gru,
        "Cho et al. 2014",
        "r, z = σ(x W + a₋₁ U + b), h = x W + r (a₋₁ U) + b, a = (1 − z) phi(h) + z a₋₁",
        columns=("reset", "update", CANDIDATE),
        carry=0.5,
    ),
)
RECURRENCES.add(
    "minimal_gated",
    Recurrence(
        _minimal,
        "Zhou et al. 2016",
        "f = σ(x W + a₋₁ U + b), h = x W + f (a₋₁ U) + b, a = (1 − f) a₋₁ + f phi(h)",
        columns=("forget", CANDIDATE),
        carry=0.5,
    ),
)
RECURRENCES.add("leaky", leaky)
RECURRENCES.add("skip", skip)
