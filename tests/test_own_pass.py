"""What probes read off the training's own passes, against plain loops on the same batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from vanishing.engine import job
from vanishing.engine.initial import draw
from vanishing.engine.network import Network
from vanishing.engine.probes import doubled
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, advance
from vanishing.engine.through_time import measure_through_time
from vanishing.engine.training import train_stack
from vanishing.errors import UserError
from vanishing.study import plan
from vanishing.tables import LOGS

from . import test_recurrent as recurrent
from .plain import Plain, Trainer, weight
from .small import CPU, DEPTH, data_of, graph_of

BATTERY = {
    "family": "mlp", "task": "digits", "width": 8, "seeds": {"judged": 2},
    "factors": {"activation": ["tanh"], "init": ["he"], "depth": [2]},
    "train": {"steps": 5, "lr": 0.1, "batch": 8},
    "probes": {"batch": "training", "steps": "every"},
}  # fmt: skip
INITS, SEEDS, RATES = ["he", "xavier"], [0, 1], [0.1, 0.3]
STEPS = 4
EVERY = {"steps": list(range(STEPS + 1)), "batch": 16, "blocks": [], "own_pass": True}
CASES = {
    "mlp": {"optimizer": "momentum", "clip": "value(limit=0.001)"},
    "relu": {"activation": "relu", "norm": "layer", "residual": "identity"},
    "mlp-batch": {"norm": "batch", "optimizer": "adam"},
    "cnn": {"family": "cnn", "activation": "tanh", "optimizer": "momentum"},
    "cnn-relu": {"family": "cnn", "activation": "relu", "stages": 2},
    "cnn-leaky": {"family": "cnn", "activation": "leaky_relu", "residual": "identity"},
    "prelu": {"activation": "prelu", "norm": "layer", "norm_position": "after"},
}


def trained(graph, data, dtype=torch.float64, **budget):
    net = Network.of(graph, data.shape)
    wanted = replace(Budget.of(graph), **budget)
    return train_stack(net, wanted, data, INITS, SEEDS, RATES, CPU, dtype)


def samples(graph, data):
    return samples_of(data, SEEDS, graph["steps"], graph["batch"], graph["probes"]["batch"], CPU)


def rms(t):
    return t.square().mean().sqrt().log10()


def expected_of(plain, x, labels):
    """The measures of each layer of a plain net, from hooks on a pass of its own."""
    plain.zero_grad()
    nn.functional.cross_entropy(plain(x), labels).backward()
    deltas = [len(x) * h.grad for h in plain.h]
    g = [weight(layer).grad for layer in plain.layers]
    slopes = []
    for phi, h in zip(plain.phis, plain.h, strict=True):
        z = h.detach().requires_grad_()
        slopes.append(torch.autograd.grad(phi(z).sum(), z)[0])
    found = {
        "log10_delta_rms": [rms(delta) for delta in deltas],
        "log10_grad_rms": [rms(t) for t in g],
        "grad_mean": [t.mean() for t in g],
        "grad_sd": [t.std(correction=0) for t in g],
        "grad_zero_fraction": [(t == 0).double().mean() for t in g],
        "underflow_fp16": [((t != 0) & (t.half() == 0)).double().mean() for t in g],
        "q": [h.square().mean() for h in plain.h],
        "activation_mean": [a.mean() for a in plain.a],
        "activation_sd": [a.std(correction=0) for a in plain.a],
        "delta_zero_fraction": [(delta == 0).double().mean() for delta in deltas],
        "dead_fraction": [
            (s == 0).transpose(0, 1).flatten(1).all(1).double().mean() for s in slopes
        ],
        "nonfinite_fraction": [torch.zeros(()) for _ in g],
    }
    return {name: torch.stack(rows).detach().double().numpy() for name, rows in found.items()}


@pytest.mark.parametrize("case", CASES)
def test_measures_after_an_update_are_of_the_batch_that_the_next_one_takes(case):
    """After the last they are of the first batch, and nothing is updated."""
    graph, data = graph_of(**CASES[case], steps=STEPS, probes=EVERY), data_of()
    trace, ours = trained(graph, data), samples(graph, data)
    parameters = doubled(draw(Network.of(graph, data.shape), INITS, SEEDS))
    assert sorted(trace.measures) == list(range(STEPS + 1))
    for run, rate in enumerate(RATES):
        plain = Plain(graph, data, parameters, run).train()
        trainer = Trainer(graph, plain, rate)
        for step in range(STEPS + 1):
            x, labels = ours.at(ours.order[step % STEPS, run])
            expected = expected_of(plain, x.double(), labels)
            for name, values in expected.items():
                np.testing.assert_allclose(
                    trace.measures[step][name][run], values, rtol=1e-7, atol=1e-12, err_msg=name
                )
            if step < STEPS:
                trainer.step()


@pytest.mark.parametrize("case", ["mlp", "mlp-batch", "cnn", "cnn-leaky", "vanilla", "lstm"])
def test_a_training_that_is_looked_at_is_the_same_training(case):
    if case in CASES:
        graph, data = graph_of(**CASES[case], steps=STEPS, probes=EVERY), data_of()
    else:
        graph, data = recurrent.graph_of("every", recurrence=case), recurrent.data_of("every")
        graph |= {"steps": STEPS, "probes": {**EVERY, "batch": graph["batch"]}}
    looked_at = trained(graph, data)
    alone = trained(graph, data, own_pass=False)
    np.testing.assert_allclose(looked_at.losses, alone.losses, rtol=1e-9)
    np.testing.assert_array_equal(looked_at.train_accuracy, alone.train_accuracy)
    for step in range(STEPS + 1):
        assert looked_at.measures[step].keys() == alone.measures[step].keys()
        for name in ("update_ratio", "total_change", "consecutive_cosine"):
            found, expected = (t.measures[step][name] for t in (looked_at, alone))
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("answer", ["end", "every"])
@pytest.mark.parametrize("recurrence", ["vanilla", "leaky", "lstm", "gru", "minimal_gated"])
def test_a_recurrent_net_trains_to_the_same_bits_whether_it_is_looked_at_or_not(recurrence, answer):
    graph, data = recurrent.graph_of(answer, recurrence=recurrence), recurrent.data_of(answer)
    graph |= {"steps": STEPS, "probes": {**EVERY, "batch": graph["batch"]}}
    looked_at = trained(graph, data, torch.float32)
    alone = trained(graph, data, torch.float32, own_pass=False)
    np.testing.assert_array_equal(looked_at.losses, alone.losses)
    for name in ("total_change", "update_ratio"):
        np.testing.assert_array_equal(looked_at.measures[STEPS][name], alone.measures[STEPS][name])


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_an_mlp_trains_to_the_same_bits_whoever_looks_on(norm, optimizer):
    """Nobody, probes of their own batch, or the pass itself, in the precision of the training."""
    graph, data = graph_of(norm=norm, optimizer=optimizer, steps=STEPS, probes=EVERY), data_of()
    ends = {"probe_steps": (0, STEPS), "own_pass": False}
    looked_at = trained(graph, data, torch.float32)
    probed, alone = (trained(graph, data, torch.float32, **b) for b in ({"own_pass": False}, ends))
    for other in (probed, alone):
        np.testing.assert_array_equal(looked_at.losses, other.losses)
        for name in ("total_change", "update_ratio"):
            np.testing.assert_array_equal(
                looked_at.measures[STEPS][name], other.measures[STEPS][name]
            )


def test_only_the_steps_that_are_asked_for_are_measured():
    graph = graph_of(steps=STEPS, probes={**EVERY, "steps": [0, 2, STEPS]})
    some, every = trained(graph, data_of()), trained(graph_of(steps=STEPS, probes=EVERY), data_of())
    assert sorted(some.measures) == [0, 2, STEPS]
    for step, found in some.measures.items():
        for name, values in found.items():
            np.testing.assert_allclose(values, every.measures[step][name], rtol=1e-12)


def test_a_look_after_the_last_update_changes_no_running_statistics():
    graph, data = graph_of(norm="batch", steps=STEPS, probes=EVERY), data_of()
    looked_at, alone = trained(graph, data), trained(graph, data, own_pass=False)
    for name in ("test_accuracy", "train_accuracy"):
        found, expected = (getattr(t, name) for t in (looked_at, alone))
        np.testing.assert_equal(found, expected)


def test_values_of_float32_are_summed_in_float64():
    """Squares of gradients of 1e-30 are 0 in float32."""
    graph, data = (
        graph_of(activation="linear", steps=1, probes={**EVERY, "steps": [0, 1]}),
        data_of(),
    )
    net, budget, ours = Network.of(graph, data.shape), Budget.of(graph), samples(graph, data)
    stack = Stack.of(net, budget, ours, (INITS, SEEDS, RATES), torch.float32)
    with torch.no_grad():
        stack.parameters["W"][-1].mul_(1e-30)
    found = advance(stack, 1, looked_at=True).probed.layers
    assert all(values.dtype == torch.float64 for values in found.values())
    assert ((found["log10_grad_rms"] < -28) & (found["log10_grad_rms"] > -34)).all()
    assert (found["underflow_fp16"] == 1).all()
    assert (found["grad_sd"] > 0).all()


@pytest.mark.parametrize("recurrence", ["vanilla", "lstm"])
@pytest.mark.parametrize("answer", ["end", "every"])
def test_a_recurrent_net_is_measured_as_a_probe_of_its_batch_would(recurrence, answer):
    graph = recurrent.graph_of(answer, recurrence=recurrence, steps=STEPS)
    graph |= {"probes": {**EVERY, "batch": graph["batch"]}}
    data = recurrent.data_of(answer)
    trace, ours = trained(graph, data), samples(graph, data)
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    stack = Stack.of(net, budget, ours, (INITS, SEEDS, RATES), torch.float64)
    for step in range(STEPS + 1):
        for run in range(2):
            own = {n: [t[run : run + 1] for t in group] for n, group in stack.parameters.items()}
            x, labels = ours.at(ours.order[step % STEPS, run], torch.float64)
            expected = measure_through_time(net, own, budget.loss, x, labels)
            for name, values in expected.layers.items():
                found = trace.measures[step][name][run]
                np.testing.assert_allclose(found, values[0], rtol=1e-7, atol=1e-12, err_msg=name)
            np.testing.assert_allclose(trace.lags[step][run], expected.lags[0], atol=1e-9)
            for column, measures in expected.recurrences.items():
                for name, values in measures.items():
                    found = trace.recurrences[step][column][name][run]
                    np.testing.assert_allclose(found, values[0], rtol=1e-7)
        if step < STEPS:
            advance(stack, step + 1)


def test_trainings_of_frozen_layers_make_probes_of_their_own():
    probes = {**EVERY, "blocks": ["freeze"]}
    trace = trained(graph_of(steps=STEPS, probes=probes), data_of())
    assert all(sorted(frozen.measures) == [STEPS] for frozen in trace.frozen.values())
    assert max(trace.frozen) == DEPTH


# As a config asks for it


@pytest.fixture
def make(tmp_path):
    """Plans a study of one battery that is ``BATTERY`` but for some blocks."""

    def make(**changes):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"batteries": {"b": {**BATTERY, **changes}}}))
        return plan.make(path, tmp_path / "results")

    return make


def test_a_job_logs_every_step_of_the_trainings_own_passes(make):
    [cohort] = make().cohorts
    spec = cohort.as_json()
    assert spec["probes"] == {
        "steps": [0, 1, 2, 3, 4, 5], "batch": 8, "blocks": [], "own_pass": True,
    }  # fmt: skip
    logs = job.run(spec, device="cpu")
    for name, table in LOGS.items():
        table.check(logs[name])
    assert set(logs["layers"]["step"]) == set(range(6))
    assert logs["layers"]["q"].notna().all()
    assert (logs["runs"]["probe_batch"] == 0).all()  # none of its own


def test_a_probe_batch_of_its_own_is_another_run(make):
    [own_pass], [own_batch] = (
        make(**changes).cohorts for changes in ({}, {"probes": {"batch": 8, "steps": "every"}})
    )
    assert own_batch.as_json()["probes"] == {"steps": list(range(6)), "batch": 8, "blocks": []}
    assert own_pass.id != own_batch.id
    assert not {m.run_id for m in own_pass.members} & {m.run_id for m in own_batch.members}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"steps": 0}}, "probes.batch: training has no sense with train.steps: 0"),
        ({"probes": {"batch": "trainng"}}, "training"),
        ({"probes": {"batch": 0}}, "greater than or equal to 1"),
        ({"probes": {"steps": "always"}}, "every"),
    ],
    ids=["init", "typo", "zero", "steps"],
)  # fmt: skip
def test_what_has_no_pass_to_look_at_is_refused(make, changes, message):
    with pytest.raises(UserError, match=message):
        make(**changes)
