"""Run a study from its config to its paper: what ``make study`` does.

Snakemake decides what has to be made, and makes it; this shows a person how far it is, says what
failed and why, and sees to it that nothing goes on when it is stopped, or killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import yaml
from rich.console import Console

from ..errors import UserError, whole
from ..parts import tasks
from ..provenance import training_code
from . import cluster, failures, index, preloaded, snakemake_log
from . import plan as plans
from .cohort import Cohort
from .display import Lines, Picture, say
from .durations import duration
from .head import Head, below, environment, only_head, start, stop, stop_all
from .mending import mend
from .places import profile_path
from .progress import Watch
from .recover import settle_before
from .sizes import Places

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_study(
    config: str | os.PathLike,
    profile: str = "default",
    targets: Sequence[str] = (),
    snakefile: Path = Path("Snakefile"),
    limit: int = failures.LIMIT,
) -> int:
    """Bring ``results/<study>`` up to date; the exit status of Snakemake, or 128 + a signal.

    With ``limit`` cohorts failed of one class of error (0: never) it is stopped early, see
    :class:`failures.Budget`.
    """
    began = time.monotonic()
    whole("--failures", limit, 0)
    if not snakefile.exists():
        raise UserError(f"{snakefile} is not here: run this in the folder of the project.")
    folder = profile_path(profile, snakefile.parent / "workflow/profiles")
    plan = plans.make(config)
    results, at_once = Path("results") / plan.name, Places.of_profile(folder)
    console = Console()
    say(console, header(plan, results, at_once))
    command = [
        *(sys.executable, "-m", "snakemake", *targets, "--nocolor"),
        *("--snakefile", str(snakefile), "--workflow-profile", str(folder)),
        *("--config", f"study={plan.config_path}"),
    ]
    executor, code_now = executor_of(folder), training_code(plan.own_parts)
    if executor == cluster.EXECUTOR:
        command += ["--slurm-jobname-prefix", cluster.job_prefix(results)]

    def tell(line: str) -> None:
        say(console, line)

    before = settle_before(results, config, executor, code_now, tell)

    def after(last: Head | None) -> None:
        before(last)
        say(console, *mend(results))

    left = to_train(plan, results)
    for task in {cohort.graph.task for cohort in left}:
        tasks.prepare(dict(task))
    # A job of the cluster that trained in a process of ours would escape its limits.
    worth_it = len(left) > 1 and executor != cluster.EXECUTOR
    with (
        only_head(results, executor=executor, code=code_now, after=after) as left_in_disorder,
        preloaded.running(environment(os.environ, results), worth_it) as variables,
        _log(results) as log,
    ):
        index.refresh(config, plan)  # for Snakemake and its jobs, who do not plan again
        begin = partial(start, command, results, log, variables)
        ended = _follow(begin, results, console, at_once.count, limit)
        if ended.code < 0:  # Snakemake was killed, and nobody has put down what its jobs finished
            stop_all(below(results))
            left_in_disorder()
    if ended.signal:
        say(console, *stopped(ended.signal, config))
        return 128 + ended.signal
    if ended.spent:
        early = [*failures.summary(ended.spent.failures), str(ended.spent)]
        say(Console(stderr=True), *early)
        return 1
    if ended.code < 0:
        by = signal.Signals(-ended.code).name
        kept = "finished cohorts are kept, start again"
        say(Console(stderr=True), f"Snakemake was ended from outside ({by}): {kept}")
        return 128 - ended.code
    said = snakemake_log.read(results / "snakemake.log")
    if ended.code:
        say(Console(stderr=True), *failed(said, results))
    else:
        say(console, *finished(said, results, time.monotonic() - began))
    return ended.code


def executor_of(profile: Path) -> str:
    """Where a profile runs the jobs: ``local``, or a cluster as ``slurm``."""
    return str(_settings(profile).get("executor", "local"))


def _settings(profile: Path) -> Mapping:
    settings = yaml.safe_load((profile / "config.yaml").read_text())
    return settings if isinstance(settings, dict) else {}


def to_train(plan: plans.Plan, results: Path) -> list[Cohort]:
    """The cohorts of the plan that have no logs yet."""
    trained = {path.stem for path in results.glob("logs/runs/*.parquet")}
    return [cohort for id_, cohort in plan.by_id.items() if id_ not in trained]


def header(plan: plans.Plan, results: Path, at_once: Places) -> str:
    """What is to be done, and how long it will take, in one line."""
    left = to_train(plan, results)
    runs = sum(len(cohort.members) for cohort in plan.cohorts)
    says = f"{plan.name}: {runs:,} runs in {len(plan.cohorts)} cohorts"
    if not left:
        return f"{says}, all trained"
    if len(left) < len(plan.cohorts):
        says += f", {len(left)} of them left to train"
    work = sum(c.flops for c in left) / plans.FLOPS_PER_SECOND + plans.SECONDS_PER_JOB * len(left)
    wait = (work + plans.SECONDS_OF_REPORT) / at_once.count
    return f"{says}: about {duration(wait)} on {at_once.what}"


def finished(said: snakemake_log.Log, results: Path, seconds: float) -> list[str]:
    """The last words of a run that went well."""
    papers = [results / "report" / name for name in ("paper.html", "paper.pdf")]
    where = [f"  {path}" for path in papers if path.exists()]
    if said.nothing_to_do:
        return [f"nothing to do: {results} is up to date", *where]
    return [f"done in {duration(seconds)}", *where]


def failed(said: snakemake_log.Log, results: Path) -> list[str]:
    """What failed, by class of error, or the end of Snakemake's log if no job did."""
    log = results / "snakemake.log"
    if not said.failures:
        tail = [line for line in said.lines if line.strip()][-failures.TAIL :]
        return [*(f"  {line}" for line in tail), f"Snakemake failed. The whole log: {log}"]
    count = len(said.failures)
    jobs = "1 job" if count == 1 else f"{count} jobs"
    last = f"{jobs} failed; what is finished is kept. The whole log: {log}"
    return [*failures.summary(said.failures), last]


def stopped(by: int, config: str | os.PathLike) -> list[str]:
    """The last words of a run that a person or the system stopped."""
    again = (
        f"make study STUDY={config}" if "MAKELEVEL" in os.environ else f"vanishing study {config}"
    )
    return [
        f"stopped ({signal.Signals(by).name}); finished cohorts are kept: {again} goes on there"
    ]


@dataclass(frozen=True)
class Ended:
    """How Snakemake ended: its exit status, or the signal or the failures it was stopped for."""

    code: int
    signal: int = 0
    spent: failures.Spent | None = None


@contextmanager
def _log(results: Path) -> Iterator[IO]:
    """Snakemake's log of this study, opened for one more start."""
    with (results / "snakemake.log").open("a") as log:
        log.write(f"\n{snakemake_log.START} {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        log.flush()
        yield log


def _follow(
    begin: Callable[[], subprocess.Popen],
    results: Path,
    console: Console,
    cores: int,
    limit: int,
) -> Ended:
    """Start Snakemake and show how far it is, until it ends or has to be stopped."""
    parent = os.getppid() if "MAKELEVEL" in os.environ else None
    watch, budget = Watch(results), failures.Budget(limit)
    with _signals() as caught:
        child = begin()
        try:
            with (Picture if console.is_terminal else Lines)(console, cores) as display:
                took = 0.0  # to look: a tenth of the time at most
                while (
                    _still_running(child, min(max(0.5, 9 * took), 5))
                    and not caught
                    and parent in (None, os.getppid())
                ):
                    began = time.monotonic()
                    display.show(watch.look())
                    took = time.monotonic() - began
                    if spent := budget.spent(watch.log):
                        return Ended(1, spent=spent)
            orphaned = child.poll() is None and not caught
            by = signal.SIGTERM if orphaned else next(iter(caught), 0)
            return Ended(child.poll() or 0, by)
        finally:
            if child.poll() is None:
                stop(child, results)


def _still_running(child: subprocess.Popen, patience: float) -> bool:
    try:
        child.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        return True
    return False


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect the signals that ask us to stop, instead of dying of them; nohup's stays ignored."""
    caught: list[int] = []
    mine = [
        s for s in SIGNALS if s is signal.SIGINT or signal.getsignal(s) is not signal.SIG_IGN
    ]  # fmt: skip
    before = {s: signal.signal(s, lambda number, _: caught.append(number)) for s in mine}
    try:
        yield caught
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
