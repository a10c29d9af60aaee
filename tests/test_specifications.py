"""Other thresholds and other runs: each specification is judged by the rule, and compared."""

import numpy as np
import pandas as pd
import pytest

from vanishing.analysis.claims import Range, Specification
from vanishing.analysis.ledger import analyses, judge, ledger_of
from vanishing.analysis.specifications import specifications, with_robustness
from vanishing.analysis.study_tables import Tables
from vanishing.tables import LEDGER, SPECIFICATIONS

from .planted import members
from .planted_truths import Truth, kinds, registry

KIND = kinds()["seed_difference"]  # the known effect is 2, the smallest of interest 1
HALF, TWICE = "smallest effect × 0.5", "smallest effect × 2"


def judged(effect: float, others: dict | None = None, more=(), decided=True):
    """Ledger and specifications of a claim with a planted effect on two batteries."""
    runs = planted(effect, "planted")
    runs = pd.concat([runs, *more], ignore_index=True)
    claims = registry(KIND.analysis)
    claim = claims.claims[0].model_copy(update={"specifications": others or {}})
    claims = claims.model_copy(update={"claims": (claim,)})
    tables, planned = Tables(runs), members(runs)
    found = analyses(tables, claims, planned, 0)
    ledger = ledger_of(found, claims, decided)
    verdicts = {"P01": ledger["verdict"].iloc[0]}
    varied = specifications(tables, claims, found, planned, decided, 0, verdicts)
    return ledger, varied.set_index("specification")


def planted(effect: float, battery: str) -> pd.DataFrame:
    """A battery with the effect in units of 2 decades."""
    runs = KIND.skeleton().assign(battery=battery)
    runs = runs.assign(run_id=runs["run_id"] + battery)
    of_each = Truth(KIND, "", (effect, effect), "").effect_of(runs)
    return KIND.plant(runs, of_each, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("effect", "half", "primary", "twice"),
    [
        (2.0, "SUPPORTED", "SUPPORTED", "SUPPORTED"),
        (0.7, "SUPPORTED", "SUPPORTED", "REFUTED"),
        (0.35, "SUPPORTED", "REFUTED", "REFUTED"),
        (0.0, "REFUTED", "REFUTED", "REFUTED"),
    ],
)
def test_thresholds_of_half_and_twice_get_the_verdicts_they_must(effect, half, primary, twice):
    ledger, found = judged(effect)
    assert ledger["verdict"].iloc[0] == primary
    assert found["verdict"].to_dict() == {HALF: half, TWICE: twice}
    assert found["agrees"].to_dict() == {HALF: half == primary, TWICE: twice == primary}
    SPECIFICATIONS.check(found.reset_index())


def test_another_threshold_moves_the_verdict_and_not_the_estimate():
    ledger, found = judged(0.7)
    for column in ("value", "low", "high", "n"):
        assert (found[column] == ledger[column].iloc[0]).all()


def test_registered_specifications_look_at_their_own_batteries_and_cells():
    other = planted(-1, "other")
    others = {
        "other runs": Specification(batteries=("other",)),
        "shallow": Specification(batteries=("planted",), where={"depth": Range(max=8)}),
        "no such battery": Specification(batteries=("third",)),
    }
    _, found = judged(1, others, [other])
    assert found.loc["other runs", "verdict"] == "REFUTED"
    assert found.loc["other runs", "value"] == pytest.approx(-2, abs=0.3)
    assert found.loc["shallow", "verdict"] == "SUPPORTED"
    shallow = planted(1, "planted").query("depth == 8").groupby("norm")["vanishing_index"].mean()
    assert found.loc["shallow", "value"] == pytest.approx(shallow["batch"] - shallow["none"])
    # Nothing planned there, so nothing is missing, and nothing is known.
    assert found.loc["no such battery", "verdict"] == "INCONCLUSIVE"
    assert found.loc["no such battery", "n"] == 0
    assert pd.isna(found.loc["no such battery", "value"])


def test_a_where_of_its_own_replaces_that_of_the_claim():
    deep = KIND.analysis.model_copy(update={"where": {"depth": 32}})
    claims = registry(deep)
    others = {
        "as the claim": Specification(batteries=("planted",)),
        "all depths": Specification(batteries=("planted",), where={}),
    }
    claim = claims.claims[0].model_copy(update={"specifications": others})
    claims = claims.model_copy(update={"claims": (claim,)})
    runs = planted(1, "planted")
    tables, planned = Tables(runs), members(runs)
    found = analyses(tables, claims, planned, 0)
    varied = specifications(tables, claims, found, planned, True, 0, {"P01": "SUPPORTED"})
    value = varied.set_index("specification")["value"]
    assert value["as the claim"] == value[HALF]
    assert value["all depths"] != value[HALF]


def test_the_share_of_agreeing_specifications_is_in_the_row_of_all_alone():
    ledger, found = judged(0.7, {"same": Specification(batteries=("planted",))})
    ledger = with_robustness(ledger, found.reset_index())
    LEDGER.check(ledger)
    assert ledger["specifications"].tolist()[0] == 3
    assert ledger["agreeing"].tolist()[0] == pytest.approx(2 / 3)  # half and same, not twice
    assert len(ledger) > 1
    assert ledger[["specifications", "agreeing"]].iloc[1:].isna().all(axis=None)


def test_what_is_not_decided_has_no_share():
    ledger, found = judged(1, decided=False)
    assert set(found["verdict"]) == {"INCONCLUSIVE"}
    ledger = with_robustness(ledger, found.reset_index())
    assert ledger["specifications"].iloc[0] == 2
    assert pd.isna(ledger["agreeing"].iloc[0])


def test_a_claim_that_nothing_can_test_has_no_specifications():
    claims = registry(KIND.analysis)
    update = {"primary": None, "not_testable": "by nature"}
    claims = claims.model_copy(update={"claims": (claims.claims[0].model_copy(update=update),)})
    tables = Tables(KIND.skeleton())
    found = specifications(tables, claims, [], {}, True, 0, {"P01": "NOT TESTABLE"})
    assert found.empty
    ledger = with_robustness(judge(tables, claims, {}, True, 0), found)
    assert ledger[["specifications", "agreeing"]].isna().all(axis=None)
