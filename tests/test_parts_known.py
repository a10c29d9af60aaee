"""Inits, norms, residuals, optimizers, schedules and clips against torch's and by hand."""

import math

import pytest
import torch

from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.architecture import Place
from vanishing.parts.inits import INITS
from vanishing.parts.norms import MOMENTUM, NORMS, next_top
from vanishing.parts.optimizers import OPTIMIZERS
from vanishing.parts.residuals import RESIDUALS
from vanishing.parts.schedules import CLIPS, SCHEDULES
from vanishing.theory.fixed_points import critical_sigma_w


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normals(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


# Inits


def test_torch_default_draws_as_nn_linear_does():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = torch.nn.Linear(400, 300)
    w, b = INITS["torch_default"].draw(Place(400, 300), seeded())
    assert w.abs().max().item() == pytest.approx(layer.weight.abs().max().item(), rel=1e-3)
    assert w.std().item() == pytest.approx(layer.weight.std().item(), rel=0.02)
    assert b.std().item() == pytest.approx(layer.bias.std().item(), rel=0.15)


@pytest.mark.parametrize(
    ("name", "mode", "nonlinearity", "draw"),
    [
        ("he", "fan_in", "relu", torch.nn.init.kaiming_normal_),
        ("he_uniform", "fan_in", "relu", torch.nn.init.kaiming_uniform_),
        ("he_fan_out", "fan_out", "relu", torch.nn.init.kaiming_normal_),
        ("he_fan_out_uniform", "fan_out", "relu", torch.nn.init.kaiming_uniform_),
        ("lecun", "fan_in", "linear", torch.nn.init.kaiming_normal_),
    ],
)
def test_a_convolutions_spread_is_that_of_torch_nn_init(name, mode, nonlinearity, draw):
    kernel = torch.empty(48, 32, 3, 3)
    draw(kernel, mode=mode, nonlinearity=nonlinearity, generator=seeded())
    std = INITS[name].weight_std(Place(32 * 9, 48, 9))
    assert std == pytest.approx(kernel.std().item(), rel=0.02)


@pytest.mark.parametrize("name", ["xavier", "xavier_uniform"])
def test_xavier_is_that_of_torch_nn_init(name):
    kernel = torch.nn.init.xavier_normal_(torch.empty(48, 32, 3, 3), generator=seeded())
    std = INITS[name].weight_std(Place(32 * 9, 48, 9))
    assert std == pytest.approx(kernel.std().item(), rel=0.02)


def test_orthogonal_draws_an_isometry():
    w, _ = INITS["orthogonal(gain=2)"].draw(Place(50, 50), seeded())
    torch.testing.assert_close(w @ w.T, 4 * torch.eye(50), rtol=1e-4, atol=1e-4)


def test_a_delta_orthogonal_convolution_keeps_the_length_of_every_image():
    w, _ = INITS["delta_orthogonal"].draw(Place(8 * 9, 16, 9), seeded())
    kernel = w.T.reshape(16, 8, 3, 3)
    image = torch.randn(5, 8, 6, 6, generator=seeded(1))
    out = torch.nn.functional.conv2d(image, kernel, padding=1)
    torch.testing.assert_close(out.square().sum((1, 2, 3)), image.square().sum((1, 2, 3)))


def test_an_identity_convolution_gives_its_image_back():
    w, _ = INITS["identity"].draw(Place(8 * 9, 8, 9), seeded())
    image = torch.randn(2, 8, 6, 6, generator=seeded(1))
    out = torch.nn.functional.conv2d(image, w.T.reshape(8, 8, 3, 3), padding=1)
    torch.testing.assert_close(out, image)


def test_sparse_gives_every_unit_so_many_inputs():
    w, _ = INITS["sparse(connections=7)"].draw(Place(100, 60), seeded())
    assert (w != 0).sum(0).tolist() == [7] * 60


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "erf"])
def test_critical_draws_at_the_edge_of_chaos_of_the_layers_own_activation(activation):
    phi = ACTIVATIONS[activation]
    std = INITS["critical"].weight_std(Place(300, 300, activation=phi))
    assert std * math.sqrt(300) == pytest.approx(critical_sigma_w(phi), rel=1e-12)


def test_fixup_starts_branches_and_head_at_0_and_shrinks_the_rest_of_a_branch():
    std = INITS["fixup"].weight_std
    inside = Place(200, 100, layer=2, depth=9, blocks=16, in_block=True, block=3)
    assert std(inside) == pytest.approx(math.sqrt(2 / 200) * 16 ** (-1 / 4))
    assert std(inside._replace(in_block=False)) == pytest.approx(math.sqrt(2 / 200))
    assert std(inside._replace(ends_block=True)) == 0
    assert std(inside._replace(layer=10)) == 0


# Norms: the axes of (runs, batch, units[, pixels]) over which values get variance 1, and mean 0


MLP, CNN = (3, 20, 8), (3, 10, 8, 5, 4)


def plain_norms(units, pixels):
    """torch.nn's own layers on (batch, units[, pixels])."""
    shape = (units, *pixels)
    exact = {"dtype": torch.float64}
    batch = torch.nn.BatchNorm2d if pixels else torch.nn.BatchNorm1d
    return {
        "none": torch.nn.Identity(),
        "batch": batch(units, affine=False, **exact),
        "layer": torch.nn.LayerNorm(shape, elementwise_affine=False, **exact),
        "rms": torch.nn.RMSNorm(shape, eps=1e-5, elementwise_affine=False, **exact),
        "group": torch.nn.GroupNorm(4, units, affine=False, **exact),
        "instance": torch.nn.InstanceNorm2d(units, affine=False, **exact),
    }


def of_values():
    return [name for name in NORMS if NORMS[name].weigh is None]


@pytest.mark.parametrize("name", of_values())
@pytest.mark.parametrize("shape", [MLP, CNN], ids=["mlp", "cnn"])
def test_norm_equals_torch_nn(name, shape):
    norm, z = NORMS[name], 2 * normals(*shape) + 1
    family = "cnn" if len(shape) > 3 else "mlp"
    h = norm.apply(z, None, True)
    if family not in norm.families:  # of one value a channel nothing is left
        assert h.abs().max() < 1e-6
        return
    plain = plain_norms(shape[2], shape[3:])[name]
    expected = torch.stack([plain(z[run]) for run in range(shape[0])])
    torch.testing.assert_close(h, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in of_values() if n != "none"])
def test_values_get_variance_1_and_mean_0_over_the_norms_axes(name):
    z = 100 * (2 * normals(*CNN) + 1)
    axes = {"batch": (1, 3, 4), "layer": (2, 3, 4), "rms": (2, 3, 4), "instance": (3, 4)}
    h = NORMS[name].apply(z, None, True)
    if name == "group":
        h, axes = h.unflatten(2, (4, 2)), {"group": (3, 4, 5)}
    square = h.square().mean(axes[name])
    torch.testing.assert_close(square, torch.ones_like(square), rtol=1e-5, atol=0)
    mean = h.mean(axes[name])
    if name == "rms":
        assert mean.abs().max() > 0.1
        return
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9)
    torch.testing.assert_close(
        NORMS[name].apply(z + 50, None, True), NORMS[name].apply(z, None, True)
    )


def test_batch_norm_evaluates_with_the_running_statistics_of_torch_nn():
    z, norm = 2 * normals(*CNN) + 1, NORMS["batch"]
    running = (torch.zeros(3, 1, 8).double(), torch.ones(3, 1, 8).double())
    plain = [torch.nn.BatchNorm2d(8, affine=False, dtype=torch.float64) for _ in range(3)]
    norm.apply(z, running, True)
    for run in range(3):
        plain[run](z[run])
        plain[run].eval()
        torch.testing.assert_close(running[0][run, 0], plain[run].running_mean)
        torch.testing.assert_close(running[1][run, 0], plain[run].running_var)
    expected = torch.stack([plain[run](z[run]) for run in range(3)])
    torch.testing.assert_close(norm.apply(z, running, False), expected)
    assert plain[0].momentum == MOMENTUM


def test_weight_norm_starts_at_the_drawn_weights_and_gives_units_the_length_of_their_gain():
    w, norm = normals(3, 10, 8), NORMS["weight"]
    torch.testing.assert_close(norm.weigh(w, norm.first_gain(w), None, None), w)
    gain = torch.rand(3, 1, 8, dtype=torch.float64, generator=seeded()) + 1
    lengths = norm.weigh(w, gain, None, None).norm(dim=1, keepdim=True)
    torch.testing.assert_close(lengths, gain)


def test_spectral_norm_gives_a_largest_singular_value_of_1():
    w = normals(3, 10, 8)
    top = next_top(w, normals(3, 8, 1, seed=1), 500)
    used = NORMS["spectral"].weigh(w, None, None, top)
    largest = torch.linalg.svdvals(used)[:, 0]
    torch.testing.assert_close(largest, torch.ones_like(largest))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_standardised_weights_keep_a_variance_of_1_through_the_activation(activation):
    w, phi = 3 * normals(2, 4000, 50) + 1, ACTIVATIONS[activation]
    used = NORMS["standardised"].weigh(w, torch.ones(2, 1, 50).double(), phi, None)
    assert used.mean(1).abs().max() < 1e-12
    a = phi.phi(normals(2, 500, 4000, seed=1))
    z = a @ used  # the mean of a drops out
    assert z.var(1).mean().item() == pytest.approx(1, rel=0.02)  # 50,000 values a run
    if activation == "relu":  # Brock et al. 2021, appendix
        fan_in_variance = used.square().sum(1).mean().item()
        assert fan_in_variance == pytest.approx(2 / (1 - 1 / math.pi), rel=1e-10)


# Residuals


def test_residuals_without_a_gate_add_the_branch_concatenate_it_or_take_it_alone():
    x, f = normals(2, 3, 4), normals(2, 3, 4, seed=1)
    for name in RESIDUALS:
        residual = RESIDUALS[name]
        if residual.gate_bias is None:
            wanted = {"none": f, "dense": torch.cat([x, f], 2)}.get(name, x + f)
            assert torch.equal(residual.add(x, f), wanted), name


def test_blocks_count_by_the_strength_and_the_survival_of_their_papers():
    assert RESIDUALS["scaled"].strength(3, 16) == 1 / 4
    survival = RESIDUALS["stochastic_depth(survival=0.5)"].survival
    assert [survival(block, 4) for block in (1, 2, 3, 4)] == [0.875, 0.75, 0.625, 0.5]
    assert RESIDUALS["rezero"].start == RESIDUALS["skip_init"].start == 0
    with pytest.raises(UserError, match="survival must be in"):
        RESIDUALS["stochastic_depth(survival=0.0)"]


# Optimizers, schedules, clips


@pytest.mark.parametrize(
    ("name", "directions"),
    [
        ("sgd", [2.0, -1.0]),
        ("momentum", [2.0, 0.8]),  # 0.9 · 2 − 1
        ("nesterov", [3.8, -0.28]),  # 2 + 0.9 · 2; −1 + 0.9 · 0.8
        # m = 0.1 · 2, v = 0.001 · 4; then 0.9 m − 0.1, 0.999 v + 0.001; freed of their start
        ("adam", [1.0, (0.08 / 0.19) / math.sqrt(0.004996 / 0.001999)]),
        ("adamw", [1.0, (0.08 / 0.19) / math.sqrt(0.004996 / 0.001999)]),
        ("rmsprop", [10.0, -1 / math.sqrt(0.0496)]),
        ("adagrad", [1.0, -1 / math.sqrt(5)]),
        ("lion", [1.0, -1.0]),  # sign(0.9 · 0.02 − 0.1)
    ],
)
def test_the_first_two_directions_of_gradients_2_and_minus_1_are_known(name, directions):
    state, found = {}, []
    for step, g in enumerate((2.0, -1.0), start=1):
        gradient = torch.full((1, 1, 1), g, dtype=torch.float64)
        found.append(OPTIMIZERS[name].update(gradient, state, step).item())
    assert found == pytest.approx(directions, rel=1e-7)


def test_a_known_answer_is_written_for_every_optimizer():
    marks = test_the_first_two_directions_of_gradients_2_and_minus_1_are_known.pytestmark
    assert {name for name, _ in marks[0].args[1]} == set(OPTIMIZERS)


@pytest.mark.parametrize(
    ("label", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("warmup(warmup=0.4)", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]),
        ("cosine", [(1 + math.cos(math.pi * t / 10)) / 2 for t in range(10)]),
        (
            "cosine(warmup=0.2)",
            [0.5, 1, *[(1 + math.cos(math.pi * t / 8)) / 2 for t in range(8)]],
        ),
    ],
)
def test_schedules_rise_and_fall_as_written(label, factors):
    factor = SCHEDULES[label].factor
    assert [factor(step, 10) for step in range(1, 11)] == pytest.approx(factors)


def test_clipping_by_norm_limits_every_run_by_itself():
    gradients = [normals(3, 6, 4), normals(3, 1, 4, seed=1)]
    gradients = [g * torch.tensor([0.001, 1.0, 1e4]).view(3, 1, 1) for g in gradients]
    clipped = CLIPS["norm(limit=0.5)"].apply(gradients)
    for run in range(3):
        parameters = [torch.zeros_like(g[run], requires_grad=True) for g in gradients]
        for parameter, g in zip(parameters, gradients, strict=True):
            parameter.grad = g[run].clone()
        torch.nn.utils.clip_grad_norm_(parameters, 0.5)
        for c, parameter in zip(clipped, parameters, strict=True):
            torch.testing.assert_close(c[run], parameter.grad)


def test_clipping_by_value_limits_every_entry():
    [clipped] = CLIPS["value(limit=0.5)"].apply([torch.tensor([[-2.0, -0.1, 0.3, 7.0]])])
    assert clipped.tolist() == [[-0.5, pytest.approx(-0.1), pytest.approx(0.3), 0.5]]
