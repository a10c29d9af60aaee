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
it is, and ``alpha`` a leaky cell's share. A loop has few arrays and writes one: the compiler makes
vectors of it only where it can see with some comparisons that they do not overlap.
"""

# ruff: noqa: ARG001 (every cell is given the same arrays)

from __future__ import annotations

import numpy as np

from .compiled import exact
from .fast_phi import ONE, ZERO, sigmoid, tanh

TANH, RELU = 0, 1  # which phi
Array = np.ndarray
At = tuple[int, int, int, int]


@exact
def _phi(which: int, h: float) -> float:
    if which == TANH:
        return tanh(h)
    return ZERO if h < ZERO else h  # a product would make -inf a NaN


@exact
def slope(which: int, a: float) -> float:
    """phi'(h) of a = phi(h)."""
    if which == TANH:
        return ONE - a * a
    return ZERO if a <= ZERO else ONE


@exact
def _gate(gate: Array, z: Array) -> None:
    """gate <- sigmoid(z)."""
    for j in range(len(gate)):
        gate[j] = sigmoid(z[j])


@exact
def _gate_back(gate: Array, d: Array, other: Array) -> None:
    """gate <- d other times the slope of a sigmoid that is ``gate``."""
    for j in range(len(gate)):
        gate[j] = d[j] * other[j] * gate[j] * (ONE - gate[j])


@exact
def _quarters(row: Array) -> tuple[Array, Array, Array, Array]:
    n = len(row) // 4
    return row[:n], row[n : 2 * n], row[2 * n : 3 * n], row[3 * n :]


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
    (t, now, _, _), n = at, z.shape[1]
    for i in range(z.shape[0]):
        h, fresh, before, out = (
            z[i],
            p[now, i],
            s[t, i, -n:],
            s[t + 1, i, -n:],
        )
        for j in range(len(h)):
            fresh[j] = _phi(which, h[j])
        for j in range(len(h)):
            out[j] = before[j] + alpha * (fresh[j] - before[j])


@exact
def leaky_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """dz = alpha da phi'(z), da_old = (1 - alpha) da."""
    _, now, _, _ = at
    for i in range(da.shape[0]):
        fresh, d = p[now, i], da[i]
        for j in range(len(d)):
            fresh[j] = alpha * d[j] * slope(which, fresh[j])
        for j in range(len(d)):
            d[j] = (ONE - alpha) * d[j]


@exact
def lstm(z: Array, p: Array, s: Array, c: Array, at: At, which: int, alpha: float) -> None:
    """take, keep, show = sigmoid(z), of its first columns; c = keep c_old + take phi(z).

    The output is show phi(c).
    """
    (t, now, old, new), n = at, c.shape[2]
    for i in range(z.shape[0]):
        gates, h, out = p[now, i], z[i, 3 * n :], s[t + 1, i, -n:]
        before, memory = c[old, i], c[new, i]
        _gate(gates[: 3 * n], z[i, : 3 * n])
        take, keep, show, fresh = _quarters(gates)
        for j in range(n):
            fresh[j] = _phi(which, h[j])
        for j in range(n):
            memory[j] = keep[j] * before[j] + take[j] * fresh[j]
        for j in range(n):
            out[j] = show[j] * _phi(which, memory[j])


@exact
def lstm_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """The way back through :func:`lstm`; dL/dc_old is left in dc."""
    (_, now, old, new), n = at, c.shape[2]
    was = np.empty_like(da[0])
    for i in range(da.shape[0]):
        d, d_a, before, memory = dc[i], da[i], c[old, i], c[new, i]
        take, keep, show, fresh = _quarters(p[now, i])
        for j in range(n):
            was[j] = _phi(which, memory[j])
        for j in range(n):
            d[j] += d_a[j] * show[j] * slope(which, was[j])
        _gate_back(show, d_a, was)
        for j in range(n):
            was[j] = take[j]
        _gate_back(take, d, fresh)
        for j in range(n):
            fresh[j] = d[j] * was[j] * slope(which, fresh[j])
        for j in range(n):
            was[j] = keep[j]
        _gate_back(keep, d, before)
        for j in range(n):
            d[j] *= was[j]


@exact
def gru(z: Array, p: Array, s: Array, c: Array, at: At, which: int, alpha: float) -> None:
    """reset, keep = sigmoid(z); n = phi(drive + reset recall), a = n + keep (a_old - n)."""
    (t, now, _, _), n = at, z.shape[1] // 4
    for i in range(z.shape[0]):
        gates, before, out = p[now, i], s[t, i, -n:], s[t + 1, i, -n:]
        _gate(gates[: 2 * n], z[i, : 2 * n])
        reset, keep, fresh, recall = _quarters(gates)
        drive, recalled = z[i, 2 * n : 3 * n], z[i, 3 * n :]
        for j in range(n):
            recall[j] = recalled[j]
        for j in range(n):
            fresh[j] = _phi(which, drive[j] + reset[j] * recall[j])
        for j in range(n):
            out[j] = fresh[j] + keep[j] * (before[j] - fresh[j])


@exact
def gru_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """The way back through :func:`gru`."""
    (t, now, _, _), n = at, da.shape[1]
    was = np.empty_like(da[0])
    for i in range(da.shape[0]):
        d, before = da[i], s[t, i, -n:]
        reset, keep, fresh, recall = _quarters(p[now, i])
        for j in range(n):
            was[j] = before[j] - fresh[j]
        for j in range(n):
            fresh[j] = d[j] * (ONE - keep[j]) * slope(which, fresh[j])
        for j in range(n):
            was[j] *= d[j]
        for j in range(n):
            d[j] *= keep[j]
        for j in range(n):
            keep[j] = was[j] * keep[j] * (ONE - keep[j])
        for j in range(n):
            was[j] = reset[j]
        _gate_back(reset, fresh, recall)
        for j in range(n):
            recall[j] = fresh[j] * was[j]


@exact
def minimal(z: Array, p: Array, s: Array, c: Array, at: At, which: int, alpha: float) -> None:
    """take = sigmoid(z); n = phi(drive + take recall), a = a_old + take (n - a_old)."""
    (t, now, _, _), n = at, z.shape[1] // 3
    for i in range(z.shape[0]):
        take, fresh, recall = p[now, i, :n], p[now, i, n : 2 * n], p[now, i, 2 * n :]
        before, out = s[t, i, -n:], s[t + 1, i, -n:]
        _gate(take, z[i, :n])
        drive, recalled = z[i, n : 2 * n], z[i, 2 * n :]
        for j in range(n):
            recall[j] = recalled[j]
        for j in range(n):
            fresh[j] = _phi(which, drive[j] + take[j] * recall[j])
        for j in range(n):
            out[j] = before[j] + take[j] * (fresh[j] - before[j])


@exact
def minimal_back(
    p: Array, s: Array, c: Array, da: Array, dc: Array, at: At, which: int, alpha: float
) -> None:
    """The way back through :func:`minimal`."""
    (t, now, _, _), n = at, da.shape[1]
    was = np.empty_like(da[0])
    for i in range(da.shape[0]):
        d, before = da[i], s[t, i, -n:]
        take, fresh, recall = p[now, i, :n], p[now, i, n : 2 * n], p[now, i, 2 * n :]
        for j in range(n):
            was[j] = d[j] * (fresh[j] - before[j])
        for j in range(n):
            fresh[j] = d[j] * take[j] * slope(which, fresh[j])
        for j in range(n):
            d[j] *= ONE - take[j]
        for j in range(n):
            was[j] = (was[j] + fresh[j] * recall[j]) * (ONE - take[j])
        for j in range(n):
            recall[j] = fresh[j] * take[j]
        for j in range(n):
            take[j] *= was[j]
