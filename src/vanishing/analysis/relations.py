"""How one measure goes with another: regression within strata, its equivalence test, rank order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .statistics import Estimate, tost


def regression(
    data: pd.DataFrame,
    outcome: str,
    terms: Sequence[str],
    strata: Sequence[str] = (),
    clusters: str | None = None,
) -> dict[str, Estimate]:
    """Coefficients of ``terms`` by least squares, with an intercept of its own for each stratum.

    With ``clusters`` (the column of the seed) errors are those of the jackknife that leaves out a
    seed at a time, robust to what its runs share, with as many degrees of freedom as seeds less
    one. The usual robust errors are too small for 10 to 20 seeds: their 95 % intervals cover 91 %.
    Source: MacKinnon, Nielsen and Webb 2023 (their CV3).
    """
    design = _design(data, terms, strata)
    y = data[outcome].astype(float)
    if clusters is not None:
        return _jackknife(y, design, terms, data[clusters])
    fit = sm.OLS(y, design).fit()
    ends = fit.conf_int()
    return {
        term: Estimate(
            float(fit.params[term]),
            *map(float, ends.loc[term]),
            len(data),
            float(fit.pvalues[term]),
        )
        for term in terms
    }


def _jackknife(
    y: pd.Series, design: pd.DataFrame, terms: Sequence[str], clusters: pd.Series
) -> dict[str, Estimate]:
    """The first coefficients of ``design``, with the scatter that leaving out clusters gives."""
    every, target = design.to_numpy(float), y.to_numpy(float)
    label, names = pd.factorize(clusters)
    n = len(names)
    kept = [label != left_out for left_out in range(-1, n)]  # -1: nobody
    value, *without = [np.linalg.lstsq(every[k], target[k], rcond=None)[0] for k in kept]
    error = np.sqrt((n - 1) / n * np.sum((np.array(without) - value) ** 2, axis=0))
    half = stats.t.ppf(0.975, n - 1) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(value / error), n - 1)
    return {
        term: Estimate(
            *map(float, (value[i], value[i] - half[i], value[i] + half[i])), n, float(p[i])
        )
        for i, term in enumerate(terms)
    }


def coefficient_equivalence(
    data: pd.DataFrame,
    outcome: str,
    term: str,
    target: float,
    margin: float,
    strata: Sequence[str] = (),
) -> Estimate:
    """TOST: is the coefficient of ``term`` within ``margin`` of ``target``? 90 % interval."""
    fit = sm.OLS(data[outcome].astype(float), _design(data, [term], strata)).fit()
    low, high = fit.conf_int(alpha=0.10).loc[term]
    p = tost(fit.params[term], fit.bse[term], fit.df_resid, target, margin)
    return Estimate(float(fit.params[term]), float(low), float(high), len(data), p)


def _design(data: pd.DataFrame, terms: Sequence[str], strata: Sequence[str]) -> pd.DataFrame:
    """The columns ``terms``, then a column a stratum."""
    design = data[list(terms)].astype(float)
    if not strata:
        return design.assign(intercept=1.0)
    stratum = data.groupby(list(strata), sort=False).ngroup()
    return design.join(pd.get_dummies(stratum, prefix="stratum", dtype=float))


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
