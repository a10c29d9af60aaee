"""How a run of a study ended, and what is said of it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from . import failures, snakemake_log
from .display import say
from .durations import duration


@dataclass(frozen=True)
class Ended:
    """How Snakemake ended: its exit status, or the signal or the failures it was stopped for."""

    code: int  # below 0: it was killed, and not by us
    signal: int = 0
    spent: failures.Spent | None = None
    in_order: bool = True  # it has put down what its jobs finished

    @property
    def stopped(self) -> bool:
        """Whether it was stopped by us."""
        return bool(self.signal or self.spent)


def last_words(
    ended: Ended, config: str | os.PathLike, results: Path, seconds: float, console: Console
) -> int:
    """Say how the run ended; its exit status."""
    errors = Console(stderr=True)
    if ended.signal:
        say(console, *stopped(ended.signal, config))
        return 128 + ended.signal
    if ended.spent:
        say(errors, *failures.summary(ended.spent.failures), str(ended.spent))
        return 1
    if ended.code < 0:
        by = signal.Signals(-ended.code).name
        kept = "finished cohorts are kept, start again"
        say(errors, f"Snakemake was ended from outside ({by}): {kept}")
        return 128 - ended.code
    said = snakemake_log.read(results / "snakemake.log")
    if ended.code:
        say(errors, *failed(said, results))
    else:
        say(console, *finished(said, results, seconds))
    return ended.code


def finished(said: snakemake_log.Log, results: Path, seconds: float) -> list[str]:
    """The last words of a run that went well."""
    names = ("paper.html", "paper.pdf", "bundle.zip")
    made = [results / "report" / name for name in names]
    where = [f"  {path}" for path in made if path.exists()]
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
