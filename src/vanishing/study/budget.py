"""The most informative part of a study that fits a budget, as a config of its own.

What goes first: batteries that no claim needs, the dearest first; then seeds beyond those that can
decide a claim, in all batteries alike, so that the arms of every contrast keep their pairs; then
claims, each time the one that frees most time, with all batteries that only it needs. A larger
budget therefore never decides fewer claims.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from .. import strict_yaml
from ..errors import UserError
from ..files import write_text
from . import cost, plan
from .description import wall_seconds
from .durations import duration, seconds
from .sizes import Places

# Judged seeds with which the exact test of 55 claims can pass Holm: 2^-11 < 0.05 / 55 < 2^-10.
LEAST_SEEDS = 11
ATTEMPTS, SMALLER = 6, 0.9  # the time of a part is known once it is planned: if not, less

Needs = Mapping[str, frozenset[str]]  # of each claim, the batteries that it rests on
Seeds = dict[str, int]  # of each battery that is kept, its judged seeds


@dataclass(frozen=True)
class Work:
    """The seconds of a study's runs, by the batteries that share them and their seed's rank."""

    amounts: Mapping[tuple[frozenset[str], int], float]  # the rank of tuning runs is -1
    seeds: Mapping[str, int]  # judged ones of each battery

    def of(self, kept: Mapping[str, int]) -> float:
        """Of the batteries ``kept``, with so many seeds each; a run that two share counts once."""
        return sum(
            amount
            for (batteries, rank), amount in self.amounts.items()
            if any(rank < kept.get(battery, -1) for battery in batteries)
        )

    def capped(self, batteries: Iterable[str], cap: int) -> Seeds:
        """The batteries with at most ``cap`` seeds each."""
        return {name: min(self.seeds[name], cap) for name in self.seeds if name in set(batteries)}


def shrink(
    planned: plan.Plan,
    budget: str,
    places: Places | None,
    claims: Path,
    out: Path | None = None,
    ratio: float = 1.0,
) -> str:
    """Write the config of the part of a study that fits, and say what it keeps and leaves.

    ``budget`` is CPU time, or with ``places`` that of the clock where so many jobs run at a time;
    ``ratio`` is measured over estimated time on the machine that will train.
    """
    out = out or Path(f"{planned.name}-{budget.replace(' ', '')}.yaml")
    limit, needs = seconds(budget), needs_of(claims, planned)
    if _takes(planned, places, ratio) <= limit:
        return f"the whole study fits {budget}: nothing is written"
    work = work_of(planned)
    for chosen in _candidates(work, needs, (limit - cost.SECONDS_OF_REPORT) / ratio, places):
        took = _takes(_planned(planned, chosen), places, ratio)
        if took <= limit:
            _write(out, planned, chosen, budget)
            return _said(out, planned.name, budget, (dict(work.seeds), chosen), needs, took)
    raise UserError(
        f"nothing of {planned.name} that decides a claim fits {budget}: the least is "
        f"{', '.join(chosen)}, which takes about {duration(1.02 * took + 1)}. Give --budget that "
        "or more."
    )


def _candidates(work: Work, needs: Needs, limit: float, places: Places | None) -> Iterator[Seeds]:
    """Parts that should fit, ever smaller, and in the end the smallest.

    Jobs that are not full, or that wait for the longest one, make a part take longer than its runs.
    """
    target = limit * (places.count if places else 1)
    for attempt in range(ATTEMPTS):
        chosen = select(work, needs, target * SMALLER**attempt)
        if not chosen:
            break
        yield chosen
    yield smallest(work, needs)


def select(work: Work, needs: Needs, limit: float) -> Seeds:
    """The part whose runs take at most ``limit`` seconds; empty where none does."""
    most = max(work.seeds.values())
    for kept in with_extras(work, needs):
        if work.of(whole := work.capped(kept, most)) <= limit:
            return whole
    for kept in chain(work, needs):
        if work.of(work.capped(kept, LEAST_SEEDS)) <= limit:
            caps = range(most, min(most, LEAST_SEEDS) - 1, -1)
            return next(s for cap in caps if work.of(s := work.capped(kept, cap)) <= limit)
    return {}


def with_extras(work: Work, needs: Needs) -> list[frozenset[str]]:
    """All batteries, then ever fewer of those that no claim needs: the dearest go first."""
    needed = _needed(needs)
    spare = sorted(
        set(work.seeds) - needed, key=lambda name: work.of({name: work.seeds[name]}), reverse=True
    )
    return [needed | set(spare[n:]) for n in range(len(spare) + 1)]


def smallest(work: Work, needs: Needs) -> Seeds:
    """The last part of a study to go: that of its last claim."""
    *_, last = chain(work, needs)
    return work.capped(last, LEAST_SEEDS)


def chain(work: Work, needs: Needs) -> list[frozenset[str]]:
    """Ever smaller sets of batteries, from those that claims need down to the last claim's."""
    claims, sets = dict(needs), []
    while claims:
        sets.append(_needed(claims))
        claims = _without_dearest(work, claims)
    return sets


def _without_dearest(work: Work, claims: Needs) -> dict[str, frozenset[str]]:
    """The claims but for those of the battery that frees most seconds for each claim lost."""
    now = _least_work(work, _needed(claims))

    def left(battery: str) -> dict[str, frozenset[str]]:
        return {claim: of for claim, of in claims.items() if battery not in of}

    def freed(battery: str) -> float:
        others = left(battery)
        return (now - _least_work(work, _needed(others))) / (len(claims) - len(others))

    return left(max(sorted(_needed(claims)), key=freed))


def needs_of(claims: Path, planned: plan.Plan) -> dict[str, frozenset[str]]:
    """Of each claim that the study can decide, its batteries; of none, each battery its own."""
    said = strict_yaml.load(claims)[0] if claims.exists() else {}
    needs = {
        claim["id"]: frozenset(claim["primary"]["batteries"])
        for claim in said.get("claims", ())
        if claim.get("primary")
    }
    there = {claim: of for claim, of in needs.items() if of <= set(planned.grids)}
    return there or {name: frozenset([name]) for name in planned.grids}


def work_of(planned: plan.Plan) -> Work:
    """The work of a planned study, its jobs' start-up shared out among their runs."""
    of_run = {
        member.run_id: cost.seconds(cohort) / len(cohort.members)
        for cohort in planned.cohorts
        for member in cohort.members
    }
    owners: dict[str, set[str]] = defaultdict(set)
    ranks: dict[str, int] = {}
    for name, grid in planned.grids.items():
        for runs, tuning in ((grid.judged, False), (grid.tuning, True)):
            for run in runs:
                owners[run.run_id].add(name)
                ranks[run.run_id] = -1 if tuning else run.seed - planned.study.first_seed
    amounts: dict[tuple[frozenset[str], int], float] = defaultdict(float)
    for run_id, names in owners.items():
        amounts[frozenset(names), ranks[run_id]] += of_run[run_id]
    judged = {name: battery.seeds.judged for name, battery in planned.study.batteries.items()}
    return Work(dict(amounts), judged)


def _needed(needs: Needs) -> frozenset[str]:
    return frozenset().union(*needs.values())


def _least_work(work: Work, batteries: Iterable[str]) -> float:
    return work.of(work.capped(batteries, LEAST_SEEDS))


def _takes(planned: plan.Plan, places: Places | None, ratio: float) -> float:
    """Seconds of CPU, or with ``places`` those of the clock."""
    if places:
        return wall_seconds(planned.cohorts, places, ratio)
    return cost.cpu_seconds(planned.cohorts, ratio)


def _planned(planned: plan.Plan, chosen: Seeds) -> plan.Plan:
    """The plan of a part of a study, in a folder of its own that holds no results."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.yaml"
        write_text(path, _config(planned.config_path, chosen, path.parent))
        return plan.make(path, Path(folder) / "results")


def _config(source: Path, chosen: Seeds, folder: Path) -> str:
    """The YAML of the chosen part of a config, for a file in ``folder``."""
    data = strict_yaml.load(source)[0]
    batteries = {}
    for name, battery in data["batteries"].items():
        if name in chosen:
            seeds_of = {**battery["seeds"], "judged": chosen[name]}
            task = _moved(battery["task"], source.resolve().parent, folder.resolve())
            batteries[name] = {**battery, "task": task, "seeds": seeds_of}
    return yaml.safe_dump({**data, "batteries": batteries}, sort_keys=False, width=100)


def _moved(task: object, source: Path, folder: Path) -> object:
    """A task whose files are named as seen from another ``folder``."""
    if not isinstance(task, Mapping):
        return task
    return {
        kind: {
            key: os.path.relpath(source / os.path.expanduser(value), folder)  # noqa: PTH111
            if key in plan.FILES_OF_TASK and isinstance(value, str)
            else value
            for key, value in (given or {}).items()
        }
        for kind, given in task.items()
    }


def _write(out: Path, planned: plan.Plan, chosen: Seeds, budget: str) -> None:
    head = f"# The part of {planned.name} that fits {budget}, by `vanishing plan --budget`.\n\n"
    text = head + _config(planned.config_path, chosen, out.parent)
    if out.exists() and out.read_text() != text:
        raise UserError(
            f"{out} is there and holds something else: move it, or give --out-config another file."
        )
    write_text(out, text)


def _said(
    out: Path, name: str, budget: str, parts: tuple[Seeds, Seeds], needs: Needs, took: float
) -> str:
    """What was kept and what was left out, for a person."""
    whole, kept = parts
    gone = [battery for battery in whole if battery not in kept]
    fewer = [f"{b} {whole[b]} -> {n}" for b, n in kept.items() if n < whole[b]]
    decided = [claim for claim, of in needs.items() if of <= set(kept)]
    lost = [claim for claim in needs if claim not in decided]
    return "\n".join(
        [
            f"{out}: the part of {name} that fits {budget}, about {duration(took)}",
            f"  batteries: {len(kept)} of {len(whole)}; left out: {', '.join(gone) or 'none'}",
            f"  judged seeds: {'; '.join(fewer) or 'as they were'}",
            f"  claims that it can decide: {len(decided)} of {len(needs)}; "
            f"left out: {', '.join(lost) or 'none'}",
        ]
    )
