"""What an update did to a run's weights, told behind it in one compiled loop over each of them."""

from __future__ import annotations

import numpy as np

from .compiled import exact, reordered
from .lanes import of_run

Array = np.ndarray


@reordered
def tell(w: Array, change: Array, start: Array, out: Array) -> None:
    """Leave in ``out`` squares of a ``change``, of w - start, and of start."""
    changes = apart = began = 0.0
    for j in range(len(w)):
        a, b, c = np.float64(w[j]), np.float64(change[j]), np.float64(start[j])
        changes += b * b
        apart += (a - c) * (a - c)
        began += c * c
    out[0], out[1], out[2] = changes, apart, began


@exact
def _taken(m: float, v: float, scale: float, least: float, rate: float) -> float:
    """By the rate it is multiplied last: a product with a small m would lose digits."""
    return rate * (m / (scale * np.sqrt(v) + least))


@reordered
def tell_adam(
    w: Array, m: Array, v: Array, start: Array, numbers: Array, rate: float, out: Array
) -> None:
    """The same of a change by Adam, which has left two means: rate m / (scale sqrt(v) + least).

    It is not written down first: the sums are made while a root or a division is waited for.
    """
    scale, least = numbers[0], numbers[1]
    changes = apart = began = 0.0
    for j in range(len(w)):
        change = _taken(m[j], v[j], scale, least, rate)
        a, b, c = np.float64(w[j]), np.float64(change), np.float64(start[j])
        changes += b * b
        apart += (a - c) * (a - c)
        began += c * c
    out[0], out[1], out[2] = changes, apart, began


@reordered
def compare(g: Array, earlier: Array, out: Array) -> None:
    """Leave in ``out``, behind those, squares of g and of ``earlier``, and g times that."""
    squares = before = along = 0.0
    for j in range(len(g)):
        b, c = np.float64(g[j]), np.float64(earlier[j])
        squares += b * b
        before += c * c
        along += b * c
    out[3], out[4], out[5] = squares, before, along


@exact
def tell_all(
    weights: Array,
    changes: Array,
    means: tuple[Array, Array],
    starts: Array,
    gradients: tuple[Array, Array],
    sizes: Array,
    rates: Array,
    numbers: Array,
    out: Array,
) -> None:
    """The same of tensors at these addresses, of so many numbers a run, into (tensors, runs, 6).

    Where there are no ``changes``, they are Adam's, of its ``means`` with these ``rates`` (runs):
    ``numbers`` are the scale of the root, and what is added to it. ``gradients`` are those of the
    update and of the one before, the latter of no tensor where nothing is compared.
    """
    like = rates[0]
    for n in range(len(weights)):
        size = sizes[n]
        for run in range(len(rates)):
            w, start = of_run(weights[n], run, size, like), of_run(starts[n], run, size, like)
            if len(changes):
                tell(w, of_run(changes[n], run, size, like), start, out[n, run])
            else:
                m, v = of_run(means[0][n], run, size, like), of_run(means[1][n], run, size, like)
                tell_adam(w, m, v, start, numbers, rates[run], out[n, run])
            if len(gradients[1]):
                g = of_run(gradients[0][n], run, size, like)
                compare(g, of_run(gradients[1][n], run, size, like), out[n, run])


@reordered
def _squares(values: Array) -> float:
    total = 0.0
    for j in range(len(values)):
        v = np.float64(values[j])
        total += v * v
    return total


@exact
def squares(tensors: Array, sizes: Array, like: Array, out: Array) -> None:
    """Squares of each run of tensors at these addresses, into (tensors, runs)."""
    for n in range(len(tensors)):
        for run in range(out.shape[1]):
            out[n, run] = _squares(of_run(tensors[n], run, sizes[n], like[0]))
