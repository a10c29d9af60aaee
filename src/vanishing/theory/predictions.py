"""The predicted profile of ``q`` and of the gradient by layer, for every cell of a study.

A plain MLP is predicted at its own width, by :mod:`.finite_width`; one with a norm of its values, a
residual or an init fitted to data, and every CNN, by :mod:`.mean_field`. Of a recurrent net q alone
is, as a mean over its time steps (:mod:`.sequences`): its gradient by layer is that of the answers
at all steps together.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ..parts.residuals import concatenate, gated
from ..tables import PREDICTIONS
from . import finite_width, mean_field
from .cell import Cell, UnknownCell, without_theory
from .interpolation import ratios
from .sequences import RecurrentCell, q_by_layer
from .slope import slope

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN = (
    "chi_1 = sigma_w^2 E phi'^2 (Poole et al. 2016, Schoenholz et al. 2017), with q_l and gradient "
    "fluctuating to order 1/width (after Hanin and Rolnick 2018)"
)
RULES = {
    "none": "chi_1 = sigma_w^2 E phi'^2 (Poole et al. 2016, Schoenholz et al. 2017)",
    "batch": "chi_1 = E phi'^2 / Var phi at infinite batch (Yang et al. 2019)",
    "layer": "chi_1 = E phi'^2 / (E phi^2 + sigma_b^2 / sigma_w^2) (mean field)",
    "group": "chi_1 = E phi'^2 / E phi^2 over a sphere in as many dimensions as a group has units",
    "standardised": "chi_1 = E phi'^2 / Var phi(N(0, 1)) (after Brock et al. 2021)",
    "fitted": "chi_1 = E phi'^2 / E phi^2 at q = 1, to which the init is fitted (mean field)",
}
RULES |= {"rms": RULES["layer"], "weight": RULES["none"], "spectral": RULES["none"]}
SPECTRAL = ", sigma_w^2 over the square of the largest singular value (Johnstone 2001)"
RESIDUAL = "; a block multiplies E(dL/da)^2 by 1 + chi (after Yang and Schoenholz 2017)"
SCALED = (
    "; a block multiplies the stream's squared gradient by 1 + f^2 chi, f its branch's factor "
    "(after Yang and Schoenholz 2017, Hayou et al. 2021)"
)
ALONG = "; beside it the part along the signal, to order 1/width"
GATED = "; gates and branches are averaged over as independent Gaussians (mean field)"
DENSE = "; squared gradients of all later layers add (mean field)"
BORDER = "; pixel by pixel, with what a border of zeros takes out (after Xiao et al. 2018)"
AFTER_PHI = "; the norm's division behind phi (mean field)"
NO_THEORY = "none"


class Profile(NamedTuple):
    """A cell's prediction; arrays have one value a layer, layer 1 first.

    Where a branch has the factor 0 at init, gradients within it are 0 and have no logarithm.
    """

    q: np.ndarray
    chi_1: np.ndarray
    log10_delta_rms: np.ndarray
    slope: float
    stream_growth: float  # log10 of the stream's squared gradient, first block's input over end
    source: str


def predict(cells: Mapping[str, Cell | RecurrentCell | UnknownCell]) -> pd.DataFrame:
    """The table of predictions of cells by name.

    Null, and source 'none', where there is no formula or a value leaves float64.
    """
    frames = [_rows(name, of_layers(cell)) for name, cell in cells.items()]
    return PREDICTIONS.frame(pd.concat(frames, ignore_index=True) if frames else [])


def of_layers(cell: Cell | RecurrentCell | UnknownCell) -> Profile:
    """The prediction for a cell of any family."""
    if isinstance(cell, Cell):
        return profile(cell)
    nothing = _nothing(cell.depth)
    found = q_by_layer(cell) if isinstance(cell, RecurrentCell) else None
    return nothing if found is None else nothing._replace(q=found[0], source=found[1])


@functools.lru_cache(maxsize=10_000)
def profile(cell: Cell) -> Profile:
    """The prediction for ``cell``; cells that share a recursion of q share its quadratures."""
    if without_theory(cell):
        return _nothing(cell.depth)
    found = of_finite_width(cell) if at_its_width(cell) else of_mean_field(cell)
    if found is None:
        return _nothing(cell.depth)
    q, chi, log_delta, growth = found
    inside_zero = math.isfinite(growth)  # of a residual whose branches count 0 times
    if not np.isfinite(q).all() or not (inside_zero or np.isfinite([*chi, *log_delta]).all()):
        return _nothing(cell.depth)
    chi = np.append(np.nan, chi)
    return Profile(q, chi, log_delta, float(slope(log_delta)), growth, source(cell))


def at_its_width(cell: Cell) -> bool:
    """Whether the prediction is one at finite width."""
    independent = cell.plain and cell.kind != "standardised" and not cell.init.unit_variance
    return independent and cell.architecture.family == "mlp" and cell.init.law.cdf is not None


Found = tuple[np.ndarray, np.ndarray, np.ndarray, float]


def of_finite_width(cell: Cell) -> Found | None:
    """q, chi_1 from layer 2 on, log10 of rms(delta), of a plain network; None if undefined."""
    log_q, log_delta = finite_width.profiles(cell)
    if not np.isfinite(log_q).all():
        return None
    before = math.log(10) * log_q[: max(1, cell.depth - 1)]
    slopes = np.exp(ratios(cell.activation, before).log_slope)[: cell.depth - 1]
    return 10**log_q, finite_width.sigma_w2_back(cell) * slopes, log_delta, math.nan


def of_mean_field(cell: Cell) -> Found | None:
    """The same by :mod:`.mean_field`, and the stream's growth; None where a part has no formula."""
    layers = mean_field.forward(cell)
    start = mean_field.head(cell, layers[-1].out) if layers else None
    if start is None:
        return None
    found = mean_field.backward(cell, layers, start)
    bare = mean_field.backward(cell, *mean_field.bare(layers, start))
    chi = 10 ** (bare.delta[:-1] - bare.delta[1:])
    growth = found.stream[0] - found.stream[-1] if len(found.stream) else math.nan
    return np.array([layer.q.mean() for layer in layers]), chi, found.delta / 2, growth


def source(cell: Cell) -> str:
    """Formula and paper of a cell's prediction."""
    if at_its_width(cell):
        return PLAIN + SPECTRAL * (cell.kind == "spectral")
    fitted = cell.init.unit_variance and cell.normed == "none" and not cell.norm.weigh
    found = RULES["fitted" if fitted else cell.kind] + SPECTRAL * (cell.kind == "spectral")
    if cell.normed != "none" and not cell.norm_first:
        found += AFTER_PHI
    if cell.residual.skips:
        added = {gated: GATED, concatenate: DENSE}.get(cell.residual.add, SCALED)
        simple = all(factor == 1 for factor in mean_field.factors(cell))
        found += RESIDUAL if added is SCALED and simple else added
        found += ALONG * mean_field.follows_along(cell)
    return found + BORDER * (cell.architecture.family == "cnn")


def _nothing(depth: int) -> Profile:
    nothing = np.full(depth, np.nan)
    return Profile(nothing, nothing, nothing, math.nan, math.nan, NO_THEORY)


def _rows(name: str, found: Profile) -> pd.DataFrame:
    values = {"cell": name, "layer": np.arange(1, len(found.q) + 1), **found._asdict()}
    return pd.DataFrame(values)[list(PREDICTIONS.columns)]
