"""A GAN's players and their updates, against others in plain torch.nn and torch.optim."""

import numpy as np
import pytest
import torch

from vanishing.engine.adversarial import Match, Rules, advance, players_of
from vanishing.engine.draws import Draws
from vanishing.engine.match_probes import Probe, at_probe
from vanishing.engine.network import flat
from vanishing.engine.stack import copied
from vanishing.parts.architecture import Architecture, Shape
from vanishing.parts.data import Data
from vanishing.parts.games import GAMES

from .plain_gan import CLIP, LOSSES, Batch, Game, Player

CPU, IMAGE, BATCH = torch.device("cpu"), (2, 4, 6), 8
RUNS = (["he", "xavier"], [3, 4], [0.02, 0.005])
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
LIVE = {"generator": "live", "discriminator_steps": 2}
FIXED = {"generator": "fixed", "discriminator_steps": 1}
MLP = {"players": "mlp", "stages": 1}
CNN = {"players": "cnn", "stages": 2, "width": 3}


def data_of(samples=60):
    inputs = np.random.default_rng(0).normal(size=(samples, 48)).astype(np.float32)
    return Data(inputs, np.arange(samples) % 3, IMAGE)


def graph_of(**changes):
    graph = {
        "family": "gan", "task": "npz", "game": "non_saturating", "players": "mlp", "latent": 5,
        "generator": "live", "discriminator_steps": 1, "instance_noise": 0.0, "normed": "both",
        "activation": "tanh", "norm": "none", "norm_position": "before", "residual": "none",
        "block": 1, "depth": 3, "width": 7, "stages": 1, "padding": "zero", "loss": "cross_entropy",
        "optimizer": "sgd", "clip": "none", "schedule": "constant", "batch": BATCH, "steps": 3,
        "probes": {"steps": [0, 3], "batch": 6, "blocks": []},
    }  # fmt: skip
    return {**graph, **changes}


def match_of(graph, runs=RUNS, data=None):
    data = data or data_of()
    return Match.of(Rules.of(graph), players_of(graph, data), data, runs, CPU, torch.float64)


def plain_of(graph, match, run):
    """The same match of one run, in plain torch."""
    players = [
        Player(graph, name, IMAGE, player.parameters, run) for name, player in match.players.items()
    ]
    for mine, theirs in zip(players, match.players.values(), strict=True):
        for parameter, value in zip(
            mine.learned(), as_engine(mine, flat(theirs.parameters), run), strict=True
        ):
            parameter.data.copy_(value)
        if "top" in theirs.buffers:
            mine.start_power([top[run] for top in theirs.buffers["top"]])
    return Game(graph, *players, RUNS[2][run])


class Chance:
    """What chance gives a run, drawn anew from its seed, batch by batch."""

    def __init__(self, graph, match, run):
        self.graph, self.match, self.run = graph, match, run
        self.draws, self.batches = Draws([RUNS[1][run]], CPU, torch.float64), 0
        self.numbers = match.generator.net.architecture.inputs

    def noise_on(self, what):
        sd = self.graph["instance_noise"]
        return sd * self.draws.normal(f"noise_on_{what}", BATCH, 48)[0] if sd else 0.0

    def of_discriminator(self):
        order = self.match.samples.order[self.batches, self.run]
        self.batches += 1
        return Batch(
            self.match.samples.inputs[order].double(),
            self.draws.normal("latent_of_discriminator", BATCH, self.numbers)[0],
            self.noise_on("real"),
            self.noise_on("generated"),
            self.draws.uniform("mix", BATCH)[0],
        )

    def of_generator(self):
        latent = self.draws.normal("latent_of_generator", BATCH, self.numbers)[0]
        return Batch(None, latent, on_fake=self.noise_on("own"))


def as_engine(plain, tensors, run):
    """The parameters of a run of the engine, in the shapes of the plain player's."""
    learned = plain.learned()
    return [t[run].detach().T.reshape(p.shape) for t, p in zip(tensors, learned, strict=True)]


def assert_same_player(plain, player, turn, run):
    expected = [p.detach() for p in plain.learned()]
    torch.testing.assert_close(as_engine(plain, flat(player.parameters), run), expected, **CLOSE)
    if turn:
        found = as_engine(plain, turn.gradients, run)
        torch.testing.assert_close(found, [p.grad for p in plain.learned()], **CLOSE)


OPTIMIZER = dict(zip(GAMES, ["sgd", "adam", "rmsprop"] * 2, strict=True))
CELLS = [
    *({"game": g, "optimizer": OPTIMIZER[g], **p, **m, "instance_noise": noise}
      for g in GAMES for p in (MLP, CNN) for m, noise in ((LIVE, 0.1), (FIXED, 0.0))),
    *({"game": "non_saturating", "optimizer": "adam", "norm": n, **p, **LIVE, "instance_noise": 0.1}
      for n in ("batch", "spectral", "layer") for p in (MLP, CNN)),
    {"game": "wgan_gp", "norm": "batch", "normed": "generator", **MLP, **LIVE},
    {"game": "hinge", "norm": "spectral", "normed": "discriminator", **CNN, **LIVE},
    {"game": "wgan_gp(penalty=3)", "norm": "spectral", **MLP, **LIVE},
    {"game": "wgan(clip=0.05)", "activation": "leaky_relu", **MLP, **LIVE},
    {"game": "saturating", "optimizer": "adam(beta_1=0.5)", "padding": "circular", **CNN, **LIVE},
]  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    CELLS,
    ids=lambda s: "-".join(str(v) for v in s.values() if not isinstance(v, float)),
)
def test_updates_equal_those_of_a_plain_gan(settings):
    """Losses, gradients and all parameters of both players after each of several steps."""
    graph = graph_of(**settings)
    match = match_of(graph)
    plain = [plain_of(graph, match, run) for run in range(2)]
    chance = [Chance(graph, match, run) for run in range(2)]
    for step in range(1, graph["steps"] + 1):
        turns = advance(match, step)
        for run in range(2):
            for _ in range(graph["discriminator_steps"]):
                loss = plain[run].update_discriminator(chance[run].of_discriminator())
            torch.testing.assert_close(turns["discriminator"].losses[run].item(), loss, **CLOSE)
            if graph["generator"] == "live":
                loss = plain[run].update_generator(chance[run].of_generator())
                torch.testing.assert_close(turns["generator"].losses[run].item(), loss, **CLOSE)
            for name, player in match.players.items():
                assert_same_player(getattr(plain[run], name), player, None, run)


def test_gradients_of_both_players_equal_those_of_a_plain_gan():
    graph = graph_of(**CNN, game="wgan_gp")
    match = match_of(graph)
    plain = [plain_of(graph, match, run) for run in range(2)]
    turns = advance(match, 1)
    for run in range(2):
        chance = Chance(graph, match, run)
        plain[run].update_discriminator(chance.of_discriminator())
        plain[run].update_generator(chance.of_generator())
        for name, player in match.players.items():
            assert_same_player(getattr(plain[run], name), player, turns[name], run)


@pytest.mark.parametrize("clip", ["norm(limit=0.1)", "value(limit=0.01)"])
def test_gradients_are_clipped_in_each_run_and_player_by_itself(clip):
    graph = graph_of(clip=clip)
    match, bare = match_of(graph), match_of(graph_of())
    plain = [plain_of(graph, match, run) for run in range(2)]
    turns, unclipped = advance(match, 1), advance(bare, 1)
    for run in range(2):
        chance = Chance(graph, match, run)
        plain[run].update_discriminator(chance.of_discriminator())
        plain[run].update_generator(chance.of_generator())
        for name, player in match.players.items():
            assert_same_player(getattr(plain[run], name), player, None, run)
    first = "discriminator"  # the generator's turn comes after an update that clipping changed
    torch.testing.assert_close(turns[first].gradients, unclipped[first].gradients, **CLOSE)
    changed = zip(flat(match.generator.parameters), flat(bare.generator.parameters), strict=True)
    assert any(not torch.equal(a, b) for a, b in changed)


def rms(t):
    return t.square().mean().sqrt().log10()


def norm(tensors):
    return torch.cat([t.flatten() for t in tensors]).norm().log10()


PROBED = [
    *({"game": g, **p} for g in GAMES for p in (MLP, CNN)),
    {"game": "hinge", "norm": "batch", "activation": "relu", **MLP},
    {"game": "saturating", "norm": "batch", **CNN},
    {"game": "non_saturating", "norm": "spectral", **CNN},
]


@pytest.mark.parametrize("settings", PROBED, ids=lambda s: "-".join(map(str, s.values())))
def test_probes_equal_autograd_through_a_plain_gan(settings):
    """Of both players, after a step: instance noise is there in training, and not here."""
    graph = graph_of(**settings, instance_noise=0.3)
    match = match_of(graph)
    probe = Probe.of(match, {"kind": "npz"})
    advance(match, 1)
    seen = at_probe(match, probe)
    layers, game = seen.layers, seen.game
    for run in range(2):
        plain = plain_of(graph, match, run)
        plain.discriminator.held()
        fake = plain.generator.held()(probe.latent)
        expected = assert_generator(layers["generator"], run, plain, fake)
        batch = Batch(probe.real, probe.latent, mix=probe.mix)
        expected |= assert_discriminator(layers["discriminator"], run, plain, fake.detach(), batch)
        assert set(game) == set(expected)
        for name, value in expected.items():
            torch.testing.assert_close(game[name][run], value.detach(), **CLOSE)


def assert_generator(found, run, plain, fake):
    """Its layers are those of a pass that made ``fake``; gives what is expected of the game."""
    g, batch = plain.generator, len(fake)
    of_sample = plain.of_g(plain.discriminator(fake)[:, 0])
    g.zero_grad()
    of_sample.sum().backward(inputs=[*g.learned(), *g.h])
    assert_layers(found, run, g, [h.grad for h in g.h], batch)
    size = norm([p.grad for p in g.learned()]) - np.log10(batch)
    return {"generator_loss": of_sample.mean(), "log10_generator_gradient": size}


def assert_discriminator(found, run, plain, fake, batch):
    """Its layers are those of a pass on ``fake`` and on what is real; gives the game's rows."""
    d = plain.discriminator
    d.zero_grad()
    on_real = d(batch.real)[:, 0]
    of_real = d.h
    on_fake = d(fake)[:, 0]
    of_fake = d.h
    losses = plain.of_d(on_real, on_fake)
    sum(losses).sum().backward(inputs=[*d.learned(), *of_real, *of_fake])
    h = [torch.cat(pair) for pair in zip(of_real, of_fake, strict=True)]
    deltas = [torch.cat([a.grad, b.grad]) for a, b in zip(of_real, of_fake, strict=True)]
    d.h = h
    assert_layers(found, run, d, deltas, len(fake))
    d.zero_grad()
    plain.loss_of_discriminator(batch.real, fake, batch.mix).backward(inputs=d.learned())
    rules, pair = GAMES[plain.graph["game"]], (on_real.detach()[None], on_fake.detach()[None])
    settled = rules.settled(*rules.slopes(*pair)[1])
    return {
        "discriminator_loss": sum(losses).mean(),
        "log10_discriminator_gradient": norm([p.grad for p in d.learned()]),
        "discriminator_accuracy": rules.right(*pair)[0],
        "saturation_real": settled[0].double().mean(),
        "saturation_generated": settled[1].double().mean(),
    }


def assert_layers(found, run, plain, deltas, batch):
    gradients = [p.grad / batch for p in plain.learned()[: len(deltas)]]
    expected = {
        "log10_delta_rms": [rms(delta) for delta in deltas],
        "log10_grad_rms": [rms(g) for g in gradients],
        "grad_mean": [g.mean() for g in gradients],
        "q": [h.detach().square().mean() for h in plain.h],
    }
    for name, values in expected.items():
        torch.testing.assert_close(found[name][run], torch.stack(values), **CLOSE)


@pytest.mark.parametrize("settings", [
    {**MLP, "norm": "batch", "game": "hinge"}, {**CNN, "norm": "spectral", "game": "wgan"},
    {**MLP, "residual": "stochastic_depth", "game": "wgan_gp"}, {**CNN, "residual": "identity"},
], ids=lambda s: "-".join(map(str, s.values())))  # fmt: skip
def test_a_stack_equals_its_runs_trained_alone(settings):
    graph = graph_of(**settings, **LIVE, instance_noise=0.2, optimizer="adam")
    stack = match_of(graph)
    alone = [match_of(graph, tuple([values[run]] for values in RUNS)) for run in range(2)]
    for step in (1, 2, 3):
        together, apart = advance(stack, step), [advance(match, step) for match in alone]
        for name in together:
            losses = torch.cat([turns[name].losses for turns in apart])
            torch.testing.assert_close(together[name].losses, losses, **CLOSE)
    for name, player in stack.players.items():
        for n, tensor in enumerate(flat(player.parameters)):
            rows = [flat(match.players[name].parameters)[n] for match in alone]
            torch.testing.assert_close(tensor, torch.cat(rows), **CLOSE)


def test_a_fixed_generator_stays_as_it_was_drawn():
    match = match_of(graph_of(**FIXED))
    for step in (1, 2, 3):
        assert set(advance(match, step)) == {"discriminator"}
    for now, then in zip(
        flat(match.generator.parameters), flat(match.generator.initial), strict=True
    ):
        assert torch.equal(now, then)
    moved = zip(
        flat(match.discriminator.parameters), flat(match.discriminator.initial), strict=True
    )
    assert all(not torch.equal(now, then) for now, then in moved)


def test_instance_noise_changes_only_what_the_discriminator_sees():
    still, noisy = match_of(graph_of()), match_of(graph_of(instance_noise=0.5))
    seen = {}
    for name, match in (("still", still), ("noisy", noisy)):
        z = match.latent("discriminator")
        made, _, _ = match.generator.sees(z)
        seen[name] = (z, made.detach(), match.noisy(made, "generated").detach())
    assert torch.equal(seen["still"][0], seen["noisy"][0])
    assert torch.equal(seen["still"][1], seen["noisy"][1])
    assert torch.equal(seen["still"][2], seen["still"][1])
    added = seen["noisy"][2] - seen["noisy"][1]
    assert added.std().item() == pytest.approx(0.5, rel=0.1)
    real, fake = (noisy.noisy(torch.zeros(2, BATCH, 48), kind) for kind in ("real", "own"))
    assert not torch.equal(real, fake)


def test_weights_of_a_clipped_critic_are_within_their_bounds_after_each_turn():
    match = match_of(graph_of(game="wgan(clip=0.03)"))
    before = {name: copied(player.parameters)["W"] for name, player in match.players.items()}
    turns = advance(match, 1, wanted=True)
    largest = {
        name: max(t.abs().max().item() for t in flat(player.parameters))
        for name, player in match.players.items()
    }
    assert largest["discriminator"] == 0.03
    assert largest["generator"] > 0.1
    for name, player in match.players.items():
        pairs = zip(before[name], player.parameters["W"][:-1], strict=False)
        for layer, (old, new) in enumerate(pairs):
            ratio = (old - new.detach()).flatten(1).norm(dim=1) / old.flatten(1).norm(dim=1)
            torch.testing.assert_close(turns[name].moved["update_ratio"][:, layer], ratio, **CLOSE)


def test_blocks_survive_by_chance_in_the_player_that_learns():
    """The last of two blocks in half of the updates; in the other player by their probability."""
    match = match_of(graph_of(residual="stochastic_depth"))
    net = match.discriminator.net
    kept = torch.stack([match.draws.kept("any", net) for _ in range(400)]).double()
    assert kept.shape == (400, 2, 2)
    torch.testing.assert_close(kept.mean(0)[:, 1].numpy(), np.full(2, 0.5), atol=0.1, rtol=0)
    assert match.draws.kept("any", match_of(graph_of()).generator.net) is None
    x = match.samples.first(5, torch.float64)
    outputs = [match.discriminator.sees(x, kept=kept)[0] for kept in (torch.zeros(2, 2), None)]
    assert not torch.allclose(*outputs)


@pytest.mark.parametrize(
    ("player", "layer"), [("generator", 2), ("discriminator", 3), ("discriminator", 4)]
)
def test_the_first_layer_that_is_not_finite_is_found(player, layer):
    """The generator's, or else the discriminator's, whose head is the layer after the last."""
    match = match_of(graph_of())
    match.players[player].parameters["b"][layer - 1].data[1] = torch.nan
    assert advance(match, 1)["discriminator"].nonfinite.tolist() == [0, layer]


def test_players_of_one_seed_share_no_draws():
    match = match_of(graph_of(latent=48), (["he"], [0], [0.1]))
    mine, other = (player.parameters["W"] for player in match.players.values())
    assert mine[0].shape == other[0].shape
    for a, b in zip(mine[:-1], other[:-1], strict=True):
        cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0)
        assert abs(cosine) < 4 / a.numel() ** 0.5


@pytest.mark.parametrize(("normed", "expected"), [
    ("both", (True, True)), ("generator", (True, False)), ("discriminator", (False, True)),
])  # fmt: skip
def test_the_norm_is_of_the_player_that_is_named(normed, expected):
    nets = players_of(graph_of(norm="batch", normed=normed), data_of())
    assert tuple(net.norm.mixes_samples for net in nets.values()) == expected


def test_a_generating_cnn_doubles_its_image_and_halves_its_channels():
    graph = graph_of(**CNN | {"stages": 3, "depth": 5}, norm="none")
    shape = Shape(2 * 8 * 12, 3, (2, 8, 12))
    net = Architecture.of_player(graph, shape, generates=True)
    assert net.inputs == 5 * 2 * 3
    assert [net.units(n) for n in range(1, 6)] == [12, 12, 6, 6, 3]
    assert [net.pixels(n) for n in range(6)] == [(2, 3), (2, 3), (2, 3), (4, 6), (4, 6), (8, 12)]
    assert net.head_units == 2
    other = Architecture.of_player(graph, shape, generates=False)
    assert (other.outputs, other.pixels(5), other.units(5)) == (1, (2, 3), 12)


def test_noise_of_an_mlp_is_as_many_numbers_as_were_asked_for():
    nets = players_of(graph_of(latent=9), data_of())
    shapes = [(net.architecture.inputs, net.architecture.outputs) for net in nets.values()]
    assert shapes == [(9, 48), (48, 1)]


def test_every_game_is_written_out_in_plain_torch():
    assert set(LOSSES) == set(GAMES)
    assert {name: GAMES[name].clip for name in GAMES if GAMES[name].clip} == CLIP
