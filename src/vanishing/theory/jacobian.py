r"""The singular values of dh_L/dx of a network without skips, units being many.

:math:`J J^T` is a product of free factors. Their normalised means multiply, and of square factors
the relative variances add: 1 of a matrix of independent weights, 0 of an isometry, and
:math:`E\phi'^4 / (E\phi'^2)^2 - 1` of a layer of derivatives (Pennington, Schoenholz, Ganguli 2017:
:math:`\mu_2 / \mu_1^2 - 1 - s_1` a layer). A first layer of n_0 inputs to n units compresses or
stretches: see :func:`relative_variance`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..parts import laws
from . import mean_field
from .cell import ISOMETRIES, without_theory
from .interpolation import ratios

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cell import Cell
    from .mean_field import Layer


class Spectrum(NamedTuple):
    """Of the squared singular values of dh_L/dx."""

    mean: float
    relative_variance: float  # variance over squared mean


def spectrum(cell: Cell) -> Spectrum | None:
    """The :class:`Spectrum` of a cell, over min(inputs, width) values; None without a theory."""
    apart = cell.normed in ("none", "layer", "rms") and cell.norm_first
    known = cell.init.law in (laws.normal, laws.uniform, laws.orthogonal)
    mlp = cell.architecture.family == "mlp" and not cell.residual.skips
    layers = (
        mean_field.forward(cell) if apart and known and mlp and not without_theory(cell) else None
    )
    if not layers:
        return None
    inputs, width = cell.architecture.inputs, cell.architecture.width
    first = inputs * layers[0].weights.variance * width / min(inputs, width)
    growths = [width * layer.weights.variance for layer in layers[1:]]
    slopes = [float(layer.m.derivative.mean()) for layer in layers[:-1]]
    mean = first * np.prod(growths) * np.prod(slopes)
    mean /= np.prod([layer.divisor for layer in layers])
    return Spectrum(float(mean), relative_variance(cell, layers))


def relative_variance(cell: Cell, layers: Sequence[Layer]) -> float:
    """That of the squared singular values, from that of the layers after the first.

    With n_0 <= n, a first layer of independent weights takes v to (n_0 / n)(1 + v), an isometry to
    (n_0 / n) v; with n_0 > n to v + n / n_0, and v.
    """
    isometry = cell.init.law in ISOMETRIES
    log_q = np.log([layer.q.mean() for layer in layers[:-1]])
    kurtosis = ratios(cell.activation, log_q).kurtosis_slope if len(log_q) else np.ones(0)
    v = float((kurtosis - 1).sum()) + (0 if isometry else len(layers) - 1)
    inputs, width = cell.architecture.inputs, cell.architecture.width
    if inputs <= width:
        return inputs / width * (v if isometry else 1 + v)
    return v if isometry else v + width / inputs
