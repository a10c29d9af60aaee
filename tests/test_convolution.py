"""Convolutions of a stack: the compiled loops against torch.nn.Conv2d, their gradients, bits."""

import pytest
import torch

from vanishing.engine import feedforward
from vanishing.engine.convolution import convolved, grouped
from vanishing.engine.initial import draw, initial_buffers
from vanishing.engine.network import Network, flat
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.architecture import Shape

from .small import graph_of

# runs, batch, channels, units, height, width: fewer units than lanes, as many, more; then images
# whose rows are whole lines of windows, with and without a lower half, and with taps left over
SIZES = [
    *((2, 3, 1, 5, 8, 8), (2, 2, 8, 16, 8, 8), (1, 2, 9, 20, 5, 7), (2, 2, 4, 1, 2, 2)),
    *((2, 2, 4, 24, 4, 16), (1, 3, 8, 8, 5, 8), (1, 2, 2, 8, 6, 8)),
]
HOW = [(1, False), (1, True), (2, False), (2, True)]  # stride, circular


def drawn(size, dtype=torch.float64, seed=0):
    """a, W and b, which all want gradients."""
    runs, batch, channels, units, height, width = size
    generator = torch.Generator().manual_seed(seed)
    shapes = (runs, batch, channels, height, width), (runs, channels * 9, units), (runs, 1, units)
    return [
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    ]


def plain(tensors, run, stride, circular):
    """What torch.nn.Conv2d gives of a run, and a layer of it."""
    a, weight, bias = (t[run] for t in tensors)
    mode = "circular" if circular else "zeros"
    channels, units = a.shape[1], weight.shape[1]
    layer = torch.nn.Conv2d(channels, units, 3, stride, padding=1, padding_mode=mode).double()
    layer.weight.data = weight.detach().T.reshape(units, channels, 3, 3)
    layer.bias.data = bias.detach().flatten()
    return layer, layer(a)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("function", [convolved, grouped])
def test_convolution_and_its_gradients_are_those_of_each_run_alone(size, how, function):
    tensors = drawn(size)
    z = function(*tensors, *how)
    delta = torch.randn(z.shape, generator=torch.Generator().manual_seed(1), dtype=z.dtype)
    of_a, of_weight, of_bias = torch.autograd.grad(z, tensors, delta)
    for run in range(size[0]):
        layer, alone = plain(tensors, run, *how)
        theirs = torch.autograd.grad(alone, (tensors[0], *layer.parameters()), delta[run])
        weights = theirs[1].reshape(theirs[1].shape[0], -1).T
        torch.testing.assert_close(z[run], alone, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(of_a[run], theirs[0][run], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(of_weight[run], weights, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(of_bias[run, 0], theirs[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "relu", "leaky_relu"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_activation_at_once_gives_the_bits_of_torchs_own_after_the_product(size, name, dtype):
    tensors, activation = drawn(size, dtype), ACTIVATIONS[name]
    tensors[0].data[0, 0, 0, 0, 0] = torch.nan
    apart = activation.phi(convolved(*tensors, 1, False))
    at_once = convolved(*tensors, 1, False, activation)
    delta = torch.randn(apart.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    deltas = delta, delta.transpose(3, 4).contiguous().transpose(3, 4)
    deltas = *deltas, delta[..., :1, :1].expand(delta.shape)
    for lost in deltas:
        found = torch.autograd.grad(at_once, tensors, lost, retain_graph=True)
        expected = torch.autograd.grad(apart, tensors, lost, retain_graph=True)
        for mine, theirs in zip((at_once, *found), (apart, *expected), strict=True):
            assert mine.isfinite().any()
            assert torch.equal(mine.nan_to_num(7), theirs.nan_to_num(7))


@pytest.mark.parametrize("activation", ["linear", "relu", "leaky_relu", "tanh"])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("residual", ["none", "identity", "pre_activation"])
def test_a_net_makes_phi_in_the_convolution_only_where_that_changes_no_bit(
    activation, norm, residual, monkeypatch
):
    graph = graph_of(
        family="cnn", activation=activation, norm=norm, residual=residual, depth=5, block=2, width=8
    )
    net, seeds = Network.of(graph, Shape(64, 4, (1, 8, 8))), [1, 2]
    parameters = draw(net, ["he"] * len(seeds), seeds)
    learning = [t.requires_grad_() for t in flat(parameters)]
    x = torch.randn(2, 3, 64, generator=torch.Generator().manual_seed(0))
    given, made = [], []
    monkeypatch.setattr(feedforward, "convolved", lambda *of: given.append(of[5]) or convolved(*of))
    for values in (False, True):
        buffers = initial_buffers(net, parameters)
        outputs = feedforward.pass_forward(net, parameters, x, buffers, values=values)[0]
        made.append((outputs, *torch.autograd.grad(outputs.square().sum(), learning)))
    assert all(map(torch.equal, *made))
    at_once = activation != "tanh" and norm == "none" and residual != "pre_activation"
    expected = [net.activation if at_once else None] * net.depth
    assert given == expected + [None] * net.depth


def test_float32_agrees_with_float64_to_its_own_precision():
    tensors = drawn((2, 4, 16, 24, 8, 8))
    exact = convolved(*tensors, 1, False)
    single = convolved(*(t.float() for t in tensors), 1, False)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_has_the_same_bits_whatever_runs_beside_it(dtype):
    stack, others = drawn((5, 4, 8, 12, 8, 8), dtype), drawn((2, 4, 8, 12, 8, 8), dtype, seed=1)
    for at in range(2):
        for mine, theirs in zip(others, stack, strict=True):
            mine.data[at] = theirs.data[3]
        together, fewer = convolved(*stack, 1, False), convolved(*others, 1, False)
        of_stack = torch.autograd.grad(together.square().sum(), stack)
        of_fewer = torch.autograd.grad(fewer.square().sum(), others)
        pairs = zip((together, *of_stack), (fewer, *of_fewer), strict=True)
        assert all(torch.equal(x[3], y[at]) for x, y in pairs)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("activation", [None, "leaky_relu"])
def test_gradients_can_be_differentiated_again(how, activation):
    tensors = drawn((2, 2, 2, 3, 4, 4))

    def function(*inputs):
        return convolved(*inputs, *how, activation and ACTIVATIONS[activation])

    assert torch.autograd.gradgradcheck(function, tensors)


def test_only_what_wants_a_gradient_gets_one():
    a, weight, bias = drawn((2, 2, 3, 4, 4, 4))
    for wanted in ([a], [weight], [bias], [a, bias]):
        inputs = [t if any(t is w for w in wanted) else t.detach() for t in (a, weight, bias)]
        found = torch.autograd.grad(convolved(*inputs, 1, False).square().sum(), wanted)
        whole = torch.autograd.grad(convolved(a, weight, bias, 1, False).square().sum(), wanted)
        assert all(map(torch.equal, found, whole))


@pytest.mark.parametrize(
    "laid",
    [
        lambda t: t.transpose(3, 4).contiguous().transpose(3, 4),
        lambda t: t.permute(1, 3, 4, 0, 2).contiguous().permute(3, 0, 4, 1, 2),
        lambda t: torch.stack([t, t], dim=5)[..., 1],
    ],
    ids=["columns first", "runs inside", "every second"],
)
def test_memory_may_lie_in_any_order(laid):
    tensors = drawn((2, 3, 16, 16, 5, 4))
    a, weight, bias = tensors
    delta = torch.randn((2, 3, 16, 5, 4), dtype=a.dtype)
    expected = convolved(*tensors, 1, False)
    found = convolved(laid(a), laid(weight[..., None, None])[..., 0, 0], bias, 1, False)
    assert torch.equal(found, expected)
    back = torch.autograd.grad(found, tensors, laid(delta))
    assert all(map(torch.equal, back, torch.autograd.grad(expected, tensors, delta)))


def test_one_value_for_all_pixels_comes_back_as_it_is():
    """The mean over pixels sends one number back to all of them, which takes no memory."""
    tensors = drawn((2, 3, 4, 8, 6, 6))
    found = torch.autograd.grad(convolved(*tensors, 1, True).mean((3, 4)).sum(), tensors)
    expected = torch.autograd.grad(grouped(*tensors, 1, True).mean((3, 4)).sum(), tensors)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
