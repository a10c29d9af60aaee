r"""What a prediction depends on, and the variance of the weights that a layer really uses.

A norm of the weights changes that variance. Spectral norm divides by the largest singular value:
the gain of an isometry, and of a matrix (n, p) of independent entries of variance 1 the root of
:math:`\mu - 1.2065\,s` with :math:`\mu = (\sqrt{n-1} + \sqrt p)^2` and :math:`s = \sqrt\mu\,
(1/\sqrt{n-1} + 1/\sqrt p)^{1/3}`: centre, scale and mean of the Tracy-Widom law (Johnstone 2001).
Standardisation gives each unit's weights the variance gain^2 / fan_in (Brock et al. 2021).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from ..errors import UserError
from ..parts import laws, norms
from ..parts.norms import NORMS, variance_gain
from ..parts.residuals import AFTER, BEFORE, concatenate, gated, plus, replace

if TYPE_CHECKING:
    from ..parts.activations import Activation
    from ..parts.architecture import Architecture, Place
    from ..parts.inits import Init
    from ..parts.norms import Norm
    from ..parts.residuals import Residual

TRACY_WIDOM = -1.2065  # its mean, for real matrices
OURS = ("none", "batch", "layer", "rms", "weight", "spectral", "standardised")
JOINS = {(add, AFTER) for add in (replace, plus, gated, concatenate)}
JOINS |= {(add, BEFORE) for add in (plus, gated)}
ISOMETRIES = (laws.orthogonal, laws.delta_orthogonal, laws.identity)


class Cell(NamedTuple):
    """A network at initialisation, and what of its data the theory needs."""

    activation: Activation
    init: Init
    norm: Norm
    residual: Residual
    architecture: Architecture
    norm_first: bool = True  # before phi
    samples: int = 1  # in the batch that is measured
    correlation: float = 0.0  # root mean square cosine of two inputs
    cosines: tuple[float, ...] = ()  # quantiles of the cosine of two inputs
    pixels: tuple[float, ...] = ()  # mean square of the inputs at each pixel, of a CNN

    @property
    def depth(self) -> int:
        """Hidden layers."""
        return self.architecture.depth

    @property
    def kind(self) -> str:
        """Which of our norms it has, "group" among them; "" for another."""
        for name in OURS:
            if self.norm == NORMS.entries[name]:
                return name
        ours = self.norm.groups and self.norm.apply.__module__ == norms.__name__
        return "group" if ours else ""

    @property
    def normed(self) -> str:
        """The norm of the layers' values; "none" where it is one of the weights."""
        return "none" if self.norm.weigh else self.kind

    @property
    def plain(self) -> bool:
        """No skip, and nothing that normalises values."""
        return not self.residual.skips and self.normed == "none"

    def place(self, layer: int) -> Place:
        """The place of a layer's weight."""
        return self.architecture.place(layer, self.activation)


class UnknownCell(NamedTuple):
    """A network of a family that no theory is of: one of two that play against each other."""

    depth: int


class Weights(NamedTuple):
    """Entries of a weight and of a bias, as the layer uses them."""

    variance: float
    bias: float  # variance of a bias


@functools.lru_cache(maxsize=100_000)
def weights(cell: Cell, layer: int) -> Weights:
    """The variances at ``layer`` (depth + 1 is the head, which no norm touches)."""
    place = cell.place(layer)
    std, bias = cell.init.weight_std(place), cell.init.bias_std(place)
    variance = std**2
    if not place.head and cell.kind == "spectral":
        variance /= largest_singular_value2(cell.init, place)
    if not place.head and cell.kind == "standardised":
        variance = variance_gain(cell.activation) ** 2 / place.fan_in
    return Weights(variance, bias**2)


def largest_singular_value2(init: Init, place: Place) -> float:
    """The square of the largest singular value of a layer's weight."""
    variance = init.weight_std(place) ** 2
    if init.law is laws.orthogonal:
        return variance * max(place.fan_in, place.units)
    if init.law in ISOMETRIES:
        return variance * place.fan_in * place.units / min(place.fan_in // place.field, place.units)
    n, p = math.sqrt(max(place.fan_in - 1, 1)), math.sqrt(place.units)
    return variance * ((n + p) ** 2 + TRACY_WIDOM * (n + p) * (1 / n + 1 / p) ** (1 / 3))


@functools.cache
def centred(activation: Activation) -> Activation:
    """``phi`` - phi(0): what a layer hands on, seen behind biases that take phi(0) away."""
    at_0 = float(activation.phi(torch.zeros((), dtype=torch.float64)))
    shifted = activation.phi
    return dataclasses.replace(activation, phi=lambda h, *learned: shifted(h, *learned) - at_0)


def without_theory(cell: Cell) -> str:
    """Why nothing is predicted of a cell; '' where there is a theory."""
    places = [cell.place(n) for n in range(1, cell.depth + 2)]
    try:
        stds = [cell.init.weight_std(place) for place in places]
    except UserError:
        return "the init has no formula for this activation"
    if any(cell.init.weight_mean(place) for place in places):
        return "weights that are not centred make all units alike"
    if cell.init.centred and cell.activation.phi(torch.zeros(())):
        return "biases that follow from the weights: predict it of phi - phi(0), which is centred"
    if not min(stds) > 0:
        return "a weight is 0, and so is every gradient behind it"
    if not cell.kind:
        return "no formula for this norm"
    if cell.kind == "spectral" and cell.init.law not in (*ISOMETRIES, laws.normal, laws.uniform):
        return "no formula for the largest singular value"
    if (cell.residual.add, cell.residual.joins) not in JOINS:
        return "no formula for this residual"
    if cell.init.law is laws.identity and not (cell.plain and linear(cell.activation)):
        return "identical weights: a unit sees one other, and no mean is taken"
    return ""


def linear(activation: Activation) -> bool:
    """Whether ``phi`` is a multiple of its argument."""
    h = torch.linspace(-4, 4, 81, dtype=torch.float64)
    return torch.allclose(activation.phi(h), h * activation.phi(torch.ones_like(h)), 1e-12, 1e-12)


def factor(cell: Cell, block: int) -> float:
    """What a residual block's branch is multiplied by at init, survival by its probability."""
    residual, blocks = cell.residual, cell.architecture.blocks
    found = residual.strength(block, blocks) * (residual.start if residual.learned else 1.0)
    return found * (residual.survival(block, blocks) if residual.survival else 1.0)
