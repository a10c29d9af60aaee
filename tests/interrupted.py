"""Cohorts of every family for trainings that are interrupted, and how they are."""

import contextlib
import random
import signal

import pandas as pd

from vanishing.engine import job
from vanishing.engine.checkpoints import Checkpoints
from vanishing.engine.watch import Stopped, Watch
from vanishing.parts.measure_blocks import BLOCKS

STEPS = 9
STARTS = 1000  # of a job, at most: each makes an update of the hundred that there are to make
PROBES = {"steps": [0, 1, 5, STEPS], "batch": 12, "blocks": []}
OWN = PROBES | {"batch": 16, "own_pass": True}
FREEZE = {"blocks": ["freeze", "interference", "noise"]}
NET = {
    "split": "judged", "family": "mlp", "task": "digits", "data": "", "activation": "tanh",
    "norm": "none", "norm_position": "before", "residual": "none", "block": 1, "depth": 3,
    "width": 8, "stages": 1, "padding": "zero", "recurrence": "none", "length": 0, "truncation": 0,
    "game": "none", "players": "none", "generator": "none", "latent": 0, "discriminator_steps": 0,
    "instance_noise": 0.0, "normed": "none", "loss": "cross_entropy", "optimizer": "sgd",
    "schedule": "constant", "clip": "none", "batch": 16, "steps": STEPS,
    "data_source": {"kind": "digits"}, "probes": PROBES,
}  # fmt: skip
RNN = NET | {
    "family": "rnn", "task": "adding", "depth": 2, "length": 6, "recurrence": "gru",
    "loss": "squared_error", "data_source": {"kind": "adding", "length": 6, "samples": 120},
}  # fmt: skip
TRANSDUCTION = RNN | {
    "task": "transduction", "length": 16, "loss": "cross_entropy",
    "data_source": {"kind": "transduction", "length": 16, "samples": 120},
}  # fmt: skip
GAN = NET | {
    "family": "gan", "task": "ring", "game": "wgan_gp", "players": "mlp", "generator": "live",
    "latent": 4, "discriminator_steps": 2, "instance_noise": 0.1, "normed": "both",
    "activation": "relu", "data_source": {"kind": "ring", "samples": 400},
}  # fmt: skip
COHORTS = {
    "adam, batch norm": NET | {"norm": "batch", "optimizer": "adam"},
    "freeze, schedule, clip": NET | {
        "optimizer": "momentum", "norm": "spectral", "schedule": "cosine", "clip": "norm(limit=1)",
        "probes": PROBES | FREEZE,
    },
    "stochastic depth": NET | {"residual": "stochastic_depth", "depth": 4, "optimizer": "lion"},
    "one that diverges": NET | {"activation": "relu", "rates": [0.1, 1e30, 0.1]},
    "cnn": NET | {"family": "cnn", "norm": "batch", "optimizer": "nesterov", "width": 4},
    "every block": NET | {"probes": PROBES | {"blocks": list(BLOCKS)}},
    "own passes": NET | {"optimizer": "adam", "probes": OWN},
    "rnn": RNN | {"optimizer": "rmsprop", "norm": "layer", "clip": "norm(limit=1)"},
    "a task with its own score": TRANSDUCTION,
    "live gan": GAN | {
        "norm": "spectral", "optimizer": "adam", "residual": "stochastic_depth", "depth": 4,
    },
    "fixed gan": GAN | {
        "generator": "fixed", "game": "wgan", "optimizer": "momentum", "norm": "batch",
    },
    "own turns": GAN | {"optimizer": "adam", "probes": OWN | {"blocks": ["scores"]}},
    "own turns before a fixed gan": GAN | {
        "generator": "fixed", "game": "hinge", "optimizer": "adam", "probes": OWN,
    },
}  # fmt: skip


def cohort_of(settings, name="c"):
    """A cohort of three runs with such settings."""
    rates = settings.get("rates", [0.05, 0.02, 0.05])
    common = {"lr_policy": "fixed", "lr_grid": [], "tuning_seeds": 0}
    runs = [
        {"run_id": f"r{n}", "cell": f"c{n}", "init": init, "seed": n, "lr": lr, **common}
        for n, (init, lr) in enumerate(zip(["he", "xavier", "he"], rates, strict=True))
    ]
    return {"id": name, **{n: v for n, v in settings.items() if n != "rates"}, "runs": runs}


class StoppingWatch(Watch):
    """A watch to which SIGTERM comes after so many ``updates``."""

    def __init__(self, folder, updates, key=""):
        super().__init__(Checkpoints(folder, key))
        self.updates = updates

    def after(self, *arguments):
        self.updates -= 1
        if self.updates == 0:
            self.signals.append(signal.SIGTERM)
        super().after(*arguments)


def run_in_parts(cohort, folder, seed=0, longest=7):
    """The logs of a cohort whose job is stopped after few updates, again and again, and how often.

    How many updates each start makes is random, from 1 to ``longest``.
    """
    chance = random.Random(seed)
    for stops in range(STARTS):
        watch = StoppingWatch(folder, chance.randint(1, longest))
        with contextlib.suppress(Stopped):
            return job.run(cohort, device="cpu", watch=watch), stops
    raise AssertionError("no progress")


def assert_same(found, expected):
    """The same log tables to the bit, but for the time that was used."""
    assert set(found) == set(expected)
    for name, table in expected.items():
        pd.testing.assert_frame_equal(
            found[name].drop(columns="seconds", errors="ignore"),
            table.drop(columns="seconds", errors="ignore"),
            check_exact=True,
            obj=name,
        )
