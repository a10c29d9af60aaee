"""Prints how fast runs train, the engine beside what a user would write.

``python -m benchmarks.speed [--families mlp,cnn] [--runs N] [--steps 300] [--pairs K]
[--arms a,c,d]``, in the root of the repository. Numbers are runs x steps per second of whole
commands, one thread a process, start-up included:

    a      a process a run, one after another: plain torch, hooks on every layer, ``.item()``
    b      one process: plain torch, runs one after another, nothing logged
    c      as many processes of (b) as cores, each with its share of the runs
    d      the engine: a process that has loaded it, and as many ``vanishing train`` as cores
    off    the same with the two probes that it cannot do without, at the start and at the end
    every  the same with a probe after every update
    e      (b) with ``wandb.watch`` offline, where wandb is installed

All arms of a cell train the same cohort. They take turns, in reverse order in every other pair;
the table has medians over pairs, with the least and the largest ratio where there are several.
Ratios that are called warm are of the training alone, without start-up, reading and writing. What
logging costs is carried over to a training without any probe (:func:`overhead`).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from benchmarks.speed_cells import CELLS, Cell, cohort_of, probed, shares

from vanishing.study import preloaded, slots
from vanishing.study.cohort import Cohort
from vanishing.tables import RUN_LOG

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
ARMS = ("a", "b", "c", "d", "off", "every", "e")
MOST_OVERHEAD = {"d": 5, "every": 40}  # % of the training that logging may cost


@dataclass(frozen=True)
class Time:
    """What ``runs`` of ``steps`` took: the command, and of it the training (of its slowest job)."""

    runs: int
    steps: int
    seconds: float
    training: float
    probes: int = 0

    def row(self) -> dict[str, float]:
        """Runs x steps a second, of the whole and of the training alone; seconds of a run alone."""
        work = self.runs * self.steps
        own = {"each": self.training / self.runs, "probes": self.probes}
        return {"rate": work / self.seconds, "warm": work / self.training, **own}


def plain(cohort: Cohort, processes: int, runs: int, logging: str, folder: Path) -> Time:
    """The first runs of a cohort in plain torch: ``runs`` by each of ``processes``."""
    described = cohort.as_json()
    path = folder / "cohort.json"
    path.write_text(json.dumps(described))
    runs = min(runs, len(cohort.members) // processes)
    words = [sys.executable, "-m", "benchmarks.plain_nets", str(path), "--logging", logging]
    words += ["--runs", str(runs), "--first"]
    started = time.perf_counter()
    said = finish([[*words, str(n * runs)] for n in range(processes)], os.environ)
    seconds = time.perf_counter() - started
    training = max(sum(json.loads(text.splitlines()[-1])) for text in said)
    return Time(processes * runs, described["steps"], seconds, training)


def engine(cohort: Cohort, arm: str, folder: Path) -> Time:
    """All runs of a cohort by the engine: a job a core, forked from a process that is started."""
    parts, logs, commands = shares(cohort, slots.cores()), folder / "logs", []
    for part in parts:
        path, described = folder / f"{part.id}.json", probed(part.as_json(), arm)
        path.write_text(json.dumps(described))
        train = [str(Path(sys.executable).with_name("vanishing")), "train", str(path)]
        commands.append([*train, "--logs", str(logs), "--device", "cpu"])
    started = time.perf_counter()
    with preloaded.running({**os.environ, **ONE_THREAD}) as found:
        _listening(found)
        finish(commands, {**os.environ, **found})
        seconds = time.perf_counter() - started
    trained = [RUN_LOG.read(logs / "runs" / f"{part.id}.parquet") for part in parts]
    training = max(float(runs["seconds"].sum()) for runs in trained)
    probes = len(described["probes"]["steps"])
    return Time(len(cohort.members), described["steps"], seconds, training, probes)


def _listening(found: dict[str, str], patience: float = 60) -> None:
    """Wait for the socket: a job that finds none would load everything itself."""
    until = time.perf_counter() + patience
    while found and not Path(found[preloaded.VARIABLE]).exists():
        if time.perf_counter() > until:
            sys.exit(f"no process listens at {found[preloaded.VARIABLE]} after {patience:.0f} s")
        time.sleep(0.01)


def finish(commands: Iterable[list[str]], environment: dict[str, str]) -> list[str]:
    """What the commands print, all at work at once; every one has to succeed."""
    own = {**environment, **ONE_THREAD}
    with ExitStack() as stack:
        processes = []
        for words in commands:
            said, failed = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2))
            one = subprocess.Popen(words, cwd=ROOT, env=own, text=True, stdout=said, stderr=failed)
            processes.append((stack.enter_context(one), said, failed))
        texts = []
        for one, said, failed in processes:
            one.wait()
            said.seek(0)
            failed.seek(0)
            if one.returncode:
                sys.exit(f"{one.args[:4]} failed:\n{failed.read()[-4000:]}")
            texts.append(said.read())
    return texts


def timed(cohort: Cohort, arm: str, folder: Path) -> Time:
    """One arm's time of a cohort."""
    cores = slots.cores()
    share = max(1, len(cohort.members) // cores)
    if arm in ("d", "off", "every"):
        return engine(cohort, arm, folder)
    processes, runs, logging = {
        "a": (1, 1, "hooks"),
        "b": (1, share, "none"),
        "c": (min(cores, len(cohort.members)), share, "none"),
        "e": (1, 1, "wandb"),
    }[arm]
    return plain(cohort, processes, runs, logging, folder)


def measured(name: str, cell: Cell, asked: argparse.Namespace) -> list[dict]:
    """A row a pair and arm of a cell."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cohort = cohort_of(cell, asked.runs, asked.steps, Path(folder))
        for pair in range(asked.pairs):
            for arm in asked.arms[:: -1 if pair % 2 else 1]:
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    found = timed(cohort, arm, Path(own)).row()
                rows.append({"cell": name, "pair": pair, "arm": arm, **found})
    return rows


def table(rows: list[dict]) -> str:
    """A row a cell: rates, ratios to the plain arms beside their targets, what logging costs."""
    data = pd.DataFrame(rows)
    lines = {
        name: _line(CELLS[name], of.pivot(index="pair", columns="arm"))
        for name, of in data.groupby("cell", sort=False)
    }
    return pd.DataFrame(lines).T.to_string(na_rep="")


def _line(cell: Cell, of: pd.DataFrame) -> dict[str, str]:
    rates, warm = of["rate"], of["warm"]
    line = {arm: f"{rates[arm].median():.0f}" for arm in ARMS if arm in rates}
    for base, target in (("a", cell.over_a), ("b", None), ("c", cell.over_c)):
        if {"d", base} <= set(rates):
            line[f"d/{base}"] = ratio(rates["d"] / rates[base], target)
    if {"d", "c"} <= set(warm):
        line["d/c warm"] = ratio(warm["d"] / warm["c"])
    if {"off", "c"} <= set(warm):
        line["off/c warm"] = ratio(warm["off"] / warm["c"])
    for arm, most in MOST_OVERHEAD.items():
        if {arm, "off"} <= set(warm):
            line[f"{arm}: log %"] = ratio(overhead(of, arm), most, at_most=True)
    for arm in ("a", "e"):
        if {arm, "b"} <= set(warm):
            line[f"{arm}: log x"] = ratio(warm["b"] / warm[arm])
    return line


def overhead(of: pd.DataFrame, arm: str) -> pd.Series:
    """What an arm's probes cost, in % of a training without any.

    With n probes in T seconds a probe costs c = (T_arm - T_off) / (n_arm - n_off), and a training
    without any T_off - c n_off.
    """
    seconds, probes = of["each"], of["probes"]
    each = (seconds[arm] - seconds["off"]) / (probes[arm] - probes["off"])
    return 100 * each * probes[arm] / (seconds["off"] - each * probes["off"])


def ratio(values: pd.Series, target: float | None = None, at_most: bool = False) -> str:
    """The median of several, their range, and whether it meets the target.

    >>> ratio(pd.Series([2.0, 3.0, 2.5]), 2)
    '2.50 (2.00 to 3.00) >=2 met'
    """
    median = values.median()
    text = f"{median:.2f}"
    if len(values) > 1:
        text += f" ({values.min():.2f} to {values.max():.2f})"
    if target is None:
        return text
    met = median <= target if at_most else median >= target
    return f"{text} {'<=' if at_most else '>='}{target:g} {'met' if met else 'missed'}"


def machine() -> str:
    """The processor, its cores that we may use, and torch."""
    model, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    return f"{model}, {slots.cores()} cores, torch {importlib.metadata.version('torch')}"


def arguments(given: list[str] | None) -> argparse.Namespace:
    """What is asked for; ``e`` is dropped where wandb is not installed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    families = list(dict.fromkeys(cell.family for cell in CELLS.values()))

    def some_of(known: Iterable[str]) -> object:
        def chosen(words: str) -> list[str]:
            wrong = set(words.split(",")) - set(known)
            if wrong:
                raise argparse.ArgumentTypeError(f"{min(wrong)} is none of {', '.join(known)}")
            return [name for name in known if name in words.split(",")]

        return chosen

    parser.add_argument("--families", type=some_of(families), default=families)
    parser.add_argument("--cells", type=some_of(CELLS), default=list(CELLS))
    parser.add_argument("--arms", type=some_of(ARMS), default=list(ARMS))
    parser.add_argument("--runs", type=int, default=0, help="in all; 0: a full stack a core")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a CSV file for every pair's numbers")
    asked = parser.parse_args(given)
    if "e" in asked.arms and not importlib.util.find_spec("wandb"):
        print("(e) is left out: wandb is not installed")  # noqa: T201
        asked.arms.remove("e")
    return asked


def main(given: list[str] | None = None) -> None:
    """Measure every cell that is asked for, and print the table."""
    asked = arguments(given)
    print(f"{machine()}; {asked.steps} steps, {asked.pairs} pairs")  # noqa: T201
    rows: list[dict] = []
    for name in asked.cells:
        if CELLS[name].family not in asked.families:
            continue
        rows += measured(name, CELLS[name], asked)
        print(f"{name}: done", file=sys.stderr, flush=True)  # noqa: T201
        if asked.out:
            pd.DataFrame(rows).to_csv(asked.out, index=False)
    print(table(rows))  # noqa: T201


if __name__ == "__main__":
    main()
