"""``vanishing status``: what it says of a study from its files alone, in whatever state."""

import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from vanishing.study import outcomes, status
from vanishing.study.beats import beats
from vanishing.study.progress import Watch, progress
from vanishing.tables import LOGS

RESULTS = Path("results/tiny")
COHORTS = {"a": ["r1"], "b": ["r2", "r3", "r4"], "c": ["r5", "r6"]}
NODE = "node1"  # another machine than ours: its processes cannot be looked up


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of three cohorts in two batteries, planned and not begun."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").touch()
    (RESULTS / "cohorts").mkdir(parents=True)
    for name, runs in COHORTS.items():
        said = {"runs": [{"run_id": run} for run in runs]}
        (RESULTS / "cohorts" / f"{name}.json").write_text(json.dumps(said))
    plan = {
        "study": "tiny",
        "cohorts": [{"id": c, "runs": len(runs), "flops": 2e12} for c, runs in COHORTS.items()],
        "members": {"one": ["r1", "r2", "r3", "r4"], "two": ["r4", "r5", "r6"]},
    }
    (RESULTS / "plan.json").write_text(json.dumps(plan))
    return tmp_path


def finish(name, outcome=("trained",)):
    """Write the logs of a cohort; its runs came to ``outcome``, one after the other."""
    for table in LOGS:
        (RESULTS / "logs" / table).mkdir(parents=True, exist_ok=True)
        (RESULTS / "logs" / table / f"{name}.parquet").touch()
    runs = COHORTS[name]
    ends = [outcome[i % len(outcome)] for i in range(len(runs))]
    rows = pd.DataFrame({"run_id": runs, "outcome": ends, "seconds": 2.0})
    rows.to_parquet(RESULTS / "logs/runs" / f"{name}.parquet")


def beat(name, age=0.0, **said):
    """Leave a sign of life of a cohort's job, ``age`` seconds old."""
    began = time.time() - age - 100
    whole = {
        "host": NODE, "pid": 7, "job": "12", "started": began, "beat": began + 100, "runs": 3,
        "done": 1, "step": 40, "steps": 200, **said,
    }  # fmt: skip
    file = RESULTS / "running" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(whole))
    os.utime(file, (time.time() - age,) * 2)


def head(**said):
    """Leave the record of a head, of this machine and dead unless told."""
    record = {"pid": 2**22 + 1, "started": 1.0, "host": platform.node(), "executor": "slurm"}
    (RESULTS / ".running.json").write_text(json.dumps({**record, **said}))


def shown(width=80):
    """What ``vanishing status`` prints, in so many columns."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    said = status.Status("tiny.yaml")
    status._print(console, said.parts(width))
    return console.file.getvalue()


def row(said, name):
    """The numbers of a battery."""
    [line] = [line for line in said.splitlines() if line.startswith(name)]
    return [int(number) for number in re.findall(r"(?<= )\d+\b", line)]


def states():
    """The state of each cohort."""
    return {cohort.id: cohort.state for cohort in progress(RESULTS).cohorts}


@pytest.mark.usefixtures("study")
def test_runs_are_counted_by_battery_and_a_shared_one_once_in_the_total():
    finish("b", ("trained", "diverged", "diverged"))
    (RESULTS / "logs/runs/a.parquet").touch()  # one of its logs: not done
    said = shown()
    assert said.startswith("tiny: 3 of 6 runs trained, nothing is running now")
    header = ["battery", "runs", "done", "diverged", "running", "failed", "left"]
    assert header in [line.split() for line in said.splitlines()]
    assert row(said, "one") == [4, 3, 2, 0, 0, 1]
    assert row(said, "two") == [3, 1, 1, 0, 0, 2]
    assert row(said, "total") == [6, 3, 2, 0, 0, 3]
    assert re.search(r"^b +1 min 4\d s +6 s +done, 3 runs", said, re.MULTILINE)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("table", LOGS)
def test_a_cohort_is_done_when_all_its_logs_are_there(table):
    finish("a")
    assert states()["a"] == "done"
    (RESULTS / "logs" / table / "a.parquet").unlink()
    assert states()["a"] == "left"


@pytest.mark.usefixtures("study")
def test_jobs_on_a_cluster_are_seen_after_their_head_died():
    head()
    beat("a")
    beat("b", age=60, job="13")
    assert states() == {"a": "running", "b": "running", "c": "left"}
    said = shown(100)
    assert re.search(r"0 of 6 runs trained, about .* left, but its head is gone", said)
    assert "on the cluster: jobs 12, 13 on node1" in said
    assert ", and its jobs on the cluster go on: vanishing recover tiny.yaml" in said
    assert re.search(r"a .* 1 min 40 s  1/3 runs, step 40/200, job 12 on node1", said)


@pytest.mark.usefixtures("study")
def test_an_old_sign_or_a_checkpoint_alone_is_of_an_interrupted_cohort():
    beat("a", age=500)
    (RESULTS / "checkpoints" / "b").mkdir(parents=True)
    assert states() == {"a": "interrupted", "b": "interrupted", "c": "left"}
    said = shown()
    assert "interrupted: 2 cohorts, 1 of them will go on from a checkpoint" in said
    assert row(said, "total") == [6, 0, 0, 0, 0, 4, 2]


@pytest.mark.usefixtures("study")
def test_a_process_of_this_machine_that_is_gone_runs_no_more():
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    beat("a", host=platform.node(), pid=ended.pid, job="")
    beat("b", host=platform.node(), pid=os.getpid(), job="")
    assert states() == {"a": "interrupted", "b": "running", "c": "left"}


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    "said",
    [{"started": 4e9}, {"started": 0.0}, {"beat": 0.0}, {"started": -1e300}],
    ids=["future", "1970", "back", "absurd"],
)
def test_a_clock_that_jumps_gives_no_time_rather_than_a_wrong_one(said):
    beat("a", **said)
    assert beats(RESULTS)["a"].elapsed is None
    assert re.search(r"^a  +1 min 4\d s +\?  1/3 runs", shown(), re.MULTILINE)


@pytest.mark.usefixtures("study")
def test_a_sign_from_the_future_is_of_a_clock_put_back():
    beat("a", age=-3600)
    beat("b", age=-60)
    assert states() == {"a": "interrupted", "b": "running", "c": "left"}


@pytest.mark.usefixtures("study")
def test_pace_of_a_clock_that_jumped_by_years_is_not_believed():
    plan = json.loads((RESULTS / "plan.json").read_text())
    plan["cohorts"] = [{"id": f"c{i}", "runs": 1, "flops": 2e12} for i in range(9)]
    (RESULTS / "plan.json").write_text(json.dumps(plan))
    began = time.time() - 100
    head(host=NODE, since=began)
    for i in range(5):
        for table in LOGS:
            (RESULTS / "logs" / table).mkdir(parents=True, exist_ok=True)
            (RESULTS / "logs" / table / f"c{i}.parquet").touch()
    assert progress(RESULTS).pace == pytest.approx(500 / 100, rel=0.1)
    later = began + 3 * 365 * 24 * 3600
    os.utime(RESULTS / "logs/runs/c0.parquet", (later, later))
    assert progress(RESULTS).pace is None
    assert progress(RESULTS).seconds_left(1) < 3600


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("said", ["", "{", "[]", "null", '{"host": 3}', '{"pid": "x"}', "\x00\xff"])
def test_half_written_and_foreign_files_are_left_aside(said):
    finish("a")
    beat("b")
    for file in ("running/c.json", "running/x.json", ".running.json", "index.json"):
        (RESULTS / file).write_text(said)
    (RESULTS / "running" / "notes.txt").write_text(said)
    (RESULTS / "logs/runs/notes.txt").write_text(said)
    (RESULTS / "logs/runs/c.parquet").write_text(said)
    (RESULTS / "logs/runs/.d.parquet").write_text(said)
    (RESULTS / "checkpoints").write_text(said)
    assert states() == {"a": "done", "b": "running", "c": "left"}
    assert row(shown(), "total") == [6, 1, 0, 3, 0, 2]


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("said", ["", "{", '{"members": {}}'])
def test_a_plan_half_written_is_none_yet(said):
    (RESULTS / "plan.json").write_text(said)
    assert "not begun" in shown()
    head(host=NODE)
    assert "tiny: begun, and not planned yet (process" in shown()


@pytest.mark.usefixtures("study")
def test_before_the_plan_the_index_tells_the_cohorts():
    (RESULTS / "plan.json").unlink()
    jobs = {c: {"runs": len(runs), "seconds": 90.0} for c, runs in COHORTS.items()}
    (RESULTS / "index.json").write_text(json.dumps({"jobs": jobs}))
    finish("a")
    assert "1 of 6 runs trained" in shown()
    assert {c.seconds for c in progress(RESULTS).cohorts} == {90.0}


@pytest.mark.usefixtures("study")
def test_a_log_cut_short_counts_no_divergence_and_stops_nothing():
    finish("b", ("diverged",))
    finish("c", ("diverged",))
    file = RESULTS / "logs/runs/c.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    assert row(shown(), "total") == [6, 5, 3, 0, 0, 1]


@pytest.mark.usefixtures("study")
def test_outcomes_are_read_again_only_where_a_log_has_changed(monkeypatch):
    read = []
    real = outcomes._read
    monkeypatch.setattr(outcomes, "WORTH_KEEPING", 1)
    monkeypatch.setattr(outcomes, "_read", lambda *a: read.append(a[0].stem) or real(*a))
    finish("a", ("diverged",))
    finish("b")
    known = outcomes.Outcomes(RESULTS)
    known.of("ab")
    known.of("ab")
    assert read == ["a", "b"]
    finish("a", ("trained",))
    os.utime(RESULTS / "logs/runs/a.parquet", (5, 5))
    found = outcomes.Outcomes(RESULTS).of("abc")  # a process of its own: the cache on disk
    assert read == ["a", "b", "a"]
    assert found["a"].diverged == ()
    assert set(found) == {"a", "b"}
    (RESULTS / outcomes.CACHE).write_text('{"a": {"stamp"')
    assert outcomes.Outcomes(RESULTS).of("ab").keys() == {"a", "b"}


@pytest.mark.usefixtures("study")
def test_failures_are_shown_by_class_with_one_log_and_not_once_done():
    (RESULTS / "logs/train").mkdir(parents=True)
    text = "\n=== start\nJob stats:\njob count\ntrain  3\ntotal  3\n\n"
    for i, name in enumerate("ab"):
        log = RESULTS / f"logs/train/{name}.log"
        log.write_text(f"no rate for {i} runs")
        text += (
            f"[Sat Nov 21 12:00:0{i} 2026]\nError in rule train:\n    jobid: {i}\n    log: {log}\n"
        )
    (RESULTS / "snakemake.log").write_text(text)
    said = shown()
    assert "2 failed: user error: no rate for N runs" in said
    assert "failed: train b (results/tiny/logs/train/b.log)" in said
    assert row(said, "total") == [6, 0, 0, 0, 4, 2]
    finish("b")
    assert "1 failed: user error" in shown()


@pytest.mark.usefixtures("study")
def test_a_job_given_to_a_cluster_waits_until_it_gives_a_sign():
    head(host=NODE, since=time.time() - 60)
    text = "\n=== start\nJob stats:\njob count\ntrain  3\ntotal  3\n\n"
    for i in range(3):
        text += f"rule train:\n    jobid: {i}\n"
        text += f"Job {i} has been submitted with SLURM jobid 1{i} (log: x).\n"
    (RESULTS / "snakemake.log").write_text(text)
    beat("a")
    assert progress(RESULTS).queued == 2
    assert "waiting in the cluster's queue: 2 cohorts" in shown()
    [train] = [s for s in progress(RESULTS).stations if s.name == "train"]
    assert (train.running, train.total) == (1, 3)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_but_a_paths_is_wider_than_the_terminal(width):
    finish("a")
    beat("b", step=123_456, steps=1_000_000)
    beat("c", age=999)
    lines = shown(width).splitlines()
    assert max(map(len, lines)) <= width
    assert ("━" in "".join(lines)) == (width >= status.WIDE)


@pytest.mark.usefixtures("study")
def test_many_batteries_are_cut_to_the_terminals_height_those_at_work_first():
    plan = json.loads((RESULTS / "plan.json").read_text())
    idle = {f"idle{i}": [f"x{i}"] for i in range(40)}
    (RESULTS / "plan.json").write_text(json.dumps({**plan, "members": idle | plan["members"]}))
    beat("a")
    console = Console(width=80, height=24, file=io.StringIO(), color_system=None)
    for part in status.Status("tiny.yaml").parts(80, 23):
        console.print(part)
    said = console.file.getvalue()
    assert len(said.splitlines()) <= 23
    assert row(said, "one") == [4, 0, 0, 1, 0, 3]
    assert re.search(r"and \d+ batteries more", said)


def watched(terminal, then):
    """What ``--watch`` prints; at each pause it calls ``then`` with how many there were before."""
    file, pauses = io.StringIO(), []

    def pause(_):
        then(len(pauses))
        pauses.append(1)

    console = Console(width=80, height=24, file=file, force_terminal=terminal)
    status.watch("tiny.yaml", console, pause)
    return file.getvalue(), len(pauses)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("terminal", [True, False])
def test_watching_ends_when_nothing_works_on_the_study(terminal):
    beat("a")

    def go_on(pauses):
        if pauses == 1:
            (RESULTS / "running/a.json").unlink()
            finish("a")

    said, pauses = watched(terminal, go_on)
    assert pauses == 2
    assert "1 of 6 runs trained, nothing is running now" in said
    assert said.count("0 of 6 runs trained, about") >= 2


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("terminal", [True, False])
def test_ctrl_c_ends_watching_quietly(terminal):
    beat("a")

    def interrupt(_):
        raise KeyboardInterrupt

    said, _ = watched(terminal, interrupt)
    assert "Traceback" not in said


@pytest.mark.usefixtures("study")
def test_watching_goes_on_through_folders_that_come_and_go():
    shutil.rmtree(RESULTS)
    watch = Watch(RESULTS)
    assert watch.look().cohorts == ()
    RESULTS.mkdir(parents=True)
    beat("a")
    assert watch.look().ended


@pytest.mark.usefixtures("study")
def test_status_from_the_command_line_changes_no_file_of_the_study():
    finish("a")
    beat("b")
    before = {file: file.stat().st_mtime_ns for file in RESULTS.rglob("*") if file.is_file()}
    code = "import sys; from vanishing.cli import main; sys.exit(main(['status', 'tiny.yaml']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 6 runs trained" in done.stdout
    assert {f: f.stat().st_mtime_ns for f in RESULTS.rglob("*") if f.is_file()} == before
