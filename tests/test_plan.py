"""Runs have ids that never change, and a study that grows retrains nothing."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vanishing.errors import UserError
from vanishing.study import plan
from vanishing.study.grid import FIRST_TUNING_SEED, Settings

RUN = Settings("mlp", "digits", "tanh", "he", depth=4, width=8, steps=10, batch=16, seed=0, lr=0.1)
BATTERY = {
    "family": "mlp",
    "task": "digits",
    "factors": {"activation": ["tanh", "relu"], "init": ["he", "xavier"], "depth": [2, 3]},
    "width": 8,
    "seeds": {"tuning": 1, "judged": 5},
    "train": {"steps": 4, "lr": [0.1, 0.3], "batch": 8},
    "probes": {"batch": 8},
}


@pytest.fixture
def make(tmp_path):
    """Plans a study of batteries, keeping what is finished in its results folder."""

    def make(_flops=1e12, **batteries):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"batteries": batteries, "cohort_flops": _flops}))
        return plan.make(path, tmp_path / "results")

    return make


def finish(planned, results, cohorts=None):
    """Pretend that cohorts were trained."""
    plan.write(planned, results)
    (results / "logs/runs").mkdir(parents=True, exist_ok=True)
    for id_ in planned.by_id if cohorts is None else cohorts:
        (results / f"logs/runs/{id_}.parquet").touch()


def changed(**blocks):
    return {**BATTERY, **blocks}


def test_a_new_setting_at_its_default_changes_no_id():
    wider = dataclasses.make_dataclass(
        "Wider", [("dropout", float, 0.0)], bases=(Settings,), frozen=True
    )
    assert wider(**dataclasses.asdict(RUN)).run_id == RUN.run_id
    assert wider(**dataclasses.asdict(RUN), dropout=0.5).run_id != RUN.run_id


def test_every_setting_is_in_the_run_id():
    others = {"lr_grid": (0.1, 0.2), "lr": 0.2, "seed": 1, "depth": 5, "norm": "batch", "data": "x"}
    ids = {dataclasses.replace(RUN, **{key: value}).run_id for key, value in others.items()}
    assert len(ids | {RUN.run_id}) == len(others) + 1


def test_an_id_is_the_same_on_every_machine():
    """Written down once: a change here retrains every study that exists."""
    assert RUN.run_id == "0ff980df52e296b7"


def test_a_cell_is_what_seeds_and_rates_share():
    same = dataclasses.replace(RUN, seed=3, lr=None, lr_grid=(0.1, 1.0), tuning_seeds=2)
    assert same.cell == RUN.cell
    assert dataclasses.replace(RUN, init="xavier").cell != RUN.cell


def test_tuning_seeds_never_meet_judged_ones(make):
    for cohort in make(b=BATTERY).cohorts:
        for member in cohort.members:
            assert (member.settings.seed >= FIRST_TUNING_SEED) == (cohort.graph.split == "tuning")


def test_every_wanted_run_is_in_exactly_one_cohort(make):
    planned = make(_flops=3e5, b=BATTERY)
    ids = [m.run_id for c in planned.cohorts for m in c.members]
    grid = planned.grids["b"]
    assert sorted(ids) == sorted(s.run_id for s in (*grid.judged, *grid.tuning))
    assert len(planned.cohorts) > 8  # of 8 graphs, some are split


def test_a_cohort_holds_one_graph_and_varies_in_init_rate_and_seed(make):
    for cohort in make(b=BATTERY).cohorts:
        graphs = {
            dataclasses.replace(
                m.settings, init="", lr=None, lr_grid=(), tuning_seeds=0, seed=0
            )
            for m in cohort.members
        }  # fmt: skip
        assert len(graphs) == 1


def test_a_judged_cohort_waits_for_the_tuning_of_its_cells(make):
    planned = make(b=BATTERY)
    for id_, cohort in planned.by_id.items():
        tuned = {m.cell for t in planned.tuning_of[id_] for m in planned.by_id[t].members}
        wanted = {m.cell for m in cohort.members} if cohort.graph.split == "judged" else set()
        assert wanted <= tuned


@pytest.mark.parametrize(
    "grown",
    [
        {"seeds": {"tuning": 1, "judged": 7}},
        {"factors": {**BATTERY["factors"], "depth": [2, 3, 4]}},
        {"factors": {**BATTERY["factors"], "activation": ["tanh", "gelu", "relu"]}},
        {"factors": {**BATTERY["factors"], "init": ["lecun", "he", "xavier"]}},
        {"factors": {**BATTERY["factors"], "norm": ["batch", "none"]}},
        {"vary": {"optimizer": ["adam", "sgd"]}},
    ],
    ids=lambda grown: next(iter(grown)),
)
def test_a_grown_study_keeps_every_finished_cohort(make, tmp_path, grown):
    before = make(_flops=3e5, b=BATTERY)
    finish(before, tmp_path / "results")
    after = make(_flops=3e5, b=changed(**grown))
    assert set(before.by_id) < set(after.by_id)
    ids = [m.run_id for c in after.cohorts for m in c.members]
    assert (
        len(ids)
        == len(set(ids))
        == sum(len(g) for g in (after.grids["b"].judged, after.grids["b"].tuning))
    )


def test_cohorts_that_finish_while_a_study_runs_change_no_other(make, tmp_path):
    before = make(_flops=3e5, b=BATTERY)
    ids = list(before.by_id)
    for finished in (ids[::2], ids[1::2], ids[-1:], ids[:3]):
        for old in (tmp_path / "results").glob("logs/runs/*"):
            old.unlink()
        finish(before, tmp_path / "results", finished)
        assert set(make(_flops=3e5, b=BATTERY).by_id) == set(ids)


def test_two_batteries_train_a_shared_run_once(make):
    planned = make(a=BATTERY, b=changed(seeds={"tuning": 1, "judged": 7}))
    ids = [m.run_id for c in planned.cohorts for m in c.members]
    assert len(ids) == len(set(ids))
    members = planned.as_json()["members"]
    assert set(members["a"]) < set(members["b"])


def test_two_batteries_that_probe_one_run_differently_are_refused(make):
    with pytest.raises(UserError, match="'a' and 'b' hold the same run with different"):
        make(a=BATTERY, b=changed(probes={"steps": [2], "batch": 8}))


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        ({}, (0, 1, 4, 16, 20)),
        ({"steps": "sparse"}, (0, 1, 4, 16, 20)),
        ({"steps": "log"}, (0, 1, 2, 4, 8, 16, 20)),
        ({"steps": "every"}, tuple(range(21))),
        ({"steps": [3, 7]}, (0, 3, 7, 20)),
    ],
)
def test_a_schedule_of_probes_has_a_name_or_is_a_list(make, probes, expected):
    battery = changed(train={**BATTERY["train"], "steps": 20}, probes={"batch": 8, **probes})
    judged = {c.graph.probe_steps for c in make(b=battery).cohorts if c.graph.split == "judged"}
    assert judged == {expected}


def test_runs_that_only_choose_a_rate_are_probed_at_their_ends_alone(make):
    probes = {"steps": [2], "batch": 8, "blocks": ["noise"]}
    graphs = [c.graph for c in make(b=changed(probes=probes)).cohorts]
    by_split = {g.split: (g.probe_steps, g.blocks) for g in graphs}
    assert by_split == {"tuning": ((0, 4), ()), "judged": ((0, 2, 4), ("noise",))}


def test_excluded_cells_are_counted_with_their_reason(make):
    rule = {"when": {"activation": "relu", "depth": [2, 3]}, "because": "known"}
    [excluded] = make(b=changed(exclude=[rule])).as_json()["batteries"]["b"]["excluded"]
    assert excluded == {**rule, "cells": 4}


def test_data_of_ones_own_is_known_by_its_contents(make, tmp_path):
    import numpy as np

    task = {"npz": {"path": "mine.npz"}}
    ids = []
    for value in (0, 1, 0):
        np.savez(tmp_path / "mine.npz", x=np.full((20, 3), value), y=np.arange(20) % 2)
        ids.append(make(b=changed(task=task)).grids["b"].judged[0].run_id)
    assert ids[0] == ids[2] != ids[1]


def test_planning_loads_neither_torch_nor_pandas():
    code = (
        "import sys; from vanishing.study import plan; plan.make('workflow/config/laptop.yaml');"
        "print([m for m in ('torch', 'pandas', 'pyarrow', 'numpy', 'scipy') if m in sys.modules])"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_study_that_shrank_and_grew_again_keeps_every_run_once(make, tmp_path):
    for judged in (4, 3, 5, 2, 6):
        planned = make(b=changed(seeds={"tuning": 1, "judged": judged}))
        ids = [m.run_id for c in planned.cohorts for m in c.members]
        wanted = (*planned.grids["b"].judged, *planned.grids["b"].tuning)
        assert sorted(ids) == sorted(s.run_id for s in wanted)
        finish(planned, tmp_path / "results")


def test_a_second_battery_with_other_rates_changes_no_tuning_of_the_first(make, tmp_path):
    alone = make(a=BATTERY)
    finish(alone, tmp_path / "results")
    other = changed(train={**BATTERY["train"], "lr": [0.03, 1.0]}, seeds={"tuning": 2, "judged": 5})
    both = make(a=BATTERY, b=other)
    assert alone.tuning_of.items() <= both.tuning_of.items()
    first = next(c for c in both.cohorts if c.graph.split == "judged")
    assert first.as_json()["runs"][0]["lr_grid"] == [0.1, 0.3]


def test_moved_data_change_no_id(make, tmp_path):
    import numpy as np

    ids = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "mine.npz", x=np.eye(20), y=np.arange(20) % 2)
        planned = make(b=changed(task={"npz": {"path": f"{folder}/mine.npz"}}))
        ids.append(set(planned.by_id))
    assert ids[0] == ids[1]


def test_another_config_of_the_same_name_is_refused(make, tmp_path):
    finish(make(b=BATTERY), tmp_path / "results")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.yaml").write_text((tmp_path / "mine.yaml").read_text())
    with pytest.raises(UserError, match=r"holds the results of .*mine\.yaml.*rename one"):
        plan.make(tmp_path / "other/mine.yaml", tmp_path / "results")


def test_the_order_of_the_plan_does_not_depend_on_what_is_finished(make, tmp_path):
    before = make(_flops=3e5, b=BATTERY)
    finish(before, tmp_path / "results", list(before.by_id)[::3])
    assert make(_flops=3e5, b=BATTERY).as_json() == before.as_json()


def test_a_study_by_name_is_looked_for_in_the_projects_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="start in the project's folder"):
        plan.config_path("laptop")
