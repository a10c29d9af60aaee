"""A study on a SLURM cluster: to its paper, through the faults that a cluster has in store."""

import contextlib
import json
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from . import slurm_cluster
from .heads import LONG, Study, Training, kill, site, workplace
from .slurm_cluster import Cluster, marked, wait_until
from .slurm_files import GPU_NODES, GPUS

pytestmark = pytest.mark.slow

ONE_LONG_TRAINING = {
    "verdicts": False,
    "batteries": {
        "long": {
            "family": "mlp",
            "task": "digits",
            "factors": {"activation": ["tanh"], "init": ["he"], "depth": [3]},
            "width": 32,
            "seeds": {"judged": 2},
            "train": {"optimizer": "sgd", "lr": 0.1, "steps": 15_000, "batch": 32},
            "probes": {"steps": [1, 15_000], "batch": 16},
        }
    },
}
MEASURED = ["seconds", "device"]  # columns of a run that may be others on another machine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        try:
            folder = tmp_path_factory.mktemp("slurm")
            running = stack.enter_context(slurm_cluster.running(folder))
        except slurm_cluster.Unavailable as why:
            pytest.skip(f"no SLURM cluster: {why}")
        yield running


@pytest.fixture(scope="module", autouse=True)
def local(tmp_path_factory) -> Iterator[tuple[Study, subprocess.Popen]]:
    """The smoke study, undisturbed on this machine alone; begun first, it fills the pauses."""
    study = Study(workplace(tmp_path_factory.mktemp("local")), "smoke", "default", {})
    head = study.head()
    yield study, head
    kill(head)


@dataclass
class Story:
    """What befell a study on the cluster."""

    study: Study
    jobs: dict[str, str] = field(default_factory=dict)  # of SLURM, by what was done to them
    finished: dict[str, str] = field(default_factory=dict)  # logs, when first seen

    def remember(self) -> None:
        """Note the cohorts that are trained by now."""
        self.finished = self.study.logs() | self.finished


@pytest.fixture(scope="module")
def story(cluster, tmp_path_factory) -> Story:
    """The smoke study on the cluster: five faults, two heads, one paper."""
    folder = workplace(tmp_path_factory.mktemp("cluster"))
    story = Story(Study(folder, "smoke", "slurm", site(cluster)))
    first = story.study.head()
    try:
        cancel_one_and_lose_a_node(cluster, story)
    finally:
        kill(first)
    waited = story.study.command("vanishing", "recover", "smoke", "--wait", "--timeout", "20s")
    assert waited.wait(LONG) in (0, 1)  # 1: there is more in the queue than these seconds allow
    story.study.finish(story.study.command("vanishing", "recover", "smoke", "--cancel"))
    story.remember()
    second = story.study.head()
    try:
        overstep_the_time(cluster, story)
        story.study.finish(second)
    finally:
        kill(second)
    return story


def cancel_one_and_lose_a_node(cluster: Cluster, story: Story) -> None:
    """scancel a training, take the node of another away, and come so far that work is left."""
    study = story.study
    wait_until(lambda: len(study.logs()) >= 2, "the first two logs", LONG)
    story.remember()

    cancelled = wait_until(lambda: frozen(cluster, study), "a training", LONG)
    lost = wait_until(lambda: frozen(cluster, study, cancelled.node), "one elsewhere", LONG)
    cluster.command("scancel", cancelled.job)
    cluster.kill_node(lost.node)
    story.jobs |= {"CANCELLED": cancelled.job, "NODE_FAIL": lost.job}
    wait_until(lambda: state(cluster, lost.job) == "NODE_FAIL", "the loss of a node", LONG)
    cluster.start_node(lost.node)
    wait_until(lambda: len(study.logs()) >= 8 and study.trainings(cluster), "eight logs", LONG)
    story.remember()


def overstep_the_time(cluster: Cluster, story: Story) -> None:
    """Have a job hang, with all its processes: it is past its time limit after a minute."""
    slow = wait_until(lambda: frozen(cluster, story.study), "a training", LONG)
    for process in marked(cluster.folder, SLURM_JOB_ID=slow.job):
        process.send_signal(signal.SIGSTOP)
    cluster.command("scontrol", "update", f"JobId={slow.job}", "TimeLimit=1")
    story.jobs["TIMEOUT"] = slow.job


def frozen(cluster: Cluster, study: Study, away_from: str = "") -> Training | None:
    """A training that is stopped before its log is written, so that no fault comes too late."""
    for one in study.trainings(cluster):
        with contextlib.suppress(psutil.Error):
            if one.node != away_from:
                one.process.send_signal(signal.SIGSTOP)
                if one.cohort not in study.logs():
                    return one
                one.process.send_signal(signal.SIGCONT)
    return None


def state(cluster: Cluster, job: str) -> str:
    """How a job ended, as the accounting has it."""
    said = cluster.command("sacct", "-X", "-n", "-P", "-j", job, "-o", "state")
    return said.split(" ")[0]  # CANCELLED by 0


def test_every_fault_is_in_the_accounting_of_the_cluster(cluster, story):
    assert {fault: state(cluster, job) for fault, job in story.jobs.items()} == {
        fault: fault for fault in ("CANCELLED", "NODE_FAIL", "TIMEOUT")
    }


def test_a_disturbed_study_ends_in_a_paper(story):
    for name in ("paper.html", "paper.pdf"):
        assert (story.study.results / "report" / name).stat().st_size > 50_000


def test_what_was_finished_is_not_trained_again(cluster, story):
    assert len(story.finished) >= 8
    assert story.finished.items() <= story.study.logs().items()
    rows = cluster.command("sacct", "-X", "-n", "-P", "-o", "state,comment").splitlines()
    completed = Counter(row.removeprefix("COMPLETED|rule_train_wildcards_") for row in rows)
    assert {cohort: completed[cohort] for cohort in story.study.logs()} == dict.fromkeys(
        story.study.logs(), 1
    )


def test_tables_of_a_disturbed_study_equal_those_of_an_undisturbed_one(story, local):
    undisturbed, head = local
    undisturbed.finish(head)
    tables = {file.name: file for file in undisturbed.results.glob("*/*.parquet")}
    assert {"runs.parquet", "layers.parquet", "ledger.parquet"} <= set(tables)
    for name, file in tables.items():
        theirs = pd.read_parquet(story.study.results / file.parent.name / name)
        ours = pd.read_parquet(file)
        if name == "runs.parquet":
            ours, theirs = ours.drop(columns=MEASURED), theirs.drop(columns=MEASURED)
        pd.testing.assert_frame_equal(theirs, ours, obj=name)


@pytest.fixture(scope="module")
def warned(cluster, tmp_path_factory) -> tuple[Study, Training, list[str]]:
    """A long training on a GPU, told by SLURM that its time is nearly up: its first job."""
    folder = workplace(tmp_path_factory.mktemp("long"))
    (folder / "long.yaml").write_text(yaml.safe_dump(ONE_LONG_TRAINING))
    gpu = {"GPUS": "1", "GPU_PARTITION": "gpu", "GPU_TYPE": "fake"}
    study = Study(folder, "long.yaml", "slurm", site(cluster, **gpu))
    head = study.tables()
    try:
        wait_until(lambda: any(map(step, study.results.glob("running/*"))), "an update", LONG)
        (first,) = study.trainings(cluster)
        first.process.send_signal(signal.SIGSTOP)  # until SLURM looks at limits: it continues it
        cluster.command("scontrol", "update", f"JobId={first.job}", "TimeLimit=1")
        wait_until(lambda: not first.process.is_running(), "the end of the first job", LONG)
        checkpoints = [file.name for file in study.results.glob("checkpoints/*/*")]
        study.finish(head)
    finally:
        kill(head)
    return study, first, checkpoints


def step(heartbeat: Path) -> int:
    """The update that a training was at when it last said so."""
    return json.loads(heartbeat.read_text())["step"]


def test_a_training_has_the_gpu_that_the_cluster_gave_it(cluster, warned):
    _, first, _ = warned
    assert first.node in GPU_NODES
    assert first.environment["CUDA_VISIBLE_DEVICES"] in {str(number) for number in range(GPUS)}
    said = cluster.command("sacct", "-X", "-n", "-P", "-j", first.job, "-o", "reqtres,partition")
    assert "gres/gpu=1" in said
    assert said.endswith("|gpu")


def test_a_training_near_its_time_limit_goes_on_in_its_next_job(cluster, warned):
    study, first, checkpoints = warned
    assert state(cluster, first.job) == "FAILED"
    assert checkpoints
    (log,) = study.results.glob("logs/train/*.log")
    assert int(re.search(r"goes on after update (\d+)", log.read_text())[1]) > 0
    assert list(study.logs()) == [first.cohort]


def test_no_job_is_left_in_the_queue(cluster, story, warned):
    assert story.jobs
    assert warned
    assert cluster.command("squeue", "-h") == ""
