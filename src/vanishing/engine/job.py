"""A job: train every run of a cohort, stack by stack, and log what was measured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..errors import UserError
from ..files import make_durable
from ..parts.combinations import impossible
from ..parts.data import Data
from ..parts.losses import chance
from ..parts.tasks import load
from ..tables import LOGS, RUN_LOG
from .adversarial import PLAYERS, Rules, players_of
from .checkpoints import key_of
from .devices import choose, keep_freed_memory, set_precision, stacks
from .logs import Logs, Tables, of_stack, together
from .match import play
from .match_logs import of_match
from .memory import in_fitting_stacks
from .network import Network
from .stack import Budget
from .training import train_stack
from .watch import Watch

Runs = tuple[list[str], list[int], list[float | None]]  # inits, seeds, rates
Train = Callable[[list[dict], Runs, str], Tables]  # the last names the stack in checkpoints


def run(
    cohort: dict,
    tuning: pd.DataFrame | None = None,
    device: str = "auto",
    only: Collection[str] | None = None,
    watch: Watch | None = None,
) -> Logs:
    """Train a cohort as its JSON describes it; ``tuning`` are the runs that give its rates.

    With ``only``, ids of some of its runs, just the stacks that hold one of these are trained, each
    whole: the last bits of a run's numbers may depend on how many are trained beside it. A
    ``watch`` keeps checkpoints, and goes on from those that are there.
    """
    torch.set_num_threads(1)  # as many jobs as cores is faster than threads on these sizes
    keep_freed_memory()
    set_precision()
    where, data = choose(device), load(cohort["data_source"])
    _refuse_impossible({**cohort, "kind": cohort["data_source"]["kind"], "image": data.image})
    rates, watch, parts = _rates(cohort, tuning), watch or Watch(), []
    sizes, train = (_matches if cohort["family"] == "gan" else _trainings)(
        cohort, data, where, watch
    )
    layout = [s for s in _layout(cohort, rates, where, sizes, watch) if _wanted(cohort, s, only)]
    train_one = _of_members(cohort, rates, train, watch)
    for members, logs in in_fitting_stacks(layout, train_one, watch.split, cohort["id"]):
        parts.append(logs)
        watch.heartbeat.done += len(members)
        print(f"{members.stop} of {len(cohort['runs'])} runs", file=sys.stderr, flush=True)  # noqa: T201
    return together(parts)


def _layout(
    cohort: dict, rates: list[float | None], where: torch.device, sizes: tuple, watch: Watch
) -> list[range]:
    """Which runs are trained together: as at an earlier start, if there was one."""
    if watch.checkpoints.folder is None:
        return stacks(len(cohort["runs"]), *sizes)
    watch.checkpoints.key = key_of(cohort, rates, where)
    return watch.layout() or watch.lay_out(stacks(len(cohort["runs"]), *sizes))


def _wanted(cohort: dict, members: range, only: Collection[str] | None) -> bool:
    return only is None or any(cohort["runs"][i]["run_id"] in only for i in members)


def _of_members(
    cohort: dict, rates: list[float | None], train: Train, watch: Watch
) -> Callable[[range], Tables]:
    """What trains the stack of the cohort's runs in a range."""

    def train_one(members: range) -> Tables:
        watch.begin()
        chosen, lrs = [cohort["runs"][i] for i in members], [rates[i] for i in members]
        runs = [r["init"] for r in chosen], [r["seed"] for r in chosen], lrs
        return train(chosen, runs, f"runs-{members.start}-{members.stop}")

    return train_one


def _trainings(cohort: dict, data: Data, where: torch.device, watch: Watch) -> tuple[tuple, Train]:
    """What sizes the stacks of a cohort of nets, and what trains one."""
    net, budget = Network.of(cohort, data.shape), Budget.of(cohort, data.score)
    known = chance(budget.loss, data)

    def train(members: list[dict], runs: Runs, name: str) -> Tables:
        trace = train_stack(net, budget, data, *runs, where, watch=watch, name=name)
        used = _used(watch.seconds(), runs, where)
        return of_stack(cohort, net, budget, known, members, trace, used)

    return (net.architecture, max(budget.batch, budget.probe_batch), where), train


def _matches(cohort: dict, data: Data, where: torch.device, watch: Watch) -> tuple[tuple, Train]:
    """The same of a cohort of GANs."""
    nets, rules = players_of(cohort, data), Rules.of(cohort)
    batch = max(rules.budget.batch, rules.budget.probe_batch)

    def train(members: list[dict], runs: Runs, name: str) -> Tables:
        source = cohort["data_source"]
        record = play(rules, nets, data, source, runs, where, watch=watch, name=name)
        return of_match(cohort, nets, rules, members, record, _used(watch.seconds(), runs, where))

    generator, discriminator = (nets[player].architecture for player in PLAYERS)
    return (generator, batch, where, discriminator), train


def _used(seconds: float, runs: Runs, where: torch.device) -> list[dict]:
    """Time, device and rate of each run of a stack whose training took ``seconds``."""
    _, _, rates = runs
    return [{"seconds": seconds / len(rates), "device": str(where), "lr": lr} for lr in rates]


def _refuse_impossible(cohort: dict) -> None:
    """Refuse what a plan could not: a part of the user's own may not go with the others."""
    for init in sorted({run["init"] for run in cohort["runs"]}):
        reason = impossible({**cohort, "init": init})
        if reason:
            raise UserError(f"cohort {cohort['id']}: {reason}.")


def write(logs: Logs, folder: Path, cohort: str, provenance: dict) -> None:
    """Write every table; ``runs`` comes last, and says that the cohort is done.

    The others wait for the disk together: one after another they would for as long each.
    """
    files = {name: folder / name / f"{cohort}.parquet" for name in LOGS}
    vouching = files.pop(RUN_LOG.name)
    vouching.unlink(missing_ok=True)  # for what an earlier training wrote
    kept = {"provenance": provenance, "checked": True}  # as :func:`.logs.together` has
    for name, file in files.items():
        LOGS[name].write(logs[name], file, **kept, durable=False)
    make_durable(files.values())
    RUN_LOG.write(logs[RUN_LOG.name], vouching, **kept)


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
