"""The runs that every row of the ledger rests on."""

import pandas as pd
import pytest

from vanishing.analysis.evidence import evidence_of
from vanishing.analysis.ledger import judge, ledger_of
from vanishing.analysis.study_tables import Tables
from vanishing.tables import EVIDENCE

from .followed import judged, registry, runs
from .planted import members


@pytest.fixture
def claims(tmp_path):
    return registry(tmp_path)


def test_every_row_of_the_ledger_rests_on_as_many_runs_as_it_says(claims):
    found = judged(claims, runs())
    ledger = ledger_of(found, claims, True).set_index(["claim", "stratum"])
    counts = evidence_of(found).groupby(["claim", "stratum"]).size()
    assert counts.to_dict() == ledger.loc[ledger["done"] > 0, "done"].to_dict()
    assert ("C01", "secondary at_all: activation=tanh") in counts.index


def test_a_stratum_that_names_a_control_rests_on_both_arms(claims):
    data = runs()
    evidence = evidence_of(judged(claims, data))
    mine = evidence.query("claim == 'C01' and stratum == 'init=he, control=tanh'")["run_id"]
    both = data[data["init"].eq("he") & data["activation"].isin(["relu", "tanh"])]
    assert sorted(mine) == sorted(both["run_id"])


def test_runs_that_no_claim_is_about_are_no_evidence(claims):
    data = runs()
    tuning = data.assign(split="tuning", run_id="t" + data["run_id"])
    other = data.assign(battery="other", run_id="o" + data["run_id"])
    evidence = evidence_of(judged(claims, pd.concat([data, tuning, other], ignore_index=True)))
    assert set(evidence["run_id"]) == set(data["run_id"])
    relu = data.loc[data["activation"].eq("relu"), "run_id"]
    assert set(evidence.query("claim == 'C02'")["run_id"]) == set(relu)


def test_a_study_without_runs_has_no_evidence_and_the_table_all_the_same(claims):
    evidence = evidence_of(judged(claims, runs()[:0]))
    assert evidence.empty
    assert EVIDENCE.check(evidence) is evidence


def test_analyses_and_ledger_apart_are_the_ledger_at_once(claims):
    data = runs()
    at_once = judge(Tables(data), claims, members(data), True, 0)
    pd.testing.assert_frame_equal(ledger_of(judged(claims, data), claims, True), at_once)
