"""What discriminator and generator play for: losses, their slopes, and who is told right."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit

from vanishing.errors import UserError
from vanishing.parts.games import GAMES, Game, gradient_penalty

EXTREMES = [-1e4, -700.0, -50.0, -1.0, 0.0, 0.5, 1.0, 50.0, 700.0, 1e4]
CRITICS = ("wgan", "wgan_gp")
BY_HAND = {  # discriminator on real, on generated samples, and generator, in numpy
    "saturating": (
        lambda d: -log_expit(d),
        lambda d: -log_expit(-d),
        lambda d: log_expit(-d),
    ),
    "non_saturating": (
        lambda d: -log_expit(d),
        lambda d: -log_expit(-d),
        lambda d: -log_expit(d),
    ),
    "least_squares": (
        lambda d: 0.5 * (d - 1) ** 2,
        lambda d: 0.5 * d**2,
        lambda d: 0.5 * (d - 1) ** 2,
    ),
    "hinge": (lambda d: np.maximum(0, 1 - d), lambda d: np.maximum(0, 1 + d), lambda d: -d),
    "wgan": (lambda d: -d, lambda d: d, lambda d: -d),
    "wgan_gp": (lambda d: -d, lambda d: d, lambda d: -d),
}
every_game = pytest.mark.parametrize("name", GAMES)
of_a_probability = pytest.mark.parametrize("name", ["saturating", "non_saturating"])


def outputs(seed=0, runs=3, batch=5, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(runs, batch, generator=generator, dtype=torch.float64)


def losses(game, output):
    """All three losses of an output: on real samples, on generated ones, the generator's."""
    return *game.discriminator(output, output), game.generator(output)


def slopes(game, output):
    """The derivative of each of :func:`losses` by the output."""
    at = output.clone().requires_grad_()
    return [torch.autograd.grad(loss.sum(), at)[0] for loss in losses(game, at)]


@every_game
def test_every_game_says_what_it_is(name):
    game = GAMES[name]
    assert isinstance(game, Game)
    assert game.source[-4:].isdigit()
    assert "D: " in game.formula
    assert "G: " in game.formula


# Losses


def test_every_registered_game_is_written_by_hand():
    assert set(BY_HAND) == set(GAMES)


@every_game
@pytest.mark.parametrize("output", [outputs(5), torch.tensor([EXTREMES], dtype=torch.float64)])
def test_losses_are_those_written_by_hand(name, output):
    for loss, by_hand in zip(losses(GAMES[name], output), BY_HAND[name], strict=True):
        expected = torch.from_numpy(by_hand(output.numpy()))
        torch.testing.assert_close(loss, expected, rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("saturating", lambda p: math.log(p / (1 - p))),
        ("non_saturating", lambda p: math.log(p / (1 - p))),
        ("least_squares", lambda p: p),
    ],
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_best_discriminator_puts_out_the_share_of_real_samples(name, best, share):
    on_real, on_fake, _ = slopes(GAMES[name], torch.tensor([[best(share)]], dtype=torch.float64))
    assert share * on_real + (1 - share) * on_fake == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "undecided", "total"),
    [("saturating", 0, math.log(4)), ("non_saturating", 0, math.log(4)),
     ("least_squares", 0.5, 0.25), ("hinge", 0, 2), ("wgan", 0, 0), ("wgan_gp", 0, 0)],
)  # fmt: skip
def test_undecided_discriminator_has_the_loss_of_the_papers(name, undecided, total):
    at = torch.tensor([[float(undecided)]], dtype=torch.float64)
    assert float(sum(GAMES[name].discriminator(at, at))) == pytest.approx(total, rel=1e-15)


def test_generator_that_is_seen_through_learns_nothing_in_the_saturating_game_alone():
    seen_through = torch.tensor([[-50.0]], dtype=torch.float64)
    found = {name: float(slopes(GAMES[name], seen_through)[2]) for name in GAMES}
    assert found.pop("saturating") == pytest.approx(-math.exp(-50), rel=1e-14)
    assert found.pop("non_saturating") == pytest.approx(-1, rel=1e-14)
    assert found == {"least_squares": -51, "hinge": -1, "wgan": -1, "wgan_gp": -1}


def test_saturating_slope_is_true_down_to_the_least_of_float64():
    logits = torch.linspace(-690, 40, 300, dtype=torch.float64)[None]
    slope = slopes(GAMES["saturating"], logits)[2]
    assert slope.abs().min() < 1e-299
    np.testing.assert_allclose(slope.numpy(), -expit(logits.numpy()), rtol=1e-14)


def test_output_is_a_logit_in_the_first_two_games_alone():
    assert [name for name in GAMES if GAMES[name].probability] == ["saturating", "non_saturating"]


# Parameters


def test_clip_and_penalty_are_those_of_the_papers_or_as_given():
    limits = {name: (GAMES[name].clip, GAMES[name].penalty) for name in GAMES}
    assert limits.pop("wgan") == (0.01, 0)
    assert limits.pop("wgan_gp") == (None, 10)
    assert set(limits.values()) == {(None, 0)}
    assert GAMES["wgan(clip=0.1)"].clip == 0.1
    assert GAMES[GAMES.label({"wgan_gp": {"penalty": 1}})].penalty == 1
    assert GAMES.label({"wgan": {"clip": 0.01}}) == "wgan"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("wgan(clip=0)", "'wgan': clip must be above 0, and 0 came"),
        ("wgan_gp(penalty=-1)", "'wgan_gp': penalty must be above 0, and -1 came"),
        ("hing", "no game is called 'hing'. Did you mean 'hinge'"),
    ],
)
def test_wrong_games_are_refused(label, message):
    with pytest.raises(UserError, match=message):
        GAMES[label]


# Saturated samples


def settled(name, output):
    """Of real samples and of generated ones with the same outputs."""
    _, slopes = GAMES[name].slopes(output, output)
    return GAMES[name].settled(*slopes)


@of_a_probability
def test_a_probability_is_settled_where_its_error_is_a_tenth_of_a_half(name):
    edge = math.log(19)  # sigma(-log 19) = .05
    output = torch.tensor([[-1e4, -edge - 0.01, 0.01 - edge, 0, edge - 0.01, edge + 0.01, 1e4]])
    assert settled(name, output)[0].tolist() == [[False] * 5 + [True] * 2]
    assert settled(name, output)[1].tolist() == [[True] * 2 + [False] * 5]


def test_hinge_is_settled_beyond_its_margin():
    output = torch.tensor([[-1.1, -0.9, 0.0, 0.9, 1.1]])
    assert settled("hinge", output)[0].tolist() == [[False] * 4 + [True]]
    assert settled("hinge", output)[1].tolist() == [[True] + [False] * 4]


def test_least_squares_are_settled_near_their_targets():
    output = torch.tensor([[-0.06, -0.04, 0.04, 0.5, 0.96, 1.04, 1.06]])
    near_one, near_zero = [False] * 4 + [True] * 2 + [False], [False] + [True] * 2 + [False] * 4
    assert settled("least_squares", output)[0].tolist() == [near_one]
    assert settled("least_squares", output)[1].tolist() == [near_zero]


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_never_settles(name):
    extremes = torch.tensor([EXTREMES])
    assert not any(found.any() for found in settled(name, extremes))


@every_game
def test_slopes_need_no_graph_and_leave_none(name):
    output = outputs(6).requires_grad_()
    with torch.no_grad():
        found = GAMES[name].slopes(output, output)
    assert not any(t.requires_grad for of_kind in found for t in of_kind)
    assert output.grad is None


# Accuracy of the discriminator


@pytest.mark.parametrize("name", [name for name in GAMES if name not in CRITICS])
def test_right_is_the_mean_of_the_shares_beyond_the_threshold(name):
    threshold = {"least_squares": 0.5}.get(name, 0.0)
    real = threshold + torch.tensor([[1.0, 1, 1, -1], [1, 1, 1, 1], [0, 0, 0, 0]])
    fake = threshold + torch.tensor([[-1.0, 1], [-1, -2], [0, 0]])
    assert GAMES[name].right(real, fake).tolist() == [0.625, 1, 0.5]


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_is_right_on_its_side_of_the_midpoint_of_each_run(name):
    real = torch.tensor([[101.0, 103], [-8, -6], [5, 5], [0, 0]])
    fake = torch.tensor([[90.0, 102], [-20, -30], [5, 5], [1, 1]])
    assert GAMES[name].right(real, fake).tolist() == [0.75, 1, 0.5, 0]


@every_game
def test_accuracy_is_missing_where_an_output_is(name):
    real, fake = outputs(7), outputs(8)
    real[1, 2] = torch.nan
    assert GAMES[name].right(real, fake).isnan().tolist() == [False, True, False]


# Gradient penalty


def linear(w):
    """A linear critic of weights (runs, inputs)."""
    return lambda x: (x * w[:, None]).sum(-1)


def points(seed, runs=3, batch=4, inputs=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(runs, batch, inputs, generator=generator, dtype=torch.float64)


def test_penalty_of_a_linear_critic_is_its_length_off_one():
    w = points(0, batch=1)[:, 0].requires_grad_()
    penalty = gradient_penalty(linear(w), points(1), points(2), torch.rand(3, 4).double())
    length = w.detach().norm(dim=1, keepdim=True)
    torch.testing.assert_close(penalty, (length - 1).square().expand(3, 4))
    [slope] = torch.autograd.grad(penalty.mean(1).sum(), w)
    torch.testing.assert_close(slope, 2 * (length - 1) * w.detach() / length)


def test_penalty_is_taken_between_the_two_samples():
    real, fake = points(3), points(4)
    mix = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64).expand(3, 4)
    penalty = gradient_penalty(lambda x: x.square().sum(-1) / 2, real, fake, mix)  # slope: x itself
    between = [m * real[:, i] + (1 - m) * fake[:, i] for i, m in enumerate((0, 0.25, 0.5, 1))]
    torch.testing.assert_close(penalty, (torch.stack(between, 1).norm(dim=-1) - 1).square())


def test_penalty_can_be_differentiated_by_the_critic():
    real, fake, mix = points(5), points(6), torch.rand(3, 4).double()
    weights = points(7, batch=6).requires_grad_(), points(8, batch=6, inputs=1).requires_grad_()

    def penalty(first, second):
        def critic(x):
            return (torch.tanh(x @ first) @ second)[..., 0]

        return gradient_penalty(critic, real, fake, mix)

    assert torch.autograd.gradcheck(penalty, weights)


def test_penalty_of_a_run_is_that_of_the_run_alone():
    real, fake, w = points(9), points(10), points(11, batch=1)[:, 0]
    mix = torch.full((3, 4), 0.3, dtype=torch.float64)
    stacked = gradient_penalty(linear(w), real, fake, mix)
    for i in range(3):
        run = slice(i, i + 1)
        alone = gradient_penalty(linear(w[run]), real[run], fake[run], mix[run])
        assert torch.equal(stacked[run], alone)


def test_generator_gets_no_gradient_from_the_penalty():
    fake, w = points(12).requires_grad_(), points(13, batch=1)[:, 0].requires_grad_()
    penalty = gradient_penalty(linear(w), points(14), fake, torch.full((3, 4), 0.5).double())
    assert torch.autograd.grad(penalty.sum(), fake, allow_unused=True) == (None,)


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e15])
def test_penalty_draws_a_critic_back_whose_slope_vanished_or_exploded(size):
    w = torch.full((1, 4), size, dtype=torch.float32, requires_grad=True)
    real, fake = points(15, 1, inputs=4).float(), points(16, 1, inputs=4).float()
    penalty = gradient_penalty(linear(w), real, fake, torch.full((1, 4), 0.5))
    [slope] = torch.autograd.grad(penalty.mean(), w)
    expected = torch.full((1, 4), 2 * size - 1)  # 2 (|w| - 1) w / |w|, |w| = 2 size
    torch.testing.assert_close(slope, expected)


def test_a_critic_of_zero_weights_has_penalty_one_and_no_nan():
    w = torch.zeros(1, 6, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(linear(w), points(17, 1), points(18, 1), torch.rand(1, 4).double())
    assert penalty.tolist() == [[1.0] * 4]
    assert torch.autograd.grad(penalty.sum(), w)[0].isfinite().all()
