"""Sentences bound to verdicts: kept, left out, or the reason why there is no paper."""

import re
from pathlib import Path

import pandas as pd
import pytest

from vanishing.errors import UserError
from vanishing.report import paper
from vanishing.report.findings import bind, findings
from vanishing.tables import LEDGER

from .conftest import ROOT
from .papers import ledger, paper_in, study_in

SOURCE = Path("paper.md")
ONE = 'Before. [Deep nets of {{n}} layers [@He2015] fail.]{.finding claims="C01 SUPPORTED"} After.'


def judged(verdict: str = "SUPPORTED", n: int = 20, **others: str) -> pd.DataFrame:
    """A ledger that says ``verdict`` of C01 from ``n`` seeds, and ``others`` of other claims."""
    rows = ledger().head(1 + len(others)).assign(claim=["C01", *others], n=n)
    return LEDGER.frame(rows.assign(verdict=[verdict, *others.values()]))


def test_a_sentence_stays_where_its_verdict_holds_with_facts_and_citations_in_it():
    kept = bind(ONE, judged(), True, SOURCE)
    assert kept == (
        "Before. [Deep nets of {{n}} layers [@He2015] fail.]"
        '{.finding title="rests on C01 SUPPORTED"} After.'
    )


@pytest.mark.parametrize(
    ("verdict", "n", "judges"),
    [
        ("INCONCLUSIVE", 20, False),
        ("INCOMPLETE", 20, True),
        ("INCONCLUSIVE", 6, True),
        ("INCONCLUSIVE", 0, True),
    ],
)
def test_a_sentence_is_left_out_where_the_study_cannot_tell(verdict, n, judges):
    assert bind(ONE, judged(verdict, n), judges, SOURCE) == "Before.  After."


@pytest.mark.parametrize("verdict", ["REFUTED", "CONDITIONAL", "INCONCLUSIVE", "NOT TESTABLE"])
def test_a_sentence_that_the_ledger_contradicts_is_refused_by_line(verdict):
    says = rf"paper.md:2: .* on C01 being SUPPORTED, .* says {verdict} \(n = 7\): rewrite"
    with pytest.raises(UserError, match=says):
        bind("\n" + ONE, judged(verdict, 7), True, SOURCE)


def test_all_contradicted_sentences_are_refused_at_once():
    with pytest.raises(UserError) as caught:
        bind(f"{ONE}\n\n{ONE}", judged("REFUTED"), True, SOURCE)
    assert re.findall(r"paper\.md:(\d)", str(caught.value)) == ["1", "3"]


def test_every_verdict_that_a_sentence_names_must_hold():
    text = '[Both.]{.finding claims="C01 SUPPORTED, R07 NOT TESTABLE"}'
    assert "Both." in bind(text, judged(R07="NOT TESTABLE"), True, SOURCE)
    with pytest.raises(UserError, match="R07 being NOT TESTABLE, and the ledger says REFUTED"):
        bind(text, judged(R07="REFUTED"), True, SOURCE)
    assert bind(text, judged("INCOMPLETE", R07="NOT TESTABLE"), True, SOURCE) == ""


def test_a_contradiction_is_refused_even_beside_a_claim_that_cannot_be_told():
    text = '[Both.]{.finding claims="C01 SUPPORTED, R07 SUPPORTED"}'
    with pytest.raises(UserError, match="R07 being SUPPORTED"):
        bind(text, judged("INCOMPLETE", R07="REFUTED"), True, SOURCE)


def test_an_inconclusive_verdict_can_be_what_a_sentence_says():
    text = '[Undecided.]{.finding claims="C01 INCONCLUSIVE"}'
    assert "Undecided." in bind(text, judged("INCONCLUSIVE"), True, SOURCE)
    assert bind(text, judged("INCONCLUSIVE", 3), True, SOURCE) == ""


def test_a_sentence_that_is_left_out_keeps_the_numbers_of_the_lines():
    text = 'a\n[b\nc]{.finding claims="C01 SUPPORTED"}\nd'
    assert bind(text, judged("INCOMPLETE"), True, SOURCE).splitlines()[3] == "d"


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ("C01 SUPORTED", "paper.md:1: no verdict is called 'SUPORTED'. Did you mean 'SUPPORTED'"),
        ("C01 INCOMPLETE", "no verdict is called 'INCOMPLETE'"),
        ("C1 SUPPORTED", "paper.md:1: no claim of the ledger is called 'C1'. Did you mean 'C01'"),
        ("C01", "must be pairs of claim and verdict"),
        ("", "must be pairs of claim and verdict"),
    ],
)
def test_mistakes_are_refused_also_in_a_study_that_cannot_tell(claims, says):
    with pytest.raises(UserError, match=re.escape(says)):
        bind(f'[x]{{.finding claims="{claims}"}}', judged("INCONCLUSIVE"), False, SOURCE)


@pytest.mark.parametrize(
    "text", ["[x]{.finding}", '[x]{.finding claim="C01 SUPPORTED"}', 'x]{.finding claims="a b"}']
)
def test_a_finding_in_another_form_is_refused(text):
    with pytest.raises(UserError, match=r"paper.md:1: a finding is written as"):
        findings(text, SOURCE)


def test_code_that_shows_the_form_is_no_finding():
    assert findings(f"`{ONE}`\n\n```\n{ONE}\n```\n", SOURCE) == []


def test_a_paper_with_a_contradicted_sentence_is_not_built(tmp_path):
    results, source = study_in(tmp_path), paper_in(tmp_path)
    LEDGER.write(judged("REFUTED"), results / "claims" / "ledger.parquet")
    source.write_text('Text.\n\n[Deep.]{.finding claims="C01 SUPPORTED"}\n')
    with pytest.raises(UserError, match=r"paper.md:3: the sentence rests on C01"):
        paper.bound(source, results, {})
    LEDGER.write(judged(), results / "claims" / "ledger.parquet")
    assert "[Deep.]{.finding title=" in paper.bound(source, results, {})[0]


def test_every_finding_of_the_paper_agrees_with_the_published_verdicts():
    source = ROOT / "reports" / "paper" / "paper.md"
    published = pd.read_csv(ROOT / "reports" / "published" / "verdicts.csv").assign(stratum="all")
    text = source.read_text()
    bound = bind(text, published, True, source)
    whole = [one for one in findings(text, source) if not any("/" in claim for claim in one.claims)]
    assert len(whole) > 10  # the published table has claims as wholes, and not their parts
    assert len(re.findall(r"\{\.finding title=", bound)) == len(whole)


def parts() -> pd.DataFrame:
    """A claim with two strata and a secondary analysis, of which a study has enough seeds."""
    verdicts = {
        "all": "CONDITIONAL",
        "init=he, control=tanh": "REFUTED",
        "init=he, control=sigmoid": "SUPPORTED",
        "init=xavier, control=tanh": "REFUTED",
        "secondary at_equal_weights": "SUPPORTED",
    }
    row = LEDGER.frame(ledger(["REFUTED"]).iloc[:1])
    rows = [row.assign(stratum=name, verdict=word) for name, word in verdicts.items()]
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize(
    "claims",
    [
        "C01/at_equal_weights SUPPORTED",
        "C01/control=tanh REFUTED, C01 CONDITIONAL",
        "C01/control=sigmoid&init=he SUPPORTED",
    ],
)
def test_a_sentence_rests_on_parts_of_a_claim(claims):
    text = f'[So it is.]{{.finding claims="{claims}"}}'
    assert bind(text, parts(), True, SOURCE).startswith("[So it is.]{.finding")


@pytest.mark.parametrize("claims", ["C01/control=gelu REFUTED", "C01/init=lecun SUPPORTED"])
def test_a_sentence_about_strata_that_a_study_lacks_is_left_out(claims):
    assert bind(f'[So.]{{.finding claims="{claims}"}}', parts(), True, SOURCE) == ""


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ("C01/at_equal_wieghts SUPPORTED", r":1: no claim of the ledger is called"),
        ("C01/contrl=tanh REFUTED", r":1: no claim of the ledger is called"),
        ("C01/init=he REFUTED", r"the ledger says REFUTED and SUPPORTED"),
    ],
)
def test_a_part_that_no_study_has_or_that_is_otherwise_is_refused(claims, message):
    with pytest.raises(UserError, match=message):
        bind(f'[So.]{{.finding claims="{claims}"}}', parts(), True, SOURCE)
