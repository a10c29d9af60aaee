"""A job: train every run of a cohort, stack by stack, and log what was measured."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import UserError
from ..parts.combinations import impossible
from ..parts.inits import INITS
from ..parts.tasks import load
from ..tables import CURVES, FREEZE, LAYERS, LOGS, NETWORKS, RUN_LOG
from ..theory.slope import slope
from .devices import choose, keep_freed_memory, stacks
from .measures import outcome, smoothed, steps_to_threshold
from .network import Network
from .stack import Budget
from .training import Trace, train_stack

CURVE_POINTS = 60  # of the training loss of a run, besides the probe steps
_KEYS = (*LAYERS.key,)
_RESULTS = (
    "outcome", "final_loss", "final_train_accuracy", "final_test_accuracy", "steps_to_threshold",
)  # fmt: skip


Logs = dict[str, pd.DataFrame]
# What all runs of a cohort share, as the table of runs names it.
SHARED = (
    "family", "task", "data", "activation", "norm", "norm_position", "residual", "block", "depth",
    "width", "stages", "padding", "loss", "optimizer", "schedule", "clip", "batch", "steps",
)  # fmt: skip


def run(cohort: dict, tuning: pd.DataFrame | None = None, device: str = "auto") -> Logs:
    """Train a cohort as its JSON describes it; ``tuning`` are the runs that give its rates."""
    torch.set_num_threads(1)  # as many jobs as cores is faster than threads on these sizes
    keep_freed_memory()
    where, data = choose(device), load(cohort["data_source"])
    _refuse_impossible(cohort, data.image)
    net, budget = Network.of(cohort, data), Budget.of(cohort)
    rates, parts = _rates(cohort, tuning), []
    for members in stacks(
        len(cohort["runs"]), net.architecture, max(budget.batch, budget.probe_batch), where
    ):
        started = time.perf_counter()
        chosen = [cohort["runs"][i] for i in members]
        lrs = [rates[i] for i in members]
        trace = train_stack(
            net, budget, data, [r["init"] for r in chosen], [r["seed"] for r in chosen], lrs, where
        )  # fmt: skip
        seconds = (time.perf_counter() - started) / len(chosen)
        used = {"seconds": seconds, "device": str(where)}
        parts.append(_logs(cohort, net, budget, data.classes, chosen, lrs, trace, used))
        print(f"{members.stop} of {len(cohort['runs'])} runs", file=sys.stderr, flush=True)  # noqa: T201
    return {n: table.frame(pd.concat([part[n] for part in parts])) for n, table in LOGS.items()}


def _refuse_impossible(cohort: dict, image: tuple[int, int, int] | None) -> None:
    """Refuse what a plan could not: a part of the user's own may not go with the others."""
    for init in sorted({run["init"] for run in cohort["runs"]}):
        reason = impossible({**cohort, "init": init, "image": image})
        if reason:
            raise UserError(f"cohort {cohort['id']}: {reason}.")


def write(logs: Logs, folder: Path, cohort: str, provenance: dict) -> None:
    """Write every table; ``runs`` comes last, and says that the cohort is done."""
    for name, table in LOGS.items():
        table.write(logs[name], folder / name / f"{cohort}.parquet", provenance)


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
    net: Network,
    budget: Budget,
    classes: int,
    members: list[dict],
    lrs: list[float | None],
    trace: Trace,
    used: dict,
) -> Logs:
    """The rows of a stack in every table; ``used`` are its time and device."""
    shared = {
        "cohort": cohort["id"],
        "split": cohort["split"] if cohort["split"] == "tuning" else "judged",
        **used,
        "probe_batch": budget.probe_batch,
        **{name: cohort[name] for name in SHARED},
    }
    runs = []
    for i, (member, lr) in enumerate(zip(members, lrs, strict=True)):
        own = {k: member[k] for k in ("run_id", "cell", "init", "seed", "lr_policy")}
        results = {**_signal(trace, i), **_results(trace, i, budget, classes)}
        runs.append({**shared, **own, **_sigmas(net, member["init"]), "lr": lr, **results})
    ids = [member["run_id"] for member in members]
    return {
        "runs": pd.DataFrame(runs),
        "curves": _curves(ids, trace, budget.steps),
        "layers": _layers(ids, trace),
        "networks": _networks(ids, trace),
        "freeze": _freeze(ids, trace, budget, classes),
    }


def _sigmas(net: Network, init: str) -> dict[str, float]:
    """sigma_w and sigma_b of the hidden layer in the middle."""
    rule, place = INITS[init], net.places[(net.depth + 1) // 2]
    place = net.places[0] if place.head else place
    mean_square = rule.weight_std(place) ** 2 + rule.weight_mean(place) ** 2
    return {
        "sigma_w": (mean_square * place.fan_in) ** 0.5,
        "sigma_b": rule.bias_std(place),
    }


def _signal(trace: Trace, i: int) -> dict:
    """Vanishing indices and slope of run ``i`` as it begins, and where it stops being finite."""
    first, (step, layer) = trace.measures[0], trace.first_nonfinite[i]
    delta, g = first["log10_delta_rms"][i], first["log10_grad_rms"][i]
    return {
        "first_nonfinite_step": step or None,
        "first_nonfinite_layer": layer or None,
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
    """A row a run, probe step and layer; a block that is off leaves its columns missing."""
    columns = defaultdict(list)
    for step, measures in trace.measures.items():
        runs, depth = measures["q"].shape
        columns["run_id"].append(np.repeat(ids, depth))
        columns["step"].append(np.full(runs * depth, step))
        columns["layer"].append(np.tile(np.arange(1, depth + 1), runs))
        missing = np.full((runs, depth), np.nan)
        for name in LAYERS.columns:
            if name not in _KEYS:
                columns[name].append(measures.get(name, missing).ravel())
    data = {name: np.concatenate(values) for name, values in columns.items()}
    return pd.DataFrame({**data, "player": "net"}).replace([np.inf, -np.inf], np.nan)


def _networks(ids: list[str], trace: Trace) -> pd.DataFrame:
    """A row a run and probe step."""
    rows = [
        pd.DataFrame({"run_id": ids, "step": step, "player": "net", **measures})
        for step, measures in trace.of_network.items()
    ]
    found = pd.concat(rows).reindex(columns=list(NETWORKS.columns))
    return found.replace([np.inf, -np.inf], np.nan)


def _freeze(ids: list[str], trace: Trace, budget: Budget, classes: int) -> pd.DataFrame:
    """A row a run and number of frozen layers, 0 being the run itself; none without the block."""
    rows = []
    for frozen, found in ({0: trace} | trace.frozen if trace.frozen else {}).items():
        for i, run_id in enumerate(ids):
            ended = _results(found, i, budget, classes)
            names = ("final_loss", "final_train_accuracy", "final_test_accuracy")
            loss, train, test = (ended[name] for name in names)
            row = {"run_id": run_id, "frozen": frozen, "final_loss": loss}
            rows.append(row | {"train_accuracy": train, "test_accuracy": test})
    return pd.DataFrame(rows, columns=list(FREEZE.columns))
