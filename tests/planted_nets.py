"""Tables with planted truths for nets through time and for two players, and for their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from vanishing.tables import GAMES, LAGS, SCORES

from .planted import runs_of

TRAINED = {"optimizer": "sgd", "lr_policy": "fixed(0.1)", "lr": 0.1, "steps": 64}
LENGTH = 21  # time steps: the largest lag is 20
RECURRENT = {
    "family": "rnn", "task": "adding", "loss": "squared_error", "init": "torch_default", "depth": 1,
    "recurrence": "vanilla", "length": LENGTH,
}  # fmt: skip
GAN = TRAINED | {
    "family": "gan", "task": "ring", "activation": "leaky_relu", "init": "he", "depth": 3,
    "game": "non_saturating", "players": "mlp", "generator": "live", "latent": 16,
    "discriminator_steps": 1, "normed": "both",
}  # fmt: skip
Curve = Mapping[float, float | None]  # by probe step, or by level


def nothing(*_: object) -> dict:
    """A truth that changes no column."""
    return {}


def recurrent(
    factors: dict[str, list],
    seeds: int,
    truth: Callable,
    battery: str = "rnn_init",
    **fixed: object,
) -> pd.DataFrame:
    """Runs of recurrent nets of one layer, untrained where ``fixed`` does not say otherwise."""
    return runs_of(battery, factors, seeds, truth, **(RECURRENT | fixed))


def gans(
    factors: dict[str, list],
    seeds: int,
    truth: Callable,
    battery: str = "gan_live",
    **fixed: object,
) -> pd.DataFrame:
    """Runs of two players that both learn, where ``fixed`` does not say otherwise."""
    return runs_of(battery, factors, seeds, truth, **(GAN | fixed))


def line(slope: float) -> list[float]:
    """A profile by lag that changes by ``slope`` decades a step, from -1 at lag 0."""
    return [slope * lag - 1 for lag in range(LENGTH)]


def lags_of(
    runs: pd.DataFrame,
    profile: Callable[[dict, int, int], Sequence[float | None]],
    steps: Sequence[int] = (0,),
) -> pd.DataFrame:
    """Lags of every layer at ``steps``: ``profile`` gives those of a run, step and layer."""
    return LAGS.frame(
        {"run_id": run["run_id"], "step": step, "layer": layer, "lag": lag, "log10_delta_rms": size}
        for run in runs.to_dict("records")
        for step in steps
        for layer in range(1, run["depth"] + 1)
        for lag, size in zip(range(run["length"]), profile(run, step, layer), strict=True)
    )


def scores_of(
    runs: pd.DataFrame, score: str, curves: Callable[[dict], Mapping[int, Curve]]
) -> pd.DataFrame:
    """Values of ``score``: ``curves`` gives those of a run by probe step, and there by level."""
    return SCORES.frame(
        {"run_id": run["run_id"], "step": step, "score": score, "level": level, "value": value}
        for run in runs.to_dict("records")
        for step, values in curves(run).items()
        for level, value in values.items()
    )


def games_of(
    runs: pd.DataFrame, gradient: Callable[[dict], Curve], **fixed: object
) -> pd.DataFrame:
    """Games in which ``gradient`` gives log10 of a run's generator's, by probe step; else zeros."""
    base = dict.fromkeys(GAMES.columns, 0.0) | fixed
    return GAMES.frame(
        base | {"run_id": run["run_id"], "step": step, "log10_generator_gradient": size}
        for run in runs.to_dict("records")
        for step, size in gradient(run).items()
    )
