"""How widely an init spreads the weights of a place: the standard deviation of an entry."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..errors import UserError
from .architecture import Place

Spread = Callable[[Place], float]


def zero(place: Place) -> float:  # noqa: ARG001
    """All entries alike."""
    return 0.0


def fan_in(variance: float) -> Spread:
    """The std of entries of variance ``variance`` / fan_in, so that sigma_w^2 = variance."""
    return lambda place: math.sqrt(variance / place.fan_in)


def fan_out(variance: float) -> Spread:
    """The std of entries of variance ``variance`` / fan_out."""
    return lambda place: math.sqrt(variance / place.fan_out)


def xavier(place: Place) -> float:
    """Between fan_in and fan_out: variance 2 / (fan_in + fan_out)."""
    return math.sqrt(2 / (place.fan_in + place.fan_out))


def torch_default(place: Place) -> float:
    """U(-1, 1) / sqrt(fan_in) as in nn.Linear, sigma_w^2 = 1/3; / sqrt(state) as in nn.RNN."""
    state = 0 if place.head else place.state
    return math.sqrt(1 / 3 / (state or place.fan_in))


def centre_rms(place: Place) -> float:
    """Root mean square of the entries of an isometry that fills the kernel's centre only."""
    channels = place.fan_in // place.field
    return math.sqrt(min(channels, place.units) / (place.fan_in * place.units))


def critical(place: Place) -> float:
    """That of the sigma_w at which chi_1 is 1, of the layers' own activation."""
    from ..theory.fixed_points import critical_sigma_w

    sigma_w = critical_sigma_w(place.activation)
    if sigma_w is None:
        raise UserError(
            "init 'critical': this activation has no edge of chaos at sigma_b = 0 (chi_1 never "
            "rises through 1): leave the combination out by `exclude`, or give a gaussian init."
        )
    return sigma_w / math.sqrt(place.fan_in)


def fixup(place: Place) -> float:
    """He, 0 in the head and at the end of a branch, smaller in the rest of it.

    Rules 1 and 2 of the paper; its scalar multipliers and biases are left to a residual
    (skip_init(start=1)) and to the layers' own biases. A branch that ends in phi would never learn:
    phi'(0) of relu is 0.
    """
    if place.head or place.ends_block:
        return 0.0
    shrunk = place.blocks ** (-1 / (2 * place.block - 2)) if place.in_block else 1.0
    return math.sqrt(2 / place.fan_in) * shrunk


def apart(layer: int, factor: float, others: Spread) -> Spread:
    """That of ``others``, times ``factor`` in one layer."""
    return lambda place: others(place) * (factor if place.layer == layer else 1.0)
