"""The arms of the benchmark of speed: what each starts, and how long it takes.

An arm that trains fewer runs than the cohort has is carried over to all of them: its start-up once,
and the training as often as there are runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed_cells import Cell, shares

from vanishing.study import cost, preloaded, slots
from vanishing.study.cohort import Cohort
from vanishing.tables import RUN_LOG

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
OF_ENGINE = ("d", "off", "every")
ARMS = ("a", "b", "c", *OF_ENGINE, "e", "cockpit")
ON_GPU = ("b", *OF_ENGINE)  # what is measured there, unless it is asked for otherwise
PACKAGES = {"e": "wandb", "cockpit": "cockpit"}
RUNS_OF_B = 4  # that (b) trains: one after another, they take as long each
LOGGED_STEPS = 30  # at most, of the loggers that take tenths of a second for each


@dataclass(frozen=True)
class Time:
    """What ``runs`` of ``steps`` took: the command, of it the training (of its slowest job), and
    of that the updates; with how many probes, and of how many runs the cohort is.
    """

    runs: int
    steps: int
    seconds: float
    training: float
    updates: float
    probes: int = 0
    of: int = 0

    def row(self) -> dict[str, float]:
        """Runs x steps a second, of the whole, of the training and of its updates; seconds of a
        run's training.
        """
        done, work = self.runs * self.steps, max(self.runs, self.of) * self.steps
        whole = self.seconds - self.training + self.training * work / done
        rates = {"rate": work / whole, "warm": done / self.training, "loop": done / self.updates}
        return {**rates, "each": self.training / self.runs, "probes": self.probes}


def timed(cohort: Cohort, arm: str, folder: Path, device: str = "cpu") -> Time:
    """One arm's time of a cohort."""
    if arm in OF_ENGINE:
        return engine(cohort, folder, device)
    cores, members = slots.cores(), len(cohort.members)
    share = max(1, members // cores)
    processes, runs, logging = {
        "a": (1, 1, "hooks"),
        "b": (1, min(members, RUNS_OF_B), "none"),
        "c": (min(cores, members), share, "none"),
        "e": (1, 1, "wandb"),
        "cockpit": (1, 1, "cockpit"),
    }[arm]
    return plain(cohort, processes, runs, logging, folder, device)


def plain(
    cohort: Cohort, processes: int, runs: int, logging: str, folder: Path, device: str = "cpu"
) -> Time:
    """The first runs of a cohort in plain torch: ``runs`` by each of ``processes``."""
    described = cohort.as_json()
    if logging in PACKAGES.values():
        described["steps"] = min(described["steps"], LOGGED_STEPS)
    path = folder / "cohort.json"
    path.write_text(json.dumps(described))
    runs = min(runs, len(cohort.members) // processes)
    words = [sys.executable, "-m", "benchmarks.plain_nets", str(path), "--logging", logging]
    words += ["--device", device, "--runs", str(runs), "--first"]
    started = time.perf_counter()
    said = finish([[*words, str(n * runs)] for n in range(processes)], os.environ)
    seconds = time.perf_counter() - started
    found = [json.loads(text.splitlines()[-1]) for text in said]
    training, updates = (max(sum(one[n]) for one in found) for n in ("training", "updates"))
    whole = 0 if processes > 1 or logging == "hooks" else len(cohort.members)
    return Time(processes * runs, described["steps"], seconds, training, updates, of=whole)


def engine(cohort: Cohort, folder: Path, device: str = "cpu") -> Time:
    """All runs of a cohort by the engine: jobs forked from a process that is started.

    As many jobs as cores, or as places on the GPUs: as in a study.
    """
    count = slots.cores() if device == "cpu" else slots.jobs_at_once(os.environ)
    parts, logs, commands = shares(cohort, count), folder / "logs", []
    for part in parts:
        path = folder / f"{part.id}.json"
        path.write_text(json.dumps(part.as_json()))
        train = [str(Path(sys.executable).with_name("vanishing")), "train", str(path)]
        commands.append([*train, "--logs", str(logs), "--device", device])
    started = time.perf_counter()
    loads = {cohort.graph["family"]}
    with preloaded.running({**os.environ, **ONE_THREAD}, families=loads) as found:
        finish(commands, {**os.environ, **found})
        seconds = time.perf_counter() - started
    trained = [RUN_LOG.read(logs / "runs" / f"{part.id}.parquet") for part in parts]
    training = max(float(runs["seconds"].sum()) for runs in trained)
    steps = cohort.graph["steps"]
    probes = len(cohort.graph.probe_steps)
    return Time(len(cohort.members), steps, seconds, training, training, probes)


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


def lacking(arm: str) -> str:
    """Why an arm cannot be measured: what importing its package says; empty where it can."""
    package = PACKAGES.get(arm)
    if not package:
        return ""
    words = [sys.executable, "-W", "ignore", "-c", f"import {package}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def applies(arm: str, cell: Cell) -> bool:
    """Whether an arm knows a cell: what Cockpit rests on knows linear layers and convolutions."""
    return arm != "cockpit" or cell.family in ("mlp", "cnn")


def expected(cohort: Cohort, cell: Cell, arm: str) -> float:
    """About how many seconds an arm takes on CPU cores, by the plan's cost of the engine.

    Plain arms by the speed-up that is asked of the cell.
    """
    graph, runs, cores = cohort.graph, len(cohort.members), slots.cores()
    trained = cost.seconds_of_runs(graph, runs) / cores
    own = {
        "a": trained * (cell.over_a or 10) / runs,
        "b": trained * cell.over_c * min(1, RUNS_OF_B * cores / runs),
        "c": trained * cell.over_c,
        "e": 0.1 * LOGGED_STEPS,
        "cockpit": 0.3 * LOGGED_STEPS,
    }
    return cost.SECONDS_PER_JOB + own.get(arm, trained)
