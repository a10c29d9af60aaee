"""What comes back through a net, against plain modules: Jacobian, shattering, singular values."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian as plain_jacobian

from vanishing.engine.forward import forward
from vanishing.engine.initial import initial_buffers
from vanishing.engine.jacobian import jacobian, mean_cosine, shattering
from vanishing.engine.probes import doubled
from vanishing.engine.singular_values import effective_rank, of_jacobian, singular_values
from vanishing.parts.norms import NORMS

from .plain import Plain
from .small import CLOSE, INPUTS, WIDTH, data_of, drawn, graph_of, net_of, normal

NORMED = ["none", "layer", "batch"]


# --- the Jacobian


@pytest.mark.parametrize(
    ("family", "residual"), [("mlp", "none"), ("mlp", "highway"), ("cnn", "pre_activation")]
)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("norm", NORMED)
def test_the_jacobian_equals_that_of_a_plain_module_sample_by_sample(
    family, residual, activation, norm
):
    width = WIDTH if family == "mlp" else 2
    graph = graph_of(
        family=family, residual=residual, activation=activation, norm=norm, width=width
    )
    net, x = net_of(**graph), normal(6, INPUTS)
    parameters = drawn(net, ["he", "xavier"], [0, 1])
    found = jacobian(net, parameters, {}, x)
    samples, outputs = 1 if norm == "batch" else 4, WIDTH if family == "mlp" else 2 * 16
    assert found.shape == (2, samples, outputs, INPUTS)
    for run in range(2):
        plain = Plain(graph, data_of(), parameters, run)
        # (batch, outputs, batch, inputs)
        every = plain_jacobian(lambda x, net=plain: (net(x), net.h[-1].flatten(1))[1], x)
        for sample in range(samples):
            torch.testing.assert_close(found[run, sample], every[sample, :, sample], **CLOSE)


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("residual", ["none", "pre_activation", "highway"])
def test_the_jacobian_of_every_norm_is_a_difference_quotient(family, norm, residual):
    if family not in NORMS[norm].families:
        pytest.skip(f"{norm} is not for the family {family}")
    net = net_of(family=family, norm=norm, residual=residual, block=2, depth=3, width=4)
    parameters, x, step = drawn(net, ["he"], [0]), normal(4, INPUTS), 1e-5
    buffers = doubled(initial_buffers(net, parameters))
    buffers = {name: t for name, t in buffers.items() if name == "top"}
    found = jacobian(net, parameters, buffers, x)
    direction = torch.zeros_like(x)
    direction[0] = normal(INPUTS, seed=1)
    ends = [
        forward(net, parameters, (x + sign * step * direction)[None], buffers, learning=False)
        for sign in (1, -1)
    ]
    quotient = (ends[0][1][-1] - ends[1][1][-1])[0, 0].flatten() / (2 * step)
    torch.testing.assert_close(found[0, 0] @ direction[0], quotient, rtol=1e-5, atol=1e-7)


def test_an_orthogonal_linear_net_keeps_every_length():
    net = net_of(activation="linear", depth=9, width=INPUTS)
    rows = jacobian(net, drawn(net, ["orthogonal"], [0]), {}, normal(5, INPUTS))
    found = {name: values.item() for name, values in of_jacobian(rows).items()}
    assert found.pop("jacobian_mean_square") == pytest.approx(1, abs=1e-5)  # drawn in float32
    assert list(found.values()) == pytest.approx([0, 0, 0], abs=1e-5)


def test_planted_singular_values_come_back_averaged_over_samples():
    planted = torch.tensor([[3.0, 2.0, 1.0], [1e-3, 1e-4, 1e-6]], dtype=torch.float64)
    left, right = (torch.linalg.qr(normal(2, rows, 3))[0] for rows in (5, 3))
    found = of_jacobian((left * planted[:, None] @ right.transpose(1, 2))[None])
    squares = planted.numpy() ** 2
    expected = {
        "jacobian_mean_square": squares.mean(),
        "jacobian_relative_variance": (squares.var(1) / squares.mean(1) ** 2).mean(),
        "jacobian_log10_max": (math.log10(3) - 3) / 2,
        "jacobian_log10_min": -3.0,
    }
    assert {name: v.item() for name, v in found.items()} == pytest.approx(expected, rel=1e-6)


def test_a_jacobian_too_small_for_its_squares_keeps_its_logarithm_and_spread():
    matrix = torch.diag(torch.tensor([2e-200, 1e-200], dtype=torch.float64))[None, None]
    found = of_jacobian(matrix)
    assert found["jacobian_log10_max"].item() == pytest.approx(math.log10(2e-200))
    assert found["jacobian_log10_min"].item() == pytest.approx(-200)
    assert found["jacobian_relative_variance"].item() == pytest.approx((1.5 / 2.5) ** 2)


def test_a_lost_direction_has_no_least_singular_value():
    matrix = normal(1, 1, 6, 6)
    matrix[..., 0] = matrix[..., 1]
    found = of_jacobian(matrix)
    assert found["jacobian_log10_min"].isnan()
    assert found["jacobian_log10_max"].isfinite()
    zero = of_jacobian(torch.zeros(1, 1, 3, 3, dtype=torch.float64))
    assert zero.pop("jacobian_mean_square") == 0
    assert all(values.isnan() for values in zero.values())


def test_a_non_finite_run_leaves_the_others_singular_values_alone():
    matrices = normal(3, 4, 4)
    matrices[1, 0, 0] = torch.inf
    found = singular_values(matrices)
    assert found[1].isnan().all()
    torch.testing.assert_close(found[[0, 2]], torch.linalg.svdvals(matrices[[0, 2]]), **CLOSE)


def test_a_jacobian_of_too_many_outputs_is_not_measured():
    net = net_of(width=1025, depth=1)
    assert jacobian(net, drawn(net, ["he"], [0]), {}, normal(2, INPUTS)) is None


# --- shattering


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("norm", NORMED)
def test_shattering_equals_a_loop_over_pairs(family, norm):
    graph = graph_of(family=family, activation="relu", norm=norm)
    net, x = net_of(**graph), normal(6, INPUTS)
    parameters = drawn(net, ["he", "orthogonal"], [0, 1])
    found = shattering(net, parameters, {}, x)
    for run in range(2):
        plain = Plain(graph, data_of(), parameters, run)
        deltas = []
        for sample in range(6):
            output = plain(x)[sample].sum()
            deltas.append(torch.autograd.grad(output, plain.h[0])[0][sample].flatten())
        cosines = [
            nn.functional.cosine_similarity(*pair, dim=0)
            for pair in itertools.combinations(deltas, 2)
        ]
        torch.testing.assert_close(found[run], torch.stack(cosines).mean(), **CLOSE)


def test_a_linear_net_does_not_shatter():
    net = net_of(activation="linear")
    found = shattering(net, drawn(net, ["he", "too_small"], [0, 1]), {}, normal(7, INPUTS))
    torch.testing.assert_close(found, torch.ones(2, dtype=torch.float64))


def test_batch_norm_halves_the_cosine_in_every_layer_of_a_wide_relu_net():
    """2^-L (Balduzzi et al. 2017), within a fifth of it over 6 nets of width 200."""
    found = []
    for depth in (1, 2, 3, 4):
        net = net_of(activation="relu", norm="batch", width=200, depth=depth)
        parameters = drawn(net, ["he"] * 6, range(6))
        found.append(shattering(net, parameters, {}, normal(48, INPUTS)).mean())
    ratios = torch.stack(found)[1:] / torch.stack(found)[:-1]
    torch.testing.assert_close(ratios, torch.full_like(ratios, 0.5), rtol=0.2, atol=0)


def test_cosines_leave_out_vectors_of_zeros_and_do_not_underflow():
    vectors = torch.tensor(
        [[[1e-300, 0.0], [0.0, 0.0], [1e-290, 1e-290]], [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]],
        dtype=torch.float64,
    )
    found = mean_cosine(vectors)
    assert found[0].item() == pytest.approx(math.sqrt(0.5))
    assert found[1].isnan()
    vectors[0, 0, 0] = torch.nan
    assert mean_cosine(vectors)[0].isnan()


# --- effective rank


def test_effective_rank_counts_equal_directions():
    rank_one = normal(1, 9, 1) * normal(1, 1, 5, seed=1)
    torch.testing.assert_close(effective_rank(rank_one), torch.ones(1, dtype=torch.float64))
    basis = 1e-180 * torch.linalg.qr(normal(7, 7))[0][None, :, :4]
    assert effective_rank(basis).item() == pytest.approx(4)
    planted = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))[None]
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(planted).item() == pytest.approx(math.exp(entropy))


def test_the_rank_of_activations_takes_pixels_as_directions_and_zeros_as_none():
    values = normal(2, 6, 3, 2, 2)
    torch.testing.assert_close(effective_rank(values), effective_rank(values.reshape(2, 6, 12)))
    assert effective_rank(torch.zeros(1, 4, 3, dtype=torch.float64)).isnan()
