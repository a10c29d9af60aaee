"""a W + b of a stack of runs, each with its own weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..lazy import Lazy

loops = Lazy("vanishing.engine.product_kernels")  # numba takes a third of a second to load


def affine(a: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """a W + b, (runs, batch, units), of ``a`` (runs, batch, inputs).

    ``weight`` (runs, inputs, units) and ``bias`` (runs, 1, units). On a CPU in float64, in which
    probes are taken, the loops of :mod:`.product_kernels`, in which a run's numbers do not depend
    on the runs beside it: no slower than MKL's, and on AMD faster. Elsewhere torch's.
    """
    runs, _, inputs = a.shape
    exact = a.dtype == weight.dtype == bias.dtype == torch.float64
    fitting = weight.shape[:2] == (runs, inputs) and bias.shape == (runs, 1, weight.shape[2])
    if a.device.type == "cpu" and exact and fitting:
        return _Affine.apply(a, weight, bias)
    return torch.baddbmm(bias, a, weight)


def load() -> None:
    """Compile the loops, or read them from the disk, so that forks of this process find them."""
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    affine(one, one, one)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(a, weight)
        return _product(a, weight, bias)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        a, weight = ctx.saved_tensors
        for_a, for_weight, for_bias = ctx.needs_input_grad
        # A gradient that will be differentiated itself is torch's.
        product = torch.bmm if torch.is_grad_enabled() else _product
        of_a = product(delta, weight.transpose(1, 2)) if for_a else None
        of_weight = product(a.transpose(1, 2), delta) if for_weight else None
        return of_a, of_weight, delta.sum(1, keepdim=True) if for_bias else None


def _product(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """x w + b, (runs, rows, units), of x (runs, rows, terms), w (runs, terms, units), float64."""
    (runs, rows, terms), units = x.shape, w.shape[2]
    of_b = (0, 0, 0) if b is None else (b.data_ptr(), b.stride(0), b.stride(2))
    out = x.new_empty(runs, rows, units)
    of_x, of_w = (x.data_ptr(), *x.stride()), (w.data_ptr(), *w.stride())
    loops.multiply(*of_x, *of_w, *of_b, out.numpy(), terms)
    return out
