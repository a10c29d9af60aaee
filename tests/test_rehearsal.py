"""A rehearsal trains a few runs of some cohorts of a study, and tells what it could not."""

from pathlib import Path

import pytest
import yaml

from vanishing.cli import main
from vanishing.errors import UserError
from vanishing.rehearsal import drawn, rehearse, shortened
from vanishing.study import plan

ROOT = Path(__file__).parent.parent
BATTERY = {
    "family": "mlp", "task": "xor",
    "factors": {"activation": ["tanh", "relu"], "init": ["he"], "depth": [2, 3]},
    "width": 8, "seeds": {"tuning": 1, "judged": 5},
    "train": {"steps": 40, "lr": [0.1, 0.3], "batch": 8}, "probes": {"batch": 8},
}  # fmt: skip


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"batteries": {"b": BATTERY}}))
    return path


def test_the_same_seed_draws_the_same_cohorts(study, tmp_path):
    cohorts = plan.make(study, tmp_path / "results").cohorts
    first, again, other = ([c.id for c in drawn(cohorts, 3, seed)] for seed in (0, 0, 1))
    assert first == again != other
    assert len(drawn(cohorts, 99, 0)) == len(cohorts)


def test_every_drawn_cohort_is_trained_for_a_few_steps(study, tmp_path):
    cohorts = plan.make(study, tmp_path / "results").cohorts
    found = list(rehearse(cohorts, steps=2, runs=2, device="cpu"))
    assert [r.outcome for r in found] == ["trained"] * len(cohorts)
    assert {r.runs for r in found} == {2}
    short = shortened(cohorts[-1].as_json(), 2, 2)
    assert short["steps"] == 2
    assert short["probes"]["steps"] == [0, 2]
    assert not any(run["lr_grid"] for run in short["runs"])


def test_a_part_that_fails_is_told_and_the_others_go_on(study, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(
        "from vanishing.parts.activations import Activation\n"
        "def _phi(h):\n    raise RuntimeError('no such phi')\n"
        "broken = Activation(_phi, 'nobody')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    battery = {
        **BATTERY,
        "factors": {**BATTERY["factors"], "activation": ["broken:broken", "relu"]},
    }
    study.write_text(yaml.safe_dump({"batteries": {"b": battery}}))
    found = list(rehearse(plan.make(study, tmp_path / "results").cohorts, 1, 1, "cpu"))
    assert {r.outcome for r in found} == {"trained", "failed"}
    assert {r.why for r in found if r.outcome == "failed"} == {"RuntimeError: no such phi"}


def test_the_verb_prints_each_cohort_and_fails_with_status_one(
    study, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["rehearse", str(study), "--cohorts", "2", "--steps", "1"]) == 0
    said = capsys.readouterr().out
    assert said.count("trained") == 3  # two cohorts and the sum
    assert "2 of 8 cohorts" in said


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("--cohorts", -1, 1), ("--cohorts", 0, 1), ("--runs", 0, 1), ("--steps", -1, 0)],
)
def test_nothing_to_train_is_refused(study, tmp_path, option, value, least):
    cohorts = plan.make(study, tmp_path / "results").cohorts
    asked = {"--cohorts": 1, "--steps": 1, "--runs": 1} | {option: value}
    with pytest.raises(UserError, match=f"^{option} must be a whole number from {least} on, and"):
        list(rehearse(drawn(cohorts, asked["--cohorts"], 0), asked["--steps"], asked["--runs"]))


def test_the_verb_refuses_it_with_status_two(study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["rehearse", str(study), "--runs", "0"]) == 2
    assert "--runs must be a whole number from 1 on, and 0 came." in capsys.readouterr().err


def test_a_random_sample_of_the_paper_study_trains():
    """What needs a download is left out here: it says that its data are not there."""
    cohorts = plan.make(ROOT / "workflow/config/paper.yaml", Path("none")).cohorts
    at_hand = {"digits", "breast_cancer", "xor", "ring", "adding", "fine_and_coarse", "faint_blob"}
    small = [
        c for c in cohorts
        if str(c.graph["task"]).partition("(")[0] in at_hand and c.graph.flops < 3e12
    ]  # fmt: skip
    found = list(rehearse(drawn(small, 4, 0), 2, 1, "cpu"))
    assert [(r.outcome, r.why) for r in found] == [("trained", "")] * 4
