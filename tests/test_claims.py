"""Planted truths get the verdicts that they must; the registry is read strictly."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.claims import Analysis, Claim, Registry, read_claims
from vanishing.analysis.coverage import absent_strata
from vanishing.analysis.effects import Evidence, labels, paired_by, seed_difference
from vanishing.analysis.ledger import judge
from vanishing.analysis.measures import MEASURES, SMALLEST, Tables
from vanishing.analysis.verdicts import finding, verdict
from vanishing.errors import UserError
from vanishing.tables import LEDGER

from .planted import layers_of, members, no_layers, no_predictions, normal, predicted, runs_of

REGISTRY = Path(__file__).parents[1] / "reports" / "claims.yaml"
INITS = ["torch_default", "xavier", "he", "lecun", "orthogonal"]
SIGMAS = [f"gaussian(sigma_b=0.0, sigma_w={value})" for value in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)]


def only(*ids: str) -> Registry:
    registry = read_claims(REGISTRY)
    return registry.model_copy(
        update={"claims": tuple(claim for claim in registry.claims if claim.id in ids)}
    )


def ledger_of(
    claims: Registry,
    runs: pd.DataFrame,
    planned: dict | None = None,
    decided: bool = True,
    layers: pd.DataFrame | None = None,
    predictions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    return judge(
        runs,
        no_layers() if layers is None else layers,
        no_predictions() if predictions is None else predictions,
        claims,
        members(runs) if planned is None else planned,
        decided,
        seed=0,
    )


def of_all(ledger: pd.DataFrame) -> pd.Series:
    return ledger[ledger["stratum"] == "all"].iloc[0]


def sigmoids(truth, seeds: int = 10, inits: list[str] = INITS) -> pd.DataFrame:
    return runs_of("signal", {"activation": ["sigmoid"], "init": inits}, seeds, truth)


# Verdicts


@pytest.mark.parametrize(
    ("slope", "expected"),
    [(-0.3, "SUPPORTED"), (0.0, "REFUTED"), (0.3, "REFUTED"), (-0.02, "INCONCLUSIVE")],
)
def test_the_sign_of_a_planted_slope_decides(slope, expected):
    ledger = ledger_of(only("C04"), sigmoids(normal(slope)))
    assert of_all(ledger)["verdict"] == expected
    assert list(ledger["stratum"][1:]) == [f"init={init}" for init in INITS]
    LEDGER.check(ledger)


def test_value_and_interval_are_those_of_the_weakest_stratum():
    slopes = dict(zip(INITS, (-0.5, -0.4, -0.1, -0.3, -0.2), strict=True))
    runs = sigmoids(lambda cell, rng: {"slope": rng.normal(slopes[cell["init"]], 0.01)})
    row = of_all(ledger_of(only("C04"), runs))
    weakest = runs[runs["init"] == "he"]["slope"]
    assert row["value"] == pytest.approx(weakest.mean())
    assert row["low"] < row["value"] < row["high"] < -0.02
    assert "init=he" in row["statistic"]


def test_one_stratum_without_an_effect_refutes_what_is_said_of_every_one():
    runs = sigmoids(
        lambda cell, rng: {"slope": rng.normal(0 if cell["init"] == "he" else -0.4, 0.005)}
    )
    row = of_all(ledger_of(only("C04"), runs))
    assert row["verdict"] == "REFUTED"
    assert "init=he" in row["reason"]


def test_strata_of_opposite_sign_make_a_claim_conditional_and_are_named():
    runs = sigmoids(
        lambda cell, rng: {"slope": rng.normal(0.3 if cell["init"] == "he" else -0.3, 0.05)}
    )
    row = of_all(ledger_of(only("C04"), runs))
    assert row["verdict"] == "CONDITIONAL"
    assert "reversed in init=he" in row["reason"]


def test_an_opposite_sign_of_no_interest_is_not_a_condition():
    runs = sigmoids(
        lambda cell, rng: {"slope": rng.normal(0.004 if cell["init"] == "he" else -0.3, 0.001)}
    )
    assert of_all(ledger_of(only("C04"), runs))["verdict"] == "REFUTED"


def test_a_missing_run_makes_a_claim_incomplete_and_is_counted():
    runs = sigmoids(normal(-0.3))
    planned = members(runs)
    row = of_all(ledger_of(only("C04"), runs.iloc[1:], planned))
    assert row["verdict"] == "INCOMPLETE"
    assert (row["planned"], row["done"]) == (50, 49)
    assert row["n"] == 9
    nothing = of_all(ledger_of(only("C04"), runs.iloc[:0], planned))
    assert (nothing["verdict"], nothing["planned"]) == ("INCOMPLETE", 50)


def test_a_claim_without_its_battery_is_inconclusive_and_says_so():
    row = of_all(ledger_of(only("C09"), sigmoids(normal(-0.3))))
    assert row["verdict"] == "INCONCLUSIVE"
    assert "no battery sigma" in row["reason"]
    assert pd.isna(row["value"])


@pytest.mark.parametrize(("seeds", "decided"), [(10, False), (6, True), (2, False), (1, True)])
def test_a_study_too_small_says_neither_supported_nor_refuted(seeds, decided):
    for slope in (-1.0, 0.0, 1.0):
        ledger = ledger_of(only("C04"), sigmoids(normal(slope), seeds), decided=decided)
        assert set(ledger["verdict"]) == {"INCONCLUSIVE"}
        assert ledger["reason"].str.contains("small|few").all()


def test_seeds_that_would_decide_are_more_than_there_are_and_do_decide():
    row = of_all(ledger_of(only("C04"), sigmoids(normal(-0.03, 0.03))))
    assert row["verdict"] == "INCONCLUSIVE"
    assert row["seeds_needed"] > 10
    few = of_all(ledger_of(only("C04"), sigmoids(normal(-0.3), 3)))
    assert few["seeds_needed"] == 7


def test_what_cannot_be_tested_is_listed_as_such():
    claim = Claim(
        id="W04", statement="It happened.", quote="Le chat assis", quoted_from="S0",
        sources=("S0",), refuted_if="nothing", not_testable="an anecdote",
    )  # fmt: skip
    registry = Registry(sources={"S0": "An article"}, claims=(claim,))
    row = of_all(ledger_of(registry, sigmoids(normal(0))))
    assert (row["verdict"], row["reason"]) == ("NOT TESTABLE", "an anecdote")


def test_holms_correction_counts_every_primary_test_of_the_registry():
    runs = sigmoids(normal(-0.3))
    alone, among = only("C04"), read_claims(REGISTRY)
    p, p_holm = of_all(ledger_of(alone, runs))[["p", "p_holm"]]
    assert p == p_holm == 1 / 2**10
    ledger = ledger_of(among, runs)
    row = ledger[(ledger["claim"] == "C04") & (ledger["stratum"] == "all")].iloc[0]
    assert row["p_holm"] == pytest.approx(11 / 2**10)
    assert row["verdict"] == "SUPPORTED"


def test_exploratory_tests_are_corrected_among_themselves_and_called_so():
    runs = pd.concat(
        [
            remedies({"none": -10.0, "batch": 0.0}),
            trainings({"none": 0.0, "batch": 1.0}),
        ],
        ignore_index=True,
    )
    ledger = ledger_of(read_claims(REGISTRY), runs)
    row = ledger[ledger["stratum"].eq("secondary success") & ledger["claim"].eq("R07")].iloc[0]
    assert row["p"] == 1 / 2**10
    assert row["p_bh"] == pytest.approx(4 / 2**10)  # of four secondary tests the only one made
    assert row["verdict"] == "SUPPORTED"
    assert row["reason"].startswith("exploratory: ")
    primary = ledger[ledger["stratum"] == "all"]
    assert primary["p_bh"].isna().all()
    assert not primary["reason"].str.contains("exploratory").any()


def test_an_exploratory_test_that_its_correction_undoes_is_inconclusive():
    few = Evidence(np.linspace(-0.06, -0.03, 8), 0)
    found = finding({"all": few}, few, few.values[:, None], analysis(strata=()), 0)
    assert verdict(found, found.gain.p)[0] == "SUPPORTED"
    word, why = verdict(found, 0.06, "Benjamini and Hochberg's")
    assert (word, why) == (
        "INCONCLUSIVE",
        "p is not below .05 after Benjamini and Hochberg's correction",
    )


# Strata that a study lacks


def test_what_is_said_of_every_stratum_is_not_supported_without_one_of_them():
    row = of_all(ledger_of(only("C04"), sigmoids(normal(-0.3), inits=["he", "xavier"])))
    assert row["verdict"] == "INCONCLUSIVE"
    absent = "init=torch_default; init=lecun; init=orthogonal"
    assert row["reason"] == f"strata absent: {absent}"
    assert pd.isna(row["seeds_needed"])
    assert row["value"] < -0.2


def test_what_is_said_of_every_stratum_is_refuted_by_one_whatever_is_absent():
    row = of_all(ledger_of(only("C04"), sigmoids(normal(0.0), inits=["he"])))
    assert row["verdict"] == "REFUTED"


def test_equivalence_in_every_stratum_needs_every_level_and_every_pair_of_levels():
    factors = {"activation": ["sigmoid", "tanh", "relu"], "init": ["xavier", "he"]}
    runs = runs_of("signal", factors, 10, lambda cell, rng: {"vanishing_index": rng.normal(0, 0.1)})
    row = of_all(ledger_of(only("R05"), runs))
    assert (row["verdict"], row["reason"]) == ("INCONCLUSIVE", "strata absent: activation=gelu")
    factors["activation"].append("gelu")
    runs = runs_of("signal", factors, 10, lambda cell, rng: {"vanishing_index": rng.normal(0, 0.1)})
    assert of_all(ledger_of(only("R05"), runs))["verdict"] == "SUPPORTED"
    hole = runs.query("not (activation == 'gelu' and init == 'he')").reset_index(drop=True)
    row = of_all(ledger_of(only("R05"), hole))
    assert row["reason"] == "strata absent: activation=gelu, init=he"


def test_a_range_of_levels_asks_for_none_of_them():
    factors = {"init": ["torch_default", "xavier", "he", "orthogonal"], "depth": [10]}
    row = of_all(ledger_of(only("C05"), runs_of("signal", factors, 10, normal(-0.3))))
    assert row["verdict"] == "SUPPORTED"


def test_a_control_that_is_absent_leaves_a_contrast_undecided():
    def truth(cell, rng):
        return {"slope": rng.normal(0.0 if cell["activation"] == "relu" else -0.3, 0.002)}

    runs = runs_of("signal", {"activation": ["relu", "tanh"], "init": INITS}, 10, truth)
    row = of_all(ledger_of(only("R01"), runs))
    assert (row["verdict"], row["reason"]) == ("INCONCLUSIVE", "strata absent: control=sigmoid")


def test_numbers_among_absent_levels_are_found_by_value_and_only_every_asks_for_them():
    rule = analysis(batteries=("sigma",), strata=("sigma_w",), where={"sigma_w": (0.25, 0.5, 16.0)})
    data = sweep(normal(-0.3), 2).query("sigma_w <= 0.5")
    strata = ["sigma_w=0.25", "sigma_w=0.5"]
    assert absent_strata(data, rule, strata) == ["sigma_w=16"]
    some = rule.model_copy(update={"holds": "some"})
    assert absent_strata(data, some, strata) == []


def test_a_stratum_without_evidence_is_absent():
    runs = sigmoids(normal(-0.3))
    runs["slope"] = runs["slope"].where(runs["init"] != "he")
    runs["vanishing_index"] = 1.0  # known, so that the slope is no bound but missing
    row = of_all(ledger_of(only("C04"), runs))
    assert row["verdict"] == "INCONCLUSIVE"
    assert row["reason"].startswith("strata absent: init=he; 10 runs have no value")


def test_c01_leaves_linear_networks_out():
    factors = {"activation": ["sigmoid", "linear"], "init": INITS}
    runs = runs_of("signal", factors, 10, normal(-0.3))
    assert of_all(ledger_of(only("C01"), runs))["planned"] == 50


def test_same_seed_same_ledger():
    runs = sigmoids(normal(-0.02), 18)
    first, second = (ledger_of(only("C04"), runs) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_a_run_of_a_tuning_seed_does_not_count():
    runs = sigmoids(normal(-0.3))
    extra = sigmoids(normal(5.0)).assign(split="tuning", run_id=lambda t: "tuning " + t["run_id"])
    row = of_all(ledger_of(only("C04"), pd.concat([runs, extra], ignore_index=True)))
    assert (row["verdict"], row["done"]) == ("SUPPORTED", 50)


# How often the rule errs


def analysis(**changes) -> Analysis:
    given = {
        "batteries": ("signal",), "measure": "slope", "test": "seed_mean", "side": "less",
        "smallest_effect": 0.02, "holds": "every", "strata": ("init",),
    }  # fmt: skip
    return Analysis(**(given | changes))


def verdicts(effects: np.ndarray, rule: Analysis, draws: int, sd: float = 0.01) -> list[str]:
    """Verdicts on ``draws`` studies of 8 seeds with these true effects of the strata."""
    rng = np.random.default_rng(0)
    words = []
    for _ in range(draws):
        table = rng.normal(effects, sd, (8, len(effects)))
        strata = {f"init={i}": Evidence(column, 0) for i, column in enumerate(table.T)}
        found = finding(strata, Evidence(table.mean(axis=1), 0), table, rule, 0)
        words.append(verdict(found, found.gain.p)[0])
    return words


@pytest.mark.parametrize("holds", ["every", "average", "some"])
@pytest.mark.parametrize("draws", [100])
def test_an_effect_at_the_smallest_is_seldom_decided_either_way(holds, draws):
    rule = analysis(holds=holds, test="seed_mean")
    words = verdicts(np.full(3, -0.02), rule, draws)
    assert words.count("SUPPORTED") <= 0.025 * draws + 5
    assert words.count("REFUTED") <= 0.025 * draws + 5
    assert words.count("CONDITIONAL") == 0


@pytest.mark.parametrize(
    ("effects", "holds", "expected"),
    [
        ([-0.3, -0.3, -0.3], "every", "SUPPORTED"),
        ([-0.3, -0.3, 0.0], "every", "REFUTED"),
        ([-0.3, -0.3, 0.3], "every", "CONDITIONAL"),
        ([-0.3, 0.0, 0.0], "average", "SUPPORTED"),
        ([-0.3, -0.3, 0.3], "average", "CONDITIONAL"),
        ([-0.3, 0.0, 0.3], "some", "SUPPORTED"),
        ([0.3, 0.0, 0.0], "some", "REFUTED"),
    ],
)
def test_clear_effects_get_their_verdict_nearly_always(effects, holds, expected):
    words = verdicts(np.array(effects), analysis(holds=holds), 40)
    assert words.count(expected) >= 38


def test_equivalence_is_supported_inside_the_margin_and_refuted_outside():
    rule = analysis(side="equivalent", smallest_effect=0.05)
    assert verdicts(np.array([0.0, 0.01]), rule, 20).count("SUPPORTED") == 20
    assert verdicts(np.array([0.0, -0.2]), rule, 20).count("REFUTED") == 20
    assert verdicts(np.array([0.2, -0.2]), rule, 20).count("REFUTED") == 20


# Each kind of claim


def sweep(truth, seeds: int = 10) -> pd.DataFrame:
    return runs_of(
        "sigma", {"activation": ["sigmoid", "tanh", "relu"], "init": SIGMAS}, seeds, truth
    )


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
    found = MEASURES["log10_derivative"].of(Tables(runs, pd.DataFrame(), predictions))
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


def remedies(v: dict[str, float], seeds: int = 10) -> pd.DataFrame:
    factors = {"activation": ["tanh", "relu"], "init": ["xavier", "he"], "norm": list(v)}
    return runs_of(
        "remedies_init",
        factors | {"depth": [20, 50]},
        seeds,
        lambda cell, rng: {"vanishing_index": rng.normal(v[cell["norm"]], 0.2)},
    )


@pytest.mark.parametrize(
    ("batch", "expected"), [(0.5, "SUPPORTED"), (10.0, "REFUTED"), (-10.0, "REFUTED")]
)
def test_r07_counts_an_explosion_as_large_as_the_loss_for_nothing(batch, expected):
    row = of_all(ledger_of(only("R07"), remedies({"none": -10.0, "batch": batch})))
    assert row["verdict"] == expected


def trainings(success: dict[str, float], diverged: bool = False) -> pd.DataFrame:
    def truth(cell, rng):
        trained = rng.random() < success[cell["norm"]]
        return {"outcome": "trained" if trained else "diverged" if diverged else "stalled"}

    factors = {"activation": ["tanh", "relu"], "norm": list(success), "depth": [16, 32]}
    return runs_of("training", factors, 10, truth, steps=200)


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
    tables = Tables(gone, no_layers(), no_predictions())
    v, slope = MEASURES["vanishing_index"].of(tables), MEASURES["slope"].of(tables)
    assert v[0] == pytest.approx(SMALLEST)
    assert slope[0] == pytest.approx(SMALLEST / 19)
    assert v.notna().all()
    worse = gone.assign(vanishing_index=gone["vanishing_index"] * 20)
    bound = MEASURES["vanishing_index"].of(Tables(worse, no_layers(), no_predictions()))
    assert bound[0] == bound.min()


def test_a_censored_run_supports_that_gradients_vanish():
    runs = sigmoids(normal(-0.3)).assign(vanishing_index=np.nan, slope=np.nan)
    row = of_all(ledger_of(only("C04"), runs))
    assert (row["verdict"], row["n"]) == ("SUPPORTED", 10)


def test_an_overflow_is_told_from_a_zero():
    runs = sigmoids(normal(-0.3), 2, ["he"]).assign(vanishing_index=np.nan)
    layers = layers_of(runs, lambda _: {"log10_delta_rms": None, "delta_zero_fraction": 0.0})
    v = MEASURES["vanishing_index"].of(Tables(runs, layers, no_predictions()))
    assert (v > 38).all()


def test_a_net_too_shallow_for_a_slope_has_none():
    runs = sigmoids(lambda cell, rng: {"vanishing_index": rng.normal()}, 2, ["he"])
    assert MEASURES["slope"].of(Tables(runs, no_layers(), no_predictions())).isna().all()


def test_shape_tells_an_exponential_from_a_power_law():
    runs = sigmoids(normal(-0.3), 1, ["he"])
    for profile, sign in ((lambda x: 0.3 * x, 1), (lambda x: 0.5 * np.log10(x), -1)):
        layers = layers_of(runs, lambda layer, f=profile: {"log10_delta_rms": f(layer)}, 20)
        assert sign * MEASURES["shape"].of(Tables(runs, layers, no_predictions()))[0] > 10


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
