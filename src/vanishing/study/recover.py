"""After the head of a study died: what it left on the cluster, in the files, and in the locks.

Jobs of a cluster go on without their head. Two that write the same files must never be: before
the study goes on, the old ones are waited for, or cancelled; what they finished counts.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import UserError
from . import cluster
from .durations import duration
from .head import RECORD, Head, conclude, held, last_head, remove_stale_locks
from .index import of_study
from .places import config_path
from .snakemake_records import made_by, record_finished

POLL = 15.0  # seconds between two looks at the queue
Say = Callable[[str], None]


def recover(
    config: str | os.PathLike,
    choice: str = "",
    timeout: float = float("inf"),
    *,
    gone: bool = False,
    say: Say = print,
    poll: float = POLL,
) -> int:
    """Clear up after a dead head; 0 when the study can go on, 1 while its jobs are in the queue.

    ``choice``: "wait" for these jobs (``timeout`` seconds at most), "cancel" them, or "": only
    say what they are. ``gone``: believe no sign of life of a head on another machine.
    """
    results = Path("results") / config_path(config).stem
    if not (results / RECORD).exists() and not _may_have_jobs(None, results):
        say(f"nothing to recover: {results} has never been worked on")
        return 0
    # A look at the lock, as `vanishing status` takes one, holds it for no time.
    with held(results, patience=0.3, gone=gone) as record:
        last, prefix = last_head(results), cluster.job_prefix(results)
        left = cluster.jobs(prefix) if _may_have_jobs(last, results) else []
        if left and not _cleared(left, prefix, choice, timeout, say, poll):
            return 1
        if not left and (last is None or last.ended):
            why = "ended by itself" if last else "has left no record, and no job in the queue"
            say(f"nothing to recover: the last start of {results.name} {why}")
            return 0
        if last:
            settle(results, config, last, say)
            conclude(record, last)
        remove_stale_locks(results)
    say(f"recovered: vanishing study {config} goes on from what is finished")
    return 0


def settle_before(
    results: Path, config: str | os.PathLike, executor: str, code: str, say: Say
) -> Callable[[Head | None], None]:
    """For :func:`only_head`: refuse a start beside jobs that are left, and settle what is not.

    ``executor`` and ``code`` (:func:`made_by`) are those of the start.
    """

    def after(last: Head | None) -> None:
        if executor == cluster.EXECUTOR or (
            _may_have_jobs(last, results) and not (last and last.ended)
        ):
            _refuse_left(_soon_gone(cluster.job_prefix(results)), results, config)
        if last and not last.ended:
            settle(results, config, last, say, code)

    return after


def queue_is_empty(results: Path, config: str | os.PathLike, say: Say, *, cancel: bool) -> bool:
    """Whether the cluster has no job of the study any more; what is left is said.

    With ``cancel``, after Snakemake was stopped: what it did not come to cancel is, here.
    """
    prefix = cluster.job_prefix(results)
    try:
        left = _soon_gone(prefix)
        if left and cancel:
            cluster.cancel(left, prefix)
            say(f"cancelled {_jobs(len(left))} that Snakemake had left in the cluster's queue")
        else:
            _refuse_left(left, results, config)
    except (UserError, KeyboardInterrupt) as error:
        say(str(error) or "stopped: what is in the cluster's queue stays there")
        return False
    return True


def settle(
    results: Path, config: str | os.PathLike, last: Head, say: Say, code: str | None = None
) -> None:
    """Have the cohorts count that finished after ``last`` died; say what becomes of them."""
    if code is None:
        now = of_study(config)
        code = made_by(now.own_parts, now.device)
    kept, torn = record_finished(results, config, last, code)
    if kept:
        say(f"finished after their head died, and kept: {_cohorts(kept)}")
    if torn and code != last.code:
        what = "code, tables or device have changed since"
        say(f"finished after their head died, but {what}, and trained again: {_cohorts(torn)}")
    elif torn:
        say(f"left half written, and trained again: {_cohorts(torn)}")


def table(left: Sequence[cluster.Job]) -> str:
    """The jobs as text: a line each, by state."""
    rows = [("job", "state", "since", "rule", "cohort")]
    rows += sorted(
        ((job.id, job.state.lower(), job.since, job.rule, job.cohort) for job in left),
        key=lambda row: (row[1], row[0]),
    )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _may_have_jobs(last: Head | None, results: Path) -> bool:
    """Whether the queue is to be asked; where no record tells, if there are a queue and results."""
    if last is None:
        return shutil.which("squeue") is not None and (results / "logs").is_dir()
    return last.executor == cluster.EXECUTOR


def _cleared(
    left: Sequence[cluster.Job],
    prefix: str,
    choice: str,
    timeout: float,
    say: Say,
    poll: float,
) -> bool:
    """Whether the queue holds no job of the study any more."""
    if choice == "cancel":
        cluster.cancel(left, prefix)
        say(f"cancelled {_jobs(len(left))}")
        return True
    if choice == "wait":
        return _waited(left, prefix, timeout, say, poll)
    say(f"{table(left)}\n{_jobs(len(left))} without a head: --wait lets them finish, --cancel ends")
    say("them. Nothing was changed.")
    return False


def _waited(
    left: Sequence[cluster.Job], prefix: str, timeout: float, say: Say, poll: float
) -> bool:
    deadline = time.monotonic() + timeout
    said = None
    while left:
        states = Counter(job.state.lower() for job in left)
        now = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        if now != said:
            say(f"waiting for {_jobs(len(left))}: {now}")
            said = now
        rest = deadline - time.monotonic()
        if rest <= 0:
            say(f"{_jobs(len(left))} left after {duration(timeout)}. Nothing was changed.")
            return False
        time.sleep(min(poll, rest))
        left = cluster.jobs(prefix, patience=max(60, min(rest, 3600)))
    say("all of them have ended")
    return True


def _soon_gone(prefix: str, patience: float = 60) -> list[cluster.Job]:
    """The jobs in the queue; those that a stop has just cancelled are given time to go."""
    deadline = time.monotonic() + patience
    left = cluster.jobs(prefix)
    while left and all(job.state == "COMPLETING" for job in left):
        if time.monotonic() > deadline:
            break
        time.sleep(1)
        left = cluster.jobs(prefix)
    return left


def _refuse_left(left: Sequence[cluster.Job], results: Path, config: str | os.PathLike) -> None:
    if left:
        raise UserError(
            f"{_jobs(len(left))} of {results.name} {'is' if len(left) == 1 else 'are'} in the "
            "cluster's queue without a head, and would write the same files as a new start. "
            f"`vanishing recover {config} --wait` lets them finish, `--cancel` ends them; then "
            "make study goes on."
        )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def _cohorts(ids: Sequence[str]) -> str:
    some = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
    return f"{len(ids)} cohort{'s' * (len(ids) != 1)} ({some})"
