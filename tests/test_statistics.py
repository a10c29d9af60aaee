"""Estimates and tests of one number a seed, against scipy, statsmodels and plain numpy."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_sample_size_one_tail
from statsmodels.stats.weightstats import DescrStatsW

from vanishing.analysis.proportions import (
    difference_bounds,
    share_over_seeds,
    success_bounds,
    wilson,
)
from vanishing.analysis.statistics import (
    benjamini_hochberg,
    equivalence,
    flips,
    holm,
    interaction,
    interquartile_mean,
    mean_interval,
    seeds_needed,
)

DRAWS = 400  # of a coverage check
ROUGHLY = 3 * math.sqrt(0.05 * 0.95 / DRAWS)  # three standard errors of a coverage of .95


def sample(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1, n)


def test_t_interval_is_scipys():
    x = sample(9)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    estimate = mean_interval(x)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_flips_are_scipys_exact_permutation_test():
    x = sample(9)
    for side, p in (("greater", flips(x).p_above(0)), ("less", flips(x).p_below(0))):
        expected = stats.permutation_test(
            (x,),
            np.mean,
            permutation_type="samples",
            alternative=side,
            vectorized=True,
            n_resamples=10**6,
        )
        assert p == pytest.approx(expected.pvalue)


def test_bounds_of_flips_hold_the_nulls_that_the_test_keeps():
    found = flips(sample(10))
    for null in np.linspace(-1.5, 1.5, 301):
        kept = min(found.p_above(null), found.p_below(null)) > 0.025
        assert kept == (found.low(0.025) <= null <= found.high(0.025))


def test_flips_are_wrong_no_more_often_than_it_says():
    rng = np.random.default_rng(5)
    p = np.array([flips(rng.uniform(-1, 1, 8)).p_above(0) for _ in range(DRAWS)])
    assert np.mean(p <= 0.05) <= 0.05 + ROUGHLY


def test_smallest_p_is_one_in_all_flips_and_five_seeds_bound_no_interval():
    assert flips(np.arange(1, 11)).p_above(0) == 1 / 2**10
    assert flips(np.arange(1, 6)).low(0.025) == -math.inf
    assert flips(np.arange(1, 7)).low(0.025) == 1


def test_drawn_flips_agree_with_all_flips():
    x = sample(17)
    doubled = np.zeros(1)
    counts = np.zeros(1)
    for value in x:
        doubled = np.concatenate([doubled, doubled + value])
        counts = np.concatenate([counts, counts + 1])
    exact = np.sort(doubled[1:] / counts[1:])
    low = exact[math.floor(0.025 * len(exact))]
    assert flips(x).low(0.025) == pytest.approx(low, abs=0.01)


def test_ties_with_the_null_count_against_the_claim():
    found = flips(np.full(8, 0.1))
    assert found.p_above(0.1) == found.p_below(0.1) == 1


def test_interquartile_mean_is_scipys_trimmed_mean():
    x = sample(10)
    assert interquartile_mean(x, seed=0).value == pytest.approx(stats.trim_mean(x, 0.25))


def test_bootstrap_of_ones_is_ones():
    estimate = interquartile_mean(np.ones(6), seed=3)
    assert (estimate.value, estimate.low, estimate.high) == (1, 1, 1)


def test_interquartile_interval_is_the_bootstraps_percentiles_at_students_t():
    x = sample(10)
    rows = x[np.random.default_rng(4).integers(10, size=(2000, 10))]
    means = np.sort(stats.trim_mean(rows, 0.25, axis=1))
    share = stats.norm.cdf(-stats.t.ppf(0.975, 9))
    estimate = interquartile_mean(x, seed=4)
    assert estimate.low == pytest.approx(means[math.ceil(share * 2000) - 1])
    assert estimate.high == pytest.approx(means[math.ceil((1 - share) * 2000) - 1])


def test_interval_of_many_worst_ranks_ends_at_the_worst():
    estimate = interquartile_mean([1, 2, 3, 4, 5, 6, math.inf, math.inf], 0)
    assert math.isfinite(estimate.value)
    assert math.isfinite(estimate.low)
    assert estimate.high == math.inf


def test_worst_ranks_are_cut_while_they_are_in_the_outer_quarter():
    assert math.isfinite(interquartile_mean([1, 2, 3, 4, 5, 6, 7, math.inf], 0).value)
    assert interquartile_mean([1, 2, math.inf, math.inf], 0).value == math.inf


def test_bootstrap_draws_seeds_within_their_stratum():
    x = np.r_[np.zeros(6), np.ones(6)]
    apart = interquartile_mean(x, 0, strata=[0] * 6 + [1] * 6)
    together = interquartile_mean(x, 0)
    assert (apart.low, apart.high) == (0.5, 0.5)
    assert together.low < 0.5 < together.high


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: interquartile_mean(sample(11), seed).low,
        lambda seed: flips(sample(18), seed).low(0.025),
        lambda seed: interaction(sample(24).reshape(6, 4), seed),
    ],
)
def test_same_seed_same_numbers_other_seed_other_numbers(draw):
    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(5)}) > 1


def test_interaction_is_the_share_of_all_orders_within_seeds():
    effects = sample(15).reshape(5, 3)
    orders = itertools.product(itertools.permutations(range(3)), repeat=5)
    spread = np.array(
        [
            np.take_along_axis(effects, np.array(order), axis=1).mean(axis=0).var()
            for order in orders
        ]
    )
    expected = np.mean(spread >= effects.mean(axis=0).var() * (1 - 1e-12))
    assert interaction(effects, 0, draws=20_000) == pytest.approx(expected, abs=0.015)


def test_interaction_is_found_where_it_is_and_seldom_where_it_is_not():
    rng = np.random.default_rng(0)
    seeds = rng.normal(0, 1, (8, 1))  # what all strata of a seed share is no interaction
    assert interaction(seeds + rng.normal(0, 0.1, (8, 3)) + [0, 0, 1], 0) < 0.01
    p = [interaction(rng.normal(0, 1, (8, 3)), 0, draws=199) for _ in range(100)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)


def test_tost_is_statsmodels():
    x = sample(12) / 10
    expected = DescrStatsW(x).ttost_mean(-0.2, 0.2)[0]
    estimate = equivalence(x, 0, 0.2)
    assert estimate.p == pytest.approx(expected)
    assert (estimate.p < 0.05) == (estimate.low > -0.2 and estimate.high < 0.2)


def test_tost_without_spread_is_sure():
    assert equivalence(np.ones(5), 1, 0.1).p == 0
    assert equivalence(np.ones(5), 2, 0.1).p == 1


def test_holm_is_statsmodels_and_a_missing_test_stays_in_the_family():
    p = np.array([0.01, 0.2, 0.03])
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    corrected = holm([0.01, math.nan])
    assert corrected[0] == pytest.approx(0.02)
    assert math.isnan(corrected[1])


def test_benjamini_and_hochbergs_is_statsmodels_and_a_missing_test_stays_in_the_family():
    p = np.array([0.01, 0.2, 0.03])
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert benjamini_hochberg([0.01, math.nan])[0] == pytest.approx(0.02)
    assert len(benjamini_hochberg([])) == 0


def test_share_over_seeds_is_the_t_interval_of_the_seeds_means():
    successes = np.random.default_rng(0).random((9, 5)) < 0.5
    estimate, _ = share_over_seeds(successes)
    assert estimate == mean_interval(successes.mean(axis=1))


def test_share_over_seeds_has_wilsons_width_where_all_seeds_agree():
    one, text = share_over_seeds(np.ones((8, 1)))
    assert (one.low, one.high) == (pytest.approx(wilson(8, 8).low), 1)
    assert "agree" in text
    four, _ = share_over_seeds(np.ones((8, 4)))
    assert 1 - four.low == pytest.approx((1 - one.low) / 2)
    assert math.isnan(share_over_seeds(np.ones((1, 3)))[0].low)


def test_wilson_is_the_formula():
    z, p, n = stats.norm.ppf(0.975), 0.3, 10
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    estimate = wilson(3, 10)
    assert (estimate.low, estimate.high) == pytest.approx((centre - half, centre + half))
    assert wilson(10, 10).low < 1


def test_difference_of_shares_in_one_cell_has_newcombes_interval():
    # Example (a) of Newcombe 1998: 56/70 - 48/80, method 10: .0524 to .3339.
    treated = np.r_[np.ones(56), np.zeros(14)].astype(bool)[:, None]
    control = np.r_[np.ones(48), np.zeros(32)].astype(bool)[:, None]
    assert difference_bounds(treated, control, 0.025) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_difference_of_shares_covers_the_truth_when_cells_of_a_seed_go_together():
    rng = np.random.default_rng(8)
    hits = []
    for _ in range(DRAWS):
        luck = rng.normal(0, 1, (10, 1))
        treated, control = (luck + rng.normal(0, 1, (10, 4)) > c for c in (-0.5, 0.5))
        low, high = success_bounds(treated, control, 0.025, 0)
        truth = stats.norm.sf(-0.5 / math.sqrt(2)) - stats.norm.sf(0.5 / math.sqrt(2))
        hits.append(low <= truth <= high)
    assert np.mean(hits) >= 0.95 - ROUGHLY


def test_bounds_of_a_difference_are_the_wider_of_shares_and_seeds():
    rng = np.random.default_rng(3)
    treated, control = rng.random((2, 10, 4)) < np.array([0.7, 0.3])[:, None, None]
    shares = difference_bounds(treated, control, 0.025)
    seeds = flips(treated.mean(axis=1) - control.mean(axis=1))
    low, high = success_bounds(treated, control, 0.025, 0)
    assert low == pytest.approx(min(shares[0], seeds.low(0.025)))
    assert high == pytest.approx(max(shares[1], seeds.high(0.025)))


def test_difference_of_shares_keeps_a_width_where_all_seeds_agree():
    low, high = success_bounds(np.ones((10, 1), bool), np.zeros((10, 1), bool), 0.025, 0)
    assert 0.5 < low < 1 <= high


def test_seeds_needed_halve_the_interval_for_four_times_as_many():
    assert seeds_needed(0.5, 1, 0.025) == pytest.approx(4 * seeds_needed(1, 1, 0.025))
    assert seeds_needed(0, 1, 0.025) == math.inf


def test_seeds_needed_are_statsmodels():
    expected = normal_sample_size_one_tail(0.5, 0.8, 0.025, std_null=1.3)
    assert seeds_needed(0.5, 1.3, 0.025) == pytest.approx(expected)


def test_a_missing_value_is_refused():
    with pytest.raises(ValueError, match="none of them missing"):
        mean_interval([1.0, math.nan])
