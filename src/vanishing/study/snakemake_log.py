"""What Snakemake's own log says of a start: the jobs that it has to do, did, and failed.

The log of a cluster's study holds the logs of its failed jobs too, in which a Snakemake of each
job's own says the same words: what stands between two ``====`` lines is not of this start.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

START = "=== start"  # the line before the output of each start, in results/<study>/snakemake.log
KEPT = 60  # lines of the log's end that are kept

_COUNT = re.compile(r"^(\w+) +(\d+)$")
_FINISHED = re.compile(r"^Finished jobid: (\d+) \(Rule: (\w+)\)")
_STARTED = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_ERROR = re.compile(r"^Error in rule (\w+):$")
_FIELD = re.compile(r"^    (message|jobid|output|log|shell|external_jobid): ?(.*)$")
_SUBMITTED = re.compile(r"^Job (\d+) has been submitted with SLURM jobid (\S+) ")
_AGAIN = re.compile(r"^Trying to restart job (\d+)\.")
_WHEN = re.compile(r"^\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\]$")
_SHOWN = re.compile(r"^Logfile (.+):$")
_RULE_LINE = re.compile(r"^={3,}$")
_STOPPED = "Terminating processes on user request"
_STATUS = re.compile(r"returned non-zero exit status \d+|died with <Signals\.\w+: \d+>")


@dataclass(frozen=True)
class Failure:
    """A job whose last attempt failed: its rule, what it was to make, and what is said of it."""

    rule: str
    output: str = ""
    log: Path | None = None  # the job's own
    jobid: str = ""  # Snakemake's
    external: str = ""  # the cluster's
    message: str = ""  # Snakemake's words: the state in a cluster, the exit status
    outer: tuple[Path, ...] = ()  # a cluster's log of the job
    after: int = 0  # trainings that had finished before it failed

    @property
    def subject(self) -> str:
        """The cohort or notebook that the job was about; the rule's name where it has no more."""
        return self.log.stem if self.log else Path(self.output).stem or self.rule

    def __str__(self) -> str:
        return self.rule if self.subject == self.rule else f"{self.rule} {self.subject}"


@dataclass
class _Error:
    """A block of an error while it is read."""

    rule: str
    after: int
    said: dict[str, str] = field(default_factory=dict)
    last: str = ""  # the field that a line without a name goes on with
    again: bool = False  # the job is tried once more, or was done after all
    whole: Failure | None = None  # once the block is read to its end

    def take(self, line: str) -> None:
        found = _FIELD.match(line)
        if found and found[1] not in self.said:
            self.last = found[1]
            self.said[self.last] = found[2]
        elif self.last == "message" and len(self.said["message"]) < 2000:
            self.said["message"] += "\n" + line

    def failure(self, raised: Iterable[str]) -> Failure:
        """The failure, with that exception of those ``raised`` that names its files."""
        log, *outer = _paths(self.said.get("log", "")) or [None]
        output = self.said.get("output", "").split(", ")[0]
        names = [name for name in (str(log or ""), output) if name]
        why = next((text for text in raised if any(name in text for name in names)), "")
        status = _STATUS.search(why)
        message = self.said.get("message", "").removeprefix("None")
        return Failure(
            rule=self.rule,
            output=output,
            log=log,
            jobid=self.said.get("jobid", ""),
            external=self.said.get("external_jobid", ""),
            message="\n".join(filter(None, (message, status and status[0]))),
            outer=tuple(outer),
            after=self.after,
        )


@dataclass
class Log:
    """Counts of jobs by rule, of the last start in the log."""

    planned: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    submitted: dict[str, str] = field(default_factory=dict)  # jobid: the cluster's id of the job
    repeated: int = 0  # attempts that failed and were followed by another
    nothing_to_do: bool = False
    stopped: bool = False  # by a person or the system: jobs that die then have not failed
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    _errors: list[_Error] = field(default_factory=list)
    _raised: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    _within: str = ""  # the block that the lines are of: table, error, exception
    _shown: list[str] = field(default_factory=list)  # the lines of === that shown logs end with
    _opening: bool = False  # the name of such a log has been read, and no line of === yet

    @property
    def failures(self) -> list[Failure]:
        """The jobs that failed for good: one that is tried again has not."""
        last = {(e.rule, e.said.get("jobid") or i): e for i, e in enumerate(self._errors)}
        return [e.whole or self._failure(e) for e in last.values() if not e.again]

    def feed(self, lines: Iterable[str]) -> None:
        """Read on."""
        for line in lines:
            self.lines.append(line)
            if not self._in_shown_log(line):
                self._read(line)

    def _in_shown_log(self, line: str) -> bool:
        if self._opening and _RULE_LINE.match(line):
            self._shown.append(line)
        elif self._shown and line == self._shown[-1]:
            self._shown.pop()
            return True
        self._opening = bool(_SHOWN.match(line))
        return self._opening or bool(self._shown)

    def _read(self, line: str) -> None:
        if line.startswith("Job stats:"):
            self._within = "" if self.planned else "table"  # a second one repeats the first
        elif self._within == "table" and (count := _COUNT.match(line)):
            self._plan(count[1], int(count[2]))
        elif _WHEN.match(line):
            self._leave()
        elif started := _STARTED.match(line):
            self.started[started[1]] += 1
        elif finished := _FINISHED.match(line):
            self._finish(finished[1], finished[2])
        elif error := _ERROR.match(line):
            self._within = "error"
            self._errors.append(_Error(error[1], self.finished["train"], again=self.stopped))
        elif line == "RuleException:":
            self._within = "exception"
            self._raised.append("")
        elif submitted := _SUBMITTED.match(line):
            self.submitted[submitted[1]] = submitted[2]
        elif again := _AGAIN.match(line):
            self._try_again(again[1])
        elif line.startswith(_STOPPED):
            self.stopped = True
        elif line.startswith("Nothing to be done"):
            self.nothing_to_do = True
        elif self._within == "error":
            self._errors[-1].take(line)
        elif self._within == "exception" and len(self._raised[-1]) < 20_000:
            self._raised[-1] += line + "\n"

    def _plan(self, rule: str, count: int) -> None:
        if rule == "total":
            self._within = ""
        else:
            self.planned[rule] = count

    def _finish(self, jobid: str, rule: str) -> None:
        self.finished[rule] += 1
        for error in self._errors:
            error.again = error.again or error.said.get("jobid") == jobid

    def _leave(self) -> None:
        if self._within == "error":
            self._errors[-1].whole = self._failure(self._errors[-1])
        self._within = ""

    def _failure(self, error: _Error) -> Failure:
        return error.failure(reversed(self._raised))

    def _try_again(self, jobid: str) -> None:
        self._leave()
        self.repeated += 1
        for error in self._errors:
            error.again = error.again or error.said.get("jobid") == jobid


class Reader:
    """Reads a log that grows: each time what has come since."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._rest = path, 0, b""
        self._log = Log()

    def read(self) -> Log:
        """The last start that the file tells of; an empty one where it is missing."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # another file
                    self.__init__(self._path)
                file.seek(self._offset)
                new = self._rest + file.read()
                self._offset = file.tell()
        except OSError:
            return self._log
        whole, newline, self._rest = new.rpartition(b"\n")
        text = (whole + newline).decode(errors="replace")
        begins = text.rfind(f"\n{START}") + 1
        if begins or text.startswith(START):
            self._log = Log()
        self._log.feed(text[begins:].splitlines())
        return self._log


def read(path: Path) -> Log:
    """The last start that ``path`` tells of; an empty one where the file is missing."""
    reader = Reader(path)
    return reader.read()


def parse(text: str) -> Log:
    """The output of one start of Snakemake, read line by line.

    >>> parse("Job stats:\\njob  count\\n---- -----\\ntrain  3\\ntotal  3\\n").planned
    Counter({'train': 3})
    """
    log = Log()
    log.feed(text.splitlines())
    return log


def _paths(said: str) -> list[Path]:
    return [Path(name) for name in said.split(" (check log")[0].split(", ") if name]
