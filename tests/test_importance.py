"""Importance: omega squared against statsmodels, planted shares, and what its intervals cover."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from vanishing.analysis.bootstrap import draws_of, ends
from vanishing.analysis.importance import explained, importance, varying
from vanishing.analysis.study_tables import Tables
from vanishing.tables import IMPORTANCE

from . import planted

GRID = {
    "activation": ["sigmoid", "tanh", "relu"],
    "init": ["xavier", "he"],
    "depth": [10, 20, 50],
}
FORMULA = "value ~ " + " + ".join(
    ["C(activation) * C(init)", "C(activation) * C(depth)", "C(init) * C(depth)", "C(seed)"]
)
LEVEL = {"sigmoid": -1.0, "tanh": 0.0, "relu": 1.0, "xavier": -0.5, "he": 0.5}


def data_of(seeds: int, seed: int = 0, block: float = 0.5, grid: dict = GRID) -> pd.DataFrame:
    """Activation -1, 0, 1; init -.5, .5; their product times .6; blocks and noise of sd 1."""
    runs = planted.runs_of("signal", grid, seeds, planted.normal(0), seed)
    one, two = runs["activation"].map(LEVEL), runs["init"].map(LEVEL)
    rng = np.random.default_rng([seed, 1])
    blocks = rng.normal(0, block, seeds)[runs["seed"]]
    return runs.assign(value=one + two + 0.6 * one * two + blocks + rng.normal(0, 1, len(runs)))


def by_statsmodels(data: pd.DataFrame) -> pd.Series:
    table = sm.stats.anova_lm(smf.ols(FORMULA, data).fit(), typ=2)
    error = table.loc["Residual", "sum_sq"] / table.loc["Residual", "df"]
    total = ((data["value"] - data["value"].mean()) ** 2).sum()
    omega = (table["sum_sq"] - table["df"] * error) / (total + error)
    omega.index = omega.index.str.replace(r"C\((\w+)\)", r"\1", regex=True)
    return omega.drop(["seed", "Residual"])


def without_some_runs(data: pd.DataFrame) -> pd.DataFrame:
    return data.sample(frac=0.8, random_state=1)


def without_a_cell(data: pd.DataFrame) -> pd.DataFrame:
    gone = data["activation"].eq("relu") & data["init"].eq("he") & data["depth"].eq(50)
    return data[~gone]


@pytest.mark.parametrize("change", [lambda data: data, without_some_runs, without_a_cell])
def test_omega_squared_is_that_of_statsmodels_type_two_sums(change) -> None:
    data = change(data_of(6))
    found = explained(data, 0).set_index("term")["omega_squared"]
    expected = by_statsmodels(data)
    assert set(found.index) == set(expected.index)
    assert found.to_numpy() == pytest.approx(expected[found.index].to_numpy(), abs=1e-8)


def test_a_balanced_main_effect_is_its_sum_of_squares_between_means() -> None:
    data = data_of(5, block=0.0)
    means = data.groupby("activation")["value"].transform("mean")
    squares = ((means - data["value"].mean()) ** 2).sum()
    total = ((data["value"] - data["value"].mean()) ** 2).sum()
    model = smf.ols(FORMULA, data).fit()
    expected = (squares - 2 * model.mse_resid) / (total + model.mse_resid)
    found = explained(data, 0).set_index("term").loc["activation", "omega_squared"]
    assert found == pytest.approx(expected, rel=1e-10)


def test_planted_shares_are_found_and_covered_by_their_intervals(record_property) -> None:
    shares = {"activation": 2 / 3, "init": 1 / 4, "activation:init": 0.36 / 6}
    total = sum(shares.values()) + 0.25 + 1
    truth = pd.Series({"depth": 0.0, "init:depth": 0.0, **shares}) / total
    grid = GRID | {"depth": [10, 50]}
    found = [
        explained(data_of(10, draw, grid=grid), draw, 300).set_index("term").loc[truth.index]
        for draw in range(100)
    ]
    mean = pd.DataFrame([one["omega_squared"] for one in found]).mean()
    assert mean.to_numpy() == pytest.approx(truth.to_numpy(), abs=0.01)
    covered = pd.DataFrame([one["low"].le(truth) & one["high"].ge(truth) for one in found]).mean()
    record_property("coverage", covered.to_dict())
    assert 0.92 <= covered[list(shares)].mean() <= 0.98
    assert covered[["depth", "init:depth"]].min() >= 0.95


def test_same_seed_same_interval_and_other_seed_another() -> None:
    data = data_of(16)
    pd.testing.assert_frame_equal(explained(data, 3), explained(data, 3))
    one, other = explained(data, 3), explained(data, 4)
    assert (other["omega_squared"] == one["omega_squared"]).all()
    assert (other["low"] != one["low"]).all()


def test_a_pair_of_which_a_level_is_left_out_has_no_row() -> None:
    grid = {"norm": ["none", "batch", "layer"], "residual": ["none", "identity"], "depth": [9, 20]}
    runs = planted.runs_of("remedies", grid, 4, planted.normal(-0.1))
    runs = runs[runs["norm"].eq("none") | runs["residual"].eq("none")]
    terms = set(explained(runs.assign(value=runs["slope"]), 0)["term"])
    assert terms == {"norm", "residual", "depth", "norm:depth", "residual:depth"}


def test_a_factor_that_follows_from_another_is_not_counted_twice() -> None:
    grid = {"task": ["ring", "digits"], "depth": [4, 8]}
    runs = planted.runs_of("w", grid, 3, planted.normal(0))
    follows = runs["task"].map({"ring": "mse", "digits": "cross_entropy"})
    assert varying(runs.assign(loss=follows)) == ["task", "depth"]
    own = np.where(runs["task"].eq("ring") ^ runs["depth"].eq(8), "mse", "cross_entropy")
    assert varying(runs.assign(loss=own)) == ["task", "depth", "loss"]


def test_one_seed_gives_no_interval_and_one_value_no_row() -> None:
    one = explained(data_of(1), 0)
    assert len(one) == 6
    assert one[["low", "high"]].isna().all(axis=None)
    assert explained(data_of(3).assign(value=1.0), 0).empty
    assert explained(data_of(3).assign(value=np.nan), 0).empty


def trained(cell: dict, rng: np.random.Generator) -> dict:
    accuracy = {"sigmoid": 0.2, "tanh": 0.9, "relu": 0.8}[cell["activation"]]
    slope = -0.4 if cell["init"] == "xavier" else 0.1
    return {
        "slope": slope + rng.normal(0, 0.01),
        "weight_vanishing_index": (slope + rng.normal(0, 0.01)) * (cell["depth"] - 1),
        "final_test_accuracy": accuracy + rng.normal(0, 0.01),
    }


def test_the_ranking_of_factors_is_told_for_each_measure_of_each_battery_that_crosses_two() -> None:
    crossed = planted.runs_of("training", GRID, 4, trained, steps=9, optimizer="sgd")
    tuning = crossed.assign(slope=1.0, split="tuning", run_id=crossed["run_id"] + " t")
    alone = planted.runs_of("sigma", {"activation": ["tanh", "relu"]}, 4, planted.normal(0))
    found = importance(Tables(pd.concat([crossed, tuning, alone], ignore_index=True)), 0)
    IMPORTANCE.check(found)
    assert set(found["battery"]) == {"training"}
    assert set(found["n"]) == {4}
    first = found.sort_values("omega_squared").groupby("measure")["term"].last().to_dict()
    assert first == {"slope": "init", "weight_slope": "init", "test_accuracy": "activation"}
    assert found.set_index("term").loc["init:depth", "order"].eq(2).all()


def test_a_study_without_crossed_factors_has_an_empty_table() -> None:
    runs = planted.runs_of("smoke", {"depth": [4]}, 2, planted.normal(0))
    assert importance(Tables(runs), 0).empty


def test_draws_have_as_many_seeds_and_quantiles_approach_the_usual_ones() -> None:
    drawn = draws_of(7, 50, 1)
    assert (drawn.sum(axis=1) == 7).all()
    assert (drawn == draws_of(7, 50, 1)).all()
    assert (drawn != draws_of(7, 50, 2)).any()
    assert ends(10**6)[0] == pytest.approx(0.025, abs=1e-5)
    assert ends(10)[0] == pytest.approx(0.0086, abs=1e-4)  # Hesterberg 2015, table 2: .0086
