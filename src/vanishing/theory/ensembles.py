"""What theory expects of a cell's networks as wholes: the table ``expected``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from ..parts import laws
from ..tables import EXPECTED
from . import mean_field
from .cell import ISOMETRIES, UnknownCell, weights, without_theory
from .interpolation import ratios
from .jacobian import spectrum
from .likeness import shattering_cosine
from .predictions import NO_THEORY, profile
from .sequences import RecurrentCell, quantities

if TYPE_CHECKING:
    from ..parts.activations import Activation
    from .cell import Cell

MEASURED_OF_ALL = ("slope", "vanishing_index")  # networks, those of no theory among them


class Quantity(NamedTuple):
    """A number that theory gives for a cell, or None, and where its formula is from."""

    of: Callable[[Cell], float | None]
    source: Callable[[Cell], str]


def expected(cells: Mapping[str, Cell | RecurrentCell | UnknownCell]) -> pd.DataFrame:
    """The table of what is expected of cells by name; null and 'none' where there is no theory."""
    rows = [
        {"cell": name, "quantity": quantity, "value": value, "source": source or NO_THEORY}
        for name, cell in cells.items()
        for quantity, value, source in of_cell(cell)
    ]
    return EXPECTED.frame(rows)


def of_cell(cell: Cell | RecurrentCell | UnknownCell) -> Iterator[tuple[str, float, str]]:
    """Name, value and source of what a cell is asked for; '' where there is no theory."""
    if isinstance(cell, RecurrentCell):
        yield from quantities(cell)
    elif isinstance(cell, UnknownCell):
        yield from ((name, math.nan, "") for name in MEASURED_OF_ALL)
    else:
        yield from ((name, *_found(rule, cell)) for name, rule in QUANTITIES.items())


def _found(rule: Quantity, cell: Cell) -> tuple[float, str]:
    value = rule.of(cell)
    known = value is not None and math.isfinite(value)
    return (value, rule.source(cell)) if known else (math.nan, "")


def slope(cell: Cell) -> float | None:
    """Decades per layer, :func:`.slope.slope` of the predicted profile."""
    return profile(cell).slope if wide(cell) else None


def vanishing_index(cell: Cell) -> float | None:
    """V, log10 rms(delta_1) - log10 rms(delta_L), in decades."""
    log_delta = profile(cell).log10_delta_rms
    return float(log_delta[0] - log_delta[-1]) if wide(cell) else None


def wide(cell: Cell) -> bool:
    r"""Whether a first order in 1/width can do: the fluctuation of a layer's K stays below a half.

    :math:`(E\phi^4 / (E\phi^2)^2 - 1) / n \le 1/2`, at q of layer 1: from 10 units on for relu.
    """
    q = profile(cell).q[0]
    if not 0 < q < math.inf:
        return False
    kurtosis = float(ratios(cell.activation, np.log(q)).kurtosis)
    return kurtosis - 1 <= cell.architecture.width / 2


def stream_growth(cell: Cell) -> float:
    """log10 of the stream's squared gradient before the first residual block over that behind.

    0 for a branch that counts 0 times; log10(2) a block for a He branch without norm at infinite
    width, and more at a finite one, where part of the gradient points along the signal.
    """
    return profile(cell).stream_growth


def log_q_variance(cell: Cell) -> float | None:
    r"""The variance over networks of ln of the mean square of h_L, for one input.

    With v the variance of ln(sigma_w^2 K + sigma_b^2), K the mean of phi^2 over n units: that of
    ln K is :math:`e^2 v + (E\phi^4 / (E\phi^2)^2 - 1) / n`, e its elasticity in q, and h of
    Gaussian weights adds 2/n: some 5/n a layer for relu (after Hanin, Rolnick 2018). An isometry
    keeps lengths: nothing is added, and of the fluctuations of phi^2 those at one length are left,
    :math:`2 e^2 / n` fewer.
    """
    if not (cell.plain and one_input(cell)) or cell.kind == "standardised":
        return None
    layers = mean_field.forward(cell)
    if not layers or cell.init.unit_variance or not wide(cell):
        return None
    isometry, n = cell.init.law in ISOMETRIES, cell.architecture.width
    variance = 0.0
    for before, layer in itertools.pairwise(layers):
        m = ratios(cell.activation, np.log(before.q.mean()))
        own = (m.kurtosis - 1 - 2 * m.elasticity**2 * isometry) / n
        by_weights = 1 - layer.weights.bias / layer.square.mean()
        variance = by_weights**2 * (m.elasticity**2 * variance + max(own, 0.0))
    return float(variance) + (0 if isometry else 2 / n)


def born_dead(cell: Cell) -> float | None:
    """The share of relu networks of which a layer is dead for one input (Lu et al. 2019).

    A unit is below 0 half of the time, whatever came before: 1 - (1 - 2^-N)^L at width N.
    """
    symmetric = cell.init.law in (laws.normal, laws.uniform)
    if not (cell.plain and one_input(cell) and symmetric and rectifies(cell.activation)):
        return None
    if any(weights(cell, layer).bias for layer in range(1, cell.depth + 1)):
        return None
    return -math.expm1(cell.depth * math.log1p(-(0.5**cell.architecture.width)))


def one_input(cell: Cell) -> bool:
    """Whether an MLP with a theory is measured on one sample."""
    single = cell.samples == 1 and cell.architecture.family == "mlp"
    return single and not without_theory(cell)


def rectifies(activation: Activation) -> bool:
    """Whether phi is flat exactly where its argument is negative."""
    h = torch.cat([-torch.logspace(-6, 2, 81), torch.logspace(-6, 2, 81)]).double()
    return bool(((activation.derivative(h) == 0) == (h < 0)).all())


def _profile_source(cell: Cell) -> str:
    return profile(cell).source


def _jacobian(name: str) -> Callable[[Cell], float | None]:
    def of(cell: Cell) -> float | None:
        found = spectrum(cell)
        return None if found is None else getattr(found, name)

    return of


QUANTITIES = {
    "slope": Quantity(slope, _profile_source),
    "vanishing_index": Quantity(vanishing_index, _profile_source),
    "stream_growth": Quantity(stream_growth, _profile_source),
    "shattering_cosine": Quantity(
        shattering_cosine,
        lambda cell: (
            "the product over layers of E phi'(u)phi'(v) / E phi'^2 (Balduzzi et al. 2017)"
        ),
    ),
    "jacobian_mean_square": Quantity(
        _jacobian("mean"), lambda cell: "the product of chi_1 (Pennington et al. 2017)"
    ),
    "jacobian_relative_variance": Quantity(
        _jacobian("relative_variance"),
        lambda cell: "the sum of mu_2/mu_1^2 - 1 - s_1 over layers (Pennington et al. 2017)",
    ),
    "log_q_variance": Quantity(
        log_q_variance, lambda cell: "5/n a layer for relu, to order 1/n (Hanin and Rolnick 2018)"
    ),
    "born_dead": Quantity(born_dead, lambda cell: "1 - (1 - 2^-N)^L (Lu et al. 2019)"),
}
