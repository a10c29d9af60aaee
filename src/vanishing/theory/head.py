"""What a softmax head with cross entropy sends back to a network at initialisation."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import CubicSpline


class Head(NamedTuple):
    """For a softmax p of logits z: means over networks and labels y."""

    error: float  # E sum_k (p_k - y_k)^2
    along: float  # E (z . (p - y))^2
    alike: float  # mean cos^2 between p - y of two labels, each weighted by its square


@functools.lru_cache(maxsize=10_000)
def softmax_head(q: float, classes: int, draws: int = 20_000) -> Head:
    """The :class:`Head` for Gaussian logits of mean square ``q``, by a seeded draw.

    Labels are independent of the logits and equally often; good to about .002 of the error.
    """
    z = _draws(draws, classes)
    size = min(math.sqrt(q), 1e100)
    p = torch.softmax(size * z, dim=1)  # (draw, class)
    certainty = (p**2).sum(1)
    error = 1 + certainty - 2 / classes
    along = ((z * p).sum(1, keepdim=True) - z).square().mean()
    alike = (certainty**2 + 1 / classes - 2 / classes**2).mean() / (error**2).mean()
    return Head(float(error.mean()), float(along) * size**2, float(alike))


@functools.cache
def _draws(draws: int, classes: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(draws, classes, generator=generator, dtype=torch.float64)


def heads(log_q: np.ndarray, classes: int) -> Head:
    """The :class:`Head` at many ln q, ``along`` in units of q: all settle at either end."""
    spline = _spline(classes)
    error, along, alike = np.moveaxis(spline(np.clip(log_q, *spline.x[[0, -1]])), -1, 0)
    return Head(error, along, np.clip(alike, 0, 1))


@functools.cache
def _spline(classes: int) -> CubicSpline:
    log_q = np.arange(-12.0, 17.0)
    found = np.array([softmax_head(math.exp(x), classes) for x in log_q])
    found[:, 1] /= np.exp(log_q)
    return CubicSpline(log_q, found)
