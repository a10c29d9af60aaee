"""The benchmark of speed: its arms train the same cohorts, and its table says what was met."""

import json
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from benchmarks import speed, speed_arms, speed_table
from benchmarks.speed_cells import CELLS, cohort_of, probes_of, shares

from vanishing.parts.stack_sizes import GPU_STACK

from .speed_cells import FAMILIES, STEPS, small, small_cell


def test_every_cell_has_the_depth_and_width_of_its_name(tmp_path):
    for name, cell in CELLS.items():
        graph = cohort_of(cell, 2, STEPS, tmp_path).as_json()
        sizes = {part[0]: int(part[1:]) for part in name.split("-")[1:]}
        assert graph["width"] == sizes["w"]
        assert graph["depth"] == sizes.get("d", 1)
        assert graph["length"] == sizes.get("t", 0)


def test_shares_hold_every_run_once_and_are_never_empty(tmp_path):
    cohort = small("mlp", tmp_path, runs=3)
    for count in (1, 2, 3, 5):
        dealt = [m.run_id for part in shares(cohort, count) for m in part.members]
        assert sorted(dealt) == sorted(member.run_id for member in cohort.members)
        assert all(part.members for part in shares(cohort, count))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_arms_of_the_engine_differ_in_their_probes_alone(family, tmp_path):
    cell, found = small_cell(family), {}
    for arm in ("d", "off", "every"):
        probes = probes_of(arm, STEPS)
        found[arm] = cohort_of(cell, 1, STEPS, tmp_path, probes).as_json()
        of_run = {"run_id", "cell"}  # what a run is measured on is among its settings
        found[arm]["runs"] = [
            {n: v for n, v in run.items() if n not in of_run} for run in found[arm]["runs"]
        ]
    for arm in found:
        own = {name: found[arm][name] for name in ("id", "probes")}
        assert found[arm] == {**found["d"], **own}
    steps = {arm: described["probes"]["steps"] for arm, described in found.items()}
    assert steps == {"d": [0, 1, 3], "off": [0, 3], "every": [0, 1, 2, 3]}
    assert found["every"]["probes"]["own_pass"]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "arm"), [("mlp", "off"), ("mlp", "every"), ("gan", "every")])
def test_the_engine_trains_all_runs_in_jobs_of_their_own(family, arm, tmp_path):
    cell = small_cell(family)
    cohort = cohort_of(cell, 3, STEPS, tmp_path, probes_of(arm, STEPS))
    found = speed_arms.engine(cohort, tmp_path)
    assert (found.runs, found.steps, found.probes) == (3, STEPS, {"off": 2, "every": 4}[arm])
    assert 0 < found.training < found.seconds


@pytest.mark.slow
def test_a_plain_arm_is_carried_over_to_all_runs(tmp_path):
    cohort = small("mlp", tmp_path, runs=6)
    found = speed_arms.plain(cohort, 1, 2, "none", tmp_path)
    assert (found.runs, found.of, found.steps) == (2, 6, STEPS)
    assert 0 < found.updates < found.training < found.seconds
    whole = found.seconds - found.training + 3 * found.training
    assert found.row()["rate"] == pytest.approx(6 * STEPS / whole)
    assert found.row()["warm"] == pytest.approx(2 * STEPS / found.training)


def test_a_command_that_fails_ends_the_benchmark_with_its_words():
    with pytest.raises(SystemExit, match="words"):
        speed_arms.finish([[sys.executable, "-c", "raise SystemExit('words')"]], {})


def rows_of(cell, seconds):
    """Rows of two pairs: the arms' seconds for 100 runs of 10 steps, and their probes."""
    probes = {"d": 5, "off": 2, "every": 11}
    return [
        {"cell": cell, "pair": pair, "arm": arm}
        | speed_arms.Time(100, 10, of * (1 + pair), of, of / 2, probes.get(arm, 0)).row()
        for pair in (0, 1)
        for arm, of in seconds.items()
    ]


ALL_ARMS = {
    "a": 40.0, "b": 4.0, "c": 2.0, "d": 1.047, "off": 1.02, "every": 1.11, "e": 12.0,
    "cockpit": 80.0,
}  # fmt: skip


def test_the_table_has_a_row_a_cell_and_says_what_was_met():
    found = speed_table.table(
        pd.DataFrame([row for cell in CELLS for row in rows_of(cell, ALL_ARMS)])
    )
    assert found.index.tolist() == list(CELLS)
    assert found.columns[: len(ALL_ARMS)].tolist() == list(speed_arms.ARMS)
    assert found.loc["mlp-d8-w64", "d/a"] == "38.20 (38.20 to 38.20) >=20 met"
    assert found.loc["mlp-d8-w64", "d/c"] == "1.91 (1.91 to 1.91) >=2 missed"
    assert found.loc["cnn-d8-w16", "d/c"] == "1.91 (1.91 to 1.91) >=1.2 met"
    assert found.loc["mlp-d8-w64", "d: log %"] == "4.49 (4.49 to 4.49) <=5 met"
    assert found.loc["mlp-d8-w64", "cockpit: log x"] == "20.00 (20.00 to 20.00)"
    lines = speed_table.markdown(found).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {cell}" for cell in CELLS]
    assert len({line.count("|") for line in lines}) == 1


def test_on_a_gpu_targets_are_over_plain_runs_on_it():
    seconds = {"b": 30.0, "d": 0.25, "off": 0.2, "every": 0.5}
    rows = [row for cell in CELLS for row in rows_of(cell, seconds)]
    found = speed_table.table(pd.DataFrame(rows), on_gpu=True)["d/b"]
    assert found["mlp-d32-w128"] == "120.00 (120.00 to 120.00) >=100 met"
    assert found["cnn-d8-w16"] == "120.00 (120.00 to 120.00) >=20 met"
    assert found["rnn-t64-w32"] == "120.00 (120.00 to 120.00) >=30 met"
    assert found["gan-d3-w64"] == "120.00 (120.00 to 120.00)"


def test_an_arm_that_was_not_measured_has_no_column():
    found = speed_table.table(pd.DataFrame(rows_of("gan-d3-w64", {"c": 2.0, "off": 1.0})))
    assert found.columns.tolist() == ["c", "off", "off/c warm"]


def test_overhead_is_of_a_training_without_any_probe():
    seconds = {"off": 1 + 2 * 0.01, "d": 1 + 5 * 0.01, "every": 1 + 11 * 0.02}
    of = pd.DataFrame(rows_of("gan-d3-w64", seconds)).pivot(index="pair", columns="arm")
    assert speed_table.overhead(of, "d").tolist() == pytest.approx([5, 5])
    assert speed_table.overhead(of, "every").tolist() == pytest.approx([22, 22])
    alone = of.drop(columns="d", level="arm")
    each = (0.22 - 0.02) / 9
    assert speed_table.overhead(alone, "every").tolist() == pytest.approx(
        [100 * 11 * each / (1.02 - 2 * each)] * 2
    )


def timed_at_once(called):
    """Stands in for :func:`speed_arms.timed`: notes runs, arm and device."""

    def timed(cohort, arm, _, device):
        called.append((len(cohort.members), arm, device))
        return speed_arms.Time(4, 10, 2.0, 1.0, 1.0, 2)

    return timed


def test_arms_take_turns_in_reverse_order_in_every_other_pair(tmp_path, monkeypatch, capsys):
    called, out = [], tmp_path / "rows.csv"
    monkeypatch.setattr(speed_arms, "timed", timed_at_once(called))
    words = ["--families", "gan", "--arms", "c,d", "--runs", "4", "--pairs", "2", "--out", str(out)]
    speed.main(words)
    assert [arm for _, arm, _ in called] == ["c", "d", "d", "c"]
    assert {(runs, device) for runs, _, device in called} == {(4, "cpu")}
    assert pd.read_csv(out)["rate"].tolist() == [20.0] * 4
    said = capsys.readouterr()
    assert "1.00 (1.00 to 1.00) >=2 missed" in said.out
    assert "4 turns are left: about" in said.err


def test_what_was_measured_before_is_not_measured_again(tmp_path, monkeypatch, capsys):
    called, out = [], tmp_path / "rows.csv"
    monkeypatch.setattr(speed_arms, "timed", timed_at_once(called))
    words = ["--families", "gan", "--arms", "c,d", "--runs", "4", "--out", str(out), "--pairs"]
    speed.main([*words, "1"])
    speed.main([*words, "2", "--markdown"])
    assert [arm for _, arm, _ in called] == ["c", "d", "d", "c"]
    assert "| gan-d3-w64 | 20 | 20 | 1.00 (1.00 to 1.00) >=2 missed |" in capsys.readouterr().out
    speed.main([*words, "2", "--steps", "7"])
    assert len(called) == 8


def test_the_time_left_grows_with_what_is_left():
    asked = speed.arguments(["--cells", "mlp-d8-w64,cnn-d8-w16", "--arms", "c,d,every"])
    whole = speed.turns(asked)
    assert len(whole) == 2 * 3 * 3
    assert 0 < speed.expected(whole[:4]) < speed.expected(whole) < 24 * 3600


def test_plain_arms_train_no_more_runs_than_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(speed_arms.slots, "cores", lambda: 4)
    asked = []

    def plain(*given):
        asked.append(given[1:4])

    monkeypatch.setattr(speed_arms, "plain", plain)
    for arm in ("a", "b", "c", "e"):
        speed_arms.timed(small("mlp", tmp_path, runs=2), arm, tmp_path)
        speed_arms.timed(small("mlp", tmp_path, runs=9), arm, tmp_path)
    assert asked == [
        (1, 1, "hooks"), (1, 1, "hooks"), (1, 2, "none"), (1, 4, "none"),
        (2, 1, "none"), (4, 2, "none"), (1, 1, "wandb"), (1, 1, "wandb"),
    ]  # fmt: skip


def test_a_gpu_is_asked_for_in_every_arm(tmp_path, monkeypatch):
    commands = []

    def finish(words, _):
        commands.extend(words)
        return [json.dumps({"training": [1.0], "updates": [0.5]})] * len(words)

    monkeypatch.setattr(speed_arms, "finish", finish)
    monkeypatch.setattr(speed_arms.preloaded, "running", lambda *_, **more: nullcontext({}))
    logs = SimpleNamespace(read=lambda _: pd.DataFrame({"seconds": [1.0, 2.0]}))
    monkeypatch.setattr(speed_arms, "RUN_LOG", logs)
    monkeypatch.setenv("VANISHING_DEVICES", "0,1")
    cohort = small("mlp", tmp_path, runs=9)
    plain = speed_arms.timed(cohort, "b", tmp_path, "cuda")
    assert (plain.runs, plain.of) == (speed_arms.RUNS_OF_B, 9)
    engine = speed_arms.timed(cohort, "d", tmp_path, "cuda")
    assert (engine.runs, engine.training) == (9, 3.0)
    assert len(commands) == 1 + 4  # two jobs a GPU
    assert all(words[words.index("--device") + 1] == "cuda" for words in commands)


def test_the_stacks_of_a_gpu_are_full(tmp_path):
    cohort = cohort_of(small_cell("mlp"), 0, STEPS, tmp_path, jobs=1)
    assert len(cohort.members) == GPU_STACK >= 256


def test_a_gpu_that_is_not_there_is_said_at_once(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        speed.arguments(["--device", "cuda"])
    assert ended.value.code == 2
    assert "device 'cuda' is not there" in capsys.readouterr().err


def test_on_a_gpu_the_arms_are_those_that_use_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = speed.arguments(["--device", "auto"])
    assert (asked.device, asked.arms) == ("cuda", ["b", "d", "off", "every"])


def test_a_family_or_arm_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit):
        speed.arguments(["--families", "mlp,transformer"])
    assert "transformer is none of mlp, cnn, rnn, lstm, gru, gan" in capsys.readouterr().err


def test_an_arm_is_left_out_where_its_package_is_not_installed(monkeypatch, capsys):
    monkeypatch.setitem(speed_arms.PACKAGES, "e", "no_such_package")
    assert speed.arguments(["--arms", "e,b"]).arms == ["b"]
    said = capsys.readouterr().err
    assert "(e) is left out: ModuleNotFoundError: No module named 'no_such_package'" in said


def test_cockpit_is_asked_of_classifiers_without_a_past_alone():
    known = {cell.family for cell in CELLS.values() if speed_arms.applies("cockpit", cell)}
    assert known == {"mlp", "cnn"}
    assert all(speed_arms.applies("e", cell) for cell in CELLS.values())
