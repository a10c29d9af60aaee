"""How measures go together: slopes, rank correlation, shapes, against scipy and statsmodels."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from vanishing.analysis.relations import (
    power_less_exponential,
    slope_of,
    spearman,
)


def sample(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1, n)


def test_slope_is_numpys_and_statsmodels_beside_others():
    x, y, z = (sample(8, seed) for seed in range(3))
    assert slope_of(y, x) == pytest.approx(np.polyfit(x, y, 1)[0])
    expected = smf.ols("y ~ x + z", pd.DataFrame({"x": x, "y": y, "z": z})).fit().params["x"]
    assert slope_of(y, x, z[:, None]) == pytest.approx(expected)


def test_slope_is_not_a_number_where_it_is_not_identified():
    x, y = sample(8, 1), sample(8, 2)
    assert math.isnan(slope_of(y, np.ones(8)))
    assert math.isnan(slope_of(y, x, 2 * x[:, None]))


@pytest.mark.parametrize("n", [3, 4, 15])
def test_spearman_is_scipys(n):
    x = np.round(sample(n, 1), 1)
    y = x + sample(n, 2)
    expected = stats.spearmanr(x, y)
    found = spearman(x, y)
    assert (found.value, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert math.isnan(found.low) == (n == 3)
    assert n == 3 or found.low < found.value < found.high


def test_interval_of_spearman_is_bonett_and_wrights():
    x, y = sample(15, 1), sample(15, 1) + sample(15, 2)
    found = spearman(x, y, level=0.9)
    half = stats.norm.ppf(0.95) * math.sqrt((1 + found.value**2 / 2) / 12)
    ends = [math.tanh(math.atanh(found.value) + sign * half) for sign in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(ends)


def test_partial_spearman_is_the_correlation_of_what_is_left_of_ranks_by_statsmodels():
    data = pd.DataFrame({name: sample(20, seed) for seed, name in enumerate("xyzw")}).rank()
    data = data.assign(x=(data["x"] + data["z"]).rank(), y=(data["y"] + data["z"]).rank())
    left = [smf.ols(f"{name} ~ z + w", data).fit().resid for name in "xy"]
    found = spearman(data["x"], data["y"], data[["z", "w"]])
    assert found.value == pytest.approx(stats.pearsonr(*left).statistic)
    t = smf.ols("y ~ x + z + w", data).fit().pvalues["x"]  # the same test, of a coefficient
    assert found.p == pytest.approx(t)


def test_perfect_and_undefined_rank_correlations():
    x = sample(8, 0)
    up, down = spearman(x, np.exp(x)), spearman(x, -x)
    assert (up.value, up.low, up.p, down.value) == (1, 1, 0, -1)
    assert math.isnan(spearman(x, np.ones(8)).value)
    assert math.isnan(spearman(x, sample(8, 1), np.exp(x)[:, None]).value)
    assert math.isnan(spearman(x[:2], x[:2]).value)


@pytest.mark.parametrize("n", [5, 12])
def test_shape_is_the_difference_of_aic_by_statsmodels(n):
    data = pd.DataFrame({"depth": np.arange(1.0, n + 1), "y": sample(n, 4)})
    power, line = (smf.ols(f"y ~ {term}", data).fit().aic for term in ("np.log(depth)", "depth"))
    assert power_less_exponential(data["y"], data["depth"]) == pytest.approx(power - line)


def test_shape_of_a_flat_or_exact_law_is_finite():
    depth = np.arange(1.0, 9)
    assert power_less_exponential(np.zeros(8), depth) == 0
    assert 0 < power_less_exponential(-depth, depth) < math.inf
    assert -math.inf < power_less_exponential(-np.log(depth), depth) < 0
