"""The head of a study on the cluster of the tests: started, killed, and the jobs it has there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from vanishing.study.processes import below, environment

from .slurm_cluster import Cluster, marked

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


@dataclass(frozen=True)
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

    @contextlib.contextmanager
    def begun(self, *words: str) -> Iterator[subprocess.Popen]:
        """A command on the login node, killed at the end; ``said.log`` is what it says."""
        with (self.folder / "said.log").open("a") as log:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment({**os.environ, **self.variables}, self.results),
            )
        try:
            yield process
        finally:
            self._pull_the_plug(process)

    def head(self) -> contextlib.AbstractContextManager[subprocess.Popen]:
        """`vanishing study`, to the paper."""
        return self.begun("vanishing", "study", self.name, "--profile", self.profile)

    def trained(self) -> contextlib.AbstractContextManager[subprocess.Popen]:
        """Snakemake by hand, until all cohorts are trained."""
        return self.begun(
            *("snakemake", "--until", "train", "--config", f"study={self.name}"),
            *("--workflow-profile", f"workflow/profiles/{self.profile}"),
        )

    def finish(self, process: subprocess.Popen) -> None:
        """Wait until ``process`` ends, which it has to do well."""
        if code := process.wait(LONG):
            said = (self.folder / "said.log").read_text()
            raise AssertionError(f"{process.args} ended with {code}:\n{said}")

    def recover(self, *words: str) -> int:
        """The exit status of `vanishing recover`."""
        with self.begun("vanishing", "recover", self.name, *words) as process:
            return process.wait(LONG)

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

    def stopped(self, cluster: Cluster, others: Collection[str]) -> Training | None:
        """A training in none of the jobs ``others``, stopped before its log is written.

        What is done to it then does not come too late.
        """
        for one in self.trainings(cluster):
            with contextlib.suppress(psutil.Error):
                if one.job not in others:
                    one.process.send_signal(signal.SIGSTOP)
                    if one.cohort not in self.logs():
                        return one
                    one.process.send_signal(signal.SIGCONT)
        return None

    def _pull_the_plug(self, head: subprocess.Popen) -> None:
        """SIGKILL to the head, to Snakemake, and to all below them, as when a machine dies."""
        head.kill()
        while left := below(self.results):
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        head.wait()


def site(cluster: Cluster, **values: str) -> dict[str, str]:
    """The environment of a login node, with ``values`` for the profile."""
    given = {"POLL": "1", **values}
    return cluster.environment | {f"VANISHING_SLURM_{key}": value for key, value in given.items()}
