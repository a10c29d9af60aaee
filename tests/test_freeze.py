"""Layers set back after training, and trainings with frozen layers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from vanishing.engine.blocks import frozen_layers
from vanishing.engine.evaluation import accuracy
from vanishing.engine.forward import forward
from vanishing.engine.initial import draw, initial_buffers
from vanishing.engine.layer_reset import reset_accuracy
from vanishing.engine.network import Network
from vanishing.engine.probes import doubled
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, advance, copied
from vanishing.engine.training import train_stack

from .small import CLASSES, CPU, DEPTH, LOSS, WIDTH, data_of, drawn, graph_of


@pytest.mark.parametrize("norm", ["none", "batch", "spectral"])
def test_reset_accuracy_equals_a_net_whose_layer_is_drawn_anew(norm):
    graph = graph_of(norm=norm, activation="prelu", optimizer="adam", steps=60, depth=3)
    net, data = Network.of(graph, data_of().shape), data_of()
    stack = trained(net, Budget.of(graph), data, [("he", 0, 0.02), ("xavier", 1, 0.02)])
    found = reset_accuracy(net, stack.parameters, stack.initial, stack.buffers, LOSS, stack.samples)
    fresh = draw(net, ["he", "xavier"], [0, 1])
    for layer in range(3):
        mixed = copied(stack.parameters)
        for name, tensors in mixed.items():
            tensors[layer] = fresh[name][layer].double()
        buffers = {name: list(t) for name, t in stack.buffers.items()}
        if norm == "spectral":
            buffers["top"][layer] = initial_buffers(net, doubled(fresh))["top"][layer]
        expected = accuracy(net, mixed, buffers, LOSS, stack.samples, "train")
        np.testing.assert_allclose(found[:, layer], expected)
    whole = accuracy(*stack.network, LOSS, stack.samples, "train")
    assert (found.numpy() < whole[:, None]).any()


def trained(net, budget, data, runs, dtype=torch.float64):
    inits, seeds, rates = map(list, zip(*runs, strict=True))
    samples = samples_of(data, seeds, budget.steps, budget.batch, budget.probe_batch, CPU)
    stack = Stack.of(net, budget, samples, (inits, seeds, rates), dtype)
    for step in range(1, budget.steps + 1):
        advance(stack, step)
    return stack


def test_a_layer_that_never_moved_can_be_set_back_for_free():
    graph = graph_of(steps=5)
    stack = trained(
        Network.of(graph, data_of().shape), Budget.of(graph), data_of(), [("he", 0, 0.0)]
    )
    found = reset_accuracy(*stack.network[:2], stack.initial, stack.buffers, LOSS, stack.samples)
    assert (found.numpy() == accuracy(*stack.network, LOSS, stack.samples, "train")).all()


def test_a_diverged_run_has_no_reset_accuracy():
    graph = graph_of(steps=5, activation="relu")
    runs = [("he", 0, 1e30), ("he", 0, 0.01)]
    stack = trained(
        Network.of(graph, data_of().shape), Budget.of(graph), data_of(), runs, torch.float32
    )
    found = reset_accuracy(*stack.network[:2], stack.initial, stack.buffers, LOSS, stack.samples)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7, 20])
def test_a_freeze_curve_ends_with_all_layers_frozen_and_never_repeats_the_run_itself(depth):
    found = frozen_layers(depth)
    assert found == sorted(set(found))
    assert found[0] >= 1
    assert found[-1] == depth
    assert len(found) == min(depth, 4)


@pytest.mark.parametrize("residual", ["none", "highway", "skip_init"])
@pytest.mark.parametrize("frozen", [0, 2, DEPTH])
def test_frozen_layers_stay_as_they_were_drawn_and_the_others_learn(residual, frozen):
    graph = graph_of(norm="layer", residual=residual, optimizer="adamw")
    net, budget = Network.of(graph, data_of().shape), Budget.of(graph)
    samples = samples_of(data_of(), [0], budget.steps, budget.batch, budget.probe_batch, CPU)
    stack = Stack.of(net, budget, samples, (["he"], [0], [0.01]), torch.float64, frozen)
    for step in range(1, budget.steps + 1):
        advance(stack, step)
    fresh = draw(net, ["he"], [0])
    for name, tensors in stack.parameters.items():
        of_blocks = name in ("skip", "W_gate", "b_gate")
        ends = net.block_ends if of_blocks else range(1, len(tensors) + 1)
        for layer, tensor, first in zip(ends, tensors, fresh[name], strict=True):
            assert torch.equal(tensor, first.double()) == (layer <= frozen), (name, layer)


def test_with_every_layer_frozen_the_head_learns_as_a_linear_model():
    graph = graph_of(steps=4)
    net, budget = Network.of(graph, data_of().shape), Budget.of(graph)
    trace = train_stack(
        net, budget, data_of(), ["he"], [0], [0.3], CPU, torch.float64, frozen=DEPTH
    )  # fmt: skip
    samples = samples_of(data_of(), [0], 4, budget.batch, budget.probe_batch, CPU)
    parameters = drawn(net, ["he"], [0])
    head = nn.Linear(WIDTH, CLASSES).double()
    head.weight.data, head.bias.data = parameters["W"][-1][0].T.clone(), parameters["b"][-1][0, 0]
    optimizer = torch.optim.SGD(head.parameters(), 0.3)
    for step in range(4):
        x, labels = samples.at(samples.order[step])
        _, _, a = forward(net, parameters, x.double())
        loss = nn.functional.cross_entropy(head(a[-1][0]), labels[0])
        assert trace.losses[step, 0] == pytest.approx(loss.item(), rel=1e-9)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (trace.measures[3]["update_ratio"] == 0).all()


def test_every_frozen_training_is_that_training_alone():
    graph = graph_of(probes={"steps": [0, 3], "batch": 12, "blocks": ["freeze"]})
    net, budget, data = Network.of(graph, data_of().shape), Budget.of(graph), data_of()
    runs = ["he", "xavier"], [0, 1], [0.1, 0.2]
    trace = train_stack(net, budget, data, *runs, CPU, torch.float64)
    assert list(trace.frozen) == frozen_layers(DEPTH)
    for frozen, found in trace.frozen.items():
        plain = replace(budget, blocks=())
        alone = train_stack(net, plain, data, *runs, CPU, torch.float64, frozen)
        np.testing.assert_array_equal(found.losses, alone.losses)
        np.testing.assert_array_equal(found.train_accuracy, alone.train_accuracy)
    unfrozen = train_stack(net, replace(budget, blocks=()), data, *runs, CPU, torch.float64, 0)
    np.testing.assert_array_equal(trace.losses, unfrozen.losses)
