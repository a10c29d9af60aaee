"""Verification: runs trained again equal their rows to the bit, and a changed number is found."""

import json
import math

import pandas as pd
import pytest

from vanishing import cli
from vanishing.analysis import verify as subject
from vanishing.analysis.verify import Sample, draw, verify
from vanishing.engine import job
from vanishing.errors import UserError
from vanishing.report import blocks
from vanishing.table import provenance_of
from vanishing.tables import LAYERS, RUN_LOG, RUNS

from .finished_study import BATTERIES, finish, rewrite


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study of tuned MLPs, in two stacks, and of CNNs."""
    return finish(tmp_path_factory.mktemp("study"), BATTERIES)


ALL = Sample(share=1)


@pytest.fixture(scope="module")
def trained():
    """The logs of what was trained again, by cohort and runs."""
    return {}


@pytest.fixture
def _trained_once(monkeypatch, trained):
    """What is trained again comes out the same each time, so one time is enough."""
    train = job.run

    def again(cohort, tuning, device, only):
        key = cohort["id"], frozenset(only)
        if key not in trained:
            trained[key] = train(cohort, tuning, device, only)
        return trained[key]

    monkeypatch.setattr(subject.job, "run", again)


def test_every_run_trained_again_equals_its_rows_to_the_bit(study):
    found = verify(study, ALL)
    runs = RUNS.read(study / "tables/runs.parquet")
    assert set(found.runs["run_id"]) == set(runs["run_id"])
    assert set(runs["family"]) == {"mlp", "cnn"}
    assert found.count("equal") == len(found.runs) == found.of
    assert not found.fails
    assert found.machines == ()


def test_a_stack_is_trained_whole_and_no_other(study):
    cohort = max(
        (json.loads(file.read_text()) for file in study.glob("cohorts/*.json")),
        key=lambda cohort: len(cohort["runs"]) * (cohort["split"] == "tuning"),
    )
    assert len(cohort["runs"]) == 24
    ids = [run["run_id"] for run in cohort["runs"]]
    logs = job.run(cohort, only={ids[3]})
    assert logs["runs"]["run_id"].tolist() == ids[:12]
    whole = RUN_LOG.read(study / "logs/runs" / f"{cohort['id']}.parquet").head(12)
    pd.testing.assert_frame_equal(
        logs["runs"].drop(columns="seconds"), whole.drop(columns="seconds")
    )


def tampered(study, table, column, folder):
    """A copy of the study in which one number of a table is a bit larger, and its run."""
    data = table.read(study / "tables" / f"{table.name}.parquet")
    row = data.index[data[column].notna()][0]
    data.loc[row, column] = math.nextafter(data.loc[row, column], math.inf)
    if str(data[column].dtype) == "float32":
        data.loc[row, column] *= 1.001
    return rewrite(study, table, data, folder), data.loc[row, "run_id"]


@pytest.mark.usefixtures("_trained_once")
@pytest.mark.parametrize(
    ("table", "column"), [(RUNS, "final_loss"), (RUNS, "slope"), (LAYERS, "log10_grad_rms")]
)
def test_a_tampered_number_is_found(study, tmp_path, table, column):
    copy, run_id = tampered(study, table, column, tmp_path)
    found = verify(copy, ALL)
    off = found.runs[found.runs["state"] == "off"]
    assert off["run_id"].tolist() == [run_id]
    assert off["column"].tolist() == [column]
    assert found.count("equal") == found.of - 1
    assert found.fails
    assert f"{table.name}.{column} of run {run_id}" in subject.text(found)


@pytest.mark.usefixtures("_trained_once")
def test_a_missing_row_is_off(study, tmp_path):
    layers = LAYERS.read(study / "tables/layers.parquet")
    found = verify(rewrite(study, LAYERS, layers.iloc[1:], tmp_path), ALL)
    assert found.count("off") == 1
    assert "missing in one of the two" in subject.worst(found)


def elsewhere(stamp):
    return stamp | {"cpu": "another", "code": "000000000000"}


def stamped_elsewhere(study, folder):
    """A copy of the study whose logs say that another machine and code made them."""
    copy = rewrite(study, None, None, folder)
    for file in copy.glob("logs/runs/*.parquet"):
        RUN_LOG.write(RUN_LOG.read(file), file, elsewhere(provenance_of(file)))
    return copy


def nudged(study, column, by, folder):
    copy = stamped_elsewhere(study, folder)
    path = copy / "tables/runs.parquet"
    runs = RUNS.read(path)
    runs.loc[0, column] = by(runs.loc[0, column])
    RUNS.write(runs, path, provenance_of(path))
    return copy


@pytest.mark.usefixtures("_trained_once")
@pytest.mark.parametrize(
    ("column", "by", "state"),
    [
        ("slope", lambda slope: slope + 5e-4, "within"),
        ("slope", lambda slope: slope + 2e-3, "off"),
        ("final_loss", lambda loss: loss + 0.5, "within"),
        ("outcome", lambda outcome: "dead", "off"),
    ],
)
def test_another_kind_of_machine_is_held_to_the_tolerance_and_fails_nothing(
    study, tmp_path, column, by, state
):
    found = verify(nudged(study, column, by, tmp_path), ALL)
    assert found.count(state) == 1
    assert found.count("equal") == found.of - 1
    assert not found.fails
    assert all("another then" in machine for machine in found.machines)
    assert all(code.startswith("000000000000 then, ") for code in found.codes)
    assert found.codes


def many(count=400, stack=10, seconds=0.5):
    """Runs in stacks that took (about) equally long."""
    rows = [
        {"run_id": f"r{i:03}", "cohort": f"c{i // 40}", "seconds": seconds + i // stack * 1e-6}
        for i in range(count)
    ]
    return pd.DataFrame(rows)


def test_the_same_seed_draws_the_same_runs_and_another_others():
    first, same, other = (draw(many(), Sample(0.05, 1, seed)) for seed in (0, 0, 1))
    assert first == same != other
    assert len(first) == len(set(first)) == 20


def test_at_least_so_many_runs_are_drawn_and_at_most_all():
    assert len(draw(many(), Sample(0.002, 8))) == 8
    assert len(draw(many(5), Sample(0.002, 8))) == 5


def test_the_seconds_bound_what_is_trained_again():
    runs = many()
    drawn = draw(runs, Sample(0.5, 4, seconds=16))
    stacks = runs[runs["run_id"].isin(drawn)]["seconds"].nunique()
    assert stacks == 3  # of 5 seconds each
    assert len(drawn) == 30


def test_the_cheapest_runs_make_up_the_least_number_where_the_seconds_hold_none():
    runs = pd.concat([many(40, seconds=9.0), many(20, seconds=1.0).assign(cohort="cheap")])
    runs["run_id"] = [f"r{i:03}" for i in range(len(runs))]
    drawn = draw(runs.reset_index(drop=True), Sample(0.5, 4, seconds=0.5))
    assert len(drawn) == 4
    assert set(runs[runs["run_id"].isin(drawn)]["cohort"]) == {"cheap"}


@pytest.mark.usefixtures("_trained_once")
def test_the_verb_writes_what_it_found_and_its_status_says_whether_a_run_is_off(
    study, tmp_path, capsys
):
    copy, _ = tampered(study, RUNS, "final_loss", tmp_path)
    asked = ["verify", str(copy), "--share", "1"]
    assert cli.main([*asked]) == 1
    assert cli.main([*asked, "--record"]) == 0
    said = json.loads((copy / "claims/verified.json").read_text())
    assert (said["off"], said["equal_to_the_bit"]) == (1, said["runs_trained_again"] - 1)
    assert "final_loss" in said["worst"]
    assert "off" in capsys.readouterr().out
    printed = blocks.provenance({"code": "x"} | blocks.verified(copy))
    assert "| verified.off | 1 |" in printed.replace("\\", "")
    assert blocks.verified(study) == {}


@pytest.mark.parametrize("share", [0, 1.5, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UserError, match="--share must be above 0 and at most 1"):
        Sample(share=share)


def test_missing_logs_are_named(study, tmp_path):
    copy = rewrite(study, None, None, tmp_path)
    for file in copy.glob("logs/runs/*.parquet"):
        file.unlink()
    with pytest.raises(UserError, match="needs the cohorts' logs"):
        verify(copy, ALL)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        verify(tmp_path / "nowhere", ALL)


def test_counts_in_the_provenance_are_numbers_and_truths_are_words():
    printed = blocks.provenance({"one": 1, "nothing": 0, "dirty": False, "gpu": None})
    for line in ("| one | 1 |", "| nothing | 0 |", "| dirty | no |", "| gpu | unknown |"):
        assert line in printed
