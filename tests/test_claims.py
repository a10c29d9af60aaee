"""Planted truths get the verdicts that they must, and the rule seldom errs."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.claims import Analysis, Claim, Registry, read_claims
from vanishing.analysis.coverage import absent_strata
from vanishing.analysis.effects import Evidence
from vanishing.analysis.verdicts import finding, verdict
from vanishing.tables import LEDGER

from .planted import members, normal, runs_of
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
    runs = sigmoids(normal(-0.3), 11)  # ten seeds that agree are too few for so many claims
    alone, among = only("C04"), read_claims(REGISTRY)
    p, p_holm = of_all(ledger_of(alone, runs))[["p", "p_holm"]]
    assert p == p_holm == 1 / 2**11
    ledger = ledger_of(among, runs)
    row = ledger[(ledger["claim"] == "C04") & (ledger["stratum"] == "all")].iloc[0]
    tests = sum(claim.primary is not None for claim in among.claims)
    assert row["p_holm"] == pytest.approx(tests / 2**11)
    assert row["verdict"] == "SUPPORTED"


def test_exploratory_tests_are_corrected_among_themselves_and_called_so():
    runs = pd.concat(
        [
            remedies({"none": -10.0, "batch": 0.0}),
            trainings({"none": 0.0, "batch": 1.0}),
        ],
        ignore_index=True,
    )
    registry = read_claims(REGISTRY)
    ledger = ledger_of(registry, runs)
    row = ledger[ledger["stratum"].eq("secondary success") & ledger["claim"].eq("R07")].iloc[0]
    assert row["p"] == 1 / 2**10
    tests = sum(len(claim.secondary) for claim in registry.claims)  # of them the only one made
    assert row["p_bh"] == pytest.approx(tests / 2**10)
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
