"""What recurrent nets and GANs take in a config: refused before anything runs, or in every id."""

import numpy as np
import pytest

from vanishing.errors import UserError
from vanishing.parts.recurrences import RECURRENCES
from vanishing.study import cost

from .test_combinations import made, settings

RNN = {"family": "rnn", "task": "adding", "length": 12}
GAN = {"family": "gan", "task": "ring"}
TRAINED = {"steps": 5, "lr": 0.1}


@pytest.mark.parametrize(
    ("changes", "factors", "message"),
    [
        (RNN, {"norm": ["batch"]}, "would share its statistics between time steps"),
        (RNN, {"norm": ["spectral"]}, "norm 'spectral' is for mlp, cnn only"),
        (RNN, {"residual": ["identity"]}, "a recurrent net skips time, by the recurrence leaky"),
        (RNN, {"init": ["lsuv"]}, "init 'lsuv' is for mlp, cnn only"),
        ({**RNN, "norm_position": "after"}, {}, "norm_position is of family mlp or cnn or gan"),
        ({**RNN, "stages": 2}, {}, "stages is of family cnn or gan, and family rnn came"),
        ({**RNN, "task": "digits", "length": 5}, {}, "batteries.b: task 'digits' has no length"),
        ({"family": "rnn"}, {}, "task 'digits', whose samples are no sequences"),
        ({"task": "adding"}, {}, "family 'mlp' does not go with task 'adding'"),
        ({**RNN, "recurrence": "lstn"}, {}, "Did you mean 'lstm'"),
        ({**RNN, "recurrence": {"skip": {"steps": 1}}}, {}, "whole number from 2 on"),
        (
            {**RNN, "train": {**TRAINED, "loss": "cross_entropy"}},
            {},
            "loss 'cross_entropy' does not go with task 'adding', whose answers are values",
        ),
        ({"train": {**TRAINED, "loss": "squared_error"}}, {}, "whose answers are classes"),
        ({**RNN, "probes": {"blocks": ["jacobian"]}}, {}, "jacobian is no measure of family rnn"),
        ({**GAN, "truncation": 3}, {}, "truncation is of family rnn, and family gan came"),
        ({**GAN, "train": {**TRAINED, "loss": "cross_entropy"}}, {}, "its players play a game"),
        ({**GAN, "vary": {"loss": ["cross_entropy"]}}, {}, "its players play a game"),
        (
            {
                **GAN,
                "generator": "fixed",
                "seeds": {"judged": 2, "tuning": 1},
                "train": {"steps": 5, "lr": [0.1, 0.2]},
            },
            {},
            "before a fixed generator no loss says which rate is best",
        ),
        ({**RNN, "task": "agreement", "length": 5}, {}, "length of agreement must be 6 or more"),
        (
            {"family": "rnn", "task": "copy_memory", "vary": {"length": [20, 8]}},
            {},
            "length of copy_memory must be 11 or more",
        ),
        ({**GAN, "players": "cnn"}, {}, "players 'cnn' need a task of images"),
        ({**GAN, "task": "adding"}, {}, "whose samples are sequences"),
        ({**GAN, "game": "wgan_gp"}, {"norm": ["batch"]}, "give normed: generator"),
        ({**GAN, "game": {"wgan": {"clip": 0}}}, {}, "clip must be above 0"),
        (
            {**GAN, "task": "digits", "players": "cnn", "width": 8},
            {"residual": ["dense"]},
            "has no form for a net that enlarges its image",
        ),
        ({**GAN, "instance_noise": -1}, {}, "instance_noise"),
        ({"generator": "fixed"}, {}, "generator is of family gan, and family mlp came"),
    ],
)
def test_what_no_such_net_can_be_is_refused_with_what_to_do(tmp_path, changes, factors, message):
    with pytest.raises(UserError, match=message):
        made(tmp_path, changes, factors)


def test_a_task_brings_its_length_and_the_loss_of_its_answers(tmp_path):
    [run, _] = settings(tmp_path, {"family": "rnn", "task": "adding"})
    assert (run.length, run.loss, run.recurrence) == (50, "squared_error", "vanilla")
    [run, _] = settings(tmp_path, {"family": "rnn", "task": "pixel_digits"})
    assert (run.length, run.loss) == (64, "cross_entropy")


def test_lengths_are_an_axis_and_reach_the_job(tmp_path):
    planned = made(tmp_path, {"family": "rnn", "task": "adding", "vary": {"length": [5, 9]}})
    cohorts = [c.as_json() for c in planned.cohorts]
    assert sorted(c["length"] for c in cohorts) == [5, 9]
    assert all(c["data_source"] == {"kind": "adding", "length": c["length"]} for c in cohorts)
    ids = [run["run_id"] for c in cohorts for run in c["runs"]]
    assert len(set(ids)) == 4


def test_sequences_of_the_users_own_have_the_length_of_their_file(tmp_path):
    np.savez(tmp_path / "mine.npz", x=np.zeros((40, 7, 2)), y=np.arange(40) % 2)
    task = {"npz": {"path": "mine.npz", "sequence": True}}
    [run, _] = settings(tmp_path, {"family": "rnn", "task": task})
    assert run.length == 7


def test_a_text_of_the_users_own_is_known_by_its_content(tmp_path):
    runs = []
    for text in ("a b c d " * 50, "a b c e " * 50):
        (tmp_path / "mine.txt").write_text(text)
        changes = {"family": "rnn", "length": 8, "task": {"text": {"path": "mine.txt"}}}
        runs.append(settings(tmp_path, changes)[0])
    assert runs[0].task == "text:mine"
    assert runs[0].run_id != runs[1].run_id


@pytest.mark.parametrize("truncation", [12, 40])
def test_a_truncation_as_long_as_the_sequence_is_none(tmp_path, truncation):
    whole = settings(tmp_path, RNN)
    assert settings(tmp_path, {**RNN, "truncation": truncation}) == whole
    assert settings(tmp_path, {**RNN, "truncation": 11}) != whole


def test_settings_of_a_game_stand_in_the_ids_of_gans_alone(tmp_path):
    [plain, _] = settings(tmp_path, {})
    assert (plain.game, plain.latent, plain.discriminator_steps) == ("none", 0, 0)
    [live, _] = settings(tmp_path, GAN)
    assert (live.game, live.generator, live.latent) == ("non_saturating", "live", 16)
    [fixed, _] = settings(tmp_path, {**GAN, "generator": "fixed"})
    assert fixed.run_id != live.run_id


def test_players_without_images_have_no_stages(tmp_path):
    pixels = {**GAN, "task": "digits", "vary": {"players": ["mlp", "cnn"], "stages": [1, 2]}}
    runs = settings(tmp_path, {**pixels, "width": 8})
    assert {(r.players, r.stages) for r in runs} == {("mlp", 1), ("cnn", 1), ("cnn", 2)}
    assert len({r.run_id for r in runs}) == 6


def test_our_own_text_may_have_a_name_and_stays_the_same(tmp_path):
    named = settings(tmp_path, {"family": "rnn", "task": {"text": {"name": "mine"}}})
    assert named == settings(tmp_path, {"family": "rnn", "task": "text"})


def test_before_a_fixed_generator_the_discriminator_has_every_step(tmp_path):
    fixed = {**GAN, "generator": "fixed"}
    assert settings(tmp_path, {**fixed, "discriminator_steps": 5}) == settings(tmp_path, fixed)


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_every_recurrence_can_be_planned_and_costs_something(tmp_path, recurrence):
    planned = made(tmp_path, {**RNN, "recurrence": recurrence})
    assert planned.cohorts[0].flops > 0


def test_longer_sequences_and_more_turns_cost_more(tmp_path):
    def flops(changes):
        train = {**TRAINED, "steps": 5000}  # beside which probes and start-up are small
        return made(tmp_path, {**changes, "train": train}).cohorts[0].graph.flops

    assert flops({**RNN, "length": 24}) == pytest.approx(2 * flops(RNN), rel=0.2)
    assert flops({**GAN, "discriminator_steps": 5}) > 3 * flops(GAN)


def test_a_recurrence_of_the_users_own_is_planned_without_being_imported(tmp_path, monkeypatch):
    (tmp_path / "my_parts.py").write_text("cell = None\nraise RuntimeError\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    planned = made(tmp_path, {**RNN, "recurrence": "my_parts:cell"})
    assert planned.own_parts == [tmp_path / "my_parts.py"]
    assert cost.PLAIN["recurrence"] in RECURRENCES
