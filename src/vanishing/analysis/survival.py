"""Times until something is reached, censored where it was not: curves, and ratios of hazards."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats


def kaplan_meier(times: ArrayLike, reached: ArrayLike, level: float = 0.95) -> pd.DataFrame:
    r"""The share that has not yet reached it: time, survival, low, high, at_risk.

    A row for time 0, for every time at which it is reached, and for the last time at which anyone
    is watched. ``times`` are those of reaching it, or where not ``reached`` those until which it
    was not (censoring at a time comes after reaching it then). The interval is pointwise,
    :math:`S^{\exp(\pm z\, se / (S \ln S))}` with Greenwood's se (Kalbfleisch and Prentice 1980);
    it has no width before the first is reached. Where S is 0 it has no se: the upper bound then is
    the one before, since a share that falls lies below what bounded it earlier.
    """
    from statsmodels.duration.survfunc import SurvfuncRight  # only figures wait for its import

    t, event = _pairs(times, reached)
    curve = SurvfuncRight(t, event.astype(int))
    survival, error = np.asarray(curve.surv_prob), np.asarray(curve.surv_prob_se)
    low, high = _log_log(survival, error, level)
    rows = pd.DataFrame(
        {
            "time": np.r_[0.0, curve.surv_times],
            "survival": np.r_[1.0, survival],
            "low": np.r_[1.0, low],
            "high": np.r_[1.0, high],
            "at_risk": np.r_[len(t), np.asarray(curve.n_risk, int)],
        }
    )
    return _until(rows, t).drop_duplicates("time", keep="last").reset_index(drop=True)


def _log_log(survival: NDArray, error: NDArray, level: float) -> tuple[NDArray, NDArray]:
    alive = survival > 0
    s = survival[alive]
    power = np.exp(stats.norm.ppf((1 + level) / 2) * error[alive] / (s * -np.log(s)))
    low, high = np.zeros(len(survival)), np.ones(len(survival))
    low[alive], high[alive] = s**power, s ** (1 / power)
    if not alive.all() and alive.any():
        high[~alive] = high[alive][-1]
    return low, high


def _until(rows: pd.DataFrame, times: NDArray) -> pd.DataFrame:
    """``rows`` with one more for the last time, if nothing is reached then."""
    end = times.max()
    if rows["time"].iloc[-1] == end:
        return rows
    last = rows.tail(1).assign(time=end, at_risk=int(np.count_nonzero(times == end)))
    return pd.concat([rows, last], ignore_index=True)


def peto(times: ArrayLike, reached: ArrayLike, group: ArrayLike) -> tuple[float, float]:
    r"""Log hazard ratio of those in ``group`` over the others, and its variance.

    :math:`\ln HR = (O - E) / V` with variance :math:`1 / V`: of the log-rank table O is how many of
    the group reach it, E how many would if all at risk were alike, V the variance of O by the
    hypergeometric law. One step from a ratio of 1, so that it is finite where one group never
    reaches it; that pulls large ratios towards 1. Where all at risk reach it at the same time the
    groups are alike: 0, of infinite variance. Not a number where nothing is reached while both
    groups are watched. Source: Peto et al. 1977; Yusuf et al. 1985.
    """
    t, event = _pairs(times, reached)
    treated = np.asarray(group, bool)
    when = np.unique(t[event])[:, None]
    at_risk, reaching = t >= when, (t == when) & event  # (times, runs)
    n, d = at_risk.sum(axis=1), reaching.sum(axis=1)
    n1, d1 = (at_risk & treated).sum(axis=1), (reaching & treated).sum(axis=1)
    both = (n1 > 0) & (n1 < n)
    if not both.any():
        return math.nan, math.inf
    n, d, n1, d1 = (part[both].astype(float) for part in (n, d, n1, d1))
    excess = np.sum(d1 - d * n1 / n)
    variance = np.sum(d * (n1 / n) * (1 - n1 / n) * (n - d) / (n - 1))
    if variance == 0:
        return 0.0, math.inf
    return float(excess / variance), float(1 / variance)


def _pairs(times: ArrayLike, reached: ArrayLike) -> tuple[NDArray, NDArray]:
    t, event = np.asarray(times, dtype=float), np.asarray(reached, dtype=bool)
    if t.ndim != 1 or t.shape != event.shape or np.isnan(t).any():
        raise ValueError("one time a run is needed, none missing, and whether it is reached")
    return t, event
