"""Measures of trainings: planted courses give the numbers worked out by hand, censored ones too."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.measures import MEASURES
from vanishing.analysis.study_tables import LARGEST, SMALLEST

from .planted_nets import scores_of
from .planted_training import STEPS, column, curves_of, drawn, of, profile, trained

TRAINED_ONLY = [
    "log10_lr", "train_accuracy", "generalisation_gap", "stalled", "log10_restricted_steps",
    "plateau", "early_change", "early_imbalance", "late_imbalance", "imbalance_decline",
    "interference", "accuracy_at_matched_loss", "noisy_at_matched_clean",
]  # fmt: skip
NOT_FINITE = {"log10_delta_rms": None, "delta_zero_fraction": 0.5}
GONE = {"log10_delta_rms": None, "delta_zero_fraction": 1.0}


@pytest.mark.parametrize("name", TRAINED_ONLY)
def test_where_nothing_was_trained_there_is_none(name):
    runs = drawn(2)
    layers = column(runs, "log10_delta_rms", [-1.0] * 6)
    assert of(name, runs, layers=layers).isna().all()
    assert of(name, runs.head(0), layers=layers).empty


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_a_number_of_each_run_with_a_unit_and_a_meaning(name):
    runs = trained(3, final_test_accuracy=0.5, vanishing_index=-1.0).iloc[[2, 0]]
    values = of(name, runs)
    assert list(values.index) == [2, 0]
    assert values.dtype == float
    assert MEASURES[name].unit
    assert MEASURES[name].meaning
    assert not MEASURES[name].binary or set(values.dropna()) <= {0.0, 1.0}


def test_depth_and_rate_are_those_of_the_run():
    runs = trained(depth=16, lr=0.01)
    assert of("depth", runs).tolist() == [16]
    assert of("log2_depth", runs).tolist() == [4]
    assert of("log10_lr", runs).tolist() == [-2]


def test_the_gap_is_training_less_test_accuracy():
    runs = trained(2).assign(final_train_accuracy=[0.9, 0.1], final_test_accuracy=[0.7, 0.1])
    assert of("train_accuracy", runs).tolist() == [0.9, 0.1]
    np.testing.assert_allclose(of("generalisation_gap", runs), [0.2, 0])


def test_only_a_stalled_run_stalls():
    runs = trained(5).assign(outcome=["stalled", "slow", "trained", "dead", "diverged"])
    assert of("stalled", runs).tolist() == [1, 0, 0, 0, 0]


def test_restricted_steps_are_all_steps_where_the_threshold_is_never_reached():
    runs = trained(4).assign(steps_to_threshold=pd.array([10, None, 0, 60], dtype="Int64"))
    expected = [1, np.log10(STEPS), 0, np.log10(STEPS)]
    np.testing.assert_allclose(of("log10_restricted_steps", runs), expected)
    assert of("log10_restricted_steps", runs.assign(family="gan")).isna().all()


def test_a_gradient_has_vanished_below_minus_two_decades():
    runs = drawn(4, depth=2).assign(vanishing_index=[-2.5, -2.0, 3.0, np.nan])
    layers = profile(runs, lambda *_: GONE)
    assert of("vanished", runs, layers=layers).tolist() == [1, 0, 0, 1]
    overflowed = profile(runs, lambda *_: NOT_FINITE)
    assert of("vanished", runs, layers=overflowed).tolist() == [1, 0, 0, 0]


def test_the_slope_of_weight_gradients_is_over_the_layers_between():
    runs = drawn(3, depth=11).assign(weight_vanishing_index=[-5.0, np.nan, np.nan])
    zeros = {0: 0.0, 1: 1.0, 2: 0.0}
    layers = profile(
        runs,
        lambda run, _: {"log10_grad_rms": None, "grad_zero_fraction": zeros[run["seed"]]},
    )
    found = of("weight_slope", runs, layers=layers)
    np.testing.assert_allclose(found, [-0.5, SMALLEST / 10, LARGEST / 10])
    assert of("weight_slope", drawn(depth=1, weight_vanishing_index=0.0)).isna().all()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ([0.01, 0.01, 0.5, 0.5, 1.0, 1.0], -2),
        ([0.001, 0.019, 9.0, 1.0, 1.0], -2),  # a third of 5 layers is 2
        ([0.1, 0.0, 1.0], -1),
        ([0.0, 1.0, 1.0], np.log10(2.0**-24)),  # what is lost in rounding counts as the rounding
        ([None, 0.1, 0.5, 0.5, 1.0, 1.0], -1),  # began at 0
    ],
)
def test_early_change_compares_the_outer_thirds_at_the_end(change, expected):
    runs = trained(2, depth=len(change))
    layers = pd.concat(
        [
            column(runs, "total_change", [5.0] * len(change), [30]),
            column(runs, "total_change", change, [STEPS]),
        ],
        ignore_index=True,
    )
    np.testing.assert_allclose(of("early_change", runs, layers=layers), expected, atol=1e-9)


def test_a_diverged_run_has_no_early_change():
    runs = trained(2).assign(first_nonfinite_step=pd.array([None, 7], dtype="Int64"))
    layers = column(runs, "total_change", [1.0] * 6, [STEPS])
    np.testing.assert_allclose(of("early_change", runs, layers=layers), [0, np.nan])


def test_imbalance_is_averaged_over_the_early_steps_and_read_at_the_end():
    v = {0: -9.0, 1: -4.0, 2: 2.0, 8: -3.0, 16: -9.0, STEPS: 1.0}
    runs = trained(depth=3)
    layers = profile(
        runs, lambda run, layer: {"log10_delta_rms": v[run["at"]] if layer == 1 else 0.0}, v
    )
    np.testing.assert_allclose(of("early_imbalance", runs, layers=layers), 3)
    np.testing.assert_allclose(of("late_imbalance", runs, layers=layers), 1)
    np.testing.assert_allclose(of("imbalance_decline", runs, layers=layers), 2)


@pytest.mark.parametrize(
    ("first", "bound"),
    [
        (GONE, -SMALLEST),
        (NOT_FINITE, LARGEST),
        ({"log10_delta_rms": 190.0}, LARGEST),
        ({"log10_delta_rms": -70.0}, -SMALLEST),
    ],
)
def test_imbalance_beyond_what_a_float32_holds_counts_as_its_bound(first, bound):
    runs = trained(2, depth=2)

    def row(run, layer):
        return first if layer == 1 and run["seed"] == 0 else {}

    layers = profile(runs, row, [1, STEPS])
    np.testing.assert_allclose(of("early_imbalance", runs, layers=layers), [bound, 0], rtol=1e-6)
    np.testing.assert_allclose(of("late_imbalance", runs, layers=layers), [bound, 0], rtol=1e-6)


def test_imbalance_of_a_gan_is_its_generators():
    runs = trained(depth=2)
    size = {"generator": -3.0, "discriminator": -7.0}
    layers = pd.concat(
        [
            profile(
                runs,
                lambda _, layer, d=decades: {"log10_delta_rms": d if layer == 1 else 0.0},
                [STEPS],
                player,
            )
            for player, decades in size.items()
        ],
        ignore_index=True,
    )
    np.testing.assert_allclose(of("late_imbalance", runs, layers=layers), 3)


def test_interference_is_averaged_from_the_second_layer_and_the_first_update_on():
    runs = trained(2, depth=3)
    size = {0: [9.0, 9.0, 9.0], 1: [9.0, 0.1, 0.001], 8: [9.0, None, 0.0]}
    layers = profile(
        runs, lambda run, layer: {"interference": size[run["at"]][layer - 1]}, list(size)
    )
    expected = (-1 - 3 + np.log10(2.0**-24)) / 3
    np.testing.assert_allclose(of("interference", runs, layers=layers), expected)


def test_accuracy_is_read_where_the_smoothed_loss_falls_to_the_mark():
    # A line stays itself under a centred mean: it is at .3 at step 45 and at step 15.
    slopes = {0: 0.02, 1: 0.06, 2: 0.001}
    runs = trained(3)
    curves = curves_of(
        runs,
        lambda run, step: 1.2 - slopes[run["seed"]] * step,
        lambda _, step: {0: 0.1, 30: 0.5, STEPS: 0.9}[step],
    )
    shuffled = curves.sample(frac=1, random_state=0)
    found = of("accuracy_at_matched_loss", runs.iloc[[2, 1, 0]], curves=shuffled)
    np.testing.assert_allclose(found, [np.nan, 0.3, 0.7], rtol=1e-5)
    other = runs.assign(loss="squared_error")
    assert of("accuracy_at_matched_loss", other, curves=curves).isna().all()


def test_an_accuracy_known_at_both_ends_alone_is_matched_with_no_loss():
    runs = trained()
    ends = {0: 0.1, STEPS: 0.9}
    curves = curves_of(runs, lambda _, step: 1.2 - step / 50, lambda _, step: ends.get(step))
    assert of("accuracy_at_matched_loss", runs, curves=curves).isna().all()


def test_one_low_loss_among_high_ones_is_no_match():
    runs = trained()
    curves = curves_of(runs, lambda _, step: 0.0 if step == 7 else 1.0, lambda *_: 0.5)
    assert of("accuracy_at_matched_loss", runs, curves=curves).isna().all()
    begun = curves_of(runs, lambda *_: 0.1, lambda _, step: step / 100)
    assert of("accuracy_at_matched_loss", runs, curves=begun).tolist() == [0]


@pytest.mark.parametrize(
    ("outcome", "late", "expected"),
    [
        ("slow", 1.0, 1),
        ("slow", 1.1, 1),  # it rises
        ("stalled", 0.985, 1),
        ("slow", 0.97, 0),
        ("dead", 1.0, 1),
        ("trained", 1.0, 0),
        ("diverged", 1.0, 0),
        ("diverged", None, 0),
    ],
)
def test_a_plateau_is_a_loss_that_falls_no_more_before_it_is_trained(outcome, late, expected):
    runs = trained(2, outcome=outcome)
    # The updates from one half to two thirds against the last sixth; the others say nothing.
    curves = curves_of(
        runs, lambda _, step: 1.0 if 30 <= step < 40 else late if step >= 50 else 7.0
    )
    assert of("plateau", runs, curves=curves).tolist() == [expected] * 2
    assert of("plateau", runs.assign(family="gan"), curves=curves).isna().all()


def test_a_training_too_short_for_a_sixth_has_no_plateau_to_judge():
    runs = trained()
    curves = curves_of(runs, lambda *_: 1.0)
    assert of("plateau", runs, curves=curves[curves["step"] < 40]).isna().all()


def test_accuracy_under_noise_is_read_where_the_clean_one_first_reaches_the_mark():
    runs = trained(2)
    clean = {0: {1: 0.5, 8: 0.8, 60: 1.0}, 1: {1: 0.5, 8: 0.8, 60: 0.85}}
    noisy = {1: 0.3, 8: 0.4, 60: 0.8}
    scores = scores_of(
        runs,
        "noisy_accuracy",
        lambda run: {
            step: {0.0: clean[run["seed"]][step], 0.5: 0.0, 1.0: noisy[step]} for step in noisy
        },
    )
    np.testing.assert_allclose(of("noisy_at_matched_clean", runs, scores=scores), [0.6, np.nan])
