"""The head of a study on the cluster of the tests: started, killed, and the jobs it has there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from vanishing.study.head import environment

from .slurm_cluster import Cluster, marked

ROOT = Path(__file__).parents[2]
LONG = 600  # seconds until a busy machine has done its part


@dataclass(frozen=True)
class Training:
    """A job of the cluster in which a cohort is trained at this moment."""

    job: str
    cohort: str
    environment: Mapping[str, str]
    process: psutil.Process

    @property
    def node(self) -> str:
        """The node that it runs on."""
        return self.environment["SLURMD_NODENAME"]


@dataclass
class Study:
    """A study in a folder of its own, with the profile and the variables it is run with."""

    folder: Path
    name: str
    profile: str
    variables: Mapping[str, str]

    @property
    def results(self) -> Path:
        """Where it writes to."""
        return self.folder / "results" / Path(self.name).stem

    def command(self, *words: str) -> subprocess.Popen:
        """A command on the login node, in the background; ``said.log`` is what it says."""
        with (self.folder / "said.log").open("a") as log:
            return subprocess.Popen(
                words,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment({**os.environ, **self.variables}, self.results),
            )

    def head(self) -> subprocess.Popen:
        """`vanishing study`, to the paper."""
        return self.command("vanishing", "study", self.name, "--profile", self.profile)

    def tables(self) -> subprocess.Popen:
        """Snakemake by hand, to the tables of the runs: the report has tests enough."""
        return self.command(
            *("snakemake", "results/" + self.results.name + "/tables/runs.parquet"),
            *("--workflow-profile", f"workflow/profiles/{self.profile}"),
            *("--config", f"study={self.name}"),
        )

    def finish(self, process: subprocess.Popen) -> None:
        """Wait until ``process`` ends, which it has to do well."""
        try:
            code = process.wait(LONG)
        finally:
            kill(process)
        if code:
            said = (self.folder / "said.log").read_text()
            raise AssertionError(f"{process.args} ended with {code}:\n{said}")

    def logs(self) -> dict[str, str]:
        """The cohorts that are trained, with a hash of their log: another one if done anew.

        It holds the seconds that the training took, and those never repeat.
        """
        files = self.results.glob("logs/runs/[!.]*.parquet")
        return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def trainings(self, cluster: Cluster) -> list[Training]:
        """What trains on the cluster: the program itself, not the Snakemakes around it."""
        found = []
        for process in marked(cluster.folder, VANISHING_RESULTS=str(self.results.resolve())):
            with contextlib.suppress(psutil.Error):
                words, variables = process.cmdline(), process.environ()
                if words[2:3] == ["train"] and process.status() != psutil.STATUS_ZOMBIE:
                    cohort = Path(words[3]).stem
                    found.append(Training(variables["SLURM_JOB_ID"], cohort, variables, process))
        return found


def workplace(folder: Path) -> Path:
    """An empty folder with what a clone has, but for the package, which is installed."""
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "reports"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def site(cluster: Cluster, **values: str) -> dict[str, str]:
    """The environment of a login node, with ``values`` for the profile."""
    given = {"POLL": "2", **values}
    return cluster.environment | {f"VANISHING_SLURM_{key}": value for key, value in given.items()}


def kill(head: subprocess.Popen) -> None:
    """Pull the login node's plug: SIGKILL to the head, to Snakemake, and to all below them."""
    if head.poll() is not None:
        return
    below = psutil.Process(head.pid).children(recursive=True)
    for pid in (head.pid, *(process.pid for process in below)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    head.wait()
