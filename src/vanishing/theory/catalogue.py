r"""What the theory knows of a part by itself: its chi_1, or how far a residual grows.

All of it follows from the part's own fields, at initialisation and in the mean field.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..parts.activations import ACTIVATIONS
from ..parts.architecture import Architecture, Place
from ..parts.inits import INITS
from ..parts.norms import NORMS
from ..parts.residuals import RESIDUALS, concatenate
from . import mean_field
from .cell import Cell, centred, without_theory
from .fixed_points import chi_1_star
from .maps import chi_1_layer

if TYPE_CHECKING:
    from ..parts.activations import Activation
    from ..parts.inits import Init
    from ..parts.norms import Norm
    from ..parts.residuals import Residual

WIDTH = 128  # of the layers
DEEP = 60  # layers, of which the last are where a network of any depth ends up
CLASSES = 10
KERNEL_PIXELS = 9


def chi_1_of_init(init: Init, activation: Activation) -> float | None:
    """``chi_1`` of a plain network of WIDTH units at its own q*; None where there is no such thing.

    None for an init of residual networks, for weights that are all alike, and for a matrix that
    is not random: its layers are not independent. Scaled to unit variance, q is 1 and sigma_w^2
    1 / E phi^2: layer norm's chi_1.
    """
    field = 1 if "mlp" in init.families else KERNEL_PIXELS
    place = Place(WIDTH * field, WIDTH, field, 2, 8, activation=activation)
    if init.needs_block or init.weight_mean(place) or init.law.cdf is None:
        return None
    if init.unit_variance:
        return chi_1_layer(activation)
    sigma_w = init.weight_std(place) * math.sqrt(place.fan_in)
    activation = centred(activation) if init.centred else activation
    return chi_1_star(activation, sigma_w, init.bias_std(place)) if sigma_w else 0.0


def chi_1_of_norm(norm: Norm, activation: Activation) -> float | None:
    """``chi_1`` of a deep plain network of WIDTH units with the norm before phi, and he weights.

    None where the theory has no formula for the norm.
    """
    walk = _walk(_net(activation, norm, RESIDUALS["none"], DEEP))
    return None if walk is None else float(10 ** (walk.delta[-2] - walk.delta[-1]))


def gradient_growth(residual: Residual, blocks: int) -> float | None:
    """By what factor E(dL/da)^2 grows back over ``blocks`` blocks of a layer; None if unknown.

    At init, with he weights and relu, for which a layer without a skip has a factor of 1, and no
    norm. A branch that may be left out counts by its probability.
    """
    walk = _walk(_net(ACTIVATIONS["relu"], NORMS["none"], residual, blocks + 1))
    if walk is None:
        return None
    back = walk.stream if residual.skips else walk.delta
    return float(10 ** (back[0] - back[-1]))


def _net(activation: Activation, norm: Norm, residual: Residual, depth: int) -> Cell:
    """An MLP of WIDTH units everywhere, before its training."""
    joins = residual.skips, residual.add is concatenate
    architecture = Architecture("mlp", depth, WIDTH, WIDTH, CLASSES, *joins)
    return Cell(activation, INITS["he"], norm, residual, architecture, samples=WIDTH)


def _walk(cell: Cell) -> mean_field.Walk | None:
    """log10 of squared gradients by layer, in the mean field of an infinite width."""
    layers = None if without_theory(cell) else mean_field.forward(cell)
    start = mean_field.head(cell, layers[-1].out) if layers else None
    return None if start is None else mean_field.backward(cell, *mean_field.bare(layers, start))
