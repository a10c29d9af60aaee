"""A match of GANs from a cohort to its tables: probes, scores, outcomes, and a known answer."""

import numpy as np
import pandas as pd
import pytest
import torch

from vanishing.engine import job, match
from vanishing.engine.adversarial import Rules, players_of
from vanishing.engine.devices import choose, stacks
from vanishing.engine.measures import (
    outcome_of_discriminator,
    outcome_of_generator,
    outcome_of_match,
    smoothed,
)
from vanishing.engine.quality import mmd2
from vanishing.parts.architecture import Architecture
from vanishing.parts.plane import ring_modes
from vanishing.parts.stack_sizes import bytes_of_run, most_runs
from vanishing.parts.tasks import load
from vanishing.tables import GAMES as GAMES_TABLE
from vanishing.tables import LOGS

RING = {"kind": "ring", "samples": 400}
STEPS = [0, 1, 2, 4, 8]


def cohort_of(rates=(0.01, 0.01), source=RING, **changes):
    steps = changes.get("steps", 8)
    runs = [
        {"run_id": f"r{n}", "cell": "c", "init": ("he", "xavier")[n % 2], "seed": n // 2, "lr": lr,
         "lr_policy": "fixed", "lr_grid": [], "tuning_seeds": 0}
        for n, lr in enumerate(rates)
    ]  # fmt: skip
    cohort = {
        "id": "c", "split": "judged", "family": "gan", "task": source["kind"], "data": "",
        "activation": "relu", "norm": "none", "norm_position": "before", "residual": "none",
        "block": 1, "depth": 3, "width": 8, "stages": 1, "padding": "zero", "recurrence": "none",
        "length": 0, "truncation": 0, "game": "non_saturating", "players": "mlp",
        "generator": "live", "latent": 4, "discriminator_steps": 1, "instance_noise": 0.0,
        "normed": "both", "loss": "cross_entropy", "optimizer": "adam", "schedule": "constant",
        "clip": "none", "batch": 16, "steps": steps, "data_source": source, "runs": runs,
        "probes": {"steps": [s for s in STEPS if s <= steps], "batch": 12, "blocks": []},
    }  # fmt: skip
    return {**cohort, **changes}


@pytest.fixture(scope="module")
def live():
    """A cohort of live matches, one of which diverges."""
    return job.run(cohort_of((0.01, 0.01, 0.01, 1e30)))


@pytest.fixture(scope="module")
def fixed():
    return job.run(cohort_of(generator="fixed", game="hinge"))


def test_every_table_of_a_job_holds_by_its_schema(live, fixed):
    for logs in (live, fixed):
        assert set(logs) == set(LOGS)
        for name, table in LOGS.items():
            table.check(logs[name])
        assert all(logs[name].empty for name in ("freeze", "lags", "recurrences"))


def test_both_players_are_measured_at_every_probe_step_and_layer(live):
    rows = live["layers"].groupby(["run_id", "step", "player"])["layer"].apply(list)
    assert len(rows) == 4 * len(STEPS) * 2
    assert rows.map(lambda layers: layers == [1, 2, 3]).all()
    assert set(live["networks"]["player"]) == {"generator", "discriminator"}
    assert len(live["networks"]) == len(rows)
    assert len(live["games"]) == 4 * len(STEPS)


def test_updates_are_measured_of_a_player_that_makes_any(live, fixed):
    columns = ["update_ratio", "total_change", "consecutive_cosine"]
    trained = live["layers"][live["layers"]["run_id"] != "r3"]
    assert trained.loc[trained["step"] == 0, columns].isna().all().all()
    assert trained.loc[trained["step"] > 1, columns].notna().all().all()
    assert (trained.loc[trained["step"] > 0, "update_ratio"] > 0).all()
    rows = fixed["layers"][fixed["layers"]["step"] > 1].groupby("player")[columns]
    assert rows.count().loc["generator"].eq(0).all()
    assert rows.count().loc["discriminator"].gt(0).all()
    depth = fixed["networks"].groupby("player")["effective_depth"].count()
    assert depth.to_dict() == {"generator": 0, "discriminator": 2 * (len(STEPS) - 1)}


def test_a_fixed_generator_makes_the_same_samples_at_every_step(fixed):
    """What is measured of it forwards does not change, and what comes back to it does."""
    rows = fixed["layers"][fixed["layers"]["player"] == "generator"]
    by_step = rows.groupby(["run_id", "layer"])
    assert (by_step[["q", "activation_mean", "dead_fraction"]].nunique() == 1).all().all()
    assert (by_step["log10_delta_rms"].nunique() == len(STEPS)).all()
    assert set(fixed["scores"]["step"]) == {0}


def test_a_run_that_diverges_is_a_result(live):
    runs = live["runs"].set_index("run_id")
    assert runs.loc["r3", "outcome"] == "diverged"
    assert np.isnan(runs.loc["r3", "final_loss"])
    assert runs.loc["r3", "first_nonfinite_step"] >= 1
    assert runs.loc["r3", "first_nonfinite_layer"] >= 1
    others = runs.drop("r3")
    assert others["first_nonfinite_step"].isna().all()
    assert set(others["outcome"]) <= {"trained", "stalled", "slow", "dead"}
    assert others["final_loss"].notna().all()


def test_a_gan_has_no_accuracy(live):
    columns = ["final_train_accuracy", "final_test_accuracy", "steps_to_threshold"]
    assert live["runs"][columns].isna().all().all()
    assert live["curves"]["test_accuracy"].isna().all()


def test_a_fixed_generators_loss_is_the_discriminators_of_the_last_updates(fixed):
    curves = fixed["curves"].pivot(index="step", columns="run_id", values="train_loss")
    runs = fixed["runs"].set_index("run_id").dropna(subset="final_loss")
    steps = runs["steps"].iloc[0]
    expected = smoothed(curves.loc[: steps - 1, runs.index].to_numpy())[-1]
    np.testing.assert_allclose(runs["final_loss"], expected, rtol=1e-6)
    assert len(runs)


def test_a_live_generators_loss_is_the_distance_of_its_samples_at_the_end(live):
    scores = live["scores"].query("score == 'mmd'")
    end = scores[scores["step"] == scores["step"].max()].set_index("run_id")["value"]
    runs = live["runs"].set_index("run_id").dropna(subset="final_loss")
    assert len(runs) == 3
    np.testing.assert_allclose(runs["final_loss"], end[runs.index], rtol=1e-12)


def test_the_signal_is_the_generators_as_it_begins(live):
    rows = live["layers"]
    first = rows[(rows["step"] == 0) & (rows["player"] == "generator")]
    delta = first.pivot(index="run_id", columns="layer", values="log10_delta_rms")
    runs = live["runs"].set_index("run_id").loc[delta.index]
    np.testing.assert_allclose(runs["vanishing_index"], delta[1] - delta[3], atol=1e-6)


def test_scores_are_those_of_the_task():
    of_ring = job.run(cohort_of())["scores"]
    assert set(of_ring["score"]) == {"mmd", "modes", "high_quality"}
    assert len(of_ring) == 2 * len(STEPS) * 3
    small = {"rates": (0.01,), "steps": 1}
    of_digits = job.run(cohort_of(source={"kind": "digits"}, **small))["scores"]
    assert set(of_digits["score"]) == {"mmd", "frechet"}
    of_roll = job.run(cohort_of(source={"kind": "swiss_roll", "samples": 300}, **small))["scores"]
    assert set(of_roll["score"]) == {"mmd"}


def record_of(cohort, dtype=torch.float64):
    data, runs = load(cohort["data_source"]), cohort["runs"]
    members = [[r[name] for r in runs] for name in ("init", "seed", "lr")]
    nets, rules = players_of(cohort, data), Rules.of(cohort)
    return match.play(rules, nets, data, cohort["data_source"], members, choose("cpu"), dtype)


def test_a_generator_that_hits_one_mode_is_scored_by_it():
    """A generator of weight 0 puts out its head's bias: the second centre of five."""
    cohort = cohort_of(source={"kind": "ring", "samples": 400, "modes": 5, "sd": 0.1})
    data = load(cohort["data_source"])
    rules, nets = Rules.of(cohort), players_of(cohort, data)
    state = match.Match.of(rules, nets, data, (["zeros"], [0], [0.1]), choose("cpu"), torch.float64)
    probe = match.Probe.of(state, cohort["data_source"])
    centres, sd = ring_modes(5, 0.1)
    bias = state.generator.parameters["b"][-1]
    bias.data = torch.from_numpy(centres[1]).view(1, 1, 2)
    found = match.scores(state, probe)
    assert found["modes", 0.0] == [1]
    assert found["high_quality", 0.0] == [1]
    points = torch.from_numpy(centres[1]).expand(1, 500, 2)
    np.testing.assert_allclose(found["mmd", 0.0], mmd2(points, probe.reference))
    bias.data += 4 * sd
    assert match.scores(state, probe)["high_quality", 0.0] == [0]


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_stack_of_matches_equals_each_played_alone(norm):
    cohort = cohort_of((0.01, 0.03, 0.01), norm=norm, instance_noise=0.1, discriminator_steps=2)
    together = record_of(cohort)
    for n, run in enumerate(cohort["runs"]):
        alone = record_of({**cohort, "runs": [run]})
        for step in STEPS:
            for name, values in alone.games[step].items():
                np.testing.assert_allclose(together.games[step][name][n], values[0], rtol=1e-6)
            for name, values in alone.scores[step].items():
                np.testing.assert_allclose(together.scores[step][name][n], values[0], atol=1e-9)
        for player, trace in alone.players.items():
            np.testing.assert_allclose(
                together.players[player].losses[:, n], trace.losses[:, 0], rtol=1e-8
            )


def test_probes_change_nothing_of_a_match():
    cohort = cohort_of(norm="spectral", game="wgan_gp", steps=8)
    few = {**cohort, "probes": {**cohort["probes"], "steps": [0, 8]}}
    often, seldom = record_of(cohort), record_of(few)
    for player in often.players:
        first, second = often.players[player], seldom.players[player]
        assert np.array_equal(first.losses, second.losses)
        for name, values in second.measures[8].items():
            np.testing.assert_array_equal(first.measures[8][name], values)


def test_a_fixed_generator_meets_one_turn_of_the_discriminator_a_step():
    once, often = (
        record_of(cohort_of(generator="fixed", discriminator_steps=turns)) for turns in (1, 5)
    )
    losses = [record.players["discriminator"].losses for record in (once, often)]
    assert np.array_equal(*losses)
    assert once.players["generator"].losses.shape == (0, 2)


def test_arms_of_one_seed_share_their_draws_and_seeds_do_not():
    runs = {"init": "he", "lr": 0.01, "seed": 0}
    plain = cohort_of(steps=1)
    seeds = [{**plain["runs"][0], **runs, "seed": seed} for seed in (0, 0, 1)]
    games = record_of({**plain, "runs": seeds}).games[1]["generator_loss"]
    assert games[0] == games[1] != games[2]


def test_a_battery_at_init_measures_and_trains_nothing():
    logs = job.run(cohort_of(steps=0, rates=(None, None)))
    assert logs["runs"]["outcome"].isna().all()
    assert logs["runs"]["slope"].notna().all()
    assert len(logs["games"]) == 2
    assert logs["curves"].empty


def test_convolutions_play_on_images():
    logs = job.run(cohort_of(
        (0.01,), {"kind": "digits"}, players="cnn", stages=2, width=4, norm="batch", steps=2,
        game="wgan_gp", normed="generator",
    ))  # fmt: skip
    assert logs["runs"]["outcome"].notna().all()
    assert logs["games"]["log10_generator_gradient"].notna().all()


@pytest.mark.parametrize("game", ["wgan", "least_squares"])
def test_a_game_is_measured_whole(game):
    games = job.run(cohort_of(game=game, activation="tanh"))["games"]
    assert games[list(GAMES_TABLE.columns)].notna().all().all()


FINE = {"q": np.ones(3), "grad_mean": np.zeros(3), "dead_fraction": np.zeros(3),
        "delta_zero_fraction": np.zeros(3)}  # fmt: skip
SOME, NONE = np.ones(5), np.empty(0)


@pytest.mark.parametrize(
    ("losses", "generator", "discriminator", "expected"),
    [
        ((SOME, SOME), {}, {}, ""),
        ((SOME, np.array([1, np.nan])), {}, {}, "diverged"),
        ((np.array([np.inf]), SOME), {}, {}, "diverged"),
        ((SOME, SOME), {"q": np.array([1, 1, np.inf])}, {}, "diverged"),
        ((NONE, SOME), {}, {"grad_mean": np.array([np.nan, 1, 1])}, "diverged"),
        ((SOME, SOME), {"delta_zero_fraction": np.array([1, 0, 0])}, {}, "dead"),
        ((NONE, SOME), {"delta_zero_fraction": np.array([1, 0, 0])}, {}, ""),
        ((SOME, SOME), {"dead_fraction": np.array([0, 0.99, 0])}, {}, "dead"),
        ((NONE, SOME), {"dead_fraction": np.array([0, 0.99, 0])}, {}, ""),
        ((NONE, SOME), {}, {"dead_fraction": np.array([0, 0, 1])}, "dead"),
    ],
)
def test_a_match_ends_for_a_reason_of_players_that_learn(
    losses, generator, discriminator, expected
):
    end = {"generator": {**FINE, **generator}, "discriminator": {**FINE, **discriminator}}
    given = dict(zip(("generator", "discriminator"), losses, strict=True))
    assert outcome_of_match(given, end) == expected


def test_outcomes_are_by_what_is_left_of_the_distance_or_by_accuracy():
    left = [outcome_of_generator(share * 0.4, 0.4) for share in (-0.01, 0.09, 0.5, 0.91, 3)]
    assert left == ["trained", "trained", "slow", "stalled", "stalled"]
    told = [outcome_of_discriminator(share) for share in (0.95, 0.9, 0.7, 0.55, 0.4)]
    assert told == ["trained", "trained", "slow", "stalled", "stalled"]


def test_the_outcome_is_that_of_the_scores_or_the_accuracy(live, fixed):
    mmd = live["scores"][live["scores"]["score"] == "mmd"].pivot(
        index="run_id", columns="step", values="value"
    )
    games = fixed["games"].set_index(["step", "run_id"])["discriminator_accuracy"]
    for run in live["runs"].itertuples():
        if run.outcome in ("trained", "stalled", "slow"):
            assert run.outcome == outcome_of_generator(*mmd.loc[run.run_id, [8, 0]])
    for run in fixed["runs"].itertuples():
        assert run.outcome == outcome_of_discriminator(games[8, run.run_id])


def test_memory_of_a_stack_is_that_of_both_players():
    large = Architecture("cnn", 20, 32, inputs=3072, outputs=1, image=(3, 32, 32), stages=3)
    small = Architecture("mlp", 3, 8, inputs=4, outputs=2)
    device = choose("cpu")
    assert max(map(len, stacks(96, small, 16, device))) == most_runs(small)
    held = bytes_of_run(small, 64) + bytes_of_run(large, 128)
    most = max(map(len, stacks(40, small, 64, device, large)))
    assert most == max(1, int(1e9 // held)) < most_runs(small)


@pytest.mark.slow
def test_a_good_discriminator_leaves_no_gradient_in_the_saturating_game():
    """Before a fixed generator of digits it is lost, and in that with a penalty it is not.

    (Arjovsky, Bottou 2017; Gulrajani et al. 2017.) The samples lie apart in 64 dimensions, so that
    the discriminator is soon right about all of them.
    """
    cohort = cohort_of(
        (0.001,) * 3, {"kind": "digits"}, generator="fixed", width=128, latent=16, batch=64,
        steps=500, probes={"steps": [0, 500], "batch": 128, "blocks": []},
    )  # fmt: skip
    runs, found = [{**r, "init": "he", "seed": n} for n, r in enumerate(cohort["runs"])], {}
    for game in ("saturating", "wgan_gp"):
        logs = job.run({**cohort, "game": game, "runs": runs})
        assert set(logs["runs"]["outcome"]) == {"trained"}
        rows = logs["games"].pivot(
            index="run_id", columns="step", values="log10_generator_gradient"
        )
        found[game] = rows[500] - rows[0]
    found = pd.DataFrame(found)
    assert (found["saturating"] < -3).all()
    assert (found["wgan_gp"] > -0.5).all()
