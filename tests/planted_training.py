"""Tables with planted truths of layers, curves and freeze curves, a run at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from vanishing.analysis.measures import MEASURES
from vanishing.analysis.study_tables import Tables
from vanishing.tables import CURVES, FREEZE, LAYERS, NETWORKS

from .planted import runs_of
from .planted_nets import TRAINED, nothing

STEPS = 60
BUDGET = TRAINED | {"steps": STEPS, "outcome": "slow"}


def of(name: str, runs: pd.DataFrame, **tables: pd.DataFrame) -> pd.Series:
    """The measure ``name`` of ``runs``."""
    return MEASURES[name].of(Tables(runs, **tables))


def drawn(seeds: int = 1, depth: int = 6, **fixed: object) -> pd.DataFrame:
    """Runs in which nothing is trained."""
    return runs_of("drawn", {}, seeds, nothing, **({"depth": depth} | fixed))


def trained(seeds: int = 1, depth: int = 6, **fixed: object) -> pd.DataFrame:
    """Runs of 60 updates, slow where ``fixed`` does not say otherwise."""
    return runs_of("trained", {}, seeds, nothing, **(BUDGET | {"depth": depth} | fixed))


def profile(
    runs: pd.DataFrame,
    row: Callable[[dict, int], Mapping],
    steps: Iterable[int] = (0,),
    player: str = "net",
) -> pd.DataFrame:
    """Layers of every run at ``steps``: ``row`` gives the columns of a run's layer, else zeros."""
    base = dict.fromkeys(LAYERS.columns, 0.0)
    return LAYERS.frame(
        base
        | {"run_id": run["run_id"], "step": step, "player": player, "layer": layer}
        | row(run | {"at": step}, layer)
        for run in runs.to_dict("records")
        for step in steps
        for layer in range(1, run["depth"] + 1)
    )


def column(
    runs: pd.DataFrame, name: str, values: Iterable[float | None], steps: Iterable[int] = (0,)
) -> pd.DataFrame:
    """Layers whose column ``name`` has ``values``, one a layer, the same in all runs."""
    listed = list(values)
    return profile(runs, lambda _, layer: {name: listed[layer - 1]}, steps)


def networks_of(runs: pd.DataFrame, error: Callable[[dict], float | None]) -> pd.DataFrame:
    """Networks at init and at the end, with ``error`` at init and another at the end."""
    base = dict.fromkeys(NETWORKS.columns, 0.0) | {"player": "net"}
    return NETWORKS.frame(
        base | {"run_id": run["run_id"], "step": step, "chain_rule_error": value}
        for run in runs.to_dict("records")
        for step, value in ((0, error(run)), (STEPS, 1.0))
    )


def freeze_of(runs: pd.DataFrame, accuracy: Mapping[int, float]) -> pd.DataFrame:
    """Freeze curves of all runs: test ``accuracy`` by the number of frozen layers."""
    return FREEZE.frame(
        {"run_id": run, "frozen": frozen, "final_loss": 1.0, "train_accuracy": 0.0,
         "test_accuracy": value}
        for run in runs["run_id"]
        for frozen, value in accuracy.items()
    )  # fmt: skip


def curves_of(
    runs: pd.DataFrame,
    loss: Callable[[dict, int], float | None],
    accuracy: Callable[[dict, int], float | None] = nothing,
    probed: Iterable[int] = (0, 30, STEPS),
) -> pd.DataFrame:
    """The ``loss`` before every update, and the ``accuracy`` at the steps that are ``probed``."""
    return CURVES.frame(
        {
            "run_id": run["run_id"],
            "step": step,
            "train_loss": loss(run, step) if step < STEPS else None,
            "test_accuracy": accuracy(run, step) if step in probed else None,
        }
        for run in runs.to_dict("records")
        for step in range(STEPS + 1)
    )
