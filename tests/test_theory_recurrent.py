"""The theory of gradients through time, against plain loops over the steps in float64."""

import math

import numpy as np
import pytest
import torch

from vanishing.parts.activations import ACTIVATIONS, Activation
from vanishing.parts.inits import INITS
from vanishing.parts.recurrences import RECURRENCES
from vanishing.theory.population import Steps, population
from vanishing.theory.recurrent import MOST_STEPS, Spread, Unrolled, unrolled
from vanishing.theory.slope import lag_slope

STEPS, SAMPLES = 50, 24
PHI = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "linear": lambda h: h,
    "sigmoid": torch.sigmoid,
}


def adding_problem() -> np.ndarray:
    """A number in [0, 1] at each step, and two steps that are marked."""
    random = np.random.default_rng(1)
    x = np.zeros((SAMPLES, STEPS, 2))
    x[..., 0] = random.random((SAMPLES, STEPS))
    first, second = random.integers(0, 25, SAMPLES), random.integers(25, 50, SAMPLES)
    x[np.arange(SAMPLES), first, 1] = x[np.arange(SAMPLES), second, 1] = 1
    return x


INPUTS = {
    "adding": adding_problem(),
    "gaussian": np.random.default_rng(2).standard_normal((SAMPLES, STEPS, 2)),
}


def theory(activation: str, init: str, x: np.ndarray, **given: object) -> Unrolled:
    """The prediction, for one vanilla layer of 256 units unless ``given`` says otherwise."""
    wanted = {"norm": "none", "recurrence": "vanilla", "depth": 1, "width": 256, **given}
    return unrolled(
        ACTIVATIONS[activation], INITS[init], wanted["norm"],
        RECURRENCES[wanted["recurrence"]], x, wanted["depth"], wanted["width"],
    )  # fmt: skip


def gaussian(sigma: float, rows: int, units: int, generator: torch.Generator) -> torch.Tensor:
    """W ~ N(0, sigma^2 / rows)."""
    draw = torch.randn(rows, units, dtype=torch.float64, generator=generator)
    return sigma / math.sqrt(rows) * draw


def orthogonal(gain: float, rows: int, units: int, generator: torch.Generator) -> torch.Tensor:
    """Rows, or columns, at right angles."""
    return torch.nn.init.orthogonal_(
        torch.empty(rows, units, dtype=torch.float64), gain, generator=generator
    )


def last_step(a: torch.Tensor, h: list[torch.Tensor], generator: torch.Generator) -> np.ndarray:
    """log10 rms of dL/dh_t for each h_t, L the sum of ``a`` times a random vector."""
    head = torch.randn(a.shape[1], dtype=torch.float64, generator=generator)
    found = torch.autograd.grad((a @ head).sum(), h)
    return np.array([float((d**2).mean().log10() / 2) for d in found])


def plain(phi: object, weights: list, x: np.ndarray, seed: int, norm: bool = False) -> np.ndarray:
    """The profiles, (layers, steps), of a stack of vanilla layers of ``weights`` (W, U) each."""
    below, kept = list(torch.from_numpy(x).unbind(1)), []
    for w, u in weights:
        a, outputs = torch.zeros(len(x), len(u), dtype=torch.float64), []
        for t in range(x.shape[1]):
            h = (below[t] @ w + a @ u).requires_grad_()
            if norm:
                h = (h - h.mean(1, True)) / (h.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
            a = phi(h)
            kept.append(h)
            outputs.append(a)
        below = outputs
    flat = last_step(below[-1], kept, torch.Generator().manual_seed(1000 + seed))
    return flat.reshape(len(weights), -1)


def loops(
    activation: str, draw: object, scale: float, x: np.ndarray, seeds: int, depth: int = 1,
    width: int = 256, norm: bool = False,
) -> np.ndarray:  # fmt: skip
    """Mean profiles, (layers, steps), of plain loops, each with weights of its own."""
    found = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        weights = [
            (
                draw(scale, x.shape[2] if layer == 0 else width, width, generator),
                draw(scale, width, width, generator),
            )
            for layer in range(depth)
        ]
        found.append(plain(PHI[activation], weights, x, seed, norm))
    return np.mean(found, axis=0)


@pytest.mark.parametrize("inputs", INPUTS)
def test_orthogonal_tanh_is_within_5_thousandths_of_a_decade_per_step(inputs):
    x = INPUTS[inputs]
    measured = loops("tanh", orthogonal, 1.0, x, seeds=6)
    predicted = theory("tanh", "orthogonal", x)
    assert predicted.lag_slope == pytest.approx(float(lag_slope(measured[0, ::-1])), abs=0.002)
    np.testing.assert_allclose(predicted.log10_delta_rms, measured, atol=0.05)


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize(
    ("activation", "init", "sigma"),
    [
        ("tanh", "gaussian(sigma_w=0.9)", 0.9),
        ("tanh", "gaussian(sigma_w=1.0)", 1.0),
        ("tanh", "gaussian(sigma_w=1.5)", 1.5),
        ("relu", "he", math.sqrt(2)),
        ("sigmoid", "lecun", 1.0),
    ],
)
def test_gaussian_weights_are_within_what_their_width_adds(activation, init, sigma, inputs):
    # At width 256 a draw's slope has an sd of .006 to .016, a mean of 16 a fourth of it; what
    # 1 / width adds to the mean is under .006, and a fourth of that at width 1024.
    measured = loops(activation, gaussian, sigma, INPUTS[inputs], seeds=16)
    predicted = theory(activation, init, INPUTS[inputs])
    assert predicted.lag_slope == pytest.approx(float(lag_slope(measured[0, ::-1])), abs=0.01)


def test_each_sample_has_a_drive_of_its_own():
    x = INPUTS["gaussian"] * np.where(np.arange(SAMPLES) % 4 == 0, 3.0, 0.1)[:, None, None]
    alike = np.sqrt((x**2).mean((0, 2)))[None, :, None] * np.ones((1, 1, 2))
    measured = float(lag_slope(loops("tanh", orthogonal, 1.0, x, seeds=4, width=128)[0, ::-1]))
    own, mean = (theory("tanh", "orthogonal", z, width=128).lag_slope for z in (x, alike))
    assert own == pytest.approx(measured, abs=0.003)
    assert abs(mean - measured) > 5 * abs(own - measured)


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
def test_linear_orthogonal_net_changes_by_its_gain_exactly(gain):
    predicted = theory("linear", f"orthogonal(gain={gain})", INPUTS["adding"])
    measured = loops("linear", orthogonal, gain, INPUTS["adding"], seeds=1, width=32)
    assert predicted.lag_slope == pytest.approx(math.log10(gain), abs=1e-10)
    assert float(lag_slope(measured[0, ::-1])) == pytest.approx(math.log10(gain), abs=1e-10)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("inputs", INPUTS)
def test_identity_relu_follows_each_unit(inputs, depth):
    found = []
    for seed in range(3):
        generator, weights = torch.Generator().manual_seed(seed), []
        for layer in range(depth):
            rows = 256 if layer else 2
            w = gaussian(0.001 * math.sqrt(rows), rows, 256, generator)
            weights.append((w, torch.eye(256, dtype=torch.float64)))
        found.append(plain(torch.relu, weights, INPUTS[inputs], seed))
    predicted = theory("relu", "identity", INPUTS[inputs], depth=depth)
    np.testing.assert_allclose(predicted.log10_delta_rms, np.mean(found, 0), atol=0.06)
    assert predicted.lag_slope == pytest.approx(
        float(lag_slope(np.mean(found, 0)[-1, ::-1])), abs=0.002
    )


def test_identity_relu_without_later_drive_keeps_its_gradient_exactly():
    x = INPUTS["gaussian"].copy()
    x[:, 1:] = 0
    predicted = theory("relu", "identity", x)
    assert predicted.lag_slope == 0
    assert predicted.log10_delta_rms == pytest.approx(math.log10(0.5) / 2, abs=0.005)
    shrunk = theory("relu", "identity(gain=0.8)", x)
    assert shrunk.lag_slope == pytest.approx(math.log10(0.8), abs=1e-12)


def test_one_feature_through_identity_relu_is_the_mean_of_two_signs():
    x = INPUTS["gaussian"][:, :, :1]
    alive = []
    for sign in (1, -1):  # relu and the identity do not ask how large a unit's weight is
        state, open_now = np.zeros(SAMPLES), []
        for now in x[:, :, 0].T:
            h = state + sign * now
            state = np.maximum(h, 0)
            open_now.append(h > 0)
        alive.append(np.cumprod(np.array(open_now)[::-1], axis=0)[::-1])  # from t on to the end
    exact = np.log10(np.mean(alive, axis=(0, 2))) / 2
    predicted = theory("relu", "identity", x).log10_delta_rms[0]
    np.testing.assert_allclose(predicted, exact, atol=0.005)


def test_stacked_layers_have_profiles_of_their_own():
    x = INPUTS["adding"]
    measured = loops("tanh", gaussian, 1.5, x, seeds=5, depth=3)
    predicted = theory("tanh", "gaussian(sigma_w=1.5)", x, depth=3)
    np.testing.assert_allclose(predicted.log10_delta_rms[:, -15:], measured[:, -15:], atol=0.1)
    assert predicted.lag_slope == pytest.approx(float(lag_slope(measured[-1, ::-1])), abs=0.008)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_layer_norm_divides_by_the_size_of_what_it_sees(activation):
    x = INPUTS["adding"]
    measured = loops(activation, orthogonal, 1.0, x, seeds=16, norm=True)
    predicted = theory(activation, "orthogonal", x, norm="layer")
    assert predicted.lag_slope == pytest.approx(float(lag_slope(measured[0, ::-1])), abs=0.01)


def test_population_and_quadrature_agree_on_a_vanilla_net():
    x = INPUTS["adding"]
    exact = theory("tanh", "gaussian(sigma_w=1.5)", x, depth=2)
    spread = Spread([1.5**2 / 2, 1.5**2], [1.5**2] * 2, [0.0] * 2)
    q, log_delta = population(
        ACTIVATIONS["tanh"], RECURRENCES["vanilla"], spread, False, x, identical=False
    )
    np.testing.assert_allclose(q, exact.q, rtol=0.02)
    np.testing.assert_allclose(log_delta, exact.log10_delta_rms, atol=0.03)


def remembering(cell: str, draw: object, x: np.ndarray, seed: int, width: int = 256) -> np.ndarray:
    """The profile of a plain loop of one layer of leaky, skip, lstm or gru, by its equations."""
    generator = torch.Generator().manual_seed(seed)
    columns = {"lstm": 4, "gru": 3}.get(cell, 1)
    w = [draw(1.0, x.shape[2], width, generator) for _ in range(columns)]
    u = [draw(1.0, width, width, generator) for _ in range(columns)]
    c = torch.zeros(len(x), width, dtype=torch.float64)
    a, kept = [c] * 5, []
    for now in torch.from_numpy(x).unbind(1):
        p, r = [now @ v for v in w], [a[-1] @ v for v in u]
        if cell == "leaky":
            h = (p[0] + r[0]).requires_grad_()
            a.append(0.7 * a[-1] + 0.3 * torch.tanh(h))
        elif cell == "skip":
            h = (p[0] + (a[-1] + a[-5]) @ u[0] / math.sqrt(2)).requires_grad_()
            a.append(torch.tanh(h))
        elif cell == "gru":
            h = (p[2] + torch.sigmoid(p[0] + r[0]) * r[2]).requires_grad_()
            z = torch.sigmoid(p[1] + r[1])
            a.append((1 - z) * torch.tanh(h) + z * a[-1])
        else:
            h = (p[3] + r[3]).requires_grad_()
            i, f, o = (torch.sigmoid(p[n] + r[n] + (n == 1)) for n in range(3))
            c = f * c + i * torch.tanh(h)
            a.append(o * torch.tanh(c))
        kept.append(h)
    return last_step(a[-1], kept, torch.Generator().manual_seed(1000 + seed))


@pytest.mark.parametrize(("init", "draw"), [("orthogonal", orthogonal), ("lecun", gaussian)])
@pytest.mark.parametrize(
    ("cell", "name"),
    [("leaky", "leaky(alpha=0.3)"), ("skip", "skip(steps=5)"), ("lstm", "lstm"), ("gru", "gru")],
)
def test_cells_with_a_memory_follow_the_fields_of_a_population(cell, name, init, draw):
    x = INPUTS["adding"]
    measured = np.mean([remembering(cell, draw, x, seed) for seed in range(4)], axis=0)
    predicted = theory("tanh", init, x, recurrence=name)
    assert not predicted.bound
    assert predicted.lag_slope == pytest.approx(float(lag_slope(measured[::-1])), abs=0.008)
    # A draw of an lstm at width 256 is .08 decades off its mean at lag 9, a mean of 4 half of it.
    np.testing.assert_allclose(predicted.log10_delta_rms[0, -10:], measured[-10:], atol=0.1)


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, 3.0])
def test_no_lstm_of_torch_shrinks_faster_than_its_direct_path(forget_bias):
    bound = unrolled(
        ACTIVATIONS["tanh"], INITS["torch_default"], "none",
        RECURRENCES[f"lstm(forget_bias={forget_bias})"], np.ones((1, MOST_STEPS + 1, 2)), 1, 128,
    )  # fmt: skip
    assert bound.bound
    assert bound.lag_slope == pytest.approx(math.log10(1 / (1 + math.exp(-forget_bias))))
    assert np.isnan(bound.q).all()
    for seed in range(3):
        torch.manual_seed(seed)
        lstm = torch.nn.LSTM(2, 128, batch_first=True, dtype=torch.float64)
        with torch.no_grad():
            lstm.bias_hh_l0.zero_()
            lstm.bias_hh_l0[128:256] = forget_bias
        x = torch.from_numpy(INPUTS["adding"]).requires_grad_()
        last = lstm(x)[0][:, -1]
        found = torch.autograd.grad((last @ torch.randn(128, dtype=torch.float64)).sum(), x)[0]
        profile = (found**2).mean((0, 2)).log10().numpy() / 2
        assert float(lag_slope(profile[::-1])) > bound.lag_slope - 0.002


def test_a_step_that_no_relu_unit_has_seen_is_censored():
    x = INPUTS["gaussian"].copy()
    x[:, :5] = 0
    for name in ("he", "identity"):
        assert np.isnan(theory("relu", name, x).log10_delta_rms[0, :5]).all()
        assert np.isfinite(theory("relu", name, x).log10_delta_rms[0, 5:]).all()


@pytest.mark.parametrize("init", ["zeros", "constant", "lsuv", "fixup"])
def test_inits_without_a_theory_have_no_prediction(init):
    assert theory("relu", init, INPUTS["adding"]) is None


def test_what_is_not_known_or_leaves_float64_has_no_prediction():
    x = INPUTS["gaussian"]
    assert theory("relu", "he", x, norm="batch") is None
    assert theory("squared_relu", "he", 10 * x) is None
    assert theory("squared_relu", "he", 10 * x, recurrence="leaky") is None
    constant = Activation(lambda h: h * 0 + 1, "", "1")
    vanilla = RECURRENCES["vanilla"]
    assert unrolled(constant, INITS["he"], "none", vanilla, x, 1, 16) is None
    long = np.ones((1, MOST_STEPS + 1, 1))
    assert theory("tanh", "he", long, recurrence="skip(steps=3)") is None
    assert theory("tanh", "he", long, recurrence="gru", norm="layer") is None
    assert theory("tanh", "he", long) is not None


def test_lag_slope_leaves_out_two_lags_and_what_is_censored():
    profile = np.array([50.0, -50.0, 1.0, np.nan, 0.0, -np.inf, -1.0])
    assert float(lag_slope(profile)) == pytest.approx(-0.5)
    assert np.isnan(lag_slope(np.array([1.0, 2.0, 3.0])))
    assert np.isnan(lag_slope(np.full(9, np.nan)))
    both = lag_slope(np.stack([-np.arange(9.0), np.full(9, 0.1)]))
    assert both.tolist() == [-1.0, 0.0]


def test_prediction_is_always_the_same():
    x = INPUTS["adding"][:4]
    one, two = (theory("tanh", "lecun", x, recurrence="gru", width=32) for _ in range(2))
    np.testing.assert_array_equal(one.log10_delta_rms, two.log10_delta_rms)


def test_steps_are_met_and_mixed_as_sums_over_all_of_them():
    values = torch.randn(4, 2, 3, 5, generator=torch.Generator().manual_seed(0)).double()
    steps, factors = Steps(6, 2, 3, 5), values[0, 0, :, :4]  # two steps are still to come
    for step in values:
        steps.add(step)
    products = torch.einsum("tcsu,csu->ts", values, values[-1]) / 5
    torch.testing.assert_close(steps.with_last(), products)
    torch.testing.assert_close(steps.mixed(factors), torch.einsum("st,tcsu->csu", factors, values))
