"""Folders in which a study is run from end to end: what a clone has, without the package."""

import shutil
from pathlib import Path

from .conftest import ROOT

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


def without_report(folder: Path) -> Path:
    """The same workplace, in which a study ends with its claims: the report has tests enough."""
    snakefile = folder / "Snakefile"
    rules = snakefile.read_text()
    for paper in PAPER:
        assert paper in rules
        rules = rules.replace(paper, "claims/ledger.parquet")
    snakefile.write_text(rules)
    return folder
