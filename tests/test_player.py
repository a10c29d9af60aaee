"""Which passes a player of a game makes, and that the fast ones give what the plain ones do."""

import pytest
import torch

from vanishing.engine import match_probes, player
from vanishing.engine.adversarial import advance
from vanishing.engine.match_probes import Probe, at_probe
from vanishing.engine.network import flat

from .test_adversarial import CLOSE, CNN, MLP, graph_of, match_of


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


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_probes_by_compiled_loops_are_those_of_kept_values(norm, monkeypatch):
    """In every column, of both players and of the game."""
    match = match_of(graph_of(game="wgan_gp", norm=norm, activation="leaky_relu"))
    advance(match, 1)
    probe = Probe.of(match, {"kind": "npz"})
    assert match_probes.chain.is_known(
        match.generator.net, match.generator.parameters, probe.latent.expand(2, -1, -1), {}, False
    )
    fast = at_probe(match, probe)
    monkeypatch.setattr(match_probes.chain, "is_known", lambda *_, **__: False)
    plain = at_probe(match, probe)
    pairs = [(fast[0][name], plain[0][name]) for name in match.players] + [(fast[1], plain[1])]
    for found, expected in pairs:
        assert set(found) == set(expected)
        for name, values in expected.items():
            torch.testing.assert_close(found[name], values, rtol=1e-11, atol=1e-11, equal_nan=True)
