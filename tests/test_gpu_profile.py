"""The profile of a machine with GPUs, on devices that are not there."""

import re
import shutil

import pytest
import yaml

from vanishing.study import slots
from vanishing.study.places import profile_path
from vanishing.study.run import executor_of
from vanishing.study.sizes import Places
from vanishing.tables import RUN_LOG

from .conftest import ROOT
from .test_workflow import TINY, jobs
from .workplaces import run, workplace

PROFILES = ROOT / "workflow/profiles"
HIDDEN = (*slots.SCHEDULERS, slots.VISIBLE, slots.PER_DEVICE)
SNAKEFILE = """
rule all:
    input: "verify"
rule train:
    output: "train"
    shell:
        "python -c 'import os; from vanishing.study import slots;"
        " print(slots.per_device(os.environ), {resources.gpu})' > {output}"
rule verify:
    input: "train"
    output: "verify"
    shell: "echo {resources.gpu} > {output}"
"""


@pytest.fixture(autouse=True)
def _machine(monkeypatch, tmp_path):
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))


def snakemake(*arguments, at, **environment):
    profile = ("--workflow-profile", "workflow/profiles/gpu")
    return run("snakemake", *arguments, "--cores", "2", *profile, at=at, **environment)


def provided(done):
    """How many of the resource there are."""
    [line] = re.findall(r"^Provided resources: gpu=(.*)$", done.stderr, re.M)
    return int(re.findall(r"\d+", line)[-1])


@pytest.fixture
def few_rules(tmp_path):
    """A workflow of two rules of these names, with the profile."""
    folder = tmp_path / "few"
    shutil.copytree(PROFILES / "gpu", folder / "workflow/profiles/gpu")
    (folder / "Snakefile").write_text(SNAKEFILE)
    return folder


@pytest.mark.parametrize(
    ("variables", "at_once", "of_device"),
    [
        ({slots.DEVICES: "0,1,2"}, 6, "2"),
        ({slots.DEVICES: "0,1,2", slots.PER_DEVICE: "1"}, 3, "1"),
        ({slots.DEVICES: "0,1,2", slots.VISIBLE: "2"}, 2, "2"),
    ],
)
def test_as_many_trainings_at_once_as_slots_and_each_job_knows_how_many_share_a_device(
    few_rules, variables, at_once, of_device
):
    done = snakemake(at=few_rules, **variables)
    assert done.returncode == 0, done.stderr
    assert provided(done) == at_once
    assert (few_rules / "train").read_text().split() == [of_device, "1"]
    assert (few_rules / "verify").read_text().split() == ["1"]


def test_without_a_gpu_the_cores_are_the_limit(few_rules):
    done = snakemake(at=few_rules, **{slots.DEVICES: ""})
    assert done.returncode == 0, done.stderr
    assert provided(done) == Places.of_profile(PROFILES / "gpu").count


def test_the_study_command_reads_the_profile_with_its_expressions_unfilled():
    folder = profile_path("gpu", PROFILES)
    assert executor_of(folder) == "local"
    assert Places.of_profile(folder).count == Places.of_profile(PROFILES / "default").count >= 1


def test_only_jobs_that_train_ask_for_a_gpu(tmp_path):
    at = workplace(tmp_path)
    (at / "tiny.yaml").write_text(yaml.safe_dump(_tiny()))
    done = snakemake("-n", "--config", "study=tiny.yaml", at=at, **{slots.DEVICES: "0,1"})
    assert jobs(done)["train"] == 1
    asks = re.findall(r"^(?:local)?rule (\w+):$.*?^    resources: (.*?)$", done.stdout, re.M | re.S)
    assert {rule for rule, of in asks if "gpu=1" in of} == {"train", "verify"}
    assert {rule for rule, of in asks if "gpu" not in of} >= {"gather", "predict", "judge"}


@pytest.mark.parametrize(("device", "locks"), [("cpu", 0), ("auto", 1)])
def test_trainings_run_on_the_cpu_where_the_devices_are_not_there(tmp_path, device, locks):
    """With ``auto`` each takes a slot all the same; one that is to use the CPU takes none."""
    at = workplace(tmp_path)
    (at / "tiny.yaml").write_text(yaml.safe_dump(_tiny() | {"device": device}))
    arguments = ("--until", "train", "--config", "study=tiny.yaml")
    done = snakemake(*arguments, at=at, **{slots.DEVICES: "0", slots.PER_DEVICE: "1"})
    assert done.returncode == 0, done.stderr
    logs = [RUN_LOG.read(path) for path in at.glob("results/tiny/logs/runs/*.parquet")]
    assert len(logs) == 1
    assert {name for log in logs for name in log["device"]} == {"cpu"}
    assert len([*(tmp_path / "temporary").rglob("*.lock")]) == locks


def _tiny():
    """A study of one cohort."""
    battery = TINY["batteries"]["training"]
    factors = {"activation": ["tanh"], "init": ["he"], "depth": [2]}
    train = {"steps": 3, "lr": 0.1, "batch": 16}
    seeds = {"judged": 1}
    return TINY | {
        "batteries": {"b": {**battery, "factors": factors, "train": train, "seeds": seeds}}
    }
