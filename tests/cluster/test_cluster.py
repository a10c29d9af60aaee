"""A study on a SLURM cluster: to its paper, through the faults that a cluster has in store."""

import contextlib
import json
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
import yaml
from filelock import FileLock

from ..workplaces import smoke_study, workplace
from . import slurm_cluster
from .heads import LONG, Study, Training, site
from .slurm_cluster import NODES, Cluster, marked, wait_until
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
            "train": {"optimizer": "sgd", "lr": 0.1, "steps": 30_000, "batch": 32},
            "probes": {"steps": [1, 30_000], "batch": 16},
        }
    },
}
FAULTS = {"CANCELLED", "NODE_FAIL", "TIMEOUT", "FAILED"}  # of one job each, as SLURM names them
MEASURED = ["seconds", "device"]  # columns of a run that may be others on another machine


@pytest.fixture
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        try:
            folder = tmp_path_factory.mktemp("slurm")
            running = stack.enter_context(slurm_cluster.running(folder))
        except slurm_cluster.Unavailable as why:
            pytest.skip(f"no SLURM cluster: {why}")
        yield running


@dataclass
class Story:
    """What befalls two studies on a cluster.

    ``study`` is the smoke study, of which one machine has trained a part (``before``). The rest,
    its tables and its paper are the cluster's: a network of every family, and learning rates that
    are tuned.
    """

    cluster: Cluster
    study: Study
    long: Study
    before: dict[str, str]  # logs that one machine has made
    jobs: dict[str, Training] = field(default_factory=dict)  # by what was done to them
    finished: dict[str, str] = field(default_factory=dict)  # logs, when first seen
    checkpoints: list[Path] = field(default_factory=list)  # between the long training's two jobs

    def logs(self) -> dict[str, str]:
        """Of the cohorts that the cluster has trained."""
        return {name: log for name, log in self.study.logs().items() if name not in self.before}

    def remember(self) -> None:
        """Note the cohorts that are trained by now."""
        self.finished = self.logs() | self.finished

    def stop(self, what: str) -> Training:
        """Stop another training: it is on another node, as each has room for one job."""
        others = {one.job for one in self.jobs.values()}
        found = wait_until(lambda: self.study.stopped(self.cluster, others), what, LONG)
        self.jobs[what] = found
        return found


@pytest.fixture
def undisturbed(once) -> Path:
    """The folder of the smoke study, done on one machine."""
    return once("smoke", smoke_study)


@pytest.fixture
def story(undisturbed, cluster, tmp_path) -> Story:
    """Two workplaces, in which nothing has begun on the cluster."""
    gpu = {"GPUS": "1", "GPU_PARTITION": "gpu", "GPU_TYPE": "fake"}
    with FileLock(undisturbed.with_suffix(".used")):  # while no other test works in it
        folder = Path(shutil.copytree(undisturbed, tmp_path / "study", symlinks=True))
    study = Study(folder, "smoke", "slurm", site(cluster))
    take_back(study.results)
    long = workplace(tmp_path / "long")
    (long / "long.yaml").write_text(yaml.safe_dump(ONE_LONG_TRAINING))
    by_hand = Study(long, "long.yaml", "slurm", site(cluster, **gpu))
    return Story(cluster, study, by_hand, study.logs())


def take_back(results: Path) -> None:
    """Leave the plan, and logs but for a cohort of each family, task and split.

    A cohort whose learning rates are read from a cohort that is trained again is, too.
    """
    for name in ("tables", "claims", "notebooks", "figures", "report"):
        shutil.rmtree(results / name)
    planned = {file.stem: json.loads(file.read_text()) for file in results.glob("cohorts/*.json")}
    kinds = {
        tuple(planned[id_][key] for key in ("family", "task", "split")): id_
        for id_ in sorted(planned)
    }
    jobs = json.loads((results / "index.json").read_text())["jobs"]
    taken = set(kinds.values())
    taken |= {id_ for id_, job in jobs.items() if taken & set(job["tuning"])}
    for log in results.glob("logs/*/*.parquet"):
        if log.stem in taken:
            log.unlink()


def test_a_study_survives_its_cluster(story, undisturbed, subtests):
    """One story, and one test: tests that share it would each begin it anew in pytest's workers."""
    with story.study.head():
        lose_three_jobs(story)
        see_them_submitted_again(story)
    go_on_without_a_head(story)
    with story.long.trained() as by_hand, story.study.head() as second:
        come_near_the_time_limit(story)
        story.long.finish(by_hand)
        story.study.finish(second)
    with subtests.test("tables of a disturbed study equal those of an undisturbed one"):
        assert_tables_equal(story.study.results, undisturbed / "results/smoke")
    for fact in (
        every_fault_is_in_the_accounting_of_the_cluster,
        a_disturbed_study_ends_in_a_paper,
        what_was_finished_is_not_trained_again,
        a_training_has_the_gpu_that_the_cluster_gave_it,
        a_training_near_its_time_limit_goes_on_in_its_next_job,
        no_job_is_left_in_the_queue,
    ):
        with subtests.test(fact.__name__):
            fact(story)


def lose_three_jobs(story: Story) -> None:
    """Cancel a training, take the node of another away, and let a third hang."""
    cluster = story.cluster
    wait_until(lambda: len(story.logs()) >= 2, "the first two logs", LONG)
    story.remember()
    cancelled, lost, slow = map(story.stop, ("CANCELLED", "NODE_FAIL", "TIMEOUT"))
    for process in marked(cluster.folder, SLURM_JOB_ID=slow.job):
        process.send_signal(signal.SIGSTOP)
    cluster.command("scontrol", "update", f"JobId={slow.job}", "TimeLimit=1")
    cluster.command("scancel", cancelled.job)
    cluster.kill_node(lost.node)
    story.stop("cancelled for the next head")


def see_them_submitted_again(story: Story) -> None:
    """SLURM gives up the lost node, and the job that hangs; the head submits all three anew."""
    cluster, lost = story.cluster, story.jobs["NODE_FAIL"]
    wait_until(lambda: state(cluster, lost) == "NODE_FAIL", "the loss of a node", LONG)
    cluster.start_node(lost.node)
    for one in (story.jobs[name] for name in ("CANCELLED", "NODE_FAIL", "TIMEOUT")):
        wait_until(lambda one=one: submitted(cluster, one) > 1, f"{one.cohort} again", LONG)
    story.stop("without a head")
    story.remember()


def go_on_without_a_head(story: Story) -> None:
    """A job ends well after its head has died, another has to be cancelled for the next head."""
    study, last = story.study, story.jobs["without a head"]
    last.process.send_signal(signal.SIGCONT)
    wait_until(lambda: state(story.cluster, last) == "COMPLETED", last.cohort, LONG)
    assert study.recover("--wait", "--timeout", "1s") == 1  # there is more in the queue
    assert study.recover("--cancel") == 0
    story.remember()


def come_near_the_time_limit(story: Story) -> None:
    """SLURM tells a long training on a GPU that its time is nearly up."""
    cluster, long = story.cluster, story.long
    wait_until(lambda: any(map(step, long.results.glob("running/*.json"))), "an update", LONG)
    (first,) = long.trainings(cluster)
    first.process.send_signal(signal.SIGSTOP)  # until SLURM looks at limits: it continues it
    cluster.command("scontrol", "update", f"JobId={first.job}", "TimeLimit=1")
    wait_until(lambda: not first.process.is_running(), "the end of the first job", LONG)
    story.checkpoints = list(long.results.glob("checkpoints/*/*"))
    story.jobs["FAILED"] = first


def step(heartbeat: Path) -> int:
    """The update that a training was at when it last said so."""
    return json.loads(heartbeat.read_text())["step"]


def state(cluster: Cluster, one: Training) -> str:
    """How a job ended, as the accounting has it."""
    return "".join(accounted(cluster, "state", "-j", one.job)).split(" ")[0]  # CANCELLED by 0


def accounted(cluster: Cluster, columns: str, *which: str) -> list[str]:
    """Rows of the cluster's accounting, all jobs' or of ``which``."""
    return cluster.command("sacct", "-X", "-n", "-P", *which, "-o", columns).splitlines()


def submitted(cluster: Cluster, one: Training) -> int:
    """How many jobs there have been for the cohort of a training."""
    jobs = cluster.command("squeue", "-h", "-t", "all", "-o", "%k").splitlines()
    return jobs.count(f"rule_train_wildcards_{one.cohort}")


def every_fault_is_in_the_accounting_of_the_cluster(story):
    ends = {name: state(story.cluster, story.jobs[name]) for name in FAULTS}
    assert ends == {name: name for name in FAULTS}
    states = {row.split(" ")[0] for row in accounted(story.cluster, "state")}
    assert states == FAULTS | {"COMPLETED"}  # no job had asked for too little memory


def a_disturbed_study_ends_in_a_paper(story):
    for name in ("paper.html", "paper.pdf"):
        assert (story.study.results / "report" / name).stat().st_size > 50_000


def what_was_finished_is_not_trained_again(story):
    assert story.before
    assert len(story.finished) >= 3
    assert story.before.items() | story.finished.items() <= story.study.logs().items()
    rows = (row.split("|") for row in accounted(story.cluster, "state,comment"))
    ends = [(state, comment.removeprefix("rule_train_wildcards_")) for state, comment in rows]
    assert not {cohort for _, cohort in ends} & set(story.before)
    completed = Counter(cohort for state, cohort in ends if state == "COMPLETED")
    jobs = [completed[cohort] for cohort in story.logs()]
    assert max(jobs) == 1
    # None: it was cancelled in its last moment, when its log was whole. That one is kept. As many
    # ran as there are nodes, and one of those hung.
    assert jobs.count(0) < len(NODES)


def assert_tables_equal(disturbed: Path, undisturbed: Path) -> None:
    tables = {file.name: file for file in undisturbed.glob("*/*.parquet")}
    assert {"runs.parquet", "layers.parquet", "ledger.parquet"} <= set(tables)
    for name, file in tables.items():
        theirs = pd.read_parquet(disturbed / file.parent.name / name)
        ours = pd.read_parquet(file)
        if name == "runs.parquet":
            ours, theirs = ours.drop(columns=MEASURED), theirs.drop(columns=MEASURED)
        pd.testing.assert_frame_equal(theirs, ours, obj=name)


def a_training_has_the_gpu_that_the_cluster_gave_it(story):
    first = story.jobs["FAILED"]
    assert first.node in GPU_NODES
    assert first.environment["CUDA_VISIBLE_DEVICES"] in {str(number) for number in range(GPUS)}
    (said,) = accounted(story.cluster, "reqtres,partition", "-j", first.job)
    assert "gres/gpu=1" in said
    assert said.endswith("|gpu")


def a_training_near_its_time_limit_goes_on_in_its_next_job(story):
    assert story.checkpoints
    (log,) = story.long.results.glob("logs/train/*.log")
    assert int(re.search(r"goes on after update (\d+)", log.read_text())[1]) > 0
    assert list(story.long.logs()) == [story.jobs["FAILED"].cohort]


def no_job_is_left_in_the_queue(story):
    assert story.cluster.command("squeue", "-h") == ""
