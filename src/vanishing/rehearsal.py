"""A rehearsal: a few cohorts of a study, drawn at random and trained for some steps.

A large study is refused nothing by its plan that only a job can see: a part that fails, data that
are not there, a stack that memory does not hold. This sees it in a minute, before the cluster does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .engine import job
from .errors import UserError, whole
from .parts.tasks import load
from .study.cohort import Cohort


@dataclass(frozen=True)
class Rehearsed:
    """What came of a cohort: ``outcome`` is trained, no data or failed; ``why`` it is."""

    cohort: str
    task: str
    runs: int
    outcome: str
    seconds: float
    why: str = ""


def drawn(cohorts: Sequence[Cohort], count: int, seed: int) -> list[Cohort]:
    """So many of the cohorts at random, the same for the same seed."""
    whole("--cohorts", count, 1)
    return random.Random(seed).sample(list(cohorts), min(count, len(cohorts)))


def rehearse(
    cohorts: Sequence[Cohort], steps: int, runs: int, device: str = "auto"
) -> Iterator[Rehearsed]:
    """Train the first ``runs`` of each cohort for at most so many ``steps``, and keep nothing."""
    whole("--steps", steps, 0)
    whole("--runs", runs, 1)
    for cohort in cohorts:
        shown, began = shortened(cohort.as_json(), steps, runs), time.perf_counter()
        outcome, why = _outcome(shown, device)
        seconds = time.perf_counter() - began
        task = str(cohort.graph["task"])
        yield Rehearsed(cohort.id, task, len(shown["runs"]), outcome, seconds, why)


def shortened(cohort: dict, steps: int, runs: int) -> dict:
    """A cohort as its job reads it, with fewer runs and steps; a tuned run takes its least rate."""
    steps = min(steps, cohort["steps"])
    members = [
        {**run, "lr": min(run["lr_grid"]), "lr_grid": []} if run["lr_grid"] else run
        for run in cohort["runs"][:runs]
    ]
    probes = {**cohort["probes"], "steps": sorted({0, steps})}
    return {**cohort, "steps": steps, "probes": probes, "runs": members}


def _outcome(cohort: dict, device: str) -> tuple[str, str]:
    try:
        load(cohort["data_source"])
    except UserError as error:
        return "no data", str(error)
    try:
        job.run(cohort, None, device)
    except Exception as error:  # whatever stops a job is what a rehearsal looks for
        return "failed", f"{type(error).__name__}: {error}"
    return "trained", ""
