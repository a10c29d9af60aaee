"""Each kind of claim on planted truths, its measures, and the registry, which is read strictly."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.claims import read_claims
from vanishing.analysis.effects import labels, paired_by, seed_difference
from vanishing.analysis.measures import MEASURES
from vanishing.analysis.study_tables import SMALLEST, Tables
from vanishing.errors import UserError

from .planted import layers_of, normal, predicted, runs_of
from .planted_claims import (
    INITS,
    REGISTRY,
    ledger_of,
    of_all,
    only,
    remedies,
    sigmoids,
    sweep,
    trainings,
)

# Each kind of claim


def log_sigma(cell: dict) -> float:
    return float(np.log10(float(cell["init"].split("sigma_w=")[1].rstrip(")"))))


DERIVATIVE = {"sigmoid": -0.6, "tanh": -0.1, "relu": -0.15}


@pytest.mark.parametrize(("weight", "expected"), [(1.0, "REFUTED"), (0.0, "SUPPORTED")])
def test_c08_is_refuted_where_sigma_w_has_a_weight_of_its_own(weight, expected):
    def derivative(row):
        return DERIVATIVE[row["activation"]] - (row["activation"] == "tanh") * row["sigma_w"] / 50

    runs = sweep(
        lambda cell, rng: {
            "slope": DERIVATIVE[cell["activation"]]
            - (cell["activation"] == "tanh") * 10 ** log_sigma(cell) / 50
            + weight * log_sigma(cell)
            + rng.normal(0, 0.003)
        }
    )
    predictions = predicted(runs, lambda row: derivative(row) + np.log10(row["sigma_w"]))
    ledger = ledger_of(only("C08"), runs, predictions=predictions).set_index("stratum")
    assert ledger.loc["all", "verdict"] == expected
    assert ledger.loc["all", "value"] == pytest.approx(weight, abs=0.01)
    assert ledger.loc["secondary derivative_counts", "value"] == pytest.approx(1, abs=0.05)
    assert ledger.loc["secondary derivative_counts", "verdict"] == "SUPPORTED"


def test_cells_without_a_regressor_are_counted_in_the_reason():
    runs = sweep(lambda cell, rng: {"slope": log_sigma(cell) + rng.normal(0, 0.003)})
    predictions = predicted(
        runs, lambda row: DERIVATIVE[row["activation"]] + np.log10(row["sigma_w"]) - row["sigma_w"]
    )
    lost = runs.query("activation == 'tanh' and sigma_w >= 2")["cell"].unique()
    known = predictions[~predictions["cell"].isin(lost)].reset_index(drop=True)
    said = "3 cells without log10 rms phi' by theory left out"
    row = of_all(ledger_of(only("C08"), runs, predictions=known))
    assert row["verdict"] == "REFUTED"
    assert row["reason"].endswith(f"; {said}")
    assert said not in of_all(ledger_of(only("C08"), runs, predictions=predictions))["reason"]
    nothing = of_all(ledger_of(only("C08"), runs))
    assert nothing["reason"].startswith("these cells do not identify the effect; 18 cells without")


def test_the_derivative_is_averaged_over_the_layers_that_have_a_factor():
    runs = sweep(lambda cell, rng: {"slope": 0.0}, seeds=1)
    predictions = predicted(runs, lambda row: np.log10(0.5 * row["sigma_w"]))
    first = predictions["layer"] == 1
    predictions.loc[first, "chi_1"] = np.nan
    found = MEASURES["log10_derivative"].of(Tables(runs, predictions=predictions))
    np.testing.assert_allclose(found, np.log10(0.5))


@pytest.mark.parametrize(("coefficient", "expected"), [(1.0, "SUPPORTED"), (0.8, "REFUTED")])
def test_c09_wants_a_coefficient_of_one_among_small_weights(coefficient, expected):
    def truth(cell, rng):
        weight = coefficient if log_sigma(cell) < -0.2 else 0.1
        return {"slope": weight * log_sigma(cell) + rng.normal(0, 0.003)}

    row = of_all(ledger_of(only("C09"), sweep(truth)))
    assert row["verdict"] == expected


def test_c10_reads_the_saturation_of_small_inits():
    runs = sweep(normal(0))
    for share, expected in ((0.0, "REFUTED"), (0.02, "SUPPORTED")):
        layers = layers_of(
            runs, lambda layer, share=share: {"saturation_low": share, "saturation_high": share}
        )
        row = of_all(ledger_of(only("C10"), runs, layers=layers))
        assert row["verdict"] == expected
        assert row["value"] == pytest.approx(2 * share)


@pytest.mark.parametrize(
    ("gain", "expected"),
    [(lambda x: x, "SUPPORTED"), (lambda x: min(x, 0.0), "REFUTED"), (abs, "REFUTED")],
)
def test_c12_wants_both_vanishing_and_exploding(gain, expected):
    runs = sweep(lambda cell, rng: {"slope": gain(log_sigma(cell)) + rng.normal(0, 0.01)})
    assert of_all(ledger_of(only("C12"), runs))["verdict"] == expected


def test_r01_pairs_arms_by_seed_and_judges_each_init_and_control():
    def truth(cell, rng):
        level = {"relu": 0.0, "tanh": -0.1, "sigmoid": -0.5}[cell["activation"]]
        return {"slope": level + rng.normal(0, 0.002)}

    runs = runs_of("signal", {"activation": ["relu", "tanh", "sigmoid"], "init": INITS}, 10, truth)
    luck = runs["seed"].astype(float)  # a seed's own luck, far larger than the effect, cancels
    ledger = ledger_of(only("R01"), runs.assign(slope=runs["slope"] + luck))
    assert of_all(ledger)["verdict"] == "SUPPORTED"
    strata = ledger.set_index("stratum")
    assert strata.loc["init=he, control=tanh", "value"] == pytest.approx(0.1, abs=0.01)
    assert strata.loc["init=he, control=sigmoid", "done"] == 20
    assert len(strata) == 11


def test_arms_without_a_pair_have_no_difference():
    runs = runs_of("signal", {"activation": ["relu"], "init": INITS}, 10, normal(0.0))
    rule = only("R01").claims[0].primary
    assert seed_difference(runs.assign(value=runs["slope"]), rule).empty
    row = of_all(ledger_of(only("R01"), runs))
    assert row["reason"] == "these cells do not identify the effect"


def test_r05_is_refuted_by_one_activation_that_leaves_the_margin():
    def truth(cell, rng):
        gone = cell["activation"] == "sigmoid" and cell["init"] == "xavier"
        return {"vanishing_index": rng.normal(-9 if gone else 0, 0.1)}

    factors = {"activation": ["sigmoid", "tanh", "relu", "gelu"], "init": ["xavier", "he"]}
    ledger = ledger_of(only("R05"), runs_of("signal", factors, 10, truth)).set_index("stratum")
    assert ledger.loc["all", "verdict"] == "REFUTED"
    assert ledger.loc["all", "value"] == pytest.approx(9, abs=0.2)
    assert ledger.loc["all", "reason"].endswith("in activation=sigmoid, init=xavier")
    assert ledger.loc["activation=relu, init=he", "verdict"] == "SUPPORTED"


@pytest.mark.parametrize(
    ("batch", "expected"), [(0.5, "SUPPORTED"), (10.0, "REFUTED"), (-10.0, "REFUTED")]
)
def test_r07_counts_an_explosion_as_large_as_the_loss_for_nothing(batch, expected):
    row = of_all(ledger_of(only("R07"), remedies({"none": -10.0, "batch": batch})))
    assert row["verdict"] == expected


@pytest.mark.parametrize(
    ("success", "expected"),
    [
        ({"none": 0.0, "batch": 1.0}, "SUPPORTED"),
        ({"none": 1.0, "batch": 0.0}, "REFUTED"),
        ({"none": 0.5, "batch": 0.5}, "INCONCLUSIVE"),
    ],
)
def test_success_is_compared_in_pairs_and_stands_beside_the_primary_row(success, expected):
    runs = pd.concat([remedies({"none": -10.0, "batch": 0.0}), trainings(success)])
    ledger = ledger_of(only("R07"), runs.reset_index(drop=True)).set_index("stratum")
    assert ledger.loc["secondary success", "verdict"] == expected
    assert pd.isna(ledger.loc["secondary success", "p_holm"])
    assert ledger.loc["all", "verdict"] == "SUPPORTED"


def test_diverged_runs_are_counted_and_stay_in_the_denominator():
    runs = pd.concat(
        [remedies({"none": -10.0, "batch": 0.0}), trainings({"none": 0.0, "batch": 1.0}, True)]
    )
    row = ledger_of(only("R07"), runs.reset_index(drop=True)).set_index("stratum")
    assert row.loc["secondary success", "diverged"] == 40
    assert row.loc["secondary success", "value"] == 1
    assert row.loc["secondary success", "n"] == 10


# Measures


def test_an_exactly_zero_gradient_is_bounded_and_not_dropped():
    runs = sigmoids(normal(-0.3), 4, ["he"])
    gone = runs.assign(vanishing_index=runs["vanishing_index"].where(runs["seed"] > 0))
    gone["slope"] = gone["slope"].where(gone["seed"] > 0)
    tables = Tables(gone)
    v, slope = MEASURES["vanishing_index"].of(tables), MEASURES["slope"].of(tables)
    assert v[0] == pytest.approx(SMALLEST)
    assert slope[0] == pytest.approx(SMALLEST / 19)
    assert v.notna().all()
    worse = gone.assign(vanishing_index=gone["vanishing_index"] * 20)
    bound = MEASURES["vanishing_index"].of(Tables(worse))
    assert bound[0] == bound.min()


def test_a_censored_run_supports_that_gradients_vanish():
    runs = sigmoids(normal(-0.3)).assign(vanishing_index=np.nan, slope=np.nan)
    row = of_all(ledger_of(only("C04"), runs))
    assert (row["verdict"], row["n"]) == ("SUPPORTED", 10)


def test_an_overflow_is_told_from_a_zero():
    runs = sigmoids(normal(-0.3), 2, ["he"]).assign(vanishing_index=np.nan)
    layers = layers_of(runs, lambda _: {"log10_delta_rms": None, "delta_zero_fraction": 0.0})
    v = MEASURES["vanishing_index"].of(Tables(runs, layers))
    assert (v > 38).all()


def test_a_net_too_shallow_for_a_slope_has_none():
    runs = sigmoids(lambda cell, rng: {"vanishing_index": rng.normal()}, 2, ["he"])
    assert MEASURES["slope"].of(Tables(runs)).isna().all()


def test_shape_tells_an_exponential_from_a_power_law():
    runs = sigmoids(normal(-0.3), 1, ["he"])
    for profile, sign in ((lambda x: 0.3 * x, 1), (lambda x: 0.5 * np.log10(x), -1)):
        layers = layers_of(runs, lambda layer, f=profile: {"log10_delta_rms": f(layer)}, 20)
        assert sign * MEASURES["shape"].of(Tables(runs, layers))[0] > 10


def test_a_stratum_with_commas_in_its_name_keeps_its_runs():
    runs = sweep(normal(-0.3))
    claim = only("C12").claims[0]
    named = claim.model_copy(
        update={"primary": claim.primary.model_copy(update={"strata": ("init",)})}
    )
    registry = only("C12").model_copy(update={"claims": (named,)})
    assert (ledger_of(registry, runs)["done"][1:] == 30).all()
    assert labels(runs, ("init",))[0].startswith("init=gaussian(")


# The registry


def test_the_registry_has_the_claims_of_this_stage_with_short_quotations():
    registry = read_claims(REGISTRY)
    ids = {claim.id for claim in registry.claims}
    assert ids >= {"C01", "C04", "C05", "C08", "C09", "C10", "C12", "R01", "R05", "R07", "R13"}
    assert set(registry.sources) == {"S0", "S1", "S2", "S3"}
    assert all(len(claim.quote.split()) <= 25 for claim in registry.claims)


def written(tmp_path: Path, old: str, new: str) -> Path:
    text = REGISTRY.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "claims.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("measure: slope", "measure: slop", "no measure is called 'slop'. Did you mean 'slope'"),
        ("test: seed_mean", "test: seed_meen", "Did you mean 'seed_mean'"),
        ("side: less", "side: lesser", "primary.side"),
        ("strata: [activation, init]", "strata: [activations]", "Did you mean 'activation'"),
        ("residual: none}", "residul: none}", "Did you mean 'residual'"),
        ("{other_than: [linear]}", "{max: 3}", "it has no min or max"),
        ("statement:", "statment:", "no key is called 'statment'"),
        ("smallest_effect: 0.02", "smallest_effect: -1", "greater than 0"),
        ("id: C04", "id: C01", "same id: C01"),
        ("sources: [S0, S1, S2, S3]", "sources: [S0, S9]", "no source is called 'S9'"),
        ("test: seed_mean", "test: seed_difference", "needs 'contrast'"),
    ],
)
def test_a_mistake_in_the_registry_is_refused_with_its_name(tmp_path, old, new, message):
    with pytest.raises(UserError) as error:
        read_claims(written(tmp_path, old, new))
    assert message in str(error.value)


def test_a_mistake_is_refused_with_its_line(tmp_path):
    path = written(tmp_path, "measure: slope", "measure: slop")
    line = path.read_text().splitlines().index("      measure: slop") + 1
    with pytest.raises(UserError, match=rf"claims\.yaml:{line}: "):
        read_claims(path)


def test_a_file_that_is_missing_or_no_yaml_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_claims(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("claims: [")
    with pytest.raises(UserError, match=r"bad\.yaml:1: "):
        read_claims(tmp_path / "bad.yaml")


def test_a_remedy_is_paired_with_its_control_whatever_details_it_alone_has():
    """Blocks of two against none, whose block is one; a norm behind phi against none before."""
    assert "block" not in paired_by("residual")
    assert "norm_position" not in paired_by("norm")
    assert {"block", "norm_position", "probe_batch", "data", "seed"} <= set(paired_by("init"))
