"""A job: train every run of a cohort, stack by stack, and log what was measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import UserError
from ..parts.combinations import impossible
from ..parts.data import Data
from ..parts.losses import chance
from ..parts.tasks import load
from ..tables import LOGS, RUN_LOG
from .adversarial import PLAYERS, Rules, players_of
from .devices import choose, keep_freed_memory, stacks
from .logs import Logs, filled, of_stack
from .match import play
from .match_logs import of_match
from .network import Network
from .stack import Budget
from .training import train_stack

Runs = tuple[list[str], list[int], list[float | None]]  # inits, seeds, rates
Train = Callable[[list[dict], Runs], Logs]


def run(
    cohort: dict,
    tuning: pd.DataFrame | None = None,
    device: str = "auto",
    only: Collection[str] | None = None,
) -> Logs:
    """Train a cohort as its JSON describes it; ``tuning`` are the runs that give its rates.

    With ``only``, ids of some of its runs, just the stacks that hold one of these are trained, each
    whole: the last bits of a run's numbers may depend on how many are trained beside it.
    """
    torch.set_num_threads(1)  # as many jobs as cores is faster than threads on these sizes
    keep_freed_memory()
    where, data = choose(device), load(cohort["data_source"])
    _refuse_impossible({**cohort, "kind": cohort["data_source"]["kind"], "image": data.image})
    rates, parts = _rates(cohort, tuning), []
    sizes, train = (_matches if cohort["family"] == "gan" else _trainings)(cohort, data, where)
    for members in stacks(len(cohort["runs"]), *sizes):
        chosen = [cohort["runs"][i] for i in members]
        if only is not None and not any(r["run_id"] in only for r in chosen):
            continue
        lrs = [rates[i] for i in members]
        logs = train(chosen, ([r["init"] for r in chosen], [r["seed"] for r in chosen], lrs))
        parts.append(filled(logs))
        print(f"{members.stop} of {len(cohort['runs'])} runs", file=sys.stderr, flush=True)  # noqa: T201
    return {n: table.frame(pd.concat([part[n] for part in parts])) for n, table in LOGS.items()}


def _trainings(cohort: dict, data: Data, where: torch.device) -> tuple[tuple, Train]:
    """What sizes the stacks of a cohort of nets, and what trains one."""
    net, budget = Network.of(cohort, data.shape), Budget.of(cohort, data.score)
    known = chance(budget.loss, data)

    def train(members: list[dict], runs: Runs) -> Logs:
        started = time.perf_counter()
        trace = train_stack(net, budget, data, *runs, where)
        used = _used(started, runs, where)
        return of_stack(cohort, net, budget, known, members, trace, used)

    return (net.architecture, max(budget.batch, budget.probe_batch), where), train


def _matches(cohort: dict, data: Data, where: torch.device) -> tuple[tuple, Train]:
    """The same of a cohort of GANs."""
    nets, rules = players_of(cohort, data), Rules.of(cohort)
    batch = max(rules.budget.batch, rules.budget.probe_batch)

    def train(members: list[dict], runs: Runs) -> Logs:
        started = time.perf_counter()
        record = play(rules, nets, data, cohort["data_source"], runs, where)
        return of_match(cohort, nets, rules, members, record, _used(started, runs, where))

    generator, discriminator = (nets[player].architecture for player in PLAYERS)
    return (generator, batch, where, discriminator), train


def _used(started: float, runs: Runs, where: torch.device) -> list[dict]:
    """Time, device and rate of each run of a stack whose training ``started`` then."""
    _, _, rates = runs
    seconds = (time.perf_counter() - started) / len(rates)
    return [{"seconds": seconds, "device": str(where), "lr": lr} for lr in rates]


def _refuse_impossible(cohort: dict) -> None:
    """Refuse what a plan could not: a part of the user's own may not go with the others."""
    for init in sorted({run["init"] for run in cohort["runs"]}):
        reason = impossible({**cohort, "init": init})
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
    first = run["first_tuning_seed"]
    seeds = range(first, first + run["tuning_seeds"])
    mine = tuning[(tuning["cell"] == run["cell"]) & tuning["lr"].isin(run["lr_grid"])]
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
