"""What Snakemake's own log says of a start: the jobs that it has to do, did, and failed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

START = "=== start"  # the line before the output of each start, in results/<study>/snakemake.log

_COUNT = re.compile(r"^(\w+) +(\d+)$")
_FINISHED = re.compile(r"^Finished jobid: \d+ \(Rule: (\w+)\)")
_STARTED = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_ERROR = re.compile(r"^Error in rule (\w+):$")
_FIELD = re.compile(r"^    (output|log): (.*)$")


@dataclass(frozen=True)
class Failure:
    """A job that failed: its rule, what it was to make, and its own log if it has one."""

    rule: str
    output: str = ""
    log: Path | None = None

    @property
    def subject(self) -> str:
        """The cohort or notebook that the job was about; the rule's name where it has no more."""
        return self.log.stem if self.log else Path(self.output).stem or self.rule

    def __str__(self) -> str:
        return self.rule if self.subject == self.rule else f"{self.rule} {self.subject}"


@dataclass
class Log:
    """Counts of jobs by rule, of the last start in the log."""

    planned: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    nothing_to_do: bool = False
    lines: list[str] = field(default_factory=list)


def read(path: Path) -> Log:
    """The last start that ``path`` tells of; an empty one where the file is missing."""
    text = path.read_text(errors="replace") if path.exists() else ""
    return parse(text[text.rfind(f"\n{START}") + 1 :])


def parse(text: str) -> Log:
    """The output of one start of Snakemake, read line by line.

    >>> parse("Job stats:\\njob  count\\n---- -----\\ntrain  3\\ntotal  3\\n").planned
    Counter({'train': 3})
    """
    log = Log(lines=text.splitlines())
    table = False  # inside the table of planned jobs
    for number, line in enumerate(log.lines):
        if line.startswith("Job stats:"):
            table = not log.planned  # a second one repeats the first
        elif table and (count := _COUNT.match(line)):
            table = count[1] != "total"
            if table:
                log.planned[count[1]] = int(count[2])
        elif started := _STARTED.match(line):
            log.started[started[1]] += 1
        elif finished := _FINISHED.match(line):
            log.finished[finished[1]] += 1
        elif error := _ERROR.match(line):
            log.failures.append(_failure(error[1], log.lines[number + 1 :]))
        elif line.startswith("Nothing to be done"):
            log.nothing_to_do = True
    return log


def _failure(rule: str, after: list[str]) -> Failure:
    said: dict[str, str] = {}
    for line in after:
        if not line.startswith("    "):
            break
        if found := _FIELD.match(line):
            said[found[1]] = found[2].split(" (check log")[0].split(", ")[0]
    log = Path(said["log"]) if "log" in said else None
    return Failure(rule, said.get("output", ""), log)
