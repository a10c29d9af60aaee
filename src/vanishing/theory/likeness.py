r"""How alike the signals, and the gradients, of two inputs are.

Two inputs' h are Gaussian with a correlation c, which goes from layer to layer (Poole et al. 2016).
Sent back from one gradient of the logits, their gradients keep of their likeness the share
:math:`E\phi'(u)\phi'(v) / E\phi'^2` at each layer: :math:`1 - \arccos(c) / \pi` for relu; under a
batch norm c falls to 0, and half is left (Balduzzi et al. 2017). That a batch norm sends a gradient
past its own sample, to the others, is left out.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from ..parts.residuals import AFTER, BEFORE, concatenate, gated
from . import mean_field
from .cell import without_theory
from .gaussian import line, nodes
from .interpolation import polynomials
from .mean_field import Layer
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..parts.activations import Activation
    from .cell import Cell

STEP, KNOTS = 0.5, 8  # of ln q between knots; knots a block
TERMS = 256  # of a Hermite series: it resolves a kink down to 1 - c of some 1 / TERMS


def shattering_cosine(cell: Cell) -> float | None:
    """The mean cosine of delta_1 between two inputs; None where there is no theory."""
    gates = cell.residual.add is gated
    if not cell.cosines or cell.architecture.family != "mlp" or gates or without_theory(cell):
        return None
    layers = mean_field.forward(cell)
    start = mean_field.head(cell, layers[-1].out) if layers else None
    if start is None:
        return None
    layers, start = mean_field.bare(layers, start)
    own = mean_field.backward(cell, layers, start).delta[0]
    column = np.ones((len(cell.cosines), 1))
    both = mean_field.backward(cell, of_pairs(cell, layers), start._replace(own=column)).delta[0]
    return float(10 ** (both - own))


def of_pairs(cell: Cell, layers: Sequence[Layer]) -> list[Layer]:
    r"""The layers as the product of two inputs' gradients meets them.

    :math:`E\phi'(u)\phi'(v)` stands for :math:`E\phi'^2`, and quantiles of their cosine for pixels.
    """
    overlap = np.array(cell.cosines)[:, None]  # E a b of two inputs' activations
    start, found = overlap, []
    for layer in layers:
        w, joins = layer.weights, cell.residual.joins
        if cell.kind == "standardised":
            overlap = overlap - layer.came.mean**2
        z = cell.place(layer.number).fan_in * w.variance * overlap + w.bias
        if layer.join and joins == BEFORE:
            z = start + layer.join.factor**2 * z
        phi, slope = shares(
            cell.activation, float(np.log(layer.q.mean())), correlation(cell, layer, z)
        )
        overlap = _after_norm(cell, layer, layer.m.square * phi)
        if layer.join and joins == AFTER:
            overlap = _joined(cell, layer, start, overlap)
        if layer.meets:
            start = overlap if joins == AFTER else z
        join = layer.join and layer.join._replace(start=Stream(start, start, start))
        m = layer.m._replace(derivative=layer.m.derivative * slope)
        found.append(layer._replace(m=m, shape=overlap.shape, join=join))
    return found


def correlation(cell: Cell, layer: Layer, z: np.ndarray) -> np.ndarray:
    """Of two inputs' ``h``, from E z z'; a batch norm takes out their mean over pairs."""
    common = z.mean() if cell.norm_first and cell.kind == "batch" else 0.0
    return np.clip((z - common) / (layer.square - common), -1, 1)


def _after_norm(cell: Cell, layer: Layer, overlap: np.ndarray) -> np.ndarray:
    if cell.norm_first or cell.normed == "none":
        return overlap
    common = {"batch": overlap.mean(), "rms": 0.0}.get(cell.kind, layer.m.mean**2)
    return (overlap - common) / layer.divisor_after


def _joined(cell: Cell, layer: Layer, start: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    x, f = layer.join.start, layer.join.factor
    if cell.residual.add is concatenate:
        share = cell.architecture.units(layer.number) / cell.architecture.channels(layer.number)
        return (1 - share) * start + share * f**2 * overlap
    return start + 2 * f * x.mean * layer.own_mean + f**2 * overlap


def shares(activation: Activation, log_q: float, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""E phi(u) phi(v) and E phi'(u) phi'(v) as shares of those at c = 1, at each ``c``.

    Mehler's formula: :math:`E f(u) f(v) = \sum_k c^k f_k^2` with the coefficients :math:`f_k` of f
    in normalised Hermite polynomials. What is left of E f^2 after the last term goes with it.
    """
    block = math.floor(log_q / (STEP * KNOTS))
    weights = _spline(activation, block)(log_q)  # (function, term)
    weights[:, -1] = 1 - weights[:, :-1].sum(1)
    powers = c[..., None] ** np.arange(TERMS)
    return tuple(powers @ row for row in weights)


@functools.lru_cache(maxsize=1000)
def _spline(activation: Activation, block: int) -> CubicSpline:
    """Shares of E phi^2 and E phi'^2 by ln q, (function, term), over a block and a knot beside."""
    log_q = STEP * torch.arange(block * KNOTS - 1, (block + 1) * KNOTS + 2, dtype=torch.float64)
    q = torch.exp(log_q)
    z, weight = nodes(q, activation.kinks, activation.frequency)
    h = q.sqrt()[:, None] * z
    functions = torch.stack([activation.phi(h), activation.derivative(h)], dim=1)  # (knot, 2, node)
    size = (functions**2 @ weight[..., None])[..., 0]
    found = (functions @ _polynomials(z, weight)) ** 2 / size[..., None]
    return CubicSpline(log_q.numpy(), found.numpy())


def _polynomials(z: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The TERMS first polynomials at nodes times weights; those of the line are asked for again."""
    return _on_the_line() if z is line()[0] else polynomials(z, weight, TERMS)


@functools.cache
def _on_the_line() -> torch.Tensor:
    return polynomials(*line(), TERMS)
