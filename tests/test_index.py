"""The index of a plan: what Snakemake's jobs read, and when a study is planned anew."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from vanishing.cli import main
from vanishing.study import index, plan

BATTERY = {
    "family": "mlp",
    "task": {"npz": {"path": "mine.npz"}},
    "factors": {"activation": ["tanh", "relu"], "init": ["he"], "depth": [2]},
    "width": 8,
    "seeds": {"tuning": 1, "judged": 2},
    "train": {"steps": 6, "lr": [0.1, 0.3], "batch": 16},
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A planned study on data of the user's own, with its index written."""
    monkeypatch.chdir(tmp_path)
    write_data(0)
    write_config(depth=[2])
    index.refresh("mine.yaml")
    return tmp_path / "results/mine/index.json"


def write_config(seeds=None, **factors):
    battery = {**BATTERY, "factors": {**BATTERY["factors"], **factors}}
    battery |= {"seeds": seeds or BATTERY["seeds"]}
    Path("mine.yaml").write_text(yaml.safe_dump({"batteries": {"mine": battery}}))


def write_data(seed):
    draw = np.random.default_rng(seed)
    np.savez("mine.npz", x=draw.normal(size=(40, 3)), y=np.arange(40) % 2)


@pytest.mark.usefixtures("study")
def test_written_index_says_what_the_plan_says():
    planned, read = plan.make("mine.yaml"), index.of_study("mine.yaml")
    assert read == index.of_plan(planned)
    assert set(read.jobs) == set(planned.by_id)
    for id_, job in read.jobs.items():
        assert job.runs == len(planned.by_id[id_].members)
        assert job.tuning == planned.tuning_of[id_]
        assert job.seconds > 0
        assert job.memory_mb > 0


def test_index_promises_no_cohort_whose_file_is_missing(study):
    files = {file.stem for file in (study.parent / "cohorts").iterdir()}
    assert files == set(index.of_study("mine.yaml").jobs)


def test_plan_of_a_running_study_keeps_its_cohorts_when_logs_go_away(study):
    """Snakemake removes the logs of what it makes again, before the rule plan runs."""
    results = study.parent
    for id_ in index.of_study("mine.yaml").jobs:
        (results / "logs/runs").mkdir(parents=True, exist_ok=True)
        (results / f"logs/runs/{id_}.parquet").touch()
    write_config(seeds={"tuning": 1, "judged": 4})
    index.refresh("mine.yaml")
    for file in results.glob("logs/runs/*"):
        file.unlink()
    assert main(["plan", "mine.yaml", "--out", str(results)]) == 0
    planned = json.loads((results / "plan.json").read_text())["cohorts"]
    assert {cohort["id"] for cohort in planned} == set(index.of_study("mine.yaml").jobs)
    assert len(planned) > len(plan.make("mine.yaml").cohorts)  # which would be laid out otherwise


def test_missing_cohort_files_are_written_again(study):
    shutil.rmtree(study.parent / "cohorts")
    index.refresh("mine.yaml")
    assert {file.stem for file in (study.parent / "cohorts").iterdir()} == set(
        index.of_study("mine.yaml").jobs
    )


@pytest.mark.parametrize("change", [lambda: write_config(depth=[2, 3]), lambda: write_data(1)])
@pytest.mark.usefixtures("study")
def test_study_is_planned_anew_when_config_or_data_change_and_not_in_its_jobs(change):
    before = index.of_study("mine.yaml")
    change()
    assert index.of_study("mine.yaml", in_job=True) == before
    assert index.of_study("mine.yaml").digest != before.digest
    index.refresh("mine.yaml")
    assert index.of_study("mine.yaml", in_job=True).digest != before.digest


def test_index_that_holds_is_not_written_again(study):
    written = study.stat().st_mtime_ns
    index.refresh("mine.yaml")
    assert study.stat().st_mtime_ns == written


@pytest.mark.parametrize("text", ["", "{", "[]", "[{}]", "3", '{"key": 1}'])
def test_damaged_index_is_no_index(study, text):
    whole = index.of_study("mine.yaml")
    study.write_text(text)
    assert index.of_study("mine.yaml", in_job=True) == whole
    index.refresh("mine.yaml")
    assert index.of_study("mine.yaml") == whole


@pytest.mark.usefixtures("study")
def test_job_that_reads_the_index_loads_nothing_that_planning_needs():
    code = (
        "import sys; from vanishing.study import index; from vanishing.tables import LOGS;"
        "index.of_study('mine.yaml', in_job=True);"
        "print(sorted({'pydantic', 'torch', 'pandas', 'numpy', 'vanishing.study.plan'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_run_of_another_seed_has_the_id_that_it_would_have_by_itself():
    first = plan.make("smoke").grids["training"].judged[0]
    for seed in (0, 1, 7, 10_000):
        other, fresh = first.of_seed(seed), dataclasses.replace(first, seed=seed)
        assert other == fresh
        assert (other.run_id, other.cell) == (fresh.run_id, fresh.cell)
