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
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

import yaml
from rich.console import Console

from ..errors import UserError, whole
from ..parts import tasks
from . import cluster, failures, index, preloaded, snakemake_log
from . import plan as plans
from .cohort import Cohort
from .description import wall_seconds
from .display import Lines, Picture, say
from .durations import duration
from .endings import Ended, last_words
from .head import Head, only_head
from .mending import mend
from .places import profile_path
from .processes import environment, start, stop, stop_below
from .progress import Watch
from .recover import queue_is_empty, settle_before
from .sizes import Places
from .snakemake_records import made_by

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds that a stop gives Snakemake: here, for checkpoints; on a cluster, to cancel its jobs, and
# for its thread that asks the queue, which may sleep for longer: then what is left is cancelled.
PATIENCE, PATIENCE_OF_CLUSTER = preloaded.GRACE + 5, 60.0


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
    left = to_train(plan, results)
    families = {dict(cohort.graph.settings)["family"] for cohort in left}
    for task in {cohort.graph.task for cohort in left}:
        tasks.prepare(dict(task))
    executor, tell = executor_of(folder), partial(say, console)
    command = _command(plan, executor, folder, targets, snakefile)
    code = made_by(plan.own_parts, plan.study.device)
    before = settle_before(results, config, executor, code, tell)

    def after(last: Head | None) -> None:
        before(last)
        tell(*mend(results, plan.by_id))

    # A job of a cluster that trained in a process of ours would escape its limits.
    here = executor == "local"
    with (
        only_head(results, executor=executor, code=code, after=after) as left_in_disorder,
        preloaded.running(
            environment(os.environ, results), here, bool(left), families
        ) as variables,
        _log(results) as log,
    ):
        index.refresh(config, plan)  # for Snakemake and its jobs, who do not plan again
        begin = partial(start, command, results, log, variables)
        end = partial(_stop, results=results, executor=executor, tell=tell)
        ended = _follow(begin, end, results, console, at_once.count, limit)
        if not _in_order(ended, executor, results, config, tell):
            left_in_disorder()
    return last_words(ended, config, results, time.monotonic() - began, console)


def _command(
    plan: plans.Plan, executor: str, profile: Path, targets: Sequence[str], snakefile: Path
) -> list[str]:
    """How Snakemake is called."""
    command = [
        *(sys.executable, "-m", "snakemake", *targets, "--nocolor"),
        *("--snakefile", str(snakefile), "--workflow-profile", str(profile)),
        *("--config", f"study={plan.config_path}"),
    ]
    if executor == cluster.EXECUTOR:
        command += ["--slurm-jobname-prefix", cluster.job_prefix(Path("results") / plan.name)]
    return command


def executor_of(profile: Path) -> str:
    """Where a profile runs the jobs: ``local``, or a cluster as ``slurm``."""
    return str(_settings(profile).get("executor", "local"))


def _settings(profile: Path) -> Mapping:
    settings = yaml.safe_load((profile / "config.yaml").read_text())
    return settings if isinstance(settings, dict) else {}


def to_train(plan: plans.Plan, results: Path) -> list[Cohort]:
    """The cohorts of the plan that have no logs yet."""
    trained = set(plans.finished(results))
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
    return f"{says}: about {duration(wall_seconds(left, at_once))} on {at_once.what}"


def _stop(child: subprocess.Popen, results: Path, executor: str, tell: Callable) -> bool:
    """Stop Snakemake; whether it has put down what its jobs finished."""
    here = executor == "local"
    what = "trainings write their checkpoints" if here else "jobs of the cluster are cancelled"
    patience = PATIENCE if here else PATIENCE_OF_CLUSTER
    with suppress(OSError, SystemExit):  # a terminal that is gone
        tell(f"stopping: {what}, which takes up to {patience:.0f} s")
    return stop(child, results, patience)


def _in_order(
    ended: Ended, executor: str, results: Path, config: str | os.PathLike, tell: Callable
) -> bool:
    """Whether nothing of the study is at work any more, and all that it finished is put down."""
    if not ended.in_order:
        stop_below(results)
    if executor != cluster.EXECUTOR or (ended.code == 0 and not ended.stopped):
        return ended.in_order
    return queue_is_empty(results, config, tell, cancel=ended.stopped) and ended.in_order


@contextmanager
def _log(results: Path) -> Iterator[IO]:
    """Snakemake's log of this study, opened for one more start."""
    with (results / "snakemake.log").open("a") as log:
        log.write(f"\n{snakemake_log.START} {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        log.flush()
        yield log


def _follow(
    begin: Callable[[], subprocess.Popen],
    end: Callable[[subprocess.Popen], bool],
    results: Path,
    console: Console,
    cores: int,
    limit: int,
) -> Ended:
    """Start Snakemake and show how far it is, until it ends or has to be stopped."""
    with _signals() as caught:
        child, spent = begin(), None
        try:
            with (Picture if console.is_terminal else Lines)(console, cores) as display:
                spent = _watch(child, Watch(results), failures.Budget(limit), display, caught)
        finally:
            lives = child.poll() is None
            in_order = end(child) if lives else child.returncode >= 0
        if spent:
            return Ended(1, spent=spent, in_order=in_order)
        orphaned = lives and not caught
        by = signal.SIGTERM if orphaned else next(iter(caught), 0)
        return Ended(0 if lives else child.returncode, by, in_order=in_order)


def _watch(
    child: subprocess.Popen,
    watch: Watch,
    budget: failures.Budget,
    display: Picture | Lines,
    caught: Sequence[int],
) -> failures.Spent | None:
    """Show how far Snakemake is, until it ends, or we are to stop it: for failures, given back."""
    parent = os.getppid() if "MAKELEVEL" in os.environ else None
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
            return spent
    return None


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
