r"""A recurrent layer as one operation, forward and back, where all that counts is its output.

Torch's own differentiation keeps every step's values in tensors of their own and adds up a weight's
gradient step by step. Here they lie in blocks (:mod:`.step_kernels`): with s_t = [x_t, 1, a_{t-1}]
and V, the rows of W, b and U,

    z_t = s_t V,    dL/dV = sum_t s_t^T dL/dz_t,

and the sum is one product of all steps. A GRU's candidate has a column of V for its drive, with 0
for U, and one for its recall, with 0 for W and b.

An update of 20 runs (batch 32, width 32, Adam) is 1.6 to 2.3 times as fast as by the general
pass, and as a loop over torch.nn with its own kernels 8 times (RNN), 7.5 (GRU), 3.5, 2.4 and 1.9
(LSTM of 25, 64, 200 steps); at width 128 still 3.3 (RNN) and 1.4 (LSTM). So no loop is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
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
from .network import Network

kernels = Lazy("vanishing.engine.step_kernels")  # numba takes a third of a second to load
PHIS = ("tanh", "relu")
DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Cell:
    """The compiled loops of a recurrence, and what they ask for."""

    name: str  # of the loops
    carries: bool = False  # a past that does not go by way of U: the step's output
    remembers: bool = False  # likewise: a memory
    apart: bool = False  # the candidate's drive and recall
    phi: str = "tanh"
    alpha: float = 1.0

    @property
    def step(self) -> Callable[..., None]:
        """The loop of a step."""
        return getattr(kernels, self.name)

    @property
    def back(self) -> Callable[..., None]:
        """The loop of the way back through it."""
        return getattr(kernels, f"{self.name}_back")

    def ends(self, dtype: np.dtype) -> tuple[int, np.generic]:
        """The last arguments of both: which phi, and alpha."""
        return getattr(kernels, self.phi.upper()), dtype.type(self.alpha)


CELLS = (
    Cell("vanilla"),
    Cell("leaky", carries=True),
    Cell("lstm", remembers=True),
    Cell("gru", carries=True, apart=True),
)


def cell_of(net: Network, x: Tensor) -> Cell | None:
    """The compiled loops of a net that sees ``x``; None where it has none."""
    plain = net.norm is NORMS["none"] and not net.truncation and net.recurrence.reaches == 1
    if not plain or x.device.type != "cpu" or x.dtype not in DTYPES:
        return None
    phis = [name for name in PHIS if net.activation.phi is ACTIVATIONS[name].phi]
    own, given = _rule(net.recurrence)
    cells = [cell for cell in CELLS if own is _rule(RECURRENCES[cell.name])[0]]
    if not phis or not cells:
        return None
    return replace(cells[0], phi=phis[0], alpha=given.get("alpha", 1.0))


def _rule(recurrence: Recurrence) -> tuple[Callable, dict[str, float]]:
    """The function of a recurrence's step, and the parameters that it was given."""
    step = recurrence.step
    return getattr(step, "func", step), getattr(step, "keywords", {})


def outputs(cell: Cell, below: Tensor, weight: Tensor, bias: Tensor, every: bool) -> Tensor:
    """The layer's output of every step (runs, steps, batch, units), or of the last (runs, 1, ...).

    ``below`` is (runs, steps, batch, inputs), ``weight`` (runs, inputs + units, columns). Where no
    gradient is asked for, nothing is kept that no later step needs.
    """
    if torch.is_grad_enabled() and any(t.requires_grad for t in (below, weight, bias)):
        return _Layer.apply(below, weight, bias, cell, every)
    return _live(cell, below, weight, bias, every, keep=False)[0]


@dataclass
class _Lived:
    """What the steps of a layer leave behind."""

    s: Tensor  # (runs, steps + 1, batch, inputs + 1 + units): what the layer sees, 1, and a
    v: Tensor  # (runs, inputs + 1 + units, columns)
    p: Tensor  # (runs, steps or 1, batch, columns)
    c: Tensor  # (runs, steps + 1 or 2, batch, units)

    @classmethod
    def of(cls, cell: Cell, below: Tensor, v: Tensor, keep: bool) -> _Lived:
        """Room for all steps, or without ``keep`` for the last ones, and what it begins with."""
        runs, steps, batch, inputs = below.shape
        s = below.new_empty(runs, steps + 1, batch, v.shape[1])
        s[:, :-1, :, :inputs], s[..., inputs], s[:, 0, :, inputs + 1 :] = below, 1, 0
        c = below.new_empty(runs, steps + 1 if keep else 2, batch, v.shape[1] - inputs - 1)
        c = c if cell.remembers else c[:, :0]
        c[:, :1] = 0
        return cls(s, v, below.new_empty(runs, steps if keep else 1, batch, v.shape[2]), c)

    @property
    def a(self) -> Tensor:
        """Outputs (runs, steps + 1, batch, units), before the first step 0."""
        return self.s[..., -self.c.shape[3] :]


def _live(
    cell: Cell, below: Tensor, weight: Tensor, bias: Tensor, every: bool, keep: bool
) -> tuple[Tensor, _Lived]:
    """The outputs, and what the steps leave behind: with ``keep`` of all of them."""
    steps = below.shape[1]
    lived = _Lived.of(cell, below, _rows(cell, weight, bias, below.shape[3]), keep)
    z = torch.empty_like(lived.p[:, 0])
    arrays = z.numpy(), lived.p.numpy(), lived.s.numpy(), lived.c.numpy()
    slots, step, ends = lived.c.shape[1] or 1, cell.step, cell.ends(arrays[0].dtype)
    for t in range(steps):
        torch.bmm(lived.s[:, t], lived.v, out=z)
        at = (t, t if keep else 0, t % slots, (t + 1) % slots)
        step(*arrays, at, *ends)
    return lived.a[:, 1:] if every else lived.a[:, -1:].clone(), lived


class _Layer(torch.autograd.Function):
    """See :func:`outputs`."""

    @staticmethod
    def forward(ctx: Any, below: Tensor, weight: Tensor, bias: Tensor, cell: Cell, every: bool):
        """The outputs; the way back uses up what is kept for it."""
        found, lived = _live(cell, below, weight, bias, every, keep=True)
        ctx.save_for_backward(weight)
        ctx.lived, ctx.cell, ctx.every, ctx.inputs = lived, cell, every, below.shape[3]
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the inputs, the weight and the bias."""
        [weight] = ctx.saved_tensors  # refuses a second time
        cell, lived, inputs = ctx.cell, ctx.lived, ctx.inputs
        del ctx.lived
        _back(cell, lived, grad, ctx.every)
        dz = lived.p.flatten(1, 2)
        d_v = torch.bmm(lived.s[:, :-1].flatten(1, 2).transpose(1, 2), dz)
        d_below = None
        if ctx.needs_input_grad[0]:
            d_below = torch.bmm(dz, lived.v[:, :inputs].transpose(1, 2))
            d_below = d_below.unflatten(1, lived.p.shape[1:3])
        return d_below, *_weight_and_bias(cell, d_v, inputs, weight.shape[2]), None, None


def _back(cell: Cell, lived: _Lived, grad: Tensor, every: bool) -> None:
    """Leave dL/dz of every step in p."""
    past = lived.v[:, -lived.c.shape[3] :].transpose(1, 2).contiguous()
    da = grad[:, -1].clone(memory_format=torch.contiguous_format)
    arrays = lived.p.numpy(), lived.s.numpy(), lived.c.numpy()
    gradients = da.numpy(), torch.zeros_like(da).numpy()
    back, ends = cell.back, cell.ends(gradients[0].dtype)
    for t in reversed(range(lived.p.shape[1])):
        back(*arrays, *gradients, (t, t, t, t + 1), *ends)
        if not t:  # nothing comes before it
            break
        if cell.carries:
            da.baddbmm_(lived.p[:, t], past)
        else:
            torch.bmm(lived.p[:, t], past, out=da)
        if every:
            da += grad[:, t - 1]


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
