"""The workflow: lint, the smoke study end to end, and what reruns after a change."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from filelock import FileLock

from vanishing.tables import CURVES, LAYERS, LEDGER, OF_CLAIMS, RUNS
from vanishing.tables import TABLES as DECLARED

from .conftest import ROOT
from .workplaces import workplace

BIN = Path(sys.executable).parent
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


def run(*command: str, at: Path, **environment: str) -> subprocess.CompletedProcess:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=at,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )


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


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workplace in which the tiny study's tables are finished."""
    folder = workplace(tmp_path_factory.mktemp("tiny"))
    write_config(folder)
    done = snakemake(*TABLES, at=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished workplace, file times and all."""
    return Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))


def plan_of(folder: Path) -> set[str]:
    done = run("vanishing", "plan", CONFIG, "--out", "results/a study", at=folder)
    assert done.returncode == 0, done.stderr
    cohorts = json.loads((folder / "results/a study/plan.json").read_text())["cohorts"]
    return {cohort["id"] for cohort in cohorts}


def test_nothing_is_to_do_on_a_finished_study(finished):
    assert jobs(snakemake("-n", *TABLES, at=finished)) == {}


@pytest.mark.parametrize(
    ("grown", "trained"),
    [
        ({"factors": {**FACTORS, "depth": [2, 3]}}, 4),
        ({"factors": {**FACTORS, "activation": ["tanh", "relu", "my_parts:wave"]}}, 2),
        ({"seeds": {"tuning": 1, "judged": 4}}, 2),
    ],
    ids=["depth", "activation", "seeds"],
)
def test_a_grown_study_trains_only_what_is_new(copy, grown, trained):
    before = plan_of(copy)
    logs = {file: file.stat().st_mtime_ns for file in copy.glob("results/a study/logs/*/*.parquet")}
    write_config(copy, **grown)
    assert jobs(snakemake("-n", *TABLES, at=copy))["train"] == trained
    done = snakemake(*TABLES, at=copy)
    assert done.returncode == 0, done.stderr
    assert all(file.stat().st_mtime_ns == then for file, then in logs.items())
    assert before < plan_of(copy)
    runs = RUNS.read(copy / TABLES[0])
    wanted = json.loads((copy / "results/a study/plan.json").read_text())["members"]["training"]
    assert sorted(runs["run_id"]) == sorted(wanted)
    assert jobs(snakemake("-n", *TABLES, at=copy)) == {}


def test_a_touched_config_or_a_comment_in_it_retrains_nothing(copy):
    config = copy / CONFIG
    config.write_text("# a comment\n" + config.read_text())
    assert "train" not in jobs(snakemake("-n", *TABLES, at=copy))


@pytest.mark.parametrize(
    ("file", "old", "new", "rerun"),
    [
        ("parts/activations.py", "max(h, 0) + slope min(h, 0)", "another docstring", False),
        ("parts/losses.py", "NEAR = 0.04", "NEAR = 0.04  # a comment", False),
        (
            "parts/activations.py",
            "lambda h: torch.tanh(h),",
            "lambda h: torch.tanh(1.01 * h),",
            True,
        ),
        ("engine/stack.py", "change = lr *", "change = 2 * lr *", True),
        ("theory/slope.py", "min(2,", "min(1,", True),
        ("theory/fixed_points.py", "abs(first) < STILL", "abs(first) <= STILL", True),
    ],
)
def test_a_changed_formula_retrains_and_a_changed_comment_does_not(copy, file, old, new, rerun):
    source = copy / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("*.egg-info", "__pyc*"))
    code = (source / "vanishing" / file).read_text()
    assert code.count(old) == 1
    (source / "vanishing" / file).write_text(code.replace(old, new))
    planned = jobs(snakemake("-n", *TABLES, at=copy, PYTHONPATH=str(source)))
    assert ("train" in planned) == rerun
    assert ("gather" in planned) == rerun


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


def comparable(folder: Path) -> dict[str, pd.DataFrame]:
    tables = folder / "results/a study/tables"
    runs = RUNS.read(tables / "runs.parquet").drop(columns="seconds")
    return {
        "runs": runs,
        "layers": LAYERS.read(tables / "layers.parquet"),
        "curves": CURVES.read(tables / "curves.parquet"),
    }


@pytest.fixture
def smoke(tmp_path_factory, worker_id):
    """The smoke study, from nothing to its paper, as `make study STUDY=smoke` runs it.

    One worker makes it for all, and one test at a time works on it: its folder, and what the
    command printed.
    """
    root = tmp_path_factory.getbasetemp()
    folder = (root if worker_id == "master" else root.parent) / "smoke"
    said = folder.with_suffix(".txt")
    with FileLock(folder.with_suffix(".lock")):
        if not said.exists():
            done = run("vanishing", "study", "smoke", at=workplace(folder))
            assert done.returncode == 0, done.stdout + done.stderr
            said.write_text(done.stdout)
        yield folder, said.read_text()


@pytest.mark.slow
def test_the_smoke_study_ends_in_a_paper_and_says_where(smoke):
    folder, said = smoke
    for name in ("paper.html", "paper.pdf"):
        assert f"results/smoke/report/{name}" in said
        assert (folder / "results/smoke/report" / name).stat().st_size > 50_000


@pytest.mark.slow
def test_the_smoke_study_decides_no_claim(smoke):
    ledger = LEDGER.read(smoke[0] / "results/smoke/claims/ledger.parquet")
    assert not set(ledger["verdict"]) & {"SUPPORTED", "REFUTED", "CONDITIONAL"}
    assert (ledger["planned"] == ledger["done"]).all()


@pytest.mark.slow
def test_a_second_study_has_nothing_to_do_and_says_so(smoke):
    done = run("vanishing", "study", "smoke", at=smoke[0])
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert jobs(snakemake("-n", at=smoke[0], study="smoke")) == {}


@pytest.mark.slow
def test_every_table_says_where_it_comes_from(smoke):
    from vanishing.table import provenance_of

    tables = sorted(smoke[0].glob("results/smoke/tables/*.parquet"))
    assert {file.stem for file in tables} <= set(DECLARED)
    for file in tables:
        assert provenance_of(file)["packages"]["torch"]


@pytest.mark.slow
def test_the_smoke_study_ends_in_a_bundle(smoke):
    with zipfile.ZipFile(smoke[0] / "results/smoke/report/bundle.zip") as bundle:
        names = set(bundle.namelist())
    assert {f"tables/{name}.parquet" for name in DECLARED if name not in OF_CLAIMS} <= names
    assert {f"claims/{name}.parquet" for name in OF_CLAIMS} <= names
    assert {"report/paper.pdf", "config/smoke.yaml", "notebooks/signal.ipynb"} <= names


@pytest.mark.slow
def test_snakemakes_own_report_is_written_without_a_network(smoke):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = run("vanishing", "report", "smoke", at=smoke[0], **nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(smoke[0] / done.stdout.splitlines()[-1]) as report:
        shown = {Path(name).name for name in report.namelist()}
        page = report.read("technical/report.html").decode()
    assert {"report.html", "paper.pdf", "ledger.parquet", "runs.parquet", "signal.ipynb"} <= shown
    assert {"profiles.svg", "ledger.svg", "rulegraph.svg"} <= shown
    assert "The ledger: a row for each claim" in page
    assert not re.search(r'<(?:script|link|img)[^>]* (?:src|href)="http', page)


def test_the_workflow_is_formatted_and_has_no_lint():
    formatted = run("snakefmt", "--check", "Snakefile", "workflow/rules", at=ROOT)
    assert formatted.returncode == 0, formatted.stderr
    linted = run("snakemake", "--lint", at=ROOT)
    assert linted.returncode == 0, linted.stderr


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
