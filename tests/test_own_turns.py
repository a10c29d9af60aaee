"""What probes read off a GAN's own turns, against plain loops; and that nobody plays otherwise."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from vanishing.engine import job, match
from vanishing.engine.adversarial import Rules, advance, players_of
from vanishing.engine.draws import Draws
from vanishing.engine.glances import AT_ONCE, told
from vanishing.engine.network import flat
from vanishing.engine.packing import states_of
from vanishing.engine.turns import generated, glances_without_turns, judged
from vanishing.errors import UserError
from vanishing.study import cost, plan
from vanishing.tables import GAMES, LOGS

from .plain_gan import Batch
from .test_adversarial import (
    BATCH,
    CLOSE,
    CNN,
    CPU,
    FIXED,
    LIVE,
    MLP,
    RUNS,
    Chance,
    assert_discriminator,
    assert_generator,
    data_of,
    graph_of,
    match_of,
    plain_of,
)

STEPS = 3
EVERY = {"steps": list(range(STEPS + 1)), "batch": BATCH, "blocks": [], "own_pass": True}
CASES = [
    {"game": "non_saturating", **MLP, **LIVE, "optimizer": "adam"},
    {"game": "saturating", **MLP, **FIXED, "activation": "leaky_relu"},
    {"game": "wgan_gp", **MLP, **LIVE},
    {"game": "wgan_gp", **CNN, **FIXED},
    {"game": "wgan(clip=0.05)", **MLP, **LIVE, "clip": "norm(limit=0.01)"},
    {"game": "hinge", **MLP, **LIVE, "norm": "batch", "activation": "relu"},
    {"game": "hinge", **MLP, **FIXED, "norm": "spectral"},
    {"game": "least_squares", **CNN, **LIVE, "norm": "batch"},
    {"game": "non_saturating", **CNN, **LIVE, "norm": "spectral"},
]
every_case = pytest.mark.parametrize(
    "settings", CASES, ids=lambda s: "-".join(str(v) for v in s.values())
)


@every_case
def test_a_turn_that_is_looked_at_tells_what_a_plain_one_does(settings):
    """In float64, of each run: what comes of clipping and of an update is not told."""
    graph = graph_of(**settings, instance_noise=0.1)
    ours = match_of(graph)
    plain = [plain_of(graph, ours, run) for run in range(2)]
    chance = [Chance(graph, ours, run) for run in range(2)]
    for step in range(1, STEPS + 1):
        turns = advance(ours, step, looked_at=True)
        layers, game = {}, {}
        for seen in told([glance for turn in turns.values() for glance in turn.glances]):
            layers, game = layers | seen.layers, game | seen.game
        for run in range(2):
            expected = expected_of(plain[run], chance[run], layers, run)
            assert set(game) == set(expected) == set(GAMES.columns) - {"run_id", "step"}
            for name, value in expected.items():
                torch.testing.assert_close(game[name][run], value.detach(), **CLOSE)


def expected_of(plain, chance, layers, run):
    """The game's row of a step of a plain match, which is made; the layers are held against it."""
    live = plain.graph["generator"] == "live"
    for _ in range(plain.graph["discriminator_steps"]):
        batch, before = chance.of_discriminator(), copied(plain)
        plain.update_discriminator(batch)
    before.discriminator.iterate()
    fake = before.generator.held()(batch.latent) + batch.on_fake
    seen = Batch(batch.real + batch.on_real, batch.latent, mix=batch.mix)
    expected = {} if live else assert_generator(layers["generator"], run, before, fake)
    found = layers["discriminator"]
    expected |= assert_discriminator(found, run, before, fake.detach(), seen)
    if live:
        batch, before = chance.of_generator(), copied(plain)
        plain.update_generator(batch)
        before.discriminator.held()
        fake = before.generator.iterate()(batch.latent) + batch.on_fake
        expected |= assert_generator(layers["generator"], run, before, fake)
    return expected


def copied(plain):
    for player in (plain.generator, plain.discriminator):
        player.h = []  # of another pass, whose graph cannot be copied
    return copy.deepcopy(plain)


def record_of(graph, dtype=torch.float64, **budget):
    rules, data = Rules.of(graph), data_of()
    rules = replace(rules, budget=replace(rules.budget, **budget))
    return match.play(rules, players_of(graph, data), data, {"kind": "npz"}, RUNS, CPU, dtype)


@every_case
def test_a_match_is_the_same_to_the_last_bit_whoever_looks_on(settings):
    """At its own turns, with probes of a batch of their own, or at init and at the end alone."""
    graph = graph_of(**settings, instance_noise=0.1, probes=EVERY)
    looked_at = record_of(graph, torch.float32)
    for other in (
        record_of(graph, torch.float32, own_pass=False),
        record_of(graph, torch.float32, own_pass=False, probe_steps=(0, STEPS)),
        record_of(graph, torch.float32, probe_steps=(0, 2, STEPS)),
    ):
        for player, trace in looked_at.players.items():
            assert np.array_equal(trace.losses, other.players[player].losses)
            for name in ("total_change", "update_ratio", "consecutive_cosine"):
                pair = trace.measures[STEPS][name], other.players[player].measures[STEPS][name]
                np.testing.assert_array_equal(*pair)
        assert looked_at.scores.keys() <= other.scores.keys()
        for step, found in looked_at.scores.items():
            np.testing.assert_equal(found, other.scores[step])


@every_case
def test_every_probe_tells_all_that_one_of_its_own_batch_does(settings):
    graph = graph_of(**settings, probes=EVERY)
    own, exact = record_of(graph), record_of(graph, own_pass=False)
    assert list(own.games) == list(exact.games) == EVERY["steps"]
    for step in EVERY["steps"]:
        assert own.games[step].keys() == exact.games[step].keys()
        for player, trace in exact.players.items():
            found = own.players[player].measures[step]
            assert found.keys() == trace.measures[step].keys()
            for name, values in trace.measures[step].items():
                assert found[name].shape == values.shape
                assert np.array_equal(np.isnan(found[name]), np.isnan(values)), name
    assert list(own.scores) == ([0, STEPS] if settings["generator"] == "live" else [0])


@every_case
def test_turns_that_are_not_made_are_seen_as_they_would_be(settings):
    """The discriminator's, and nothing moves: neither players nor what the match draws from."""
    graph = graph_of(**settings | {"discriminator_steps": 1}, instance_noise=0.1)
    ours = match_of(graph)
    ours.latent("discriminator")  # generators that are used are not begun anew
    before = states_of(ours.draws), [t.detach().clone() for t in tensors_of(ours)]
    seen = told(glances_without_turns(ours))
    now = states_of(ours.draws), tensors_of(ours)
    np.testing.assert_equal(now[0], before[0])
    assert all(map(torch.equal, now[1], before[1]))
    made = told(advance(ours, 1, looked_at=True)["discriminator"].glances)
    if settings["generator"] == "live":  # the discriminator has judged, and made no update
        other = match_of(graph)
        judged(other, looked_at=False)
        made += told(generated(other, looked_at=True).glances)
    for found, expected in zip(seen, made, strict=True):
        for name in ("game", "layers"):
            pair = getattr(found, name), getattr(expected, name)
            assert pair[0].keys() == pair[1].keys()
            torch.testing.assert_close(*pair, rtol=0, atol=0, equal_nan=True)


def tensors_of(ours):
    return [
        tensor
        for player in ours.players.values()
        for tensor in (*flat(player.parameters), *flat(player.buffers))
    ]


def test_after_the_last_step_the_first_real_batch_is_seen_and_new_noise():
    graph = graph_of(**FIXED, probes=EVERY)
    record, ours = record_of(graph), match_of(graph)
    for step in range(1, STEPS + 1):
        advance(ours, step)
    last, _ = told(glances_without_turns(ours))
    np.testing.assert_array_equal(
        record.games[STEPS]["discriminator_loss"], last.game["discriminator_loss"]
    )
    draws = Draws(RUNS[1], CPU, torch.float64)
    for _ in range(STEPS + 1):
        latent = draws.normal("latent_of_discriminator", BATCH, 5)
    real = ours.samples.seen(ours.samples.order[0], torch.float64)
    fake = ours.generator.sees(latent)[0]
    with torch.no_grad():
        outputs = [ours.discriminator.judges(x) for x in (real, fake)]
        of_real, of_fake = ours.rules.game.discriminator(*outputs)
    expected = of_real.mean(1) + of_fake.mean(1)
    torch.testing.assert_close(last.game["discriminator_loss"], expected, **CLOSE)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_run_alone_tells_the_same_as_in_a_stack(norm):
    graph = graph_of(**LIVE, norm=norm, optimizer="adam", probes=EVERY)
    rules, data = Rules.of(graph), data_of()
    played = (
        match.play(rules, players_of(graph, data), data, {"kind": "npz"}, runs, CPU, torch.float64)
        for runs in (RUNS, tuple(values[1:] for values in RUNS))
    )
    together, alone = played
    for step in EVERY["steps"]:
        for name, values in alone.games[step].items():
            np.testing.assert_allclose(together.games[step][name][1:], values, rtol=1e-6)
        for player, trace in alone.players.items():
            for name, values in trace.measures[step].items():
                found = together.players[player].measures[step][name][1:]
                np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_run_that_is_not_finite_stays_in():
    graph = graph_of(**LIVE, probes=EVERY)
    ours = match_of(graph)
    with torch.no_grad():
        ours.discriminator.parameters["b"][1][0] = torch.nan
    for turn in advance(ours, 1, wanted=True, looked_at=True).values():
        [seen] = told(turn.glances)
        [layers] = seen.layers.values()
        assert layers["log10_grad_rms"].isfinite().tolist() == [[False] * 3, [True] * 3]
        for values in seen.game.values():
            assert values.isfinite().tolist() == [False, True]


def test_values_of_float32_are_summed_in_float64():
    """Squares of what a head of 1e-30 lets through are 0 in float32."""
    graph, data = graph_of(), data_of()
    given = Rules.of(graph), players_of(graph, data), data, RUNS, CPU, torch.float32
    ours = match.Match.of(*given)
    assert ours.discriminator.chained
    with torch.no_grad():
        ours.discriminator.parameters["W"][-1].mul_(1e-30)
    [seen] = told(advance(ours, 1, looked_at=True)["discriminator"].glances)
    size = seen.layers["discriminator"]["log10_grad_rms"]
    assert size.dtype == torch.float64
    assert ((size < -28) & (size > -34)).all()
    assert all(values.dtype == torch.float64 for values in seen.game.values())


@every_case
def test_turns_that_are_told_of_together_are_told_as_each_alone(settings):
    """To the last bit, in the precision of trainings."""
    graph, data = graph_of(**settings), data_of()
    given = Rules.of(graph), players_of(graph, data), data, RUNS, CPU, torch.float32
    ours = match.Match.of(*given)
    glances = []
    for step in range(1, 4):
        for turn in advance(ours, step, looked_at=True).values():
            glances += turn.glances
    assert len(glances) == 6
    for glance, together in zip(glances, told(glances), strict=True):
        [alone] = told([glance])
        assert alone.layers.keys() == together.layers.keys() == {glance.name}
        torch.testing.assert_close(together.layers, alone.layers, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(together.game, alone.game, rtol=0, atol=0, equal_nan=True)


def test_no_step_is_left_untold_however_many_there_are():
    steps = 2 * AT_ONCE + 3
    graph = graph_of(**LIVE, steps=steps, probes={**EVERY, "steps": list(range(steps + 1))})
    record = record_of(graph)
    assert not record.glances
    assert list(record.games) == list(range(steps + 1))
    for trace in record.players.values():
        assert all("q" in found for found in trace.measures.values())
    few = record_of({**graph, "probes": {**EVERY, "steps": [0, AT_ONCE, steps]}})
    for step in few.games:
        for name, values in few.games[step].items():
            np.testing.assert_array_equal(record.games[step][name], values)


# As a config asks for it


@pytest.fixture
def make(tmp_path):
    """Plans a study of one battery of GANs but for some changes."""
    battery = {
        "family": "gan", "task": "ring", "width": 8, "seeds": {"judged": 2}, "latent": 4,
        "factors": {"activation": ["tanh"], "init": ["he"], "depth": [2]},
        "train": {"steps": 5, "lr": 0.01, "batch": 8, "optimizer": "adam"},
        "probes": {"batch": "training", "steps": "every"},
    }  # fmt: skip

    def make(**changes):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"batteries": {"b": {**battery, **changes}}}))
        return plan.make(path, tmp_path / "results")

    return make


SCORED = {"batch": "training", "steps": "every", "blocks": ["scores"]}


@pytest.mark.parametrize(
    ("changes", "scored"),
    [({}, [0, 5]), ({"probes": SCORED}, list(range(6))), ({"generator": "fixed"}, [0])],
    ids=["ends", "block", "fixed"],
)
def test_a_job_logs_every_step_of_a_match(make, changes, scored):
    [cohort] = make(**changes).cohorts
    logs = job.run(cohort.as_json(), device="cpu")
    for name, table in LOGS.items():
        table.check(logs[name])
    assert set(logs["games"]["step"]) == set(logs["layers"]["step"]) == set(range(6))
    assert logs["games"].notna().all().all()
    assert logs["layers"][["q", "log10_delta_rms", "log10_grad_rms"]].notna().all().all()
    assert sorted(set(logs["scores"]["step"])) == scored
    assert (logs["runs"]["probe_batch"] == 0).all()  # none of its own
    assert logs["runs"]["outcome"].notna().all()
    rows = cost.rows_of_run(cohort.graph)
    for name in ("layers", "networks", "games"):
        assert len(logs[name]) == 2 * rows[name]
    assert len(logs["scores"]) <= 2 * rows["scores"]
    if "generator" not in changes:
        assert len(logs["scores"]) == 2 * rows["scores"]


def test_own_turns_are_planned_to_cost_less_than_probes_of_as_many_samples(make):
    own, exact = (
        make(**changes).cohorts[0] for changes in ({}, {"probes": {"batch": 8, "steps": "every"}})
    )
    assert own.id != exact.id
    assert cost.seconds(own) < cost.seconds(exact)
    assert cost.memory_mb(own) <= cost.memory_mb(exact)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"steps": 0}}, "probes.batch: training has no sense with train.steps: 0"),
        (
            {"probes": {**SCORED, "batch": 8}},
            "probes.blocks: scores is for probes.batch: training",
        ),
        (
            {"probes": {**SCORED, "blocks": ["accuracy"]}},
            "accuracy is no measure of family gan",
        ),
        (
            {"family": "mlp", "task": "digits", "latent": 4, "probes": SCORED},
            "scores is no measure of family mlp",
        ),
    ],
    ids=["init", "own batch", "accuracy", "mlp"],
)
def test_what_is_not_of_own_turns_is_refused(make, changes, message):
    with pytest.raises(UserError, match=message):
        make(**changes)
