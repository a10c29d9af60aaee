"""Prints how fast runs train, the engine beside what a user would write.

``python -m benchmarks.speed [--families mlp,cnn] [--runs N] [--steps 300] [--pairs K]
[--arms a,c,d] [--device cuda] [--out rows.csv] [--markdown]``, in the root of the repository.
Numbers are runs x steps per second of whole commands, one thread a process, start-up included:

    a        a process a run, one after another: plain torch, hooks on every layer, ``.item()``
    b        one process: plain torch, runs one after another, nothing logged
    c        as many processes of (b) as cores, each with its share of the runs
    d        the engine: a process that has loaded it, and as many ``vanishing train`` as cores
    off      the same with the two probes that it cannot do without, at the start and at the end
    every    the same with a probe after every update
    e        (b) with ``wandb.watch`` offline, where wandb is installed
    cockpit  (b) with Cockpit's cheapest set of quantities at every update, likewise

All arms of a cell train the same cohort. They take turns, in reverse order in every other pair;
the table has medians over pairs, with the least and the largest ratio where there are several.
Ratios that are called warm are of the training alone, without start-up, reading and writing. What
logging costs is carried over to a training without any probe. With ``--device cuda`` the arms are
b, d, off and every, on the GPU. What ``--out`` holds already is not measured again.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
from benchmarks import speed_arms
from benchmarks.speed_arms import ARMS, ON_GPU
from benchmarks.speed_cells import CELLS, cohort_of, probes_of
from benchmarks.speed_table import markdown, table

from vanishing.errors import UserError
from vanishing.study import slots
from vanishing.study.cohort import Cohort

Turn = tuple[str, int, str, str, int, int]  # cell, pair, arm, device, runs as asked for, steps
KEY = ("cell", "pair", "arm", "device", "runs", "steps")  # of a row of --out, which is a turn's


def turns(asked: argparse.Namespace) -> list[Turn]:
    """All that is to be measured, in order."""
    shared = (asked.device, asked.runs, asked.steps)
    return [
        (name, pair, arm, *shared)
        for name in asked.cells
        for pair in range(asked.pairs)
        for arm in asked.arms[:: -1 if pair % 2 else 1]
        if speed_arms.applies(arm, CELLS[name])
    ]


def key_of(row: dict) -> Turn:
    """The turn that a row is of."""
    return tuple(row[name] for name in KEY)


def cohort_in(turn: Turn, folder: Path) -> Cohort:
    """What a turn trains."""
    name, _, arm, device, runs, steps = turn
    cell = CELLS[name]
    jobs = 0 if device == "cpu" else slots.jobs_at_once(os.environ)
    return cohort_of(cell, runs, steps, folder, probes_of(arm, steps), jobs)


def measured(turn: Turn) -> dict:
    """The row of a turn."""
    _, _, arm, device, _, _ = turn
    with tempfile.TemporaryDirectory() as folder:
        found = speed_arms.timed(cohort_in(turn, Path(folder)), arm, Path(folder), device)
    return dict(zip(KEY, turn, strict=True)) | found.row()


def expected(left: list[Turn]) -> float:
    """About how many seconds all turns that are ``left`` take."""
    each: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in left:
            name, _, arm, *_ = turn
            if (name, arm) not in each:
                trained = cohort_in(turn, Path(folder))
                each[name, arm] = speed_arms.expected(trained, CELLS[name], arm)
    return sum(each[name, arm] for name, _, arm, *_ in left)


def machine(device: str) -> str:
    """The processor, its cores that we may use, torch, and the GPU, if it is used."""
    model, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    text = f"{model}, {slots.cores()} cores, torch {importlib.metadata.version('torch')}"
    if device == "cuda":
        import torch

        text = f"{torch.cuda.get_device_name()} beside {text}"
    return text


def some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Reads words with commas between them, each of which has to be known."""

    def chosen(words: str) -> list[str]:
        wrong = set(words.split(",")) - set(known)
        if wrong:
            raise argparse.ArgumentTypeError(f"{min(wrong)} is none of {', '.join(known)}")
        return [name for name in known if name in words.split(",")]

    return chosen


def arguments(given: list[str] | None) -> argparse.Namespace:
    """What is asked for; an arm is dropped, aloud, where its package is not installed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    families = list(dict.fromkeys(cell.family for cell in CELLS.values()))
    parser.add_argument("--families", type=some_of(families), default=families)
    parser.add_argument("--cells", type=some_of(CELLS), default=list(CELLS))
    parser.add_argument("--arms", type=some_of(ARMS), help=f"of {','.join(ARMS)}")
    parser.add_argument("--device", choices=("cpu", "cuda", "auto"), default="cpu")
    parser.add_argument("--runs", type=int, default=0, help="in all; 0: a full stack a job")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a CSV file for every turn's numbers")
    parser.add_argument("--markdown", action="store_true", help="print the table to be pasted")
    asked = parser.parse_args(given)
    asked.device = device_of(asked.device, parser)
    asked.cells = [name for name in asked.cells if CELLS[name].family in asked.families]
    asked.arms = asked.arms or list(ON_GPU if asked.device == "cuda" else ARMS)
    for arm in list(asked.arms):
        if reason := speed_arms.lacking(arm):
            say(f"({arm}) is left out: {reason}")
            asked.arms.remove(arm)
    return asked


def device_of(wanted: str, parser: argparse.ArgumentParser) -> str:
    """``cpu`` or ``cuda``; ends with a message where what is ``wanted`` is not there."""
    if wanted == "cpu":
        return wanted
    from vanishing.engine.devices import choose  # imports torch, which no arm on a CPU needs here

    try:
        return choose(wanted).type
    except UserError as error:
        parser.error(str(error))


def say(words: str) -> None:
    """Print at once, and not into the table."""
    print(words, file=sys.stderr, flush=True)  # noqa: T201


def main(given: list[str] | None = None) -> None:
    """Measure every cell that is asked for, and print the table."""
    asked = arguments(given)
    there = asked.out and asked.out.exists()
    rows = pd.read_csv(asked.out).to_dict("records") if there else []
    done, wanted = set(map(key_of, rows)), turns(asked)
    left = [turn for turn in wanted if turn not in done]
    print(f"{machine(asked.device)}; {asked.steps} steps, {asked.pairs} pairs")  # noqa: T201
    if asked.device == "cpu":
        say(f"{len(left)} turns are left: about {expected(left) / 60:.0f} minutes")
    for turn in left:
        rows.append(measured(turn))
        say(f"{' '.join(map(str, turn))}: {rows[-1]['rate']:.0f} runs x steps a second")
        if asked.out:
            pd.DataFrame(rows).to_csv(asked.out, index=False)
    mine = [row for row in rows if key_of(row) in set(wanted)]
    found = table(pd.DataFrame(mine), asked.device == "cuda")
    print(markdown(found) if asked.markdown else found.to_string())  # noqa: T201


if __name__ == "__main__":
    main()
