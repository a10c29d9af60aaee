"""Theory of norms, residuals, convolutions and whole networks: its closed forms."""

import math

import numpy as np
import pytest
import torch

from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.architecture import Architecture, Shape
from vanishing.parts.inits import INITS, Init
from vanishing.parts.norms import NORMS
from vanishing.parts.residuals import RESIDUALS
from vanishing.theory import finite_width, mean_field
from vanishing.theory.cell import Cell, largest_singular_value2, weights
from vanishing.theory.ensembles import QUANTITIES, born_dead, expected, log_q_variance, wide
from vanishing.theory.jacobian import spectrum
from vanishing.theory.likeness import shares, shattering_cosine
from vanishing.theory.predictions import predict, profile
from vanishing.theory.stream import on_sphere

LINEAR, RELU, TANH = (ACTIVATIONS[name] for name in ("linear", "relu", "tanh"))
MLP = {"family": "mlp", "residual": "none", "depth": 8, "width": 64}
CNN = {**MLP, "family": "cnn", "padding": "circular", "width": 32}


def cell(activation: object = RELU, init: str | Init = "he", norm: str = "none", **given) -> Cell:
    """A cell of 64 inputs, as images of 8 x 8 in a CNN; ``given`` are settings of its graph."""
    graph = {**(CNN if given.get("family") == "cnn" else MLP), **given}
    image = (1, 8, 8) if graph["family"] == "cnn" else None
    init = INITS[init] if isinstance(init, str) else init
    return Cell(
        activation,
        init,
        NORMS[norm],
        RESIDUALS[graph["residual"]],
        Architecture.of(graph, Shape(64, 10, image)),
        graph.get("norm_position", "before") == "before",
        graph.get("samples", 64),
        0.3,
        graph.get("cosines", ()),
        graph.get("pixels", ()),
    )


def close(found: object, known: object, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(known), rtol=rtol, atol=1e-12)


# Norms


@pytest.mark.parametrize("position", ["before", "after"])
def test_relu_with_batch_norm_explodes_by_pi_over_pi_minus_1(position: str) -> None:
    found = profile(cell(norm="batch", norm_position=position)).chi_1[1:]
    close(found, np.full(7, math.pi / (math.pi - 1)), 1e-4)


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("init", ["he", "xavier", "orthogonal"])
def test_layer_norm_of_relu_keeps_gradients_whatever_the_init(norm: str, init: str) -> None:
    close(profile(cell(init=init, norm=norm)).chi_1[1:], np.ones(7), 1e-4)


def test_behind_relu_layer_norm_takes_out_the_mean_and_rms_norm_does_not() -> None:
    found = {n: profile(cell(norm=n, norm_position="after")).chi_1[3] for n in ("layer", "rms")}
    assert found["layer"] == pytest.approx(math.pi / (math.pi - 1), rel=1e-4)
    assert found["rms"] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("members", [8, 16, 64, 1000])
def test_a_normalised_linear_group_passes_m_minus_2_over_m_minus_3(members: int) -> None:
    m, share = on_sphere(LINEAR, 1.0, members)
    assert m.square.item() == pytest.approx(1, rel=1e-9)
    assert share == pytest.approx((members - 2) / (members - 3), rel=1e-9)


def test_a_group_that_is_large_is_a_layer() -> None:
    small, large, layer = (
        profile(cell(TANH, norm=norm, width=width)).slope
        for norm, width in (("group", 64), ("group", 10**6), ("layer", 64))
    )
    assert large == pytest.approx(layer, abs=1e-5)
    assert small > layer + 0.01


def test_weight_norm_changes_no_prediction() -> None:
    plain, weighed = profile(cell()), profile(cell(norm="weight"))
    np.testing.assert_array_equal(plain.log10_delta_rms, weighed.log10_delta_rms)


def test_standardised_weights_keep_the_gradient_of_a_linear_net_and_raise_that_of_relu() -> None:
    close(profile(cell(LINEAR, norm="standardised")).chi_1[1:], np.ones(7))
    known = math.pi / (math.pi - 1)  # E phi'^2 / Var phi
    close(profile(cell(norm="standardised")).chi_1[1:], np.full(7, known))


@pytest.mark.parametrize(("fan_in", "units"), [(400, 400), (600, 200), (64, 300)])
@pytest.mark.parametrize("init", ["he", "he_uniform", "orthogonal(gain=1.7)"])
def test_the_largest_singular_value_is_that_of_drawn_weights(
    init: str, fan_in: int, units: int
) -> None:
    place = cell().place(2)._replace(fan_in=fan_in, units=units)
    drawn = [
        torch.linalg.matrix_norm(INITS[init].draw(place, torch.Generator().manual_seed(s))[0], 2)
        for s in range(16)
    ]
    known = largest_singular_value2(INITS[init], place)
    assert float(torch.stack(drawn).square().mean()) == pytest.approx(known, rel=0.015)


def test_an_isometry_of_spectral_norm_1_keeps_a_linear_gradient() -> None:
    found = profile(cell(LINEAR, "orthogonal(gain=3)", "spectral"))
    close(found.chi_1[1:], np.ones(7))


# Inits


def test_weights_fitted_to_data_have_q_1_at_every_layer_and_chi_1_of_layer_norm() -> None:
    found = profile(cell(TANH, "lsuv"))
    close(found.q, np.ones(8))
    close(found.chi_1[1:], profile(cell(TANH, norm="rms")).chi_1[1:], 1e-4)


def test_an_init_by_fan_out_grows_where_a_cnn_doubles_its_channels() -> None:
    found = profile(cell(init="he_fan_out", family="cnn", stages=2)).q
    still = profile(cell(init="he", family="cnn", stages=2)).q
    assert found[4] / still[4] == pytest.approx(found[3] / still[3] / 2, rel=1e-6)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_an_identity_init_of_a_linear_net_multiplies_the_gradient_by_its_gain(gain: float) -> None:
    found = profile(cell(LINEAR, f"identity(gain={gain})"))
    close(np.diff(found.log10_delta_rms), np.full(7, -math.log10(gain)))


@pytest.mark.parametrize("init", ["zeros", "constant", "identity"])
def test_inits_of_units_all_alike_or_apart_have_no_theory(init: str) -> None:
    assert profile(cell(init=init)).source == "none"
    assert predict({"c": cell(init=init)})["q"].isna().all()


def test_fixup_sends_back_nothing_at_init_so_nothing_is_predicted() -> None:
    found = profile(cell(init="fixup", residual="identity", block=2))
    assert found.source == "none"


# Residuals: what a block multiplies the stream's squared gradient by


def growth(**given) -> float:
    """log10 of a stream's squared gradient over the blocks, at infinite width."""
    one = cell(**given)
    layers = mean_field.forward(one)
    start = mean_field.head(one, layers[-1].out)
    stream = mean_field.backward(one, *mean_field.bare(layers, start)).stream
    return stream[0] - stream[-1]


def test_a_wide_stream_grows_as_an_infinitely_wide_one_and_a_narrow_one_more() -> None:
    given = {"residual": "identity", "depth": 9}
    narrow, wide = (profile(cell(**given, width=n)).stream_growth for n in (64, 10**6))
    assert wide == pytest.approx(growth(**given), rel=1e-3)
    assert narrow > 1.1 * wide


@pytest.mark.parametrize("residual", ["identity", "pre_activation"])
@pytest.mark.parametrize("block", [1, 2])
def test_he_branches_without_norm_double_the_squared_gradient_a_block(
    residual: str, block: int
) -> None:
    found = growth(residual=residual, depth=9, block=block)
    assert found == pytest.approx(8 / block * math.log10(2), rel=1e-9)


@pytest.mark.parametrize("blocks", [4, 16, 64])
def test_branches_over_root_l_multiply_it_by_no_more_than_e(blocks: int) -> None:
    found = growth(residual="scaled", depth=blocks + 1)
    assert 10**found == pytest.approx((1 + 1 / blocks) ** blocks, rel=1e-9)


def test_pre_activation_layer_norm_multiplies_it_by_l_plus_1() -> None:
    # Weights fitted to data give every branch the variance 1.
    found = growth(init="lsuv", norm="rms", residual="pre_activation", depth=13)
    assert 10**found == pytest.approx(13, rel=1e-4)


@pytest.mark.parametrize("init", ["lsuv", "he"])
def test_pre_activation_batch_norm_multiplies_it_by_the_product_of_1_plus_1_over_v(
    init: str,
) -> None:
    product, v = 1.0, 1.0 if init == "lsuv" else 2.0  # of the first layer, of inputs of variance 1
    for _ in range(12):
        product *= 1 + 1 / v
        v += 1 - 1 / math.pi
    found = growth(init=init, norm="batch", residual="pre_activation", depth=13)
    assert 10**found == pytest.approx(product, rel=1e-4)


@pytest.mark.parametrize("residual", ["rezero", "skip_init"])
def test_a_branch_that_counts_0_times_leaves_the_stream_as_it_is(residual: str) -> None:
    assert growth(residual=residual) == pytest.approx(0, abs=1e-12)


def test_within_a_branch_that_counts_0_times_the_gradient_is_0_and_has_no_logarithm() -> None:
    found = profile(cell(residual="rezero"))
    assert np.isnan(found.log10_delta_rms).tolist() == [False] + [True] * 7
    assert np.isfinite(found.q).all()
    # Without a norm, h of a pre-activation net is the stream itself.
    assert np.ptp(profile(cell(residual="skip_init")).log10_delta_rms) < 1e-12


def test_stochastic_depth_counts_a_block_by_the_probability_that_it_survives() -> None:
    found = growth(residual="stochastic_depth(survival=0.5)", depth=5)
    survivals = 1 - 0.5 * np.arange(1, 5) / 4
    assert 10**found == pytest.approx(np.prod(1 + survivals**2), rel=1e-9)


def test_a_layer_scale_of_1_is_a_pre_activation_net() -> None:
    scaled, whole = (
        profile(cell(norm="layer", residual=residual))
        for residual in ("layer_scale(start=1)", "pre_activation")
    )
    close(scaled.log10_delta_rms, whole.log10_delta_rms)


def test_a_highway_that_is_shut_carries_and_one_that_is_open_is_a_plain_net() -> None:
    shut, wide_open = (growth(residual=f"highway(bias={bias})") for bias in (-40, 40))
    assert shut == pytest.approx(0, abs=1e-9)
    wide_open = profile(cell(norm="layer", residual="highway(bias=40)")).chi_1[1:]
    close(wide_open, profile(cell(norm="layer")).chi_1[1:], 1e-4)


def test_a_dense_net_sends_each_layer_the_gradients_of_all_later_ones() -> None:
    layers = mean_field.forward(cell(LINEAR, "lecun", residual="dense", depth=4))
    close([layer.q.mean() for layer in layers], np.ones(4))
    # Each layer's fan_in grows, so its weights' variance, 1 / fan_in, falls: 1/2 from layer 3.
    found = profile(cell(LINEAR, "lecun", residual="dense", depth=4))
    units = [1.0]  # G of the head's input; a layer's weights share it among 1, 2, 3 blocks before
    for blocks in (3, 2, 1):
        units.append(units[-1] * (1 + 1 / blocks))
    close(found.chi_1[1:], [units[3 - n] / units[2 - n] for n in range(3)], 1e-9)


def test_a_user_s_own_way_of_joining_has_no_theory() -> None:
    mine = RESIDUALS["identity"].__class__(lambda x, branch: x - branch, "mine")
    assert profile(cell()._replace(residual=mine)).source == "none"


# Convolutions


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("residual", ["none", "identity", "pre_activation"])
def test_around_a_circle_a_convolution_of_even_images_follows_the_mlp(
    norm: str, residual: str
) -> None:
    circular = cell(TANH, norm=norm, residual=residual, family="cnn", width=64)
    mlp = mean_field.forward(cell(TANH, norm=norm, residual=residual))
    cnn = mean_field.forward(circular)
    close([layer.q.mean() for layer in cnn], [layer.q.mean() for layer in mlp])
    chi = profile(circular).chi_1[1:]
    bare = mean_field.bare(
        mlp, mean_field.head(cell(TANH, norm=norm, residual=residual), mlp[-1].out)
    )
    delta = mean_field.backward(cell(TANH, norm=norm, residual=residual), *bare).delta
    close(np.log10(chi), -np.diff(delta), 1e-7)


def test_a_border_of_zeros_takes_gradient_out_and_a_single_stage_less_than_two() -> None:
    zero, circular = (
        profile(cell(family="cnn", padding=padding)).slope for padding in ("zero", "circular")
    )
    assert zero < circular - 0.01


def test_a_linear_convolution_loses_what_a_random_walk_off_the_image_does() -> None:
    found = profile(cell(LINEAR, "lecun", family="cnn", padding="zero", width=10**6, depth=40))
    step = (np.eye(8) + np.eye(8, k=1) + np.eye(8, k=-1)) / 3  # a walk along one side
    stays = np.linalg.eigvalsh(step)[-1] ** 2
    assert found.chi_1[20] == pytest.approx(stays, rel=1e-3)


def test_delta_orthogonal_keeps_a_linear_gradient_whatever_the_border() -> None:
    found = profile(cell(LINEAR, "delta_orthogonal", family="cnn", padding="zero"))
    close(found.chi_1[1:], np.ones(7))


def test_instance_norm_has_no_theory() -> None:
    assert profile(cell(norm="instance", family="cnn")).source == "none"


# Whole networks


@pytest.mark.parametrize("c", [-0.5, 0.0, 0.3, 0.9, 0.99])
def test_likeness_follows_the_arc_cosine_kernels(c: float) -> None:
    angle = math.acos(c)
    phi, slope = shares(RELU, 0.4, np.array([c]))
    known = (math.sin(angle) + (math.pi - angle) * c) / math.pi
    assert phi[0] == pytest.approx(known, abs=1e-4)
    assert slope[0] == pytest.approx(1 - angle / math.pi, abs=4e-3)


def test_gradients_of_relu_shatter_by_the_product_of_arc_cosine_shares() -> None:
    c, known = 0.2, 1.0
    for _ in range(6):
        angle = math.acos(c)
        known *= 1 - angle / math.pi
        c = (math.sin(angle) + (math.pi - angle) * c) / math.pi
    found = shattering_cosine(cell(depth=6, cosines=(0.2, 0.2)))
    assert found == pytest.approx(known, rel=2e-3)


@pytest.mark.parametrize("depth", [1, 4, 9])
def test_under_batch_norm_relu_halves_their_likeness_a_layer(depth: int) -> None:
    found = shattering_cosine(cell(norm="batch", depth=depth, cosines=(0.3,)))
    assert found == pytest.approx(2.0**-depth, rel=1e-4)


def test_skips_keep_gradients_alike() -> None:
    cosines = (0.1, 0.4)
    plain, skips = (
        shattering_cosine(cell(norm="batch", residual=residual, cosines=cosines))
        for residual in ("none", "identity")
    )
    assert skips > 5 * plain
    assert shattering_cosine(cell(residual="rezero", cosines=cosines)) == pytest.approx(
        shattering_cosine(cell(depth=1, cosines=cosines)), rel=1e-9
    )


@pytest.mark.parametrize("depth", [1, 3, 12])
@pytest.mark.parametrize(
    ("activation", "init", "of_layer", "of_weights"),
    [(LINEAR, "lecun", 0, 1), (LINEAR, "orthogonal", 0, 0), (RELU, "he", 1, 1)],
)
def test_a_critical_jacobian_has_mean_1_and_l_times_the_relative_variance(
    activation: object, init: str, of_layer: float, of_weights: float, depth: int
) -> None:
    found = spectrum(cell(activation, init, depth=depth))
    # dh_L/dx has L weights, and L - 1 layers of derivatives, half of them 0 for relu.
    mean = 1.0 if activation is LINEAR else 2.0  # sigma_w^2 of the first layer is not halved
    assert found.mean == pytest.approx(mean, rel=1e-9)
    known = depth * of_weights + (depth - 1) * of_layer
    assert found.relative_variance == pytest.approx(known, abs=1e-4)


@pytest.mark.parametrize("init", ["lecun", "orthogonal"])
@pytest.mark.parametrize("width", [32, 128])
def test_a_jacobian_of_other_width_than_its_inputs_is_that_of_drawn_weights(
    init: str, width: int
) -> None:
    of = cell(LINEAR, init, depth=3, width=width * 4)
    of = of._replace(architecture=Architecture("mlp", 3, width * 4, 256, 10))
    products = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        drawn = [INITS[init].draw(of.place(n), generator)[0] for n in (1, 2, 3)]
        products.append(torch.linalg.svdvals(torch.linalg.multi_dot(drawn)).square())
    squares = torch.stack(products)
    spread = squares.var(1) / squares.mean(1) ** 2
    found = spectrum(of)
    assert float(squares.mean()) == pytest.approx(found.mean, rel=0.03)
    assert float(spread.mean()) == pytest.approx(found.relative_variance, rel=0.05, abs=0.02)


def test_ln_q_of_relu_varies_by_5_over_n_a_layer() -> None:
    deep, shallow = (log_q_variance(cell(depth=depth, samples=1)) for depth in (30, 10))
    assert deep - shallow == pytest.approx(20 * 5 / 64, rel=1e-6)
    assert log_q_variance(cell(depth=1, samples=1)) == pytest.approx(2 / 64)
    assert log_q_variance(cell(depth=9)) is None  # of a batch it is something else
    isometry = log_q_variance(cell(LINEAR, "orthogonal", depth=9, samples=1))
    assert isometry == pytest.approx(0, abs=1e-9)


def test_a_share_of_narrow_relu_nets_is_born_dead() -> None:
    assert born_dead(cell(width=2, depth=3, samples=1)) == pytest.approx(1 - 0.75**3)
    assert born_dead(cell(width=2)) is None
    assert born_dead(cell(TANH, width=2, samples=1)) is None
    assert born_dead(cell(init="torch_default", width=2, samples=1)) is None
    assert not wide(cell(width=4))


def test_every_cell_has_a_row_a_quantity_and_null_where_there_is_no_theory() -> None:
    table = expected({"a": cell(), "b": cell(init="zeros")})
    assert len(table) == 2 * len(QUANTITIES)
    known = table.set_index(["cell", "quantity"])
    assert known.loc[("a", "slope"), "value"] == profile(cell()).slope
    assert known.loc["b", "value"].isna().all()
    assert known.loc["b", "source"].eq("none").all()
    assert expected({}).empty


def test_a_gate_s_weights_are_those_of_its_init() -> None:
    of = cell(init="gaussian(sigma_w=1.5)", residual="highway")
    assert weights(of, 2).variance == pytest.approx(1.5**2 / 64)


def test_a_walk_taken_over_from_a_net_of_another_depth_or_init_is_the_same_as_its_own() -> None:
    def profiles(init: str, depth: int) -> np.ndarray:
        return np.array(finite_width.profiles(cell(TANH, init, depth=depth)))

    def forget() -> None:
        finite_width._walk.cache_clear()
        finite_width._kept.cache_clear()

    asked, own = [("he", 9), ("he", 5), ("lecun", 5), ("he", 12)], []
    for each in asked:
        forget()
        own.append(profiles(*each))
    forget()
    for each, alone in zip(asked, own, strict=True):
        assert np.array_equal(profiles(*each), alone)
