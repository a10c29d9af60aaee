"""A whole MLP as one compiled operation, against the same net layer by layer in torch."""

import itertools
from dataclasses import replace

import pytest
import torch

from vanishing.engine import chain
from vanishing.engine.feedforward import pass_forward
from vanishing.engine.initial import draw, initial_buffers
from vanishing.engine.network import Network, flat
from vanishing.engine.probes import measure
from vanishing.engine.stack import copied
from vanishing.engine.updates import update
from vanishing.parts.architecture import Shape
from vanishing.parts.losses import LOSSES
from vanishing.parts.optimizers import OPTIMIZERS

from .small import graph_of

SEEDS, INPUTS, CLASSES = [1, 2, 3], 9, 5
CLOSE = {"rtol": 1e-11, "atol": 1e-12}
PHIS = ("linear", "tanh", "sigmoid", "relu", "leaky_relu(slope=0.2)")
NETS = [
    {"norm": norm, "activation": activation, "residual": residual, "block": block}
    for norm, activation, residual, block in itertools.product(
        ("none", "batch", "layer"), PHIS, ("none", "identity", "scaled", "pre_activation"), (1, 2)
    )
    if residual != "none" or block == 1
]


def net_of(dtype=torch.float64, width=18, depth=4, **changes):
    """A network whose gains and biases are not 1 and 0, and whose parts of lanes are not full."""
    settings = {"norm": "none", "activation": "tanh", "residual": "none", "block": 2, **changes}
    graph = graph_of(width=width, depth=depth, norm_position="before", **settings)
    net = Network.of(graph, Shape(INPUTS, CLASSES))
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: [t.double() + 0.1 * torch.randn(t.shape, generator=generator) for t in tensors]
        for name, tensors in draw(net, ["he"] * len(SEEDS), SEEDS).items()
    }
    parameters = {
        name: [t.to(dtype).requires_grad_() for t in tensors]
        for name, tensors in parameters.items()
    }
    return net, parameters, initial_buffers(net, parameters)


def samples(batch=13, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(len(SEEDS), batch, INPUTS, generator=generator).to(dtype)


def passed(net, parameters, buffers, x, values):
    """Outputs, gradients of parameters and samples, and buffers, in one call or layer by layer."""
    buffers = {name: [t.clone() for t in tensors] for name, tensors in buffers.items()}
    x = x.clone().requires_grad_()
    outputs, h, _ = pass_forward(net, parameters, x, buffers, values=values)
    assert len(h) == (net.depth if values else 0)
    gradients = torch.autograd.grad(outputs.square().sum(), [x, *flat(parameters)])
    return [outputs.detach(), *gradients, *flat(buffers)]


@pytest.mark.parametrize("settings", NETS, ids=lambda s: "-".join(map(str, s.values())))
def test_an_update_differentiates_as_torch_does(settings):
    """In outputs, the gradients of all parameters and of the samples, and running statistics."""
    net, parameters, buffers = net_of(**settings)
    assert chain.is_known(net, parameters, samples(), buffers, learning=True)
    found, expected = (passed(net, parameters, buffers, samples(), v) for v in (False, True))
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize(
    ("batch", "width", "depth"), [(1, 1, 1), (5, 8, 2), (6, 32, 3), (64, 33, 1)]
)
def test_every_shape_is_torchs(batch, width, depth):
    net, parameters, buffers = net_of(width=width, depth=depth)
    found, expected = (passed(net, parameters, buffers, samples(batch), v) for v in (False, True))
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_float32_is_that_of_the_training(norm):
    net, parameters, buffers = net_of(torch.float32, norm=norm)
    x = samples(dtype=torch.float32)
    found, expected = (passed(net, parameters, buffers, x, v) for v in (False, True))
    assert all(t.dtype == torch.float32 for t in found)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


UNKNOWN = [
    {"activation": "gelu"},
    {"activation": "prelu"},
    {"activation": "leaky_relu(slope=-0.1)"},
    {"norm": "rms"},
    {"norm": "weight"},
    {"residual": "highway"},
    {"residual": "skip_init"},
    {"residual": "dense"},
    {"residual": "stochastic_depth"},
]


@pytest.mark.parametrize("settings", UNKNOWN, ids=lambda s: "-".join(s.values()))
def test_what_the_loops_do_not_know_is_left_to_torch(settings):
    net, parameters, buffers = net_of(**settings)
    assert not chain.is_known(net, parameters, samples(), buffers, learning=True)


def test_a_norm_behind_phi_or_with_running_statistics_is_left_to_torch():
    net, parameters, buffers = net_of(norm="batch")
    assert not chain.is_known(net, parameters, samples(), buffers, learning=False)
    assert chain.is_known(net, parameters, samples(), {}, learning=False)
    behind = replace(net, norm_first=False)
    assert not chain.is_known(behind, parameters, samples(), buffers, learning=True)


@pytest.mark.parametrize("lowest", [0, 2, 4])
def test_frozen_layers_get_no_gradient(lowest):
    net, parameters, buffers = net_of()
    learning = [t for of in parameters.values() for n, t in enumerate(of) if n >= lowest]
    for tensor in flat(parameters):
        tensor.requires_grad_(any(tensor is t for t in learning))
    found, expected = (
        torch.autograd.grad(
            pass_forward(net, parameters, samples(), buffers, values=values)[0].sum(), learning
        )
        for values in (False, True)
    )
    torch.testing.assert_close(found, expected, **CLOSE)


def test_expanded_samples_give_what_their_copies_give():
    net, parameters, buffers = net_of()
    same = samples()[:1].expand(len(SEEDS), -1, -1)
    found = pass_forward(net, parameters, same, buffers, values=False)[0]
    assert torch.equal(found, pass_forward(net, parameters, same.clone(), values=False)[0])


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_a_run_is_the_same_to_the_last_bit_whatever_runs_beside_it(norm):
    net, parameters, _ = net_of(torch.float32, norm=norm)
    x = samples(dtype=torch.float32)
    together = passed(net, parameters, {}, x, values=False)
    second = {
        name: [t[1:2].detach().requires_grad_() for t in of] for name, of in parameters.items()
    }
    alone = passed(net, second, {}, x[1:2], values=False)
    assert all(torch.equal(t[1:2], own) for t, own in zip(together, alone, strict=True))


@pytest.mark.parametrize("activation", PHIS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite_stays_in_its_run(activation, value):
    net, parameters, buffers = net_of(activation=activation)
    with torch.no_grad():
        parameters["b"][1][1, 0, 2] = value
        found, expected = (
            pass_forward(net, parameters, samples(), buffers, values=values)[0].isfinite()
            for values in (False, True)
        )
    assert torch.equal(found, expected)
    assert found[::2].all()


def test_a_weight_that_is_changed_before_the_way_back_is_refused():
    net, parameters, buffers = net_of()
    outputs = pass_forward(net, parameters, samples(), buffers, values=False)[0]
    with torch.no_grad():
        parameters["W"][1].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def measures(settings, scale, monkeypatch):
    """Those of a probe, as they are seen in the loops, and taken of values that were kept."""
    net, parameters, buffers = net_of(torch.float32, **settings)
    assert chain.is_known(net, parameters, samples(), {}, learning=False)
    with torch.no_grad():
        for n, weight in enumerate(parameters["W"]):
            weight.mul_(scale)
            weight[0, :, :n] = 0  # some of a run's gradients are 0, and some units are dead
            parameters["b"][n][0, :, :n] = -1
    given = net, parameters, buffers, LOSSES["cross_entropy"], samples()[0], torch.arange(13) % 5
    seen = measure(*given)
    monkeypatch.setattr(chain, "is_known", lambda *_, **__: False)
    return seen, measure(*given)


@pytest.mark.parametrize("settings", NETS, ids=lambda s: "-".join(map(str, s.values())))
def test_a_probe_sees_in_the_loops_what_it_sees_of_kept_values(settings, monkeypatch):
    seen, kept = measures(settings, 1.0, monkeypatch)
    assert seen.keys() == kept.keys()
    for name, values in kept.items():
        torch.testing.assert_close(seen[name], values, rtol=1e-10, atol=1e-13, equal_nan=True)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("width", [3, 16, 37])
def test_a_probe_sees_nets_of_any_width(width, norm, monkeypatch):
    """Of fewer units than it sees or tells, of as many as lanes hold, and of some left over."""
    seen, kept = measures({"norm": norm, "width": width}, 1.0, monkeypatch)
    for name, values in kept.items():
        torch.testing.assert_close(seen[name], values, rtol=1e-10, atol=1e-13, equal_nan=True)


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_gradients_of_float32_parameters_beside_float64_samples_are_float64(norm):
    net, parameters, buffers = net_of(torch.float32, norm=norm)
    assert not chain.is_known(net, parameters, samples(), buffers, learning=True)
    found = []
    for given in (parameters, {n: [t.double() for t in of] for n, of in parameters.items()}):
        made = chain.passed(net, given, {}, samples(), lambda outputs: outputs.square().sum((1, 2)))
        gradients, d_x = made.chain.gradients(made.d_outputs, given, with_x=True)
        found.append([*flat(gradients), d_x, made.chain.of_samples(made.d_outputs, given)])
    assert all(t.dtype == torch.float64 for t in found[0])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_float32_parameters_do_not_learn_from_float64_samples():
    net, parameters, _ = net_of(torch.float32)
    made = chain.passed(net, parameters, {}, samples(), lambda outputs: outputs.sum((1, 2)))
    with pytest.raises(ValueError, match="read, not learned"):
        made.chain.descend(made.d_outputs, parameters, torch.ones(3, dtype=torch.float64))


def test_gradients_of_hidden_weights_are_left_out_where_they_are_not_asked_for():
    net, parameters, buffers = net_of(norm="layer")
    made = chain.passed(net, parameters, buffers, samples(), lambda out: out.square().sum((1, 2)))
    every, _ = made.chain.gradients(made.d_outputs, parameters)
    some, _ = made.chain.gradients(made.d_outputs, parameters, hidden=False)
    assert some["W"][:-1] == [None] * net.depth
    for name, tensors in every.items():
        kept = slice(-1, None) if name == "W" else slice(None)
        assert all(map(torch.equal, some[name][kept], tensors[kept]))


@pytest.mark.parametrize("scale", [1e-36, 1e30])
@pytest.mark.parametrize("activation", ["tanh", "linear", "relu"])
def test_squares_that_underflow_or_overflow_are_taken_again(scale, activation, monkeypatch):
    seen, kept = measures({"activation": activation, "depth": 6}, scale, monkeypatch)
    for name in ("log10_delta_rms", "log10_grad_rms", "nonfinite_fraction", "underflow_fp32"):
        torch.testing.assert_close(seen[name], kept[name], rtol=1e-10, atol=1e-12, equal_nan=True)
    assert kept["log10_delta_rms"].nan_to_num(0).abs().amax() > 140 or activation == "tanh"


def test_a_sigmoid_far_below_0_is_dead_in_the_loops_too(monkeypatch):
    net, parameters, buffers = net_of(torch.float32, activation="sigmoid")
    with torch.no_grad():
        for bias in parameters["b"][:-1]:
            bias[0] = -800
    given = net, parameters, buffers, LOSSES["cross_entropy"], samples()[0], torch.arange(13) % 5
    seen = measure(*given)
    monkeypatch.setattr(chain, "is_known", lambda *_, **__: False)
    kept = measure(*given)
    assert kept["dead_fraction"][0].eq(1).all()
    for name, values in kept.items():
        torch.testing.assert_close(seen[name], values, rtol=1e-10, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("residual", ["none", "identity", "pre_activation"])
@pytest.mark.parametrize(("width", "lowest"), [(7, 0), (17, 2), (32, 0), (80, 1)])
def test_descending_at_once_has_the_bits_of_gradients_that_are_taken_off(
    norm, residual, width, lowest
):
    net, parameters, _ = net_of(torch.float32, width, norm=norm, residual=residual)
    parameters = {name: [t.detach() for t in of] for name, of in parameters.items()}
    rates, x = torch.tensor([0.1, 0.0, 1.0]), samples(dtype=torch.float32)
    apart, at_once = (copied(parameters) for _ in range(2))
    for own in (apart, at_once):
        made = chain.passed(net, own, {}, x, lambda outputs: outputs.square().sum((1, 2)))
        if own is at_once:
            made.chain.descend(made.d_outputs, own, rates, lowest)
        else:
            gradients, _ = made.chain.gradients(made.d_outputs, own, lowest)
            learning = [t for of in own.values() for t in of[lowest:]]
            wanted = [g for g in flat(gradients) if g is not None]
            update(OPTIMIZERS["sgd"], learning, wanted, [], rates.view(-1, 1, 1), 1)
    assert all(map(torch.equal, flat(apart), flat(at_once)))
    moved = [not torch.equal(*pair) for pair in zip(flat(apart), flat(parameters), strict=True)]
    assert any(moved)


@pytest.mark.parametrize("descend", [True, False])
def test_what_has_learned_cannot_be_gone_back_through(descend):
    net, parameters, _ = net_of()
    x, rates = samples(), torch.full((3,), 0.1, dtype=torch.float64)
    outputs = chain.outputs(net, parameters, x, {})
    tensors = [t.detach() for t in flat(parameters)]
    if descend:
        made = chain.passed(net, parameters, {}, x, lambda found: found.sum((1, 2)))
        made.chain.descend(made.d_outputs, parameters, rates)
    else:
        gradients = [torch.ones_like(t) for t in tensors]
        update(OPTIMIZERS["sgd"], tensors, gradients, [], rates.view(-1, 1, 1), 1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()
