"""A run and all that is told of it, alone and in a stack: the same, to the last bit."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from vanishing.engine.network import Network
from vanishing.engine.stack import Budget
from vanishing.engine.training import train_stack

from . import test_recurrent as recurrent
from .small import CPU, data_of, graph_of

STEPS = 4
RUNS = ["he", "xavier", "he"], [0, 1, 2], [0.1, np.inf, 0.01]  # of which one diverges
CASES = {
    "descent": {"activation": "relu", "depth": 19},
    "adam": {"optimizer": "adam", "norm": "layer", "residual": "identity", "depth": 19},
    "convolutions": {"family": "cnn", "activation": "relu", "optimizer": "momentum", "depth": 9},
    "kept values": {"family": "cnn", "activation": "tanh", "depth": 9},
    "one answer": {"recurrence": "vanilla", "answer": "end"},
    "every answer": {"recurrence": "vanilla", "answer": "every", "optimizer": "adam"},
    "gates, one answer": {"recurrence": "lstm", "answer": "end"},
    "gates, every answer": {"recurrence": "gru", "answer": "every"},
}


def long(data):
    """Three times as many time steps: the order in which so many are added up shows."""
    (steps, features), every = data.sequence, data.labels.ndim == 2
    labels = np.tile(data.labels, 3) if every else data.labels
    inputs = np.tile(data.inputs, 3)
    return replace(data, inputs=inputs, labels=labels, sequence=(3 * steps, features))


def trained(case, own_pass, runs):
    """The trace of the training of some runs, every update of which is looked at."""
    settings = CASES[case] | {"steps": STEPS}
    probes = {"steps": list(range(STEPS + 1)), "blocks": [], "own_pass": own_pass}
    if answer := settings.pop("answer", None):
        graph, data = recurrent.graph_of(answer, **settings), long(recurrent.data_of(answer))
    else:
        graph, data = graph_of(**settings), data_of()
    graph["probes"] = probes | {"batch": graph["batch"]}
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    return train_stack(net, budget, data, *(of[runs] for of in RUNS), CPU, torch.float32)


def of_run(values, run):
    """What a trace holds of one run."""
    if isinstance(values, dict):
        return {name: of_run(of, run) for name, of in values.items()}
    return None if values is None else values[run]


@pytest.mark.parametrize("own_pass", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_a_run_alone_has_the_bits_that_it_has_in_a_stack(case, own_pass):
    together = trained(case, own_pass, slice(None))
    for run in range(len(RUNS[0])):
        alone = trained(case, own_pass, slice(run, run + 1))
        np.testing.assert_equal(together.losses[:, run], alone.losses[:, 0])
        for name in {field.name for field in fields(alone)} - {"losses"}:
            found, expected = (getattr(trace, name) for trace in (together, alone))
            np.testing.assert_equal(of_run(found, run), of_run(expected, 0), err_msg=name)
