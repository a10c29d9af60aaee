"""Failures: the class of an error from the end of a log, and when a study is stopped for it."""

import pytest

from vanishing.study import snakemake_log
from vanishing.study.failures import Budget, Classes, class_of, classify, summary, todo

TRACEBACK = """3 of 22 runs
Traceback (most recent call last):
  File "{path}/stack.py", line {line}, in train
    raise RuntimeError(text)
{error}
"""
# What a head writes of a job on a cluster, in the words of Snakemake 9.27 and its plugin 2.8.0.
ON_SLURM = """
=== start 2026-11-21 12:00:00
Job stats:
job      count
-----  -------
train        3
total        3

[Sat Nov 21 12:00:01 2026]
rule train:
    output: results/s/logs/runs/a.parquet
    log: results/s/logs/train/a.log
    jobid: 3
    resources: mem_mb=3000
Job 3 has been submitted with SLURM jobid 12 (log: {folder}/slurm/rule_train/a/12.log).
[Sat Nov 21 12:09:01 2026]
Error in rule train:
    message: SLURM-job '12' failed, SLURM status is: '{state}'. Detailed failure reason \
unavailable (status command is not 'sacct').For further error details see the cluster/cloud log \
and the log files of the involved rule(s).
    jobid: 3
    output: results/s/logs/runs/a.parquet
    log: {folder}/a.log, {folder}/slurm/rule_train/a/12.log (check log file(s) for error \
details)
    shell:
        vanishing train results/s/cohorts/a.json
        (command exited with non-zero exit code)
    external_jobid: 12
Logfile {folder}/a.log:
================================
3 of 22 runs
================================
Logfile {folder}/slurm/rule_train/a/12.log:
==========================================================

SNAKEMAKE
=========
  Host: n1
Building DAG of jobs...
Job stats:
job      count
train        1
total        1
[Sat Nov 21 12:00:05 2026]
localrule train:
    jobid: 0
Logfile results/s/logs/train/a.log:
===
said
===
[Sat Nov 21 12:00:05 2026]
Error in rule train:
    message: None
    jobid: 0
Trying to restart job 0.
Finished jobid: 0 (Rule: train)
==========================================================
"""


def alike(name, jobid, error="no rate is left"):
    """What Snakemake's log says of the failed training of the cohort ``name``."""
    return (
        "RuleException:\nCalledProcessError in file \"/x/train.smk\", line 44:\n"
        f"Command 'vanishing train 2> logs/train/{name}.log' returned non-zero exit status 2.\n"
        "[Sat Nov 21 12:09:01 2026]\nError in rule train:\n    message: None\n"
        f"    jobid: {jobid}\n"
        f"    log: logs/train/{name}.log (check log file(s) for error details)\n"
        f"    shell:\n        vanishing train 2> logs/train/{name}.log\n"
        "        (command exited with non-zero exit code)\n"
        f"Logfile logs/train/{name}.log:\n=====\n{error}\n=====\n"
    )  # fmt: skip


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Write the log of the failed training of a cohort, and say what Snakemake says of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs/train").mkdir(parents=True)

    def fail(name, jobid, error="no rate is left"):
        (tmp_path / f"logs/train/{name}.log").write_text(error)
        return alike(name, jobid, error)

    return fail


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("error: *** JOB 12 ON n1 CANCELLED AT 2026 DUE TO TIME LIMIT ***", "time limit"),
        ("slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-11-21 ***", "cancelled"),
        ("*** JOB 12 ON n1 CANCELLED AT 2026 DUE TO NODE FAILURE ***", "node failed"),
        ("failed due to a node failure, SLURM status is: 'NODE_FAIL'.", "node failed"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=12.0.", "out of memory"),
        ("Exceeded job memory limit\nerror: *** JOB 1 ON c1 CANCELLED ***", "out of memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out of memory"),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory", "out of memory"),
        ("7 of 22 runs\nKilled", "killed"),
        ("Command 'x' returned non-zero exit status 137", "killed"),
        ("OSError: [Errno 28] No space left on device: 'a'", "disk full"),
        ("tanh-d4: stopped by SIGTERM after update 120 of 400", "stopped with a checkpoint"),
        ("Segmentation fault (core dumped)", "crashed"),
        ("SLURM sbatch failed. The error message was 'Invalid account'", "submission failed"),
        ("", "no message"),
        ("7 of 22 runs\n14 of 22 runs\n", "no message"),
    ],
)  # fmt: skip
def test_what_ended_a_job_from_outside_is_its_class(said, name):
    assert classify(said) == name
    assert todo(name)


def test_equal_errors_are_one_class_whatever_their_numbers_paths_and_cohorts():
    texts = [
        TRACEBACK.format(path=path, line=line, error=f"RuntimeError: {n} of {cohort} in {path}/x")
        for path, line, n, cohort in (
            ("/home/a", 12, 3, "tanh-d4-w64-18a237f726"),
            ("/scratch/b-2", 137, 4.5e-3, "cnn-leaky_relu-d56-w16-1dfe93dcf1"),
        )
    ]  # fmt: skip
    assert {classify(text) for text in texts} == {"RuntimeError: N of COHORT in PATH"}
    other = TRACEBACK.format(path="a", line=1, error="KeyError: 'sigma_w'")
    assert classify(other) == "KeyError: 'sigma_w'"


def test_words_without_a_traceback_are_a_users_error():
    said = "7 of 22 runs\nno norm is called 'bacth'. Did you mean 'batch'?\n"
    assert classify(said) == "user error: no norm is called 'bacth'. Did you mean 'batch'?"


@pytest.mark.parametrize(
    ("state", "name"), [("TIMEOUT", "time limit"), ("OUT_OF_MEMORY", "out of memory")]
)
def test_state_on_the_cluster_is_read_from_the_heads_log(tmp_path, state, name):
    log = snakemake_log.parse(ON_SLURM.format(folder=tmp_path, state=state))
    [failure] = log.failures
    assert (failure.subject, failure.jobid, failure.external) == ("a", "3", "12")
    assert failure.outer == (tmp_path / "slurm/rule_train/a/12.log",)
    assert class_of(failure) == name
    assert log.submitted == {"3": "12"}


def test_a_cluster_jobs_own_snakemake_in_the_log_is_not_the_heads(tmp_path):
    log = snakemake_log.parse(ON_SLURM.format(folder=tmp_path, state="FAILED"))
    assert log.planned == {"train": 3}
    assert log.started == {"train": 1}
    assert not log.finished
    assert log.repeated == 0


def test_error_in_a_cluster_job_is_of_its_own_log_not_of_the_snakemake_around_it(tmp_path):
    text = ON_SLURM.format(folder=tmp_path, state="FAILED")
    outer = tmp_path / "slurm/rule_train/a/12.log"
    outer.parent.mkdir(parents=True)
    outer.write_text("Building DAG of jobs...\nError in rule train:\nExiting because a job failed")
    [failure] = snakemake_log.parse(text).failures
    assert class_of(failure) == "no message"
    (tmp_path / "a.log").write_text(TRACEBACK.format(path="p", line=3, error="ValueError: no"))
    assert class_of(failure) == "ValueError: no"
    outer.write_text("slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 1 DUE TO TIME LIMIT ***")
    assert class_of(failure) == "time limit"


def test_an_attempt_that_is_repeated_has_not_failed(logs):
    text = logs("a", 3) + "Trying to restart job 3.\n"
    assert snakemake_log.parse(text).failures == []
    assert snakemake_log.parse(text).repeated == 1
    text += logs("a", 3)
    assert [f.subject for f in snakemake_log.parse(text).failures] == ["a"]
    text += "[Sat Nov 21 12:10:01 2026]\nFinished jobid: 3 (Rule: train)\n"
    assert snakemake_log.parse(text).failures == []


def test_jobs_that_die_of_a_stop_have_not_failed(logs):
    stop = "Terminating processes on user request, this might take some time.\n"
    assert snakemake_log.parse(stop + logs("a", 3)).failures == []


def test_reader_reads_on_where_it_stopped_and_forgets_an_earlier_start(tmp_path, logs):
    path = tmp_path / "snakemake.log"
    reader = snakemake_log.Reader(path)
    assert reader.read().failures == []
    text = f"\n=== start 1\n{logs('a', 3)}"
    path.write_text(text[:-40])
    reader.read()
    path.write_text(text)
    assert [f.subject for f in reader.read().failures] == ["a"]
    with path.open("a") as file:
        file.write(f"\n=== start 2\n{logs('b', 3)}")
    assert [f.subject for f in reader.read().failures] == ["b"]
    path.write_text("\n=== start 3\n")
    assert reader.read().failures == []


FINISHED = "[Sat Nov 21 12:10:01 2026]\nFinished jobid: {} (Rule: train)\n"


def spent(text, limit=5):
    """What a budget says of a log at its second look."""
    budget, log = Budget(limit), snakemake_log.parse(text)
    assert budget.spent(log) is None  # the first look is not believed
    return budget.spent(log)


def test_budget_is_spent_by_one_error_in_as_many_cohorts(logs):
    failed = "".join(logs(f"c{i}", i, f"no rate for {i} runs") for i in range(5))
    found = spent(FINISHED.format(90) + FINISHED.format(91) + failed)
    assert found.name == "user error: no rate for N runs"
    assert (found.failed, found.finished) == (5, 0)  # what finished before says nothing
    assert spent(failed, limit=6) is None
    assert spent(failed, limit=0) is None
    assert "--failures 0" in str(found)


def test_budget_is_kept_by_different_errors_and_by_as_many_finished(logs):
    kinds = "abcde"
    different = "".join(logs(f"c{i}", i, f"no rate called {kinds[i]}") for i in range(5))
    assert spent(different) is None
    same = [logs(f"c{i}", i) for i in range(6)]
    assert spent("".join(same)) is not None
    done = "".join(FINISHED.format(20 + i) for i in range(6))
    assert spent(same[0] + done + "".join(same[1:])) is None
    assert spent(done + "".join(same)) is not None


def test_budget_counts_a_cohort_once_and_after_its_last_attempt(logs):
    again = "".join(f"{logs(f'c{i}', i)}Trying to restart job {i}.\n" for i in range(8))
    assert spent(again) is None
    assert spent("".join(logs("c1", 1) for _ in range(8))) is None


def test_summary_tells_each_class_once_with_an_example_and_what_to_do(logs):
    text = "".join(logs(f"c{i}", i, f"no rate for {i} runs") for i in range(4))
    text += logs("d", 9, TRACEBACK.format(path="p", line=3, error="ValueError: no"))
    said = "\n".join(summary(snakemake_log.parse(text).failures))
    assert said.count("failed: ") == 2
    assert "failed: 4 jobs, train c0 among them: user error: no rate for N runs" in said
    assert "the end of logs/train/c0.log:\n  no rate for 0 runs\nwhat to do: mend" in said
    assert "failed: train d: ValueError: no" in said


def test_classes_are_ordered_by_how_often_they_came(logs):
    text = logs("d", 9, "one") + logs("a", 1, "two") + logs("b", 2, "two")
    assert list(Classes().of(snakemake_log.parse(text).failures)) == [
        "user error: two",
        "user error: one",
    ]
