"""What convolutions tell of their layers, against measures of values that were kept."""

import itertools
from dataclasses import replace

import pytest
import torch

from vanishing.engine import layer_looks, own_pass, probes
from vanishing.engine.convolution import convolved
from vanishing.engine.fused_layer import is_seen
from vanishing.engine.initial import draw, initial_buffers
from vanishing.engine.network import Network, flat
from vanishing.engine.probes import measure
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, advance
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.architecture import Shape
from vanishing.parts.losses import LOSSES
from vanishing.parts.residuals import Residual
from vanishing.parts.tasks import Data

from .small import CPU, graph_of, normal

SEEDS, INITS, CLASSES, DEPTH = [1, 2, 3], ["he", "xavier", "he"], 5, 5
IMAGE = (2, 8, 8)
INPUTS = 2 * 8 * 8
PHIS = ("linear", "relu", "leaky_relu(slope=0.2)")
RESIDUALS = ("none", "identity", "rezero", "highway", "stochastic_depth", "dense")
NETS = [
    {"activation": activation, "residual": residual, "padding": padding, "stages": stages}
    for activation, residual, padding, stages in itertools.product(
        PHIS, RESIDUALS, ("zero", "circular"), (1, 2)
    )
]
CLOSE = {"rtol": 1e-10, "atol": 1e-13, "equal_nan": True}


def settings_of(**changes):
    own = {"family": "cnn", "width": 5, "depth": DEPTH, "block": 2, "activation": "relu"}
    return graph_of(**{**own, **changes})


def net_of(**changes):
    """A network, and float32 parameters of which some units are dead and some gradients 0."""
    net = Network.of(settings_of(**changes), Shape(INPUTS, CLASSES, IMAGE))
    parameters = draw(net, INITS, SEEDS)
    for n, (weight, bias) in enumerate(zip(parameters["W"], parameters["b"], strict=True)):
        weight[0, :, :n] = 0
        bias[0, :, :n] = -1
    return net, parameters, initial_buffers(net, parameters)


def measures(net, parameters, buffers, monkeypatch):
    """Those of a probe, as convolutions tell them, and taken of values that were kept."""
    x = normal(7, INPUTS).relu()
    assert is_seen(net, x)
    given = net, parameters, buffers, LOSSES["cross_entropy"], x, torch.arange(7) % CLASSES
    seen = measure(*given)
    monkeypatch.setattr(probes, "is_seen", lambda *_: False)
    return seen, measure(*given)


def assert_close(seen, kept):
    assert seen.keys() == kept.keys()
    for name, values in kept.items():
        assert seen[name].dtype == torch.float64
        torch.testing.assert_close(seen[name], values, **CLOSE, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("settings", NETS, ids=lambda s: "-".join(map(str, s.values())))
def test_a_probe_sees_in_the_loops_what_it_sees_of_kept_values(settings, monkeypatch):
    seen, kept = measures(*net_of(**settings), monkeypatch)
    assert_close(seen, kept)
    if settings["activation"] == "relu":
        assert (kept["dead_fraction"][0, 1:] > 0).all()
    assert kept["delta_zero_fraction"].amax() > 0 or settings["activation"] != "relu"


@pytest.mark.parametrize("width", [1, 3, 8, 16, 37])
@pytest.mark.parametrize("activation", PHIS)
def test_a_probe_sees_nets_of_any_width(width, activation, monkeypatch):
    """Of fewer channels than fill lanes, of as many, and of some left over."""
    assert_close(*measures(*net_of(width=width, activation=activation), monkeypatch))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("activation", PHIS)
@pytest.mark.parametrize("residual", ["none", "identity"])
def test_a_value_that_is_not_finite_is_seen_in_its_run(value, activation, residual, monkeypatch):
    net, parameters, buffers = net_of(activation=activation, residual=residual)
    parameters["b"][2][1, 0, 3] = value
    seen, kept = measures(net, parameters, buffers, monkeypatch)
    assert_close(seen, kept)
    assert kept["nonfinite_fraction"][1, 2] > 0
    assert (kept["nonfinite_fraction"][::2] == 0).all()


@pytest.mark.parametrize("scale", [1e-36, 1e30])
@pytest.mark.parametrize("activation", PHIS)
def test_squares_that_underflow_or_overflow_are_taken_again(scale, activation, monkeypatch):
    net, parameters, buffers = net_of(activation=activation, depth=6)
    for weight in parameters["W"]:
        weight *= scale
    seen, kept = measures(net, parameters, buffers, monkeypatch)
    assert_close(seen, kept)
    assert kept["log10_delta_rms"].nan_to_num(0).abs().amax() > 140


DECADES = {
    "one scale": [1.0] * 6,
    "some zero": [0, 1, 0, 0, 2, 0],
    "all zero": [0.0] * 6,
    "falling": [1e170, 1, 0, 1e-160, 1e-170, 1e-300],
    "rising": [1e-300, 0, 1e-170, 1e-160, 1e-150, 1e-141],
    "huge": [1e150, 1e160, 1, 0, 1e155, 1e200],
    "subnormal": [0, 1e-310, 1e-312, 0, 1e-311, 1e-310],
    "a NaN": [1, torch.nan, 0, 1e-200, 1, 1e200],
    "NaN alone": [0, torch.nan, 0, 0, 0, 0],
    "an infinity": [0, 1e200, torch.inf, 1, 1e-200, 0],
}
NO_SIZE = ("all zero", "a NaN", "NaN alone", "an infinity")


@pytest.mark.parametrize("case", DECADES)
@pytest.mark.parametrize("units", [3, 16])
def test_deltas_of_images_of_any_size_are_joined(case, units):
    """The size of a run's delta is that of all its images, also where their squares are not."""
    net = net_of(width=units, depth=1)[0]
    a, bias = normal(2, 6, 2, 8, 8), torch.zeros(2, 1, units, dtype=torch.float64)
    weight = normal(2, 18, units).requires_grad_()
    look = layer_looks.Look.of(net, a.flatten(2), [0.0])
    z = convolved(a, weight, bias, 1, False, net.activation, (look, 0, True))
    scale = torch.tensor(DECADES[case], dtype=torch.float64).view(6, 1, 1, 1)
    d = normal(*z.shape, seed=1) * scale
    torch.autograd.grad(z, weight, d)
    delta = torch.where(z > 0, d, 0.0)
    expected = probes.statistics_on(CPU).moments([[delta.contiguous()]], probes.OF_DELTA)
    found = {"log10_rms": look.log10_rms()[0]}
    found |= {name: look.moments()[name][2] for name in ("zero", "finite")}
    for name, values in expected.items():
        torch.testing.assert_close(torch.from_numpy(found[name].copy()), values, **CLOSE)
    assert expected["log10_rms"].isfinite().all() != (case in NO_SIZE)


def test_what_is_seen_of_a_run_does_not_depend_on_the_runs_beside_it():
    net, parameters, buffers = net_of(activation="relu", residual="identity", width=16)
    rest = LOSSES["cross_entropy"], normal(7, INPUTS), torch.arange(7) % CLASSES
    together = measure(net, parameters, buffers, *rest)
    own = {name: [t[1:2] for t in of] for name, of in parameters.items()}
    alone = measure(net, own, {}, *rest)
    for name, values in together.items():
        assert torch.equal(values[1:2], alone[name])


# What own passes tell


def data_of(samples=60):
    images = normal(samples, INPUTS).float().relu().numpy()
    return Data(images, (torch.arange(samples) % CLASSES).numpy(), IMAGE)


def stack_of(dtype, **changes):
    graph = settings_of(**changes, steps=4, batch=6)
    data = data_of()
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    ours = samples_of(data, SEEDS, 4, 6, 6, CPU)
    return Stack.of(net, budget, ours, (INITS, SEEDS, [0.1, 0.3, 1e200]), dtype)


@pytest.mark.parametrize("settings", NETS[::3], ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_own_pass_sees_in_the_loops_what_it_sees_of_kept_values(settings, dtype, monkeypatch):
    """Also of runs that diverge: the last learns at a rate of 1e200."""
    stacks, found = [stack_of(dtype, **settings) for _ in range(2)], []
    for stack, seen in zip(stacks, (True, False), strict=True):
        monkeypatch.setattr(own_pass, "is_seen", lambda *_, seen=seen: seen)
        found.append([advance(stack, step, looked_at=True) for step in (1, 2, 3)])
    for mine, theirs in zip(*found, strict=True):
        for name, values in theirs.probed.layers.items():
            torch.testing.assert_close(mine.probed.layers[name], values, **CLOSE)
    assert (found[1][2].probed.layers["nonfinite_fraction"][2] > 0).any()


@pytest.mark.parametrize("settings", NETS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_cnn_trains_to_the_same_bits_whether_it_is_looked_at_or_not(settings, optimizer):
    looked_at, alone = (
        stack_of(torch.float32, **settings, optimizer=optimizer, width=8) for _ in range(2)
    )
    before = alone.parameters["W"][0].detach().clone()
    for step in (1, 2, 3, 4):
        mine, theirs = advance(looked_at, step, looked_at=True), advance(alone, step)
        assert mine.probed
        assert not theirs.probed
        assert torch.equal(mine.losses.nan_to_num(7), theirs.losses.nan_to_num(7))
    pairs = zip(flat(looked_at.parameters), flat(alone.parameters), strict=True)
    assert all(torch.equal(x.nan_to_num(7), y.nan_to_num(7)) for x, y in pairs)
    assert not torch.equal(alone.parameters["W"][0][0], before[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "tanh"}, {"activation": "prelu"}, {"norm": "batch"}, {"norm": "layer"},
        {"norm": "weight"}, {"norm": "spectral"}, {"residual": "pre_activation"},
        {"family": "mlp"},
    ],
    ids=lambda c: "-".join(c.values()),
)  # fmt: skip
def test_nets_that_the_loops_do_not_know_keep_their_values(changes):
    shape = Shape(INPUTS, CLASSES, IMAGE)
    x = normal(3, 7, INPUTS)
    assert is_seen(Network.of(settings_of(), shape), x)
    assert not is_seen(Network.of(settings_of(**changes), shape), x)
    assert not is_seen(Network.of(settings_of(), shape), x.to("meta"))
    own = Residual(lambda x, branch: x, "")  # nothing goes back to its branches
    assert not is_seen(replace(Network.of(settings_of(), shape), residual=own), x)


def test_a_look_at_nothing_stays_empty():
    activation = ACTIVATIONS["relu"]
    a, weight, bias = normal(2, 3, 2, 4, 4), normal(2, 18, 3), normal(2, 1, 3)
    convolved(a, weight.requires_grad_(), bias, 1, False, activation).sum().backward()
    nothing = layer_looks.nothing(torch.float64)
    assert not any(values.size for values in (*nothing.forward, *nothing.backward))
