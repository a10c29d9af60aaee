"""Norm and phi of a layer as one compiled operation, against torch's own differentiation."""

import itertools
from dataclasses import dataclass, replace

import pytest
import torch

from vanishing.engine import chain, fused_layer
from vanishing.engine.feedforward import pass_forward
from vanishing.engine.initial import draw, initial_buffers
from vanishing.engine.network import Network, flat
from vanishing.parts.activations import Activation
from vanishing.parts.architecture import Shape

from .small import graph_of

SEEDS, INPUTS, CLASSES = [1, 2, 3], 10, 4
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
RESIDUALS = ["none", "identity", "pre_activation"]
NETS = [
    {"norm": norm, "activation": activation, "residual": residual}
    for norm, activation, residual in itertools.product(
        ("none", "batch", "layer"), ("tanh", "sigmoid", "relu", "gelu", "prelu"), RESIDUALS
    )
]


@pytest.fixture(autouse=True)
def layer_by_layer(monkeypatch):
    """No net goes through the loops of :mod:`vanishing.engine.chain`, which would be all of it."""
    monkeypatch.setattr(chain, "is_known", lambda *_, **__: False)


def net_of(**changes):
    """A network in float64 with gains and biases that are not 1 and 0."""
    graph = graph_of(depth=4, block=2, norm_position="before", **changes)
    net = Network.of(graph, Shape(INPUTS, CLASSES))
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: [t.double() + 0.1 * torch.randn(t.shape, generator=generator) for t in tensors]
        for name, tensors in draw(net, ["he"] * len(SEEDS), SEEDS).items()
    }
    for tensor in flat(parameters):
        tensor.requires_grad_()
    return net, parameters, initial_buffers(net, parameters)


def samples(batch=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(len(SEEDS), batch, INPUTS, generator=generator).double()


def passed(net, parameters, buffers, values, x):
    """Logits, all gradients and buffers, with every layer's values asked for or not."""
    buffers = {name: [t.clone() for t in tensors] for name, tensors in buffers.items()}
    logits, h, _ = pass_forward(net, parameters, x, buffers, values=values)
    assert len(h) == (net.depth if values else 0)
    gradients = torch.autograd.grad(logits.square().sum(), flat(parameters))
    return [logits.detach(), *gradients, *flat(buffers)]


@pytest.mark.parametrize("settings", NETS, ids=lambda s: "-".join(s.values()))
def test_an_update_differentiates_as_torch_does(settings):
    """In logits, in the gradient of every parameter, and in the running statistics."""
    net, parameters, buffers = net_of(**settings)
    found, expected = (passed(net, parameters, buffers, v, samples()) for v in (False, True))
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("settings", NETS, ids=lambda s: "-".join(s.values()))
def test_only_what_the_loops_know_goes_through_them(settings, monkeypatch):
    net, parameters, buffers = net_of(**settings)
    calls = []
    outputs = fused_layer.outputs
    monkeypatch.setattr(
        fused_layer, "outputs", lambda *given: calls.append(given) or outputs(*given)
    )
    passed(net, parameters, buffers, True, samples())
    assert not calls
    passed(net, parameters, buffers, False, samples())
    bare = settings["norm"] == "none"
    alone = settings["activation"] == "tanh" and settings["residual"] != "pre_activation"
    assert len(calls) == (0 if bare and not alone else net.depth)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_is_the_same_to_the_last_bit_whatever_runs_beside_it(norm, dtype):
    net, parameters, _ = net_of(norm=norm, activation="tanh")
    parameters = {name: [t.detach().to(dtype) for t in of] for name, of in parameters.items()}
    z = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(2), dtype=dtype)
    together = fused_layer.outputs(net, parameters, 0, z, None)
    second = {name: [t[1:2] for t in of] for name, of in parameters.items()}
    assert torch.equal(together[1:2], fused_layer.outputs(net, second, 0, z[1:2], None))


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_value_that_is_not_finite_stays_in_its_run(norm, activation, value):
    net, parameters, buffers = net_of(norm=norm, activation=activation)
    with torch.no_grad():
        parameters["b"][1][1, 0, 2] = value
        for values in (False, True):
            logits, _, _ = pass_forward(net, parameters, samples(), buffers, values=values)
            spoilt = not (activation == "tanh" and norm == "none" and value == torch.inf)
            assert logits.isfinite().all(2).all(1).tolist() == [True, not spoilt, True]


def test_a_product_that_does_not_lie_in_one_piece_is_not_overwritten():
    net, _, _ = net_of(norm="none", activation="tanh", residual="none")
    z = torch.randn(3, 8, 5)
    assert fused_layer.is_fused(net, z, learning=True)
    assert not fused_layer.is_fused(net, z.transpose(1, 2), learning=True)


def test_a_batch_norm_with_running_statistics_is_left_to_torch_where_it_does_not_learn():
    net, parameters, buffers = net_of(norm="batch", activation="tanh")
    found = [
        pass_forward(net, parameters, samples(), buffers, learning=False, values=values)[0]
        for values in (False, True)
    ]
    assert torch.equal(*found)


@dataclass
class Doubled:
    """A phi that a user may write: it equals another of the same factor, so it has no hash."""

    factor: float = 2.0

    def __call__(self, h):
        return self.factor * h


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_phi_without_a_hash_is_left_to_torch(norm):
    net, parameters, buffers = net_of(norm=norm, activation="tanh", residual="none")
    net = replace(net, activation=Activation(Doubled(), "mine"))
    found, expected = (passed(net, parameters, buffers, v, samples()) for v in (False, True))
    torch.testing.assert_close(found, expected, **CLOSE)
