"""``vanishing status``: how far a study is, where the work goes on, what was slow, what failed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .display import Clock, say
from .durations import duration
from .failures import Classes, todo
from .outcomes import Outcome, Outcomes
from .places import config_path
from .progress import STATES, CohortState, Progress, Watch

EVERY = 2.0  # seconds between two pictures in a terminal
LINE_EVERY = 10.0  # seconds between two lines elsewhere
SLOW = 5  # cohorts in training that are named, and as many of the slowest that are done
WIDE = 96  # columns from which a battery has a bar
Part = Text | Table


def show(config: str | os.PathLike) -> None:
    """Print how far a study is."""
    console = Console()
    _print(console, Status(config).parts(console.width))


def watch(
    config: str | os.PathLike,
    console: Console | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Show how far a study is until nothing works on it, or a person presses Ctrl-C."""
    console, status = console or Console(), Status(config)
    follow = _draw if console.is_terminal else _tell
    try:
        follow(console, status, pause)
        _print(console, status.parts(console.width))
    except KeyboardInterrupt:
        return


def _draw(console: Console, status: Status, pause: Callable[[float], None]) -> None:
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not status.ended:
            parts = status.parts(console.width, console.height - 1)
            live.update(Group(*map(_one_line, parts)), refresh=True)
            pause(EVERY)
            status.look()


def _tell(console: Console, status: Status, pause: Callable[[float], None]) -> None:
    while not status.ended:
        say(console, status.headline())
        pause(LINE_EVERY)
        status.look()


def _one_line(part: Part) -> Part:
    """The same, cut where it would be wrapped: a picture has so many lines as were counted."""
    if isinstance(part, Text):
        part.no_wrap, part.overflow = True, "ellipsis"
    return part


def _print(console: Console, parts: list[Part]) -> None:
    for part in parts:  # a path is not broken, whatever the width
        console.print(part, soft_wrap=isinstance(part, Text))


class Status:
    """A study as it is shown; :meth:`look` looks again."""

    def __init__(self, config: str | os.PathLike) -> None:
        self._config = config
        self._results = Path("results") / config_path(config).stem
        self._watch, self._outcomes = Watch(self._results), Outcomes(self._results)
        self._classes, self._runs = Classes(), {}
        self._clock = Clock(os.cpu_count() or 1)
        self.look()

    def look(self) -> None:
        """Look again."""
        self.now: Progress = self._watch.look()
        done = (c.id for c in self.now.cohorts if c.state == "done")
        self._found: dict[str, Outcome] = self._outcomes.of(done)

    @property
    def ended(self) -> bool:
        """Whether nothing works on the study now."""
        return self.now.ended

    def parts(self, width: int, height: int | None = None) -> list[Part]:
        """All that there is to say, in ``width`` columns, and at most ``height`` lines if given."""
        said: list[Part] = [Text(self.headline(), "bold")]
        if not self.now.cohorts:
            return said
        places = [*self._places()]
        below = [*([Text("")] if places else []), *places, *self._slowest(), *self._failures()]
        taken = sum(part.row_count + 1 if isinstance(part, Table) else 1 for part in below)
        rows = None if height is None else max(height - taken - 6, 3)
        return [*said, _stations(self.now), Text(""), *self._batteries(width, rows), *below]

    def headline(self) -> str:
        """How far the study is, in a line."""
        now, runs = self.now, self.now.runs
        total = sum(runs.values())
        if not total:
            begun = now.running or now.died or self._watch.log.lines
            if not begun:
                return f"{now.study}: not begun (make study STUDY={self._config})"
            by = f" (process {now.running.pid} on {now.running.host})" if now.running else ""
            return f"{now.study}: begun, and not planned yet{by}"
        says = f"{now.study}: {runs['done']:,} of {total:,} runs trained"
        if now.running or now.at_work:
            left = duration(self._clock.left(now))
            return f"{says}, about {left} left" + self._head()
        if now.written:
            return f"{says}, the paper is written"
        return f"{says}, nothing is running now"

    def _head(self) -> str:
        head = self.now.running
        if head:
            return f" (process {head.pid} on {head.host})"
        return ", but its head is gone" if self.now.died else ""

    def _batteries(self, width: int, rows: int | None) -> Iterator[Part]:
        """A row a battery; a run that two batteries share counts in both, and once in the total."""
        counts = list(self._counted())
        # an interrupted study shows it; else the column would say nothing
        states = [s for s in STATES if s != "interrupted" or self.now.runs[s]]
        table = Table.grid(padding=(0, 2), pad_edge=False)
        names = ("battery", *([""] if width >= WIDE else []), "runs", "done", "diverged")
        for name in (*names, *states[1:]):
            table.add_column(justify="left" if name in ("battery", "") else "right", no_wrap=True)
        table.add_row(*names, *states[1:], style="dim")
        shown = counts if rows is None or len(counts) <= rows else _most_telling(counts, rows)
        for name, total, diverged, of in [*shown, self._total()]:
            bar = [ProgressBar(max(total, 1), of["done"], width=16)] if width >= WIDE else []
            numbers = (total, of["done"], diverged, *(of[s] for s in states[1:]))
            style = "bold" if name == "total" else ""
            table.add_row(Text(name), *bar, *(_number(n) for n in numbers), style=style)
        yield table
        if len(shown) < len(counts):
            yield Text(f"and {len(counts) - len(shown)} batteries more", "dim")

    def _counted(self) -> Iterator[tuple[str, int, int, dict[str, int]]]:
        """Of each battery its runs, the diverged ones, and how many are in each state."""
        state, diverged = {}, set()
        for cohort in self.now.cohorts:
            state.update(dict.fromkeys(self._runs_of(cohort.id), cohort.state))
            if cohort.id in self._found:
                diverged.update(self._found[cohort.id].diverged)
        for name, members in self._watch.plan().get("members", {}).items():
            states = [state.get(run_id, "left") for run_id in members]
            of = {s: states.count(s) for s in STATES}
            yield name, len(members), len(diverged.intersection(members)), of

    def _total(self) -> tuple[str, int, int, dict[str, int]]:
        runs = self.now.runs
        return "total", sum(runs.values()), sum(len(o.diverged) for o in self._found.values()), runs

    def _runs_of(self, cohort: str) -> tuple[str, ...]:
        if cohort not in self._runs:
            file = self._results / "cohorts" / f"{cohort}.json"
            try:
                said = json.loads(file.read_text())["runs"]
                self._runs[cohort] = tuple(run["run_id"] for run in said)
            except (OSError, ValueError, KeyError, TypeError):
                return ()  # not written yet
        return self._runs[cohort]

    def _places(self) -> Iterator[Part]:
        """Where the work goes on, and what does not."""
        now = self.now
        beats = [c.beat for c in now.at_work if c.beat]
        jobs = [beat for beat in beats if beat.job]
        if jobs:
            hosts = ", ".join(sorted({beat.host for beat in jobs}))
            yield Text(f"on the cluster: {_few([b.job for b in jobs])} on {hosts}")
        if now.queued:
            yield Text(f"waiting in the cluster's queue: {now.queued} cohorts")
        if now.died:
            verb = "study" if now.died.executor == "local" else "recover"
            goes_on = ", and its jobs on the cluster go on" if jobs else ""
            yield Text(
                f"the last start was cut short (process {now.died.pid} on {now.died.host})"
                f"{goes_on}: vanishing {verb} {self._config}",
                "yellow",
            )
        broken = [c for c in now.cohorts if c.state == "interrupted"]
        if broken:
            kept = sum(c.checkpoint for c in broken)
            says = f", {kept} of them will go on from a checkpoint" if kept else ""
            yield Text(f"interrupted: {len(broken)} cohorts{says}")

    def _slowest(self) -> Iterator[Part]:
        """The cohorts that took or take longest, what was estimated, and where they are."""
        rows = [
            _running_row(c) for c in sorted(self.now.at_work, key=_elapsed, reverse=True)[:SLOW]
        ]
        took = {c: self._found[c.id].seconds for c in self.now.cohorts if c.id in self._found}
        for cohort in sorted(took, key=took.__getitem__, reverse=True)[:SLOW]:
            rows.append((cohort.id, cohort.seconds, took[cohort], f"done, {cohort.runs} runs"))
        if not rows:
            return
        table = Table.grid(padding=(0, 2), pad_edge=False)
        for justify in ("left", "right", "right"):
            table.add_column(justify=justify, no_wrap=True)
        table.add_column()  # where a line is too long it is this one that is cut
        table.add_row("slowest cohorts", "estimate", "took", "", style="dim")
        for name, estimated, seconds, where in rows:
            said = "?" if seconds is None else duration(seconds)
            table.add_row(Text(name), duration(estimated), said, _cut(where))
        yield Text("")
        yield table

    def _failures(self) -> Iterator[Part]:
        """Each class of error: how many jobs, the last of them with its log, what to do."""
        found = self._classes.of(self.now.failures)
        if found or self.now.repeated:
            yield Text("")
        for name, alike in found.items():
            last = alike[-1]
            yield Text(f"{len(alike)} failed: {name}", "red")
            log = last.log if last.log and last.log.exists() else next(iter(last.outer), last.log)
            yield Text(f"  failed: {last} ({log or last.output})")
            yield Text(f"  {todo(name)}", "dim")
        if self.now.repeated:
            yield Text(f"{self.now.repeated} attempts failed and were repeated", "dim")


def _stations(now: Progress) -> Text:
    line = Text(no_wrap=True)
    for station in now.stations:
        sign, style = ("✓", "green") if station.done >= station.total else ("·", "dim")
        if station.running and station.done < station.total:
            sign, style = "●", "cyan"
        line.append(f"{sign} {station.name}  ", style)
    line.rstrip()
    return line


def _most_telling(counts: list, rows: int) -> list:
    """The batteries in which something failed or runs, then those left, then those done."""

    def rank(row: tuple) -> int:
        _, total, _, of = row
        first = next((i for i, s in enumerate(("failed", "running", "interrupted")) if of[s]), 3)
        return first if of["done"] < total else 4

    chosen = sorted(counts, key=rank)[:rows]
    return [row for row in counts if row in chosen]


def _number(count: int) -> Text:
    return Text(f"{count:,}", "" if count else "dim")


def _cut(said: str) -> Text:
    return Text(said, no_wrap=True, overflow="ellipsis")


def _elapsed(cohort: CohortState) -> float:
    return (cohort.beat.elapsed if cohort.beat else None) or 0.0


def _running_row(cohort: CohortState) -> tuple[str, float, float | None, str]:
    beat = cohort.beat
    if beat is None:
        return cohort.id, cohort.seconds, None, "running"
    step = f", step {beat.step:,}/{beat.steps:,}" if beat.steps else ""
    where = f"{beat.done}/{beat.runs} runs{step}, {beat.where}"
    return cohort.id, cohort.seconds, beat.elapsed, where


def _few(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"job{'s' * (len(names) > 1)} {', '.join(names[:most])}{more}"
