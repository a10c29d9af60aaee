"""Snakemake's own report of a study: which rule made what, when and by what code, with captions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from ..files import write_text
from ..study.places import config_path
from ..study.processes import environment
from .svg import for_paper

TARGET = "technical"  # the rule that asks for all that is shown
DRAWN = re.compile(r"(\w+)\.svg")
OF_NO_NOTEBOOK = "workflow"  # the rule graph


def set_figures(figures: Path, notebooks: Path, out: Path) -> None:
    """Write every figure below ``figures`` as ink on white to ``out/<notebook>/<figure>.svg``.

    The notebook is the one whose cells name the figure; what is drawn a figure a claim, by names
    that no cell spells, is under the name of its folder.
    """
    owners = _owners(notebooks)
    for figure in sorted(figures.rglob("*.svg")):
        inside = figure.relative_to(figures).parent.name
        folder = owners.get(figure.stem, inside or OF_NO_NOTEBOOK)
        write_text(out / folder / figure.name, for_paper(figure.read_text(encoding="utf-8")))


def _owners(notebooks: Path) -> dict[str, str]:
    """The notebook of every figure that a cell names."""
    owners = {}
    for path in sorted(notebooks.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8")).get("cells", [])
        code = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        owners |= dict.fromkeys(DRAWN.findall(code), path.stem)
    return owners


def report(study: str | os.PathLike, profile: str, say: Callable[[str], None]) -> int:
    """Bring a study up to date, and write ``report/technical.zip``; gives the exit status.

    The zip holds one page, with what it shows beside it; nothing is fetched to make or read it.
    """
    from ..study.run import run_study

    if status := run_study(study, profile, targets=[TARGET]):
        return status
    config = config_path(study)
    results = Path("results") / config.stem
    out = results / "report" / "technical.zip"
    command = [sys.executable, "-m", "snakemake", TARGET, "--config", f"study={config}"]
    command += ["--nolock", "--report", str(out)]
    done = subprocess.run(
        command, env=environment(os.environ, results), capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(f"Snakemake could not write its report:\n{done.stderr[-2000:]}")
    say(str(out))
    return 0
