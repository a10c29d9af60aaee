"""All time steps of a recurrent layer, forward and back, run by run, in compiled loops.

A run's weights and the step at hand then stay in the cache. The arrays are those of
:mod:`.step_kernels` with the runs in front, ``kind`` says which of its cells it is.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from . import look_kernels
from .compiled import exact
from .lanes import memory
from .product_kernels import NOTHING, Two, panel_size, product
from .step_kernels import (
    At,
    gru,
    gru_back,
    leaky,
    leaky_back,
    lstm,
    lstm_back,
    minimal,
    minimal_back,
    vanilla,
    vanilla_back,
)

VANILLA, LEAKY, LSTM, GRU, MINIMAL_GATED = range(5)  # cells
NONE, ONE = np.int64(0), np.int64(1)  # not of a type of their own, for which all is compiled again
TERMS = 128  # of a sum over samples and steps that are multiplied at a time: they fit into a cache
Array = np.ndarray


@exact
def _multiply(
    x: tuple[Array, int, int, int],
    w: tuple[Array, int, int],
    out: Array,
    shape: tuple[int, int, int],
    panel: Array,
    soon: tuple[Two, Two],
) -> None:
    """x w; of x its numbers, where it starts and steps by row and term, of w likewise by term.

    Meanwhile what is needed ``soon`` is fetched, see :func:`.product_kernels.product`.
    """
    (xs, start, by_row, by_term), (ws, begin, by_w_term) = x, w
    none = np.empty(0, out.dtype)
    product(
        xs, start, by_row, by_term, ws, begin, by_w_term, 1, none, out, 0, shape, panel, None, soon
    )


@exact
def _of_step(numbers: Array, t: int) -> Two:
    """Where a step's of a run are, and how many bytes."""
    size = numbers.itemsize * numbers.shape[1] * numbers.shape[2]
    return numbers.ctypes.data + t * size, size


@exact
def _see(below: Array, start: int, by_sample: int, inputs: int, s: Array) -> None:
    """Put a step's inputs, from ``start`` on, and a 1 behind them into ``s`` (batch, ...)."""
    sees, terms = s.ravel(), s.shape[1]
    for i in range(len(s)):
        for j in range(inputs):
            sees[i * terms + j] = below[start + i * by_sample + j]
        sees[i * terms + inputs] = 1


@exact
def forward(
    kind: int,
    v: Array,
    p: Array,
    s: Array,
    c: Array,
    below: int,
    apart: tuple[int, int, int],
    which: int,
    alpha: float,
    form: look_kernels.Form,
    limits: Array,
    seen: Array,
    sizes: Array,
) -> None:
    """Fill p, s and c, of every step or, where p has but one slot, c in turn and p of the last.

    What the layer sees is ``below``, an address; runs, steps and samples are so many numbers apart.
    A look sees every step where ``seen`` is not empty, see :func:`.look_kernels.forward`.
    """
    runs, steps, batch, terms = s.shape[0], s.shape[1] - 1, s.shape[2], s.shape[3]
    columns, keep, slots = v.shape[2], p.shape[1] > 1, max(c.shape[1], 1)
    z = np.empty((batch, columns), v.dtype)
    panel, made = np.empty(panel_size(terms, v.itemsize), v.dtype), z.ravel()
    (by_run, by_step, by_sample), units = apart, c.shape[3]
    inputs, seen_below = terms - units - 1, carray(memory(below, v.dtype.type(0)), 1)
    found, moves = seen.ravel(), sizes.ravel()
    for run in range(runs):
        weight, sees, kept = v[run].ravel(), s[run].ravel(), p[run].ravel()
        s[run, 0, :, inputs + 1 :] = 0
        c[run, :1] = 0
        for t in range(steps):
            _see(seen_below, run * by_run + t * by_step, by_sample, inputs, s[run, t])
            _multiply(
                (sees, t * batch * terms, terms, ONE), (weight, NONE, columns), made,
                (batch, terms, columns), panel,
                (_of_step(p[run], t if keep else 0), _of_step(s[run], t + 1)),
            )  # fmt: skip
            at = (t, t if keep else 0, t % slots, (t + 1) % slots)
            if kind == VANILLA:
                vanilla(z, p[run], s[run], c[run], at, which, alpha)
            elif kind == LEAKY:
                leaky(z, p[run], s[run], c[run], at, which, alpha)
            elif kind == LSTM:
                lstm(z, p[run], s[run], c[run], at, which, alpha)
            elif kind == GRU:
                gru(z, p[run], s[run], c[run], at, which, alpha)
            else:
                minimal(z, p[run], s[run], c[run], at, which, alpha)
            if len(seen):
                look_kernels.forward(
                    (made, 0, columns, batch, units),
                    (kept, at[1] * batch * columns, columns, batch, units),
                    (sees, (t + 1) * batch * terms + terms - units, terms, batch, units),
                    form, limits, (found, (t * runs + run) * seen.shape[2]),
                    (moves, run * units),
                )  # fmt: skip


@exact
def _step_back(
    kind: int,
    p: Array,
    s: Array,
    c: Array,
    da: Array,
    dc: Array,
    at: At,
    which: int,
    alpha: float,
) -> None:
    if kind == VANILLA:
        vanilla_back(p, s, c, da, dc, at, which, alpha)
    elif kind == LEAKY:
        leaky_back(p, s, c, da, dc, at, which, alpha)
    elif kind == LSTM:
        lstm_back(p, s, c, da, dc, at, which, alpha)
    elif kind == GRU:
        gru_back(p, s, c, da, dc, at, which, alpha)
    else:
        minimal_back(p, s, c, da, dc, at, which, alpha)


@exact
def backward(
    kind: int,
    back: Array,
    p: Array,
    s: Array,
    c: Array,
    grad: Array,
    carries: bool,
    which: int,
    alpha: float,
    first: int,
    seen: Array,
    d_v: Array,
    d_below: Array,
) -> None:
    """Leave dL/dz of every step in p, dL/dV in ``d_v`` and that of what is below in ``d_below``.

    The last two only where they are not empty. ``back`` (runs, columns, ...) is V transposed;
    ``grad`` (runs, steps or 1, batch, units) is dL/da of every step, or of the last. What a step
    before gets by other ways than U it ``carries``. A look sees the delta of every step, which
    begins at column ``first`` of p, where ``seen`` is not empty.
    """
    runs, steps, batch, columns = p.shape
    units, every, terms = grad.shape[3], grad.shape[1] > 1, s.shape[3]
    da, dc = np.empty((batch, units), p.dtype), np.empty((batch, units), p.dtype)
    panel = np.empty(panel_size(columns, p.itemsize), p.dtype)
    some = max(1, TERMS // batch)  # steps that are multiplied together
    part, sums = np.empty(batch * units, p.dtype), np.empty(terms * columns, p.dtype)
    of_sums, found = np.empty(panel_size(some * batch, p.itemsize), p.dtype), seen.ravel()
    for run in range(runs):
        weight, dz, sees = back[run].ravel(), p[run].ravel(), s[run].ravel()
        of_da, of_grad, past = da.ravel(), grad[run].ravel(), c[run] if c.shape[1] else s[run]
        for i in range(batch * units):
            of_da[i] = of_grad[len(of_grad) - batch * units + i]
            dc[i // units, i % units] = 0
        for t in range(steps - 1, -1, -1):
            at, here = (t, t, t, t + 1), t * batch * columns
            _step_back(kind, p[run], s[run], c[run], da, dc, at, which, alpha)
            if len(seen):
                delta = dz, here + first, columns, batch, units
                look_kernels.backward(delta, (found, (t * runs + run) * seen.shape[2]))
            if d_below.shape[3]:
                _multiply(
                    (dz, here, columns, ONE), (weight, NONE, terms), d_below[run, t].ravel(),
                    (batch, columns, d_below.shape[3]), panel, NOTHING,
                )  # fmt: skip
            if len(d_v) and t % some == 0:
                _multiply(
                    (sees, t * batch * terms, ONE, terms), (dz, here, columns), sums,
                    (terms, min(some, steps - t) * batch, columns), of_sums, NOTHING,
                )  # fmt: skip
                _add(d_v[run].ravel(), sums)
            if not t:  # nothing comes before it
                break
            _multiply(
                (dz, here, columns, ONE), (weight, terms - units, terms), part,
                (batch, columns, units), panel,
                (_of_step(p[run], t - 1), _of_step(past, t - 1)),
            )  # fmt: skip
            if not carries:
                for i in range(batch * units):
                    of_da[i] = 0
            _add(of_da, part)
            if every:
                _add(of_da, grad[run, t - 1].ravel())


@exact
def _add(to: Array, numbers: Array) -> None:
    for i in range(len(to)):
        to[i] += numbers[i]
