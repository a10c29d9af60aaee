"""W <- W - lr g of all tensors of a stack in one compiled loop: else calls cost more than sums."""

from __future__ import annotations

import numpy as np

from .compiled import exact
from .lanes import of_run

Array = np.ndarray


@exact
def descend_run(w: Array, g: Array, rate: float) -> None:
    """Of one tensor of one run: in whichever loop it is called, with the same roundings."""
    for j in range(len(w)):
        w[j] -= rate * g[j]


@exact
def descend(tensors: Array, gradients: Array, sizes: Array, rates: Array) -> None:
    """Of tensors at these addresses, of so many numbers a run, with a rate for each run."""
    for n in range(len(tensors)):
        for run in range(len(rates)):
            w = of_run(tensors[n], run, sizes[n], rates[0])
            descend_run(w, of_run(gradients[n], run, sizes[n], rates[0]), rates[run])
