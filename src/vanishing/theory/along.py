r"""The part of the gradient that points along the signal, which the mean field takes as none.

W and ``h = a W`` are not independent: given h, W is :math:`a h^T / |a|^2` plus a fresh draw, so a
layer sends back :math:`\kappa a` beside random noise. This starts at a share of 1/width, and where
a signal's length is unstable (a residual relu without a norm, gelu near its critical sigma_w) it
grows faster than the rest and soon outweighs it. It is followed where blocks add their activations,
or there are none. In a CNN the signals of all pixels are taken to point the same way, and so the
gradients of a head that sees their mean: then a kernel acts as its sum. Where images shrink on the
way it is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .maps import Moments
from .stream import Stream


class Along(NamedTuple):
    """That part of dL/da_l: K a_l + F, and F depends on layers after l only."""

    k: np.ndarray | float
    mean: np.ndarray | float  # E F
    square: np.ndarray | float  # E F^2

    def scaled(self, by: float) -> Along:
        """The same, of a gradient ``by`` times as large."""
        return Along(self.k * by, self.mean * by, self.square * by**2)

    def mean_square(self, a: Stream) -> np.ndarray | float:
        """E (K a_l + F)^2, of a layer that puts out ``a``."""
        return self.k**2 * a.square + 2 * self.k * a.mean * self.mean + self.square


NOTHING = Along(0.0, 0.0, 0.0)


class Met(NamedTuple):
    """What a layer makes of it: E delta^2 of this part, and what it sends on."""

    delta: np.ndarray | float
    kappa: np.ndarray | float  # of the layer's input
    skipping: Along  # past the branch, to the block's input


NONE_MET = Met(0.0, 0.0, NOTHING)


def met(along: Along, m: Moments, pull: float, f: float = 1.0, x: Stream | None = None) -> Met:
    r"""At a layer whose phi(h) counts ``f`` times beside ``x``, the input of its block, if any.

    With the layer's own phi apart, dL/da is K f phi + rest. :math:`f^2 E[\phi'^2 (K f \phi +
    rest)^2]` comes first; then :math:`\kappa = f \sigma_w^2 (K f E[h\phi'\phi] + E[rest]
    E[h\phi']) / q`, with :math:`\sigma_w^2 / q` as ``pull``.
    """
    k, mean, square = along
    own = k * f
    rest, rest_square = mean, square
    if x is not None:
        rest = k * x.mean + mean
        rest_square = k**2 * x.square + 2 * k * x.mean * mean + square
    delta = own**2 * m.fourth + 2 * own * rest * m.tilt + rest_square * m.derivative
    kappa = pull * f * (own * m.pull + rest * m.lean)
    later = mean + own * m.mean, square + 2 * mean * own * m.mean + own**2 * m.square
    return Met(f**2 * delta, kappa, Along(k, *later))
