"""Predictions beside measurements: each quantity as it is measured, and how far off it may be."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.agreement import QUANTITIES, agreement, held, variance
from vanishing.tables import EXPECTED, NETWORKS

from . import planted

SEEDS = 40


@pytest.fixture(scope="module")
def runs():
    return planted.runs_of("b", {"depth": [4]}, SEEDS, planted.normal(-0.3, 0.001))


@pytest.fixture(scope="module")
def layers(runs):
    """ln q of the last layer has variance .04; a fifth of the runs have a dead layer."""
    q = np.exp(0.2 * np.resize([-1.0, 1.0], SEEDS))
    tables = []
    for number, run_id in enumerate(runs["run_id"]):
        last = {"q": q[number], "dead_fraction": 0.9}
        dead = {"q": 1.0, "dead_fraction": 1.0 if number % 5 == 0 else 0.9}
        one = runs[runs["run_id"] == run_id]
        tables.append(planted.layers_of(one, lambda n, a=last, b=dead: a if n == 4 else b, 4))
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def networks(runs):
    base = dict.fromkeys(NETWORKS.columns) | {"player": "net", "step": 0}
    return NETWORKS.frame(
        base | {"run_id": run_id, "shattering_cosine": 0.25, "jacobian_mean_square": 1.1}
        for run_id in runs["run_id"]
    )


def agreed(runs, layers, networks, **said):
    cell = runs["cell"].iloc[0]
    rows = [
        {"cell": cell, "quantity": name, "value": value, "source": "planted"}
        for name, value in said.items()
    ]
    found = agreement(runs, layers, networks, EXPECTED.frame(rows))
    return found.set_index("quantity")


def test_every_quantity_is_measured_as_it_says(runs, layers, networks):
    said = {
        "slope": -0.3, "vanishing_index": -0.9, "shattering_cosine": 0.24,
        "jacobian_mean_square": 1.0, "log_q_variance": 0.04, "born_dead": 0.2,
    }  # fmt: skip
    found = agreed(runs, layers, networks, **said)
    assert set(found.index) == set(said)
    assert found["inside"].all()
    assert found.loc["slope", "measured"] == pytest.approx(runs["slope"].mean())
    assert found.loc["log_q_variance", "measured"] == pytest.approx(0.04 * SEEDS / (SEEDS - 1))
    assert found.loc["born_dead", "measured"] == pytest.approx(0.2)
    assert found.loc["jacobian_mean_square", "distance"] == pytest.approx(np.log(1.1))
    assert (found["n"] == SEEDS).all()
    assert (found["low"] <= found["measured"]).all()
    assert (found["measured"] <= found["high"]).all()


def test_the_lag_slope_is_that_of_the_runs_and_a_censored_one_is_not_measured(runs):
    runs = runs.assign(lag_slope=np.where(runs["seed"] < 30, -0.2, np.nan))
    found = agreed(runs, planted.no_layers(), NETWORKS.frame([]), lag_slope=-0.205)
    row = found.loc["lag_slope"]
    assert (row["measured"], row["n"], row["tolerance"]) == (pytest.approx(-0.2), 30, 0.01)
    assert row["inside"]
    off = agreed(runs, planted.no_layers(), NETWORKS.frame([]), lag_slope=-0.22)
    assert not off.loc["lag_slope", "inside"]


def test_a_gan_is_held_against_theory_by_its_generator(runs):
    parts = [
        planted.layers_of(runs, lambda _, p=p, d=d: {"player": p, "dead_fraction": d}, 2)
        for p, d in (("generator", 0.0), ("discriminator", 1.0))
    ]
    layers = pd.concat(parts, ignore_index=True)
    found = agreed(runs, layers, NETWORKS.frame([]), born_dead=0.0)
    assert found.loc["born_dead", "measured"] == 0


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("slope", -0.315),
        ("shattering_cosine", 0.29),
        ("jacobian_mean_square", 1.4),
        ("born_dead", 0.4),
        ("log_q_variance", 0.06),
    ],
)
def test_a_prediction_that_is_off_lies_outside(runs, layers, networks, name, off):
    assert not agreed(runs, layers, networks, **{name: off}).loc[name, "inside"]


def test_what_has_no_theory_or_no_measurement_has_no_row(runs, layers, networks):
    said = {"slope": np.nan, "shattering_cosine": 0.25}
    assert list(agreed(runs, layers, networks[:0], **said).index) == []


def test_a_prediction_of_zero_is_not_inside_by_division(runs, layers, networks):
    found = agreed(runs, layers, networks, jacobian_mean_square=0.0)
    assert np.isnan(found.loc["jacobian_mean_square", "distance"])
    assert not found.loc["jacobian_mean_square", "inside"]


def test_tuning_runs_do_not_count(runs, layers, networks):
    half = runs.assign(split=np.where(runs["seed"] % 2, "tuning", "judged"))
    assert agreed(half, layers, networks, slope=-0.3).loc["slope", "n"] == SEEDS // 2


def test_the_interval_of_a_variance_holds_the_true_one_in_95_of_100_samples():
    rng = np.random.default_rng(0)
    found = [variance(rng.normal(0, 2, 20)) for _ in range(2000)]
    share = np.mean([one.low <= 4 <= one.high for one in found])
    assert share == pytest.approx(0.95, abs=0.015)  # 3 standard errors


def test_what_held_is_counted_by_quantity(runs, layers, networks):
    found = agreed(runs, layers, networks, slope=-0.3, vanishing_index=-3.0).reset_index()
    table = held(found).set_index("quantity")
    assert table["inside"].to_dict() == {"slope": 1, "vanishing_index": 0}
    assert table.loc["vanishing_index", "largest"] == pytest.approx(2.1, abs=0.01)
    assert table.loc["slope", "tolerance"] == QUANTITIES["slope"].tolerance
