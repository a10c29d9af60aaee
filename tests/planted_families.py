"""Tables with planted truths for the other families: nets through time, two players, cases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from vanishing.tables import GAMES, LAG_PREDICTIONS, LAGS, RUNS, SCORES

NUMBERS = {
    "truncation": 0, "discriminator_steps": 1, "instance_noise": 0.0, "latent": 0, "length": 0,
    "stages": 1, "block": 1, "depth": 1, "width": 8, "batch": 8, "probe_batch": 8, "steps": 0,
    "seconds": 1.0, "sigma_w": 1.0, "sigma_b": 0.0, "seed": 0,
}  # fmt: skip
Truth = Callable[[dict], Iterable[dict]]


def runs_of(battery: str, factors: dict[str, list], seeds: int, **fixed: object) -> pd.DataFrame:
    """Every point of ``factors`` with every seed; what nothing names is 'none' or small."""
    text = {name for name, column in RUNS.columns.items() if column.dtype == "string"}
    empty = dict.fromkeys(RUNS.columns) | dict.fromkeys(text, "none") | NUMBERS
    rows = []
    for levels in itertools.product(*factors.values()):
        named = fixed | dict(zip(factors, levels, strict=True))
        cell = empty | {"activation": "tanh", "init": "torch_default", "split": "judged"} | named
        cell |= {"battery": battery, "cell": f"{battery} {levels}"}
        rows += [cell | {"seed": n, "run_id": f"{cell['cell']} {n}"} for n in range(seeds)]
    return RUNS.frame(rows)


def lags_of(
    runs: pd.DataFrame, slope: Callable[[dict], float], steps: Sequence[int] = (0,)
) -> pd.DataFrame:
    """Profiles that fall by ``slope`` decades a step of lag, of an arbitrary size at lag 0."""
    return LAGS.frame(
        {"run_id": run["run_id"], "step": step, "layer": run["depth"], "lag": lag,
         "log10_delta_rms": slope(run) * lag - run["seed"] - 1}
        for run in runs.to_dict("records")
        for step in steps
        for lag in range(run["length"])
    )  # fmt: skip


def lag_predictions_of(runs: pd.DataFrame, slope: Callable[[dict], float]) -> pd.DataFrame:
    """The theory that says ``slope`` of each cell."""
    return LAG_PREDICTIONS.frame(
        {"cell": run["cell"], "layer": run["depth"], "lag": lag, "source": "planted",
         "log10_delta_rms": slope(run) * lag}
        for run in runs.drop_duplicates("cell").to_dict("records")
        for lag in range(run["length"])
    )  # fmt: skip


def games_of(runs: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """What ``truth`` says of each run, a row a probe step, with its step."""
    empty = dict.fromkeys(GAMES.columns, 0.0)
    records = runs.to_dict("records")
    return GAMES.frame(
        empty | {"run_id": run["run_id"]} | row for run in records for row in truth(run)
    )


def scores_of(runs: pd.DataFrame, truth: Truth) -> pd.DataFrame:
    """What ``truth`` says of each run: step, score, level and value of each row."""
    records = runs.to_dict("records")
    return SCORES.frame({"run_id": run["run_id"]} | row for run in records for row in truth(run))
