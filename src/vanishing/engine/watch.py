"""Who watches over a job's trainings: stops them when asked to, so that they can go on later."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from .checkpoints import Checkpoints, say
from .heartbeat import Heartbeat

CPU = torch.device("cpu")
LAYOUT = "stacks"  # the name of the checkpoint that says which runs are trained together


class Stopped(Exception):  # noqa: N818 - no error
    """A signal asked the job to end, and its training did; ``status`` is the job's then."""

    def __init__(self, number: int, step: int, steps: int, written: bool) -> None:
        self.status = 128 + number
        way_on = "a checkpoint is written, the next start goes on from it"
        if not written:
            way_on = "no checkpoint could be written, the next start goes on from the last, if any"
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name} after update {step} of {steps}; {way_on}")


class Watch:
    """A watch over the trainings of a job, which tell it after every update how far they are.

    Without arguments it keeps nothing, and stops nothing. ``signals`` are those that have come.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None = None,
        heartbeat: Heartbeat | None = None,
        signals: list[int] | None = None,
    ) -> None:
        self.checkpoints = checkpoints or Checkpoints()
        self.heartbeat = heartbeat or Heartbeat()
        self.signals = [] if signals is None else signals
        self.begin()

    def begin(self) -> None:
        """A stack begins: its time counts from here."""
        self._started, self._before = time.perf_counter(), 0.0

    def seconds(self) -> float:
        """The time spent on the stack, before the job was ended too."""
        return self._before + time.perf_counter() - self._started

    def resume(self, name: str, device: torch.device) -> dict | None:
        """The state that the training ``name`` goes on from; None where it begins."""
        saved = self.checkpoints.read(name, device)
        if saved is None:
            return None
        self._before = max(self._before, saved["seconds"])
        if "finished" not in saved:
            say(f"a training goes on after update {saved['step']}, from a checkpoint")
        return saved

    def after(self, name: str, step: int, steps: int, state: Callable[[], dict]) -> None:
        """The training ``name`` made update ``step``: a sign of life, and a checkpoint if due.

        If a signal asked for it, the training ends here (:class:`Stopped`).
        """
        self.heartbeat.beat(step, steps)
        if not (self.signals or self.checkpoints.due()):
            return
        written = self.checkpoints.save(name, {**state(), "seconds": self.seconds()})
        if self.signals:
            raise Stopped(self.signals[0], step, steps, written)

    def made(self, name: str, state: dict) -> None:
        """The training ``name`` has made its updates, and others are at work on what it lacks."""
        self.checkpoints.keep(name, {**state, "seconds": self.seconds()})

    def finished(self, name: str, result: object) -> None:
        """The training ``name`` ended with a ``result`` that need not be found again."""
        self.checkpoints.keep(name, {"finished": result, "seconds": self.seconds()})

    def layout(self) -> list[range] | None:
        """Which runs were trained together before; None at the first start."""
        saved = self.checkpoints.read(LAYOUT, CPU)
        return saved and [range(*edges) for edges in saved["stacks"]]

    def lay_out(self, layout: list[range]) -> list[range]:
        """The ``layout`` itself; what goes on from a checkpoint trains the same runs together."""
        self.checkpoints.keep(LAYOUT, _edges(layout))
        return layout

    def split(self, layout: list[range]) -> None:
        """Have every later start begin with this ``layout``: another did not fit into memory."""
        edges = _edges(layout)
        self.checkpoints.keep(LAYOUT, edges)  # for a later one, should the disk be full now
        self.checkpoints.save(LAYOUT, edges)


def _edges(layout: list[range]) -> dict:
    return {"stacks": [[members.start, members.stop] for members in layout]}


@contextlib.contextmanager
def watching(results: Path, cohort: str, runs: int) -> Iterator[Watch]:
    """A watch over the job that trains a cohort of a study, whose folder ``results`` is.

    A SIGTERM or Ctrl-C in the block ends the training with a checkpoint; a second Ctrl-C at once.
    """
    with _signals() as signals:
        heartbeat = Heartbeat(results / "running" / f"{cohort}.json", runs)
        try:
            yield Watch(Checkpoints(results / "checkpoints" / cohort), heartbeat, signals)
        finally:
            heartbeat.end()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that have come in the block and would have ended the process."""
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    numbers = [n for n in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
