r"""How the size of a signal, and of its gradient, changes from one layer to the next.

Mean field: units are many, weights are independent, so ``h`` is Gaussian with mean square ``q``.
The letters are those of Poole et al. 2016 and Schoenholz et al. 2017: :math:`h` the pre-activation,
:math:`\sigma_w^2` the weight's variance times fan_in, :math:`\sigma_b^2` the bias's variance.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .gaussian import Function, expect, expect_pair

if TYPE_CHECKING:
    from ..parts.activations import Activation


class Moments(NamedTuple):
    r"""Means over :math:`h \sim N(0, q)` of an activation: all that the theory needs of it."""

    mean: float  # E phi
    square: float  # E phi^2
    derivative: float  # E phi'^2
    lean: float  # E h phi'
    pull: float  # E h phi' phi
    tilt: float  # E phi'^2 phi
    fourth: float  # E phi'^2 phi^2


@functools.lru_cache(maxsize=100_000)
def moments(activation: Activation, q: float) -> Moments:
    """The :class:`Moments` of ``activation`` at mean square ``q``; each is computed once."""

    def terms(h: Tensor) -> Tensor:
        a, d = activation.phi(h), activation.derivative(h)
        both = d**2 * a
        return torch.stack([a, a**2, d**2, h * d, h * d * a, both, both * a])  # (moment, node)

    return Moments(*mean(activation, terms, q).tolist())


def mean(activation: Activation, f: Function, q: float | Tensor) -> Tensor:
    """The mean of ``f(h)``, which turns and bends where ``activation`` does; ``q`` of any shape."""
    return expect(f, q, activation.kinks, activation.frequency)


def mean_pair(activation: Activation, f: Function, q: float, c: float) -> float:
    """The mean of ``f(u) f(v)``, likewise, where u and v have correlation ``c``."""
    return expect_pair(f, f, q, c, activation.kinks, activation.frequency)


def q_map(
    activation: Activation, q: float | Tensor, sigma_w: float, sigma_b: float = 0.0
) -> Tensor:
    r"""The mean square of ``h`` one layer on, :math:`\sigma_w^2 E[\phi(h)^2] + \sigma_b^2`.

    ``q`` may have any shape. Poole et al. 2016.
    """
    return sigma_w**2 * mean(activation, lambda h: activation.phi(h) ** 2, q) + sigma_b**2


def chi_1(activation: Activation, q: float | Tensor, sigma_w: float) -> Tensor:
    r"""By what factor a squared gradient grows per layer, :math:`\sigma_w^2 E[\phi'(h)^2]`.

    Gradients vanish with depth where chi_1 < 1, and explode where chi_1 > 1. For a network without
    norm and residual; ``q`` may have any shape. Schoenholz et al. 2017.
    """
    return sigma_w**2 * mean(activation, lambda h: activation.derivative(h) ** 2, q)


def chi_1_batch(activation: Activation) -> float:
    r"""The same with batch norm before ``phi``, batch to infinity: :math:`E\phi'^2 / Var\,\phi`.

    At q = 1, whatever sigma_w; pi/(pi - 1) for relu. Yang et al. 2019.
    """
    m = moments(activation, 1.0)
    return m.derivative / (m.square - m.mean**2)


def chi_1_layer(activation: Activation) -> float:
    r"""The same with layer norm before ``phi``, no bias: :math:`E\phi'^2 / E\phi^2` at q = 1."""
    m = moments(activation, 1.0)
    return m.derivative / m.square


def c_map(
    activation: Activation, c: float, q: float, sigma_w: float, sigma_b: float = 0.0
) -> float:
    r"""The correlation of two inputs' ``h`` one layer on, both of mean square ``q`` at its q*.

    :math:`(\sigma_w^2 E[\phi(u)\phi(v)] + \sigma_b^2) / q'`, where u and v have correlation ``c``
    and q' is ``q_map``. Poole et al. 2016.
    """
    pair = sigma_w**2 * mean_pair(activation, activation.phi, q, c) + sigma_b**2
    return pair / float(q_map(activation, q, sigma_w, sigma_b))
