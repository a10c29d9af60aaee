"""Measures of scores and of GANs' players: planted numbers come back, zeros as bounds."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.measures import MEASURES
from vanishing.analysis.study_tables import LARGEST, SMALLEST, Tables

from .planted import layers_of, normal, runs_of
from .planted_nets import TRAINED, games_of, gans, nothing, scores_of

SCORED = [
    "distance_error", "far_error", "fine_at_matched_coarse", "sensitivity", "faint_sensitivity",
    "contrast_cost", "modes",
]  # fmt: skip
OF_GANS = ["generator_decades", "discriminator_accuracy", "stagnation"]


def of(name: str, runs: pd.DataFrame, **tables: pd.DataFrame) -> pd.Series:
    return MEASURES[name].of(Tables(runs, **tables))


def trained(seeds: int = 2) -> pd.DataFrame:
    return runs_of("w", {}, seeds, nothing, **TRAINED)


def scored(name: str, score: str, curves: dict, seeds: int = 2) -> pd.Series:
    runs = trained(seeds)
    return of(name, runs, scores=scores_of(runs, score, lambda _: curves))


@pytest.mark.parametrize("name", [*SCORED, *OF_GANS])
def test_a_run_without_such_a_table_has_none(name):
    assert of(name, runs_of("signal", {}, 3, normal(-0.3))).isna().all()


def test_the_cost_of_distance_is_taken_at_the_last_probe_between_the_outermost_levels():
    curves = {0: {1: 0.5, 5: 0.5, 18: 0.5}, 64: {18: 0.4, 1: 0.1, 5: 0.9}}
    np.testing.assert_allclose(scored("distance_error", "error_by_level", curves), 0.3)
    np.testing.assert_allclose(scored("far_error", "error_by_level", curves), 0.4)


def test_runs_have_levels_and_last_steps_of_their_own():
    runs = trained()
    ends = {0: {10: {1: 0.2, 9: 0.3}}, 1: {20: {2: 0.1, 7: 0.5}}}
    scores = scores_of(runs, "error_by_level", lambda run: ends[run["seed"]])
    assert of("far_error", runs, scores=scores).tolist() == [0.3, 0.5]
    np.testing.assert_allclose(of("distance_error", runs, scores=scores), [0.1, 0.4])


def test_a_level_without_a_score_is_not_replaced_by_another():
    curves = {5: {1: 0.1, 5: 0.2, 18: None}}
    assert scored("far_error", "error_by_level", curves).isna().all()
    assert scored("distance_error", "error_by_level", curves).isna().all()
    faint = {5: {0.25: None, 0.5: 0.2, 1.0: 0.3, 2.0: 0.4}}
    assert scored("faint_sensitivity", "sensitivity_by_level", faint).isna().all()


@pytest.mark.parametrize(
    ("levels", "faint", "cost", "mean"),
    [
        ({0.25: 0.0, 0.5: 0.1, 1.0: 0.2, 1.5: 0.5, 2.0: 0.6, 3.0: 1.0}, 0.1, 0.6, 0.4),
        ({1: 0.2, 2: 0.9, 3: 0.7}, 0.2, 0.5, 0.6),  # the middle is in neither half
        ({1: 0.9}, np.nan, np.nan, 0.9),
    ],
)
def test_sensitivity_is_averaged_over_halves_of_the_levels(levels, faint, cost, mean):
    curves = {0: dict.fromkeys(levels, 0.05), 64: levels}
    for name, expected in {
        "faint_sensitivity": faint, "contrast_cost": cost, "sensitivity": mean,
    }.items():  # fmt: skip
        np.testing.assert_allclose(scored(name, "sensitivity_by_level", curves), expected)


@pytest.mark.parametrize(
    ("coarse", "fine", "expected"),
    [
        ([0.5, 0.9, 1.0, 1.0], [0.5, 0.6, 0.8, 0.9], 0.7),  # half way between two probes
        ([0.5, 0.95, 1.0, 1.0], [0.5, 0.6, 0.8, 0.9], 0.6),  # at one of them
        ([0.99, 0.5, 1.0, 1.0], [0.55, 0.6, 0.8, 0.9], 0.55),  # from the start, the first time
        ([0.5, 0.9, 0.94, 0.9], [0.5, 0.6, 0.8, 0.9], np.nan),  # never
    ],
)
def test_the_fine_pair_is_read_where_the_coarse_one_first_reaches_the_mark(coarse, fine, expected):
    pairs = zip((0, 1, 8, 64), coarse, fine, strict=True)
    curves = {step: {0: c, 1: f} for step, c, f in pairs}
    np.testing.assert_allclose(
        scored("fine_at_matched_coarse", "accuracy_by_level", curves), expected
    )


def test_a_score_of_another_name_is_not_taken():
    curves = {5: {0: 0.9, 1: 0.9}}
    for name in SCORED:
        assert scored(name, "frechet", curves).isna().all()


def test_modes_are_those_at_the_end():
    assert scored("modes", "modes", {0: {0: 1.0}, 9: {0: 7.0}}).tolist() == [7.0, 7.0]


def test_accuracy_on_the_test_split_is_that_of_the_runs():
    runs = trained().assign(final_test_accuracy=[0.8, 0.1])
    assert of("test_accuracy", runs).tolist() == [0.8, 0.1]


def test_the_generators_gradient_is_followed_from_init_to_the_last_probe():
    runs = gans({}, 2, nothing)
    ends = {0: {0: -1.0, 8: 3.0, 64: -4.5}, 1: {0: -1.0, 32: -0.5}}
    games = games_of(runs, lambda run: ends[run["seed"]])
    np.testing.assert_allclose(of("generator_decades", runs, games=games), [-3.5, 0.5])


def test_a_generators_gradient_of_zero_is_bounded_and_one_that_overflowed_the_other_way():
    runs = gans({}, 2, nothing)
    games = games_of(runs, lambda _: {0: -1.0, 64: None})
    np.testing.assert_allclose(of("generator_decades", runs, games=games), SMALLEST)
    last = games["run_id"].eq(runs["run_id"][1]) & games["step"].eq(64)
    games.loc[last, "generator_loss"] = np.nan
    np.testing.assert_allclose(of("generator_decades", runs, games=games), [SMALLEST, LARGEST])


def test_nothing_is_said_of_a_generator_without_a_gradient_at_init_or_a_training():
    runs = gans({}, 2, nothing)
    curves = {0: {0: None, 64: -3.0}, 1: {0: -1.0}}
    games = games_of(runs, lambda run: curves[run["seed"]])
    assert of("generator_decades", runs, games=games).isna().all()


def test_the_discriminators_accuracy_is_that_of_the_last_probe():
    runs = gans({}, 2, nothing)
    games = games_of(runs, lambda _: {0: -1.0, 64: -2.0}, discriminator_accuracy=0.5)
    games.loc[games["step"] == 64, "discriminator_accuracy"] = 0.98
    assert of("discriminator_accuracy", runs, games=games).tolist() == [0.98, 0.98]


def test_a_live_game_stagnates_where_it_stalls_dies_or_diverges():
    outcomes = ["stalled", "dead", "diverged", "trained", "slow"]
    runs = gans({}, 5, nothing).assign(outcome=outcomes)
    assert of("stagnation", runs).tolist() == [1, 1, 1, 0, 0]
    assert of("stagnation", runs.assign(generator="fixed")).isna().all()


def test_layers_of_a_gan_are_those_of_its_generator():
    runs = gans({}, 2, nothing)
    shares = {"generator": 0.25, "discriminator": 0.5}
    parts = [
        layers_of(
            runs, lambda _, p=p, s=s: {"player": p, "saturation_low": s, "saturation_high": 0.0}, 2
        )
        for p, s in shares.items()
    ]
    layers = pd.concat(parts, ignore_index=True)
    assert of("saturation", runs, layers=layers).tolist() == [0.25, 0.25]
