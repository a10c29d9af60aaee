"""The workflow: the smoke study from end to end, and what reruns after a change."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from vanishing.study import plan, preloaded
from vanishing.tables import LEDGER, OF_CLAIMS, RUNS
from vanishing.tables import TABLES as DECLARED

from .conftest import ROOT
from .workplaces import run, smoke_study, workplace

CONFIG = "a study.yaml"  # with a space, as a user's own may have
OWN_PART = """
import torch
from vanishing.parts.activations import Activation

wave = Activation(lambda h: torch.sin(h), "a part of the user's own")
"""
TINY = {
    "cohort_flops": 2e10,
    "verdicts": False,
    "batteries": {
        "training": {
            "family": "mlp",
            "task": "digits",
            "factors": {"activation": ["tanh", "my_parts:wave"], "init": ["he"], "depth": [2]},
            "width": 8,
            "seeds": {"tuning": 1, "judged": 2},
            "train": {"steps": 6, "lr": [0.1, 0.3], "batch": 16},
            "probes": {"batch": 16},
        }
    },
}

FACTORS = TINY["batteries"]["training"]["factors"]


def snakemake(*arguments: str, at: Path, study: str = CONFIG, **environment: str):
    """Snakemake as the profile runs it, on 2 cores."""
    return run(
        "snakemake", *arguments, "--config", f"study={study}", "--cores", "2",
        "--workflow-profile", "workflow/profiles/default", at=at, **environment,
    )  # fmt: skip


def jobs(done: subprocess.CompletedProcess) -> dict[str, int]:
    """Jobs of each rule that a dry run lists."""
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule != "total"}


def write_config(folder: Path, **blocks: object) -> None:
    battery = {**TINY["batteries"]["training"], **blocks}
    (folder / "my_parts.py").write_text(OWN_PART)
    (folder / CONFIG).write_text(yaml.safe_dump({**TINY, "batteries": {"training": battery}}))


# The tables alone: the report has tests of its own.
TABLES = [f"results/a study/tables/{name}.parquet" for name in ("runs", "predictions")]


def finish(folder: Path) -> None:
    """Make the tables; its trainings are forked, as those of `vanishing study` are."""
    with preloaded.running({**os.environ, "OMP_NUM_THREADS": "1"}) as variables:
        done = snakemake(*TABLES, at=folder, **variables)
    assert done.returncode == 0, done.stderr


def tiny_study(folder: Path) -> None:
    write_config(workplace(folder))
    finish(folder)


@pytest.fixture(scope="module")
def finished(once):
    """A workplace in which the tiny study's tables are finished."""
    return once("tiny", tiny_study)


@pytest.fixture
def copy(finished, tmp_path, monkeypatch):
    """A copy of the finished workplace, file times and all; its own part is found."""
    folder = Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))
    monkeypatch.syspath_prepend(folder)
    return folder


def cohorts(folder: Path) -> set[str]:
    """The cohorts of the study as its config is now."""
    planned = plan.make(folder / CONFIG, folder / "results" / Path(CONFIG).stem)
    return {cohort.id for cohort in planned.cohorts}


def test_nothing_is_to_do_on_a_finished_study(finished):
    assert jobs(snakemake("-n", *TABLES, at=finished)) == {}


DEEPER = {"factors": {**FACTORS, "depth": [2, 3]}}
MORE_PARTS = {"factors": {**FACTORS, "activation": ["tanh", "relu", "my_parts:wave"]}}
MORE_SEEDS = {"seeds": {"tuning": 1, "judged": 4}}


@pytest.mark.parametrize(
    ("grown", "trained"),
    [(DEEPER, 4), (MORE_PARTS, 2), (MORE_SEEDS, 2)],
    ids=["depth", "activation", "seeds"],
)
def test_a_grown_study_is_to_train_only_what_is_new(copy, grown, trained):
    before = cohorts(copy)
    write_config(copy, **grown)
    assert before < cohorts(copy)
    assert len(cohorts(copy) - before) == trained
    assert jobs(snakemake("-n", *TABLES, at=copy))["train"] == trained


@pytest.mark.slow
def test_a_study_that_grew_in_every_way_trains_only_what_is_new_and_is_whole(copy):
    before = cohorts(copy)
    logs = {file: file.stat().st_mtime_ns for file in copy.glob("results/a study/logs/*/*.parquet")}
    factors = MORE_PARTS["factors"] | {"depth": [2, 3]}
    write_config(copy, factors=factors, **MORE_SEEDS)
    finish(copy)
    assert all(file.stat().st_mtime_ns == then for file, then in logs.items())
    assert before < cohorts(copy)
    runs = RUNS.read(copy / TABLES[0])
    wanted = json.loads((copy / "results/a study/plan.json").read_text())["members"]["training"]
    assert sorted(runs["run_id"]) == sorted(wanted)
    assert jobs(snakemake("-n", *TABLES, at=copy)) == {}


def test_a_touched_config_or_a_comment_in_it_retrains_nothing(copy):
    config = copy / CONFIG
    config.write_text("# a comment\n" + config.read_text())
    assert "train" not in jobs(snakemake("-n", *TABLES, at=copy))


@pytest.fixture
def source(tmp_path):
    """A copy of the package: its folder is to be the first of the PYTHONPATH."""
    ignored = shutil.ignore_patterns("*.egg-info", "__pyc*")
    return Path(shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignored))


def change(source: Path, file: str, old: str, new: str) -> None:
    path = source / "vanishing" / file
    code = path.read_text()
    assert code.count(old) == 1
    path.write_text(code.replace(old, new))


SILENT = [
    ("parts/activations.py", "max(h, 0) + slope min(h, 0)", "another docstring"),
    ("parts/losses.py", "NEAR = 0.04", "NEAR = 0.04  # a comment"),
]
FORMULAS = [
    ("parts/activations.py", "lambda h: torch.tanh(h),", "lambda h: torch.tanh(1.01 * h),"),
    ("engine/updates.py", "direction, value=-1)", "direction, value=-2)"),
    ("theory/slope.py", "min(2,", "min(1,"),
    ("theory/fixed_points.py", "abs(first) < STILL", "abs(first) <= STILL"),
]


@pytest.mark.parametrize(("changes", "rerun"), [(SILENT, False), (FORMULAS[-1:], True)])
def test_a_changed_formula_retrains_and_a_changed_comment_does_not(copy, source, changes, rerun):
    for one in changes:
        change(source, *one)
    planned = jobs(snakemake("-n", *TABLES, at=copy, PYTHONPATH=str(source)))
    assert ("train" in planned) == rerun
    assert ("gather" in planned) == rerun


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda change: change[0])
def test_every_formula_counts_for_the_code_of_a_training(source, formula):
    """By which Snakemake knows, as the test before shows for one of them."""
    asked = "from vanishing.provenance import training_code; print(training_code([]))"
    before = run(sys.executable, "-c", asked, at=source, PYTHONPATH=str(source)).stdout
    change(source, *formula)
    after = run(sys.executable, "-c", asked, at=source, PYTHONPATH=str(source)).stdout
    assert before.strip()
    assert after.strip()
    assert before != after


def test_a_changed_part_of_ones_own_retrains_and_predicts_its_cells(copy):
    (copy / "my_parts.py").write_text(OWN_PART.replace("torch.sin(h)", "torch.sin(2 * h)"))
    assert jobs(snakemake("-n", *TABLES, at=copy)) == {"train": 2, "gather": 1, "predict": 1}


def test_a_mistake_in_the_config_is_told_before_anything_runs(tmp_path):
    folder = workplace(tmp_path)
    write_config(folder, seedz={"judged": 1})
    done = run("vanishing", "plan", CONFIG, at=folder)
    assert done.returncode == 2
    assert "no key is called 'seedz'. Did you mean 'seeds'" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("vanishing", "study", CONFIG, at=folder)
    assert done.returncode == 2
    assert "Did you mean 'seeds'" in done.stderr
    assert not (folder / "results").exists()


@pytest.fixture
def smoke(once):
    """The folder of the smoke study, from nothing to its paper; one test at a time works on it."""
    folder = once("smoke", smoke_study)
    with FileLock(folder.with_suffix(".used")):
        yield folder


@pytest.mark.slow
def test_the_smoke_study_ends_in_a_paper_and_says_where(smoke):
    said = (smoke / "said.txt").read_text()
    for name in ("paper.html", "paper.pdf"):
        assert f"results/smoke/report/{name}" in said
        assert (smoke / "results/smoke/report" / name).stat().st_size > 50_000


@pytest.mark.slow
def test_the_smoke_study_decides_no_claim(smoke):
    ledger = LEDGER.read(smoke / "results/smoke/claims/ledger.parquet")
    assert not set(ledger["verdict"]) & {"SUPPORTED", "REFUTED", "CONDITIONAL"}
    assert (ledger["planned"] == ledger["done"]).all()


@pytest.mark.slow
def test_a_second_study_has_nothing_to_do_and_says_so(smoke):
    done = run("vanishing", "study", "smoke", at=smoke)
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert jobs(snakemake("-n", at=smoke, study="smoke")) == {}


@pytest.mark.slow
def test_every_table_says_where_it_comes_from(smoke):
    from vanishing.table import provenance_of

    tables = sorted(smoke.glob("results/smoke/tables/*.parquet"))
    assert {file.stem for file in tables} <= set(DECLARED)
    for file in tables:
        assert provenance_of(file)["packages"]["torch"]


@pytest.mark.slow
def test_the_smoke_study_ends_in_a_bundle(smoke):
    with zipfile.ZipFile(smoke / "results/smoke/report/bundle.zip") as bundle:
        names = set(bundle.namelist())
    assert {f"tables/{name}.parquet" for name in DECLARED if name not in OF_CLAIMS} <= names
    assert {f"claims/{name}.parquet" for name in OF_CLAIMS} <= names
    assert {"report/paper.pdf", "config/smoke.yaml", "notebooks/signal.ipynb"} <= names


@pytest.mark.slow
def test_snakemakes_own_report_is_written_without_a_network(smoke):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = run("vanishing", "report", "smoke", at=smoke, **nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(smoke / done.stdout.splitlines()[-1]) as report:
        shown = {Path(name).name for name in report.namelist()}
        page = report.read("technical/report.html").decode()
    assert {"report.html", "paper.pdf", "ledger.parquet", "runs.parquet", "signal.ipynb"} <= shown
    assert {"profiles.svg", "ledger.svg", "rulegraph.svg"} <= shown
    assert "The ledger: a row for each claim" in page
    assert not re.search(r'<(?:script|link|img)[^>]* (?:src|href)="http', page)


def test_parsing_the_workflow_loads_nothing_that_training_or_planning_needs(finished):
    """Every job parses the Snakefile again. (Snakemake's own SLURM plugin takes pandas.)"""
    done = run(
        sys.executable, "-X", "importtime", "-m", "snakemake", "--list-rules",
        "--config", "study=a study.yaml", at=finished,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "vanishing.study.index" in loaded
    assert not loaded & {"torch", "scipy", "vanishing.study.plan"}
