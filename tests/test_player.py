"""Which passes a player of a game makes, and that the fast ones give what the plain ones do."""

from dataclasses import replace

import pytest
import torch

from vanishing.engine import match_probes, player, player_pass
from vanishing.engine.adversarial import Match, Rules, advance, players_of
from vanishing.engine.match_probes import Probe, at_probe, lost_by_samples
from vanishing.engine.network import flat
from vanishing.engine.player_pass import Back, log10_norm
from vanishing.engine.turns import turn_of_discriminator
from vanishing.parts.games import GAMES

from .test_adversarial import CLOSE, CNN, CPU, MLP, RUNS, data_of, graph_of, match_of


@pytest.mark.parametrize("settings", [MLP, CNN], ids=["mlp", "cnn"])
def test_passes_are_made_again_only_for_a_run_that_was_not_lost_before(settings, monkeypatch):
    """What an update keeps no values for: no pass has any while all losses are finite."""
    with_values, sees = [], player.Player.sees

    def counted(self, *given, **named):
        outputs, h, a = sees(self, *given, **named)
        with_values.extend(h[:1])
        return outputs, h, a

    monkeypatch.setattr(player.Player, "sees", counted)
    match = match_of(graph_of(**settings, steps=4))
    advance(match, 1)
    assert not with_values
    match.discriminator.parameters["b"][0].data[0] = torch.nan
    assert [turn.nonfinite.tolist() for turn in advance(match, 2).values()] == [[1, 0]] * 2
    assert match.lost.tolist() == [True, False]
    with_values.clear()
    assert [turn.nonfinite for turn in advance(match, 3).values()] == [None] * 2
    assert not with_values
    match.generator.parameters["b"][1].data[1] = torch.nan
    assert advance(match, 4)["discriminator"].nonfinite.tolist() == [0, 2]


def test_a_turn_of_the_generator_leaves_no_gradient_to_the_discriminator():
    match = match_of(graph_of())
    fixed = match.discriminator.fixed()
    assert not any(tensor.requires_grad for tensor in flat(fixed.parameters))
    x = match.samples.first(4, torch.float64).requires_grad_()
    [slope] = torch.autograd.grad(fixed.judges(x).sum(), x)
    [expected] = torch.autograd.grad(match.discriminator.judges_twice(x).sum(), x)
    torch.testing.assert_close(slope, expected, **CLOSE)


NOT_SMOOTH = {"game": "hinge", "activation": "relu"}


@pytest.mark.parametrize("settings", [
    *({"game": game} for game in GAMES), {"norm": "layer"}, {"norm": "batch"}, NOT_SMOOTH,
], ids=lambda s: "-".join(s.values()))  # fmt: skip
def test_turns_by_compiled_loops_are_to_the_last_bit_those_of_autograd(settings):
    """Of several turns, so that one that stays in another's memory would show; in float32."""
    graph = graph_of(**settings, optimizer="adam", discriminator_steps=2, instance_noise=0.1)
    data = data_of()
    given = Rules.of(graph), players_of(graph, data), data, RUNS, CPU, torch.float32
    fast, plain = Match.of(*given), Match.of(*given)
    for own in plain.players.values():
        assert own.chained
        own.chained = False
    for step in (1, 2, 3):
        turns = advance(fast, step), advance(plain, step)
        for name in turns[0]:
            assert torch.equal(turns[0][name].losses, turns[1][name].losses)
            pairs = zip(turns[0][name].gradients, turns[1][name].gradients, strict=True)
            assert all(torch.equal(*pair) for pair in pairs)
    for name, own in fast.players.items():
        pairs = zip(own.learning, plain.players[name].learning, strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


def test_a_loss_that_is_a_constant_teaches_nothing():
    """Of one kind of samples; the other's is learned from, as by autograd."""
    game = replace(GAMES["wgan"], discriminator=lambda real, fake: (-real, torch.ones_like(fake)))
    matches = match_of(graph_of()), match_of(graph_of())
    for match in matches:
        match.rules = replace(match.rules, game=game)
    matches[1].discriminator.chained = False
    found, expected = (turn_of_discriminator(match, 1) for match in matches)
    assert torch.equal(found.losses, expected.losses)
    assert all(map(torch.equal, found.gradients, expected.gradients))


def test_what_a_generator_loses_is_told_by_what_a_discriminator_loses_where_it_can(monkeypatch):
    """By the ratio of both players' slopes; of a run with a sample without one, in another pass."""
    match = match_of(graph_of(game="hinge", activation="leaky_relu"))
    player, x = match.discriminator, match.samples.first(6, torch.float64)
    with torch.no_grad():
        player.parameters["b"][-1][0] -= 0.5 + player.judges(x)[0].mean()  # some D(G(z)) below -1
        player.parameters["W"][-1][0] *= 20
    at = x.clone().requires_grad_()
    on_fake = player.judges(at)
    of_fake = match.rules.game.discriminator(on_fake, on_fake)[1].sum()
    d, d_x = torch.autograd.grad(of_fake, [on_fake, at])
    assert [0 < int((row == 0).sum()) < 6 for row in d] == [True, False]
    assert (d[1] != 0).all()
    game, judged = match.rules.game, (on_fake.detach(), d, d_x)
    expected, runs = lost_by_samples(game, player, x, (*judged[:2], None)), []
    taken = match_probes._passed_on

    def counted(game, player, fake):
        runs.append(len(fake))
        return taken(game, player, fake)

    monkeypatch.setattr(match_probes, "_passed_on", counted)
    for wrong, passes in ((d_x[1, 2], [1]), (torch.inf, [1, 2]), (1e-200, [1, 2, 2])):
        d_x[1, 2] = wrong
        found = lost_by_samples(game, player, x, judged)
        assert runs == passes
        assert torch.equal(found[0], expected[0])
        torch.testing.assert_close(found[1], expected[1], rtol=1e-13, atol=0)


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_probes_by_compiled_loops_are_those_of_kept_values(norm, monkeypatch):
    """In every column, of both players and of the game."""
    match = match_of(graph_of(game="wgan_gp", norm=norm, activation="leaky_relu"))
    advance(match, 1)
    probe = Probe.of(match, {"kind": "npz"})
    assert player_pass.chain.is_known(
        match.generator.net, match.generator.parameters, probe.latent.expand(2, -1, -1), {}, False
    )
    fast = at_probe(match, probe)
    monkeypatch.setattr(player_pass.chain, "is_known", lambda *_, **__: False)
    plain = at_probe(match, probe)
    pairs = [(fast.layers[name], plain.layers[name]) for name in match.players]
    for found, expected in [*pairs, (fast.game, plain.game)]:
        assert set(found) == set(expected)
        for name, values in expected.items():
            torch.testing.assert_close(found[name], values, rtol=1e-11, atol=1e-11, equal_nan=True)


def test_the_norm_of_all_gradients_is_that_of_their_parts():
    """Of numbers whose squares underflow, of zeros beside others, of zeros alone, and of a NaN."""
    player = match_of(graph_of(), (["he"] * 4, [0, 1, 2, 3], [0.1] * 4)).generator
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(t.shape, generator=generator).double() for t in player.learning]
    for n, gradient in enumerate(gradients):
        gradient[0] *= 10.0 ** (-200 - n)
        gradient[1] *= n == 2
        gradient[2] = 0.0
    gradients[1][3, 0, 0] = torch.nan
    found = log10_norm(player, Back({}, gradients), 4)
    together = torch.cat([g.flatten(1) for g in gradients], dim=1) / 4
    scale = together.abs().amax(1)
    expected = (together / scale[:, None]).norm(dim=1).log10() + scale.log10()
    torch.testing.assert_close(found[:2], expected[:2], rtol=1e-13, atol=0)
    assert found[2:].isnan().all()
