"""Quadrature and critical points of every activation, against finer rules and closed forms."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from vanishing.parts.activations import ACTIVATIONS, Activation
from vanishing.theory import fixed_points
from vanishing.theory.fixed_points import CriticalPoint, critical_point
from vanishing.theory.gaussian import expect_pair
from vanishing.theory.interpolation import pairs, ratios
from vanishing.theory.maps import chi_1, mean, mean_pair, moments, q_map

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


def rule(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes between each two edges, and weights times the standard normal density."""
    half = np.diff(edges)[:, None] / 2
    z = (edges[:-1, None] + half * (1 + NODES)).ravel()
    return z, (half * WEIGHTS).ravel() * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def at(f: Callable[[Tensor], Tensor], h: np.ndarray) -> np.ndarray:
    return f(torch.from_numpy(h)).numpy()


def fine_mean(f: Callable[[Tensor], Tensor], q: float, kinks: tuple[float, ...]) -> float:
    """Panels of .01 in z, and of .125 in h up to 40, cut at kinks."""
    scale = math.sqrt(q)
    near = [np.arange(-40, 40.01, 0.125) / scale, np.array([0.0, *kinks]) / scale]
    edges = np.unique(np.clip(np.concatenate([np.arange(-13, 13.001, 0.01), *near]), -13, 13))
    z, weight = rule(edges)
    return float(at(f, scale * z) @ weight)


def fine_mean_pair(
    f: Callable[[Tensor], Tensor], q: float, c: float, kinks: tuple[float, ...]
) -> float:
    """v = c u + ...: at each u the mean over v, cut at its kinks; panels shrink towards all."""
    scale, rest = math.sqrt(q), math.sqrt(1 - c**2)
    places = np.array(sorted({0.0, *kinks})) / scale

    def edges(centres: np.ndarray) -> np.ndarray:
        shrinking = [x + sign * 2.0 ** -np.arange(12) for x in centres for sign in (-1, 1)]
        return np.unique(
            np.clip(np.concatenate([np.linspace(-9, 9, 37), centres, *shrinking]), -9, 9)
        )

    z, weight = rule(edges(np.concatenate([places, places / c])))
    total = 0.0
    for x, share in zip(z, weight * at(f, scale * z), strict=True):
        if abs(share) > 1e-13:
            y, inner = rule(edges((places - c * x) / rest))
            total += share * float(at(f, scale * (c * x + rest * y)) @ inner)
    return total


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("q", [1e-3, 0.3, 7.0, 300.0])
def test_moments_equal_those_of_a_finer_rule(name: str, q: float) -> None:
    activation = ACTIVATIONS[name]
    phi, slope = activation.phi, activation.derivative
    functions = {
        "mean": phi,
        "square": lambda h: phi(h) ** 2,
        "derivative": lambda h: slope(h) ** 2,
        "lean": lambda h: h * slope(h),
        "pull": lambda h: h * slope(h) * phi(h),
        "tilt": lambda h: slope(h) ** 2 * phi(h),
        "fourth": lambda h: slope(h) ** 2 * phi(h) ** 2,
    }
    found = moments(activation, q)
    assert set(functions) == set(found._fields)
    for field, f in functions.items():
        known = fine_mean(f, q, activation.kinks)
        assert getattr(found, field) == pytest.approx(known, rel=1e-8, abs=1e-9), field


@pytest.mark.parametrize("name", ["hard_tanh", "hard_sigmoid", "relu6", "selu", "mish"])
@pytest.mark.parametrize(("q", "c"), [(0.2, 0.9), (9.0, 0.4), (400.0, -0.7)])
def test_means_over_pairs_equal_those_of_a_finer_rule(name: str, q: float, c: float) -> None:
    activation = ACTIVATIONS[name]
    for f in (activation.phi, activation.derivative):
        own = float(mean(activation, lambda h, f=f: f(h) ** 2, q))
        known = fine_mean_pair(f, q, c, activation.kinks)
        assert mean_pair(activation, f, q, c) == pytest.approx(known, abs=1e-7 * own)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("q", [0.1, 2.0, 150.0])
def test_a_pair_of_equals_is_one_variable_and_strangers_are_independent(
    name: str, q: float
) -> None:
    activation = ACTIVATIONS[name]
    for f in (activation.phi, activation.derivative):
        square = float(mean(activation, lambda h, f=f: f(h) ** 2, q))
        assert mean_pair(activation, f, q, 1.0) == pytest.approx(square, rel=1e-6)
        apart = float(mean(activation, f, q)) ** 2
        assert mean_pair(activation, f, q, 0.0) == pytest.approx(apart, abs=1e-6 * square)


@pytest.mark.parametrize("q", [1e-3, 1.0, 3e2, math.exp(12), 1e12])
@pytest.mark.parametrize("frequency", [1.0, 30.0])
def test_a_sine_has_its_closed_forms_at_every_q(q: float, frequency: float) -> None:
    sine = ACTIVATIONS[f"sine(frequency={frequency})"]
    phase = frequency**2 * q
    square = -math.expm1(-2 * phase) / 2
    np.testing.assert_allclose(q_map(sine, q, 1.5, 0.2), 2.25 * square + 0.04, rtol=1e-9)
    np.testing.assert_allclose(chi_1(sine, q, 1.0), frequency**2 * (1 - square), rtol=1e-9)
    for c in (0.3, 1 - 1 / phase if phase > 1 else 0.9):
        known = (math.exp(-phase * (1 - c)) - math.exp(-phase * (1 + c))) / 2
        assert expect_pair(sine.phi, sine.phi, q, c, (), frequency) == pytest.approx(
            known, rel=1e-4 if q > 1e10 else 1e-8, abs=1e-9  # the phase itself is rounded
        )  # fmt: skip


def test_the_ratios_of_a_sine_follow_their_closed_forms() -> None:
    log_q = np.array([-6.2, -0.3, 1.1, 3.7, 7.9, 12.0])
    found, q = ratios(ACTIVATIONS["sine"], log_q), np.exp(log_q)
    two, four = np.exp(-2 * q), np.exp(-8 * q)
    np.testing.assert_allclose(np.exp(found.log_square), (1 - two) / 2, rtol=1e-3)
    np.testing.assert_allclose(np.exp(found.log_slope), (1 + two) / 2, rtol=1e-3)
    fourth = (3 - 4 * two + four) / 8  # E sin^4
    np.testing.assert_allclose(found.kurtosis, fourth / ((1 - two) / 2) ** 2, rtol=1e-3)
    np.testing.assert_allclose(found.elasticity, 2 * q * two / (1 - two), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_far_from_1_ratios_are_right_or_not_a_number_and_never_warn(name: str) -> None:
    for log_q in (-600.0, -60.0, 30.0, 600.0):
        found = ratios(ACTIVATIONS[name], np.full((2, 3), log_q))
        assert found.log_square.shape == (2, 3)
        share = pairs(ACTIVATIONS[name], np.array([log_q]), np.array([0.5])).phi
        assert np.isnan(share).all() or ((share >= 0) & (share <= 1)).all()


def test_a_hard_tanh_has_its_closed_forms_at_any_scale() -> None:
    hard = ACTIVATIONS["hard_tanh"]
    for q in (1e-2, 1.0, 1e3, 1e15):
        inside = math.erf(1 / math.sqrt(2 * q))
        edge = math.sqrt(2 * q / math.pi) * math.exp(-1 / (2 * q))
        np.testing.assert_allclose(chi_1(hard, q, 1.0), inside, rtol=1e-10)
        known = q * inside - edge + 1 - inside
        np.testing.assert_allclose(q_map(hard, q, 1.0), known, rtol=1e-10, atol=1e-14 * q)


# Critical points

CRITICAL = {
    "linear": 1, "tanh": 1, "hard_tanh": 1, "softsign": 1, "arctan": 1, "sine": 1, "elu": 1,
    "celu": 1, "erf": math.sqrt(math.pi) / 2, "selu": math.sqrt(2 / (1 + 1.67326**2)) / 1.05070,
    "relu": math.sqrt(2), "relu6": math.sqrt(2), "softplus": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)), "prelu": math.sqrt(2 / (1 + 0.25**2)),
    "squared_relu": math.sqrt(2 / 3), "sine(frequency=30)": 1 / 30,
    "elu(alpha=0.5)": math.sqrt(2 / (1 + 0.5**2)),
}  # fmt: skip
JUMPING = ["gelu", "gelu_tanh", "silu", "mish", "squared_relu"]


@pytest.mark.parametrize("label", CRITICAL)
def test_the_critical_sigma_w_is_the_known_one(label: str) -> None:
    found = fixed_points.critical_sigma_w(ACTIVATIONS[label])
    assert found == pytest.approx(CRITICAL[label], rel=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("sigma_b", [0.0, 0.1])
def test_gradients_vanish_below_the_critical_sigma_w_and_explode_above(
    name: str, sigma_b: float
) -> None:
    activation = ACTIVATIONS[name]
    point = critical_point(activation, sigma_b)
    below, above = (
        fixed_points.chi_1_star(activation, point.sigma_w * by, sigma_b) for by in (0.999, 1.001)
    )
    assert below < 1 < above
    if 0 < point.q_star < math.inf:
        moved = float(q_map(activation, point.q_star, point.sigma_w, sigma_b))
        assert moved == pytest.approx(point.q_star, rel=1e-8)
        known = float(chi_1(activation, point.q_star, point.sigma_w))
        assert point.chi_1 == pytest.approx(known, rel=1e-12)
    if name not in JUMPING:
        assert point.chi_1 == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", JUMPING)
def test_where_q_star_jumps_a_q_of_1_stays_and_its_gradient_grows(name: str) -> None:
    point = critical_point(ACTIVATIONS[name])
    assert point.q_star == 1
    assert point.chi_1 > 1.05
    assert point.sigma_w**2 * moments(ACTIVATIONS[name], 1.0).square == pytest.approx(1)


def test_critical_points_lie_at_0_at_1_where_all_q_stay_at_infinity_and_between() -> None:
    assert [critical_point(ACTIVATIONS[name]).q_star for name in ("tanh", "relu", "softplus")] == [
        0, 1, math.inf]  # fmt: skip
    assert critical_point(ACTIVATIONS["sigmoid"]) == pytest.approx(
        CriticalPoint(10.149, 45.62, 1.0), rel=1e-3
    )


def test_what_has_no_slope_has_no_critical_point() -> None:
    assert critical_point(Activation(lambda h: 0 * h + 1, "a constant")) is None
    assert critical_point(Activation(lambda h: 0 * h, "nothing")) is None


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_fixed_point_is_one_from_any_start(name: str) -> None:
    activation = ACTIVATIONS[name]
    for start in (1e-3, 1.0, 40.0):
        q = fixed_points.q_star(activation, 1.3, 0.3, start)
        if 0 < q < math.inf:
            assert float(q_map(activation, q, 1.3, 0.3)) == pytest.approx(q, rel=1e-9)
        c = fixed_points.c_star(activation, 1.3, 0.3)
        assert c is None or 0 <= c <= 1
