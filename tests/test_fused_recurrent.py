"""The fused recurrent layer against the general pass, and the functions that it is made of."""

import numpy as np
import pytest
import torch

from vanishing.engine import fast_phi, fused_recurrent
from vanishing.engine.compiled import exact
from vanishing.engine.forward import forward
from vanishing.engine.network import Network
from vanishing.parts.losses import LOSSES

from .test_recurrent import ANSWERS, INIT, batch_of, data_of, drawn, graph_of

CELLS = ["vanilla", "leaky(alpha=0.3)", "lstm(forget_bias=-0.5)", "gru", "minimal_gated"]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}
RUNS = 2


@exact
def tanh_of(x, out):
    for i in range(len(x)):
        out[i] = fast_phi.tanh(x[i])


@exact
def sigmoid_of(x, out):
    for i in range(len(x)):
        out[i] = fast_phi.sigmoid(x[i])


def both(graph, data, dtype, learning=True):
    """Logits and gradients of all parameters, by the general pass and by the fused one."""
    net, loss = Network.of(graph, data.shape), LOSSES[graph["loss"]]
    drawn_64 = drawn(net, (INIT,) * RUNS, range(3, 3 + RUNS))
    parameters = {name: [t.to(dtype) for t in group] for name, group in drawn_64.items()}
    tensors = [t.requires_grad_() for group in parameters.values() for t in group]
    x, labels = (t.expand(RUNS, *t.shape) for t in batch_of(data))
    x, labels = x.to(dtype), labels.to(dtype) if labels.is_floating_point() else labels
    assert fused_recurrent.cell_of(net, x)
    for values in (True, False):
        with torch.set_grad_enabled(learning):
            logits, h, a = forward(net, parameters, x, values=values)
        assert bool(h) == bool(a) == values
        total = loss.per_sample(logits, labels).sum()
        yield [logits, *(torch.autograd.grad(total, tensors) if learning else [])]


def assert_close(general, fused, dtype):
    for expected, found in zip(general, fused, strict=True):
        limit = TOLERANCE[dtype]
        torch.testing.assert_close(
            found, expected, rtol=limit, atol=limit * float(expected.detach().abs().max())
        )


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("depth", "width"), [(1, 6), (2, 6), (1, 40)])  # 40: of two loads
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("recurrence", CELLS)
def test_values_and_gradients_equal_those_of_the_general_pass(
    recurrence, activation, answer, depth, width, dtype
):
    settings = {"recurrence": recurrence, "activation": activation}
    graph = graph_of(answer, **settings, depth=depth, width=width)
    data = data_of(answer, "tokens" if depth == 1 else "numbers")
    assert_close(*both(graph, data, dtype), dtype)
    assert_close(*both(graph, data, dtype, learning=False), dtype)


@pytest.mark.parametrize(
    "settings",
    [
        {"recurrence": "skip(steps=3)"},
        {"norm": "layer"},
        {"truncation": 3},
        {"activation": "prelu"},
        {"recurrence": "gru", "activation": "sigmoid"},
    ],
    ids=str,
)
def test_what_has_no_compiled_loops_takes_the_general_pass_and_gives_the_same(settings):
    graph, data = graph_of("every", **settings), data_of("every")
    net, (x, _) = Network.of(graph, data.shape), batch_of(data)
    assert fused_recurrent.cell_of(net, x[None]) is None
    parameters = drawn(net)
    expected, _, _ = forward(net, parameters, x[None])
    found, h, a = forward(net, parameters, x[None], values=False)
    assert torch.equal(found, expected)
    assert h == a == []


def test_a_cell_of_the_users_own_or_in_half_precision_is_not_fused():
    data = data_of()
    net, (x, _) = Network.of(graph_of(), data.shape), batch_of(data)
    assert fused_recurrent.cell_of(net, x[None]).phi == "tanh"
    assert fused_recurrent.cell_of(net, x[None].half()) is None
    own = Network.of(graph_of(recurrence="lstm"), data.shape).recurrence
    for recurrence in (net.recurrence, own):
        kept = type(recurrence)(
            lambda *given, of=recurrence: of.step(*given), "own", columns=recurrence.columns
        )
        changed = Network(**{**vars(net), "recurrence": kept})
        assert fused_recurrent.cell_of(changed, x[None]) is None


def test_the_way_back_is_refused_a_second_time():
    data = data_of()
    net, (x, _) = Network.of(graph_of(), data.shape), batch_of(data)
    parameters = drawn(net)
    parameters["W"][0].requires_grad_()
    logits, _, _ = forward(net, parameters, x[None], values=False)
    first = torch.autograd.grad(logits.sum(), parameters["W"][0], retain_graph=True)
    assert first[0].isfinite().all()
    with pytest.raises(AttributeError, match="lived"):
        torch.autograd.grad(logits.sum(), parameters["W"][0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("recurrence", CELLS)
def test_a_run_that_is_not_finite_is_so_in_both_passes_and_leaves_the_others_alone(
    recurrence, activation, value
):
    graph, data = graph_of(recurrence=recurrence, activation=activation), data_of()
    net, (x, _) = Network.of(graph, data.shape), batch_of(data)
    parameters = drawn(net, (INIT,) * RUNS, (3, 4))
    good, _, _ = forward(net, parameters, x.expand(RUNS, *x.shape), values=False)
    parameters["W"][0][1] = value
    expected, _, _ = forward(net, parameters, x.expand(RUNS, *x.shape))
    found, _, _ = forward(net, parameters, x.expand(RUNS, *x.shape), values=False)
    assert torch.equal(found[0], good[0])
    assert torch.equal(found.isfinite(), expected.isfinite())
    assert value == value or not found[1].isfinite().all()


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_relu_of_minus_infinity_is_0(dtype):
    data = data_of()
    net, (x, _) = Network.of(graph_of(activation="relu"), data.shape), batch_of(data)
    parameters = {name: [t.to(dtype) for t in group] for name, group in drawn(net).items()}
    parameters["b"][0][..., 0] = -float("inf")  # of one unit, which is then dead
    expected, _, _ = forward(net, parameters, x[None].to(dtype))
    found, _, _ = forward(net, parameters, x[None].to(dtype), values=False)
    assert found.isfinite().all()
    assert_close([expected], [found], dtype)


# The functions


@pytest.mark.parametrize(
    ("dtype", "exact_in", "far"), [(np.float32, np.float64, 86), (np.float64, np.longdouble, 700)]
)
@pytest.mark.parametrize(
    ("mine", "exactly", "most"),
    [(tanh_of, np.tanh, 2.4), (sigmoid_of, lambda x: 1 / (1 + np.exp(-x)), 2.6)],
    ids=["tanh", "sigmoid"],
)
def test_phi_is_within_some_units_in_the_last_place(mine, exactly, most, dtype, exact_in, far):
    size = np.geomspace(1e-37, far, 100_000)
    x = np.concatenate([size, -size, np.linspace(-12, 12, 300_001)]).astype(dtype)
    out, expected = np.empty_like(x), exactly(x.astype(exact_in))
    mine(x, out)
    unit = np.spacing(np.abs(expected).astype(dtype)).astype(exact_in)
    no_finer = np.finfo(exact_in).eps == np.finfo(dtype).eps  # long doubles on some machines
    assert (np.abs(out - expected) / unit).max() <= most + no_finer
    assert (np.diff(out[-300_001:]) >= -1.3 * np.finfo(dtype).eps).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ends_and_what_is_no_number_stay_what_they_are(dtype):
    x = np.array([0.0, -0.0, 200.0, -200.0, np.inf, -np.inf, np.nan], dtype)
    out = np.empty_like(x)
    tanh_of(x, out)
    np.testing.assert_array_equal(out, [0.0, -0.0, 1, -1, 1, -1, np.nan])
    assert np.signbit(out).tolist()[:2] == [False, True]
    sigmoid_of(x, out)
    np.testing.assert_allclose(out, [0.5, 0.5, 1, 0, 1, 0, np.nan], atol=1e-37)
