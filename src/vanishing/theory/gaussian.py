"""Expectations over Gaussian variables, for smooth functions and for functions with a kink at 0.

Gauss-Hermite nodes converge slowly where ``phi`` has a kink (relu) or turns on a scale far from 1
(tanh of a large argument). Here the line is cut at 0 and into panels that shrink towards 0, each
with its own Gauss-Legendre nodes: the kink lies on a border, and every scale meets a panel.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
REACH = 12.0  # exp(-REACH**2 / 2) is 5e-32


def expect(f: Function, q: float | Tensor = 1.0) -> Tensor:
    r"""The mean of ``f`` over a Gaussian of mean square ``q``, :math:`E[f(\sqrt{q} z)]`.

    ``z`` is standard normal; ``q`` may have any shape, and the result has the same.

    >>> round(float(expect(lambda h: h**2, 3.0)), 12)
    3.0
    """
    z, weight = line()
    q = torch.as_tensor(q, dtype=torch.float64)
    return f(q.sqrt()[..., None] * z) @ weight  # (..., node) -> (...)


def expect_pair(f: Function, g: Function, q: float, c: float) -> float:
    r"""The mean of ``f(u) g(v)`` over Gaussians of mean square ``q`` and correlation ``c``.

    In polar coordinates, :math:`u = \sqrt{q}\, r \cos\theta`, :math:`v = \sqrt{q}\, r
    \cos(\theta - \omega)`, :math:`\cos\omega = c`: kinks at 0 are rays, where the circle is cut.

    >>> round(expect_pair(torch.relu, torch.relu, 2.0, 1.0), 12)
    1.0
    """
    omega = math.acos(max(-1.0, min(1.0, c)))
    r, weight_r = _radius()
    theta, weight_theta = _circle(omega)
    reach = math.sqrt(q) * r[:, None]
    values = f(reach * theta.cos()) * g(reach * (theta - omega).cos())  # (radius, angle)
    return float(weight_r @ values @ weight_theta)


@functools.cache
def line() -> tuple[Tensor, Tensor]:
    """Nodes on the line and the normal density times their weights."""
    shrinking = 0.1 * 2.0 ** np.arange(-24, 0)
    edges = np.concatenate([[0.0], shrinking, np.linspace(0.1, REACH, 120)])
    z, weight = _panels(np.concatenate([-edges[:0:-1], edges]), 16)
    return z, weight * torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


@functools.cache
def _radius() -> tuple[Tensor, Tensor]:
    """Nodes of the radius of two standard normals and its density times their weights."""
    r, weight = _panels(np.linspace(0.0, REACH, 25), 12)
    return r, weight * r * torch.exp(-(r**2) / 2)


def _circle(omega: float) -> tuple[Tensor, Tensor]:
    """Nodes of an angle, cut where either coordinate of :func:`expect_pair` is 0."""
    cuts = sorted({(a + k * math.pi / 2) % (2 * math.pi) for a in (0.0, omega) for k in (1, 3)})
    theta, weight = _panels(np.array([*cuts, cuts[0] + 2 * math.pi]), 48)
    return theta, weight / (2 * math.pi)


def _panels(edges: np.ndarray, order: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes and weights, ``order`` of them between each two ``edges``."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    nodes = edges[:-1, None] + half * (1 + x)
    return torch.from_numpy(nodes.ravel()), torch.from_numpy((half * w).ravel())
