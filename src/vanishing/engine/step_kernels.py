r"""One time step of a run's recurrent layer, and the way back through it, elementwise.

These are the steps of :mod:`vanishing.parts.recurrences` and their derivatives by hand, compiled;
tests hold them against each other. All of them take the same arrays, C-contiguous:

- ``z`` (batch, columns): x W + b + a_{t-1} U of this step; of a GRU's or a minimal cell's candidate
  the drive and then, as a last column, the recall;
- ``p`` (slots, batch, columns): where what becomes of z is left, gates and phi(h); on the way back
  dL/dz is left in its place;
- ``s`` (steps + 1, batch, ...): a_{t-1}, the last of its columns, behind what else V sees;
- ``c`` (slots, batch, units): likewise an LSTM's memory;
- ``da``, ``dc`` (batch, units): dL/da and dL/dc of this step, left as those of the step before, but
  for what comes by way of U.

``at`` are the step, its slot of p, and the slots of c that it comes from and goes to; ``which`` phi
it is, and ``alpha`` a leaky cell's share. Each formula is of some units of a sample at a time, see
:mod:`.lane_numbers`: all that it reads of them is read before anything is written. Only of vanilla
loops, which have few arrays, the compiler makes vectors by itself.
"""

# ruff: noqa: ARG001 (every cell is given the same arrays)

from __future__ import annotations

import numpy as np

from .compiled import exact
from .fast_phi import ONE, ZERO, sigmoid, tanh
from .lane_numbers import if_at_most, if_less, read, write
from .lanes import LANE_BYTES, Lanes

TANH, RELU = 0, 1  # which phi
Array = np.ndarray
At = tuple[int, int, int, int]


@exact
def _phi(which: int, h: Lanes | float) -> Lanes | float:
    if which == TANH:
        return tanh(h)
    return if_less(h, ZERO, ZERO, h)  # a product would make -inf a NaN


@exact
def slope(which: int, a: Lanes | float) -> Lanes | float:
    """phi'(h) of a = phi(h)."""
    if which == TANH:
        return ONE - a * a
    return if_at_most(a, ZERO, ZERO, ONE)


@exact
def _through(gate: Lanes, d: Lanes, other: Lanes) -> Lanes:
    """``d`` other times the slope of a sigmoid that is ``gate``."""
    return d * other * gate * (ONE - gate)


@exact
def vanilla(z: Array, p: Array, s: Array, c: Array, at: At, which: int, alpha: float) -> None:
    """a = phi(z)."""
    (t, _, _, _), n = at, z.shape[1]
    for i in range(z.shape[0]):
        h, out = z[i], s[t + 1, i, -n:]
        for j in range(len(h)):
            out[j] = _phi(which, h[j])


@exact
def vanilla_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """dz = da phi'(z)."""
    (t, now, _, _), n = at, da.shape[1]
    for i in range(da.shape[0]):
        back, out, d = p[now, i], s[t + 1, i, -n:], da[i]
        for j in range(len(d)):
            back[j] = d[j] * slope(which, out[j])


@exact
def leaky(z: Array, p: Array, s: Array, c: Array, at: At, which: int, alpha: float) -> None:
    """a = a_old + alpha (phi(z) - a_old)."""
    (t, now, _, _), (batch, n), terms = at, z.shape, s.shape[2]
    h, kept, outs, olds = z.ravel(), p[now].ravel(), s[t + 1].ravel(), s[t].ravel()
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // z.itemsize):
            here, left = i * n + j, n - j
            end = (i + 1) * terms - left
            fresh, before = _phi(which, read(h, here, left)), read(olds, end, left)
            write(kept, here, left, fresh)
            write(outs, end, left, before + alpha * (fresh - before))


@exact
def leaky_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """dz = alpha da phi'(z), da_old = (1 - alpha) da."""
    (_, now, _, _), (batch, n) = at, da.shape
    kept, d_a = p[now].ravel(), da.ravel()
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // p.itemsize):
            here, left = i * n + j, n - j
            fresh, d = read(kept, here, left), read(d_a, here, left)
            write(kept, here, left, alpha * d * slope(which, fresh))
            write(d_a, here, left, (ONE - alpha) * d)


@exact
def lstm(z: Array, p: Array, s: Array, c: Array, at: At, which: int, alpha: float) -> None:
    """take, keep, show = sigmoid(z), of its first columns; c = keep c_old + take phi(z).

    The output is show phi(c).
    """
    (t, now, old, new), (_, batch, n), terms = at, c.shape, s.shape[2]
    h, gates, outs = z.ravel(), p[now].ravel(), s[t + 1].ravel()
    memories, olds = c[new].ravel(), c[old].ravel()
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // z.itemsize):
            here, left, k = i * n + j, n - j, 4 * i * n + j
            take, keep = sigmoid(read(h, k, left)), sigmoid(read(h, k + n, left))
            show, fresh = sigmoid(read(h, k + 2 * n, left)), _phi(which, read(h, k + 3 * n, left))
            memory = take * fresh + keep * read(olds, here, left)
            write(outs, (i + 1) * terms - left, left, show * _phi(which, memory))
            write(memories, here, left, memory)
            write(gates, k, left, take)
            write(gates, k + n, left, keep)
            write(gates, k + 2 * n, left, show)
            write(gates, k + 3 * n, left, fresh)


@exact
def lstm_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """The way back through :func:`lstm`; dL/dc_old is left in dc."""
    (_, now, old, new), (batch, n) = at, da.shape
    gates, d_a, d_c = p[now].ravel(), da.ravel(), dc.ravel()
    memories, olds = c[new].ravel(), c[old].ravel()
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // p.itemsize):
            here, left, k = i * n + j, n - j, 4 * i * n + j
            take, keep = read(gates, k, left), read(gates, k + n, left)
            show, fresh = read(gates, k + 2 * n, left), read(gates, k + 3 * n, left)
            of_a, shown = read(d_a, here, left), _phi(which, read(memories, here, left))
            d = read(d_c, here, left) + of_a * show * slope(which, shown)
            write(d_c, here, left, d * keep)
            write(gates, k, left, _through(take, d, fresh))
            write(gates, k + n, left, _through(keep, d, read(olds, here, left)))
            write(gates, k + 2 * n, left, _through(show, of_a, shown))
            write(gates, k + 3 * n, left, d * take * slope(which, fresh))


@exact
def _candidate(h: Array, at: int, n: int, left: int, gate: Lanes, which: int, kept: Array) -> Lanes:
    """phi(drive + gate recall), which is kept at the place of the drive, beside the recall."""
    recall = read(h, at + n, left)
    fresh = _phi(which, read(h, at, left) + gate * recall)
    write(kept, at, left, fresh)
    write(kept, at + n, left, recall)
    return fresh


@exact
def gru(z: Array, p: Array, s: Array, c: Array, at: At, which: int, alpha: float) -> None:
    """reset, keep = sigmoid(z); n = phi(drive + reset recall), a = n + keep (a_old - n)."""
    (t, now, _, _), (batch, columns), terms = at, z.shape, s.shape[2]
    h, gates, outs, olds = z.ravel(), p[now].ravel(), s[t + 1].ravel(), s[t].ravel()
    n = columns // 4
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // z.itemsize):
            left, k = n - j, i * columns + j
            reset, keep = sigmoid(read(h, k, left)), sigmoid(read(h, k + n, left))
            fresh = _candidate(h, k + 2 * n, n, left, reset, which, gates)
            before = read(olds, (i + 1) * terms - left, left)
            write(outs, (i + 1) * terms - left, left, fresh + keep * (before - fresh))
            write(gates, k, left, reset)
            write(gates, k + n, left, keep)


@exact
def gru_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """The way back through :func:`gru`."""
    (t, now, _, _), (batch, n), terms = at, da.shape, s.shape[2]
    gates, d_a, olds = p[now].ravel(), da.ravel(), s[t].ravel()
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // p.itemsize):
            here, left, k = i * n + j, n - j, 4 * i * n + j
            reset, keep = read(gates, k, left), read(gates, k + n, left)
            fresh, recall = read(gates, k + 2 * n, left), read(gates, k + 3 * n, left)
            d, before = read(d_a, here, left), read(olds, (i + 1) * terms - left, left)
            d_fresh = d * (ONE - keep) * slope(which, fresh)
            write(d_a, here, left, d * keep)
            write(gates, k, left, _through(reset, d_fresh, recall))
            write(gates, k + n, left, _through(keep, before - fresh, d))
            write(gates, k + 2 * n, left, d_fresh)
            write(gates, k + 3 * n, left, d_fresh * reset)


@exact
def minimal(z: Array, p: Array, s: Array, c: Array, at: At, which: int, alpha: float) -> None:
    """take = sigmoid(z); n = phi(drive + take recall), a = a_old + take (n - a_old)."""
    (t, now, _, _), (batch, columns), terms = at, z.shape, s.shape[2]
    h, gates, outs, olds = z.ravel(), p[now].ravel(), s[t + 1].ravel(), s[t].ravel()
    n = columns // 3
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // z.itemsize):
            left, k = n - j, i * columns + j
            take = sigmoid(read(h, k, left))
            fresh = _candidate(h, k + n, n, left, take, which, gates)
            before = read(olds, (i + 1) * terms - left, left)
            write(outs, (i + 1) * terms - left, left, before + take * (fresh - before))
            write(gates, k, left, take)


@exact
def minimal_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """The way back through :func:`minimal`."""
    (t, now, _, _), (batch, n), terms = at, da.shape, s.shape[2]
    gates, d_a, olds = p[now].ravel(), da.ravel(), s[t].ravel()
    for i in range(batch):
        for j in range(0, n, LANE_BYTES // p.itemsize):
            here, left, k = i * n + j, n - j, 3 * i * n + j
            take, fresh = read(gates, k, left), read(gates, k + n, left)
            recall, d = read(gates, k + 2 * n, left), read(d_a, here, left)
            d_fresh = d * take * slope(which, fresh)
            d_take = d * (fresh - read(olds, (i + 1) * terms - left, left))
            write(d_a, here, left, d * (ONE - take))
            write(gates, k, left, take * ((d_fresh * recall + d_take) * (ONE - take)))
            write(gates, k + n, left, d_fresh)
            write(gates, k + 2 * n, left, d_fresh * take)
