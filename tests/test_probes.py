"""What a probe says of an update, and of numbers that a format cannot hold."""

import numpy as np
import pytest
import torch
from torch import nn

from vanishing.engine import probes
from vanishing.engine.moves import nothing_moved
from vanishing.engine.network import Network
from vanishing.engine.probes import effective_depth, measure
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, advance
from vanishing.engine.training import train_stack

from .plain import Plain, weight
from .small import (
    CLASSES,
    CLOSE,
    CPU,
    DEPTH,
    INPUTS,
    LOSS,
    WIDTH,
    data_of,
    drawn,
    graph_of,
    net_of,
    normal,
)

RUNS = (["he", "xavier"], [0, 1], [0.1, 0.3])
FORMATS = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
NO_UPDATE = ("update_ratio", "total_change", "consecutive_cosine")


def stack_of(graph, runs=RUNS, frozen=0):
    net, budget, seeds = Network.of(graph, data_of().shape), Budget.of(graph), runs[1]
    samples = samples_of(data_of(), seeds, budget.steps, budget.batch, budget.probe_batch, CPU)
    return Stack.of(net, budget, samples, runs, torch.float64, frozen)


def as_now(stack):
    return {name: [t.detach().clone() for t in group] for name, group in stack.parameters.items()}


# --- updates


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("clip", ["none", "value(limit=0.001)"])
def test_an_update_is_compared_with_the_weights_before_it_and_at_the_start(family, clip):
    """And its gradient with that of the update before, as they were before clipping."""
    graph = graph_of(family=family, clip=clip, optimizer="momentum")
    stack = stack_of(graph)
    seen, last = [as_now(stack)], None
    for step in (1, 2, 3):
        last = advance(stack, step, wanted=True, earlier=last and last.gradients)
        seen.append(as_now(stack))
    found = last.moved
    for run in range(2):
        gradients = []
        for step in (2, 3):
            x, labels = stack.samples.at(stack.samples.order[step - 1])
            plain = Plain(graph, data_of(), seen[step - 1], run)
            nn.functional.cross_entropy(plain(x[run].double()), labels[run]).backward()
            gradients.append([weight(layer).grad.flatten() for layer in plain.layers])
        for layer in range(DEPTH):
            first, _, before, after = (at["W"][layer][run] for at in seen)
            cosine = nn.functional.cosine_similarity(
                gradients[0][layer], gradients[1][layer], dim=0
            )
            expected = {
                "update_ratio": (after - before).norm() / before.norm(),
                "total_change": (after - first).norm() / first.norm(),
                "consecutive_cosine": cosine,
            }
            for name, value in expected.items():
                torch.testing.assert_close(found[name][run, layer], value, **CLOSE)


def test_an_update_has_nothing_before_it_to_be_compared_with():
    stack = stack_of(graph_of())
    untrained = nothing_moved(stack.parameters)
    assert all(untrained[name].isnan().all() for name in NO_UPDATE)
    first = advance(stack, 1, wanted=True).moved
    assert first["consecutive_cosine"].isnan().all()
    torch.testing.assert_close(first["update_ratio"], first["total_change"], **CLOSE)
    assert (first["update_ratio"] > 0).all()


def test_frozen_layers_change_by_nothing():
    stack = stack_of(graph_of(), frozen=2)
    earlier = advance(stack, 1, wanted=True).gradients
    found = advance(stack, 2, wanted=True, earlier=earlier).moved
    for name in ("update_ratio", "total_change"):
        assert (found[name][:, :2] == 0).all()
        assert (found[name][:, 2:] > 0).all()
    assert (
        found["consecutive_cosine"].isnan().all(0) == torch.tensor([True, True, False, False])
    ).all()


def test_a_gradient_of_zero_has_no_cosine():
    stack = stack_of(graph_of(), (["zeros"], [0], [0.1]))
    earlier = advance(stack, 1, wanted=True).gradients
    found = advance(stack, 2, wanted=True, earlier=earlier).moved
    assert found["consecutive_cosine"].isnan().all()
    assert not found["total_change"].isfinite().any()  # nothing over nothing


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ([0.3] * 5, 5.0),
        ([0.0, 0.0, 2.0], 1.0),
        ([1e-9, 3e-9], 16 / 10),
        ([0.0, 0.0], np.nan),
        ([np.nan, 1.0], 1.0),  # it began at 0, and is there still
        ([np.inf, 1.0, 1.0], 2.0),  # it began at 0
    ],
)
def test_effective_depth_counts_the_layers_that_take_part(change, expected):
    found = effective_depth(np.array([change, change]))
    np.testing.assert_allclose(found, [expected, expected])


def test_a_training_logs_its_effective_depth_from_its_total_changes():
    graph = graph_of()
    trace = train_stack(
        Network.of(graph, data_of().shape), Budget.of(graph), data_of(), *RUNS, CPU, torch.float64
    )  # fmt: skip
    change = trace.measures[3]["total_change"]
    expected = change.sum(1) ** 2 / (change**2).sum(1)
    np.testing.assert_allclose(trace.of_network[3]["effective_depth"], expected)
    assert ((expected > 1) & (expected <= DEPTH)).all()
    assert np.isnan(trace.of_network[0]["effective_depth"]).all()


# --- formats


def test_underflow_and_subnormal_shares_are_what_a_cast_makes_of_the_gradient():
    """Inputs over 55 decades, with exact zeros, give the first layer such gradients."""
    net, graph, runs = net_of(), graph_of(), range(20)
    parameters, label = drawn(net, ["he"] * 20, runs), torch.tensor([1])
    for run in runs:  # so that no factor of 2 is left out
        parameters["W"][-1][run] *= 10 ** (-run / 5)
    x = normal(1, INPUTS) * torch.logspace(-55, 0, INPUTS, dtype=torch.float64)
    x[0, 1:4] = 0.0
    found = measure(net, parameters, {}, LOSS, x, label)
    for run in runs:
        plain = Plain(graph, data_of(), parameters, run)
        nn.functional.cross_entropy(plain(x), label).backward()
        for layer, module in enumerate(plain.layers):
            g = module.weight.grad
            assert found["grad_zero_fraction"][run, layer] == (g == 0).double().mean()
            for name, dtype in FORMATS.items():
                lost = (g != 0) & (g.to(dtype) == 0)
                below = (g != 0) & (g.abs() < torch.finfo(dtype).smallest_normal)
                assert found[f"underflow_{name}"][run, layer] == lost.double().mean()
                if f"subnormal_{name}" in probes.SUBNORMAL:
                    assert found[f"subnormal_{name}"][run, layer] == below.double().mean()
    for name in (*probes.UNDERFLOW, *probes.SUBNORMAL):
        assert ((found[name][:, 0] > 0) & (found[name][:, 0] < 1)).all()


def test_shares_are_of_a_run_and_count_both_signs():
    net = net_of(depth=1, activation="linear")
    parameters = drawn(net, ["he", "he"], [0, 0])
    parameters["W"][1][1] *= 1e-12  # the second run's signal, too small for float16 alone
    found = measure(net, parameters, {}, LOSS, normal(8, INPUTS), torch.arange(8) % CLASSES)
    assert found["underflow_fp16"][:, 0].tolist() == [0, 1]
    assert found["subnormal_fp16"][:, 0].tolist() == [0, 1]
    assert (found["underflow_bf16"] == 0).all()


def test_a_value_that_is_not_finite_is_counted_where_it_is():
    """One infinite h in the last layer; every delta is then lost, and no other h."""
    net = net_of(activation="linear")
    parameters = drawn(net, ["he", "he"], [0, 1])
    parameters["b"][DEPTH - 1][0, 0, 2] = torch.inf
    found = measure(net, parameters, {}, LOSS, normal(5, INPUTS), torch.zeros(5).long())
    expected = [0.5] * (DEPTH - 1) + [(1 + 1 / WIDTH) / 2]
    assert found["nonfinite_fraction"][0].tolist() == pytest.approx(expected)
    assert (found["nonfinite_fraction"][1] == 0).all()
