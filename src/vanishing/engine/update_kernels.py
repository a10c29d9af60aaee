"""W <- W - lr g of all tensors of a stack in one compiled loop: else calls cost more than sums."""

from __future__ import annotations

import numpy as np

from .compiled import exact, reordered
from .lanes import of_run

Array = np.ndarray


@exact
def descend_run(w: Array, g: Array, rate: float) -> None:
    """Of one tensor of one run: in whichever loop it is called, with the same roundings."""
    for j in range(len(w)):
        w[j] -= rate * g[j]


@reordered
def tell_gradient(w: Array, g: Array, rate: float, kept: Array, compares: bool, out: Array) -> None:
    """Leave in ``out`` squares of W, lr g and g, then of what was ``kept``, and g times that.

    The last two where it ``compares``. Then g is kept.
    """
    weights = changes = squares = earlier = along = 0.0
    for j in range(len(w)):
        a, b, c = np.float64(w[j]), np.float64(g[j]), np.float64(rate * g[j])
        weights += a * a
        squares += b * b
        changes += c * c
    if compares:
        for j in range(len(w)):
            b, c = np.float64(g[j]), np.float64(kept[j])
            earlier += c * c
            along += b * c
            kept[j] = g[j]
    else:
        keep(g, kept)
    out[0], out[1], out[2], out[3], out[4] = weights, changes, squares, earlier, along


@exact
def keep(g: Array, kept: Array) -> None:
    """kept <- g."""
    for j in range(len(g)):
        kept[j] = g[j]


@reordered
def descend_and_tell(w: Array, g: Array, rate: float, start: Array, out: Array) -> None:
    """As :func:`descend_run`; in ``out``, behind those, squares of W - start and of start."""
    apart = began = 0.0
    for j in range(len(w)):
        w[j] -= rate * g[j]
        a = np.float64(start[j])
        b = np.float64(w[j]) - a
        apart += b * b
        began += a * a
    out[5], out[6] = apart, began


@exact
def descend(tensors: Array, gradients: Array, sizes: Array, rates: Array) -> None:
    """Of tensors at these addresses, of so many numbers a run, with a rate for each run."""
    for n in range(len(tensors)):
        for run in range(len(rates)):
            w = of_run(tensors[n], run, sizes[n], rates[0])
            descend_run(w, of_run(gradients[n], run, sizes[n], rates[0]), rates[run])
