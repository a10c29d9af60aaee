"""Depth frontiers: the curve against statsmodels, known L_50, separation, xi and the scaling."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize

from vanishing.analysis.frontier import (
    depth_scale,
    fitted,
    frontier,
    frontiers,
    logistic,
    scaling,
)
from vanishing.analysis.study_tables import Tables
from vanishing.parts.activations import ACTIVATIONS
from vanishing.tables import FRONTIERS
from vanishing.theory.cell import centred
from vanishing.theory.fixed_points import xi_c

from . import planted

DEPTHS = np.array([4.0, 8, 16, 32])
COUNTS, RUNS = np.array([[9.0, 8, 4, 1]]), np.full((1, 4), 10.0)


def runs_of(successes: dict[int, int], seeds: int = 10) -> pd.DataFrame:
    """Of ``seeds`` at each depth the first so many succeed."""
    return pd.DataFrame(
        {"depth": depth, "seed": seed, "success": float(seed < count)}
        for depth, count in successes.items()
        for seed in range(seeds)
    )


def glm(success: np.ndarray, failure: np.ndarray) -> np.ndarray:
    design = sm.add_constant(np.log(DEPTHS))
    model = sm.GLM(np.column_stack([success, failure]), design, family=sm.families.Binomial())
    return model.fit(tol=1e-14).params


def test_without_a_penalty_the_curve_is_that_of_statsmodels() -> None:
    [found] = logistic(np.log(DEPTHS), COUNTS, RUNS, penalty=0)
    assert found == pytest.approx(glm(COUNTS[0], RUNS[0] - COUNTS[0]), rel=1e-8)


def test_with_it_the_curve_makes_the_likelihood_under_jeffreys_prior_largest() -> None:
    x = np.log(DEPTHS)

    def loss(line: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-line[0] - line[1] * x))
        design = np.column_stack([np.ones(4), x])
        information = design.T @ (design * (RUNS[0] * p * (1 - p))[:, None])
        likelihood = COUNTS[0] @ np.log(p) + (RUNS - COUNTS)[0] @ np.log(1 - p)
        return -likelihood - 0.5 * np.linalg.slogdet(information)[1]

    [found] = logistic(x, COUNTS, RUNS)
    best = minimize(loss, [1, -1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    assert found == pytest.approx(best.x, abs=1e-5)


@pytest.mark.parametrize("counts", [[9, 8, 4, 1], [10, 10, 0, 0], [10, 10, 10, 9]])
def test_it_is_the_curve_of_the_counts_with_half_of_each_leverage_added(counts) -> None:
    success = np.array([counts], float)
    [found] = logistic(np.log(DEPTHS), success, RUNS)
    design = np.column_stack([np.ones(4), np.log(DEPTHS)])
    p = 1 / (1 + np.exp(-design @ found))
    weight = RUNS[0] * p * (1 - p)
    inverse = np.linalg.inv(design.T @ (design * weight[:, None]))
    half = 0.5 * weight * np.einsum("xi,ij,xj->x", design, inverse, design)
    expected = glm(success[0] + half, RUNS[0] - success[0] + half)
    assert found == pytest.approx(expected, rel=1e-6)


def test_curves_fitted_together_are_those_fitted_alone() -> None:
    success = np.array([[9.0, 8, 4, 1], [10, 10, 0, 0], [3, 2, 2, 0]])
    together = logistic(np.log(DEPTHS), success, np.full((3, 4), 10.0))
    for line, own in zip(together, success, strict=True):
        assert logistic(np.log(DEPTHS), own[None], RUNS)[0] == pytest.approx(line, rel=1e-9)


def test_successes_symmetric_about_a_depth_have_their_frontier_there() -> None:
    found = frontier(runs_of({4: 9, 8: 5, 16: 1}), 0)
    assert found["depth_50"] == pytest.approx(8, rel=1e-9)
    assert found["low"] < 8 < found["high"]
    assert (found["beyond"], found["n"]) == ("inside", 10)
    assert fitted(runs_of({4: 9, 8: 5, 16: 1}))(8) == pytest.approx(0.5)


def test_a_clean_step_has_its_frontier_between_the_two_depths_and_an_interval_that_spans_them():
    found = frontier(runs_of({4: 10, 12: 10, 32: 0, 90: 0}), 0)
    assert found["depth_50"] == pytest.approx(math.sqrt(12 * 32), rel=0.1)
    assert 12 <= found["low"] < 12.5
    assert 31 < found["high"] <= 32
    assert found["beyond"] == "inside"


@pytest.mark.parametrize(("count", "beyond"), [(10, "deeper"), (0, "shallower")])
def test_all_or_no_successes_have_no_frontier_and_no_bound(count: int, beyond: str) -> None:
    found = frontier(runs_of({4: count, 8: count, 16: count}), 0)
    assert found["beyond"] == beyond
    assert all(math.isnan(found[name]) for name in ("depth_50", "low", "high"))


def test_an_arm_that_still_trains_at_the_greatest_depth_is_bounded_from_below_alone() -> None:
    found = frontier(runs_of({4: 10, 12: 10, 32: 7}), 0)
    assert found["beyond"] == "deeper"
    assert found["depth_50"] > 32
    assert found["low"] > 12
    assert math.isnan(found["high"])


def test_success_that_rises_with_depth_has_no_frontier() -> None:
    found = frontier(runs_of({4: 2, 8: 3, 16: 9}), 0)
    assert math.isnan(found["depth_50"])
    assert found["beyond"] == "deeper"


def test_one_seed_has_a_frontier_without_an_interval() -> None:
    found = frontier(runs_of({4: 1, 8: 1, 16: 0}, seeds=1), 0)
    assert 8 < found["depth_50"] < 16
    assert math.isnan(found["low"])


def test_same_seed_same_numbers_and_other_seed_others() -> None:
    runs = runs_of({4: 10, 12: 6, 32: 1})
    assert frontier(runs, 1) == frontier(runs, 1)
    steps = runs_of({4: 10, 12: 10, 32: 0})
    assert frontier(steps, 1)["low"] != frontier(steps, 2)["low"]


def test_intervals_cover_a_planted_frontier(record_property) -> None:
    rng = np.random.default_rng(0)
    shares = 1 / (1 + (DEPTHS / 11) ** 3)
    covered, found = 0, []
    for draw in range(200):
        success = rng.random((20, 4)) < shares
        runs = pd.DataFrame(success, columns=DEPTHS).rename_axis("seed").reset_index()
        one = frontier(runs.melt("seed", var_name="depth", value_name="success"), draw, 400)
        found.append(one["depth_50"])
        covered += one["low"] <= 11 <= one["high"]
    record_property("coverage", covered / 200)
    assert np.exp(np.mean(np.log(found))) == pytest.approx(11, rel=0.03)
    assert 0.92 <= covered / 200 <= 0.98


def trains_to(limits: dict[str, float]):
    def truth(cell: dict, _: np.random.Generator) -> dict:
        depth = limits[cell["activation"]] * (1 if cell["norm"] == "none" else 100)
        return {"outcome": "trained" if cell["depth"] <= depth else "stalled"}

    return truth


@pytest.fixture(scope="module")
def study() -> pd.DataFrame:
    """Sigmoid trains to 4 layers, tanh to 10, both to any depth with a norm."""
    fixed = {"steps": 50, "optimizer": "sgd"}
    truth = trains_to({"sigmoid": 4, "tanh": 10})
    arms = {"activation": ["sigmoid", "tanh"], "norm": ["none", "batch"], "width": [16]}
    long = planted.runs_of("training", {**arms, "depth": [2, 5, 9, 20]}, 4, truth, **fixed)
    short = planted.runs_of("short", {**arms, "depth": [2, 20]}, 4, truth, **fixed)
    wide = {**arms, "depth": [2, 5, 9, 20], "width": [16, 32]}
    mixed = planted.runs_of("mixed", wide, 4, truth, **fixed)
    drawn = planted.runs_of("signal", {**arms, "depth": [2, 5, 9]}, 4, planted.normal(0))
    tuned = long.assign(split="tuning", outcome="trained", run_id=long["run_id"] + " tuning")
    return pd.concat([long, short, mixed, drawn, tuned], ignore_index=True)


def test_only_batteries_that_train_at_three_depths_have_frontiers_of_judged_seeds(study) -> None:
    found = frontiers(Tables(study), 0)
    FRONTIERS.check(found)
    assert set(found["battery"]) == {"training"}
    assert len(found) == 4
    assert set(found["n"]) == {4}
    arms = found.set_index(["activation", "norm"])
    assert arms.loc[("sigmoid", "none"), "depth_50"] == pytest.approx(math.sqrt(10), rel=0.15)
    assert 9 < arms.loc[("tanh", "none"), "depth_50"] < 20
    assert arms["beyond"].to_dict() == {
        ("sigmoid", "none"): "inside", ("tanh", "none"): "inside",
        ("sigmoid", "batch"): "deeper", ("tanh", "batch"): "deeper",
    }  # fmt: skip


def test_nine_of_ten_at_every_depth_tell_no_depth_of_half_success() -> None:
    rows = [
        {"seed": seed, "depth": depth, "success": float(seed > 0)}
        for seed in range(10) for depth in (1, 2, 4)
    ]  # fmt: skip
    found = frontier(pd.DataFrame(rows), 0)
    assert found["beyond"] == "deeper"
    assert math.isnan(found["depth_50"])


def test_xi_of_a_centred_init_is_that_of_the_centred_activation() -> None:
    row = {"family": "mlp", "norm": "none", "residual": "none", "activation": "sigmoid",
           "init": "centred(sigma_w=4.5)", "sigma_w": 4.5, "sigma_b": 0.0}  # fmt: skip
    plain = {**row, "init": "gaussian(sigma_w=4.5)"}
    one = {**row, "init": "one_layer(layer=2)"}
    scale, raw, none = (depth_scale(pd.DataFrame([r])) for r in (row, plain, one))
    assert scale == pytest.approx(xi_c(centred(ACTIVATIONS["sigmoid"]), 4.5, 0.0))
    assert scale != pytest.approx(raw)
    assert math.isnan(none)


def test_xi_is_theorys_at_the_arms_own_weights_and_of_plain_networks_alone(study) -> None:
    arms = frontiers(Tables(study), 0).set_index(["activation", "norm"])["xi"]
    assert arms["sigmoid", "none"] == pytest.approx(xi_c(ACTIVATIONS["sigmoid"], 1.0, 0.0))
    assert arms["sigmoid", "none"] > 0
    assert xi_c(ACTIVATIONS["tanh"], 1.0, 0.0) is None  # its q* is 0
    assert arms.drop(("sigmoid", "none")).isna().all()
    mixed = study.assign(sigma_w=np.where(study["seed"] == 0, 1.0, 1.5))
    assert frontiers(Tables(mixed), 0)["xi"].isna().all()
    convolutional = study.assign(family="cnn")
    assert frontiers(Tables(convolutional), 0)["xi"].isna().all()


def frontiers_of(xi: np.ndarray, depth_50: np.ndarray, beyond: str = "inside") -> pd.DataFrame:
    row = {"battery": "b", "activation": "tanh", "norm": "none", "residual": "none", "n": 9}
    return FRONTIERS.frame(
        row | {"init": f"i{i}", "xi": x, "depth_50": depth, "beyond": beyond, "low": 1, "high": 99}
        for i, (x, depth) in enumerate(zip(xi, depth_50, strict=True))
    )


def test_the_scaling_is_least_squares_on_logarithms_over_the_arms_inside() -> None:
    xi = np.array([1.0, 2, 4, 8, 16])
    depth = 6 * xi * np.exp([0.1, -0.1, 0.05, 0, -0.05])
    outside = frontiers_of(np.array([3.0]), np.array([500.0]), "deeper").assign(init="o")
    found = scaling(pd.concat([frontiers_of(xi, depth), outside]))
    slope, intercept = np.polyfit(np.log(xi), np.log(depth), 1)
    assert found.slope.value == pytest.approx(slope)
    assert found.factor.value == pytest.approx(math.exp(intercept))
    assert found.ratio.value == pytest.approx(6)
    assert found.ratio.low < 6 < found.ratio.high
    assert found.slope.n == 5
    model = sm.OLS(np.log(depth), sm.add_constant(np.log(xi))).fit()
    assert [found.slope.low, found.slope.high] == pytest.approx(model.conf_int()[1])


@pytest.mark.parametrize("xi", [[1.0, 2.0], [3.0, 3.0, 3.0, 3.0], []])
def test_too_few_arms_have_no_scaling(xi: list[float]) -> None:
    found = scaling(frontiers_of(np.array(xi), 6 * np.array(xi)))
    assert found.slope.n == len(xi)
    assert math.isnan(found.slope.value)
    assert math.isnan(found.factor.value)
