"""Noise on inputs, linear probes, the explicit chain rule, phi' by output: against plain ones."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from vanishing.engine import job
from vanishing.engine.blocks import at_probe
from vanishing.engine.chain_rule import chain_rule_error, is_plain, jacobians
from vanishing.engine.evaluation import accuracy
from vanishing.engine.linear_probe import PART, linear_probe, moments_of, ridge_weights
from vanishing.engine.network import Network
from vanishing.engine.output_bins import bounded_range, output_bins
from vanishing.engine.robustness import NOISES, noisy_accuracy
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, advance
from vanishing.engine.training import train_stack
from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS, Activation
from vanishing.parts.losses import LOSSES
from vanishing.parts.seeds import generator_of
from vanishing.tables import LAYERS, NETWORKS, SCORES

from .plain import Plain
from .small import (
    CLASSES,
    CLOSE,
    CPU,
    DEPTH,
    INPUTS,
    LOSS,
    OF_OTHER_FAMILIES,
    data_of,
    drawn,
    graph_of,
    net_of,
    normal,
)
from .test_combinations import made

NEW = ["robustness", "linear_probe", "chain_rule", "output_bins"]
RUNS = [("he", 0, 0.3), ("xavier", 1, 0.1)]


def trained(graph, data=None, runs=RUNS):
    """A stack after its updates, in float64."""
    data, (inits, seeds, rates) = data or data_of(), map(list, zip(*runs, strict=True))
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    samples = samples_of(data, seeds, budget.steps, budget.batch, budget.probe_batch, CPU)
    stack = Stack.of(net, budget, samples, (inits, seeds, rates), torch.float64)
    for step in range(1, budget.steps + 1):
        advance(stack, step)
    return stack


def probed(graph, runs, dtype=torch.float64):
    inits, seeds, rates = map(list, zip(*runs, strict=True))
    net, budget = Network.of(graph, data_of().shape), Budget.of(graph)
    return train_stack(net, budget, data_of(), inits, seeds, rates, CPU, dtype)


# --- noise on the inputs


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_noisy_accuracy_equals_a_plain_module_on_inputs_with_noise(family, norm):
    graph = graph_of(family=family, norm=norm, steps=20)
    stack = trained(graph)
    found = noisy_accuracy(*stack.network, LOSS, stack.samples, [0, 1])
    assert list(found) == [("noisy_accuracy", sd) for sd in (0.0, 0.5, 1.0)]
    for run, (_, seed, _) in enumerate(RUNS):
        plain = Plain(graph, data_of(), stack.parameters, run).load(stack.parameters, run)
        rows = stack.samples.test[run]
        noise = torch.randn(len(rows), INPUTS, generator=generator_of(seed, "input_noise"))
        x, labels = stack.samples.inputs[rows].double(), stack.samples.labels[rows]
        for sd in NOISES:
            right = (plain(x + sd * noise.double()).argmax(1) == labels).double().mean()
            assert found["noisy_accuracy", sd][run] == pytest.approx(right.item(), abs=1e-12)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_without_noise_it_is_the_accuracy_and_with_more_noise_less_is_right(norm):
    data = data_of(3000)
    learnable = replace(data, labels=data.inputs[:, :CLASSES].argmax(1))
    stack = trained(graph_of(norm=norm, steps=80), learnable)
    found = noisy_accuracy(*stack.network, LOSS, stack.samples, [0, 1])
    expected = accuracy(*stack.network, LOSS, stack.samples, "test")
    np.testing.assert_array_equal(found["noisy_accuracy", 0.0], expected)
    assert (expected > found["noisy_accuracy", 0.5]).all()
    assert (found["noisy_accuracy", 0.5] > found["noisy_accuracy", 1.0]).all()


def test_noise_is_that_of_the_seed_in_every_arm_and_at_every_step():
    graph = graph_of(probes={"steps": [0, 1, 3], "batch": 12, "blocks": ["robustness"]})
    still = probed(graph, [("he", 5, 0.0), ("he", 5, 0.0), ("he", 6, 0.0)])
    for values in zip(*(still.scores[step].values() for step in (0, 1, 3)), strict=True):
        np.testing.assert_array_equal(values[0], values[1])
        np.testing.assert_array_equal(values[0], values[2])
        assert values[0][0] == values[0][1]
    # One net and split, in which only the seed of the noise differs.
    stack = trained(graph_of(steps=0), data_of(3000), [("he", 5, None)] * 2)
    alike, other = (
        noisy_accuracy(*stack.network, LOSS, stack.samples, seeds)["noisy_accuracy", 1.0]
        for seeds in ([5, 5], [5, 6])
    )
    assert alike[0] == alike[1] == other[0] != other[1]


def test_a_run_that_is_not_finite_and_a_task_of_values_have_no_noisy_accuracy():
    stack = trained(graph_of())
    stack.parameters["b"][-1].data[0, 0, 1] = torch.nan
    found = noisy_accuracy(*stack.network, LOSS, stack.samples, [0, 1])
    assert all(np.isnan(values[0]) and values[1] <= 1 for values in found.values())
    values = LOSSES["squared_error"]
    assert noisy_accuracy(*stack.network, values, stack.samples, [0, 1]) == {}


# --- a linear classifier from each layer


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_linear_probe_equals_ridge_of_scikit_learn_on_a_plain_module(family, norm):
    graph = graph_of(family=family, norm=norm, activation="relu", steps=10)
    stack = trained(graph, data_of(200))
    found = linear_probe(stack.net, stack.parameters, {}, stack.samples)
    assert found.shape == (2, DEPTH)
    for run in range(2):
        plain = Plain(graph, data_of(), stack.parameters, run).load(stack.parameters, run)
        train = features_and_labels(plain, stack.samples, stack.samples.train[run])
        test = features_and_labels(plain, stack.samples, stack.samples.test[run])
        for layer in range(DEPTH):
            f, labels = train[0][layer], train[1]
            ridge = Ridge(alpha=1e-3 * len(f) * f.var(0).mean(), solver="svd")
            ridge.fit(f, np.eye(CLASSES)[labels])
            right = (ridge.predict(test[0][layer]).argmax(1) == test[1]).mean()
            assert found[run, layer] == pytest.approx(right, abs=1e-12)
    assert found.unique().numel() > 3


def features_and_labels(plain, samples, rows):
    """The activations of every layer of a plain module, of a CNN their means over pixels."""
    plain(samples.inputs[rows].double())
    a = [values.detach().flatten(2).mean(2) if values.dim() > 2 else values for values in plain.a]
    return [values.detach().numpy() for values in a], samples.labels[rows].numpy()


def test_ridge_weights_are_those_of_scikit_learn():
    features, labels = normal(2, 50, 6) + 3, torch.arange(100).view(2, 50) % CLASSES
    wanted = torch.nn.functional.one_hot(labels, CLASSES).double()
    found = ridge_weights(moments_of(features, wanted), CLASSES)
    for run in range(2):
        f = features[run].numpy()
        ridge = Ridge(alpha=1e-3 * 50 * f.var(0).mean(), solver="svd").fit(f, wanted[run].numpy())
        np.testing.assert_allclose(found[run, :-1].T, ridge.coef_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found[run, -1], ridge.intercept_, rtol=1e-9, atol=1e-12)


def test_samples_that_pass_in_parts_are_fitted_together():
    data = data_of(3 * PART + 1)
    stack = trained(graph_of(steps=0), data, [("he", 0, None)])
    found = linear_probe(stack.net, stack.parameters, {}, stack.samples)
    plain = Plain(graph_of(), data, stack.parameters)
    f, labels = features_and_labels(plain, stack.samples, stack.samples.train[0])
    test, truth = features_and_labels(plain, stack.samples, stack.samples.test[0])
    for layer in range(DEPTH):
        alpha = 1e-3 * len(labels) * f[layer].var(0).mean()
        ridge = Ridge(alpha=alpha, solver="svd").fit(f[layer], np.eye(CLASSES)[labels])
        right = (ridge.predict(test[layer]).argmax(1) == truth).mean()
        assert found[0, layer] == pytest.approx(right, abs=1e-12)


def test_a_linear_probe_does_not_rest_on_the_scale_of_what_it_sees():
    stack = trained(graph_of(activation="linear", steps=0))
    expected = linear_probe(stack.net, stack.parameters, {}, stack.samples)
    w, b = stack.parameters["W"], [torch.zeros_like(b) for b in stack.parameters["b"]]
    for scale in (1e-170, 1e170):  # whose squares are 0 and infinite
        scaled = {"W": [w[0].detach() * scale, *w[1:]], "b": b}
        torch.testing.assert_close(linear_probe(stack.net, scaled, {}, stack.samples), expected)


def test_a_layer_that_says_nothing_gives_the_commonest_class_and_a_nan_nothing():
    stack = trained(graph_of(activation="relu", steps=0), data_of(400))
    stack.parameters["b"][2].data[1] = -100.0
    found = linear_probe(stack.net, stack.parameters, {}, stack.samples)
    commonest = stack.samples.labels[stack.samples.train[1]].bincount().argmax()
    share = (stack.samples.labels[stack.samples.test[1]] == commonest).double().mean()
    assert found[1, 2] == share
    stack.parameters["W"][1].data[0, 0, 0] = torch.nan
    broken = linear_probe(stack.net, stack.parameters, {}, stack.samples)
    assert broken[0].isnan().tolist() == [False, True, True, True]
    torch.testing.assert_close(broken[1], found[1], **CLOSE)


# --- the chain rule, explicitly


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "prelu"])
def test_the_product_of_jacobians_is_what_comes_back(activation):
    net, x = net_of(activation=activation, depth=12), normal(20, INPUTS)
    labels = torch.arange(20) % CLASSES
    error = chain_rule_error(net, drawn(net, ["he", "xavier"], [0, 1]), {}, LOSS, x, labels)
    assert error.shape == (2,)
    assert (error < 1e-12).all()


@dataclass(frozen=True)
class Steeper(Activation):
    """An activation whose derivative is told a thousandth too large."""

    def derivative(self, h, *learned):
        return 1.001 * super().derivative(h, *learned)


def test_a_derivative_that_is_wrong_shows_layer_by_layer():
    net = replace(net_of(), activation=Steeper(torch.tanh, "made up"))
    x, labels = normal(20, INPUTS), torch.arange(20) % CLASSES
    error = chain_rule_error(net, drawn(net, ["he"], [0]), {}, LOSS, x, labels)
    assert error.item() == pytest.approx(1.001 ** (DEPTH - 1) - 1, rel=1e-9)


def test_a_layers_jacobian_is_that_of_a_plain_module():
    net = net_of(activation="sigmoid")
    parameters, h = drawn(net, ["he"], [0]), normal(1, 3, 8)
    found = jacobians(parameters["W"][1], net.activation.derivative(h))
    layer = Plain(graph_of(activation="sigmoid"), data_of(), parameters).layers[1]
    for sample in range(3):
        expected = torch.autograd.functional.jacobian(
            lambda z: layer(torch.sigmoid(z)), h[0, sample]
        )
        torch.testing.assert_close(found[0, sample], expected, **CLOSE)


def test_the_chain_rule_is_of_plain_nets_with_two_layers_or_more():
    others = [{"norm": "layer"}, {"norm": "weight"}, {"residual": "identity"}, {"family": "cnn"}]
    assert [is_plain(net_of(**changes)) for changes in others] == [False] * 4
    assert is_plain(net_of())
    net, x = net_of(depth=1), normal(4, INPUTS)
    one = chain_rule_error(net, drawn(net, ["he"], [0]), {}, LOSS, x, torch.zeros(4).long())
    assert one.isnan().all()
    # Nothing comes back through units that are all dead, by either way; and a NaN shows.
    net = net_of(activation="relu")
    parameters = drawn(net, ["he", "he"], [0, 1])
    parameters["b"][2][0], parameters["W"][2][1, 0, 0] = -100.0, torch.nan
    found = chain_rule_error(net, parameters, {}, LOSS, x, torch.zeros(4).long())
    assert found[0] == 0
    assert found[1].isnan()


# --- phi' by where the outputs lie

BOUNDED = {  # their range, phi and abs(phi')
    "sigmoid": (0, 1, lambda h: 1 / (1 + np.exp(-h)), lambda h: np.exp(-h) / (1 + np.exp(-h)) ** 2),
    "tanh": (-1, 1, np.tanh, lambda h: 1 / np.cosh(h) ** 2),
    "softsign": (-1, 1, lambda h: h / (1 + abs(h)), lambda h: 1 / (1 + abs(h)) ** 2),
    "arctan": (-np.pi / 2, np.pi / 2, np.arctan, lambda h: 1 / (1 + h**2)),
    "hard_tanh": (-1, 1, lambda h: np.clip(h, -1, 1), lambda h: 1.0 * (abs(h) < 1)),
    "relu6": (0, 6, lambda h: np.clip(h, 0, 6), lambda h: 1.0 * ((h > 0) & (h < 6))),
}


@pytest.mark.parametrize("activation", BOUNDED)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_output_bins_equal_a_count_between_bounds_found_from_phi(activation, norm):
    low, high, phi, slope = BOUNDED[activation]
    assert bounded_range(ACTIVATIONS[activation]) == pytest.approx((low, high))
    graph = graph_of(activation=activation, norm=norm)
    net, x = net_of(**graph), normal(200, INPUTS)
    wide = "gaussian(sigma_w=6, sigma_b=1)"
    parameters = drawn(net, ["xavier", wide], [0, 1])
    found = output_bins(net, parameters, {}, x)
    for run in range(2):
        plain = Plain(graph, data_of(), parameters, run)
        plain(x)
        for layer, h in enumerate(z.detach().numpy() for z in plain.h):
            share = (phi(h) - low) / (high - low)
            bins = {
                "derivative_low": share <= 0.05,
                "derivative_middle": (share > 0.05) & (share < 0.95),
                "derivative_high": share >= 0.95,
            }
            for name, where in bins.items():
                expected = slope(h)[where].mean() if where.any() else np.nan
                value = found[name][run, layer].item()
                np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)
    # A batch norm leaves softsign and arctan no outputs at their ends.
    assert norm == "batch" or all(values.isfinite().any() for values in found.values())


def test_bounds_of_a_bump_are_found_and_those_of_what_grows_or_oscillates_are_not():
    bump = bounded_range(Activation(lambda h: torch.exp(-(h**2)), "made up"))
    assert bump == pytest.approx((0, 1), abs=1e-12)
    for name in ("linear", "relu", "prelu", "elu", "gelu", "silu", "softplus", "sine"):
        assert bounded_range(ACTIVATIONS[name]) is None, name
    for phi in (torch.asinh, torch.exp, torch.zeros_like):
        assert bounded_range(Activation(phi, "made up")) is None
    net = net_of(activation="relu")
    assert output_bins(net, drawn(net, ["he"], [0]), {}, normal(9, INPUTS)) == {}


# --- as they are switched on and logged


def test_blocks_are_measured_on_the_probe_batch_and_the_net_as_it_is_drawn():
    graph = graph_of(steps=0, probes={"steps": [0], "batch": 12, "blocks": NEW})
    stack = trained(graph, runs=[("he", 0, None), ("xavier", 1, None)])
    of_layers, of_network = at_probe(stack, 0, None)
    x, labels = stack.samples.at(stack.samples.probe, torch.float64)
    parameters = {name: [t.detach() for t in group] for name, group in stack.parameters.items()}
    expected = output_bins(stack.net, parameters, {}, x)
    expected["linear_probe_accuracy"] = linear_probe(stack.net, parameters, {}, stack.samples)
    assert of_layers.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(of_layers[name], values, equal_nan=True, **CLOSE)
    error = chain_rule_error(stack.net, parameters, {}, LOSS, x, labels)
    torch.testing.assert_close(of_network["chain_rule_error"], error, rtol=0, atol=0)


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_runs_scores_do_not_depend_on_its_stack(family, norm):
    """Of its layers and nets, tests/test_blocks.py tests the same."""
    probes = {"steps": [0, 3], "batch": 12, "blocks": NEW}
    graph = graph_of(family=family, norm=norm, probes=probes)
    runs = [("he", 0, 0.1), ("xavier", 1, 0.3), ("orthogonal", 0, 0.1)]
    together = probed(graph, runs)
    for i, run in enumerate(runs):
        alone = probed(graph, [run])
        for step in (0, 3):
            assert alone.scores[step].keys() == together.scores[step].keys()
            for name, values in alone.scores[step].items():
                assert together.scores[step][name][i] == values[0]


def test_a_job_logs_the_blocks_and_leaves_out_what_diverged():
    graph = graph_of(depth=3, steps=12, batch=16, schedule="constant", clip="none")
    graph |= {"task": "digits", "data": "", "norm_position": "before", "block": 1, "stages": 1}
    graph |= OF_OTHER_FAMILIES
    graph |= {"probes": {"steps": [0, 4, 12], "batch": 64, "blocks": ["accuracy", *NEW]}}
    common = {"lr_policy": "fixed", "lr_grid": [], "tuning_seeds": 0, "first_tuning_seed": 0}
    runs = [
        {"run_id": f"r{n}", "cell": f"c{n}", "init": init, "seed": n, "lr": lr, **common}
        for n, (init, lr) in enumerate([("he", 0.1), ("too_large", 0.1), ("he", 1e300)])
    ]
    cohort = {"id": "c", "split": "judged", "data_source": {"kind": "digits"}, **graph}
    logs = job.run({**cohort, "runs": runs}, device="cpu")
    for name, table in {"scores": SCORES, "layers": LAYERS, "networks": NETWORKS}.items():
        table.check(logs[name])
    scores = logs["scores"].set_index(["run_id", "step", "level"]).sort_index()
    assert set(scores["score"]) == {"noisy_accuracy"}
    assert len(scores) == 3 * 3 * 3
    curves = logs["curves"].set_index(["run_id", "step"])["test_accuracy"]
    for run in ("r0", "r1"):
        for step in (0, 4, 12):
            found = scores.loc[(run, step, 0.0), "value"]
            assert found == pytest.approx(curves[run, step], abs=1e-6)
    assert scores.loc[("r2", 12), "value"].isna().all()
    layers = logs["layers"].set_index(["run_id", "step", "layer"]).sort_index()
    probe = layers["linear_probe_accuracy"]
    assert probe.loc[["r0", "r1"], [0, 12]].between(0.2, 1).all()
    assert probe.loc[:, 4].isna().all()
    assert probe.loc["r2", 12].isna().all()
    assert layers.loc[("r1", 0), "derivative_low"].between(0, 0.2).all()
    assert layers.loc[(slice(None), [4, 12]), "derivative_middle"].isna().all()
    error = logs["networks"].set_index(["run_id", "step"])["chain_rule_error"].sort_index()
    assert error.loc[:, 0].between(0, 1e-12).all()
    assert error.loc[:, [4, 12]].isna().all()


@pytest.mark.parametrize(
    ("family", "task", "blocks"),
    [
        ("rnn", "adding", NEW),
        ("gan", "ring", NEW),
        ("cnn", "digits", ["chain_rule", "output_bins"]),
    ],
)
def test_a_family_without_a_block_refuses_it_by_name(tmp_path, family, task, blocks):
    for block in blocks:
        changes = {"family": family, "task": task, "probes": {"blocks": [block]}}
        with pytest.raises(UserError, match=f"{block} is no measure of family {family}"):
            made(tmp_path, changes)


def test_blocks_change_no_run_id_and_cost_work(tmp_path):
    training = {"train": {"steps": 20, "lr": 0.1}}
    plain = made(tmp_path, training)
    ids = {m.run_id for cohort in plain.cohorts for m in cohort.members}
    work = sum(cohort.flops for cohort in plain.cohorts)
    for block in NEW:
        other = made(tmp_path, {**training, "probes": {"blocks": [block]}})
        assert {m.run_id for cohort in other.cohorts for m in cohort.members} == ids
        more = sum(cohort.flops for cohort in other.cohorts)
        assert more > work if block != "output_bins" else more == work
