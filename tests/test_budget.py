"""The part of a study that fits a budget: what goes first, and that it can be run."""

import random
from pathlib import Path

import pytest
import yaml

from vanishing import strict_yaml
from vanishing.analysis import verdicts
from vanishing.cli import main
from vanishing.errors import UserError
from vanishing.study import config, plan
from vanishing.study.budget import (
    LEAST_SEEDS,
    Work,
    chain,
    needs_of,
    select,
    shrink,
    smallest,
    with_extras,
    work_of,
)
from vanishing.study.description import wall_seconds
from vanishing.study.sizes import Places

ROOT = Path(__file__).parents[1]
BATTERY = {
    "family": "mlp",
    "task": "digits",
    "factors": {"activation": ["tanh", "relu"], "init": ["he"], "depth": [4]},
    "width": 64,
    "seeds": {"judged": 40},
    "train": {"steps": 20_000, "lr": 0.1, "batch": 64},
}


def drawn_study(seed):
    """Random batteries, some of whose runs are shared, and random claims on some of them."""
    rng = random.Random(seed)
    names = [f"b{n}" for n in range(rng.randint(2, 9))]
    seeds = {name: rng.choice([7, 11, 15, 20, 30]) for name in names}
    amounts = {}
    for name in names:
        shared = frozenset({name, rng.choice(names)}) if rng.random() < 0.3 else frozenset({name})
        for rank in range(-1, min(seeds[b] for b in shared)):
            amounts[shared, rank] = amounts.get((shared, rank), 0.0) + rng.expovariate(1 / 50)
    needs = {
        f"C{n}": frozenset(rng.sample(names, min(len(names), rng.choice([1, 1, 1, 2]))))
        for n in range(rng.randint(1, 12))
    }
    return Work(amounts, seeds), needs


def budgets(work):
    """From nothing to all of it."""
    whole = work.of(work.seeds)
    return [whole * n / 12 for n in range(13)]


@pytest.mark.parametrize("seed", range(60))
def test_what_is_chosen_fits_and_keeps_enough_seeds(seed):
    work, needs = drawn_study(seed)
    for limit in budgets(work):
        chosen = select(work, needs, limit)
        assert work.of(chosen) <= limit
        for name, judged in chosen.items():
            assert min(LEAST_SEEDS, work.seeds[name]) <= judged <= work.seeds[name]


@pytest.mark.parametrize("seed", range(60))
def test_a_larger_budget_loses_no_claim_and_no_seed_of_the_same_batteries(seed):
    work, needs = drawn_study(seed)
    before, decided = {}, set()
    for limit in budgets(work):
        chosen = select(work, needs, limit)
        now = {claim for claim, of in needs.items() if of <= set(chosen)}
        assert decided <= now
        if set(chosen) == set(before):
            assert all(before[name] <= chosen[name] for name in chosen)
        before, decided = chosen, now


@pytest.mark.parametrize("seed", range(60))
def test_every_kept_battery_serves_a_claim_unless_all_seeds_are_kept(seed):
    work, needs = drawn_study(seed)
    for limit in budgets(work):
        chosen = select(work, needs, limit)
        served = {b for of in needs.values() if of <= set(chosen) for b in of}
        assert set(chosen) <= served or all(n == work.seeds[b] for b, n in chosen.items())


@pytest.mark.parametrize("seed", range(20))
def test_the_whole_budget_keeps_the_whole_study(seed):
    work, needs = drawn_study(seed)
    assert select(work, needs, work.of(work.seeds)) == work.seeds


def test_what_no_claim_needs_goes_first_then_seeds_then_the_dearest_claim():
    one = {(frozenset({b}), r): s for b, s in (("a", 1.0), ("b", 5.0), ("c", 2.0), ("d", 3.0))
           for r in range(20)}  # fmt: skip
    work = Work(one, dict.fromkeys("abcd", 20))
    needs = {"C1": frozenset("a"), "C2": frozenset("b")}
    assert [sorted(s) for s in with_extras(work, needs)] == [list("abcd"), list("abc"), list("ab")]
    assert chain(work, needs) == [frozenset("ab"), frozenset("a")]
    assert select(work, needs, 120.0) == {"a": 20, "b": 20}
    assert select(work, needs, 90.0) == {"a": 15, "b": 15}
    assert select(work, needs, 65.0) == {"a": 20}
    assert smallest(work, needs) == {"a": 11}
    assert select(work, needs, 10.0) == {}


def test_a_battery_that_many_claims_share_outlives_a_cheaper_one_of_one_claim():
    amounts = {(frozenset({b}), r): s for b, s in (("a", 4.0), ("b", 2.0)) for r in range(11)}
    work = Work(amounts, {"a": 11, "b": 11})
    needs = {"C1": frozenset("a"), "C2": frozenset("a"), "C3": frozenset("a"), "C4": frozenset("b")}
    assert chain(work, needs) == [frozenset("ab"), frozenset("a")]


def test_the_least_seeds_pass_holm_over_all_claims():
    said, _ = strict_yaml.load(ROOT / "reports" / "claims.yaml")
    claims = [claim for claim in said["claims"] if claim.get("primary")]
    assert LEAST_SEEDS >= verdicts.LEAST_SEEDS
    assert 2.0**-LEAST_SEEDS < verdicts.LEVEL / len(claims) < 2.0 ** -(LEAST_SEEDS - 1)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of three batteries, and two claims on two of them."""
    monkeypatch.chdir(tmp_path)
    batteries = {
        "dear": {**BATTERY, "width": 128},
        "cheap": {**BATTERY, "train": {"steps": 5000, "lr": 0.1}},
        "idle": {**BATTERY, "factors": {**BATTERY["factors"], "depth": [5]}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"batteries": batteries}))
    claims = [
        {"id": f"C{n}", "primary": {"batteries": [b]}} for n, b in ((1, "dear"), (2, "cheap"))
    ]
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump({"claims": [*claims, {"id": "C3"}]}))
    return plan.make(tmp_path / "mine.yaml", tmp_path / "results")


def test_the_written_config_is_valid_and_its_plan_within_the_budget(study, tmp_path):
    parts = {}
    for share in (0.9, 0.6, 0.4, 0.2):
        budget, out = f"{int(share * study.seconds)}s", tmp_path / f"part{share}.yaml"
        said = shrink(study, budget, None, tmp_path / "claims.yaml", out)
        assert config.read(out).batteries
        part = plan.make(out, tmp_path / "other")
        assert part.seconds <= share * study.seconds
        assert str(out) in said
        parts[share] = {name: b.seeds.judged for name, b in part.study.batteries.items()}
    assert "idle" not in parts[0.6]
    assert set(parts[0.2]) == {"cheap"}
    mine = {m.run_id for c in study.cohorts for m in c.members}
    assert {m.run_id for c in part.cohorts for m in c.members} < mine


def test_with_a_profile_the_budget_is_of_the_clock(study, tmp_path):
    places, out = Places(4, "4 cores"), tmp_path / "part.yaml"
    wall = wall_seconds(study.cohorts, places)
    shrink(study, f"{int(0.8 * wall)}s", places, tmp_path / "claims.yaml", out)
    part = plan.make(out, tmp_path / "other")
    assert wall_seconds(part.cohorts, places) <= 0.8 * wall
    assert part.seconds > 0.8 * wall


def test_a_budget_that_holds_all_writes_nothing(study, tmp_path):
    said = shrink(study, "30d", None, tmp_path / "claims.yaml", tmp_path / "part.yaml")
    assert "whole study fits" in said
    assert not (tmp_path / "part.yaml").exists()


def test_a_budget_that_fits_nothing_says_the_smallest_that_would(study, tmp_path):
    with pytest.raises(UserError, match=r"the least is cheap, which takes about .*Give --budget"):
        shrink(study, "61s", None, tmp_path / "claims.yaml")


def test_another_file_is_never_overwritten(study, tmp_path):
    out, budget = tmp_path / "part.yaml", f"{int(0.5 * study.seconds)}s"
    shrink(study, budget, None, tmp_path / "claims.yaml", out)
    first = out.read_text()
    shrink(study, budget, None, tmp_path / "claims.yaml", out)  # the same again is no harm
    out.write_text("mine")
    with pytest.raises(UserError, match=r"part\.yaml is there and holds something else"):
        shrink(study, budget, None, tmp_path / "claims.yaml", out)
    assert (out.read_text(), first[0]) == ("mine", "#")


def test_data_of_ones_own_are_found_from_where_the_part_is_written(tmp_path):
    import numpy as np

    np.savez(tmp_path / "mine.npz", x=np.eye(20), y=np.arange(20) % 2)
    own = {**BATTERY, "task": {"npz": {"path": "mine.npz"}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"batteries": {"b": own}}))
    study = plan.make(tmp_path / "mine.yaml", tmp_path / "results")
    (tmp_path / "far").mkdir()
    out = tmp_path / "far" / "part.yaml"
    shrink(study, f"{int(0.7 * study.seconds)}s", None, tmp_path / "no claims", out)
    part = plan.make(out, tmp_path / "other")
    assert {m.run_id for c in part.cohorts for m in c.members} < {
        m.run_id for c in study.cohorts for m in c.members
    }


def test_a_study_that_no_claim_knows_counts_each_battery_as_one(study, tmp_path):
    assert set(needs_of(tmp_path / "no claims", study)) == set(study.grids)


def test_the_work_of_a_study_is_that_of_its_jobs(study):
    work = work_of(study)
    jobs = study.seconds - plan.cost.SECONDS_OF_REPORT
    assert work.of(work.seeds) == pytest.approx(jobs)


def test_the_command_line_writes_the_part_beside_where_one_stands(study, tmp_path, capsys):
    budget = f"{int(study.seconds / 2)}s"
    arguments = ["plan", "mine.yaml", "--quick", "--budget", budget, "--claims", "claims.yaml"]
    assert main(arguments) == 0
    assert f"mine-{budget}.yaml: the part of mine" in capsys.readouterr().out
    assert (tmp_path / f"mine-{budget}.yaml").exists()
    assert main([*arguments[:-3], "soon", *arguments[-2:]]) == 2
    assert "a time is a number with its unit" in capsys.readouterr().err
