"""A study as small as can be, for faults: its processes, its files, and a disk of its own."""

import os
import shlex
import subprocess
from pathlib import Path

import psutil
import pytest

from vanishing.study.processes import below

from .test_workflow import CONFIG, FACTORS, write_config
from .workplaces import BIN, run, without_report, workplace

RESULTS = Path("results", Path(CONFIG).stem)
RUNS = RESULTS / "logs/runs"
TABLE = RESULTS / "tables/runs.parquet"
NET = {"factors": {**FACTORS, "activation": ["tanh", "relu"]}}
TRAIN = {"steps": 6, "lr": 0.1, "batch": 16}
# What a disk shows of itself, in a namespace where we may mount one without being root.
MOUNT = ("unshare", "--map-root-user", "--mount", "sh", "-ec")


def lay_out(folder: Path, judged: int = 2) -> Path:
    """A project whose study ends with the tables of its runs: a cohort for each of its runs."""
    without_report(workplace(folder), "tables/runs.parquet")
    grow(folder, judged)
    return folder


def grow(folder: Path, judged: int) -> None:
    """Write the config with so many seeds."""
    write_config(folder, **NET, train=TRAIN, seeds={"judged": judged})


def study(at: Path, *more: str) -> subprocess.CompletedProcess:
    """``vanishing study``, to its end."""
    return run("vanishing", "study", CONFIG, *more, at=at)


def begin(folder: Path) -> psutil.Popen:
    """``vanishing study`` in a process of its own; no failure stops it early."""
    return psutil.Popen(
        [BIN / "vanishing", "study", CONFIG, "--failures", "0"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def processes(begun: psutil.Process, folder: Path) -> dict[str, list[psutil.Process]]:
    """The processes of a study by what they are: its head first, then what is below it."""
    found = {"head": [begun] if begun.is_running() else []}
    for process in below(folder / RESULTS):
        try:
            words, parent = process.cmdline(), process.parent()
            above = parent.cmdline() if parent else []
        except psutil.Error:
            continue  # it has just ended
        kind = "job"
        if "vanishing.study.preloaded" in words:
            kind = "fork" if words == above else "preloaded"
        elif "snakemake" in words:
            kind = "snakemake"
        found.setdefault(kind, []).append(process)
    return {kind: some for kind, some in found.items() if some}


def logs(folder: Path) -> dict[Path, tuple[int, int]]:
    """The runs log of every trained cohort, and what changes when it is written again."""
    files = (folder / RUNS).glob("[!.]*.parquet")
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def on_disk(script: str, at: Path) -> subprocess.CompletedProcess:
    """A shell script in a namespace of its own, where it may mount; the test skips elsewhere."""
    tried = run(*MOUNT, "mount -t tmpfs -o size=4k tmpfs .", at=at)
    if tried.returncode:
        pytest.skip(f"no disk can be mounted here: {tried.stderr.strip()}")
    return run(*MOUNT, script, at=at)


def say_study(name: str) -> str:
    """A line of a script: run the study, and write down for :func:`told` what it says."""
    command, status = shlex.join(["vanishing", "study", CONFIG]), f"../{name}.status"
    return f"{command} > ../{name}.said 2>&1 && echo 0 > {status} || echo $? > {status}\n"


def told(folder: Path, name: str) -> tuple[int, str]:
    """The status and the words that :func:`say_study` wrote."""
    return int((folder / f"{name}.status").read_text()), (folder / f"{name}.said").read_text()


def set_back(folder: Path, seconds: float) -> None:
    """Have all files of the study be ``seconds`` older; from the future where it is negative."""
    for file in (folder / RESULTS).rglob("*"):
        stat = file.stat()
        os.utime(file, (stat.st_atime - seconds, stat.st_mtime - seconds))
