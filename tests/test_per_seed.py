"""Tests over the cells of a seed, against scipy, statsmodels and plain pandas."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.duration.survfunc import survdiff

from vanishing.analysis.claims import Analysis, Regress
from vanishing.analysis.effects import TESTS, by_cell
from vanishing.analysis.ledger import analysed
from vanishing.analysis.measures import MEASURES, Measure
from vanishing.analysis.per_seed import (
    seed_hazard,
    seed_rank,
    seed_regression,
    seed_shape,
    seed_thirds,
)
from vanishing.analysis.relations import slope_of
from vanishing.analysis.study_tables import Tables

from .planted import members, runs_of

TERM, BESIDE = "saturation", "log10_sigma_w"
OVER_CELLS = [name for name, test in TESTS.items() if test.needs == ("regress",)]


def analysis_of(test: str, beside: tuple = (), strata: tuple = (), measure="vanishing_index"):
    return Analysis(
        batteries=("b",),
        measure=measure,
        test=test,
        side="greater",
        smallest_effect=0.1,
        regress=Regress(term=TERM, beside=beside),
        strata=strata,
    )


def cells_of(cells: int = 9, seeds: int = 4, seed: int = 0) -> pd.DataFrame:
    """A row a cell and a seed, in no order; a value that goes with the term."""
    rng = np.random.default_rng(seed)
    grid = pd.MultiIndex.from_product([range(cells), range(seeds)], names=["number", "seed"])
    data = grid.to_frame(index=False)
    data["cell"] = "cell " + data.pop("number").astype(str).str.zfill(2)
    data["activation"] = "tanh"
    data[TERM], data[BESIDE] = rng.normal(size=(2, len(data)))
    data["value"] = data[TERM] + data[BESIDE] + rng.normal(size=len(data))
    data["steps"] = 100
    data["steps_to_threshold"] = np.clip(50 - 20 * data["value"] // 1, 1, None)
    data.loc[data["steps_to_threshold"] > 60, "steps_to_threshold"] = math.nan
    return data.sample(frac=1, random_state=seed)


def alone(data: pd.DataFrame, seed: int) -> pd.DataFrame:
    return data[data["seed"] == seed].sort_values("cell")


def test_every_test_over_cells_gives_one_number_a_seed_in_a_stratum():
    data = pd.concat([cells_of(), cells_of(seed=1).assign(activation="relu")], ignore_index=True)
    data[TERM] = np.exp(data[TERM])
    assert len(OVER_CELLS) == 5
    for name in OVER_CELLS:
        found = TESTS[name].effects(data, analysis_of(name, strata=("activation",)))
        assert list(found.columns) == ["stratum", "cell", "seed", "value"]
        assert not found.duplicated(["stratum", "seed"]).any()
        assert set(found["stratum"]) == {"activation=tanh", "activation=relu"}
        assert found.groupby("stratum")["cell"].nunique().eq(1).all()
        evidence = by_cell(found, False).by_stratum(0)
        assert [e.n for e in evidence.values()] == [4, 4]


def test_strata_are_as_if_each_were_the_only_one():
    tanh, relu = cells_of(), cells_of(seed=1).assign(activation="relu")
    both = pd.concat([tanh, relu], ignore_index=True)
    for name in OVER_CELLS:
        test = TESTS[name].effects
        together = test(both, analysis_of(name, strata=("activation",)))
        for part in (tanh, relu):
            here = together["stratum"] == f"activation={part['activation'].iloc[0]}"
            expected = test(part, analysis_of(name))["value"]
            np.testing.assert_array_equal(together.loc[here, "value"], expected)


def test_only_cells_that_every_seed_has_are_used():
    data = cells_of(12)
    data[TERM] = np.exp(data[TERM])
    lost = (data["cell"] == "cell 03") & (data["seed"] == 2)
    without = data[data["cell"] != "cell 03"]
    for name in OVER_CELLS:
        test, analysis = TESTS[name].effects, analysis_of(name)
        pd.testing.assert_frame_equal(test(data[~lost], analysis), test(without, analysis))
        gone = data.assign(**{TERM: data[TERM].mask(lost)})
        pd.testing.assert_frame_equal(test(gone, analysis), test(without, analysis))


def test_order_of_the_rows_does_not_matter():
    data = cells_of(12)
    for name in OVER_CELLS:
        test, analysis = TESTS[name].effects, analysis_of(name)
        turned = test(data.iloc[::-1], analysis)
        pd.testing.assert_frame_equal(test(data, analysis), turned, rtol=1e-12)


def test_no_cells_give_an_empty_frame():
    for name in OVER_CELLS:
        found = TESTS[name].effects(cells_of().assign(**{TERM: math.nan}), analysis_of(name))
        assert list(found.columns) == ["stratum", "cell", "seed", "value"]
        assert found.empty


def test_regression_is_the_slope_of_each_seed():
    data = cells_of()
    found = seed_regression(data, analysis_of("seed_regression", (BESIDE,)))
    for seed, value in zip(found["seed"], found["value"], strict=True):
        one = alone(data, seed)
        assert value == pytest.approx(slope_of(one["value"], one[TERM], one[[BESIDE]]))


def test_rank_is_scipys_spearman_of_each_seed():
    data = cells_of()
    found = seed_rank(data, analysis_of("seed_rank"))
    for seed, value in zip(found["seed"], found["value"], strict=True):
        one = alone(data, seed)
        assert value == pytest.approx(stats.spearmanr(one["value"], one[TERM]).statistic)


def test_rank_beside_another_is_the_formula_of_the_partial_correlation():
    data = cells_of(20)
    found = seed_rank(data, analysis_of("seed_rank", (BESIDE,)))
    for seed, value in zip(found["seed"], found["value"], strict=True):
        r = alone(data, seed)[["value", TERM, BESIDE]].corr("spearman").to_numpy()
        expected = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt(
            (1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)
        )
        assert value == pytest.approx(expected)


@pytest.mark.parametrize("column", ["value", TERM])
def test_rank_is_missing_where_a_column_is_constant_or_follows_from_the_one_beside(column):
    data = cells_of()
    constant = data.assign(**{column: 0.1})
    assert seed_rank(constant, analysis_of("seed_rank"))["value"].isna().all()
    follows = data.assign(**{column: np.exp(data[BESIDE])})
    assert seed_rank(follows, analysis_of("seed_rank", (BESIDE,)))["value"].isna().all()


def test_rank_of_two_cells_or_of_three_beside_another_is_missing():
    assert seed_rank(cells_of(2), analysis_of("seed_rank"))["value"].isna().all()
    assert seed_rank(cells_of(3), analysis_of("seed_rank", (BESIDE,)))["value"].isna().all()
    assert seed_rank(cells_of(3), analysis_of("seed_rank"))["value"].notna().all()


@pytest.mark.parametrize("seed", range(3))
def test_mean_rank_correlation_with_an_ordered_factor_is_pages_trend(seed):
    # Over k levels in n blocks L = sum of rank x level, and the mean correlation is its place
    # between the least and the greatest L: (12 L / (n k (k + 1)) - 3 (k + 1)) / (k - 1).
    n, k = 6, 5
    data = cells_of(k, n, seed)
    data[TERM] = data["cell"].str[-2:].astype(float)
    matrix = data.pivot_table(index="seed", columns="cell", values="value").to_numpy()
    page = stats.page_trend_test(matrix).statistic
    expected = (12 * page / (n * k * (k + 1)) - 3 * (k + 1)) / (k - 1)
    mean = seed_rank(data, analysis_of("seed_rank"))["value"].mean()
    assert mean == pytest.approx(expected)


@pytest.mark.parametrize(("cells", "third"), [(3, 1), (8, 2), (9, 3)])
def test_thirds_are_plain_pandas(cells, third):
    data = cells_of(cells)
    found = seed_thirds(data, analysis_of("seed_thirds")).set_index("seed")["value"]
    for seed in range(4):
        one = alone(data, seed)
        largest, smallest = one.nlargest(third, TERM), one.nsmallest(third, TERM)
        expected = largest["value"].mean() - smallest["value"].mean()
        assert found[seed] == pytest.approx(expected)


def test_ties_of_the_term_are_ordered_by_the_cells_name():
    data = cells_of(6, 1).sort_values("cell").assign(value=[1.0, 2, 4, 8, 16, 32])
    data[TERM] = [0, 0, 0, 1, 1, 1]
    found = seed_thirds(data.sample(frac=1, random_state=1), analysis_of("seed_thirds"))
    assert found["value"].tolist() == [(16 + 32) / 2 - (1 + 2) / 2]


@pytest.mark.parametrize("name", ["seed_thirds", "seed_hazard"])
def test_thirds_that_do_not_differ_and_two_cells_are_missing(name):
    test, analysis = TESTS[name].effects, analysis_of(name)
    assert test(cells_of().assign(**{TERM: 0.5}), analysis)["value"].isna().all()
    assert test(cells_of(2), analysis)["value"].isna().all()


def test_hazard_of_the_thirds_is_the_signed_root_of_the_log_rank_test():
    data = cells_of(18)
    found = seed_hazard(data, analysis_of("seed_hazard")).set_index("seed")["value"]
    assert found.notna().all()
    for seed in range(4):
        one = alone(data, seed)
        ends = pd.concat([one.nlargest(6, TERM), one.nsmallest(6, TERM)])
        times = ends["steps_to_threshold"].fillna(100)
        reached, group = ends["steps_to_threshold"].notna(), np.repeat([1, 0], 6)
        largest_first = times[:6][reached[:6]].mean() < times[6:].mean()
        statistic, _ = survdiff(times, reached.astype(int), group)
        assert (found[seed] > 0) == largest_first
        at = sorted(times[reached].unique())
        variance = sum(
            d * p * (1 - p) * (n - d) / (n - 1)
            for t in at
            for n in [(times >= t).sum()]
            for d in [((times == t) & reached).sum()]
            for p in [(times[:6] >= t).sum() / n]
            if n > 1
        )
        assert found[seed] ** 2 * variance == pytest.approx(statistic)


def test_hazard_needs_no_value_and_leaves_out_what_was_never_trained():
    data = cells_of(12)
    analysis = analysis_of("seed_hazard")
    expected = seed_hazard(data, analysis)
    pd.testing.assert_frame_equal(seed_hazard(data.assign(value=math.nan), analysis), expected)
    idle = cells_of(12, seed=5).assign(steps=0, cell=lambda rows: "idle " + rows["cell"])
    both = pd.concat([data, idle], ignore_index=True)
    pd.testing.assert_frame_equal(seed_hazard(both, analysis), expected)


def test_hazard_takes_the_tables_whole_numbers_with_missing_ones():
    data = cells_of(12)
    analysis = analysis_of("seed_hazard")
    whole = data.assign(steps_to_threshold=data["steps_to_threshold"].astype("Int64"))
    pd.testing.assert_frame_equal(seed_hazard(whole, analysis), seed_hazard(data, analysis))


def test_hazard_is_missing_where_neither_third_gets_there_and_finite_where_one_does():
    data = cells_of(9)
    never = data.assign(steps_to_threshold=math.nan)
    assert seed_hazard(never, analysis_of("seed_hazard"))["value"].isna().all()
    top = data.groupby("seed")[TERM].rank() > 6
    one = data.assign(steps_to_threshold=np.where(top, 10.0, math.nan))
    found = seed_hazard(one, analysis_of("seed_hazard"))["value"]
    assert (found > 0).all()
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("law", "sign"), [("exponential", 1), ("power", -1)])
def test_shape_tells_an_exponential_from_a_power_law(law, sign):
    data = cells_of(8)
    depth = data["cell"].str[-2:].astype(float) + 2
    exact = -0.3 * depth if law == "exponential" else -2 * np.log(depth)
    data = data.assign(value=exact + 0.01 * data["value"], **{TERM: depth})
    assert (sign * seed_shape(data, analysis_of("seed_shape"))["value"] > 10).all()


def test_shape_is_the_difference_of_two_aics_by_statsmodels():
    data = cells_of(10).assign(**{TERM: lambda rows: np.exp(rows[TERM])})
    found = seed_shape(data, analysis_of("seed_shape")).set_index("seed")["value"]
    for seed in range(4):
        one = alone(data, seed)
        power = smf.ols(f"value ~ np.log({TERM})", one).fit().aic
        assert found[seed] == pytest.approx(power - smf.ols(f"value ~ {TERM}", one).fit().aic)


def test_shape_is_missing_below_five_cells_or_three_depths_and_at_depth_zero():
    analysis = analysis_of("seed_shape")
    positive = {TERM: lambda rows: rows["cell"].str[-2:].astype(float) + 1}
    assert seed_shape(cells_of(4).assign(**positive), analysis)["value"].isna().all()
    assert seed_shape(cells_of(5).assign(**positive), analysis)["value"].notna().all()
    two = {TERM: lambda rows: rows["cell"].str[-2:].astype(int) % 2 + 1.0}
    assert seed_shape(cells_of(6).assign(**two), analysis)["value"].isna().all()
    zero = {TERM: lambda rows: rows["cell"].str[-2:].astype(float)}
    assert seed_shape(cells_of(6).assign(**zero), analysis)["value"].isna().all()


@pytest.mark.parametrize("name", OVER_CELLS)
@pytest.mark.parametrize("measure", ["slope", "success"])
def test_an_analysis_of_runs_has_as_many_numbers_as_seeds(name, measure, monkeypatch):
    monkeypatch.setitem(
        MEASURES, TERM, Measure("layers", "depth", lambda t: t.runs["depth"].astype(float))
    )

    def truth(cell, rng):
        reached = rng.random() < 0.9 - cell["depth"] / 100
        steps = int(rng.integers(1, 200))
        return {
            "slope": rng.normal(-0.1, 0.01),
            "outcome": "trained" if reached else "stalled",
            "steps_to_threshold": steps if reached else None,
        }

    runs = runs_of("b", {"depth": [4, 8, 16, 32, 50, 64]}, 8, truth, steps=200)
    judged = analysed("X01", "", analysis_of(name, measure=measure), Tables(runs), members(runs), 0)
    assert judged.found is not None
    (evidence,) = judged.strata.values()
    assert 6 <= evidence.n <= 8
    assert np.isfinite(evidence.values).all()
