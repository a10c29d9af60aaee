"""Failed jobs by class: the same error in many cohorts is one thing to mend, and told once.

The class of an error is read from the end of a job's log: what ended the job from outside (the
scheduler, the kernel, a full disk), or else the last line of its traceback, or else its last words,
which are a user's error. Numbers, paths and names of cohorts in it are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .snakemake_log import Failure, Log

LIMIT = 5  # cohorts that may fail of one class, see :class:`Budget`
TAIL = 15  # lines of a failed job's log that are shown
READ = 16_384  # bytes of the end of a log that its class is read from
LONGEST = 120  # letters of an error that tell it from others

# What ends a job from outside, the surest sign first: a class, its words, and what to do.
CAUSES = (
    (
        "disk full",
        r"No space left on device|Disk quota exceeded|\[Errno (28|122)\]",
        "make room on the disk; what is finished is kept",
    ),
    (
        "time limit",
        r"DUE TO TIME LIMIT|status is: '(TIMEOUT|DEADLINE)'",
        "give the rule more `runtime` in the profile; a job goes on from its checkpoint",
    ),
    (
        "node failed",
        r"DUE TO NODE FAILURE|NODE[_ ]FAIL|status is: 'BOOT_FAIL'",
        "nothing of ours is wrong: start the study again",
    ),
    (
        "out of memory",
        r"OutOfMemoryError|CUDA out of memory|OUT_OF_MEMORY|[Oo]ut [Oo]f [Mm]emory|oom[-_ ]kill"
        r"|^MemoryError\b|can't allocate memory|Cannot allocate memory"
        r"|Exceeded (job|step) memory limit",
        "give the rule more `mem_mb` in the profile, run fewer jobs at once (`cores`, device "
        "slots), or lower `cohort_flops`",
    ),
    ("preempted", r"DUE TO PREEMPTION|status is: 'PREEMPTED'", "start the study again"),
    (
        "submission failed",
        r"sbatch failed|[Jj]ob submission failed|Error submitting jobscript",
        "see what the cluster says: account, partition and limits are in the profile",
    ),
    (
        "stopped with a checkpoint",
        r"stopped by SIG\w+ after update",
        "start the study again: it goes on from the checkpoint",
    ),
    (
        "cancelled",
        r"\*\*\* (JOB|STEP) \S+ ON .*CANCELLED|status is: 'CANCELLED",
        "somebody ended the job (scancel): start the study again",
    ),
    (
        "killed",
        r"^Killed\b|: Killed$|SIGKILL|exit (status|code):? (137|-9)\b|ExitCode 137",
        "the system kills the largest process where memory runs out: run fewer jobs at once",
    ),
    (
        "crashed",
        r"Segmentation fault|Bus error|Illegal instruction|core dumped|SIG(SEGV|BUS|ILL|ABRT)"
        r"|exit status (132|134|135|139)\b",
        "a library of this machine is at fault: `vanishing train` on the cohort's file shows it",
    ),
)
SILENT = "no message"
USER = "user error"
_CAUSES = [(name, re.compile(words, re.MULTILINE)) for name, words, _ in CAUSES]
_TODO = {name: todo for name, _, todo in CAUSES} | {
    USER: "mend the config or the part that it names, and start the study again",
    SILENT: "the job ended without a word, often for want of memory: run fewer jobs at once",
}
_TRACEBACK = "Traceback (most recent call last):"
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::\s*(.*))?$")
_PROGRESS = re.compile(r"^\d+ of \d+ runs$|^\s*$|^(slurmstepd|srun): ")
_OWN_SNAKEMAKE = re.compile(r"^(\[\w{3} \w{3} .*|Building DAG of jobs\.\.\.)$", re.MULTILINE)
_VARIABLE = (  # what differs between two of the same error, and what stands for it
    (re.compile(r"[\w.:+-]*-d\d+-w\d+-[0-9a-f]{6,}"), "COHORT"),
    (re.compile(r"(?:[\w.~@-]*/)+[\w.~@%-]+"), "PATH"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b"), "N"),
    (re.compile(r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?"), "N"),
)


def classify(tail: str) -> str:
    """The class of an error, from the end of a job's log.

    >>> classify("slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 3 DUE TO TIME LIMIT ***")
    'time limit'
    >>> classify("Traceback (most recent call last):\\n  ...\\nValueError: 3 rows of a/b.csv")
    'ValueError: N rows of PATH'
    >>> classify("7 of 22 runs\\nno rate of tanh-d4-w64-18a237f726 is left")
    'user error: no rate of COHORT is left'
    """
    for name, words in _CAUSES:
        if words.search(tail):
            return name
    lines = tail.rstrip().splitlines()
    if _TRACEBACK in tail:
        return _exception(lines)
    said = [line.strip() for line in lines if not _PROGRESS.match(line)]
    return f"{USER}: {_alike(said[-1])}" if said else SILENT


def _exception(lines: list[str]) -> str:
    """The last exception of the log: the first line after its traceback that is not indented."""
    begins = max(i for i, line in enumerate(lines) if line.strip().endswith(_TRACEBACK))
    for line in lines[begins + 1 :]:
        if (raised := _RAISED.match(line)) and not line.startswith(" "):
            name, said = raised[1].rpartition(".")[2], (raised[2] or "").strip()
            return f"{name}: {_alike(said)}" if said else name
    return SILENT


def _alike(said: str) -> str:
    for pattern, stands in _VARIABLE:
        said = pattern.sub(stands, said)
    return said if len(said) <= LONGEST else said[: LONGEST - 3] + "..."


def class_of(failure: Failure) -> str:
    """The class of a failed job: of its log, of the cluster's, of what Snakemake says of it."""
    own = end_of(failure.log)
    outer = "\n".join(end_of(log) for log in failure.outer)
    whole = f"{outer}\n{failure.message}\n{own}"
    for name, words in _CAUSES:
        if words.search(whole):
            return name
    if own.strip():
        return classify(own)
    # a cluster's log holds a Snakemake of the job's own, which only says that the job failed
    said = "" if _OWN_SNAKEMAKE.search(outer) else outer
    return classify(said or (failure.message if not failure.log else ""))


def end_of(log: Path | None, size: int = READ) -> str:
    """The end of a log; empty where there is none."""
    try:
        with Path(log or "").open("rb") as file:
            file.seek(max(file.seek(0, 2) - size, 0))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def todo(name: str) -> str:
    """What to do about the errors of a class."""
    own = "its log has the whole traceback; mend it, and start the study again"
    return _TODO.get(name) or _TODO.get(name.partition(":")[0], own)


class Classes:
    """The classes of failures; the log of each is read once."""

    def __init__(self) -> None:
        self._known: dict[Failure, str] = {}

    def of(self, failures: Iterable[Failure]) -> dict[str, list[Failure]]:
        """The failures by class, the most frequent class first."""
        found: dict[str, list[Failure]] = {}
        for failure in failures:
            if failure not in self._known:
                self._known[failure] = class_of(failure)
            found.setdefault(self._known[failure], []).append(failure)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))


@dataclass(frozen=True)
class Spent:
    """Why a study is stopped early: so many cohorts failed alike, so many finished meanwhile."""

    name: str
    failed: int
    finished: int
    failures: tuple[Failure, ...]

    def __str__(self) -> str:
        finished = f"{self.finished or 'none'} finished since the first of them"
        return (
            f"stopped early: {self.failed} cohorts failed of the same error, {finished}. "
            "What is finished is kept; `--failures 0` goes on regardless, `--failures N` stops "
            "later."
        )


class Budget:
    """How many cohorts may fail of one class of error before the study is stopped.

    It is spent when ``limit`` cohorts have failed of one class and fewer than failed so have been
    trained since the first of them. An error in everything (a full disk, a wrong library) spends
    it at once; one in a corner of the grid does not, while more than half of all that is tried
    succeeds: the rest is worth having. A cohort counts once, after its last attempt.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._classes, self._last = limit, Classes(), ""

    def spent(self, log: Log) -> Spent | None:
        """Why to stop now. Snakemake says after a failure that it tries again: a verdict counts
        when the next look comes to it too."""
        found = self._look(log) if self._limit else None
        before, self._last = self._last, found.name if found else ""
        return found if found and found.name == before else None

    def _look(self, log: Log) -> Spent | None:
        failures = log.failures
        for name, alike in self._classes.of(f for f in failures if f.rule == "train").items():
            count = len({failure.subject for failure in alike})
            finished = log.finished["train"] - min(failure.after for failure in alike)
            if count >= self._limit and finished < count:
                return Spent(name, count, finished, tuple(failures))
        return None


def summary(failures: Sequence[Failure]) -> list[str]:
    """For each class of error: how many jobs, one of them, the end of its log, what to do."""
    lines = []
    for name, alike in Classes().of(failures).items():
        first, count = alike[0], len(alike)
        example = first.log if end_of(first.log).strip() else next(iter(first.outer), first.log)
        tail = end_of(example).rstrip().splitlines()[-TAIL:]
        of = str(first) if count == 1 else f"{count} jobs, {first} among them"
        lines += [f"failed: {of}: {name}"]
        if tail:
            lines += [f"the end of {example}:", *(f"  {line}" for line in tail)]
        elif first.message:
            lines += [f"  {line}" for line in first.message.splitlines()[:TAIL]]
        lines += [f"what to do: {todo(name)}", ""]
    return lines
