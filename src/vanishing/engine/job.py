"""A job: train every run of a cohort, stack by stack, and log what was measured."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import UserError
from ..parts.inits import INITS
from ..parts.tasks import Data, load
from ..tables import CURVES, LAYERS, RUN_LOG
from ..theory.slope import slope
from .devices import choose, stacks
from .measures import outcome, smoothed, steps_to_threshold
from .network import MLP
from .training import Budget, Trace, train_stack

CURVE_POINTS = 60  # of the training loss of a run, besides the probe steps
_RESULTS = (
    "outcome", "final_loss", "final_train_accuracy", "final_test_accuracy", "steps_to_threshold",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Logs:
    """The tables of a cohort."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    layers: pd.DataFrame


def run(cohort: dict, tuning: pd.DataFrame | None = None, device: str = "auto") -> Logs:
    """Train a cohort as its JSON describes it; ``tuning`` are the runs that give its rates."""
    torch.set_num_threads(1)  # as many jobs as cores is faster than threads on these sizes
    where, data = choose(device), load(cohort["data_source"])
    net = MLP.of(cohort, data.inputs.shape[1], data.classes)
    budget, rates = Budget.of(cohort), _rates(cohort, tuning)
    parts = []
    for members in stacks(len(cohort["runs"]), net.width, where):
        started = time.perf_counter()
        chosen = [cohort["runs"][i] for i in members]
        lrs = [rates[i] for i in members]
        trace = train_stack(
            net, budget, data, [r["init"] for r in chosen], [r["seed"] for r in chosen], lrs, where
        )  # fmt: skip
        seconds = (time.perf_counter() - started) / len(chosen)
        parts.append(_logs(cohort, net, budget, data, chosen, lrs, trace, seconds, str(where)))
        print(f"{members.stop} of {len(cohort['runs'])} runs", file=sys.stderr, flush=True)  # noqa: T201
    runs, curves, layers = (pd.concat(tables) for tables in zip(*parts, strict=True))
    return Logs(RUN_LOG.frame(runs), CURVES.frame(curves), LAYERS.frame(layers))


def write(logs: Logs, folder: Path, cohort: str, provenance: dict) -> None:
    """Write the three tables; ``runs`` comes last, and says that the cohort is done."""
    LAYERS.write(logs.layers, folder / "layers" / f"{cohort}.parquet", provenance)
    CURVES.write(logs.curves, folder / "curves" / f"{cohort}.parquet", provenance)
    RUN_LOG.write(logs.runs, folder / "runs" / f"{cohort}.parquet", provenance)


def _rates(cohort: dict, tuning: pd.DataFrame | None) -> list[float | None]:
    """The learning rate of every run: its own, or the best of its cell's tuning runs."""
    if not any(r["lr_grid"] for r in cohort["runs"]):
        return [r["lr"] for r in cohort["runs"]]
    tuning = RUN_LOG.frame([]) if tuning is None else tuning
    return [_rate(cohort, run, tuning) if run["lr_grid"] else run["lr"] for run in cohort["runs"]]


def _rate(cohort: dict, run: dict, tuning: pd.DataFrame) -> float:
    """The rate of a tuned run, from all of its policy's tuning runs and no others."""
    mine = tuning[(tuning["cell"] == run["cell"]) & tuning["lr"].isin(run["lr_grid"])]
    seeds = mine["seed"].drop_duplicates().nsmallest(run["tuning_seeds"])
    mine = mine[mine["seed"].isin(seeds)]
    wanted = len(run["lr_grid"]) * run["tuning_seeds"]
    if len(mine) != wanted:
        raise UserError(
            f"cohort {cohort['id']}: {len(mine)} of {wanted} tuning runs of the cell {run['cell']} "
            "came; name the logs of all its tuning cohorts with --tuning."
        )
    return best_rate(mine)


def best_rate(tuning: pd.DataFrame) -> float:
    """The learning rate with the least mean training loss over the tuning seeds of a cell.

    A run that diverged has an infinite loss: a rate counts only if all its seeds stand it. Where
    none does, or two are equal, the smallest rate is taken.
    """
    loss = tuning["final_loss"].where(tuning["outcome"] != "diverged", np.inf).fillna(np.inf)
    return float(loss.groupby(tuning["lr"]).mean().idxmin())


def _logs(
    cohort: dict,
    net: MLP,
    budget: Budget,
    data: Data,
    members: list[dict],
    lrs: list[float | None],
    trace: Trace,
    seconds: float,
    device: str,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The rows of a stack in the three tables."""
    shared = {
        "cohort": cohort["id"],
        "split": cohort["split"] if cohort["split"] == "tuning" else "judged",
        "seconds": seconds,
        "device": device,
        **{k: cohort[k] for k in ("family", "task", "activation", "norm", "residual", "depth")},
        **{k: cohort[k] for k in ("width", "optimizer", "batch", "steps")},
    }
    runs = []
    for i, (member, lr) in enumerate(zip(members, lrs, strict=True)):
        init = INITS[member["init"]]
        own = {k: member[k] for k in ("run_id", "cell", "init", "seed", "lr_policy")}
        sigmas = {
            "sigma_w": init.weight_std(net.width, net.width) * net.width**0.5,
            "sigma_b": init.bias_std(net.width, net.width),
        }
        results = {**_signal(trace, i), **_results(trace, i, budget, data.classes)}
        runs.append({**shared, **own, **sigmas, "lr": lr, **results})
    ids = [member["run_id"] for member in members]
    return pd.DataFrame(runs), _curves(ids, trace, budget.steps), _layers(ids, trace)


def _signal(trace: Trace, i: int) -> dict:
    """Vanishing indices and slope of run ``i`` at its first probe, the initial network."""
    first = trace.measures[0]
    delta, g = first["log10_delta_rms"][i], first["log10_grad_rms"][i]
    return {
        "vanishing_index": delta[0] - delta[-1],
        "weight_vanishing_index": g[0] - g[-1],
        "slope": float(slope(delta)),
    }


def _results(trace: Trace, i: int, budget: Budget, classes: int) -> dict:
    """How the training of run ``i`` ended; nothing, where nothing was trained."""
    if not budget.steps:
        return dict.fromkeys(_RESULTS)
    losses, chance = trace.losses[:, i], budget.loss.chance(classes)
    end = {name: values[i] for name, values in trace.measures[budget.steps].items()}
    train, test = float(trace.train_accuracy[i]), float(trace.test_accuracy[budget.steps][i])
    ended = outcome(losses, chance, train, end)
    if ended == "diverged":  # a result: it knows no more than chance, and is never in time
        values = (ended, None, 1 / classes, 1 / classes, None)
    else:
        final, reached = float(smoothed(losses)[-1]), steps_to_threshold(losses, chance)
        values = (ended, final, train, test, reached)
    return dict(zip(_RESULTS, values, strict=True))


def _curves(ids: list[str], trace: Trace, steps: int) -> pd.DataFrame:
    """The loss on an even grid of steps and at the probes, and the accuracy at the probes."""
    if not steps:
        return pd.DataFrame(columns=list(CURVES.columns))
    logged = sorted({*range(0, steps, max(1, steps // CURVE_POINTS)), *trace.test_accuracy})
    nothing = np.full(len(ids), np.nan)
    losses = [trace.losses[step] if step < steps else nothing for step in logged]
    losses = [np.where(np.isfinite(row), row, np.nan) for row in losses]
    return pd.DataFrame(
        {
            "run_id": np.repeat(ids, len(logged)),
            "step": np.tile(logged, len(ids)),
            "train_loss": np.stack(losses, axis=1).ravel(),
            "test_accuracy": np.stack(
                [trace.test_accuracy.get(step, nothing) for step in logged], axis=1
            ).ravel(),
        }
    )


def _layers(ids: list[str], trace: Trace) -> pd.DataFrame:
    """A row a run, probe step and layer."""
    columns = defaultdict(list)
    for step, measures in trace.measures.items():
        runs, depth = measures["q"].shape
        columns["run_id"].append(np.repeat(ids, depth))
        columns["step"].append(np.full(runs * depth, step))
        columns["layer"].append(np.tile(np.arange(1, depth + 1), runs))
        for name, values in measures.items():
            columns[name].append(values.ravel())
    data = {name: np.concatenate(values) for name, values in columns.items()}
    return pd.DataFrame({**data, "player": "net"}).replace([np.inf, -np.inf], np.nan)
