"""Activations: the contract that every registered one keeps, and what the contract catches."""

import math
import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from vanishing.contract.activations import activation_problems
from vanishing.contract.formulas import evaluate
from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS, Activation

OTHERS = [
    "leaky_relu(slope=0.3)", "leaky_relu(slope=1)", "prelu(start=0)", "elu(alpha=0.5)",
    "celu(alpha=2)", "sine(frequency=30)", "shifted_tanh(shift=0)", "shifted_tanh(shift=-2.5)",
]  # fmt: skip
REFERENCES = {
    "sigmoid": functional.sigmoid,
    "hard_sigmoid": lambda h: functional.relu6(h + 3) / 6,
    "tanh": functional.tanh,
    "hard_tanh": lambda h: h.clamp(-1, 1),
    "softsign": functional.softsign,
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "prelu": lambda h: functional.prelu(h, torch.tensor([0.25], dtype=h.dtype)),
    "elu": functional.elu,
    "selu": functional.selu,
    "celu": functional.celu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda h: functional.gelu(h, approximate="tanh"),
    "silu": functional.silu,
    "mish": functional.mish,
    "softplus": lambda h: torch.logaddexp(h, torch.zeros_like(h)),
    "relu6": functional.relu6,
}
H = torch.linspace(-8, 8, 1001, dtype=torch.float64)


@pytest.mark.parametrize("label", [*ACTIVATIONS, *OTHERS])
def test_activation_keeps_its_contract(label):
    assert activation_problems(ACTIVATIONS[label]) == []


@pytest.mark.parametrize("label", [*ACTIVATIONS, *OTHERS])
def test_a_registered_activation_states_its_formula_and_source(label):
    assert ACTIVATIONS[label].formula
    assert ACTIVATIONS[label].source.split()[-1].isdigit()  # the year


@pytest.mark.parametrize("name", REFERENCES)
def test_activation_equals_that_of_torch(name):
    torch.testing.assert_close(ACTIVATIONS[name].phi(H), REFERENCES[name](H))


# What the contract catches


class WrongSlope(torch.autograd.Function):
    """A tanh whose derivative is a thousandth too large."""

    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h)
        return torch.tanh(h)

    @staticmethod
    def backward(ctx, gradient):
        (h,) = ctx.saved_tensors
        return 1.001 * gradient * (1 - torch.tanh(h) ** 2)


def unheard(h, a=0.25):
    """A prelu whose slope gets no gradient."""
    return torch.where(h > 0, h, (a.detach() if isinstance(a, torch.Tensor) else a) * h)


PLANTED = {
    "wrong derivative": (Activation(lambda h: WrongSlope.apply(h), ""), "differences of phi give"),
    "missing kink": (
        Activation(lambda h: functional.hardtanh(h), "", kinks=(1.0,)), r"jumps at h = -1,"),
    "missing jump": (
        Activation(lambda h: h + (h > 0.3).to(h.dtype), ""), r"jumps at h = 0\.3, .* leaves out"),
    "kink too many": (
        Activation(lambda h: torch.tanh(h), "", kinks=(2.0,)), "neither phi nor phi' jumps"),
    "far kink too many": (
        Activation(lambda h: torch.tanh(h), "", kinks=(20.0,)), "neither phi nor phi' jumps"),
    "wrong formula": (Activation(lambda h: torch.tanh(h), "", "tanh(2 h)"), "the formula"),
    "strange formula": (Activation(lambda h: torch.tanh(h), "", "tangent(h)"), "is none of"),
    "broken formula": (Activation(lambda h: torch.tanh(h), "", "tanh(h"), "cannot be read"),
    "foreign sign": (Activation(lambda h: torch.tanh(h), "", "h > 0"), "cannot be read from '> 0'"),
    "undeclared wave": (Activation(lambda h: torch.sin(30 * h), ""), "frequency if it oscillates"),
    "wrong frequency": (
        Activation(lambda h: torch.sin(30 * h), "", frequency=1.0), "frequency if it oscillates"),
    "softmax": (Activation(lambda h: torch.softmax(h, -1), ""), "must be elementwise"),
    "mean": (Activation(lambda h: h.mean(-1), ""), "keep shape and dtype"),
    "float64 only": (Activation(lambda h: h.double(), ""), "keep shape and dtype"),
    "logarithm": (Activation(lambda h: torch.log(h), ""), "not finite at h = -8"),
    "other default": (
        Activation(lambda h, a=0.5: a * h, "", learned=(0.25,)), "give the parameters these"),
    "no gradient": (Activation(unheard, "", kinks=(0.0,), learned=(0.25,)), "the gradient by a"),
    "one slope for all": (
        Activation(lambda h, a=0.25: torch.as_tensor(a).max() * h, "", learned=(0.25,)),
        "not phi run by run"),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_the_contract_catches(fault):
    activation, message = PLANTED[fault]
    problems = activation_problems(activation)
    assert any(re.search(message, problem) for problem in problems), problems


def test_a_part_with_phi_and_source_alone_keeps_the_contract():
    assert activation_problems(Activation(lambda h: torch.tanh(h), "a user's own")) == []
    assert activation_problems(Activation(lambda h: 0 * h + 1, "a constant")) == []


def test_a_formula_reads_as_people_read_it():
    h = np.array([-2.0, 0.5])
    np.testing.assert_allclose(evaluate("2 h (h + 1)² / 4", {"h": h}), h * (h + 1) ** 2 / 2)
    np.testing.assert_allclose(
        evaluate("-h² + |h - 1| π", {"h": h}), -(h**2) + abs(h - 1) * math.pi
    )
    np.testing.assert_allclose(evaluate("√(2) a h Φ(0)", {"h": h, "a": 3.0}), 1.5 * 2**0.5 * h)


# Learned parameters


def test_each_run_of_a_stack_has_its_own_slope():
    h = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.tensor([0.1, 0.7], dtype=torch.float64)[:, None, None]
    prelu = ACTIVATIONS["prelu"]
    expected = torch.where(h > 0, h, slope * h)
    torch.testing.assert_close(prelu.phi(h, slope), expected)
    torch.testing.assert_close(prelu.derivative(h, slope), expected / h)
    assert prelu.learned == (0.25,)


def test_celu_refuses_an_alpha_that_divides_by_zero():
    with pytest.raises(UserError, match="alpha must be above 0, and 0 came"):
        ACTIVATIONS["celu(alpha=0)"]


# Saturation


@pytest.mark.parametrize("label", [*ACTIVATIONS, *OTHERS])
def test_saturated_units_are_those_with_a_small_derivative(label):
    activation = ACTIVATIONS[label]
    slope = activation.derivative(H)
    low, high = activation.saturated(H, slope)
    assert torch.equal(low | high, slope.abs() <= 0.1 * activation.peak[1])
    assert not (low & high).any()
    assert activation.peak[1] >= slope.abs().max() * (1 - 1e-6)


def test_sigmoid_saturates_on_both_sides_alike_and_relu_below_only():
    sigmoid, relu = ACTIVATIONS["sigmoid"], ACTIVATIONS["relu"]
    low, high = sigmoid.saturated(H, sigmoid.derivative(H))
    assert low.sum() == high.sum() > 0
    low, high = relu.saturated(H, relu.derivative(H))
    assert torch.equal(low, H <= 0)
    assert not high.any()


def test_relu6_saturates_on_both_sides_and_the_valley_of_a_silu_below():
    relu6, silu = ACTIVATIONS["relu6"], ACTIVATIONS["silu"]
    low, high = relu6.saturated(H, relu6.derivative(H))
    assert torch.equal(low, H <= 0)
    assert torch.equal(high, H >= 6)
    low, high = silu.saturated(H, silu.derivative(H))
    assert low[(H + 1.2785).abs().argmin()]  # where phi' is 0
    assert not high.any()
    assert silu.peak[0] == pytest.approx(2.3994, abs=1e-3)


def test_a_slope_without_bound_is_largest_at_the_end_of_the_range():
    assert ACTIVATIONS["squared_relu"].peak == pytest.approx((12, 24))
