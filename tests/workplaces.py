"""Folders in which a study is run from end to end: what a clone has, without the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT

BIN = Path(sys.executable).parent

PAPER = ("report/paper.html", "report/paper.pdf", "report/bundle.zip")


def workplace(folder: Path) -> Path:
    """An empty folder with what a clone has, but for the package, which is installed."""
    folder.mkdir(exist_ok=True)
    files = ("Snakefile", "environment.yml", "requirements.lock", "CITATION.cff", "LICENSE")
    for name in files:
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "reports"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def without_report(folder: Path, last: str) -> Path:
    """The same workplace, in which a study ends with its file ``last``."""
    snakefile = folder / "Snakefile"
    rules = snakefile.read_text()
    for paper in PAPER:
        assert paper in rules
        rules = rules.replace(paper, last)
    snakefile.write_text(rules)
    return folder


def run(*command: str, at: Path, **environment: str) -> subprocess.CompletedProcess:
    """A command of this project's environment, in the folder ``at``."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=at,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )


def smoke_study(folder: Path) -> None:
    """The smoke study in ``folder``, from nothing to its paper, as `make study STUDY=smoke` does.

    What the command printed is in ``said.txt``.
    """
    done = run("vanishing", "study", "smoke", at=workplace(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said.txt").write_text(done.stdout)
