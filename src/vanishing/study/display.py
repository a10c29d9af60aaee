"""What a person sees while a study runs: a picture in a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .durations import duration
from .progress import Progress, Station

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY = 10  # seconds between two lines where there is no terminal


def say(console: Console, *lines: str) -> None:
    """Print lines as they are: not wrapped, nothing in them taken for markup."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


class Clock:
    """Time left: estimated anew when work is done, counted down between."""

    def __init__(self, cores: int, now: Callable[[], float] = time.monotonic) -> None:
        self._cores, self._now = cores, now
        self._done, self._until = None, 0.0

    def left(self, p: Progress) -> float:
        """Seconds until the paper."""
        done = (p.runs["done"], sum(s.done for s in p.stations))
        if done != self._done:
            self._done, self._until = done, self._now() + p.seconds_left(self._cores)
        return max(self._until - self._now(), 1)


class Lines:
    """For a log: a line when a station ends, and at most one every ten seconds between."""

    def __init__(self, console: Console, cores: int) -> None:
        self._console, self._clock = console, Clock(cores)
        self._said, self._at = "", time.monotonic()
        self._stations: set[str] = set()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, p: Progress) -> None:
        """Say what has changed since the last call, if it is time."""
        ended = {s.name for s in p.stations if s.total and s.done == s.total}
        line = summary(p)
        due = time.monotonic() - self._at >= EVERY or ended - self._stations
        if p.cohorts and p.jobs and line != self._said and (due or not self._said):
            left = self._clock.left(p)
            say(self._console, f"{line}, about {duration(left)} left")
            self._said, self._at = line, time.monotonic()
        self._stations = ended


class Picture:
    """For a terminal: a row a station, and the time left, drawn anew in place."""

    def __init__(self, console: Console, cores: int) -> None:
        self._clock = Clock(cores)
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Picture:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, p: Progress) -> None:
        """Draw how far the study is."""
        self._live.update(picture(p, self._clock.left(p)))


def summary(p: Progress) -> str:
    """How far a study is, in half a line."""
    runs = p.runs
    if runs["running"] or runs["left"] or runs["interrupted"]:
        says = f"training: {runs['done']:,} of {sum(runs.values()):,} runs"
    else:
        behind = next((s for s in p.stations if s.done < s.total), p.stations[-1])
        says = behind.name + (f": {behind.done} of {behind.total}" if behind.total > 1 else "")
    return says + (f", {len(p.failures)} failed" if p.failures else "")


def picture(p: Progress, left: float) -> RenderableType:
    """How far a study is, station by station."""
    if not p.jobs:
        return Text("looking at what there is to do")
    table = Table.grid(padding=(0, 2))
    for station in p.stations:
        done, total = station.done, station.total
        if station.name == "train" and p.cohorts:
            done, total = p.runs["done"], sum(p.runs.values())
        table.add_row(*_row(station, done, total))
    foot = f"about {duration(left)} left"
    if p.failures:
        failed = ", ".join(map(str, p.failures[:3]))
        foot += f"; {len(p.failures)} failed ({failed}), the others go on"
    return Group(table, Text(foot))


def _row(station: Station, done: int, total: int) -> tuple[RenderableType, ...]:
    ended = done >= total
    sign = ("✓", "green") if ended else ("●", "cyan") if station.running else ("·", "dim")
    unit = " runs" if station.name == "train" else ""
    bar = ProgressBar(total, done, width=30) if total > 1 else Text("")
    count = f"{done:,} of {total:,}{unit}" if total > 1 else ""
    return (
        Text(*sign),
        Text(station.name, "" if ended or station.running else "dim"),
        bar,
        Text(count),
    )
