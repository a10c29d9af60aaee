"""Recurrent nets whose first weights, and whose gradients through time, are known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from vanishing.engine.forward import forward
from vanishing.engine.initial import draw
from vanishing.engine.network import Network
from vanishing.engine.probes import doubled
from vanishing.engine.recurrent import recurrent_weights
from vanishing.engine.through_time import measure_through_time
from vanishing.parts.architecture import Shape
from vanishing.parts.losses import LOSSES
from vanishing.parts.recurrences import RECURRENCES
from vanishing.theory.slope import lag_slope

from .small import CLASSES, graph_of, normal
from .small import drawn as drawn_of

STEPS, FEATURES, WIDTH, DEPTH = 30, 3, 40, 2
SHAPE = Shape(STEPS * FEATURES, 4, None, (STEPS, FEATURES), False)
CELLS = ["vanilla", "lstm", "gru", "minimal_gated", "leaky", "skip"]
LOOSE = {"rtol": 0, "atol": 1e-5}  # drawn in float32
every_cell = pytest.mark.parametrize("recurrence", CELLS)


def net_of(recurrence="vanilla", **settings):
    graph = {
        "family": "rnn", "activation": "tanh", "norm": "none", "residual": "none", "depth": DEPTH,
        "width": WIDTH, "recurrence": recurrence, **settings,
    }  # fmt: skip
    return Network.of(graph, SHAPE)


def drawn(net, init, seed=0):
    return doubled(draw(net, [init], [seed]))


def columns_of(net, init, layer, seed=0):
    """W of each column of a layer, (inputs, units), and U, (units, units)."""
    parameters = drawn(net, init, seed)
    past = [u[0] for u in recurrent_weights(net, parameters, layer)]
    seen = parameters["W"][layer][0, :-WIDTH].split(WIDTH, dim=1)
    return list(seen), past


def profile(net, parameters, x=None, seed=0):
    """log10 rms of dL/dh_t by lag of the last layer, (steps)."""
    generator = torch.Generator().manual_seed(seed)
    if x is None:
        x = torch.randn(8, STEPS * FEATURES, generator=generator, dtype=torch.float64)
    labels = torch.arange(len(x)) % 4
    found = measure_through_time(net, parameters, LOSSES["cross_entropy"], x, labels)
    return found.lags[0, -1].numpy()


# Draws


@every_cell
def test_weights_have_the_blocks_of_their_columns(recurrence):
    net, count = net_of(recurrence), len(RECURRENCES[recurrence].columns)
    shapes = [tuple(w.shape[1:]) for w in drawn(net, "he")["W"]]
    assert shapes == [
        (FEATURES + WIDTH, count * WIDTH),
        (2 * WIDTH, count * WIDTH),
        (WIDTH, 4),
    ]
    assert net.architecture.weights == sum(a * b for a, b in shapes)


@every_cell
@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_every_columns_recurrent_weight_is_orthogonal(recurrence, gain):
    for layer in range(DEPTH):
        seen, past = columns_of(net_of(recurrence), f"orthogonal(gain={gain})", layer)
        for u in past:
            torch.testing.assert_close(u.T @ u, gain**2 * torch.eye(WIDTH).double(), **LOOSE)
        for w in seen:
            torch.testing.assert_close(w @ w.T, gain**2 * torch.eye(len(w)).double(), **LOOSE)
        different = {round(float(w[0, 0]), 6) for w in seen + past}
        assert len(different) == len(seen) + len(past)


@every_cell
@pytest.mark.parametrize(
    ("init", "seen_std", "past_std"),
    [
        ("lecun", FEATURES**-0.5, WIDTH**-0.5),
        ("xavier", (2 / (FEATURES + WIDTH)) ** 0.5, (2 / (2 * WIDTH)) ** 0.5),
        ("he_uniform", (2 / FEATURES) ** 0.5, (2 / WIDTH) ** 0.5),
    ],
)
def test_both_weights_are_drawn_by_their_own_inputs(recurrence, init, seen_std, past_std):
    draws = [columns_of(net_of(recurrence), init, 0, seed) for seed in range(12)]
    for column in range(len(draws[0][0])):
        for which, std in ((0, seen_std), (1, past_std)):
            values = torch.stack([d[which][column] for d in draws])
            error = std / math.sqrt(values.numel() / 2)
            assert float(values.square().mean().sqrt()) == pytest.approx(std, abs=5 * error)


@every_cell
def test_identity_is_for_the_past_alone(recurrence):
    for layer in range(DEPTH):
        seen, past = columns_of(net_of(recurrence), "identity(gain=0.9)", layer)
        for u in past:
            torch.testing.assert_close(u, 0.9 * torch.eye(WIDTH).double(), rtol=1e-6, atol=0)
        for w in seen:
            assert float(w.std()) == pytest.approx(0.001, rel=0.4)


@pytest.mark.parametrize(
    ("recurrence", "module"), [("vanilla", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)]
)
def test_torch_default_has_the_bounds_of_torchs_own_cells(recurrence, module):
    torch_s = module(FEATURES, WIDTH, DEPTH)
    added = RECURRENCES[recurrence].bias
    net = net_of(recurrence.replace("lstm", "lstm(forget_bias=0)"))
    assert not added or recurrence == "lstm"
    for layer in range(DEPTH):
        seen, past = columns_of(net, "torch_default", layer)
        bias = drawn(net, "torch_default")["b"][layer][0]
        pairs = [
            (torch.cat(seen), getattr(torch_s, f"weight_ih_l{layer}")),
            (torch.cat(past), getattr(torch_s, f"weight_hh_l{layer}")),
            (bias, getattr(torch_s, f"bias_ih_l{layer}")),
        ]
        for ours, theirs in pairs:
            for values in (ours, theirs.detach()):
                assert float(values.abs().max()) <= WIDTH**-0.5
                assert float(values.abs().max()) == pytest.approx(WIDTH**-0.5, rel=0.15)
            assert ours.numel() == theirs.numel()


@pytest.mark.parametrize(("norm", "place"), [("none", "b"), ("layer", "bias"), ("rms", "b")])
@pytest.mark.parametrize("forget_bias", [1.0, -2.0])
def test_the_forget_gate_alone_is_biased_where_no_norm_takes_it_away(norm, place, forget_bias):
    net = net_of(f"lstm(forget_bias={forget_bias})", norm=norm)
    expected = torch.tensor([0, forget_bias, 0, 0]).double().repeat_interleave(WIDTH)
    parameters = drawn(net, "he")
    for layer in range(DEPTH):
        assert torch.equal(parameters[place][layer][0, 0], expected)
        other = {"b": "bias", "bias": "b"}[place]
        assert all(not t[0].any() for t in parameters.get(other, [])[:DEPTH])
    x = torch.zeros(2, STEPS * FEATURES, dtype=torch.float64)
    quiet = {name: [0 * t for t in group] if name == "W" else group
             for name, group in parameters.items()}  # fmt: skip
    if norm != "rms":
        found = measure_through_time(net, quiet, LOSSES["cross_entropy"], x, torch.zeros(2).long())
        keep = found.recurrences["forget"]["gate_mean"]
        assert keep[0].tolist() == pytest.approx([1 / (1 + math.exp(-forget_bias))] * DEPTH)


def test_seeds_and_not_columns_decide_a_draw():
    net = net_of("gru")
    first, again, other = (columns_of(net, "he", 1, seed)[1] for seed in (1, 1, 2))
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


# Gradients through time


def test_identity_with_relu_hands_a_gradient_back_unchanged():
    net = net_of(activation="relu", depth=1)
    x = torch.zeros(8, STEPS, FEATURES, dtype=torch.float64)
    x[:, 0] = torch.randn(8, FEATURES, generator=torch.Generator().manual_seed(1)).double()
    found = profile(net, drawn(net, "identity"), x.flatten(1))
    assert np.isfinite(found).all()
    assert set(found) == {found[0]}
    assert float(lag_slope(found)) == 0


@pytest.mark.parametrize("gain", [1.0, 0.8, 1.3])
def test_an_orthogonal_weight_without_phi_changes_a_gradient_by_its_gain(gain):
    net = net_of(activation="linear", depth=1)
    parameters = drawn(net, "he")
    q, _ = torch.linalg.qr(recurrent_weights(net, parameters, 0)[0][0])
    parameters["W"][0][0, -WIDTH:] = gain * q
    found = profile(net, parameters)
    np.testing.assert_allclose(found, found[0] + np.arange(STEPS) * math.log10(gain), atol=1e-12)


def test_leaky_state_without_a_recurrent_weight_keeps_its_share():
    net = net_of("leaky(alpha=0.25)", activation="linear", depth=1)
    parameters = drawn(net, "he")
    parameters["W"][0][0, -WIDTH:] = 0
    found = profile(net, parameters)
    np.testing.assert_allclose(np.diff(found), math.log10(0.75), atol=1e-12)


def test_a_skip_in_time_alone_hands_a_gradient_back_every_so_many_steps():
    net = net_of("skip(steps=4)", activation="linear", depth=1)
    parameters = drawn(net, "zeros")
    parameters["W"][-1] = torch.ones_like(parameters["W"][-1])
    parameters["W"][-1][..., 0] = -1
    parameters["W"][0][0, -WIDTH:] = torch.eye(WIDTH)
    paths = np.zeros(STEPS)  # of weight 2^(-jumps / 2), jumps of 1 or 4
    paths[0] = 1
    for lag in range(1, STEPS):
        paths[lag] = (paths[lag - 1] + (paths[lag - 4] if lag >= 4 else 0)) / math.sqrt(2)
    found = profile(net, parameters)
    np.testing.assert_allclose(found - found[0], np.log10(paths), atol=1e-12)


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, 3.0])
def test_an_lstm_without_weights_forgets_by_its_bias(forget_bias):
    net = net_of(f"lstm(forget_bias={forget_bias})", depth=1)
    parameters = drawn(net, "zeros")
    parameters["W"][-1] = drawn(net, "he")["W"][-1]
    found = profile(net, parameters)
    carry = net.recurrence.carry
    assert carry == pytest.approx(1 / (1 + math.exp(-forget_bias)))
    np.testing.assert_allclose(np.diff(found), math.log10(carry), atol=1e-12)


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_lstms_gradient_stays_above_that_of_its_memory_alone(forget_bias, seed):
    net = net_of(f"lstm(forget_bias={forget_bias})", depth=1)
    found = profile(net, drawn(net, "torch_default", seed), seed=seed)
    assert float(lag_slope(found)) > math.log10(net.recurrence.carry)
    vanilla = net_of(depth=1)
    below = profile(vanilla, drawn(vanilla, "torch_default", seed), seed=seed)
    assert float(lag_slope(below)) < float(lag_slope(found))


def test_a_leaky_state_that_takes_all_of_its_new_value_is_vanilla():
    x = normal(2, 5, 12, 3).flatten(2)
    outputs = []
    for recurrence in ("leaky(alpha=1)", "vanilla"):
        graph = graph_of(family="rnn", recurrence=recurrence)
        net = Network.of(graph, Shape(36, CLASSES, sequence=(12, 3)))
        outputs.append(forward(net, drawn_of(net, ["he", "he"], [0, 1]), x)[0])
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("bias", [-1000, 1000])
def test_a_gate_may_begin_as_good_as_shut_or_open(bias):
    assert RECURRENCES[f"lstm(forget_bias={bias})"].carry == (bias > 0)
