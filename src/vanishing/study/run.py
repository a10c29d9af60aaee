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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import yaml
from rich.console import Console

from ..errors import UserError, unknown
from ..parts import tasks
from . import plan as plans
from . import preloaded, snakemake_log
from .cohort import Cohort
from .display import Lines, Picture, say
from .durations import duration
from .head import environment, only_head, start, stop
from .progress import progress
from .snakemake_log import Failure

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TAIL = 15  # lines of a failed job's log that are shown


def run_study(
    config: str | os.PathLike,
    profile: str = "default",
    targets: Sequence[str] = (),
    snakefile: Path = Path("Snakefile"),
) -> int:
    """Bring ``results/<study>`` up to date; the exit status of Snakemake, or 128 + a signal."""
    began = time.monotonic()
    if not snakefile.exists():
        raise UserError(f"{snakefile} is not here: run this in the folder of the project.")
    folder = profile_path(profile, snakefile.parent / "workflow/profiles")
    plan = plans.make(config)
    results, cores = Path("results") / plan.name, cores_of(folder)
    console = Console()
    say(console, header(plan, results, cores))
    command = [
        *(sys.executable, "-m", "snakemake", *targets, "--nocolor"),
        *("--snakefile", str(snakefile), "--workflow-profile", str(folder)),
        *("--config", f"study={plan.config_path}"),
    ]
    left = to_train(plan, results)
    for task in {cohort.graph.task for cohort in left}:
        tasks.prepare(dict(task))
    worth_it = len(left) > 1
    with (
        only_head(results),
        preloaded.running(environment(os.environ, results), worth_it) as variables,
        _log(results) as log,
    ):
        code, stopped_by = _follow(command, results, log, console, cores, variables)
    if stopped_by:
        say(console, *stopped(stopped_by, config))
        return 128 + stopped_by
    said = snakemake_log.read(results / "snakemake.log")
    if code:
        say(Console(stderr=True), *failed(said, results))
    else:
        say(console, *finished(said, results, time.monotonic() - began))
    return code


def profile_path(profile: str, folder: Path) -> Path:
    """The folder of a profile: a name in ``workflow/profiles/``, or a path."""
    for path in (folder / profile, Path(profile)):
        if (path / "config.yaml").exists():
            return path
    names = [path.parent.name for path in folder.glob("*/config.yaml")]
    own = "; or give the path of a folder with a config.yaml"
    raise UserError(unknown("profile", profile, names, own))


def cores_of(profile: Path) -> int:
    """The cores that a profile gives to the jobs; those of this machine where it does not say."""
    settings = yaml.safe_load((profile / "config.yaml").read_text()) or {}
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    given = settings.get("cores") if isinstance(settings, dict) else None
    return given if isinstance(given, int) else here or 1


def to_train(plan: plans.Plan, results: Path) -> list[Cohort]:
    """The cohorts of the plan that have no logs yet."""
    trained = {path.stem for path in results.glob("logs/runs/*.parquet")}
    return [cohort for id_, cohort in plan.by_id.items() if id_ not in trained]


def header(plan: plans.Plan, results: Path, cores: int) -> str:
    """What is to be done, and how long it will take, in one line."""
    left = to_train(plan, results)
    runs = sum(len(cohort.members) for cohort in plan.cohorts)
    says = f"{plan.name}: {runs:,} runs in {len(plan.cohorts)} cohorts"
    if not left:
        return f"{says}, all trained"
    if len(left) < len(plan.cohorts):
        says += f", {len(left)} of them left to train"
    work = sum(c.flops for c in left) / plans.FLOPS_PER_SECOND + plans.SECONDS_PER_JOB * len(left)
    wait = (work + plans.SECONDS_OF_REPORT) / cores
    return f"{says}: about {duration(wait)} on {cores} core{'s' * (cores > 1)}"


def finished(said: snakemake_log.Log, results: Path, seconds: float) -> list[str]:
    """The last words of a run that went well."""
    papers = [results / "report" / name for name in ("paper.html", "paper.pdf")]
    where = [f"  {path}" for path in papers if path.exists()]
    if said.nothing_to_do:
        return [f"nothing to do: {results} is up to date", *where]
    return [f"done in {duration(seconds)}", *where]


def failed(said: snakemake_log.Log, results: Path) -> list[str]:
    """What failed and the end of its log, or the end of Snakemake's if no job did."""
    whole = results / "snakemake.log"
    if not said.failures:
        tail = [line for line in said.lines if line.strip()][-TAIL:]
        return [*(f"  {line}" for line in tail), f"Snakemake failed. The whole log: {whole}"]
    lines = [line for failure in said.failures[:3] for line in _failure(failure)]
    count = len(said.failures)
    jobs = "1 job" if count == 1 else f"{count} jobs"
    return [*lines, f"{jobs} failed; what is finished is kept. The whole log: {whole}"]


def stopped(by: int, config: str | os.PathLike) -> list[str]:
    """The last words of a run that a person or the system stopped."""
    again = (
        f"make study STUDY={config}" if "MAKELEVEL" in os.environ else f"vanishing study {config}"
    )
    return [
        f"stopped ({signal.Signals(by).name}); finished cohorts are kept: {again} goes on there"
    ]


def _failure(failure: Failure) -> list[str]:
    title = f"failed: {failure}"
    if not failure.log or not failure.log.exists():
        return [title]
    tail = failure.log.read_text(errors="replace").rstrip().splitlines()[-TAIL:]
    return [f"{title}; the end of {failure.log}:", *(f"  {line}" for line in tail)]


@contextmanager
def _log(results: Path) -> Iterator[IO]:
    """Snakemake's log of this study, opened for one more start."""
    with (results / "snakemake.log").open("a") as log:
        log.write(f"\n{snakemake_log.START} {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        log.flush()
        yield log


def _follow(
    command: Sequence[str],
    results: Path,
    log: IO,
    console: Console,
    cores: int,
    variables: Mapping[str, str],
) -> tuple[int, int]:
    """Run ``command`` and show how far it is; its exit status, and the signal that stopped us."""
    parent = os.getppid() if "MAKELEVEL" in os.environ else None
    with _signals() as caught:
        child = start(command, results, log, variables)
        try:
            display = (Picture if console.is_terminal else Lines)(console, cores)
            with display:
                while _still_running(child) and not caught and parent in (None, os.getppid()):
                    display.show(progress(results))
            orphaned = child.poll() is None and not caught
            return (child.poll() or 0), (signal.SIGTERM if orphaned else next(iter(caught), 0))
        finally:
            if child.poll() is None:
                stop(child, results)


def _still_running(child: subprocess.Popen) -> bool:
    try:
        child.wait(timeout=0.5)
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
