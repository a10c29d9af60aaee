"""What ``vanishing plan`` prints of a study, for a person."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from . import cost
from .cohort import Cohort
from .durations import duration
from .plan import Plan
from .sizes import SIZES, Places, size_of

_PREFIXES = ("", "k", "M", "G", "T")


def rule_in_words(when: Mapping[str, object]) -> str:
    """Which cells a rule of ``exclude`` takes out.

    >>> rule_in_words({"recurrence": ["gru", {"skip": {"steps": 5}}], "depth": 2})
    'recurrence gru or skip(steps=5), depth 2'
    """
    named = {
        axis: " or ".join(map(label, given if isinstance(given, list) else [given]))
        for axis, given in when.items()
    }
    return ", ".join(f"{axis} {values}" for axis, values in named.items())


def label(value: object) -> str:
    """A part with its parameters as they were given, like its label; all else as it is."""
    if not isinstance(value, Mapping):
        return str(value)
    [(name, given)] = value.items()
    return f"{name}({', '.join(f'{key}={setting}' for key, setting in given.items())})"


def description(plan: Plan, places: Places | None = None) -> str:
    """What a study runs and what it will cost by its graphs, for a person."""
    places = places or Places.here()
    head = f"study {plan.name}: {_runs(plan):,} runs in {len(plan.cohorts):,} cohorts"
    return "\n".join([head, *_batteries(plan), "", *_jobs(plan), *_resources(plan, places)])


def _runs(plan: Plan) -> int:
    return sum(len(cohort.members) for cohort in plan.cohorts)


def _batteries(plan: Plan) -> list[str]:
    """A line a battery, and one for each rule that leaves cells out."""
    lines = []
    for name, g in plan.grids.items():
        rates = len({settings.lr for settings in g.judged})
        fixed = "one rate" if rates == 1 else f"each at {rates} rates"
        untuned = fixed if g.judged[0].steps else "nothing is trained"
        tuning = f"{len(g.tuning)} tuning runs" if g.tuning else untuned
        lines.append(f"  {name}: {g.cells} cells, {len(g.judged)} judged runs, {tuning}")
        lines += [
            f"    left out, {e.cells} cells: {rule_in_words(e.when)} ({e.because})"
            for e in g.excluded
        ]
    return lines


def _jobs(plan: Plan) -> list[str]:
    """How many jobs of what length, and why that long."""
    seconds = [cost.seconds(cohort) for cohort in plan.cohorts]
    given = plan.study.cohort_flops
    most = duration(cost.seconds_of_job(given, sum(seconds)))
    side = "under" if sum(seconds) < cost.LARGE_STUDY else "over"
    hours = f"{cost.LARGE_STUDY / 3600:.0f} h of one core"
    why = "by cohort_flops" if given else f"for a study of {side} {hours}"
    ends = f"median {duration(statistics.median(seconds))}, longest {duration(max(seconds))}"
    counts = Counter(map(size_of, seconds))
    classes = ", ".join(f"{counts[name]:,} {name}" for name in SIZES if counts[name])
    return [
        f"jobs:    {len(seconds):,}, {ends}; filled up to {most} ({why})",
        f"         {classes}",
    ]


def _resources(plan: Plan, places: Places) -> list[str]:
    """Time by the graphs, memory and disk."""
    memory = sorted((cost.memory_mb(cohort) for cohort in plan.cohorts), reverse=True)
    at_once = memory[: places.count]
    disk = sum(map(cost.disk_bytes, plan.cohorts))
    return [
        f"time:    about {duration(plan.seconds)} of CPU by the graphs, "
        f"{duration(wall_seconds(plan.cohorts, places))} on {places.what}",
        f"memory:  {size(memory[0] * 1e6)} in the largest job, at most {size(sum(at_once) * 1e6)} "
        f"in {len(at_once)} at once",
        f"disk:    about {size(disk)} of logs and tables",
    ]


def wall_seconds(cohorts: Sequence[Cohort], places: Places, ratio: float = 1.0) -> float:
    """How long a study takes to train ``cohorts`` where so many jobs run at a time.

    All work over the places, and no less than its longest job and the longest that tunes for it.
    ``ratio`` is what the machine's times are of the estimated ones.
    """
    longest = {"tuning": 0.0, "other": 0.0}
    for cohort in cohorts:
        split = "tuning" if cohort.graph.split == "tuning" else "other"
        longest[split] = max(longest[split], cost.seconds(cohort))
    work = sum(map(cost.seconds, cohorts))
    return cost.SECONDS_OF_REPORT + ratio * max(work / places.count, sum(longest.values()))


def size(count: float) -> str:
    """So many bytes as people say them.

    >>> [size(n) for n in (900, 2.5e6, 61e9)]
    ['1 kB', '2.5 MB', '61 GB']
    """
    power = min(4, max(1, int(math.log10(max(1.0, count)) // 3)))
    value = max(1.0, count / 1000**power)
    return f"{value:.{int(1 < value < 10)}f} {_PREFIXES[power]}B"


def of_finished(plan: Plan, measured: Mapping[str, float]) -> str:
    """By how much the estimate was off for finished cohorts, whose seconds were ``measured``."""
    ratios = sorted(
        seconds / cost.seconds_of_runs(plan.by_id[id_].graph, len(plan.by_id[id_].members))
        for id_, seconds in measured.items()
    )
    low, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.1, 0.9))
    return (
        f"so far:  {len(ratios):,} finished cohorts took {statistics.median(ratios):.2f} times "
        f"their estimate (median; 10 to 90 %: {low:.2f} to {high:.2f})"
    )
