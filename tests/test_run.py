"""Running a study: what a person sees, and what is left after failures, stops and kills."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from vanishing.errors import UserError
from vanishing.study import head, plan, preloaded, processes, progress, run, status
from vanishing.study.description import description
from vanishing.study.display import Clock, picture, summary
from vanishing.study.sizes import Places
from vanishing.tables import LOGS as TABLES

from . import lazy_head

ROOT = Path(__file__).parents[1]
CONFIG = """
batteries:
  only:
    family: mlp
    task: digits
    factors: {activation: [tanh], init: [he], depth: [4]}
    width: 8
    seeds: {judged: 2}
    train: {steps: 0}
"""
# A study of two cohorts, a and b: the file `hold` keeps their jobs waiting, `boom` fails b's.
SNAKEFILE = """
R = "results/" + Path(config["study"]).stem
TABLES = NAMES
LOGS = [f"{R}/logs/{t}/{c}.parquet" for t in TABLES for c in "ab"]

rule all:
    input: R + "/report/paper.html", R + "/report/paper.pdf"

rule plan:
    output: R + "/plan.json"
    shell: "cp plan.json {output}"

rule train:
    input: R + "/plan.json"
    output: [f"{R}/logs/{t}/{{c}}.parquet" for t in TABLES]
    log: R + "/logs/train/{c}.log"
    shell:
        "echo begun > {log}; echo {wildcards.c} >> trained;"
        " while test -e hold; do sleep 0.1; done;"
        " if test {wildcards.c} = b -a -e boom; then echo 'no [such] rate' >> {log}; exit 3; fi;"
        " env > {wildcards.c}.env; touch {output}"

rule paper:
    input: LOGS
    output: R + "/report/paper.html", R + "/report/paper.pdf"
    shell: "touch {output}"
""".replace("NAMES", repr(tuple(TABLES)))
PLAN = {
    "study": "tiny",
    "cohorts": [{"id": c, "runs": n, "flops": 1e9} for c, n in (("a", 1), ("b", 3))],
    "members": {"only": ["r1", "r2", "r3", "r4"]},
}
RUNS = {"a": ["r1"], "b": ["r2", "r3", "r4"]}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The folder of a project with the study above, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setattr(preloaded, "running", lazy_head.lazily)
    profile = tmp_path / "workflow/profiles/default"
    profile.mkdir(parents=True)
    source = ROOT / "workflow/profiles/default/config.yaml"
    (profile / "config.yaml").write_text(source.read_text())
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    cohorts = tmp_path / "results/tiny/cohorts"
    cohorts.mkdir(parents=True)
    for name, runs in RUNS.items():
        (cohorts / f"{name}.json").write_text(json.dumps({"runs": [{"run_id": r} for r in runs]}))
    yield tmp_path
    (tmp_path / "hold").unlink(missing_ok=True)
    processes.stop_below(tmp_path / "results/tiny")


@pytest.fixture
def begin(study):
    """Start the study in a process of its own, its jobs held; killed when the test ends."""
    begun = []

    def start(*wrapper, **environment):
        (study / "hold").touch()
        process = subprocess.Popen(
            [*wrapper, sys.executable, lazy_head.__file__, "study", "tiny.yaml"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
            start_new_session=True,
        )
        begun.append(process)
        until(lambda: (study / "results/tiny/logs/train").exists() and running_jobs(study))
        return process

    yield start
    for process in begun:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def until(holds, patience=30):
    """Wait until ``holds()``, at most ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def running_jobs(study):
    """The processes of the study below its head."""
    return processes.below(study / "results/tiny")


def test_study_runs_to_the_paper_and_then_has_nothing_to_do(study, capsys):
    assert run.run_study("tiny.yaml") == 0
    said = capsys.readouterr().out
    assert re.search(r"tiny: 2 runs in 1 cohorts: about .* on \d+ core", said)
    assert re.search(
        r"done in \d+ s\n  results/tiny/report/paper.html\n  results/.*paper.pdf", said
    )
    assert "localrule" not in said  # Snakemake's own words are in the log only
    assert "localrule train:" in (study / "results/tiny/snakemake.log").read_text()

    assert run.run_study("tiny.yaml") == 0
    said = capsys.readouterr().out
    assert "nothing to do: results/tiny is up to date\n  results/tiny/report/paper.html" in said
    assert sorted((study / "trained").read_text().split()) == ["a", "b"]

    environment = (study / "a.env").read_text().splitlines()
    assert "OMP_NUM_THREADS=1" in environment
    assert f"MPLCONFIGDIR={study}/results/tiny/.cache/matplotlib" in environment
    [path] = [line for line in environment if line.startswith("PATH=")]
    assert path.startswith(f"PATH={Path(sys.executable).parent}:")


def test_failed_job_is_named_with_the_end_of_its_log_and_what_is_finished_is_kept(study, capsys):
    (study / "boom").touch()
    assert run.run_study("tiny.yaml") == 1
    said = capsys.readouterr().err
    assert "failed: train b: user error: no [such] rate\n" in said
    assert "the end of results/tiny/logs/train/b.log:\n  begun\n  no [" in said
    assert (
        "1 job failed; what is finished is kept. The whole log: results/tiny/snakemake.log" in said
    )
    (study / "results/tiny/index.json").unlink()  # of the config, of which PLAN is not
    runs = progress.progress(Path("results/tiny")).runs
    assert runs == {"done": 1, "running": 0, "failed": 3, "interrupted": 0, "left": 0}
    status.show("tiny.yaml")
    assert "failed: train b (results/tiny/logs/train/b.log)" in capsys.readouterr().out

    (study / "boom").unlink()
    assert run.run_study("tiny.yaml") == 0
    assert sorted((study / "trained").read_text().split()) == ["a", "b", "b"]


@pytest.mark.usefixtures("study")
def test_header_says_the_time_that_the_plan_says():
    planned, places = plan.make("tiny.yaml"), Places(3, "3 cores")
    [said] = re.findall("about (.*) on 3 cores", run.header(planned, Path("results/tiny"), places))
    assert f"{said} on 3 cores" in description(planned, places)


def every_cohort_fails(study, names):
    """Make the study one of so many cohorts, each of which fails alike after a second."""
    text = SNAKEFILE.replace('"ab"', repr(names))
    text = text.replace("test {wildcards.c} = b -a -e boom", "sleep 1")
    (study / "Snakefile").write_text(text)
    cohorts = [{"id": c, "runs": 1, "flops": 1e9} for c in names]
    (study / "plan.json").write_text(json.dumps({**PLAN, "cohorts": cohorts}))


def test_one_error_in_cohort_after_cohort_stops_the_study_early(study, capsys):
    names = "abcdefghijklmnopqrstuvwxyz0123456789"
    every_cohort_fails(study, names)
    assert run.run_study("tiny.yaml", limit=3) == 1
    said = capsys.readouterr().err
    assert re.search(r"stopped early: \d+ cohorts failed of the same error, none finished", said)
    assert re.search(r"failed: \d+ jobs, train \w among them: user error: no \[such\] rate", said)
    assert said.count("the end of results/tiny/logs/train/") == 1
    assert 3 <= len((study / "trained").read_text().split()) < len(names)
    assert not running_jobs(study)
    assert not list((study / ".snakemake/locks").glob("*"))


def test_without_a_budget_all_is_tried_and_one_error_is_told_once(study, capsys):
    every_cohort_fails(study, "abcd")
    assert run.run_study("tiny.yaml", limit=0) == 1
    said = capsys.readouterr().err
    assert "failed: 4 jobs, train" in said
    assert said.count("no [such] rate") == 2  # its class, and the end of one log
    assert "4 jobs failed; what is finished is kept." in said


def test_error_in_the_workflow_itself_shows_the_end_of_its_log(study, capsys):
    (study / "Snakefile").write_text("rule all:\n    input: 'nowhere'\n")
    assert run.run_study("tiny.yaml") == 1
    assert re.search(r"MissingInputException.*\n(.*\n)*.*nowhere", capsys.readouterr().err)


def test_second_start_is_refused_while_the_first_lives(study, begin):
    process = begin()
    refused = rf"worked on already, by process {process.pid} on"
    with pytest.raises(UserError, match=refused), head.only_head(Path("results/tiny"), patience=0):
        pass
    assert f"process {process.pid}" in status.Status("tiny.yaml").headline()
    (study / "hold").unlink()
    assert "done in" in process.communicate()[0]
    assert process.returncode == 0
    assert head.head(Path("results/tiny")) is None


def test_killed_head_is_recovered_from_and_finished_cohorts_are_kept(study, begin):
    process = begin()
    process.kill()
    process.wait()
    left = running_jobs(study)
    assert left  # Snakemake lives on without its head
    assert head.head(Path("results/tiny")) is None
    (study / "trained").unlink()
    with head.only_head(Path("results/tiny")):
        assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in left)
    assert not list((study / ".snakemake/locks").glob("*"))
    (study / "hold").unlink()
    assert run.run_study("tiny.yaml") == 0
    assert sorted((study / "trained").read_text().split()) == ["a", "b"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_leaves_nothing_running_and_says_how_to_go_on(study, begin, number):
    process = begin()
    process.send_signal(number)
    said = process.communicate()[0]
    assert f"stopped ({number.name}); finished cohorts are kept: vanishing study tiny.yaml" in said
    assert process.returncode == 128 + number
    assert not running_jobs(study)
    assert not list((study / ".snakemake/locks").glob("*"))


def test_death_of_make_ends_the_study(study, begin):
    make = begin("sh", "-c", '"$@"; :', "sh", MAKELEVEL="1")
    [runner] = psutil.Process(make.pid).children()
    make.kill()
    make.wait()
    until(lambda: not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE)
    assert not running_jobs(study)


@pytest.mark.usefixtures("study")
def test_unknown_profile_is_refused_with_the_names_that_exist():
    with pytest.raises(UserError, match=r"no profile is called 'defalt'.*mean 'default'"):
        run.run_study("tiny.yaml", profile="defalt")


@pytest.mark.usefixtures("study")
def test_negative_budget_is_refused():
    with pytest.raises(UserError, match="--failures must be a whole number from 0 on, and -1 came"):
        run.run_study("tiny.yaml", limit=-1)


def test_study_without_a_workflow_beside_it_is_refused(study):
    (study / "Snakefile").unlink()
    with pytest.raises(UserError, match="Snakefile is not here"):
        run.run_study("tiny.yaml")


def test_locks_of_another_study_are_left_alone(study):
    locks = study / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/tiny/plan.json\n")
    (locks / "1.output.lock").write_text("results/tiny2/plan.json\n")
    head.remove_stale_locks(Path("results/tiny"))
    assert [lock.name for lock in locks.iterdir()] == ["1.output.lock"]


def test_time_left_counts_down_between_finished_cohorts(study):
    (study / "results/tiny/plan.json").write_text(json.dumps(PLAN))
    state = progress.progress(Path("results/tiny"))
    now = iter([100.0, 100.0, 103.0, 103.0])
    clock = Clock(cores=1, now=lambda: next(now))
    assert clock.left(state) == pytest.approx(state.seconds_left(1))
    assert clock.left(state) == pytest.approx(state.seconds_left(1) - 3)


def test_picture_and_line_show_runs_done_of_how_many(study):
    (study / "results/tiny/plan.json").write_text(json.dumps(PLAN))
    log = "Job stats:\njob  count\n---- -----\ntrain  2\npaper  1\ntotal  3\n"
    (study / "results/tiny/snakemake.log").write_text(f"\n=== start\n{log}")
    state = progress.progress(Path("results/tiny"))
    assert summary(state) == "training: 0 of 4 runs"
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(picture(state, 125))
    drawn = console.export_text()
    assert "0 of 4 runs" in drawn
    assert "about 2 min 5 s left" in drawn


def test_study_and_its_runner_import_neither_torch_nor_pandas():
    code = (
        "import sys, vanishing.study.run, vanishing.study.status;"
        "print({'torch', 'pandas', 'sklearn'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"
