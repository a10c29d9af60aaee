r"""Expectations over Gaussian variables, for functions with kinks, or on any scale, or oscillating.

Gauss-Hermite nodes converge slowly where ``phi`` has a kink (relu) or turns on a scale far from 1
(tanh of a large argument). Here the line is cut at 0, at every other kink, and into panels that
shrink towards 0, each with its own Gauss-Legendre nodes: no kink lies inside a panel, and every
scale meets one.

A function that oscillates without end at ``frequency`` :math:`\omega` has too many turns for panels
once :math:`\omega^2 q` is large. Its ``z`` is split into two independent Gaussians: over the one,
with a spread of seven radians, the waves average out exactly (a uniform rule converges
exponentially); what is left is a polynomial of the other. So ``f`` must be made of waves and
polynomials: sin(h), h + sin(h)^2 / 2. Undeclared, a wave is right up to some
:math:`\omega^2 q = 10^4`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
Kinks = tuple[float, ...]
REACH = 12.0  # exp(-REACH**2 / 2) is 5e-32
SPREAD = 7.0  # radians; exp(-SPREAD**2 / 2) is 2e-11


def expect(
    f: Function, q: float | Tensor = 1.0, kinks: Kinks = (), frequency: float = 0.0
) -> Tensor:
    r"""The mean of ``f`` over a Gaussian of mean square ``q``, :math:`E[f(\sqrt{q} z)]`.

    ``z`` is standard normal; ``q`` may have any shape, and the result has the same. ``kinks`` and
    ``frequency`` are those of an :class:`~vanishing.parts.activations.Activation`.

    >>> round(float(expect(lambda h: h**2, 3.0)), 12)
    3.0
    >>> round(float(expect(lambda h: (h > 2).double(), 4.0, kinks=(2.0,))), 6)  # 1 - Φ(1)
    0.158655
    """
    q = torch.as_tensor(q, dtype=torch.float64)
    z, weight = nodes(q, kinks, frequency)
    values = f(q.sqrt()[..., None] * z)  # (..., node)
    return values @ weight if weight.ndim == 1 else (values * weight).sum(-1)


def expect_pair(
    f: Function, g: Function, q: float, c: float, kinks: Kinks = (), frequency: float = 0.0
) -> float:
    r"""The mean of ``f(u) g(v)`` over Gaussians of mean square ``q`` and correlation ``c``.

    In polar coordinates, :math:`u = \sqrt{q}\, r \cos\theta`, :math:`v = \sqrt{q}\, r
    \cos(\theta - \omega)`, :math:`\cos\omega = c`. A kink at 0 is a ray, where the circle is cut;
    any other is a line, which cuts each ray at one r. Where two such lines cross, the integral over
    r has a kink in the angle, and the circle is cut there too.

    >>> round(expect_pair(torch.relu, torch.relu, 2.0, 1.0), 12)
    1.0
    """
    c = max(-1.0, min(1.0, c))
    if frequency:
        return _pair_of_waves(f, g, q, c, frequency)
    omega, off = math.acos(c), tuple(k / math.sqrt(q) for k in kinks if k) if q > 0 else ()
    halvings = max(0, math.ceil(math.log2(q / 64) / 2)) if q > 0 else 0  # phi turns where h is 1
    theta, weight_theta = _circle(omega, off, halvings)
    across = theta.cos()[:, None], (theta - omega).cos()[:, None]  # (angle, 1)
    r, weight_r = _radius(across, off, halvings)
    values = f(math.sqrt(q) * r * across[0]) * g(math.sqrt(q) * r * across[1])  # (angle, radius)
    return float((values * weight_r).sum(-1) @ weight_theta)


def nodes(q: Tensor, kinks: Kinks = (), frequency: float = 0.0) -> tuple[Tensor, Tensor]:
    """Nodes z on the line for a function of sqrt(q) z, and the normal density times their weights.

    Both are (node), or have the shape of ``q`` in front where they differ by q.
    """
    if frequency:
        return _waves(frequency**2 * q, 32)
    off = [k for k in kinks if k]  # at 0 the line is cut anyway
    if not off:
        return line()
    at = torch.tensor(off, dtype=torch.float64) / q.sqrt()[..., None]
    edges = torch.cat([_edges().expand(*q.shape, -1), at.clamp(-REACH, REACH)], dim=-1)
    return _weighed(*_panels(edges.sort(-1).values, 16))


@functools.cache
def line() -> tuple[Tensor, Tensor]:
    """Nodes on the line and the normal density times their weights, for a kink at 0 alone."""
    return _weighed(*_panels(_edges(), 16))


@functools.cache
def _edges() -> Tensor:
    shrinking = 0.1 * 2.0 ** np.arange(-24, 0)
    edges = np.concatenate([[0.0], shrinking, np.linspace(0.1, REACH, 120)])
    return torch.from_numpy(np.concatenate([-edges[:0:-1], edges]))


def _weighed(z: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    return z, weight * torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _circle(omega: float, off: Kinks, halvings: int) -> tuple[Tensor, Tensor]:
    """Nodes of an angle, cut where a coordinate of :func:`expect_pair` is 0 and at crossings.

    u is a where v is b at the angle of (a sin(omega), b - a cos(omega)). Each arc has panels that
    are halved towards its ends.
    """
    cuts = {(a + k * math.pi / 2) % (2 * math.pi) for a in (0.0, omega) for k in (1, 3)}
    sine, cosine = math.sin(omega), math.cos(omega)
    cuts |= {math.atan2(b - a * cosine, a * sine) % (2 * math.pi) for a in off for b in off}
    first, *rest = sorted(cuts)
    arcs = torch.tensor([first, *rest, first + 2 * math.pi], dtype=torch.float64)
    near = _halved(halvings)
    shares = (
        torch.cat([torch.zeros(1), near, 1 - near[:-1].flip(0)]) if halvings else torch.zeros(1)
    )
    edges = arcs[:-1, None] + arcs.diff()[:, None] * shares  # (arc, edge)
    theta, weight = _panels(torch.cat([edges.flatten(), arcs[-1:]]), 48)
    return theta, weight / (2 * math.pi)


def _radius(across: tuple[Tensor, Tensor], off: Kinks, halvings: int) -> tuple[Tensor, Tensor]:
    """Nodes of the radius of two standard normals at each angle, cut at kinks ``off`` 0.

    ``across`` are the two coordinates at r = 1. Both results are (angle or 1, radius).
    """
    edges = torch.linspace(0.0, REACH, 25, dtype=torch.float64)
    edges = torch.cat([edges[:1], _halved(halvings) / 2, edges[1:]])[None]
    if off:
        at = torch.cat([torch.tensor(off, dtype=torch.float64) / x for x in across], dim=-1)
        at = at.nan_to_num(REACH).clamp(0.0, REACH)  # (angle, kink); behind the origin is none
        edges = torch.cat([edges.expand(len(at), -1), at], dim=-1).sort(-1).values
    r, weight = _panels(edges, 12)
    return r, weight * r * torch.exp(-(r**2) / 2)


def _halved(times: int) -> Tensor:
    """2^-times, ..., 1/4, 1/2."""
    return 2.0 ** torch.arange(-times, 0, dtype=torch.float64)


def _pair_of_waves(f: Function, g: Function, q: float, c: float, frequency: float) -> float:
    """The same in the coordinates (u + v) / 2 and (u - v) / 2, which are independent."""
    together, apart = (
        torch.tensor(q * (1 + sign * c) / 2, dtype=torch.float64) for sign in (1, -1)
    )
    (p, weight_p), (m, weight_m) = (_waves(frequency**2 * part, 12) for part in (together, apart))
    common, differing = together.sqrt() * p[:, None], apart.sqrt() * m
    return float(weight_p @ (f(common + differing) * g(common - differing)) @ weight_m)


def _waves(variance: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Nodes z, (..., node), for waves whose phase has this ``variance``, and their weights (node).

    Exact for products of up to four waves and polynomials below twice the ``order``.
    """
    step = 1 / 6  # 2 pi / step is above four times SPREAD, with room for the density
    fine = step * torch.arange(-54, 55, dtype=torch.float64)
    weight = step * torch.exp(-(fine**2) / 2) / math.sqrt(2 * math.pi)
    share = (SPREAD**2 / variance).clamp(max=1)[..., None, None]
    if bool((share == 1).all()):
        return fine.expand(*variance.shape, -1), weight
    x, w = np.polynomial.hermite_e.hermegauss(order)
    coarse, heavy = torch.from_numpy(x), torch.from_numpy(w / w.sum())
    z = share.sqrt() * fine + (1 - share).sqrt() * coarse[:, None]  # (..., coarse, fine)
    return z.flatten(-2), (heavy[:, None] * weight).flatten()


def _panels(edges: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights, ``order`` between each two of the last axis of ``edges``.

    Panels may have no width: their weights are 0.
    """
    x, w = _legendre(order)
    half = edges.diff(dim=-1)[..., None] / 2
    inside = edges[..., :-1, None] + half * (1 + x)
    return inside.flatten(-2), (half * w).flatten(-2)


@functools.cache
def _legendre(order: int) -> tuple[Tensor, Tensor]:
    x, w = np.polynomial.legendre.leggauss(order)
    return torch.from_numpy(x), torch.from_numpy(w)
