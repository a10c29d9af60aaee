"""The paper of what is done so far: beside a study that may be running, and without touching it.

Everything is made in ``results/<study>/partial``, a results folder of its own whose logs are a link
to the study's. It can be made anew at any time; its paper is replaced as a whole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..analysis.finished import path_of
from ..analysis.gather import gather
from ..analysis.study import judge_study
from ..errors import UserError
from ..files import atomic, write_text
from ..provenance import provenance
from ..study import index, plan
from ..study.places import config_path
from ..study.processes import environment
from ..table import provenance_of
from ..tables import EXPECTED, LAG_PREDICTIONS, PREDICTIONS, TABLES
from . import notebooks, paper, progress, rulegraph

FOLDER, LOCK = "partial", ".partial.lock"
PREDICTED = (PREDICTIONS, EXPECTED, LAG_PREDICTIONS)
RULEGRAPH = Path("figures/rulegraph.svg")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """A paper of what is done: its files, and per battery the runs planned and done."""

    html: Path
    pdf: Path
    batteries: list[dict]

    def lines(self) -> list[str]:
        """Where the paper is, and what it lacks."""
        lacking = [row for row in self.batteries if row["done"] < row["planned"]]
        runs = [
            f"  {row['battery']}: {row['done']:,} of {row['planned']:,} runs" for row in lacking
        ]
        said = ["missing, and stamped on the paper and its figures:", *runs]
        return [str(self.html), str(self.pdf), *(said if runs else ["no planned run is missing"])]


def write(study: str | os.PathLike, say: Say = print, reports: Path = Path("reports")) -> Built:
    """Write the paper of the runs of a study that are done.

    ``reports``: the folder of the claims, the notebooks and the paper's text. With every run done
    it is the paper that the workflow makes.
    """
    planned = plan.make(study, laid_out=_laid_out(study))
    results = Path("results") / planned.name
    done = _done(planned, results)
    with _alone(results):
        folder = _folder(planned, results)
        say(f"{len(done):,} of {len(planned.cohorts):,} cohorts are done; into {folder}:")
        say("  tables")
        gather(folder, provenance(plan.config_digest(folder)))
        _predict(planned, results, folder, say)
        say("  claims")
        judge_study(folder, reports / "claims.yaml")
        for source in sorted((reports / "notebooks").glob("*.py")):
            say(f"  notebook {source.stem}")
            out = folder / "notebooks" / f"{source.stem}.ipynb"
            notebooks.execute(source, out, {"results": str(folder)})
        _copy_what_is_of_the_whole(planned, results, folder)
        say("  paper")
        html, pdf = (folder / "report" / f"paper.{kind}" for kind in ("html", "pdf"))
        paper.build(reports / "paper" / "paper.md", folder, html, pdf)
    return Built(html, pdf, progress.batteries(*progress.read(folder)))


def _laid_out(study: str | os.PathLike) -> list[str] | None:
    return index.laid_out(study, Path("results") / config_path(study).stem)


def _done(planned: plan.Plan, results: Path) -> list[str]:
    """The finished cohorts of the plan; refused while there is none of runs that are judged."""
    done = [id_ for id_ in plan.finished(results) if id_ in planned.by_id]
    if not any(planned.by_id[id_].graph.split != "tuning" for id_ in done):
        raise UserError(
            f"no cohort of {planned.name} that counts is done yet ({len(done)} that choose "
            "learning rates are): there is nothing to write about. `vanishing status "
            f"{planned.config_path}` says how far it is, `vanishing study` goes on with it."
        )
    return done


@contextmanager
def _alone(results: Path) -> Iterator[None]:
    """Holds off a second paper of the same study; the study itself takes no notice."""
    from filelock import FileLock, Timeout

    lock = FileLock(results / LOCK)
    try:
        with lock.acquire(blocking=False):
            yield
    except Timeout:
        raise UserError(
            f"another `vanishing paper` writes into {results / FOLDER}: let it finish, or stop it."
        ) from None


def _folder(planned: plan.Plan, results: Path) -> Path:
    """The results folder of the paper, with the plan, and the study's logs by a link."""
    folder = results / FOLDER
    folder.mkdir(exist_ok=True)
    logs = folder / "logs"
    if not logs.is_symlink():
        logs.symlink_to(Path("..") / "logs", target_is_directory=True)
    plan.write(planned, folder)
    return folder


def _predict(planned: plan.Plan, results: Path, folder: Path, say: Say) -> None:
    """Write what theory predicts, or take what the study has of it: that costs minutes."""
    stamp = provenance(plan.config_digest(folder))
    for whence in (folder, results):
        if _hold(whence, stamp, planned.own_parts):
            if whence != folder:
                for table in PREDICTED:
                    _copy(path_of(whence, table), path_of(folder, table))
            return
    from ..theory.study import tables  # brings torch

    say("  predictions")
    for name, table in tables(folder, lambda line: say(f"    {line}")).items():
        TABLES[name].write(table, path_of(folder, TABLES[name]), stamp)


def _hold(results: Path, stamp: dict, own_parts: list[Path]) -> bool:
    """Whether the predictions there are of this config, this code, and these parts."""
    files = [path_of(results, table) for table in PREDICTED]
    if not all(file.exists() for file in files):
        return False
    newest = max((part.stat().st_mtime for part in own_parts), default=0)
    made = [provenance_of(file) for file in files]
    same = all(m.get(key) == stamp[key] for m in made for key in ("code", "config"))
    return same and all(file.stat().st_mtime >= newest for file in files)


def _copy(source: Path, target: Path) -> None:
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)


def _copy_what_is_of_the_whole(planned: plan.Plan, results: Path, folder: Path) -> None:
    """The rule graph; and of a study that lacks nothing, what training some runs again gave."""
    if (results / RULEGRAPH).exists():
        _copy(results / RULEGRAPH, folder / RULEGRAPH)
    elif not (folder / RULEGRAPH).exists():
        write_text(folder / RULEGRAPH, rulegraph.draw(_rules(planned, folder)))
    verified = Path("claims/verified.json")
    whole = set(planned.by_id) <= set(plan.finished(results))
    if whole and (results / verified).exists():
        _copy(results / verified, folder / verified)
    else:
        (folder / verified).unlink(missing_ok=True)


def _rules(planned: plan.Plan, folder: Path) -> str:
    """Snakemake's graph of the rules: it only looks, and holds no lock."""
    command = [sys.executable, "-m", "snakemake", "--config", f"study={planned.config_path}"]
    command += ["--nolock", "--forceall", "--rulegraph", "dot"]
    variables = environment(os.environ, folder)
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"Snakemake could not draw its rules:\n{done.stderr[-2000:]}")
    return done.stdout
