"""Where a finished study's time went: the profile adds up to the cores' time, and is the log's."""

from datetime import datetime

import pandas as pd
import pytest
from benchmarks import profile_study

from vanishing.study import plan

from . import finished_study


def stamp(seconds):
    """Snakemake's line so many seconds after a minute's begin."""
    return f"[{datetime(2026, 3, 4, 5, 6, seconds).strftime('%a %b %e %H:%M:%S %Y')}]"


def begun(seconds, rule, number, cohort=""):
    wildcards = f"\n    wildcards: cohort={cohort}" if cohort else ""
    return f"{stamp(seconds)}\nlocalrule {rule}:\n    log: x.log\n    jobid: {number}{wildcards}"


def finished(seconds, rule, number):
    return f"{stamp(seconds)}\nFinished jobid: {number} (Rule: {rule})\n1 of 9 steps (1%) done"


# From second 10 to 40: nothing until 12, two jobs to 20, one to 30, nothing to 33, one to 40.
LOG = "\n".join(
    [
        "\n=== start 2026-03-04 05:06:10\nProvided cores: 2",
        begun(12, "train", 3, "one"), begun(12, "train", 4, "two"), finished(20, "train", 3),
        begun(20, "train", 5, "three"), finished(30, "train", 4), finished(30, "train", 5),
        begun(33, "gather", 6), finished(40, "gather", 6),
        "\n=== start 2026-03-04 05:07:00\nNothing to be done",
    ]
)  # fmt: skip


def test_sessions_hold_every_job_with_its_times():
    first, second = profile_study.sessions(LOG)
    assert [(j.rule, j.wildcards, j.end - j.begin) for j in first.jobs] == [
        ("train", "one", 8), ("train", "two", 18), ("train", "three", 10), ("gather", "", 7),
    ]  # fmt: skip
    assert (first.cores, first.end - first.begin) == (2, 30)
    assert (second.jobs, second.end - second.begin) == ((), 0)


def test_seconds_are_counted_by_how_many_jobs_were_at_work():
    assert profile_study.sessions(LOG)[0].at_work == {0: 5, 1: 7, 2: 18}


def test_the_parts_add_up_to_the_time_of_the_cores():
    [session, _] = profile_study.sessions(LOG)
    trained = pd.Series({"one": 5.0, "two": 15.0, "three": 9.0, "of another start": 50.0})
    found = profile_study.profile(session, trained, {})
    assert found["train: updates"] == 29
    assert found["train: start, data, writing"] == 8 + 18 + 10 - 29
    assert (found["gather"], found["no job at work"], found["cores idle beside a job"]) == (
        7,
        10,
        7,
    )
    assert found.drop(["wall", "cores x wall"]).sum() == found["cores x wall"] == 60


def test_probes_take_what_the_plan_estimates(tmp_path):
    config = tmp_path / "mine.yaml"
    rarely = {**finished_study.CNN, "probes": {"batch": 16, "steps": [0, 3]}}
    shares = []
    for battery in (rarely, finished_study.CNN):
        text = finished_study.yaml.safe_dump({"verdicts": False, "batteries": {"images": battery}})
        config.write_text(text)
        shares.append(profile_study.probe_share(plan.make(config, tmp_path).cohorts))
    assert 0 < shares[0] < shares[1] < 1
    assert profile_study.probe_share([]) == 0


def test_the_table_has_a_column_a_start_that_had_jobs(tmp_path):
    results = finished_study.finish(tmp_path, {"images": finished_study.CNN})
    [cohort] = profile_study.plan.make(tmp_path / "mine.yaml", results).cohorts
    seconds = profile_study.seconds_of_cohorts(results)
    assert seconds.index.tolist() == [cohort.id]
    (results / "snakemake.log").write_text(LOG.replace("cohort=one", f"cohort={cohort.id}"))
    table = profile_study.table(results, {cohort.id: cohort})
    assert table.columns.tolist() == ["start 1", "% of 1"]
    training = ["train: updates", "train: probes (estimated)"]
    assert table.loc[training, "start 1"].sum() == pytest.approx(seconds[cohort.id])
    assert table["% of 1"].drop(["wall", "cores x wall"]).sum() == pytest.approx(100)
