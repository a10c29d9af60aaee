"""How one measure goes with another: regression within strata, its equivalence test, rank order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import ArrayLike
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

    With ``clusters`` (the column of the seed), intervals are robust to what runs of one seed share,
    with as many degrees of freedom as clusters less one.
    """
    fit = _fit(data, outcome, terms, strata, clusters)
    ends = fit.conf_int()
    n = int(data[clusters].nunique() if clusters else len(data))
    return {
        term: Estimate(
            float(fit.params[term]), *map(float, ends.loc[term]), n, float(fit.pvalues[term])
        )
        for term in terms
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
    fit = _fit(data, outcome, [term], strata, None)
    low, high = fit.conf_int(alpha=0.10).loc[term]
    p = tost(fit.params[term], fit.bse[term], fit.df_resid, target, margin)
    return Estimate(float(fit.params[term]), float(low), float(high), len(data), p)


def _fit(
    data: pd.DataFrame,
    outcome: str,
    terms: Sequence[str],
    strata: Sequence[str],
    clusters: str | None,
) -> sm.regression.linear_model.RegressionResults:
    design = data[list(terms)].astype(float)
    if strata:
        label = data[list(strata)].astype(str).agg(" ".join, axis=1)
        design = design.join(pd.get_dummies(label, prefix="stratum", dtype=float))
    else:
        design = design.assign(intercept=1.0)
    model = sm.OLS(data[outcome].astype(float), design)
    if clusters is None:
        return model.fit()
    groups = pd.factorize(data[clusters])[0]
    return model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)


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


def spearman(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Estimate:
    """Rank correlation; interval on Fisher's scale with variance (1 + r²/2)/(n - 3).

    Source: Bonett and Wright 2000. Pass one pair a seed (or a cell's means), not one a layer.
    """
    a, b = np.asarray(x, float), np.asarray(y, float)
    n = len(a)
    if n < 4 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Estimate(math.nan, math.nan, math.nan, n)
    result = stats.spearmanr(a, b)
    rho = float(result.statistic)
    if abs(rho) > 1 - 1e-12:
        return Estimate(rho, rho, rho, n, float(result.pvalue))
    half = stats.norm.ppf((1 + level) / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    z = math.atanh(rho)
    return Estimate(rho, math.tanh(z - half), math.tanh(z + half), n, float(result.pvalue))
