"""Where there is nothing to find the engine finds nothing, more often than it says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.claims import Contrast, Registry
from vanishing.analysis.controls import against_itself, false_positives, rates
from vanishing.analysis.effects import observed
from vanishing.analysis.fact_controls import controls
from vanishing.analysis.study_tables import Tables
from vanishing.tables import FALSE_POSITIVES

from .planted import runs_of
from .planted_truths import ARMS, STRATA, kinds, registry

KIND = kinds()["seed_difference"]
SHARES = kinds()["success_difference"]


def planted(kind, seeds: int, effect: float = 1.0, seed: int = 0) -> Tables:
    """Runs whose treatment has the known effect times ``effect``."""
    runs = replace(kind, seeds=seeds).skeleton()
    effects = np.full(len(runs), effect)
    return Tables(kind.plant(runs, effects, np.random.default_rng(seed)))


def claims_of(*analyses) -> Registry:
    """A registry with these primary analyses."""
    one = registry(analyses[0])
    claims = [
        one.claims[0].model_copy(update={"id": f"P{i:02}", "primary": analysis})
        for i, analysis in enumerate(analyses)
    ]
    return one.model_copy(update={"claims": tuple(claims)})


@pytest.mark.parametrize("kind", [KIND, SHARES], ids=lambda kind: kind.test)
def test_false_alarms_are_at_most_nominal_however_large_the_effect_is(kind):
    found = false_positives(planted(kind, 20), claims_of(kind.analysis), seed=0, draws=400)
    FALSE_POSITIVES.check(found)
    assert (found["n"] == 10).all()
    bound = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    for rate in rates(found).values():
        assert rate.share.n == 400
        assert rate.share.value <= bound


def test_p_against_itself_is_as_even_as_a_p_of_1024_flips_can_be():
    found = false_positives(planted(KIND, 20), claims_of(KIND.analysis), seed=0, draws=400)
    for level in (0.05, 0.2, 0.5, 0.8):
        sigma = np.sqrt(level * (1 - level) / 400)
        assert (found["p"] <= level).mean() == pytest.approx(level, abs=3.5 * sigma + 1 / 1024)


def test_each_seed_of_the_control_is_used_once_and_none_of_the_treatment():
    tables = planted(KIND, 9)
    runs = tables.runs
    treated = runs["norm"] == ARMS[1]
    value = np.where(treated, 1e6, 2.0 ** runs["seed"])  # a sum says which seeds it is of
    tables = replace(tables, runs=runs.assign(vanishing_index=value))
    data = observed(KIND.analysis, tables)
    drawn = against_itself(data, KIND.analysis, 5, np.random.default_rng(0))
    assert list(drawn) == [0, 1, 2, 3, 4]
    halves = set()
    for effects in drawn.values():
        one_cell = effects.value[:, 0]
        assert (effects.value == one_cell[:, None]).all()  # the same pairs in every cell
        pairs = [tuple(seeds_of(difference)) for difference in one_cell]
        assert len(pairs) == 4
        assert len({seed for pair in pairs for seed in pair}) == 8
        halves.add(frozenset(pairs))
    assert len(halves) == 5


def seeds_of(difference: float) -> list[int]:
    """Treated and control seed of a difference 2^a - 2^b."""
    seeds = range(9)
    return next([a, b] for a in seeds for b in seeds if 2.0**a - 2.0**b == difference)


def test_each_of_several_controls_plays_its_own_treatment():
    factors = {"activation": list(STRATA), "norm": ["none", "layer", "batch"]}
    offset = {"none": 0.0, "layer": 100.0, "batch": 7.0}
    runs = runs_of(
        "planted",
        factors,
        14,
        lambda cell, rng: {"vanishing_index": offset[cell["norm"]] + rng.normal()},
    )
    contrast = Contrast(factor="norm", treatment="batch", control=("none", "layer"))
    analysis = KIND.analysis.model_copy(update={"contrast": contrast, "strata": ("control",)})
    data = observed(analysis, Tables(runs))
    for effects in against_itself(data, analysis, 4, np.random.default_rng(0)).values():
        assert set(effects.strata) == {"control=none", "control=layer"}
        assert effects.value.shape == (7, 4)
        assert np.abs(effects.value).max() < 10


def test_the_same_seed_draws_the_same_halves_and_another_others():
    tables, claims = planted(KIND, 20), claims_of(KIND.analysis)
    first, again, other = (false_positives(tables, claims, seed, 10) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["p"].equals(other["p"])


def test_what_is_drawn_for_a_claim_does_not_hang_on_the_others():
    tables, claims = planted(KIND, 20), claims_of(KIND.analysis, KIND.analysis)
    both = false_positives(tables, claims, 0, 10)
    last = claims.model_copy(update={"claims": claims.claims[1:]})
    alone = false_positives(tables, last, 0, 10)
    second = both[both["claim"] == "P01"].reset_index(drop=True)
    pd.testing.assert_frame_equal(second, alone)
    assert not both["p"][:10].equals(second["p"])


def test_claims_without_contrast_or_of_equivalence_are_left_out():
    alike = KIND.analysis.model_copy(update={"side": "equivalent"})
    claims = claims_of(alike, kinds()["seed_mean"].analysis, KIND.analysis)
    assert set(false_positives(planted(KIND, 20), claims, 0, 3)["claim"]) == {"P02"}


def test_draws_that_cannot_err_are_not_counted_as_right():
    rows = [
        {"claim": claim, "draw": draw, "n": n, "p": p, "covered": covered, "verdict": verdict}
        for claim, draw, n, p, covered, verdict in [
            ("A01", 0, 4, 1 / 16, True, "INCONCLUSIVE"),
            ("A02", 0, 5, 1 / 32, True, "INCONCLUSIVE"),
            ("A03", 0, 6, 0.5, False, "INCONCLUSIVE"),
            ("A04", 0, 7, 0.01, False, "SUPPORTED"),
            ("A04", 1, 7, 0.4, True, "REFUTED"),
        ]
    ]
    found = rates(FALSE_POSITIVES.frame(rows))
    counts = {name: (rate.share.value, rate.share.n) for name, rate in found.items()}
    assert counts == {"p": (2 / 4, 4), "interval": (2 / 3, 3), "supported": (1 / 2, 2)}
    assert (found["p"].worst, found["p"].largest, found["p"].claims) == ("A02", 1.0, 3)
    assert found["supported"].share.low < 0.5 < found["supported"].share.high


def test_no_draw_gives_no_rate():
    assert rates(FALSE_POSITIVES.frame([])) == {"p": None, "interval": None, "supported": None}
    assert false_positives(planted(KIND, 1), claims_of(KIND.analysis), 0, 3).empty


def test_facts_tell_what_the_controls_found():
    linear = runs_of(
        "signal",
        {"activation": ["linear"], "init": ["orthogonal", "he"], "depth": [8, 16]},
        7,
        lambda cell, rng: {"vanishing_index": 0.0 if cell["init"] == "orthogonal" else 3.0},
    )
    shuffled = runs_of(
        "shuffled",
        {"norm": ["none", "batch"]},
        7,
        lambda cell, rng: {
            "outcome": "trained",
            "final_test_accuracy": 0.1 + rng.normal(0, 0.01),
            "final_train_accuracy": 0.97,
        },
        steps=400,
    )
    tables = planted(KIND, 20)
    false = false_positives(tables, claims_of(KIND.analysis), 0, 20)
    ledger = pd.DataFrame({"stratum": ["all", "activation=tanh"]})
    found = controls(Tables(pd.concat([linear, shuffled])), false, ledger)
    assert found["control.linear.v"]["value"] == 0
    accuracy = found["control.shuffled.accuracy"]
    assert accuracy["low"] < found["control.shuffled.chance"]["value"] == 0.1 < accuracy["high"]
    assert found["control.shuffled.train"]["value"] == pytest.approx(0.97)
    assert found["control.aa.draws"]["value"] == 20
    for name in ("p", "interval", "supported"):
        share = found[f"control.aa.{name}"]
        assert share["low"] <= share["value"] <= share["high"]
        assert "20 draws of 1 claims" in share["query"]


def test_facts_of_a_study_without_controls_are_absent_and_say_why():
    empty = FALSE_POSITIVES.frame([])
    found = controls(planted(KIND, 4), empty, pd.DataFrame({"stratum": ["all"]}))
    assert found.pop("control.aa.draws")["value"] == 0
    assert all(fact["value"] is None for fact in found.values())
    assert all(fact["query"].startswith("not in this study") for fact in found.values())
