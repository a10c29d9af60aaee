"""Prints what share of the best matrix product of this machine the engine's cells reach.

``python -m benchmarks.peak [--cells mlp-d8-w64,...] [--device cuda] [--runs N]``: first the matrix
products, each on one thread, the median of several, then a row a cell:

    runs          of the stack
    update ms     an update of the stack, median (a GAN's: a turn of each player)
    GFLOP/s       operations of the matrix products and convolutions of it, over that time
    % of best     what that is of the best product in float32 of the first table
    GB/s          the bytes that it must at least move (:mod:`benchmarks.work`), over that time
    % of copy     what that is of copying a large tensor
    probe         what a probe takes, all that is logged of it, in updates
    probe %       operations of its pass forward and back, of the best product in float64
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from benchmarks.products import CALLS, SIDE, copy_rate, products, seconds
from benchmarks.speed import device_of, machine, some_of
from benchmarks.speed_cells import CELLS, Cell, cohort_of
from benchmarks.work import of_probe, of_update

from vanishing.engine import adversarial, match, stack, training
from vanishing.engine.devices import keep_freed_memory, set_precision
from vanishing.engine.network import Network
from vanishing.engine.samples import samples_of
from vanishing.parts.stack_sizes import GPU_STACK
from vanishing.parts.tasks import load
from vanishing.study import cost

PROBED = 4  # steps, each with a probe and without


def row(cell: Cell, runs: int, device: torch.device, times: int = 15) -> dict[str, float]:
    """Size of a cell's stack, seconds of its update and of a probe, and the work of both."""
    steps = 1 + (times + 1) * CALLS[device.type]
    with tempfile.TemporaryDirectory() as folder:
        whole = cohort_of(cell, runs or 1, steps, Path(folder))
        if not runs:
            runs = cost.stack_of(whole.graph) if device.type == "cpu" else GPU_STACK
            whole = cohort_of(cell, runs, steps, Path(folder))
    described = whole.as_json()
    data = load(described["data_source"])
    updating = _update_seconds(described, data, device, times)
    update, probe = of_update(described, data), of_probe(described, data)
    return {
        "runs": runs,
        "update": updating,
        "probe": _probe_seconds(described, data, device),
        "operations": runs * update.operations,
        "bytes": runs * update.bytes,
        "probed operations": runs * probe.operations,
    }


def _runs_of(described: dict) -> tuple[list[str], list[int], list[float]]:
    return tuple([run[name] for run in described["runs"]] for name in ("init", "seed", "lr"))


def _update_seconds(described: dict, data: object, device: torch.device, times: int) -> float:
    """Of an update of the whole stack, none of which is probed; the first ones do not count."""
    runs = _runs_of(described)
    if described["family"] == "gan":
        nets, rules = adversarial.players_of(described, data), adversarial.Rules.of(described)
        rules = replace(rules, budget=replace(rules.budget, probe_steps=()))
        trained = adversarial.Match.of(rules, nets, data, runs, device, torch.float32)
        advance = adversarial.advance
    else:
        net, budget = Network.of(described, data.shape), stack.Budget.of(described, data.score)
        budget = replace(budget, probe_steps=())
        sizes = budget.steps, budget.batch, budget.probe_batch
        samples = samples_of(data, runs[1], *sizes, device)
        trained = stack.Stack.of(net, budget, samples, runs, torch.float32)
        advance = stack.advance
    steps = iter(range(1, described["steps"] + 1))
    advance(trained, next(steps))
    return seconds(lambda: advance(trained, next(steps)), device, times, CALLS[device.type])


def _probe_seconds(described: dict, data: object, device: torch.device, times: int = 3) -> float:
    """Of a probe between the first and the last step, with all that an update then keeps for it.

    The median difference of trainings, in turn, with a probe after each step and with the two that
    any training has.
    """
    runs, found = _runs_of(described), []
    every, ends = tuple(range(PROBED + 2)), (0, PROBED + 1)
    arms = {probes: _training(described, data, runs, device, probes) for probes in (every, ends)}
    for _ in range(times):
        took = {probes: seconds(train, device, 1) for probes, train in arms.items()}
        found.append((took[every] - took[ends]) / PROBED)
    return statistics.median(found)


def _training(
    described: dict, data: object, runs: tuple, device: torch.device, probes: tuple[int, ...]
) -> partial:
    """A short training of the stack that is probed after the steps ``probes``."""
    changes = {"steps": probes[-1], "probe_steps": probes}
    if described["family"] == "gan":
        nets, rules = adversarial.players_of(described, data), adversarial.Rules.of(described)
        rules = replace(rules, budget=replace(rules.budget, **changes))
        return partial(match.play, rules, nets, data, described["data_source"], runs, device)
    net, budget = Network.of(described, data.shape), stack.Budget.of(described, data.score)
    return partial(training.train_stack, net, replace(budget, **changes), data, *runs, device)


def table(rows: dict[str, dict[str, float]], best: pd.Series, copied: float) -> pd.DataFrame:
    """A row a cell; ``best`` are GFLOP/s by type of numbers, ``copied`` GB/s."""
    of = pd.DataFrame(rows).T
    rate, moved = 1e-9 * of["operations"] / of["update"], 1e-9 * of["bytes"] / of["update"]
    probed = 1e-9 * of["probed operations"] / of["probe"].where(of["probe"] > 0)
    return pd.DataFrame(
        {
            "runs": of["runs"],
            "update ms": 1e3 * of["update"],
            "GFLOP/s": rate,
            "% of best": 100 * rate / best["float32"],
            "GB/s": moved,
            "% of copy": 100 * moved / copied,
            "probe": of["probe"] / of["update"],
            "probe %": 100 * probed / best["float64"],
        }
    )


def main(given: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=some_of(CELLS), default=list(CELLS))
    parser.add_argument("--device", choices=("cpu", "cuda", "auto"), default="cpu")
    parser.add_argument("--runs", type=int, default=0, help="of a stack; 0: a full one")
    asked = parser.parse_args(given)
    device = torch.device(device_of(asked.device, parser))
    torch.set_num_threads(1)
    keep_freed_memory()
    set_precision()
    print(machine(device.type))  # noqa: T201
    stacked = [(20, 64, 64, 64), (12, 64, 128, 128), (20, 32, 32, 32)]
    if device.type == "cuda":
        stacked = [(GPU_STACK, *shape[1:]) for shape in stacked]
    side = SIDE[device.type]
    found, copied = products(device, [(1, side, side, side), *stacked]), copy_rate(device)
    print(found.round(1).to_string())  # noqa: T201
    print(f"copying: {copied:.1f} GB/s\n")  # noqa: T201
    rows = {name: row(CELLS[name], asked.runs, device) for name in asked.cells}
    print(table(rows, found.max(), copied).round(1).to_string())  # noqa: T201


if __name__ == "__main__":
    main()
