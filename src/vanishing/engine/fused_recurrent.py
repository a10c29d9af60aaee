r"""A recurrent layer as one operation, forward and back, where all that counts is its output.

Torch's own differentiation keeps every step's values in tensors of their own and adds up a weight's
gradient step by step. Here they lie in blocks (:mod:`.unroll_kernels`): with V the rows of W, b and
U, and s_t = [x_t, 1, a_{t-1}],

    z_t = s_t V,    dL/dV = sum_t s_t^T dL/dz_t,

and the sum is taken several steps at a time. A GRU's or a minimal cell's candidate has a column of
V for its drive, with 0 for U, and one for its recall, with 0 for W and b.

It was the fastest wherever it was measured: beside the general pass, and beside a loop of each
run's own torch.nn (see ``benchmarks/README.md``). So nothing is left to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..lazy import Lazy
from ..parts.activations import ACTIVATIONS
from ..parts.norms import NORMS
from ..parts.recurrences import RECURRENCES, Recurrence
from . import spectra
from .looks import Look
from .network import Network

kernels = Lazy("vanishing.engine.unroll_kernels")  # numba takes a third of a second to load
steps = Lazy("vanishing.engine.step_kernels")
# Looked up once: a registry parses what it is asked for. Compared by identity: what a user has
# written need have no hash.
PHIS = [(ACTIVATIONS[name].phi, name) for name in ("tanh", "relu")]
NONE = NORMS["none"]
DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Cell:
    """The compiled loops of a recurrence, and what they ask for."""

    name: str  # of the loops
    carries: bool = False  # a past that does not go by way of U: the step's output
    remembers: bool = False  # likewise: a memory
    apart: bool = False  # the candidate's drive and recall
    gates: int = 0  # columns before the candidate's
    phi: str = "tanh"
    alpha: float = 1.0

    def named(self, dtype: np.dtype) -> tuple[int, int, np.generic]:
        """What tells the loops which cell and which phi it is, and alpha."""
        return getattr(kernels, self.name.upper()), self.which, dtype.type(self.alpha)

    @property
    def which(self) -> int:
        """The number of phi."""
        return getattr(steps, self.phi.upper())

    @property
    def form(self) -> tuple[int, int, bool, bool]:
        """What tells a :class:`.Look` where h, phi(h) and the gates are."""
        is_output = not (self.carries or self.remembers)
        return self.which, self.gates, self.apart, is_output


CELLS = (
    Cell("vanilla"),
    Cell("leaky", carries=True),
    Cell("lstm", remembers=True, gates=3),
    Cell("gru", carries=True, apart=True, gates=2),
    Cell("minimal_gated", carries=True, apart=True, gates=1),
)


def cell_of(net: Network, x: Tensor) -> Cell | None:
    """The compiled loops of a net that sees ``x``; None where it has none."""
    plain = net.norm is NONE and not net.truncation and net.recurrence.reaches == 1
    if not plain or x.device.type != "cpu" or x.dtype not in DTYPES:
        return None
    phis = [name for phi, name in PHIS if net.activation.phi is phi]
    own, given = _rule(net.recurrence)
    cells = [cell for rule, cell in RULES if own is rule]
    if not phis or not cells:
        return None
    return replace(cells[0], phi=phis[0], alpha=given.get("alpha", 1.0))


def _rule(recurrence: Recurrence) -> tuple[Callable, dict[str, float]]:
    """The function of a recurrence's step, and the parameters that it was given."""
    step = recurrence.step
    return getattr(step, "func", step), getattr(step, "keywords", {})


RULES = [(_rule(RECURRENCES[cell.name])[0], cell) for cell in CELLS]


def load(dtypes: Sequence[torch.dtype] = DTYPES) -> None:
    """Compile the loops, or read them from the disk, so that forks of this process find them."""
    for dtype in dtypes:
        below, weight = torch.zeros(1, 1, 1, 1, dtype=dtype), torch.zeros(1, 2, 1, dtype=dtype)
        _, lived = _live(CELLS[0], below, weight, weight[:, :1], every=True, keep=True)
        _back(CELLS[0], lived, below, None, (torch.zeros_like(lived.v), below.clone()))
    spectra.load()  # of every probe of the layer's weights


def outputs(
    cell: Cell,
    below: Tensor,
    weight: Tensor,
    bias: Tensor,
    every: bool,
    look: Look | None = None,
) -> Tensor:
    """The layer's output of every step (runs, steps, batch, units), or of the last (runs, 1, ...).

    ``below`` is (runs, steps, batch, inputs), ``weight`` (runs, inputs + units, columns). Where no
    gradient is asked for, nothing is kept that no later step needs. A ``look`` sees every step,
    forward and back, and changes no number.
    """
    if torch.is_grad_enabled() and any(t.requires_grad for t in (below, weight, bias)):
        return _Layer.apply(below, weight, bias, cell, every, look)
    return _live(cell, below, weight, bias, every, keep=False, look=look)[0]


@dataclass
class _Lived:
    """What the steps of a layer leave behind."""

    s: Tensor  # (runs, steps + 1, batch, inputs + 1 + units): what the layer sees, 1, and a_{t-1}
    v: Tensor  # (runs, inputs + 1 + units, columns)
    p: Tensor  # (runs, steps or 1, batch, columns)
    c: Tensor  # (runs, steps + 1 or 2, batch, units)

    @classmethod
    def of(cls, cell: Cell, below: Tensor, v: Tensor, keep: bool) -> _Lived:
        """Room for all steps, or without ``keep`` for the last ones."""
        runs, steps, batch, inputs = below.shape
        s = below.new_empty(runs, steps + 1, batch, v.shape[1])
        slots = (steps + 1 if keep else 2) if cell.remembers else 0
        c = below.new_empty(runs, slots, batch, v.shape[1] - inputs - 1)
        return cls(s, v, below.new_empty(runs, steps if keep else 1, batch, v.shape[2]), c)

    @property
    def a(self) -> Tensor:
        """Outputs (runs, steps + 1, batch, units), before the first step 0."""
        return self.s[..., -self.c.shape[3] :]


def _live(
    cell: Cell,
    below: Tensor,
    weight: Tensor,
    bias: Tensor,
    every: bool,
    keep: bool,
    look: Look | None = None,
) -> tuple[Tensor, _Lived]:
    """The outputs, and what the steps leave behind: with ``keep`` of all of them."""
    below = below.detach() if below.stride(3) == 1 else below.detach().contiguous()
    lived = _Lived.of(cell, below, _rows(cell, weight, bias, below.shape[3]), keep)
    kind, which, alpha = cell.named(lived.p.numpy().dtype)
    arrays = (t.numpy() for t in (lived.v, lived.p, lived.s, lived.c))
    seen = (look.limits, look.values, look.sizes) if look else _unseen(lived.v)
    sees = below.data_ptr(), below.stride()[:3]
    kernels.forward(kind, *arrays, *sees, which, alpha, cell.form, *seen)
    return lived.a[:, 1:] if every else lived.a[:, -1:].clone(), lived


def _unseen(like: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What stands for a look where there is none."""
    return like.new_empty(0).numpy(), np.empty((0, 0, 0)), like.new_empty(0, 0).numpy()


class _Layer(torch.autograd.Function):
    """See :func:`outputs`."""

    @staticmethod
    def forward(
        ctx: Any,
        below: Tensor,
        weight: Tensor,
        bias: Tensor,
        cell: Cell,
        every: bool,
        look: Look | None,
    ) -> Tensor:
        """The outputs; the last way back uses up what is kept for it."""
        found, lived = _live(cell, below, weight, bias, every, keep=True, look=look)
        ctx.save_for_backward(weight)
        ctx.lived, ctx.cell, ctx.look, ctx.inputs = lived, cell, look, below.shape[3]
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the inputs and, on the last way back, the weight and the bias."""
        [weight] = ctx.saved_tensors  # refuses a second time
        cell, lived, inputs, look = ctx.cell, ctx.lived, ctx.inputs, ctx.look
        again = look is not None and look.again
        if again:
            lived = replace(lived, p=lived.p.clone())
        else:
            del ctx.lived
        d_v = grad.new_empty(0, 0, 0) if again else torch.zeros_like(lived.v)
        wanted = inputs if ctx.needs_input_grad[0] else 0
        d_below = grad.new_empty(*lived.p.shape[:3], wanted)
        _back(cell, lived, grad, look, (d_v, d_below))
        found = [None, None] if again else _weight_and_bias(cell, d_v, inputs, weight.shape[2])
        return d_below if wanted else None, *found, None, None, None


def _back(
    cell: Cell, lived: _Lived, grad: Tensor, look: Look | None, out: tuple[Tensor, Tensor]
) -> None:
    """Leave dL/dz of every step in p, and dL/dV and that of what is below in ``out``."""
    kind, which, alpha = cell.named(lived.p.numpy().dtype)
    back = lived.v.transpose(1, 2)
    arrays = (t.contiguous().numpy() for t in (back, lived.p, lived.s, lived.c, grad))
    seen = look.another_way_back() if look else np.empty((0, 0, 0))
    first, found = cell.gates * grad.shape[3], (t.numpy() for t in out)
    kernels.backward(kind, *arrays, cell.carries, which, alpha, first, seen, *found)


def _rows(cell: Cell, weight: Tensor, bias: Tensor, inputs: int) -> Tensor:
    """V (runs, inputs + 1 + units, columns) of the rows of W and U, ``weight``, and b."""
    v = torch.cat([weight[:, :inputs], bias, weight[:, inputs:]], dim=1)
    if not cell.apart:
        return v
    units = weight.shape[1] - inputs
    v = torch.cat([v, v[..., -units:]], dim=2)
    v[:, inputs + 1 :, -2 * units : -units] = 0
    v[:, : inputs + 1, -units:] = 0
    return v


def _weight_and_bias(cell: Cell, d_v: Tensor, inputs: int, columns: int) -> tuple[Tensor, Tensor]:
    """The gradients of ``weight`` and b of that of V, as :func:`_rows` has put it together."""
    d_past = d_v[:, inputs + 1 :]
    if cell.apart:
        units = d_past.shape[1]
        d_past = torch.cat([d_past[..., : -2 * units], d_past[..., -units:]], dim=2)
    d_weight = torch.cat([d_v[:, :inputs, :columns], d_past], dim=1)
    return d_weight, d_v[:, inputs : inputs + 1, :columns]
