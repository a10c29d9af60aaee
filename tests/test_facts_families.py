"""Facts of recurrent nets, GANs and cases: planted numbers, and what the query says."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.fact import mean_of, share_of
from vanishing.analysis.fact_adversarial import adversarial
from vanishing.analysis.fact_cases import cases
from vanishing.analysis.fact_recurrent import recurrent as of_recurrent
from vanishing.analysis.fact_rows import Selection, selected, taken, words
from vanishing.analysis.proportions import wilson
from vanishing.analysis.study_tables import Tables

from .planted import runs_of
from .planted_nets import TRAINED, games_of, gans, nothing, recurrent, scores_of

SLOPES = {"vanilla": -0.2, "lstm": -0.05, "gru": -0.1}


def test_lag_slopes_are_those_of_the_shallowest_nets_at_the_longest_sequences():
    def truth(cell, rng):
        right = cell["depth"] == 1 and cell["length"] == 50
        slope = SLOPES[cell["recurrence"]] if right else 9.0
        return {"lag_slope": slope + rng.normal(0, 0.001), "lag_index": -1.0}

    factors = {"recurrence": list(SLOPES), "depth": [1, 2], "length": [10, 50]}
    found = of_recurrent(Tables(recurrent(factors, 8, truth)))
    for name, slope in SLOPES.items():
        fact = found[f"lag.slope.{name}.torch_default"]
        assert fact["value"] == pytest.approx(slope, abs=0.002)
        assert fact["low"] < fact["value"] < fact["high"]
        assert fact["unit"] == "decades/step"
        assert "depth 1, length 50" in fact["query"]
    assert found["lag.slope.vanilla.orthogonal"]["value"] is None
    assert "init orthogonal" in found["lag.slope.vanilla.orthogonal"]["query"]


def test_the_identity_is_that_of_relu():
    slopes = {"tanh": -0.5, "relu": 0.0}

    def truth(cell, _):
        return {"lag_slope": slopes[cell["activation"]], "lag_index": 0.0}

    runs = recurrent({"activation": list(slopes), "init": ["identity"]}, 3, truth)
    assert of_recurrent(Tables(runs))["lag.slope.vanilla.identity"]["value"] == 0


@pytest.mark.parametrize("task", ["adding", "adding(samples=2000)"])
def test_who_learns_to_add_is_counted_at_the_longest_length(task):
    def truth(cell, _):
        learns = cell["recurrence"] != "vanilla" or cell["length"] == 10
        return {"outcome": "trained" if learns else "stalled"}

    factors = {"recurrence": ["vanilla", "lstm", "leaky(alpha=0.02)"], "length": [10, 50]}
    runs = recurrent(factors, 9, truth, battery="rnn_training", **TRAINED)
    lost = (runs["recurrence"] == "lstm") & (runs["seed"] < 2) & (runs["length"] == 50)
    runs = runs.assign(outcome=runs["outcome"].where(~lost, "diverged"), task=task)
    found = of_recurrent(Tables(runs))
    assert found["adding.length"]["value"] == 50
    assert found["adding.success.vanilla"]["value"] == 0
    assert found["adding.success.leaky"]["value"] == 1
    lstm, expected = found["adding.success.lstm"], wilson(7, 9)
    for end in ("value", "low", "high"):
        assert lstm[end] == pytest.approx(getattr(expected, end))
    assert found["adding.success.gru"]["value"] is None
    assert found["adding.shortest"]["value"] == 10
    assert found["adding.success.vanilla.short"]["value"] == 1
    assert "length 10" in found["adding.success.vanilla.short"]["query"]


def test_tuning_runs_and_other_batteries_are_not_selected():
    runs = recurrent({"recurrence": ["lstm"]}, 4, nothing)
    runs = runs.assign(split=["tuning", "judged", "judged", "judged"])
    assert len(selected(Tables(runs), "rnn_init", recurrence="lstm").runs) == 3
    assert selected(Tables(runs), "rnn", recurrence="lstm").runs.empty


def test_a_part_at_its_defaults_goes_before_one_with_parameters():
    forms = ["lstm", "lstm(forget_bias=0.0)"]
    runs = recurrent({"recurrence": forms}, 2, nothing)
    chosen = selected(Tables(runs), "rnn_init", recurrence="lstm")
    assert set(chosen.runs["recurrence"]) == {"lstm"}
    other = selected(Tables(runs[2:]), "rnn_init", recurrence="lstm")
    assert set(other.runs["recurrence"]) == {"lstm(forget_bias=0.0)"}
    assert other.rows["where"]["recurrence"] == ["lstm(forget_bias=0.0)"]
    assert "recurrence lstm(forget_bias=0.0)" in other.query


def of_b(runs: pd.DataFrame) -> Selection:
    return Selection(Tables(runs), {"battery": ["b"]})


def test_a_mean_takes_seeds_that_have_every_cell_and_says_what_is_lacking():
    def truth(cell, _):
        return {"final_test_accuracy": cell["depth"] / 10}

    runs = runs_of("b", {"depth": [2, 4]}, 3, truth, **TRAINED)
    runs.loc[0, "final_test_accuracy"] = None
    fact = mean_of(of_b(runs), "test_accuracy", 2)
    assert fact["value"] == pytest.approx(0.3)
    assert fact["query"].endswith("; 1 of 6 runs have no value")
    none = mean_of(of_b(runs.assign(final_test_accuracy=np.nan)), "test_accuracy", 2)
    assert none["value"] is None
    assert none["query"] == "not in this study: a value of test_accuracy for runs of battery b"


def test_a_share_of_runs_without_an_outcome_is_none():
    runs = gans({}, 3, nothing)
    assert share_of(selected(Tables(runs), "gan_live"), "stagnation")["value"] is None


def test_a_fixed_generators_gradient_and_its_judge_are_told_game_by_game():
    games = ["saturating", "wgan_gp"]
    runs = gans({"game": games}, 4, nothing, battery="gan_fixed", generator="fixed")
    ends = {"saturating": -6.0, "wgan_gp": -1.1}
    table = games_of(runs, lambda run: {0: -1.0, 64: ends[run["game"]]})
    of_wgan = table["run_id"].isin(runs.loc[runs["game"] == "wgan_gp", "run_id"])
    table["discriminator_accuracy"] = np.where(of_wgan, 0.9, 1.0)
    found = adversarial(Tables(runs, games=table))
    assert found["gan.decades.saturating"]["value"] == pytest.approx(-5)
    assert found["gan.decades.wgan_gp"]["value"] == pytest.approx(-0.1)
    assert found["gan.decades.hinge"]["value"] is None
    assert found["gan.accuracy.saturating"]["value"] == 1
    assert found["gan.accuracy.fixed"]["value"] == pytest.approx(0.95)


def test_live_games_have_a_share_that_stalls_and_modes():
    runs = gans({"game": ["hinge"]}, 10, lambda *_: {"outcome": "trained"})
    runs = runs.assign(outcome=runs["outcome"].where(runs["seed"] > 0, "dead"))
    scores = scores_of(runs, "modes", lambda run: {0: {0: 0}, 64: {0: 8 - run["seed"] % 2}})
    found = adversarial(Tables(runs, scores=scores))
    assert found["gan.stalled.hinge"]["value"] == pytest.approx(0.1)
    assert found["gan.stalled.hinge"]["low"] == pytest.approx(wilson(1, 10).low)
    assert found["gan.modes.hinge"]["value"] == pytest.approx(7.5)
    assert found["gan.modes.wgan"]["value"] is None


def test_live_games_have_a_quality_in_the_end_and_modes_and_quality_before_training():
    games = {"hinge": 0.9, "wgan": 0.5}
    runs = gans({"game": list(games)}, 4, lambda *_: {"outcome": "trained"})
    parts = [
        scores_of(runs, "modes", lambda run: {0: {0: 2 + run["seed"] % 2}, 64: {0: 8}}),
        scores_of(runs, "high_quality", lambda run: {64: {0: games[run["game"]]}, 0: {0: 0.1}}),
    ]
    found = adversarial(Tables(runs, scores=pd.concat(parts, ignore_index=True)))
    assert found["gan.quality.hinge"]["value"] == pytest.approx(0.9)
    assert found["gan.quality.wgan"]["value"] == pytest.approx(0.5)
    assert found["gan.quality.saturating"]["value"] is None
    assert found["gan.modes.start"]["value"] == pytest.approx(2.5)
    assert found["gan.quality.start"]["value"] == pytest.approx(0.1)
    assert "step 0" in found["gan.quality.start"]["query"]
    unscored = adversarial(Tables(runs))
    assert unscored["gan.quality.start"]["value"] is unscored["gan.modes.start"]["value"] is None


def test_the_far_error_is_told_of_each_task_and_of_both():
    far = {"rnn_agreement": 0.2, "rnn_transduction": 0.4}
    runs = pd.concat(
        [
            recurrent({"recurrence": ["vanilla"]}, 3, nothing, battery=b, task=b, **TRAINED)
            for b in far
        ],
        ignore_index=True,
    )
    scores = scores_of(runs, "error_by_level", lambda run: {9: {1: 0.0, 8: far[run["battery"]]}})
    found = cases(Tables(runs, scores=scores))
    assert found["w01.far.agreement.vanilla"]["value"] == pytest.approx(0.2)
    assert found["w01.far.transduction.vanilla"]["value"] == pytest.approx(0.4)
    assert found["w01.far.vanilla"]["value"] == pytest.approx(0.3)
    assert found["w01.far.lstm"]["value"] is None
    alone = cases(Tables(runs[:3], scores=scores))
    assert alone["w01.far.agreement.vanilla"]["value"] == pytest.approx(0.2)
    assert alone["w01.far.vanilla"]["value"] is None


def test_cases_are_told_by_their_condition_with_the_runs_that_never_matched():
    inits = ["torch_default", "orthogonal"]
    w02, w03, cancer = (
        runs_of(b, {"init": inits}, 4, nothing, task=b, **TRAINED) for b in ("w02", "w03", "cancer")
    )

    def pairs(run):
        matched = run["init"] == "orthogonal" or run["seed"] > 0
        return {9: {0: 0.95 if matched else 0.5, 1: 0.6 if run["init"] == "orthogonal" else 0.5}}

    def found_at(_):
        return {9: {0.25: 0.1, 0.5: 0.2, 1.0: 0.6, 2.0: 0.9}}

    parts = [
        scores_of(w02, "accuracy_by_level", pairs),
        scores_of(w03, "sensitivity_by_level", found_at),
        scores_of(cancer, "sensitivity_by_level", lambda _: {9: {1.0: 0.97}}),
    ]
    runs = pd.concat([w02, w03, cancer], ignore_index=True)
    found = cases(Tables(runs, scores=pd.concat(parts, ignore_index=True)))
    assert found["w02.fine.orthogonal"]["value"] == pytest.approx(0.6)
    assert found["w02.fine.torch_default"]["value"] == pytest.approx(0.5)
    assert found["w02.fine.torch_default"]["query"].endswith("1 of 4 runs have no value")
    assert found["w03.sensitivity.torch_default"]["value"] == pytest.approx(0.45)
    assert found["w03.faint.orthogonal"]["value"] == pytest.approx(0.15)
    assert found["w03.clear.orthogonal"]["value"] == pytest.approx(0.75)
    assert found["cancer.sensitivity.orthogonal"]["value"] == pytest.approx(0.97)


def test_how_well_the_nets_of_faint_blobs_fit_is_told_by_condition():
    def truth(cell, _):
        healthy = cell["init"] == "orthogonal"
        return {
            "final_train_accuracy": 0.95 if healthy else 0.8,
            "final_test_accuracy": 0.65 if healthy else 0.7,
        }

    runs = runs_of("w03", {"init": ["torch_default", "orthogonal"]}, 4, truth, **TRAINED)
    found = cases(Tables(runs))
    shown = [found[f"w03.{split}.orthogonal"]["value"] for split in ("train", "test")]
    assert shown == pytest.approx([0.95, 0.65])
    assert found["w03.train.torch_default"]["value"] == pytest.approx(0.8)
    assert found["w03.clear.orthogonal"]["value"] is None  # no scores


def test_the_lag_slope_of_a_sentence_task_is_told_beside_its_error():
    def truth(*_):
        return {"lag_slope": -0.3, "lag_index": -3.0}

    runs = recurrent({"recurrence": ["vanilla"]}, 3, truth, battery="rnn_agreement", **TRAINED)
    found = cases(Tables(runs))
    assert found["w01.slope.agreement.vanilla"]["value"] == pytest.approx(-0.3)
    assert found["w01.slope.transduction.vanilla"]["value"] is None


def rows_of(runs: pd.DataFrame, fact: dict) -> pd.DataFrame:
    """The runs that a fact names."""
    assert fact["rows"]["table"] == "runs"
    for column, levels in fact["rows"]["where"].items():
        runs = runs[runs[column].isin(levels)]
    return runs


def test_the_rows_of_a_share_are_the_runs_that_it_counts():
    def truth(cell, _):
        return {"outcome": "trained" if cell["recurrence"] == "gru" else "stalled"}

    factors = {"recurrence": ["vanilla", "gru", "leaky(alpha=0.02)"], "length": [10, 50]}
    runs = recurrent(factors, 5, truth, battery="rnn_training", **TRAINED)
    runs = runs.assign(split=runs["split"].where(runs["seed"] > 0, "tuning"))
    found = of_recurrent(Tables(runs.assign(task="adding(samples=9)")))
    rows = rows_of(runs.assign(task="adding(samples=9)"), found["adding.success.leaky"])
    assert len(rows) == 4
    assert set(rows["length"]) == {50}
    gru = rows_of(runs.assign(task="adding(samples=9)"), found["adding.success.gru"])
    assert (gru["outcome"] == "trained").mean() == found["adding.success.gru"]["value"] == 1
    length = rows_of(runs.assign(task="adding(samples=9)"), found["adding.length"])
    assert set(length["length"]) == {found["adding.length"]["value"]}


def test_the_rows_of_two_batteries_are_those_of_both():
    runs = pd.concat(
        [
            recurrent({"recurrence": ["vanilla", "lstm"]}, 3, nothing, battery=b, task=b, **TRAINED)
            for b in ("rnn_agreement", "rnn_transduction")
        ],
        ignore_index=True,
    )
    scores = scores_of(runs, "error_by_level", lambda run: {9: {1: 0.0, 8: 0.5}})
    found = cases(Tables(runs, scores=scores))
    rows = rows_of(runs, found["w01.far.lstm"])
    assert (len(rows), set(rows["recurrence"])) == (6, {"lstm"})
    assert len(rows_of(runs, found["w01.far.agreement.lstm"])) == 3


def test_rows_have_a_level_in_every_column_and_are_said_in_words():
    data = pd.DataFrame({"a": [1, 2, 3, 1], "b": ["x", "x", "x", "y"]})
    assert list(taken(data, {"a": [1, 3], "b": ["x"]}).index) == [0, 2]
    assert len(taken(data, {})) == 4
    assert words({"a": [1, 3], "b": ["x"]}) == "a 1 or 3, b x"
    assert words({"a": range(9)}) == "a one of 9 levels"
