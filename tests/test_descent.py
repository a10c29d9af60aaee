"""What plain gradient descent tells while it is made, against what its tensors tell."""

import numpy as np
import pytest
import torch

from vanishing.engine.descent import Descent
from vanishing.engine.network import Network
from vanishing.engine.samples import samples_of
from vanishing.engine.stack import Budget, Stack, advance
from vanishing.engine.training import train_stack
from vanishing.engine.update_kernels import descend_and_tell

from .small import CPU, data_of, graph_of

RUNS = (["he", "xavier", "he"], [0, 1, 2], [0.1, 0.3, 0.0])
NAMES = ("total_change", "update_ratio", "consecutive_cosine")
STEPS = 6
# The steps of tensors are rounded one by one.
ROUNDED = {"update_ratio": 1e-7}


def stack_of(tells, frozen=0, **changes):
    graph, data = graph_of(steps=STEPS, **changes), data_of()
    net, budget = Network.of(graph, data.shape), Budget.of(graph)
    samples = samples_of(data, RUNS[1], STEPS, budget.batch, budget.probe_batch, CPU)
    stack = Stack.of(net, budget, samples, RUNS, torch.float32, frozen)
    stack.descent = Descent() if tells else None
    return stack


def tells(stack):
    return stack.descent is not None and not stack.frozen


def told(stack, steps, looked_at=False):
    """What is told of an update after each of the ``steps``, all of which are asked about."""
    found, last = [], None
    for step in steps:
        last = advance(stack, step, True, looked_at, last and last.gradients)
        assert (last.gradients is None) == tells(stack)
        found.append(last.moved)
    return found


@pytest.mark.parametrize("width", [7, 8, 12])
@pytest.mark.parametrize("looked_at", [False, True])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("residual", ["none", "identity"])
def test_it_tells_what_the_tensors_of_an_update_tell(norm, residual, looked_at, width):
    """And makes the same update, to the last bit."""
    settings = {"norm": norm, "residual": residual, "width": width}
    stacks = [stack_of(tells, **settings) for tells in (True, False)]
    found, expected = (told(stack, (1, 2, 3), looked_at) for stack in stacks)
    for step in range(3):
        for name in NAMES:
            mine, theirs = (of[step][name] for of in (found, expected))
            assert mine.dtype == torch.float64
            rtol = ROUNDED.get(name, 1e-10)
            torch.testing.assert_close(mine, theirs, rtol=rtol, atol=1e-14, equal_nan=True)
    assert found[0]["consecutive_cosine"].isnan().all()
    assert found[2]["consecutive_cosine"].isfinite().all()
    assert (found[2]["total_change"][2] == 0).all()  # of a run whose rate is 0
    for name, tensors in stacks[0].parameters.items():
        assert all(map(torch.equal, tensors, stacks[1].parameters[name]))


@pytest.mark.parametrize("size", [1e-44, 1e-36, 1e-30, 1.0, 1e30, 1e37, np.inf, np.nan])
@pytest.mark.parametrize("count", [5, 64, 69])
@pytest.mark.parametrize("rate", [0.03, 0.0, np.inf])
def test_steps_are_told_as_float32_has_them(rate, count, size):
    """Of sizes that it holds no longer, to those that it does not hold yet."""
    drawn = np.random.default_rng(0).standard_normal((4, count)).astype(np.float32)
    w, g, kept, start = drawn
    g *= np.float32(size)
    g[2] = 0
    rate, out = np.float32(rate), np.empty(5)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = (g * rate).astype(np.float64)
        expected = w - g * rate
    total, of_g, zeros = descend_and_tell(w, g, rate, kept, start, out)
    assert of_g == out[0] or np.isnan(of_g)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(total, g.sum(dtype=np.float64), rtol=1e-9)
    assert zeros == (g == 0).sum() > 0
    np.testing.assert_allclose(out[2], (steps**2).sum(), rtol=1e-7)
    np.testing.assert_allclose(w, expected, rtol=1e-6, atol=1e-7)
    moved = np.float64(w) - np.float64(start)
    with np.errstate(invalid="ignore"):
        for found, of in ((out[3], np.float64(w)), (out[4], moved)):
            np.testing.assert_allclose(found, (of**2).sum(), rtol=1e-12)
    np.testing.assert_array_equal(kept, g)


def test_an_update_is_compared_with_none_but_the_update_before():
    stacks = [stack_of(tells) for tells in (True, False)]
    for stack in stacks:
        told(stack, (1, 2))
        advance(stack, 3)  # nobody asks
    stack, other = stacks
    [after_a_gap], [expected] = told(stack, (4,)), told(other, (4,))
    ratios = (of["update_ratio"] for of in (after_a_gap, expected))
    torch.testing.assert_close(*ratios, rtol=ROUNDED["update_ratio"], atol=0)
    [next_to_it] = told(stack, (5,))
    assert after_a_gap["consecutive_cosine"].isnan().all()
    assert next_to_it["consecutive_cosine"].isfinite().all()


def test_a_gradient_of_zero_has_no_cosine_and_nothing_over_nothing_is_missing():
    stack = stack_of(tells=True, activation="relu")
    with torch.no_grad():
        for tensors in (stack.parameters, stack.initial):
            tensors["W"][1][0] = 0
    _, found = told(stack, (1, 2))
    assert found["consecutive_cosine"][0].isnan().all()
    assert found["total_change"][0, 1].isnan()
    assert found["consecutive_cosine"][1:].isfinite().all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_run_that_diverges_tells_nothing_of_the_others(value):
    broken, whole = (stack_of(tells=True) for _ in range(2))
    with torch.no_grad():
        broken.parameters["W"][1][0, 0, 0] = value
    found, expected = (told(stack, (1, 2)) for stack in (broken, whole))
    for name in NAMES:
        assert not found[1][name][0].isfinite().any()
        assert torch.equal(found[1][name][1:], expected[1][name][1:])


@pytest.mark.parametrize(
    "changes", [{"optimizer": "momentum"}, {"clip": "norm(limit=1)"}, {"activation": "gelu"}]
)
def test_other_updates_are_told_by_their_tensors(changes):
    stack = stack_of(tells=True, **changes)
    update = advance(stack, 1, True)
    assert stack.descent.step == 0
    assert all(map(torch.is_tensor, update.gradients))
    assert update.moved["update_ratio"].isfinite().all()


def test_frozen_layers_do_not_descend():
    stacks = [stack_of(tells, frozen=1) for tells in (True, False)]
    found, expected = (told(stack, (1, 2)) for stack in stacks)
    assert (found[1]["total_change"][:, 0] == 0).all()
    for name in NAMES:
        assert torch.equal(found[1][name].nan_to_num(), expected[1][name].nan_to_num())
    for name, tensors in stacks[0].parameters.items():
        assert torch.equal(tensors[0], stacks[0].initial[name][0])
        assert all(map(torch.equal, tensors, stacks[1].parameters[name]))


@pytest.mark.parametrize("steps", [list(range(STEPS + 1)), [0, 2, 3, STEPS]])
@pytest.mark.parametrize("own_pass", [False, True])
def test_a_training_logs_the_same_without_it(own_pass, steps, monkeypatch):
    """Also where an update is only told of because the next one is compared with it."""
    probes = {"steps": steps, "batch": 16, "blocks": [], "own_pass": own_pass}
    graph, data = graph_of(steps=STEPS, probes=probes), data_of()

    def trained():
        net, budget = Network.of(graph, data.shape), Budget.of(graph)
        return train_stack(net, budget, data, *RUNS, CPU)

    with_it = trained()
    monkeypatch.setattr("vanishing.engine.training.Descent", lambda: None)
    without = trained()
    np.testing.assert_array_equal(with_it.losses, without.losses)
    for step, measures in without.measures.items():
        assert with_it.measures[step].keys() == measures.keys()
        for name, values in measures.items():
            found = with_it.measures[step][name]
            rtol = ROUNDED.get(name, 1e-10)
            np.testing.assert_allclose(found, values, rtol=rtol, atol=1e-14, err_msg=name)
