"""The largest absolute eigenvalue and the largest singular value of the matrices of a stack.

On a CPU by :mod:`.spectral_kernels`, a fraction of the time of a solver that finds them all; the
few matrices that these leave without an answer, and those on a GPU, go to such a solver.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..lazy import Lazy

kernels = Lazy("vanishing.engine.spectral_kernels")  # numba takes a third of a second to load


def spectral_radius(matrices: Tensor) -> Tensor:
    """The largest absolute eigenvalue of ``matrices`` (count, n, n), in float64.

    NaN where a matrix is not finite.
    """
    return _largest(matrices, False, lambda some: torch.linalg.eigvals(some).abs().amax(1))


def spectral_norm(matrices: Tensor) -> Tensor:
    """The largest singular value, likewise."""
    return _largest(matrices, True, lambda some: torch.linalg.matrix_norm(some, 2))


def _largest(matrices: Tensor, of_squares: bool, solve: Callable[[Tensor], Tensor]) -> Tensor:
    if matrices.device.type != "cpu":
        return _solved(matrices, solve)
    made = np.empty(len(matrices))
    kernels.largest(matrices.contiguous().numpy(), of_squares, made)
    found = torch.from_numpy(made)
    missed = found.isnan()
    if missed.any():
        found[missed] = _solved(matrices[missed], solve)
    return found


def _solved(matrices: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
    """What a solver, which takes finite numbers alone, makes of all that are."""
    finite = matrices.isfinite().flatten(1).all(1)
    found = solve(torch.where(finite.view(-1, 1, 1), matrices, 0.0))
    return torch.where(finite, found, torch.nan)


def load() -> None:
    """Compile the loops, or read them from the disk, so that forks of this process find them."""
    spectral_radius(torch.ones(1, 1, 1, dtype=torch.float64))
