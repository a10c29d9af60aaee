"""Times to a threshold: published leukaemia data, statsmodels, and tables worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from vanishing.analysis.survival import kaplan_meier, peto

# Weeks in remission of 42 children: Freireich et al. 1963, as printed in Cox and Oakes 1984.
DRUG = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
TIMES, REACHED = DRUG + PLACEBO, np.array(RELAPSED + [1] * 21, bool)
GIVEN = np.array([True] * 21 + [False] * 21)


def censored(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole times, with ties, and whether they were reached."""
    rng = np.random.default_rng(seed)
    times, watched = rng.integers(1, 12, n), rng.integers(4, 12, n)
    return np.minimum(times, watched), times <= watched


def curve_by_hand(times: np.ndarray, reached: np.ndarray) -> dict[float, float]:
    """S at every time at which it falls: the product of the shares that get past each time."""
    data = pd.DataFrame({"time": times, "reached": reached})
    survival, share = {}, 1.0
    for time, now in data.groupby("time"):
        share *= 1 - now["reached"].sum() / (data["time"] >= time).sum()
        survival[float(time)] = share
    return survival


def test_curve_of_the_leukaemia_data_is_the_published_one():
    found = kaplan_meier(DRUG, RELAPSED).set_index("time")
    published = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    times = [6, 7, 10, 13, 16, 22, 23]
    assert list(found.index) == [0, *times, 35]
    assert found.loc[times, "survival"].tolist() == pytest.approx(published, abs=6e-4)
    assert found.loc[times, "at_risk"].tolist() == [21, 17, 15, 12, 11, 7, 6]
    # Greenwood's errors .0764 at week 6 and .1346 at week 23, on the scale of log(-log S).
    for time, error in ((6, 0.0764), (23, 0.1346)):
        s = found.loc[time, "survival"]
        half = stats.norm.ppf(0.975) * error / (s * abs(math.log(s)))
        ends = [math.exp(math.log(s) * math.exp(sign * half)) for sign in (1, -1)]
        assert found.loc[time, ["low", "high"]].tolist() == pytest.approx(ends, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_curve_is_plain_pandas_and_statsmodels(seed):
    times, reached = censored(30, seed)
    found = kaplan_meier(times, reached).set_index("time")
    by_hand = curve_by_hand(times, reached)
    for time, row in found.iloc[1:].iterrows():
        assert row["survival"] == pytest.approx(by_hand[time])
        assert row["at_risk"] == (times >= time).sum()
    half = SurvfuncRight(times, reached.astype(int))
    falls = [float(time) for time in half.surv_times]
    np.testing.assert_allclose(found.loc[falls, "survival"], half.surv_prob)


def test_curve_starts_at_one_and_ends_at_the_last_time_watched():
    found = kaplan_meier([3, 5, 9], [True, False, False])
    assert found["time"].tolist() == [0, 3, 9]
    assert found["survival"].tolist() == pytest.approx([1, 2 / 3, 2 / 3])
    assert found["at_risk"].tolist() == [3, 3, 1]


def test_curve_without_an_event_stays_at_one():
    found = kaplan_meier([4, 4], [False, False])
    assert found["survival"].tolist() == [1, 1]
    assert found["time"].tolist() == [0, 4]


def test_upper_bound_at_zero_is_the_one_before():
    found = kaplan_meier([1, 2, 3], [True, True, True])
    assert found["survival"].iloc[-1] == 0
    assert found["high"].iloc[-1] == found["high"].iloc[-2]
    assert found["low"].iloc[-1] == 0


def test_wider_level_gives_a_wider_interval():
    wide, narrow = (kaplan_meier(DRUG, RELAPSED, level).iloc[3] for level in (0.99, 0.9))
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]


def test_peto_of_the_leukaemia_data_is_nine_relapses_where_19_and_a_quarter_are_expected():
    ratio, variance = peto(TIMES, REACHED, GIVEN)
    assert 1 / variance == pytest.approx(6.257, abs=5e-4)
    assert ratio / variance == pytest.approx(9 - 19.25, abs=5e-3)
    assert ratio == pytest.approx(-1.638, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_peto_is_the_signed_root_of_statsmodels_log_rank_statistic(seed):
    times, reached = censored(30, seed)
    group = np.arange(30) % 2 == 0
    ratio, variance = peto(times, reached, group)
    statistic, _ = survdiff(times, reached.astype(int), group)
    assert ratio**2 / variance == pytest.approx(statistic)
    other, _ = peto(times, reached, ~group)
    assert other == pytest.approx(-ratio)


def test_peto_is_near_coxs_ratio_where_that_is_small():
    rng = np.random.default_rng(0)
    group = np.arange(2000) % 2
    times = rng.exponential(np.exp(-0.2 * group))
    cox = PHReg(times, group[:, None].astype(float)).fit()
    ratio, variance = peto(times, np.ones(2000, bool), group)
    assert ratio == pytest.approx(cox.params[0], abs=0.005)
    assert math.sqrt(variance) == pytest.approx(cox.bse[0], rel=0.02)


def test_peto_is_worked_out_by_hand():
    # Time 1: one of the group's 2 of 4; time 2: one of the others, 1 of 3 at risk in the group.
    ratio, variance = peto([1, 2, 3, 3], [1, 1, 0, 0], [True, False, True, False])
    v = 1 / 4 + 2 / 9
    assert (ratio, variance) == (pytest.approx((1 - 1 / 2 - 1 / 3) / v), pytest.approx(1 / v))


def test_peto_is_finite_where_one_group_never_reaches_it():
    ratio, variance = peto([1, 2, 9, 9], [1, 1, 0, 0], [True, True, False, False])
    assert 0 < ratio < 10
    assert math.isfinite(variance)


def test_peto_is_zero_for_groups_that_reach_it_together_and_missing_without_a_comparison():
    assert peto([5, 5], [1, 1], [True, False]) == (0, math.inf)
    for times, reached in (([5, 5], [0, 0]), ([1, 5], [0, 1]), ([], [])):
        ratio, variance = peto(times, reached, [True, False][: len(times)])
        assert math.isnan(ratio)
        assert variance == math.inf


@pytest.mark.parametrize(("times", "reached"), [([1, math.nan], [1, 1]), ([1, 2], [1])])
def test_a_missing_time_is_refused(times, reached):
    with pytest.raises(ValueError, match="one time a run is needed, none missing"):
        kaplan_meier(times, reached)
