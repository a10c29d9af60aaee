"""The stacked engine: probes, whole trainings, draws and samples, against plain torch.nn."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from vanishing.engine.forward import forward
from vanishing.engine.initial import draw, generator_of, initial_buffers, scale_to_unit_variance
from vanishing.engine.network import Network
from vanishing.engine.probes import measure
from vanishing.engine.samples import samples_of, survivals
from vanishing.engine.stack import Budget
from vanishing.engine.training import train_stack
from vanishing.parts.losses import LOSSES
from vanishing.parts.norms import NORMS
from vanishing.parts.tasks import Data

from .plain import Plain, Trainer, weight

DEPTH, INPUTS, CLASSES, BATCH, IMAGE = 4, 6, 3, 16, (2, 6, 7)
CPU = torch.device("cpu")
GRAPH = {
    "family": "mlp", "activation": "tanh", "norm": "none", "residual": "none", "depth": DEPTH,
    "width": 12, "optimizer": "sgd", "loss": "cross_entropy", "steps": 12, "batch": BATCH,
    "probes": {"steps": [0, 12], "batch": 32},
}  # fmt: skip
CNN = {"family": "cnn", "width": 4}
RESIDUAL_CNN = {
    **CNN, "depth": 6, "norm": "batch", "residual": "pre_activation", "block": 2, "stages": 2,
    "padding": "circular",
}  # fmt: skip


def random_data(graph=GRAPH, samples=200):
    generator, image = np.random.default_rng(0), IMAGE if graph["family"] == "cnn" else None
    labels = generator.integers(0, CLASSES, samples)
    inputs = generator.normal(size=(samples, np.prod(image) if image else INPUTS))
    return Data(inputs.astype(np.float32), labels, image)


def net_of(**settings):
    graph = {**GRAPH, **settings}
    return Network.of(graph, random_data(graph).shape)


def samples(graph, seeds):
    probed = graph["probes"]["batch"]
    return samples_of(random_data(graph), seeds, graph["steps"], graph["batch"], probed, CPU)


def exact(parameters):
    return {k: [t.double().requires_grad_() for t in v] for k, v in parameters.items()}


def trained(graph, inits, seeds, rates):
    net, budget, data = net_of(**graph), Budget.of(graph), random_data(graph)
    return train_stack(net, budget, data, inits, seeds, rates, CPU, torch.float64)


def rms(t):
    return t.square().mean().sqrt().log10()


@pytest.mark.parametrize(
    "settings",
    [
        *({"activation": a, "norm": n} for a, n in itertools.product(
            ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "gelu"], ["none", "batch", "layer"]
        )),
        RESIDUAL_CNN,
        {**RESIDUAL_CNN, "activation": "prelu", "norm": "spectral", "residual": "highway"},
        {**CNN, "activation": "relu"},
    ],
    ids=lambda s: "-".join(str(value) for value in s.values()),
)  # fmt: skip
def test_probes_equal_autograd_through_a_plain_module(settings):
    graph = {**GRAPH, **settings}
    net, data, loss = net_of(**graph), random_data(graph), LOSSES["cross_entropy"]
    parameters = draw(net, ["he", "xavier"], [3, 4])
    x, labels = torch.from_numpy(data.inputs[:BATCH]), torch.arange(BATCH) % CLASSES
    buffers = initial_buffers(net, exact(parameters))
    found = measure(net, parameters, buffers, loss, x, labels)
    for run in range(2):
        # Batch norm is probed with the batch's own statistics, spectral norm with its vectors as
        # they are: they have converged on the drawn weights.
        plain = Plain(graph, data, exact(parameters), run)
        for u, top in zip(plain.top, buffers.get("top", []), strict=True):
            u.copy_(top[run, :, 0])
        plain.train(graph["norm"] == "batch")
        nn.functional.cross_entropy(plain(x.double()), labels, reduction="sum").backward()
        deltas = [h.grad for h in plain.h]
        g = [weight(layer).grad / BATCH for layer in plain.layers]
        expected = {
            "log10_delta_rms": [rms(delta) for delta in deltas],
            "log10_grad_rms": [rms(t) for t in g],
            "grad_mean": [t.mean() for t in g],
            "grad_sd": [t.std(correction=0) for t in g],
            "q": [h.square().mean() for h in plain.h],
            "activation_mean": [a.mean() for a in plain.a],
            "activation_sd": [a.std(correction=0) for a in plain.a],
            "delta_zero_fraction": [(delta == 0).double().mean() for delta in deltas],
        }
        for name, values in expected.items():
            torch.testing.assert_close(
                found[name][run], torch.stack(values).detach(), rtol=1e-8, atol=1e-14
            )


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "relu", "norm": "batch", "residual": "identity", "optimizer": "momentum"},
        {"activation": "gelu", "norm": "layer", "residual": "highway", "block": 2,
         "optimizer": "adam", "schedule": "cosine(warmup=0.3)", "clip": "norm(limit=0.5)"},
        {**RESIDUAL_CNN, "activation": "relu", "optimizer": "momentum"},
        {**CNN, "optimizer": "nesterov", "schedule": "warmup", "clip": "value(limit=0.05)"},
    ],
    ids=["mlp-identity", "mlp-highway", "cnn-pre_activation", "cnn-plain"],
)  # fmt: skip
def test_a_whole_training_equals_the_plain_loop(settings):
    """Split, order, schedule, clip and all: the losses of 12 updates, run by run, within 1e-9."""
    graph = {**GRAPH, **settings}
    seeds, inits, rates = [0, 0, 5], ["he", "xavier", "he"], [0.05, 0.02, 0.1]
    trace, ours, data = (
        trained(graph, inits, seeds, rates),
        samples(graph, seeds),
        random_data(graph),
    )
    parameters = exact(draw(net_of(**graph), inits, seeds))
    for run, rate in enumerate(rates):
        plain = Plain(graph, data, parameters, run)
        trainer = Trainer(graph, plain, rate)
        for step in range(graph["steps"]):
            x, labels = ours.at(ours.order[step, run])
            plain.zero_grad()
            loss = nn.functional.cross_entropy(plain(x.double()), labels)
            loss.backward()
            assert trace.losses[step, run] == pytest.approx(loss.item(), rel=1e-9)
            trainer.step()
        plain.eval()
        x, labels = ours.at(ours.test[run])
        right = (plain(x.double()).argmax(-1) == labels).double().mean().item()
        assert trace.test_accuracy[graph["steps"]][run] == right


@pytest.mark.parametrize(
    "settings",
    [{"norm": "none"}, {"norm": "batch"}, {"norm": "layer"}, RESIDUAL_CNN,
     {**CNN, "norm": "spectral", "residual": "stochastic_depth"}],
    ids=lambda s: "-".join(str(value) for value in s.values()),
)  # fmt: skip
def test_a_stack_equals_its_runs_trained_alone(settings):
    """To the last bits: a grouped convolution may add up in another order than a single one."""
    graph = {**GRAPH, "optimizer": "adam", "probes": {"steps": [0, 4, 12], "batch": 32}, **settings}
    runs = [("he", 0, 0.01), ("orthogonal", 0, 0.03), ("lsuv", 7, 0.003)]
    together = trained(graph, *map(list, zip(*runs, strict=True)))
    for run, (init, seed, rate) in enumerate(runs):
        trace = trained(graph, [init], [seed], [rate])
        np.testing.assert_allclose(together.losses[:, run], trace.losses[:, 0], rtol=1e-9)
        for step, measures in trace.measures.items():
            for name, values in measures.items():
                np.testing.assert_allclose(
                    together.measures[step][name][run], values[0], rtol=1e-6, atol=1e-9
                )


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("norm", [n for n in NORMS if n != "spectral"])
@pytest.mark.parametrize("residual", ["none", "pre_activation", "dense"])
def test_lsuv_gives_every_layer_variance_1_on_the_samples_that_it_saw(family, norm, residual):
    """But under a spectral norm, which no scale of the weights can change."""
    if family not in NORMS[norm].families:
        pytest.skip(f"{norm} is not for {family}")
    graph = {**GRAPH, "family": family, "norm": norm, "residual": residual, "activation": "relu"}
    graph["width"] = {"mlp": 12, "cnn": 8}[family]
    net, inits = net_of(**graph), ["he", "lsuv", "lsuv"]
    parameters = {n: [t.double() for t in ts] for n, ts in draw(net, inits, [0, 1, 2]).items()}
    untouched, found = [w[0].clone() for w in parameters["W"]], []
    x = samples(graph, [0, 1, 2]).first(32).double()
    scale_to_unit_variance(net, parameters, inits, x)

    def note(layer, z):  # noqa: ARG001
        found.append(z.flatten(1).var(1, correction=0)[1:])
        return z

    forward(net, parameters, x, initial_buffers(net, parameters), on_affine=note)
    assert len(found) == DEPTH + 1
    torch.testing.assert_close(torch.stack(found), torch.ones(DEPTH + 1, 2).double())
    for w, before in zip(parameters["W"], untouched, strict=True):
        assert torch.equal(w[0], before)


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_fixup_begins_with_blocks_and_a_head_that_give_zero(family):
    settings = {"family": family, "depth": 7, "block": 3, "residual": "identity"}
    drawn = draw(net_of(**settings), ["fixup"], [0])["W"]
    zero = [not w.any() for w in drawn]
    assert zero == [False, False, False, True, False, False, True, True]
    # 2 blocks of 3 layers: within them he times 2^(-1/4)
    ratio = drawn[1].std() / draw(net_of(**settings), ["he"], [0])["W"][1].std()
    assert float(ratio) == pytest.approx(2**-0.25, rel=1e-6)


@pytest.mark.parametrize("settings", [{}, RESIDUAL_CNN, {**CNN, "residual": "highway"}])
def test_one_seed_gives_the_same_draws_split_and_order_in_every_arm(settings):
    graph = {**GRAPH, **settings}
    net = net_of(**graph)
    he, wide = (draw(net, [init], [3])["W"] for init in ("he", "gaussian(sigma_w=3)"))
    plain = draw(net_of(**{**graph, "norm": "layer", "residual": "none"}), ["he"], [3])["W"]
    for a, b, c in zip(he, wide, plain, strict=True):
        torch.testing.assert_close(a / a.norm(), b / b.norm())
        assert torch.equal(a, c)
    alone, beside = samples(graph, [3]), samples(graph, [1, 3])
    torch.testing.assert_close(alone.order[:, 0], beside.order[:, 1])
    torch.testing.assert_close(alone.test[0], beside.test[1])


def test_a_run_keeps_its_surviving_blocks_in_any_stack():
    net = net_of(residual="stochastic_depth(survival=0.7)", depth=9)
    alone, beside = survivals(net, [3], 500, CPU), survivals(net, [1, 3], 500, CPU)
    assert torch.equal(alone[:, 0], beside[:, 1])
    assert not torch.equal(beside[:, 0], beside[:, 1])
    share = beside.double().mean((0, 1))  # of 1000 draws: within four standard errors
    expected = 1 - 0.3 * torch.arange(1, 9) / 8
    assert ((share - expected).abs() <= 4 * (expected * (1 - expected) / 1000).sqrt()).all()


def test_another_seed_gives_other_draws_split_and_order():
    draws = draw(net_of(), ["he", "he"], [1, 2])["W"][0]
    ours = samples(GRAPH, [1, 2])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(ours.test[0], ours.test[1])
    assert not torch.equal(ours.order[:, 0], ours.order[:, 1])


def test_a_run_never_trains_on_its_test_samples():
    ours = samples({**GRAPH, "steps": 40}, [0, 1])
    for run in range(2):
        assert not set(ours.order[:, run].ravel().tolist()) & set(ours.test[run].tolist())
        every = torch.cat([ours.train[run], ours.test[run]])
        assert sorted(every.tolist()) == list(range(200))


def test_an_epoch_holds_every_training_sample_at_most_once():
    ours = samples({**GRAPH, "steps": 10}, [0])
    first_epoch = ours.order[:10, 0].ravel().tolist()  # 160 training samples, 10 batches of 16
    assert len(set(first_epoch)) == len(first_epoch) == 160


def test_purposes_have_generators_of_their_own():
    draws = [torch.rand(1, generator=generator_of(0, purpose)) for purpose in ("init", "order")]
    assert draws[0] != draws[1]


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_euler_identity_holds_in_a_homogeneous_net(family):
    """<W_l, g_l> is the same in all layers of a bias-free ReLU net (science: Euler)."""
    graph = {**GRAPH, "activation": "relu", "family": family}
    net, data = net_of(**graph), random_data(graph)
    parameters = exact(draw(net, ["he"], [0]))
    x = torch.from_numpy(data.inputs[None, :BATCH]).double()
    labels = torch.arange(BATCH)[None] % CLASSES
    logits, _, _ = forward(net, parameters, x)
    loss = LOSSES["cross_entropy"].per_sample(logits, labels).sum()
    gradients = torch.autograd.grad(loss, parameters["W"])
    products = [(w * g).sum() for w, g in zip(parameters["W"], gradients, strict=True)]
    torch.testing.assert_close(torch.stack(products), products[0].expand(DEPTH + 1))


def test_update_ratio_is_the_relative_change_of_a_step():
    graph = {**GRAPH, "steps": 1, "probes": {"steps": [0, 1], "batch": 32}}
    trace, drawn, ours = (
        trained(graph, ["he"], [0], [0.5]),
        draw(net_of(), ["he"], [0]),
        samples(graph, [0]),
    )
    x, labels = ours.at(ours.order[0, 0])
    plain = Plain(graph, random_data(), exact(drawn), 0)
    nn.functional.cross_entropy(plain(x.double()), labels).backward()
    expected = [
        0.5 * layer.weight.grad.norm().item() / layer.weight.norm().item() for layer in plain.layers
    ]
    np.testing.assert_allclose(trace.measures[1]["update_ratio"][0], expected, rtol=1e-9)
    np.testing.assert_allclose(trace.measures[1]["total_change"][0], expected, rtol=1e-9)
    assert np.isnan(trace.measures[0]["update_ratio"]).all()
