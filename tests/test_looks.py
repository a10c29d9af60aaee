"""What is seen of a recurrent net's compiled loops, against values that the general pass keeps."""

import numpy as np
import pytest
import torch

from vanishing.engine import fused_recurrent, lane_sums, recurrent_pass, unroll_kernels
from vanishing.engine.forward import forward
from vanishing.engine.network import Network
from vanishing.engine.recurrent_pass import Kept, Looked, pass_of
from vanishing.engine.samples import samples_of
from vanishing.engine.through_time import measured_pass
from vanishing.parts.losses import LOSSES

from .test_fused_recurrent import CELLS, RUNS, TOLERANCE
from .test_recurrent import ANSWERS, CPU, INIT, SAMPLES, data_of, drawn, graph_of

STRETCHES = 3  # of as many time steps as a weight's gradient is summed over at once
LIMITS = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
    torch.float32: {"rtol": 2e-4, "atol": 2e-3},  # some slopes are 0 by the last bit of a tanh
}


def given(answer, dtype=torch.float64, count=SAMPLES, **settings):
    """A net, its parameters, which ask for gradients, and a batch for each of two runs."""
    graph, data = graph_of(answer, **settings), data_of(answer)
    net = Network.of(graph, data.shape)
    parameters = drawn(net, (INIT,) * RUNS, range(3, 3 + RUNS))
    parameters = {n: [t.to(dtype).requires_grad_() for t in g] for n, g in parameters.items()}
    samples = samples_of(data, [0], 0, 1, count, CPU)
    x, labels = (t.expand(RUNS, *t.shape) for t in samples.at(torch.arange(count), torch.float64))
    labels = labels.to(dtype) if labels.is_floating_point() else labels
    return net, parameters, x.to(dtype), labels


def both(net, parameters, x):
    """The pass that keeps its values, and the one that is looked at."""
    cell = fused_recurrent.cell_of(net, x)
    return Kept.of(net, parameters, x), Looked.of(net, cell, parameters, x)


def assert_same(found, expected, **limits):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == torch.float64
        torch.testing.assert_close(found[name], values, equal_nan=True, msg=name, **limits)


def assert_tell_the_same(kept, looked, total, weights, dtype=torch.float64):
    """Of values, of gates, and of a way back; ``total(outputs)`` is what it begins with."""
    limits = LIMITS[dtype]
    torch.testing.assert_close(looked.outputs, kept.outputs, **limits)
    assert_same(looked.of_values(), kept.of_values(), **limits)
    for layer in range(len(weights)):
        gates = zip(looked.of_gates(layer), kept.of_gates(layer), strict=True)
        for mine, theirs in gates:
            assert_same(mine, theirs, **limits)
    ways = [seen.back(total(seen.outputs), weights) for seen in (kept, looked)]
    for mine, theirs in zip(ways[1][1], ways[0][1], strict=True):
        most = limits["rtol"] * float(theirs.abs().max())
        torch.testing.assert_close(mine, theirs, rtol=limits["rtol"], atol=most)
    assert_same(looked.of_delta(ways[1][0]), kept.of_delta(ways[0][0]), **limits)
    steps = [seen.of_steps(delta) for seen, (delta, _) in zip((kept, looked), ways, strict=True)]
    torch.testing.assert_close(steps[1], steps[0], equal_nan=True, **limits)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("recurrence", CELLS)
def test_looks_tell_what_kept_values_tell(recurrence, activation, answer, dtype):
    settings = {"recurrence": recurrence, "activation": activation}
    net, parameters, x, labels = given(answer, dtype, **settings)
    loss = LOSSES["squared_error" if answer == "values" else "cross_entropy"]
    kept, looked = both(net, parameters, x)
    if answer == "every":  # another way back before it leaves no trace
        looked.back(looked.outputs.square().sum(), [], again=True)

    def total(outputs):
        return loss.per_sample(outputs, labels).sum()

    assert_tell_the_same(kept, looked, total, parameters["W"][: net.depth], dtype)


@pytest.mark.parametrize("width", [1, 16, 33, 40])
@pytest.mark.parametrize("recurrence", CELLS)
def test_looks_of_any_width_tell_what_kept_values_tell(recurrence, width):
    """Of less than what is read at once, of as much, and of more."""
    net, parameters, x, _ = given("every", recurrence=recurrence, width=width, depth=2)
    kept, looked = both(net, parameters, x)
    weights = parameters["W"][: net.depth]
    assert_tell_the_same(kept, looked, lambda outputs: outputs.square().sum(), weights)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_gate_that_is_just_nearly_shut_or_open_is_counted(dtype, monkeypatch):
    monkeypatch.setattr(recurrent_pass, "NEARLY", 0.5)
    net, parameters, x, _ = given("end", dtype, recurrence="lstm", activation="relu")
    with torch.no_grad():
        parameters["W"][0].zero_()
        parameters["b"][0].zero_()
        parameters["b"][0][1, 0, 0] = 1e-6
    width = net.architecture.width
    kept, looked = both(net, parameters, x)
    for gate, of_kept in zip(looked.of_gates(0), kept.of_gates(0), strict=True):
        assert_same(gate, of_kept, rtol=1e-12, atol=1e-12)
    taken, *others = looked.of_gates(0)
    assert taken["shut"].tolist() == [1, 1 - 1 / width]
    assert all((gate["shut"] == 1).all() for gate in others)
    assert all((gate["ajar"] == 0).all() for gate in (taken, *others))
    found = looked.of_values()
    assert (found["q"][:, 0] == 0).all()
    assert (found["dead_fraction"][:, 0] == 1).all()  # phi'(0) of a relu is 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", [0.0, 1e3, -1e9, np.inf, np.nan])
def test_the_spread_keeps_its_digits_far_from_0_and_from_the_first_number(first, dtype):
    """Numbers about 1000, whose squares about their mean are a millionth of a millionth."""
    values = (1e3 + 1e-3 * np.random.default_rng(0).standard_normal((8, 40))).astype(dtype)
    values[0, 3] = first
    part = values[:, 3:36]
    total, about = lane_sums.spread((values.ravel(), 3, 40, 8, 33))
    wide = part.astype(np.float64)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(total, wide.sum(), rtol=1e-12)
        np.testing.assert_allclose(about, ((wide - wide.mean()) ** 2).sum(), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("about", "none"), [(0.0, 2), (1e3, 2), (1e3, 0)])
def test_moments_are_those_of_all_columns_of_all_rows(about, none, dtype):
    """With zeros in some columns, and without: near each other are only all of the latter."""
    values = (about + 1e-3 * np.random.default_rng(0).standard_normal((8, 80))).astype(dtype)
    values[::2, 5 : 5 + none] = 0
    part = values[:, 3:76].astype(np.float64)
    some = values.ravel(), 3, 80, 8, 73
    total, squares, zeros = lane_sums.moments(some)
    apart = lane_sums.about_mean(total, squares, some, 0.0)
    assert total == pytest.approx(part.sum(), rel=1e-12)
    assert squares == pytest.approx((part**2).sum(), rel=1e-12)
    assert apart == pytest.approx(((part - part.mean()) ** 2).sum(), rel=1e-9)
    assert zeros == 4 * none


@pytest.mark.parametrize("size", [0.0, 1e-170, 1e-310, 1e160, float("nan"), float("inf")])
def test_delta_of_any_size_has_its_logarithm(size):
    """Squares of the first run's are 0 or infinite, or all that comes of it is."""
    net, parameters, x, _ = given("every", recurrence="gru")
    kept, looked = both(net, parameters, x)
    looked.back(looked.outputs.sum(), [], again=True)
    scale = torch.tensor([size, 1.0], dtype=torch.float64)

    def total(outputs):
        return (outputs.sum((1, 2, 3)) * scale).sum()

    weights = parameters["W"][: net.depth]
    ways = [seen.back(total(seen.outputs), weights)[0] for seen in (kept, looked)]
    found, expected = looked.of_delta(ways[1]), kept.of_delta(ways[0])
    assert_same(found, expected, rtol=1e-10, atol=1e-12)
    assert found["log10_rms"][1].isfinite().all()
    assert found["log10_rms"][0].isfinite().all() == (0 < size < 1e200)
    torch.testing.assert_close(
        looked.of_steps(ways[1]), kept.of_steps(ways[0]), rtol=1e-10, atol=1e-12, equal_nan=True
    )


def test_steps_without_an_error_do_not_hide_the_others():
    """The error of the first answer reaches no later step, and tiny ones do not count for more."""
    net, parameters, x, _ = given("every")
    for first in (1.0, 1e-170):
        scale = torch.zeros(RUNS, 1, x.shape[2] // 3, 1, dtype=torch.float64)
        scale[:, :, 2], scale[:, :, 4] = first, 1e-200
        kept, looked = both(net, parameters, x)
        looked.back(looked.outputs.sum(), [], again=True)
        weights = parameters["W"][: net.depth]
        ways = [seen.back((seen.outputs * scale).sum(), weights)[0] for seen in (kept, looked)]
        found = looked.of_delta(ways[1])
        assert_same(found, kept.of_delta(ways[0]), rtol=1e-10, atol=1e-12)
        assert (found["zero"] > 0.25).all()
        assert looked.of_steps(ways[1])[:, :, 5:].isnan().all()


@pytest.mark.parametrize("where", ["W", "b"])
@pytest.mark.parametrize("recurrence", CELLS)
def test_a_run_that_is_not_finite_is_told_so_and_spoils_no_other(recurrence, where):
    net, parameters, x, _ = given("end", recurrence=recurrence, activation="relu")
    with torch.no_grad():
        parameters[where][0][0, 0, -1] = -torch.inf
    kept, looked = both(net, parameters, x)
    found, expected = looked.of_values(), kept.of_values()
    others = [{name: values[1:] for name, values in seen.items()} for seen in (found, expected)]
    assert_same(*others, rtol=1e-12, atol=1e-12)
    assert torch.equal(found["h_finite"], expected["h_finite"])
    assert (found["h_finite"][0] < 1).any()
    assert (found["h_finite"][1] == 1).all()


@pytest.mark.parametrize("recurrence", CELLS)
def test_dead_units_are_those_whose_slope_is_0_at_every_step_and_sample(recurrence):
    net, parameters, x, _ = given("end", recurrence=recurrence, activation="relu")
    with torch.no_grad():
        parameters["b"][0][0, 0, -2:] = -1e6
    share = pass_of(net, parameters, x).of_values()["dead_fraction"]
    assert share[0, 0] == pytest.approx(2 / net.architecture.width)
    assert share[1, 0] == 0


def test_gradients_of_many_samples_are_summed_stretch_by_stretch():
    net, parameters, x, labels = given("end", recurrence="lstm", depth=2)
    steps = net.architecture.sequence[0]
    assert -(-steps // (unroll_kernels.TERMS // x.shape[1])) == STRETCHES
    weights = parameters["W"][: net.depth]
    found = measured_pass(net, parameters, LOSSES["cross_entropy"], x, labels, weights)[1]
    kept = Kept.of(net, parameters, x)
    total = LOSSES["cross_entropy"].per_sample(kept.outputs, labels).mean(1).sum()
    for mine, theirs in zip(found, kept.back(total, weights)[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_only_a_net_with_compiled_loops_is_looked_at():
    for settings, kind in (({}, Looked), ({"norm": "layer"}, Kept), ({"truncation": 3}, Kept)):
        net, parameters, x, _ = given("end", **settings)
        assert type(pass_of(net, parameters, x)) is kind


def test_a_pass_that_is_looked_at_is_the_same_pass_to_the_last_bit():
    for recurrence in CELLS:
        net, parameters, x, labels = given("every", torch.float32, recurrence=recurrence)
        tensors = [t for group in parameters.values() for t in group]
        loss = LOSSES["cross_entropy"]
        losses, gradients, _, _ = measured_pass(net, parameters, loss, x, labels, tensors)
        outputs, _, _ = forward(net, parameters, x, values=False)
        plain = loss.per_sample(outputs, labels).mean(1)
        assert torch.equal(losses, plain)
        for mine, theirs in zip(gradients, torch.autograd.grad(plain.sum(), tensors), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
