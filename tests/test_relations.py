"""How measures go together: regression, rank correlation, shapes, against scipy and statsmodels."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from vanishing.analysis.relations import (
    coefficient_equivalence,
    power_less_exponential,
    regression,
    slope_of,
    spearman,
)


def sample(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1, n)


def planted() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(0, 1, 60), "group": ["a", "b", "c"] * 20})
    data["seed"] = np.arange(60) // 3
    shift = data["group"].map({"a": 0, "b": 5, "c": -5})
    return data.assign(y=shift + data["x"] + rng.normal(0, 0.1, 60))


def test_stratified_regression_is_statsmodels_formula():
    data = planted()
    expected = smf.ols("y ~ x + C(group)", data).fit()
    found = regression(data, "y", ["x"], ["group"])["x"]
    assert (found.value, found.p) == pytest.approx((expected.params["x"], expected.pvalues["x"]))
    assert (found.low, found.high) == pytest.approx(tuple(expected.conf_int().loc["x"]))
    assert found.n == 60


def test_regression_on_two_terms_is_statsmodels_formula():
    data = planted().assign(z=sample(60, 3))
    expected = smf.ols("y ~ z + x", data).fit()
    found = regression(data, "y", ["z", "x"])
    assert {name: e.value for name, e in found.items()} == pytest.approx(
        dict(expected.params[["z", "x"]])
    )


def test_clustered_error_is_the_formula_of_the_jackknife():
    # CV3: residuals u of a cluster g count as (I - H_gg)^-1 u_g, with H the hat matrix.
    data = planted()
    fit = smf.ols("y ~ 0 + x + C(group)", data).fit()
    design, residuals = np.asarray(fit.model.exog), np.asarray(fit.resid)
    bread = np.linalg.inv(design.T @ design)
    scores = []
    for seed in range(20):
        part = design[data["seed"] == seed]
        own = residuals[data["seed"] == seed]
        scores.append(part.T @ np.linalg.solve(np.eye(3) - part @ bread @ part.T, own))
    covariance = 19 / 20 * bread @ np.sum([np.outer(s, s) for s in scores], axis=0) @ bread
    error = math.sqrt(covariance[-1, -1])
    found = regression(data, "y", ["x"], ["group"], clusters="seed")["x"]
    assert found.value == pytest.approx(fit.params["x"])
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 19) * error)
    assert found.p == pytest.approx(2 * stats.t.sf(fit.params["x"] / error, 19))
    assert found.n == 20


def test_clusters_of_one_run_each_are_the_jackknife_of_runs():
    data = planted().assign(run=range(60))
    found = regression(data, "y", ["x"], ["group"], clusters="run")["x"]
    hc3 = smf.ols("y ~ x + C(group)", data).fit(cov_type="HC3").bse["x"]
    half = stats.t.ppf(0.975, 59) * hc3 * math.sqrt(59 / 60)
    assert found.high - found.value == pytest.approx(half)


@pytest.mark.parametrize("target", [1.0, 1.08, 1.5])
def test_equivalence_of_a_coefficient_is_two_t_tests_of_statsmodels(target):
    data = planted()
    fit = smf.ols("y ~ x + C(group)", data).fit()
    above = fit.t_test(f"x = {target - 0.1}")
    below = fit.t_test(f"x = {target + 0.1}")
    p = max(stats.t.sf(above.tvalue.item(), 56), stats.t.cdf(below.tvalue.item(), 56))
    found = coefficient_equivalence(data, "y", "x", target, 0.1, ["group"])
    assert found.p == pytest.approx(p, rel=1e-6, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int(0.1).loc["x"]))


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
