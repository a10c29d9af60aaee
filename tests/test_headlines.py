"""Facts for the abstract: counts of signals, extremes, remedies, depths, saturation, effects."""

import pandas as pd
import pytest

from vanishing.analysis.fact_effects import effects
from vanishing.analysis.fact_headlines import headlines
from vanishing.analysis.study_tables import Tables
from vanishing.tables import FRONTIERS, LAYERS

from .planted import layers_of, runs_of

V = {"sigmoid": -20.0, "tanh": -2.0, "relu": 0.1, "linear": 5.0}
SIGNALS = {
    "sigmoid": "severely vanishing", "tanh": "vanishing", "relu": "healthy",
    "linear": "severely exploding",
}  # fmt: skip


def ledger(*rows: dict) -> pd.DataFrame:
    names = ["claim", "stratum", "statistic", "value", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=names)


def of(runs: pd.DataFrame, layers=None, frontiers=(), judged=None) -> dict:
    layers = LAYERS.frame([]) if layers is None else layers
    judged = ledger() if judged is None else judged
    return headlines(Tables(runs, layers), FRONTIERS.frame(frontiers), judged)


def signal() -> pd.DataFrame:
    def truth(cell, rng):
        v = V[cell["activation"]] * cell["depth"] / 50
        return {"vanishing_index": v + rng.normal(0, 0.01), "signal": SIGNALS[cell["activation"]]}

    factors = {"activation": list(V), "depth": [10, 50], "norm": ["none", "batch"]}
    return runs_of("signal", factors, 3, truth)


def test_plain_cells_are_counted_by_their_signal():
    found = of(signal())
    assert found["head.cells"]["value"] == 8
    assert found["head.vanishing.cells"]["value"] == 4
    assert found["head.vanishing.share"]["value"] == 0.5
    assert found["head.healthy.cells"]["value"] == found["head.exploding.cells"]["value"] == 2
    assert found["head.deep.cells"]["value"] == 4
    assert found["head.deep.exploding.share"]["value"] == 0.25
    assert found["head.depth"]["value"] == 50


def test_the_rows_of_a_count_of_cells_are_those_cells_alone():
    runs = signal()
    rows = of(runs)["head.deep.vanishing.cells"]["rows"]["where"]
    for column, levels in rows.items():
        runs = runs[runs[column].isin(levels)]
    assert set(runs["activation"]) == {"sigmoid", "tanh"}
    assert set(runs["depth"]) == {50}
    assert runs["cell"].nunique() == 2


def test_the_extremes_of_v_are_named():
    found = of(signal())
    assert found["head.v.smallest"]["value"] == pytest.approx(-20, abs=0.05)
    assert found["head.v.largest"]["value"] == pytest.approx(5, abs=0.05)
    assert found["head.v.smallest.network"]["value"] == "sigmoid, xavier"
    assert found["head.v.largest.network"]["value"] == "linear, xavier"


def test_a_study_without_these_networks_says_so():
    found = of(signal()[:0])
    for name, fact in found.items():
        if not name.endswith(".cells") and name != "head.claims.decided":
            assert fact["value"] is None, name
            assert fact["query"].startswith("not in this study"), name
            assert fact["rows"] is None, name


def test_the_imbalance_of_an_arm_is_the_mean_of_its_sizes_at_the_greatest_depth():
    def truth(cell, _):
        size = {"none": 8.0, "batch": 1.0}[cell["norm"]] if cell["depth"] == 50 else 99.0
        return {"vanishing_index": -size if cell["activation"] == "tanh" else size}

    factors = {"activation": ["tanh", "relu"], "norm": ["none", "batch"], "depth": [20, 50]}
    found = of(runs_of("remedies_init", factors, 3, truth))
    assert found["head.imbalance.plain"]["value"] == 8
    assert found["head.imbalance.batch"]["value"] == 1
    assert found["head.imbalance.layer"]["value"] is None


def test_the_depth_of_half_success_is_that_of_the_battery_with_most_remedies():
    plain = {"battery": "training", "activation": "tanh", "init": "he", "residual": "none", "n": 5}
    inside = {"beyond": "inside", "low": 4.0, "high": None, "xi": None}
    arms = [
        plain | inside | {"norm": "none", "depth_50": 7.0},
        plain | inside | {"norm": "batch", "depth_50": 80.0, "beyond": "deeper"},
        plain | inside | {"norm": "none", "depth_50": 30.0, "battery": "frontier"},
    ]
    found = of(signal()[:0], frontiers=arms)
    fact = found["head.depth_50.tanh.he.plain"]
    assert (fact["value"], fact["low"], fact["high"]) == (7, 4, None)
    assert fact["rows"]["where"]["battery"] == ["training"]
    deeper = found["head.depth_50.tanh.he.batch"]
    assert deeper["value"] is None
    assert "at the greatest depth at least half are trained" in deeper["query"]
    assert found["head.depth_50.relu.he.plain"]["value"] is None


def test_saturation_is_correlated_with_the_slope_over_cells():
    sizes = {"he": 4.0, "xavier": 3.0, "lecun": 2.0, "torch_default": 1.0}

    def truth(cell, rng):
        return {"slope": -1 / sizes[cell["init"]] + rng.normal(0, 0.001)}

    runs = runs_of("signal", {"activation": ["tanh"], "init": list(sizes)}, 3, truth)
    share = {row.run_id: sizes[row.init] / 10 for row in runs.itertuples()}
    layers = layers_of(runs, lambda layer: {}).assign(
        saturation_low=lambda t: t["run_id"].map(share).astype(float)
    )
    found = of(runs, layers)
    assert found["head.saturation.tanh"]["value"] == pytest.approx(1)
    assert "4 cells" in found["head.saturation.tanh"]["query"]
    assert found["head.saturation.sigmoid"]["value"] is None


def test_the_effect_of_a_claim_is_that_of_its_verdict():
    slope = {"claim": "C01", "statistic": "slope at init [decades/layer], mean over cells"}
    none = {"claim": "W04", "stratum": "all", "statistic": "none", "verdict": "NOT TESTABLE"}
    judged = ledger(
        slope | {"stratum": "all", "value": -0.3, "low": -0.4, "high": -0.2, "verdict": "REFUTED"},
        slope | {"stratum": "activation=tanh", "value": 9.0, "verdict": "SUPPORTED"},
        none,
    )
    found = effects(judged)
    fact = found["effect.C01"]
    assert (fact["value"], fact["low"], fact["high"]) == (-0.3, -0.4, -0.2)
    assert fact["unit"] == "decades/layer"
    assert fact["rows"] == {"table": "ledger", "where": {"stratum": ["all"], "claim": ["C01"]}}
    assert found["effect.W04"]["value"] is None
    assert of(signal()[:0], judged=judged)["head.claims.decided"]["value"] == 1
