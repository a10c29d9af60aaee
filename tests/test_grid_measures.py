"""Measures of a run among others of its seed: planted grids give the numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from .planted import runs_of
from .planted_nets import nothing
from .planted_training import of

RATES = [0.01, 0.1, 1.0]
NAMES = ["largest_usable_rate", "near_best", "accuracy_spread", "reach"]


def grid(truth, seeds: int = 2, **factors: list) -> pd.DataFrame:
    """Runs at every rate, and at every point of ``factors``."""
    names = {"lr_policy": [f"fixed({rate:g})" for rate in RATES]}

    def found(cell, _):
        rate = float(cell["lr_policy"][6:-1])
        return {"lr": rate} | truth(cell | {"lr": rate})

    return runs_of("grid", names | factors, seeds, found, optimizer="sgd", steps=60)


def by(runs: pd.DataFrame, values: pd.Series, *columns: str) -> pd.Series:
    return values.groupby([runs[name] for name in columns]).unique().map(list)


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_was_trained_there_is_none(name):
    runs = runs_of("drawn", {"depth": [2, 4]}, 2, nothing)
    assert of(name, runs).isna().all()
    assert of(name, runs.head(0)).empty


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_runs_makes_no_difference(name):
    rng = np.random.default_rng(0)

    def truth(_):
        outcome = rng.choice(["trained", "slow", "stalled", "diverged"])
        return {"outcome": outcome, "final_test_accuracy": rng.random()}

    runs = grid(truth, depth=[2, 4], init=["he", "xavier"])
    shuffled = runs.sample(frac=1, random_state=1)
    found = of(name, shuffled)
    assert list(found.index) == list(shuffled.index)
    pd.testing.assert_series_equal(found.sort_index(), of(name, runs), check_names=False)


def test_the_largest_usable_rate_is_that_of_a_cell_and_seed():
    usable = {"none": "slow", "batch": "trained", "layer": "stalled"}

    def truth(cell):
        good = cell["lr"] < 1 or cell["norm"] == "batch"
        return {"outcome": usable[cell["norm"]] if good else "diverged"}

    runs = grid(truth, norm=list(usable))
    found = by(runs, of("largest_usable_rate", runs), "norm")
    assert found.to_dict() == {
        "none": [-1.0], "batch": [0.0], "layer": [-2.5],
    }  # fmt: skip


def test_seeds_have_largest_usable_rates_of_their_own():
    runs = grid(lambda cell: {"outcome": "trained"})
    runs.loc[(runs["seed"] == 1) & (runs["lr"] > 0.01), "outcome"] = "diverged"
    found = by(runs, of("largest_usable_rate", runs), "seed")
    assert found.to_dict() == {0: [0.0], 1: [-2.0]}


def test_near_best_is_judged_over_the_inits_and_rates_of_a_network_and_seed():
    scores = {("he", 0.01): 0.9, ("he", 0.1): 0.85, ("xavier", 0.1): 0.84}

    def truth(cell):
        accuracy = scores.get((cell["init"], cell["lr"]), 0.1)
        return {
            "outcome": "slow",
            "final_test_accuracy": accuracy - 0.5 * (cell["norm"] == "batch" and accuracy > 0.5),
        }

    runs = grid(truth, init=["he", "xavier"], norm=["none", "batch"])
    near = of("near_best", runs) == 1
    assert set(zip(*(runs.loc[near, c] for c in ("init", "lr", "norm")), strict=True)) == {
        (init, lr, norm)
        for (init, lr), score in scores.items() if score > 0.845
        for norm in ("none", "batch")
    }  # fmt: skip


def test_the_spread_is_the_distance_from_the_median_of_a_network_and_seed():
    runs = grid(lambda cell: {"outcome": "slow", "final_test_accuracy": cell["lr"]}, norm=["none"])
    found = by(runs, of("accuracy_spread", runs), "lr")
    np.testing.assert_allclose(np.concatenate(found.to_list()), [0.09, 0.0, 0.9])


def test_reach_is_the_greatest_depth_that_any_init_trains():
    deepest = {("relu", "he"): 8, ("relu", "xavier"): 4, ("tanh", "he"): 2, ("tanh", "xavier"): 2}

    def truth(cell):
        limit = deepest.get((cell["activation"], cell["init"]), 0)
        return {"outcome": "trained" if cell["depth"] <= limit else "stalled"}

    factors = {"activation": ["relu", "tanh", "sigmoid"], "init": ["he", "xavier"]}
    runs = runs_of(
        "depths", factors | {"depth": [2, 4, 8]}, 2, lambda cell, _: truth(cell), steps=60
    )
    found = by(runs, of("reach", runs), "activation")
    assert found.to_dict() == {"relu": [3.0], "tanh": [1.0], "sigmoid": [0.0]}
