"""Accuracies of a stack: in whatever parts a split goes through the net, and whatever is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vanishing.engine import evaluation
from vanishing.engine.forward import forward
from vanishing.engine.initial import draw, initial_buffers
from vanishing.engine.network import Network
from vanishing.engine.samples import samples_of
from vanishing.parts.losses import LOSSES

from .test_recurrent import ANSWERS, CPU, INIT, data_of, graph_of

RUNS = 3


def stack_of(answer, runs=RUNS, **settings):
    graph, data = graph_of(answer, **settings), data_of(answer)
    net = Network.of(graph, data.shape)
    parameters = draw(net, [INIT] * runs, list(range(runs)))
    samples = samples_of(data, list(range(runs)), 0, 1, 1, CPU)
    return (net, parameters, initial_buffers(net, parameters), LOSSES[graph["loss"]], samples)


def by_hand(net, parameters, buffers, loss, samples, split):
    """The share that is right of all samples in one pass that keeps all its values."""
    x, labels = samples.at(getattr(samples, split))
    outputs, _, _ = forward(net, parameters, x, buffers, learning=False)
    return loss.right(outputs, labels).double().mean(1).numpy()


@pytest.mark.parametrize("part", [1, 3, 1000])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("recurrence", ["vanilla", "lstm", "minimal_gated"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_the_parts_of_a_split_do_not_change_its_accuracy(
    monkeypatch, answer, recurrence, split, part
):
    stack = stack_of(answer, recurrence=recurrence)
    steps, width = stack[0].architecture.sequence[0], stack[0].architecture.width
    monkeypatch.setattr(evaluation, "BATCH", part * steps)
    monkeypatch.setattr(evaluation, "RECURRENT_BYTES", 4 * steps * width * part)
    found = evaluation.accuracy(*stack, split)
    np.testing.assert_allclose(found, by_hand(*stack, split), atol=1e-12)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("part", [1, 2, 3])
def test_an_accuracy_has_the_same_bits_in_a_stack_of_any_size(monkeypatch, part, split):
    net, parameters, buffers, loss, samples = stack_of("every", 5)
    steps, width = net.architecture.sequence[0], net.architecture.width
    monkeypatch.setattr(evaluation, "BATCH", 1)
    monkeypatch.setattr(evaluation, "RECURRENT_BYTES", 4 * steps * width * part)
    together = evaluation.accuracy(net, parameters, buffers, loss, samples, split)
    for run in range(5):
        own = {name: [t[run : run + 1] for t in group] for name, group in parameters.items()}
        indices = getattr(samples, split)[run : run + 1]
        alone = replace(samples, **{split: indices})
        found = evaluation.accuracy(net, own, buffers, loss, alone, split)
        np.testing.assert_array_equal(found, together[run : run + 1])


@pytest.mark.parametrize("recurrence", ["vanilla", "gru"])
def test_an_evaluation_asks_for_no_gradient(monkeypatch, recurrence):
    passes = []

    def watched(*given, **named):
        found = forward(*given, **named)
        passes.append((named["values"], found[0].requires_grad))
        return found

    monkeypatch.setattr(evaluation, "forward", watched)
    stack = stack_of("end", recurrence=recurrence)
    for group in stack[1].values():
        for tensor in group:
            tensor.requires_grad_()
    evaluation.accuracy(*stack, "test")
    assert passes == [(False, False)]


def test_scores_come_from_every_sample_of_the_test_split_once(monkeypatch):
    stack = stack_of("end")
    monkeypatch.setattr(evaluation, "BATCH", 1)
    monkeypatch.setattr(evaluation, "RECURRENT_BYTES", 1)
    parts = list(evaluation._answers(*stack[:3], stack[4], "test"))
    assert all(len(indices[0]) == 1 for indices, _, _ in parts)
    indices = torch.cat([indices for indices, _, _ in parts], dim=1)
    assert torch.equal(indices, stack[4].test)
