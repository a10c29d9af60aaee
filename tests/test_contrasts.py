"""What a pair of runs shares: treatment and control differ in the factor of the contrast alone."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.claims import Analysis, Contrast
from vanishing.analysis.effects import DETAILS, FACTORS, observed, paired_by, seed_difference
from vanishing.analysis.ledger import analysed
from vanishing.analysis.study_tables import Tables
from vanishing.study.grid import Settings
from vanishing.tables import RUNS

from .planted import members, runs_of
from .planted_nets import TRAINED, gans, recurrent, scores_of

NOT_FACTORS = {  # a seed pairs, rates are a policy
    "seed", "lr", "lr_grid", "tuning_seeds", "first_tuning_seed",
}  # fmt: skip


def differences(runs: pd.DataFrame, measure: str, factor: str, treatment, control) -> pd.DataFrame:
    analysis = Analysis(
        batteries=tuple(runs["battery"].unique()),
        measure=measure,
        test="success_difference" if measure in ("success", "stagnation") else "seed_difference",
        side="greater",
        smallest_effect=0.1,
        contrast=Contrast(factor=factor, treatment=treatment, control=control),
    )
    return seed_difference(observed(analysis, Tables(runs)), analysis)


def test_every_setting_of_a_run_tells_cells_apart():
    assert set(Settings.__dataclass_fields__) - NOT_FACTORS <= set(FACTORS)
    assert set(FACTORS) <= set(RUNS.columns)


def test_details_are_settings_of_other_factors():
    assert set(DETAILS) <= set(FACTORS)
    for factor, details in DETAILS.items():
        assert set(details) <= set(FACTORS) - {factor}


def test_recurrences_are_paired_length_by_length():
    level = {"vanilla": -4.0, "lstm": -1.0}

    def truth(cell, _):
        return {"lag_index": level[cell["recurrence"]] * cell["length"]}

    runs = recurrent({"recurrence": list(level), "length": [10, 20]}, 3, truth)
    found = differences(runs, "lag_index", "recurrence", "lstm", "vanilla")
    assert sorted(found["value"]) == [30.0] * 3 + [60.0] * 3


def test_lengths_of_a_task_are_paired_within_recurrence_and_truncation():
    def truth(cell, _):
        own = {"vanilla": 0.0, "gru": 100.0}[cell["recurrence"]] + 1000 * cell["truncation"]
        return {"lag_index": own - cell["length"]}

    factors = {"recurrence": ["vanilla", "gru"], "length": [10, 50], "truncation": [0, 5]}
    found = differences(recurrent(factors, 2, truth), "lag_index", "length", 50, 10)
    assert found["value"].tolist() == [-40.0] * 8


def test_games_are_paired_whatever_else_varies():
    def truth(cell, _):
        stalls = cell["game"] == "saturating" and cell["discriminator_steps"] == 5
        return {"outcome": "stalled" if stalls else "trained"}

    factors = {
        "game": ["saturating", "wgan_gp(penalty=1.0)"],
        "discriminator_steps": [1, 5],
        "instance_noise": [0.0, 0.1],
    }
    runs = gans(factors, 2, truth)
    found = differences(runs, "stagnation", "game", "saturating", "wgan_gp(penalty=1.0)")
    of_steps = found.groupby("discriminator_steps")["value"].agg(["mean", "size"])
    assert of_steps["mean"].to_dict() == {1: 0.0, 5: 1.0}
    assert of_steps["size"].to_dict() == {1: 4, 5: 4}


def test_a_fixed_generator_is_paired_with_a_live_one_whatever_its_turns():
    runs = pd.concat(
        [
            gans({}, 3, lambda *_: {"vanishing_index": -1.0}, discriminator_steps=5),
            gans({}, 3, lambda *_: {"vanishing_index": -3.0}, generator="fixed"),
        ],
        ignore_index=True,
    )
    found = differences(runs, "vanishing_index", "generator", "fixed", "live")
    assert found["value"].tolist() == [-2.0] * 3


def test_tasks_are_paired_whatever_their_data_and_loss():
    losses = {"adding": "squared_error", "mine": "cross_entropy"}
    parts = [
        recurrent({"task": [t]}, 2, lambda *_, t=t: {"lag_index": len(t)}, loss=loss, data=t)
        for t, loss in losses.items()
    ]
    runs = pd.concat(parts, ignore_index=True)
    assert differences(runs, "lag_index", "task", "adding", "mine")["value"].tolist() == [2.0, 2.0]


def test_a_recurrent_net_is_paired_with_a_feedforward_one_on_the_same_sequences():
    rnn = recurrent({}, 2, lambda *_: {"final_test_accuracy": 0.9}, **TRAINED)
    fixed = {"task": "adding", "length": 21, "init": "torch_default", "loss": "squared_error"}
    accuracy = {"final_test_accuracy": 0.6}
    mlp = runs_of("rnn_init", {}, 2, lambda *_: accuracy, depth=1, **fixed, **TRAINED)
    runs = pd.concat([rnn, mlp], ignore_index=True)
    found = differences(runs, "test_accuracy", "family", "rnn", "mlp")
    np.testing.assert_allclose(found["value"], [0.3, 0.3])


@pytest.mark.parametrize("factor", ["recurrence", "length", "truncation", "game", "activation"])
def test_a_factor_without_details_leaves_all_others_in_the_pair(factor):
    assert set(paired_by(factor)) == {*FACTORS, "seed"} - {factor}


def test_runs_without_a_value_are_counted_in_the_reason():
    runs = runs_of("w02", {"init": ["torch_default", "orthogonal"]}, 8, lambda *_: {}, **TRAINED)
    analysis = Analysis(
        batteries=("w02",),
        measure="fine_at_matched_coarse",
        test="seed_difference",
        side="less",
        smallest_effect=0.05,
        contrast=Contrast(factor="init", treatment="torch_default", control="orthogonal"),
    )

    def curves(run, lost):
        gets_there = not (lost and run["init"] == "torch_default")
        return {0: {0: 0.5, 1: 0.5}, 9: {0: 0.99 if gets_there else 0.9, 1: 0.7 + run["seed"] / 80}}

    def judged(lost: set[int]):
        scores = scores_of(runs, "accuracy_by_level", lambda run: curves(run, run["seed"] in lost))
        return analysed("W02", "", analysis, Tables(runs, scores=scores), members(runs), 0)

    assert judged(set()).gap == ""
    assert judged({0}).gap == (
        "1 runs have no value and could not be used; 1 of 8 seeds lack a cell, and do not count"
    )
    assert judged({0}).found.gain.n == 7
    never = judged(set(range(8)))
    assert never.found is None
    assert never.gap.endswith("; 8 runs have no value and could not be used")


def test_rates_that_are_each_judged_are_cells_of_their_own():
    """A seed that lacks one rate is no seed: its mean over the others would be of other cells."""
    rates = {"lr_policy": ["fixed(0.1)", "fixed(1)"]}
    runs = runs_of("rates", rates, 8, lambda cell, _: {"final_test_accuracy": float(
        cell["lr_policy"] == "fixed(1)")}, **TRAINED)  # fmt: skip
    runs = runs.assign(cell="one")
    analysis = Analysis(
        batteries=("rates",), measure="test_accuracy", test="seed_mean", side="greater",
        smallest_effect=0.02,
    )  # fmt: skip
    lost = (runs["seed"] == 0) & (runs["lr_policy"] == "fixed(1)")
    part = runs.assign(final_test_accuracy=runs["final_test_accuracy"].mask(lost))
    found = analysed("X01", "", analysis, Tables(part), members(part), 0)
    assert found.found.gain.value == 0.5
    assert found.found.gain.n == 7
    assert found.gap.endswith("1 of 8 seeds lack a cell, and do not count")
