"""The contract that every registered part keeps, because it is registered."""

import inspect

import pytest
import torch

from vanishing.errors import UserError
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.inits import INITS
from vanishing.parts.losses import LOSSES
from vanishing.parts.norms import NORMS
from vanishing.parts.optimizers import OPTIMIZERS
from vanishing.parts.residuals import RESIDUALS

REGISTRIES = [ACTIVATIONS, INITS, NORMS, RESIDUALS, OPTIMIZERS, LOSSES]
NEEDED = {"gaussian": "gaussian(sigma_w=1.5, sigma_b=0.3)"}  # parts without defaults


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_equals_finite_differences(name):
    activation = ACTIVATIONS[name]
    h = torch.linspace(-4, 4, 400, dtype=torch.float64)  # no node at a kink in 0
    difference = (activation.phi(h + 1e-6) - activation.phi(h - 1e-6)) / 2e-6
    torch.testing.assert_close(activation.derivative(h), difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_keeps_shape_and_dtype(name):
    for dtype in (torch.float32, torch.float64):
        a = ACTIVATIONS[name].phi(torch.randn(2, 3, 4, dtype=dtype))
        assert a.shape == (2, 3, 4)
        assert a.dtype == dtype


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_saturated_units_are_those_with_a_small_derivative(name):
    activation = ACTIVATIONS[name]
    h = torch.linspace(-8, 8, 1000, dtype=torch.float64)
    low, high = activation.saturated(h, activation.derivative(h))
    flat = activation.derivative(h).abs() <= 0.1 * activation.peak[1]
    assert torch.equal(low | high, flat)
    assert not (low & high).any()


def test_sigmoid_saturates_on_both_sides_alike_and_relu_below_only():
    h = torch.linspace(-8, 8, 1001, dtype=torch.float64)
    sigmoid, relu = ACTIVATIONS["sigmoid"], ACTIVATIONS["relu"]
    low, high = sigmoid.saturated(h, sigmoid.derivative(h))
    assert low.sum() == high.sum() > 0
    low, high = relu.saturated(h, relu.derivative(h))
    assert torch.equal(low, h <= 0)
    assert not high.any()


@pytest.mark.parametrize("name", INITS)
@pytest.mark.parametrize(("fan_in", "fan_out"), [(300, 300), (200, 400), (400, 200)])
def test_draws_have_their_stated_spread(name, fan_in, fan_out):
    init = INITS[NEEDED.get(name, name)]
    w, b = init.draw(fan_in, fan_out, torch.Generator().manual_seed(0))
    assert w.shape == (fan_in, fan_out)
    assert b.shape == (1, fan_out)
    assert w.mean().abs() < 5 * init.weight_std(fan_in, fan_out) / w.numel() ** 0.5
    # 5 standard errors: the relative sd of a sample sd is at most 1 / sqrt(2 n)
    assert w.std().item() == pytest.approx(init.weight_std(fan_in, fan_out), rel=5 / 400)
    assert b.std().item() == pytest.approx(init.bias_std(fan_in, fan_out), rel=0.25)


@pytest.mark.parametrize("name", INITS)
def test_init_draws_the_same_from_the_same_seed_only(name):
    init = INITS[NEEDED.get(name, name)]
    first, again, other = (init.draw(8, 8, torch.Generator().manual_seed(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_torch_default_draws_as_nn_linear_does():
    layer = torch.nn.Linear(400, 300)
    w, b = INITS["torch_default"].draw(400, 300, torch.Generator().manual_seed(0))
    assert w.abs().max().item() == pytest.approx(layer.weight.abs().max().item(), rel=1e-3)
    assert w.std().item() == pytest.approx(layer.weight.std().item(), rel=0.02)
    assert b.std().item() == pytest.approx(layer.bias.std().item(), rel=0.15)


def test_orthogonal_draws_an_isometry():
    w, _ = INITS["orthogonal(gain=2)"].draw(50, 50, torch.Generator().manual_seed(0))
    torch.testing.assert_close(w @ w.T, 4 * torch.eye(50), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NORMS)
def test_norm_equals_torch_nn(name):
    z = torch.randn(3, 20, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = {
        "none": torch.nn.Identity(),
        "batch": torch.nn.BatchNorm1d(8, affine=False, dtype=torch.float64),
        "layer": torch.nn.LayerNorm(8, elementwise_affine=False),
    }[name]
    expected = torch.stack([plain(z[run]) for run in range(3)])
    h = NORMS[name].apply(z, None, None, True)
    torch.testing.assert_close(h, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", RESIDUALS)
def test_residual_is_the_identity_plus_the_branch_or_the_branch(name):
    a, branch = torch.randn(2, 3), torch.randn(2, 3)
    added = RESIDUALS[name].add(a, branch)
    assert torch.equal(added, branch if name == "none" else a + branch)


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_part_says_where_it_comes_from(registry):
    for name in registry:
        part = registry[NEEDED.get(name, name)]
        assert part.source or name == "none"


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_part_is_reached_by_the_label_of_its_name(registry):
    for name, entry in registry.entries.items():
        if isinstance(entry, registry.part):
            assert registry.label(name) == name
            continue
        defaults = inspect.signature(entry).parameters
        given = dict.fromkeys(defaults, 0.5)
        label = registry.label({name: given})
        assert registry.label({name: given}) == label
        assert isinstance(registry[label], registry.part)


def test_a_parameter_at_its_default_stays_out_of_the_label():
    assert ACTIVATIONS.label({"leaky_relu": {"slope": 0.01}}) == "leaky_relu"
    assert ACTIVATIONS.label({"leaky_relu": {"slope": 0.2}}) == "leaky_relu(slope=0.2)"
    assert INITS.label({"gaussian": {"sigma_b": 0, "sigma_w": 4}}) == "gaussian(sigma_w=4)"


@pytest.mark.parametrize(
    ("registry", "spec", "message"),
    [
        (ACTIVATIONS, "tanhh", "no activation is called 'tanhh'. Did you mean 'tanh'"),
        (ACTIVATIONS, {"tanh": {"slope": 1}}, "takes none, and 'slope' came"),
        (ACTIVATIONS, {"leaky_relu": {"slop": 1}}, "Did you mean 'slope'"),
        (INITS, "gaussian", "needs sigma_w"),
        (INITS, {"gaussian": {"sigma_w": "big"}}, "sigma_w must be a number, and 'big' came"),
        (INITS, {"gaussian": {"sigma_w": float("nan")}}, "sigma_w must be finite, and nan came"),
        (INITS, ["he"], "is no init: give a name"),
        (ACTIVATIONS, "no_such_module:phi", "no module 'no_such_module' is found"),
    ],
)
def test_a_part_that_does_not_exist_is_refused_with_what_does(registry, spec, message):
    with pytest.raises(UserError, match=message):
        registry.label(spec)


def test_a_part_of_the_users_own_needs_no_registration(tmp_path, monkeypatch):
    (tmp_path / "my_parts.py").write_text(
        "import torch\n"
        "from vanishing.parts.activations import Activation\n"
        "def snake(a=1.0):\n"
        "    return Activation(lambda h: h + torch.sin(a * h) ** 2 / a, 'Ziyin et al. 2020')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert ACTIVATIONS.label("my_parts:snake") == "my_parts:snake"
    part = ACTIVATIONS[ACTIVATIONS.label({"my_parts:snake": {"a": 2.0}})]
    assert part.phi(torch.tensor(1.0)).item() == pytest.approx(
        1 + torch.sin(torch.tensor(2.0)).item() ** 2 / 2
    )
    with pytest.raises(UserError, match="Did you mean 'snake'"):
        ACTIVATIONS.label("my_parts:snak")
