"""The benchmark of large studies: its logs are those of a study, its peaks those of the command."""

import json
import sys

import numpy as np
import pytest
from benchmarks import scale
from benchmarks.generated import config, logs_like

from vanishing.study.plan import make
from vanishing.tables import LOGS

from . import finished_study

MIB = 2**20


def test_generated_logs_are_of_every_run_of_the_cohort(tmp_path):
    results = finished_study.finish(tmp_path, {"images": finished_study.CNN})
    [path] = (results / "cohorts").glob("*.json")
    cohort = json.loads(path.read_text())
    ids = [run["run_id"] for run in cohort["runs"]]
    logs = results / "logs"
    real = {n: t.read(logs / n / f"{path.stem}.parquet") for n, t in LOGS.items()}
    template = {name: rows[rows["run_id"] == ids[0]] for name, rows in real.items()}
    made = logs_like(cohort, template, np.random.default_rng(0))
    for name, table in LOGS.items():
        key = list(table.key)
        keys = [table.check(of[name])[key].sort_values(key) for of in (made, real)]
        assert keys[0].to_numpy().tolist() == keys[1].to_numpy().tolist()
    assert made["runs"]["cell"].tolist() == real["runs"]["cell"].tolist()
    assert set(made["layers"]["run_id"]) == set(ids)
    assert made["layers"]["q"].nunique() == len(made["layers"])


def test_the_config_has_the_runs_that_are_asked_for(tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text(json.dumps(config(1600)))
    assert sum(len(cohort.as_json()["runs"]) for cohort in make(path).cohorts) == 1600


def test_the_peak_is_that_of_the_command_and_not_of_who_starts_it(tmp_path):
    here = np.ones(200 * MIB // 8)
    small, large = (
        scale.command("a step", [sys.executable, "-S", "-c", f"x = b'1' * {size * MIB}"], tmp_path)
        for size in (1, 100)
    )
    assert small["mib"] < 100 < large["mib"] < 200
    assert here.all()


def test_a_command_that_fails_ends_the_benchmark_with_its_words(tmp_path):
    with pytest.raises(SystemExit, match="a step failed:\nwords"):
        scale.command("a step", [sys.executable, "-c", "raise SystemExit('words')"], tmp_path)


def test_the_table_has_a_row_a_step_and_a_column_a_size():
    row = {"step": "gather", "mib": 9.0}
    rows = [row | {"runs": runs, "seconds": runs / 100} for runs in (100, 900)]
    words = scale.table(rows).split()
    assert words.count("gather") == 1
    assert {"100", "900", "1.0", "9.0"} <= set(words)
