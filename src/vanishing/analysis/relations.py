"""How one measure goes with another: slope, rank order, and which of two laws it follows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .statistics import Estimate


def slope_of(outcome: ArrayLike, term: ArrayLike, beside: ArrayLike | None = None) -> float:
    """The least-squares coefficient of ``term``, with an intercept and the columns ``beside`` it.

    Not a number where the design does not identify it (too few or collinear values).
    """
    y = np.asarray(outcome, float)
    others = np.empty((len(y), 0)) if beside is None else np.asarray(beside, float)
    design = np.column_stack([np.asarray(term, float), others, np.ones(len(y))])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return math.nan
    return float(np.linalg.lstsq(design, y, rcond=None)[0][0])


def spearman(
    x: ArrayLike, y: ArrayLike, beside: ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    """Rank correlation, or with the columns ``beside`` the partial one, with interval and p.

    The partial one correlates what is left of the ranks of ``x`` and ``y`` after regression on the
    ranks of ``beside``. Interval on Fisher's scale with variance (1 + r²/2)/(n - k - 3), k columns
    beside; p of Student's t. Not a number where ranks are constant or follow from those beside.
    Source: Bonett and Wright 2000. Pass one pair a seed (or a cell's means), not one a layer: of
    pairs that are not independent only the value has a meaning.
    """
    ranks = [stats.rankdata(column) for column in (x, y)]
    n = len(ranks[0])
    others = np.empty((n, 0)) if beside is None else np.asarray(beside, float)
    given = np.column_stack([*map(stats.rankdata, others.T), np.ones(n)])
    freedom = n - 1 - given.shape[1]
    if freedom < 1 or any(_follows(column, given) for column in ranks):
        return Estimate(math.nan, math.nan, math.nan, n)
    left = [column - given @ np.linalg.lstsq(given, column, rcond=None)[0] for column in ranks]
    rho = float(np.clip(np.corrcoef(left)[0, 1], -1, 1))
    if abs(rho) > 1 - 1e-12:
        return Estimate(round(rho), round(rho), round(rho), n, 0.0)
    p = float(2 * stats.t.sf(abs(rho) * math.sqrt(freedom / (1 - rho**2)), freedom))
    if freedom < 2:
        return Estimate(rho, math.nan, math.nan, n, p)
    half = stats.norm.ppf((1 + level) / 2) * math.sqrt((1 + rho**2 / 2) / (freedom - 1))
    z = math.atanh(rho)
    return Estimate(rho, math.tanh(z - half), math.tanh(z + half), n, p)


def _follows(column: NDArray, given: NDArray) -> bool:
    """Is ``column`` a linear function of those ``given``?"""
    design = np.column_stack([given, column])
    return bool(np.linalg.matrix_rank(design) == np.linalg.matrix_rank(given))


def power_less_exponential(y: ArrayLike, depth: ArrayLike) -> float:
    r"""AIC of ``y`` linear in ln depth, less that of ``y`` linear in depth.

    For logarithms ``y`` that is a power law of depth against an exponential; positive where the
    exponential fits better. Both fits have as many parameters, so it is
    :math:`n \ln(RSS_{\ln l} / RSS_l)`. Missing below 5 points or 3 depths, and at depth 0.
    """
    values, x = np.asarray(y, float), np.asarray(depth, float)
    if len(values) < 5 or len(np.unique(x)) < 3 or x.min() <= 0:
        return math.nan
    return len(values) * math.log(_residual(values, np.log(x)) / _residual(values, x))


def _residual(y: NDArray, x: NDArray) -> float:
    # Values come as float32: no fit is known to be better than their rounding.
    rounding = len(y) * (np.finfo(np.float32).eps * max(1.0, np.abs(y).max())) ** 2
    fitted = np.polyval(np.polyfit(x, y, 1), x)
    return float(np.sum((y - fitted) ** 2) + rounding)
