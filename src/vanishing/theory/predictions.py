r"""The predicted profile of ``q`` and of the gradient by layer, for every cell of a study.

A plain network is predicted at its own width, by :mod:`.finite_width`; one with a norm or a
residual here, in the mean field.

Going back, with :math:`G_l = E(dL/da_l)^2` and :math:`D_l = E \delta_l^2` per unit,
:math:`D_l = E\phi'(h_l)^2 G_l` and :math:`G_{l-1} = [G_l] + n_l\, \mathrm{var}(W_l) D_l / s_l`:
``n_l`` units, ``s_l`` what the norm divides squares by, ``[G_l]`` there only where a residual adds
a_{l-1} to a_l. It starts at the head, :math:`G_L = \mathrm{var}(W) E \sum_k (p_k - y_k)^2`.
Beside it goes the part of the gradient that points along the signal (:class:`Along`).
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ..parts.activations import ACTIVATIONS
from ..parts.inits import INITS
from ..tables import PREDICTIONS
from . import finite_width
from .head import softmax_head
from .interpolation import ratios
from .maps import INPUT, Moments, Stream, added, moments, normalised
from .slope import slope

if TYPE_CHECKING:
    from ..parts.activations import Activation
    from ..parts.inits import Init

PLAIN = (
    "chi_1 = sigma_w^2 E phi'^2 (Poole et al. 2016, Schoenholz et al. 2017), with q_l and gradient "
    "fluctuating to order 1/width (after Hanin and Rolnick 2018)"
)
BATCH = "chi_1 = E phi'^2 / Var phi at infinite batch (Yang et al. 2019)"
LAYER = "chi_1 = E phi'^2 / (E phi^2 + sigma_b^2 / sigma_w^2) (mean field)"
RESIDUAL = "; a block multiplies E(dL/da)^2 by 1 + chi (after Yang and Schoenholz 2017)"
NO_THEORY = "none"


# A label with parameters makes a new part at every look-up: one part a label, or caches never hit.
_activation = functools.cache(ACTIVATIONS.__getitem__)
_init = functools.cache(INITS.__getitem__)


class Cell(NamedTuple):
    """What a prediction depends on."""

    activation: Activation
    init: Init
    norm: str
    residual: str
    depth: int
    width: int
    inputs: int  # of a sample
    classes: int
    samples: int  # in the batch that is measured
    correlation: float  # root mean square cosine of two inputs


class Layer(NamedTuple):
    """A hidden layer, seen going forward; ``carry`` is n var(W) / s of the module's formula."""

    q: float
    m: Moments
    carry: float
    skips: bool  # a residual adds the layer's input to its output
    came: Stream  # the layer's input
    pull: float  # sigma_w^2 / q, or 0 with a norm: it takes out what points along h
    fresh: float  # share of W's inputs left once what points along a is set apart


class Along(NamedTuple):
    r"""The part of dL/da that points along the signal, which the mean field takes as none.

    W and ``h = a W`` are not independent: given h, W is :math:`a h^T / |a|^2` plus a fresh draw, so
    a layer sends back :math:`\kappa a` beside random noise. This starts at a share of 1/width, and
    where a signal's length is unstable (a residual relu without a norm, gelu near its critical
    sigma_w) it grows faster than the rest and soon outweighs it. It is K a_l + F, and F depends
    on layers after l only.
    """

    k: float
    mean: float  # E F
    square: float  # E F^2

    def scaled(self, by: float) -> Along:
        """The same, of a gradient ``by`` times as large."""
        return Along(self.k * by, self.mean * by, self.square * by**2)


class Profile(NamedTuple):
    """A cell's prediction; arrays have one value a layer, layer 1 first."""

    q: np.ndarray
    chi_1: np.ndarray
    log10_delta_rms: np.ndarray
    slope: float
    source: str


def predict(cells: pd.DataFrame) -> pd.DataFrame:
    """The table of predictions.

    ``cells`` has the columns cell and those of :class:`Cell`; names of parts are their labels.
    Null, and source 'none', where there is no formula or a value leaves float64.
    """
    frames = [_rows(row.cell, profile(_cell(row))) for row in cells.itertuples()]
    return PREDICTIONS.frame(pd.concat(frames, ignore_index=True) if frames else [])


@functools.lru_cache(maxsize=10_000)
def profile(cell: Cell) -> Profile:
    """The prediction for ``cell``; cells that share a recursion of q share its quadratures."""
    plain = cell.norm == "none" and cell.residual == "none"
    found = of_finite_width(cell) if plain else of_mean_field(cell)
    if found is None or not all(np.isfinite(values).all() for values in found):
        return _without_theory(cell.depth)
    q, chi, log_delta = found
    return Profile(q, np.append(np.nan, chi), log_delta, float(slope(log_delta)), _source(cell))


def of_finite_width(cell: Cell) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """q, chi_1 from layer 2 on, and log10 of rms(delta), of a plain network; None if undefined."""
    log_q, log_delta = finite_width.profiles(cell)
    if not np.isfinite(log_q).all():
        return None
    var_w = cell.width * cell.init.weight_std(cell.width, cell.width) ** 2
    chi = var_w * np.exp(ratios(cell.activation, math.log(10) * log_q[:-1]).log_slope)
    return 10**log_q, chi, log_delta


def of_mean_field(cell: Cell) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The same by the module's formula; None where a part has none."""
    walked = forward(cell)
    if walked is None:
        return None
    layers, stream = walked
    log_delta, chi = backward(layers, *head(cell, stream))
    return np.array([layer.q for layer in layers]), chi, log_delta / 2


def forward(cell: Cell) -> tuple[list[Layer], Stream] | None:
    """The layers and the stream that reaches the head; None where a part has no formula."""
    stream, layers, fan_in = INPUT, [], cell.inputs
    for number in range(1, cell.depth + 1):
        var = cell.init.weight_std(fan_in, cell.width) ** 2
        var_b = cell.init.bias_std(fan_in, cell.width) ** 2
        scaled = normalised(cell.norm, stream, fan_in * var, var_b)
        if scaled is None:
            return None
        q, divisor = scaled
        m = moments(cell.activation, q)
        first = number == 1
        pull = fan_in * var / q if cell.norm == "none" and q > 0 else 0.0
        fresh = 1 - 1 / fan_in if pull else 1.0
        skips = cell.residual != "none" and not first
        layers.append(Layer(q, m, cell.width * var / divisor, skips, stream, pull, fresh))
        stream = added(cell.residual, stream, m, first)
        if stream is None:
            return None
        fan_in = cell.width
    return layers, stream


def backward(layers: list[Layer], log_head: float, along: Along) -> tuple[np.ndarray, np.ndarray]:
    """log10 of E delta^2 by layer, and the mean field's factor from each to the layer before.

    ``log_head`` is log10 of G_L, and ``along`` is in units of its root: so is all below, layer by
    layer, since a squared gradient of 200 sigmoid layers underflows in float64.
    """
    log_g, log_delta = log_head, []
    for layer in reversed(layers):
        delta_along, following = along_before(layer, along)
        delta = layer.m.derivative + delta_along
        growth = float(layer.skips) + layer.fresh * layer.carry * delta
        log_delta.append(log_g + _log10(delta))
        log_g += _log10(growth)
        along = following.scaled(growth**-0.5) if growth > 0 else following
    chi = [_chi_1(layer, before) for before, layer in itertools.pairwise(layers)]
    return np.array(log_delta[::-1]), np.array(chi)


def along_before(layer: Layer, along: Along) -> tuple[float, Along]:
    r"""E delta^2 of the part along the signal, and that part of the gradient one layer back.

    With the layer's own phi apart, dL/da_l is K phi + rest. :math:`E[\phi'^2 (K\phi + rest)^2]`
    comes first; then :math:`\kappa = \sigma_w^2 (K E[h\phi'\phi] + E[rest] E[h\phi']) / q`.
    """
    k, mean, square = along
    m, came = layer.m, layer.came
    through = k if layer.skips else 0.0  # the share of ``came`` in what the layer puts out
    rest = through * came.mean + mean
    rest_square = through**2 * came.square + 2 * through * came.mean * mean + square
    delta = k**2 * m.fourth + 2 * k * rest * m.tilt + rest_square * m.derivative
    kappa = layer.pull * (k * m.pull + rest * m.lean)
    if not layer.skips:
        return delta, Along(kappa, 0.0, 0.0)
    later = mean + k * m.mean, square + 2 * mean * k * m.mean + k**2 * m.square
    return delta, Along(k + kappa, *later)


def _chi_1(layer: Layer, before: Layer) -> float:
    if layer.m.derivative <= 0:
        return math.nan
    return (float(layer.skips) / layer.m.derivative + layer.carry) * before.m.derivative


def head(cell: Cell, stream: Stream) -> tuple[float, Along]:
    """log10 of E(dL/da_L)^2, and the part along the signal in units of its root."""
    var = cell.init.weight_std(cell.width, cell.classes) ** 2
    q = cell.width * var * stream.square + cell.init.bias_std(cell.width, cell.classes) ** 2
    if not 0 < q < math.inf:
        return math.nan, Along(0.0, 0.0, 0.0)
    error, along, _ = softmax_head(q, cell.classes)
    return _log10(var * error), Along(math.sqrt(var * along / error) / q, 0.0, 0.0)


def _log10(x: float) -> float:
    return math.log10(x) if 0 < x < math.inf else math.nan


def _source(cell: Cell) -> str:
    rule = {"none": PLAIN, "batch": BATCH, "layer": LAYER}[cell.norm]
    return rule if cell.residual == "none" else rule + RESIDUAL


def _without_theory(depth: int) -> Profile:
    nothing = np.full(depth, np.nan)
    return Profile(nothing, nothing, nothing, math.nan, NO_THEORY)


def _cell(row: tuple) -> Cell:
    return Cell(
        _activation(row.activation),
        _init(row.init),
        str(row.norm),
        str(row.residual),
        *(int(n) for n in (row.depth, row.width, row.inputs, row.classes, row.samples)),
        float(row.correlation),
    )


def _rows(name: str, found: Profile) -> pd.DataFrame:
    values = {"cell": name, "layer": np.arange(1, len(found.q) + 1), **found._asdict()}
    return pd.DataFrame(values)[list(PREDICTIONS.columns)]
