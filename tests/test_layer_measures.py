"""Measures of layers: planted layers give the numbers worked out by hand, zeros their bounds."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.study_tables import LARGEST, SMALLEST

from .planted_training import (
    STEPS,
    column,
    drawn,
    freeze_of,
    networks_of,
    of,
    profile,
    trained,
)

AT_INIT = [
    "activation_growth", "log10_gradient", "lost_fp32", "lost_fp16", "lost_bf16", "dead_share",
    "born_dead", "derivative_near_zero", "derivative_near_one", "chain_error",
]  # fmt: skip
AT_END = ["freeze_cost", "critical_layers", "probe_gain", "probe_trend", "early_probe"]


@pytest.mark.parametrize("name", [*AT_INIT, *AT_END])
def test_a_run_without_such_a_table_has_none(name):
    assert of(name, trained(2)).isna().all()
    assert of(name, trained(2).head(0)).empty


@pytest.mark.parametrize("name", [*AT_INIT[:-1], *AT_END[1:]])
def test_what_is_asked_at_one_moment_is_not_taken_at_another(name):
    runs = trained(depth=4)
    other = STEPS if name in AT_INIT else 0
    assert of(name, runs, layers=profile(runs, lambda *_: {}, [other, 30])).isna().all()


def test_numbers_follow_their_runs_in_any_order_and_subset():
    runs = drawn(5)
    layers = profile(runs, lambda run, _: {"dead_fraction": run["seed"] / 10})
    shuffled = runs.iloc[[4, 0, 2]]
    found = of("dead_share", shuffled, layers=layers.sample(frac=1, random_state=0))
    np.testing.assert_allclose(found, [0.4, 0.0, 0.2], atol=1e-7)
    assert list(found.index) == [4, 0, 2]


def test_growth_of_activations_counts_mean_and_sd():
    runs = drawn(depth=3)
    ends = {1: (0.0, 0.1), 2: (9.0, 9.0), 3: (6.0, 8.0)}
    layers = profile(
        runs,
        lambda _, layer: dict(zip(("activation_mean", "activation_sd"), ends[layer], strict=True)),
    )
    np.testing.assert_allclose(of("activation_growth", runs, layers=layers), 2)


def test_growth_of_activations_is_bounded_where_they_overflow_or_are_gone():
    runs = drawn(3, depth=2)
    ends = {0: 10.0, 1: None, 2: 0.0}
    layers = profile(
        runs, lambda run, layer: {"activation_sd": 1.0 if layer == 1 else ends[run["seed"]]}
    )
    np.testing.assert_allclose(of("activation_growth", runs, layers=layers), [1, LARGEST, SMALLEST])


def test_the_mean_gradient_takes_in_zeros_and_overflows_as_bounds():
    runs = drawn(3, depth=2)
    second = {0: (-4.0, 0.0), 1: (None, 1.0), 2: (None, 0.0)}

    def row(run, layer):
        size, zeros = (-2.0, 0.0) if layer == 1 else second[run["seed"]]
        return {"log10_grad_rms": size, "grad_zero_fraction": zeros}

    found = of("log10_gradient", runs, layers=profile(runs, row))
    np.testing.assert_allclose(found, [-3, (SMALLEST - 2) / 2, (LARGEST - 2) / 2])


@pytest.mark.parametrize(("kind", "lost"), [("fp32", 0.25), ("fp16", 0.75), ("bf16", 0.5)])
def test_what_a_format_loses_is_what_it_rounds_away_and_what_was_zero(kind, lost):
    runs = drawn(depth=2)
    first = {"grad_zero_fraction": 0.25, "underflow_fp16": 0.5, "underflow_bf16": 0.25}
    layers = profile(runs, lambda _, layer: first if layer == 1 else {"grad_zero_fraction": 1.0})
    assert of(f"lost_{kind}", runs, layers=layers).tolist() == [lost]


@pytest.mark.parametrize(("worst", "born"), [(0.98, 0), (0.99, 1), (1.0, 1)])
def test_a_net_is_born_dead_by_its_worst_layer(worst, born):
    runs = drawn(depth=4)
    layers = column(runs, "dead_fraction", [0.0, worst, 0.5, 0.5])
    assert of("born_dead", runs, layers=layers).tolist() == [born]
    np.testing.assert_allclose(of("dead_share", runs, layers=layers), (worst + 1) / 4)


def test_derivatives_are_averaged_over_the_layers_that_have_such_units():
    runs = drawn(depth=3)
    low, high, middle = [None, 0.01, 0.03], [None, None, None], [0.1, 0.3, None]

    def row(_, layer):
        parts = {"low": low, "high": high, "middle": middle}
        return {f"derivative_{name}": values[layer - 1] for name, values in parts.items()}

    layers = profile(runs, row)
    np.testing.assert_allclose(of("derivative_near_zero", runs, layers=layers), -1)
    assert of("derivative_near_one", runs, layers=layers).isna().all()


def test_a_derivative_that_is_exactly_zero_enters_as_a_bound():
    runs = drawn(depth=1)
    layers = profile(runs, lambda *_: {"derivative_high": 0.0, "derivative_middle": 0.2})
    np.testing.assert_allclose(of("derivative_near_one", runs, layers=layers), SMALLEST)


def test_the_error_of_the_chain_rule_is_that_at_init_and_exact_counts_as_1e_17():
    runs = drawn(3)
    errors = {0: 1e-12, 1: 0.0, 2: None}
    found = of("chain_error", runs, networks=networks_of(runs, lambda run: errors[run["seed"]]))
    np.testing.assert_allclose(found, [-12, -17, np.nan])


def test_layers_of_the_discriminator_are_left_out():
    runs = drawn(depth=2)
    layers = pd.concat(
        [
            profile(runs, lambda *_, d=dead: {"dead_fraction": d}, player=player)
            for player, dead in (("generator", 0.25), ("discriminator", 1.0))
        ],
        ignore_index=True,
    )
    assert of("dead_share", runs, layers=layers).tolist() == [0.25]
    assert of("born_dead", runs, layers=layers).tolist() == [0]


@pytest.mark.parametrize(
    ("curve", "cost"),
    [
        ({0: 0.9, 2: 0.85, 4: 0.7, 6: 0.4, 8: 0.1}, -0.2),
        ({0: 0.9, 3: 0.8, 5: 0.6}, -0.1),  # two are as near: the smaller
        ({0: 0.9}, np.nan),
        ({4: 0.9}, np.nan),
    ],
)
def test_the_cost_of_freezing_is_read_nearest_to_half_of_the_depth(curve, cost):
    runs = trained(2, depth=8)
    np.testing.assert_allclose(of("freeze_cost", runs, freeze=freeze_of(runs, curve)), cost)


def test_critical_layers_are_those_of_the_lower_half_that_cost_more_than_a_twentieth():
    runs = trained(depth=5).assign(final_train_accuracy=0.9)
    layers = column(runs, "reset_accuracy", [0.5, 0.85, 0.0, 0.0, 0.0], [0, STEPS])
    assert of("critical_layers", runs, layers=layers).tolist() == [0.5]
    gone = column(runs, "reset_accuracy", [None] * 5, [STEPS])
    assert of("critical_layers", runs, layers=gone).isna().all()


@pytest.mark.parametrize(
    ("accuracy", "gain", "trend", "early"),
    [
        ([0.5, 0.6, 0.7, 0.8, 0.9], 0.4, 1.0, 0.55),  # a third of 5 layers is 2
        ([0.9, 0.8, 0.5], -0.4, -1.0, 0.9),
        ([0.5, 0.7, 0.7, 0.9], 0.4, 0.948683298, 0.6),  # ties share their rank
        ([0.5, 0.5, 0.5], 0.0, 0.0, 0.5),  # all are equal
        ([0.2, 0.4], 0.2, np.nan, 0.2),  # two layers make no trend
    ],
)
def test_linear_probes_are_read_at_the_end(accuracy, gain, trend, early):
    runs = trained(2, depth=len(accuracy))
    begun = column(runs, "linear_probe_accuracy", np.linspace(0.9, 0.1, len(accuracy)))
    ended = column(runs, "linear_probe_accuracy", accuracy, [STEPS])
    layers = pd.concat([begun, ended], ignore_index=True)
    for name, value in {"probe_gain": gain, "probe_trend": trend, "early_probe": early}.items():
        np.testing.assert_allclose(of(name, runs, layers=layers), value, atol=1e-6)
