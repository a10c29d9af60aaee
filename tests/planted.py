"""Tables with planted truths: a study in which the effects are known, because they were put in."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd

from vanishing.analysis.agreement import agreement
from vanishing.tables import EXPECTED, LAYERS, NETWORKS, PREDICTIONS, RUNS

SIGMA = {
    "torch_default": 3**-0.5,
    "xavier": 1.0,
    "he": 2**0.5,
    "lecun": 1.0,
    "orthogonal": 1.0,
    "identity": 1.0,
}
DEFAULTS = {
    "family": "mlp", "task": "digits", "activation": "tanh", "init": "xavier", "norm": "none",
    "residual": "none", "depth": 20, "width": 128, "optimizer": "none", "lr_policy": "none",
    "batch": 64, "probe_batch": 64, "data": "", "steps": 0, "norm_position": "before", "block": 1,
    "stages": 1, "padding": "zero", "recurrence": "none", "length": 0, "truncation": 0,
    "game": "none", "players": "none", "generator": "none", "latent": 0, "discriminator_steps": 0,
    "instance_noise": 0.0, "normed": "none",
    "loss": "cross_entropy", "schedule": "constant", "clip": "none",
}  # fmt: skip


def runs_of(
    battery: str,
    factors: dict[str, list],
    seeds: int,
    truth: Callable[[dict, np.random.Generator], dict],
    seed: int = 0,
    **fixed: object,
) -> pd.DataFrame:
    """Every point of ``factors`` with every seed; ``truth`` gives the columns that it changes."""
    rng = np.random.default_rng(seed)
    names = list(factors)
    rows = []
    for levels in itertools.product(*factors.values()):
        cell = DEFAULTS | fixed | dict(zip(names, levels, strict=True))
        name = " ".join(str(cell[key]) for key in DEFAULTS)
        rows += [_run(battery, cell, name, number, truth(cell, rng)) for number in range(seeds)]
    return RUNS.frame(rows)


def _run(battery: str, cell: dict, name: str, seed: int, measured: dict) -> dict:
    init = cell["init"]
    sigma_w = SIGMA[init] if init in SIGMA else float(init.split("sigma_w=")[1].rstrip(")"))
    row = dict.fromkeys(RUNS.columns) | cell
    row |= {"run_id": f"{name} {seed}", "cell": name, "cohort": "c", "battery": battery}
    row |= {"sigma_w": sigma_w, "sigma_b": 0.0, "seed": seed, "signal": "borderline"}
    row |= {"split": "judged", "seconds": 1.0, "device": "cpu"}
    if "slope" in measured:
        row["vanishing_index"] = measured["slope"] * (cell["depth"] - 1)
    return row | measured


def normal(mean: float, sd: float = 0.01) -> Callable:
    """A truth in which every run's slope scatters about ``mean``."""
    return lambda cell, rng: {"slope": rng.normal(mean, sd)}


def no_layers() -> pd.DataFrame:
    """A table of layers without a row."""
    return LAYERS.frame([])


def no_predictions() -> pd.DataFrame:
    """A table of predictions without a row."""
    return PREDICTIONS.frame([])


def predicted(runs: pd.DataFrame, slope: Callable[[pd.Series], float]) -> pd.DataFrame:
    """Predictions for the cells of ``runs``: the same chi_1 = 10^(2 slope) in every layer."""
    cells = runs.drop_duplicates("cell")
    return PREDICTIONS.frame(
        {
            "cell": row["cell"],
            "layer": layer,
            "q": 1.0,
            "chi_1": 10 ** (2 * slope(row)),
            "slope": slope(row),
            "log10_delta_rms": 0.0,
            "source": "planted",
        }
        for _, row in cells.iterrows()
        for layer in (1, 2)
    )


def agreed(runs: pd.DataFrame, slope: Callable[[pd.Series], float]) -> pd.DataFrame:
    """The agreement of ``runs`` with a theory that says ``slope`` of each cell alone."""
    rows = [
        {"cell": row["cell"], "quantity": "slope", "value": slope(row), "source": "planted"}
        for _, row in runs.drop_duplicates("cell").iterrows()
    ]
    return agreement(runs, no_layers(), NETWORKS.frame([]), EXPECTED.frame(rows))


def layers_of(runs: pd.DataFrame, profile: Callable[[int], dict], layers: int = 8) -> pd.DataFrame:
    """Layers at step 0 in which ``profile`` gives the columns of each."""
    base = dict.fromkeys(LAYERS.columns, 0.0) | {"player": "net", "step": 0}
    return LAYERS.frame(
        base | {"run_id": run, "layer": layer} | profile(layer)
        for run in runs["run_id"].unique()
        for layer in range(1, layers + 1)
    )


def members(*tables: pd.DataFrame) -> dict[str, list[str]]:
    """The plan's members, if all of these runs were planned and nothing else."""
    runs = pd.concat(tables)
    return {str(name): list(part["run_id"]) for name, part in runs.groupby("battery")}
