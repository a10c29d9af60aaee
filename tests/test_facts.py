"""Facts and calibration: against plain pandas, and where there is nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vanishing.analysis.claims import read_claims
from vanishing.analysis.controls import false_positives
from vanishing.analysis.fact_depths import depths
from vanishing.analysis.fact_remedies import tuned_rates
from vanishing.analysis.facts import facts
from vanishing.analysis.frontier import frontiers
from vanishing.analysis.ledger import judge
from vanishing.analysis.proportions import wilson
from vanishing.analysis.study_tables import Tables
from vanishing.tables import FRONTIERS, TABLES

from .planted import agreed, members, normal, runs_of

REGISTRY = Path(__file__).parents[1] / "reports" / "claims.yaml"
NAMES = {
    "runs.total", "runs.trained", "runs.diverged", "cells.total", "seeds.init", "seeds.judged",
    "claims.total", "claims.supported", "claims.refuted", "claims.conditional",
    "claims.inconclusive", "claims.incomplete", "claims.not_testable",
    "calibration.max_error", "calibration.cells", "calibration.equivalent",
    "calibration.p_tost", "agreement.pairs", "agreement.inside",
    "v.sigmoid.deepest", "v.relu_he.deepest", "success.plain.deep",
    "success.batch.deep", "success.layer.deep", "success.residual.deep", "verdict.C01",
    "study.name", "study.seconds", "study.cores", "harm.batch", "harm.batch.cells",
    "harm.residual", "harm.residual.cells", "tuning.cells", "tuning.edge",
    "lag.slope.vanilla.torch_default", "lag.slope.vanilla.orthogonal",
    "lag.slope.vanilla.identity", "lag.slope.lstm.torch_default", "lag.slope.gru.torch_default",
    *(f"adding.success.{c}" for c in ("vanilla", "identity", "lstm", "gru", "leaky")),
    "adding.length", "adding.shortest", "adding.success.vanilla.short", "gan.accuracy.fixed",
    "gan.modes.start", "gan.quality.start",
    *(f"gan.{what}.{game}" for what in ("decades", "accuracy", "stalled", "modes", "quality")
      for game in ("saturating", "non_saturating", "least_squares", "hinge", "wgan", "wgan_gp")),
    *(f"w01.far.{task}{c}" for task in ("", "agreement.", "transduction.")
      for c in ("vanilla", "lstm", "gru")),
    *(f"{what}.{init}" for what in ("w02.fine", "w03.sensitivity", "w03.faint",
      "w03.clear", "w03.train", "w03.test", "cancer.sensitivity")
      for init in ("torch_default", "orthogonal")),
    *(f"w01.slope.{task}.{c}" for task in ("agreement", "transduction")
      for c in ("vanilla", "lstm", "gru")),
    *(f"control.{c}" for c in ("aa.p", "aa.interval", "aa.supported", "aa.draws", "linear.v",
      "shuffled.accuracy", "shuffled.train", "shuffled.chance")),
    *(f"frontier.{f}" for f in ("arms", "slope", "factor", "ratio")),
    *(f"head.{of}{c}" for of in ("", "deep.") for c in ("cells", "vanishing.cells",
      "vanishing.share", "healthy.cells", "healthy.share", "exploding.cells", "exploding.share")),
    *(f"head.{f}" for f in ("depth", "v.smallest", "v.largest", "v.smallest.network",
      "v.largest.network", "saturation.sigmoid", "saturation.tanh", "claims.decided")),
    *(f"head.imbalance.{arm}" for arm in ("plain", "batch", "layer", "residual")),
    *(f"head.depth_50.{a}.{i}.{arm}" for a in ("sigmoid", "tanh", "relu")
      for i in ("torch_default", "he") for arm in ("plain", "batch", "layer", "residual")),
    "effect.C01",
    "robustness.share", "robustness.claims",
    *(f"slope.{a}.{i}" for a in ("sigmoid", "tanh", "relu", "gelu")
      for i in ("torch_default", "xavier", "he", "orthogonal")),
}  # fmt: skip


def signal(seeds: int = 12) -> pd.DataFrame:
    factors = {
        "activation": ["sigmoid", "tanh", "relu", "gelu"],
        "init": ["torch_default", "xavier", "he", "orthogonal"],
        "depth": [10, 20, 50],
    }
    return runs_of("signal", factors, seeds, normal(-0.3, 0.002))


def training() -> pd.DataFrame:
    def truth(cell, rng):
        trained = cell["norm"] == "batch" or cell["depth"] == 4
        outcome = "trained" if trained else "diverged"
        return {
            "outcome": outcome,
            "final_loss": rng.uniform(0, 0.1) if trained else None,
            "final_test_accuracy": 0.9 if trained else 0.1,
            "final_train_accuracy": 0.9 if trained else 0.1,
            "vanishing_index": rng.normal(-2, 0.1),
        }

    factors = {"norm": ["none", "batch"], "depth": [4, 32]}
    return runs_of("training", factors, 10, truth, steps=200)


def concluded_of(runs: pd.DataFrame, agreement: pd.DataFrame | None = None) -> dict:
    registry, tables = read_claims(REGISTRY), Tables(runs)
    return {
        "agreement": agreed(runs[:0], lambda row: 0.0) if agreement is None else agreement,
        "ledger": judge(tables, registry, members(runs), True, 0),
        "false_positives": false_positives(tables, registry, 0, 2),
        "frontiers": frontiers(tables, 0),
    }


def facts_of(runs: pd.DataFrame, concluded: dict | None = None) -> dict:
    concluded = concluded_of(runs) if concluded is None else concluded
    return facts(
        Tables(runs), concluded, {"study": "planted", "members": members(runs), "cores": 2}
    )


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """The tables of a planted study, by name."""
    runs = pd.concat([signal(), training()], ignore_index=True)
    theory = agreed(runs[runs["battery"] == "signal"], lambda row: -0.301)
    return {"runs": runs, **concluded_of(runs, theory)}


@pytest.fixture(scope="module")
def study(tables) -> tuple[pd.DataFrame, dict]:
    return tables["runs"], facts_of(tables["runs"], tables)


def test_every_fact_of_the_paper_exists_whatever_the_study(study):
    assert set(study[1]) >= NAMES
    own = runs_of("mine", {"activation": ["relu"]}, 2, normal(0))
    found = facts_of(own)
    assert set(found) >= NAMES
    assert found["slope.tanh.he"]["value"] is None
    assert found["success.batch.deep"]["query"].startswith("not in this study")


def test_facts_are_json_and_have_the_agreed_keys(study):
    for one in json.loads(json.dumps(study[1], allow_nan=False)).values():
        assert set(one) == {"value", "unit", "precision", "low", "high", "query", "rows"}


# What plan.json and the code say, and no table.
WITHOUT_ROWS = {
    "study.name", "study.cores", "runs.planned", "agreement.known", "control.shuffled.chance",
}  # fmt: skip


def test_every_fact_names_its_rows(study):
    for name, one in study[1].items():
        if one["query"].startswith("not in this study") or name in WITHOUT_ROWS:
            assert one["rows"] is None
            continue
        assert set(one["rows"]) == {"table", "where"}, name
        assert set(one["rows"]["where"]) <= set(TABLES[one["rows"]["table"]].columns)
        assert all(isinstance(levels, list) for levels in one["rows"]["where"].values())


def rows_of(tables: dict[str, pd.DataFrame], fact: dict) -> pd.DataFrame:
    """The rows that a fact names, as facts.json has it."""
    rows = json.loads(json.dumps(fact))["rows"]
    data = tables[rows["table"]]
    for column, levels in rows["where"].items():
        data = data[data[column].isin(levels)]
    return data


ROWS_GIVE = {
    "runs.total": lambda rows: rows["run_id"].nunique(),
    "runs.trained": lambda rows: rows["run_id"].nunique(),
    "runs.diverged": len,
    "cells.total": lambda rows: rows["cell"].nunique(),
    "seeds.init": lambda rows: rows.groupby("cell")["seed"].nunique().min(),
    "seeds.judged": lambda rows: rows.groupby("cell")["seed"].nunique().min(),
    "study.seconds": lambda rows: rows["seconds"].sum(),
    "slope.tanh.he": lambda rows: rows["slope"].mean(),
    "v.relu_he.deepest": lambda rows: rows["vanishing_index"].mean(),
    "success.batch.deep": lambda rows: (rows["outcome"] == "trained").mean(),
    "success.plain.deep": lambda rows: (rows["outcome"] == "trained").mean(),
    "claims.total": len,
    "claims.supported": len,
    "head.claims.decided": len,
    "verdict.C01": lambda rows: rows["verdict"].item(),
    "effect.C01": lambda rows: rows["value"].item(),
    "robustness.claims": len,
    "agreement.pairs": len,
    "agreement.inside": lambda rows: rows["inside"].mean(),
    "calibration.cells": len,
    "calibration.max_error": lambda rows: rows["distance"].abs().max(),
    "control.aa.draws": len,
    "control.aa.p": lambda rows: (rows["p"] < 0.05).mean(),
    "head.cells": lambda rows: rows["cell"].nunique(),
    "head.deep.cells": lambda rows: rows["cell"].nunique(),
    "head.v.smallest": lambda rows: rows["vanishing_index"].mean(),
}


@pytest.mark.parametrize("name", list(ROWS_GIVE))
def test_the_rows_of_a_fact_give_its_value(study, tables, name):
    fact = study[1][name]
    if fact["value"] is None:
        assert fact["rows"] is None
    else:
        rows = rows_of(tables, fact)
        assert len(rows)
        given = ROWS_GIVE[name](rows)
        known = given if isinstance(given, str) else pytest.approx(given)
        assert fact["value"] == known


def test_a_frontiers_rows_are_its_arms():
    plain = {"battery": "training", "norm": "none", "residual": "none", "n": 5}
    inside = {"beyond": "inside", "low": 4.0, "high": 40.0}
    deep = {"depth_50": None, "low": None, "high": None, "beyond": "deeper"}
    arms = [
        plain | inside | {"activation": "tanh", "init": i, "depth_50": 2.0 * xi, "xi": xi}
        for i, xi in (("he", 3.0), ("xavier", 5.0), ("lecun", 9.0))
    ]
    arms += [
        plain | deep | {"activation": "relu", "init": "he", "xi": 4.0},
        plain | inside | {"activation": "tanh", "init": "orthogonal", "depth_50": 9.0, "xi": None},
        plain | inside | arms[0] | {"battery": "other"},
    ]
    found = FRONTIERS.frame(arms)
    fact = depths(found)["frontier.ratio"]
    rows = rows_of({"frontiers": found}, fact)
    assert np.exp(np.log(rows["depth_50"] / rows["xi"]).mean()) == pytest.approx(fact["value"])
    assert set(rows["init"]) == {"he", "xavier", "lecun"}


def test_a_mean_is_that_of_plain_pandas_at_the_middle_depth(study):
    runs, found = study
    rows = runs.query("battery == 'signal' and activation == 'tanh' and init == 'he'")
    slopes = rows[rows["depth"] == 20]["slope"]
    fact = found["slope.tanh.he"]
    assert fact["value"] == pytest.approx(slopes.mean())
    low, high = stats.t.interval(0.95, len(slopes) - 1, slopes.mean(), stats.sem(slopes))
    assert (fact["low"], fact["high"]) == pytest.approx((low, high))
    deepest = rows.query("depth == 50")["vanishing_index"].mean()
    assert found["v.relu_he.deepest"]["value"] == pytest.approx(deepest, rel=0.05)


def test_counts_and_shares_keep_the_runs_that_diverged(study):
    runs, found = study
    assert found["runs.total"]["value"] == len(runs)
    assert found["runs.trained"]["value"] == 40
    assert found["runs.diverged"]["value"] == 10
    assert found["seeds.judged"]["value"] == 10
    assert found["success.plain.deep"]["value"] == 0
    assert found["success.batch.deep"]["value"] == 1
    assert found["success.batch.deep"]["low"] < 1
    assert found["success.layer.deep"]["value"] is None


def test_the_interval_of_a_share_is_that_of_seeds_and_not_of_runs():
    def truth(*_):
        return {"outcome": "trained" if next(luck) else "stalled"}

    inits = ["he", "xavier", "lecun", "orthogonal"]
    luck = iter([seed < 5 for _ in inits for seed in range(10)])  # all cells of a seed go together
    runs = runs_of("training", {"init": inits}, 10, truth, steps=200)
    fact = facts_of(runs)["success.plain.deep"]
    low, high = stats.t.interval(0.95, 9, 0.5, stats.sem([1] * 5 + [0] * 5))
    assert (fact["value"], fact["low"], fact["high"]) == pytest.approx((0.5, low, high))
    assert "over seeds" in fact["query"]


def test_where_all_seeds_agree_a_share_keeps_a_width_and_says_whose(study):
    fact = study[1]["success.batch.deep"]
    assert fact["low"] == pytest.approx(wilson(10, 10).low)
    assert fact["high"] == 1
    assert "all seeds agree" in fact["query"]


def remedies_init() -> pd.DataFrame:
    def truth(cell, rng):
        plain = -5.0 if cell["activation"] == "tanh" else 0.2
        v = {("batch", "none"): 4.0, ("none", "identity"): 1.1}
        centre = v.get((cell["norm"], cell["residual"]), plain)
        return {"vanishing_index": centre + rng.normal(0, 0.01)}

    factors = {"activation": ["tanh", "relu"], "init": ["he", "xavier"], "depth": [20, 50]}
    arms = {"norm": ["none", "batch"], "residual": ["none", "identity"]}
    return runs_of("remedies_init", factors | arms, 10, truth)


def test_cells_that_a_remedy_harms_are_counted_in_pairs():
    found = facts_of(remedies_init())
    harms = {name: found[f"harm.{name}"]["value"] for name in ("batch", "residual")}
    assert harms == {"batch": 4, "residual": 0}  # |V| of relu: .2 to 4, and to 1.1
    assert found["harm.batch.cells"]["value"] == found["harm.residual.cells"]["value"] == 8
    runs = remedies_init().query("norm == 'none'")
    lacking = facts_of(runs.reset_index(drop=True))["harm.batch"]
    assert lacking["value"] is None
    assert lacking["query"].startswith("not in this study: pairs of battery remedies_init")


@pytest.mark.parametrize(
    ("policy", "rates"),
    [
        ("tuned(0.01, 0.03; 2 seeds)", (0.01, 0.03)),
        ("tuned(1e-05; 1 seeds)", (1e-5,)),
        ("fixed(0.1)", ()),
        ("none", ()),
        ("tuned()", ()),
    ],
)
def test_the_rates_of_a_policy(policy, rates):
    assert tuned_rates(policy) == rates


def test_the_rates_of_a_policy_are_those_that_the_study_writes():
    from vanishing.study.grid import Settings

    words = dict.fromkeys(("family", "task", "activation", "init"), "x")
    numbers = dict.fromkeys(("depth", "width", "steps", "batch", "seed"), 1)
    settings = Settings(**words, **numbers, lr_grid=(1e-5, 0.03, 1.0), tuning_seeds=2)
    assert tuned_rates(settings.lr_policy) == settings.lr_grid


def test_a_rate_at_an_end_of_its_grid_is_counted_by_cell():
    def truth(cell, _):
        lr = {4: 0.01, 8: 0.03, 16: 0.1, 32: 0.03}[cell["depth"]]
        return {"outcome": "slow", "lr": lr, "lr_policy": "tuned(0.01, 0.03, 0.1; 2 seeds)"}

    runs = runs_of("training", {"depth": [4, 8, 16, 32]}, 3, truth, steps=200)
    found = facts_of(runs)
    assert (found["tuning.cells"]["value"], found["tuning.edge"]["value"]) == (4, 0.5)
    fixed = facts_of(runs.assign(lr_policy="fixed(0.03)"))
    assert fixed["tuning.cells"]["value"] is fixed["tuning.edge"]["value"] is None


def test_verdicts_are_counted(study):
    found = study[1]
    words = [fact["value"] for name, fact in found.items() if name.startswith("verdict.")]
    assert found["claims.total"]["value"] == len(words) == len(read_claims(REGISTRY).claims)
    assert found["claims.supported"]["value"] == words.count("SUPPORTED") > 0
    assert found["claims.not_testable"]["value"] == words.count("NOT TESTABLE") > 0
    counts = [f["value"] for name, f in found.items() if name.startswith("claims.")]
    assert sum(counts) == 2 * len(words)  # the total, and the words, which add up to it


def test_a_run_of_two_batteries_is_counted_once():
    runs = signal(3)
    both = pd.concat([runs, runs.assign(battery="again")], ignore_index=True)
    assert facts_of(both)["runs.total"]["value"] == len(runs)


def test_calibration_is_equivalent_where_theory_is_right_and_not_where_it_is_off(study):
    runs, found = study
    assert found["calibration.cells"]["value"] == 48
    assert found["calibration.max_error"]["value"] < 0.01
    assert found["calibration.p_tost"]["value"] < 0.05
    assert found["calibration.equivalent"]["value"] == 48
    assert found["agreement.pairs"]["value"] == 48
    assert found["agreement.inside"]["value"] == 1
    off = agreed(runs[runs["battery"] == "signal"], lambda row: -0.32)
    assert (off["p_tost"] > 0.05).all()
    assert not off["inside"].any()
    assert off["distance"].to_numpy() == pytest.approx(0.02, abs=0.005)


def test_a_cell_without_theory_is_not_calibrated():
    assert agreed(signal(2), lambda row: np.nan).empty
    assert facts_of(signal(2))["calibration.p_tost"]["value"] is None
