"""Recurrent nets against torch.nn.RNN, LSTM and GRU, torch.optim and loops by hand, in float64."""

import numpy as np
import pytest
import torch

from vanishing.engine.forward import forward
from vanishing.engine.initial import draw
from vanishing.engine.network import Network
from vanishing.engine.probes import doubled
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, advance
from vanishing.engine.through_time import measure_through_time
from vanishing.engine.training import train_stack
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.data import UNASKED, Data
from vanishing.parts.losses import LOSSES

from .plain_parts import CLIPS, OPTIMIZERS, made
from .plain_recurrent import MODULES, Fused, Loop, last_alone, loss_of

STEPS, WIDTH, BATCH, SAMPLES, CPU = 7, 6, 5, 40, torch.device("cpu")
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
CELLS = ["vanilla", "lstm", "lstm(forget_bias=-0.5)", "gru", "minimal_gated", "leaky(alpha=0.3)",
         "skip(steps=3)"]  # fmt: skip
ANSWERS, INPUTS = ["end", "every", "values"], ["tokens", "numbers"]
GRAPH = {
    "family": "rnn", "activation": "tanh", "norm": "none", "residual": "none", "depth": 2,
    "width": WIDTH, "recurrence": "vanilla", "loss": "cross_entropy", "optimizer": "sgd",
    "steps": 4, "batch": BATCH, "probes": {"steps": [0, 4], "batch": BATCH},
}  # fmt: skip
# Biases are not 0.
INIT, SEED = "gaussian(sigma_w=1.3, sigma_b=0.5)", 3


def data_of(answer="end", inputs="numbers"):
    """Sequences without structure; where answers are asked at steps, at some, and not the last."""
    generator = np.random.default_rng(0)
    sequence, vocabulary = (STEPS, 3), 0
    x = generator.normal(size=(SAMPLES, STEPS * 3)).astype(np.float32)
    if inputs == "tokens":
        sequence, vocabulary = (STEPS, 4), 4
        x = generator.integers(0, 4, (SAMPLES, STEPS))
    labels = generator.integers(0, 3, (SAMPLES, STEPS))
    if answer == "values":
        labels = generator.normal(size=(SAMPLES, 2)).astype(np.float32)
    elif answer == "end":
        labels = labels[:, 0]
    else:
        labels[generator.random(labels.shape) < 0.5] = UNASKED
        labels[np.arange(SAMPLES), generator.integers(2, STEPS, SAMPLES)] = 1
    return Data(x, labels, sequence=sequence, vocabulary=vocabulary)


def graph_of(answer="end", **settings):
    loss = "squared_error" if answer == "values" else "cross_entropy"
    return {**GRAPH, "loss": loss, **settings}


def drawn(net, inits=(INIT,), seeds=(SEED,)):
    return doubled(draw(net, list(inits), list(seeds)))


def batch_of(data):
    """Inputs and labels (batch, ...) of the first samples."""
    samples = samples_of(data, [0], 0, 1, BATCH, CPU)
    return samples.at(torch.arange(BATCH), torch.float64)


def plains(graph, data, parameters, run=0):
    """Every plain net that there is of a graph: a loop, and torch's own module where it has one."""
    name = graph["recurrence"].partition("(")[0]
    more = (data.shape.sequence, parameters, run, data.every_step)
    plain = graph.get("truncation", 0) == 0 and graph["norm"] == "none"
    in_torch = plain and name in MODULES and graph["activation"] in ("tanh", "relu")
    if in_torch and name != "vanilla":
        in_torch = graph["activation"] == "tanh"
    return [Loop(graph, *more), *([Fused(graph, *more)] if in_torch else [])]


def assert_same(found, expected, run=0, **tolerance):
    assert set(found) == set(expected)
    for name, tensors in expected.items():
        for mine, theirs in zip(found[name], tensors, strict=True):
            torch.testing.assert_close(mine[run], theirs, **{**CLOSE, **tolerance})


def log_rms(values):
    return torch.stack(values).square().mean().sqrt().log10()


def plain_lags(plain, x, labels):
    """log10 rms of dL/dh_t by lag, of the last answer alone, (depth, steps); NaN where 0."""
    loss_of(plain(x), last_alone(labels)).sum().backward()
    rows = [[z.grad if z.grad is not None else torch.zeros_like(z) for z in h] for h in plain.h]
    found = torch.stack([torch.stack([log_rms([d]) for d in row]) for row in rows]).flip(1)
    return torch.where(found.isfinite(), found, torch.nan)


# Against plain nets


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("recurrence", CELLS)
def test_logits_losses_gradients_and_lags_equal_plain_nets(recurrence, answer, inputs, depth):
    graph, data = graph_of(answer, recurrence=recurrence, depth=depth), data_of(answer, inputs)
    net, loss = Network.of(graph, data.shape), LOSSES[graph["loss"]]
    parameters, (x, labels) = drawn(net), batch_of(data)
    found_in_probe = measure_through_time(net, parameters, loss, x, labels)
    lags, layers = found_in_probe.lags, found_in_probe.layers
    tensors = [t.requires_grad_() for group in parameters.values() for t in group]
    logits, h, _ = forward(net, parameters, x[None])
    losses = loss.per_sample(logits, labels[None])
    gradients = iter(torch.autograd.grad(losses.sum(), tensors))
    found = {name: [next(gradients) for _ in group] for name, group in parameters.items()}
    for plain in plains(graph, data, parameters):
        expected = plain(x)
        torch.testing.assert_close(logits[0], expected, **CLOSE)
        torch.testing.assert_close(losses[0], loss_of(expected, labels), **CLOSE)
        loss_of(expected, labels).sum().backward()
        assert_same(found, plain.as_engine(lambda p: p.grad))
    [loop, *_] = plains(graph, data, parameters)
    loss_of(loop(x), labels).sum().backward()
    g = loop.as_engine(lambda p: p.grad)["W"][:depth]
    for name, values in {
        "log10_delta_rms": [log_rms([z.grad for z in steps]) for steps in loop.h],
        "q": [torch.stack(steps).square().mean() for steps in loop.h],
        "log10_grad_rms": [log_rms([w / BATCH]) for w in g],
        "grad_mean": [w.mean() / BATCH for w in g],
        "delta_zero_fraction": [
            (torch.stack([z.grad for z in steps]) == 0).double().mean() for steps in loop.h
        ],
    }.items():  # fmt: skip
        torch.testing.assert_close(layers[name][0], torch.stack(values).detach(), **CLOSE)
    for mine, theirs in zip(h, loop.h, strict=True):
        torch.testing.assert_close(torch.stack(mine)[:, 0], torch.stack(theirs), **CLOSE)
    [fresh, *_] = plains(graph, data, parameters)
    expected = plain_lags(fresh, x, labels)
    torch.testing.assert_close(lags[0], expected, equal_nan=True, **CLOSE)
    assert lags.isfinite().any()


@pytest.mark.parametrize("clip", ["none", "norm(limit=0.2)", "value(limit=0.02)"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("recurrence", "answer", "inputs", "depth", "settings"),
    [
        ("vanilla", "end", "numbers", 3, {"activation": "relu"}),
        ("vanilla", "every", "tokens", 2, {"truncation": 3}),
        ("lstm", "every", "tokens", 2, {}),
        ("lstm", "end", "numbers", 2, {"norm": "layer"}),
        ("gru", "values", "numbers", 2, {}),
        ("gru", "every", "tokens", 1, {"norm": "layer", "activation": "relu"}),
        ("minimal_gated", "end", "tokens", 2, {"norm": "layer", "truncation": 2}),
        ("leaky(alpha=0.3)", "values", "numbers", 1, {"activation": "prelu"}),
        ("skip(steps=3)", "every", "numbers", 3, {"norm": "layer"}),
    ],
)
def test_updates_equal_those_of_torch_optim(
    recurrence, answer, inputs, depth, settings, optimizer, clip
):
    graph = graph_of(
        answer, recurrence=recurrence, depth=depth, optimizer=optimizer, clip=clip, **settings
    )
    data, seeds, rates = data_of(answer, inputs), [SEED, 4], [0.05, 0.02]
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    samples = samples_of(data, seeds, graph["steps"], BATCH, BATCH, CPU)
    stack = Stack.of(net, budget, samples, ([INIT] * 2, seeds, rates), torch.float64)
    pairs = []
    for run, rate in enumerate(rates):
        for plain in plains(graph, data, stack.initial, run):
            pairs.append((run, plain, made(OPTIMIZERS, optimizer, plain.learning(), rate)))
    for step in range(1, graph["steps"] + 1):
        update = advance(stack, step, wanted=True)
        for run, plain, descent in pairs:
            x, labels = samples.at(samples.order[step - 1, run], torch.float64)
            loss = loss_of(plain(x), labels).mean()
            torch.testing.assert_close(update.losses[run], loss.detach(), **CLOSE)
            descent.zero_grad()
            loss.backward()
            made(CLIPS, clip, plain.learning())
            descent.step()
            # Adam divides a gradient by its own size: rounding shows more than in a gradient.
            assert_same(stack.parameters, plain.as_engine(lambda p: p.data), run, atol=1e-8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_in_a_vanilla_net_equals_a_loop(activation):
    graph, data = graph_of(activation=activation), data_of()
    net, loss, (x, labels) = (
        Network.of(graph, data.shape),
        LOSSES["cross_entropy"],
        batch_of(data),
    )
    parameters = drawn(net)
    lags = measure_through_time(net, parameters, loss, x, labels).lags
    tensors = [t.requires_grad_() for group in parameters.values() for t in group]
    logits, _, _ = forward(net, parameters, x[None])
    gradients = iter(torch.autograd.grad(loss.per_sample(logits, labels[None]).sum(), tensors))
    found = {name: [next(gradients) for _ in group] for name, group in parameters.items()}
    for plain in plains(graph, data, parameters):
        torch.testing.assert_close(logits[0], plain(x), **CLOSE)
        loss_of(plain(x), labels).sum().backward()
        assert_same(found, plain.as_engine(lambda p: p.grad))
    [loop, *_] = plains(graph, data, parameters)
    torch.testing.assert_close(lags[0], plain_lags(loop, x, labels), equal_nan=True, **CLOSE)


@pytest.mark.parametrize("recurrence", CELLS)
def test_layer_norm_is_taken_over_each_gate_and_the_candidate_apart(recurrence):
    graph, data = graph_of("every", recurrence=recurrence, norm="layer"), data_of("every")
    net, (x, _) = Network.of(graph, data.shape), batch_of(data)
    parameters = drawn(net)
    for name in ("gain", "bias"):  # any values, unlike those that they start at
        for t in parameters[name]:
            t += torch.randn(t.shape, generator=torch.Generator().manual_seed(0)).double() / 3
    logits, h, _ = forward(net, parameters, x[None])
    loop = Loop(graph, data.sequence, parameters, every_step=True)
    for n, layer in enumerate(loop.layers):
        for norm, gain in zip(layer.norms, parameters["gain"][n][0, 0].split(WIDTH), strict=True):
            norm.weight.data = gain.clone()
    torch.testing.assert_close(logits[0], loop(x), **CLOSE)
    torch.testing.assert_close(torch.stack(h[1])[:, 0], torch.stack(loop.h[1]), **CLOSE)


# Truncation


@pytest.mark.parametrize("stretch", [1, 2, 3, 5])
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("recurrence", CELLS)
def test_truncation_cuts_gradients_and_no_values(recurrence, answer, stretch):
    data, (x, labels) = data_of(answer), batch_of(data_of(answer))
    graph = graph_of(answer, recurrence=recurrence, truncation=stretch)
    net, loss = Network.of(graph, data.shape), LOSSES[graph["loss"]]
    whole = Network.of({**graph, "truncation": 0}, data.shape)
    parameters = drawn(net)
    cut, uncut = (forward(each, parameters, x[None]) for each in (net, whole))
    assert torch.equal(cut[0], uncut[0])
    for mine, theirs in zip(cut[1] + cut[2], uncut[1] + uncut[2], strict=True):
        assert torch.equal(torch.stack(mine), torch.stack(theirs))
    [loop] = plains(graph, data, parameters)
    lags = measure_through_time(net, parameters, loss, x, labels).lags
    torch.testing.assert_close(lags[0], plain_lags(loop, x, labels), equal_nan=True, **CLOSE)
    if answer != "every":
        assert lags[0, :, :stretch].isfinite().all()
        assert lags[0, :, stretch:].isnan().all()


def test_layers_of_a_truncated_net_are_measured_over_all_its_steps():
    data, (x, labels) = data_of(), batch_of(data_of())
    graph = graph_of(truncation=2)
    net = Network.of(graph, data.shape)
    parameters = drawn(net)
    found = measure_through_time(net, parameters, LOSSES["cross_entropy"], x, labels).layers
    [loop] = plains(graph, data, parameters)
    loss_of(loop(x), labels).sum().backward()
    deltas = [[torch.zeros_like(z) if z.grad is None else z.grad for z in h] for h in loop.h]
    expected = torch.stack([log_rms(layer) for layer in deltas])
    torch.testing.assert_close(found["log10_delta_rms"][0], expected, **CLOSE)
    assert found["delta_zero_fraction"][0].tolist() == [(STEPS - 2) / STEPS] * 2


# Stacks


@pytest.mark.parametrize(
    ("recurrence", "settings"),
    [
        ("vanilla", {"optimizer": "adam", "clip": "norm(limit=0.1)"}),
        ("lstm", {"norm": "layer", "activation": "prelu"}),
        ("gru", {"truncation": 3}),
        ("minimal_gated", {}),
        ("leaky", {}),
        ("skip(steps=2)", {}),
    ],
)
def test_a_stack_of_inits_and_seeds_equals_its_runs_trained_alone(recurrence, settings):
    graph, data = graph_of("every", recurrence=recurrence, **settings), data_of("every", "tokens")
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    runs = [("orthogonal", "identity", INIT), (1, 1, 5), (0.1, 0.2, 0.05)]
    together = train_stack(net, budget, data, *map(list, runs), CPU, torch.float64)
    for i, (init, seed, rate) in enumerate(zip(*runs, strict=True)):
        alone = train_stack(net, budget, data, [init], [seed], [rate], CPU, torch.float64)
        np.testing.assert_allclose(together.losses[:, i], alone.losses[:, 0], **CLOSE)
        for step in budget.probe_steps:
            np.testing.assert_allclose(together.lags[step][i], alone.lags[step][0], **CLOSE)
            assert together.test_accuracy[step][i] == alone.test_accuracy[step][0]
            for name, values in alone.measures[step].items():
                found = together.measures[step][name][i]
                np.testing.assert_allclose(found, values[0], rtol=1e-8, atol=1e-9, err_msg=name)
            for column, measures in alone.recurrences[step].items():
                for name, values in measures.items():
                    found = together.recurrences[step][column][name][i]
                    np.testing.assert_allclose(found, values[0], rtol=1e-7, atol=1e-9)
    assert len({together.losses[0, i] for i in range(3)}) == 3
