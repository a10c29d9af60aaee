"""A claim followed down: its page as text, its runs, and its section of the paper."""

import math
import re

import pytest
import yaml

from vanishing.cli import main
from vanishing.errors import UserError
from vanishing.report import claim_page, claim_section, html, pandoc, pdf
from vanishing.report.claim_record import record, records, registered
from vanishing.tables import LEDGER

from .followed import CLAIMS, registry, runs, study_in
from .papers import drawing, paper_in


@pytest.fixture
def results(tmp_path):
    return study_in(tmp_path)


@pytest.fixture
def page(results, tmp_path):
    return claim_page.page(record(results, tmp_path / "claims.yaml", "C01"), 100)


def words(text: str) -> str:
    """The text in one line, with single spaces."""
    return re.sub(r"[ \n]+", " ", text)


def test_a_page_says_what_is_claimed_and_where(page):
    assert page.startswith("C01  SUPPORTED\nReLU shrinks less.\n")
    assert "quotation     “it *fades*” (An Article)" in page
    assert "also in       A Book" in page
    assert "read as       At each init." in page
    assert "refuted if    not so" in page


def test_a_page_says_the_registered_test_in_words(page):
    assert "contrast      activation relu less tanh or sigmoid" in page
    assert "claimed       the effect is more than 0.02" in page
    assert "holds         in every stratum: the weakest decides" in page
    where = {
        "norm none",
        "depth from 5 up to 100",
        "init he or xavier",
        "residual other than identity or scaled",
    }
    said = words(page).split(" where ")[1].split(" strata ")[0]
    assert set(said.split("; ")) == where


def test_a_page_gives_effect_and_strata_as_the_ledger_does(page, results):
    ledger = LEDGER.read(results / "claims" / "ledger.parquet").set_index(["claim", "stratum"])
    pooled, stratum = ledger.loc[("C01", "all")], ledger.loc[("C01", "init=he, control=tanh")]
    for row in (pooled, stratum):
        assert f"{row['value']:.3f}" in page
        assert f"[{row['low']:.3f},\xa0{row['high']:.3f}]" in page
    line = next(line for line in page.splitlines() if "init=he, control=tanh  " in line)
    assert line.split()[-2:] == ["8", "SUPPORTED"]
    assert f"after Holm’s correction {pooled['p_holm']:.3f}" in page


def test_columns_of_a_table_are_aligned(page):
    lines = page.split("Strata (intervals hold all at once)\n")[1].split("\n\n")[0].splitlines()
    assert len(lines) == 5
    assert len({line.index("]") for line in lines[1:]}) == 1
    assert len({re.search(r"verdict|SUPPORTED", line).start() for line in lines}) == 1


def test_a_page_shows_robustness_secondary_analyses_figures_and_runs(page, results):
    assert "other specifications: 1; 100 % agree" in words(page)
    assert re.search(r"smallest effect x 2 +0\.100 +\[0\.090,\xa00\.110\] +8 +SUPPORTED", page)
    assert re.search(r"\n  at_all +−0\.2\d\d .* SUPPORTED", page)
    assert f"figure        {results / 'figures/profiles.svg'}" in page
    assert f"runs          {len(runs())} (signal {len(runs())})" in page
    assert f"vanishing claim C01 --results {results} --runs" in words(page)


def test_no_line_but_of_a_table_is_wider_than_asked(results, tmp_path):
    narrow = claim_page.page(record(results, tmp_path / "claims.yaml", "C01"), 60)
    tables = re.compile(r"SUPPORTED|REFUTED|interval  |/results/")
    prose = [line for line in narrow.splitlines() if not tables.search(line)]
    assert len(prose) > 20
    assert max(map(len, prose)) <= 60


def test_a_claim_without_a_test_says_why(results, tmp_path):
    text = claim_page.page(record(results, tmp_path / "claims.yaml", "C03"), 100)
    assert "C03  NOT TESTABLE" in text
    assert "because       it names no test" in text
    assert "Registered test" not in text
    assert "runs          none" in text
    assert claim_page.run_ids(record(results, tmp_path / "claims.yaml", "C03")) == ""


def test_equality_and_both_signs_are_claimed_in_words(tmp_path):
    primary = registry(tmp_path).claims[1].primary
    assert dict(registered(primary))["claimed"] == "the effect lies within 0.05 of 0.01"
    both = primary.model_copy(update={"side": "both", "holds": "some", "target": 0.0})
    said = dict(registered(both))
    assert said["claimed"] == "more than 0.05 in one stratum and less than −0.05 in another"
    assert said["holds"] == "both ways"


def test_the_command_prints_every_run_id_a_line_and_nothing_else(results, tmp_path, capsys):
    where = ["--results", str(results), "--claims", str(tmp_path / "claims.yaml")]
    assert main(["claim", "C02", *where, "--runs"]) == 0
    relu = runs().query("activation == 'relu'")["run_id"]
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(relu)
    assert main(["claim", "C02", *where]) == 0
    assert capsys.readouterr().out.startswith("C02  SUPPORTED\n")


def test_an_unknown_claim_is_refused_with_the_nearest(results, tmp_path):
    with pytest.raises(UserError, match=r"no claim is called 'C1'. Did you mean 'C0"):
        record(results, tmp_path / "claims.yaml", "C1")


def test_without_verdicts_the_page_says_what_to_do(results, tmp_path):
    (results / "claims" / "ledger.parquet").unlink()
    with pytest.raises(UserError, match=r"no verdicts yet: run the study first .*--results"):
        record(results, tmp_path / "claims.yaml", "C01")


def test_without_a_plan_the_page_says_what_to_do(results, tmp_path):
    (results / "plan.json").unlink()
    with pytest.raises(UserError, match=r"there is no .*plan.json: finish the study first"):
        record(results, tmp_path / "claims.yaml", "C01")


def test_specifications_of_a_claim_that_is_not_decided_neither_agree_nor_differ(results, tmp_path):
    path = results / "claims" / "ledger.parquet"
    ledger = LEDGER.read(path)
    LEDGER.write(ledger.assign(agreeing=math.nan), path)
    text = claim_page.page(record(results, tmp_path / "claims.yaml", "C01"), 100)
    assert "other specifications: 1; the claim is not decided" in words(text)
    LEDGER.write(LEDGER.frame(ledger.assign(agreeing=math.nan, specifications=math.nan)), path)
    text = claim_page.page(record(results, tmp_path / "claims.yaml", "C01"), 100)
    assert "no other specification was judged" in words(text)


def test_a_claim_registered_since_is_to_be_judged(results, tmp_path):
    more = {**CLAIMS, "claims": [*CLAIMS["claims"], {**CLAIMS["claims"][2], "id": "C04"}]}
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(more))
    with pytest.raises(UserError, match=r"does not judge C04, .* `vanishing judge"):
        record(results, tmp_path / "claims.yaml", "C04")


def test_where_no_runs_were_recorded_the_page_stands_and_the_list_says_what_to_do(
    results, tmp_path
):
    (results / "claims" / "evidence.parquet").unlink()
    (results / "claims" / "specifications.parquet").unlink()
    found = record(results, tmp_path / "claims.yaml", "C01")
    assert "runs          none are recorded" in claim_page.page(found, 100)
    with pytest.raises(UserError, match=r"writes claims/evidence.parquet"):
        claim_page.run_ids(found)


@pytest.fixture
def sections(results, tmp_path) -> str:
    return claim_section.sections(records(results, registry(tmp_path)).values())


TEXT = """\
---
title: A paper
---

# First

C01 is [[SUPPORTED]{.verdict .supported}](#claim-C01).

# Claim by claim {#sec:claims .appendix .screen}

"""


def test_html_has_a_section_a_claim_that_its_badge_leads_to(tmp_path, results):
    (results / "figures" / "claims").mkdir()
    (results / "figures" / "claims" / "C01.svg").write_text(drawing("C01"))
    made = claim_section.sections(records(results, registry(tmp_path)).values())
    source = paper_in(tmp_path)
    theme = source.parent / "theme"
    page = html.render(TEXT + made, source, theme, results, results / "report/paper.html", "")
    assert re.findall(r'<section id="claim-(\w+)"', page) == ["C01", "C02", "C03"]
    assert 'href="#claim-C01"' in page
    assert "#claim-" not in re.search(r"<nav.*?</nav>", page, re.S)[0]
    assert 'id="plot-C01"' in page
    assert "“it *fades*” (An Article)" in page
    assert page.count("<details") == page.count("</details>") == 3  # with the contents


def test_a_section_lists_the_first_runs_and_how_many_more(sections):
    first = sections.split("## C02")[0]
    folded = first.split("<summary>Runs: 48 (signal 48)</summary>")[1]
    *ids, command = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", folded)
    assert ids == list(runs()["run_id"][:20])
    assert ", and 28 more: " in folded
    assert command.startswith("vanishing claim C01 --results ")


def test_a_section_says_of_a_verdict_what_the_page_does(sections, page):
    said = dict(re.findall(r"^(\S.*)\n:   (.*)$", sections.split("## C02")[0], re.M))
    for label in ("Quotation", "Also in", "Because", "Estimated", "Effect", "P-value"):
        text = re.sub(r"\\(.)", r"\1", said[label]).replace("\xa0", " ")
        assert f"{label.lower()} {text}" in words(page).replace("\xa0", " ")


def test_a_long_table_is_folded(results, tmp_path, monkeypatch):
    monkeypatch.setattr(claim_section, "OPEN_ROWS", 3)
    made = claim_section.section(records(results, registry(tmp_path))["C01"])
    assert "<summary>Strata: all 4</summary>" in made


def test_the_pdf_leaves_the_sections_out_and_their_links_become_text(sections, tmp_path, results):
    source = paper_in(tmp_path)
    body = pandoc.convert(
        TEXT + sections + "\n\n# Last\n\nEnd.\n",
        source,
        source.parent / "theme",
        "typst-citations",
        [f"--template={source.parent / 'theme' / 'paper.typ'}"],
    )
    assert "claim-C01" not in body
    assert "Claim by claim" not in body
    assert "End." in body
    assert '#verdict("SUPPORTED");' in body
    assert pdf.render(TEXT + sections, source, source.parent / "theme", results, "")[:5] == b"%PDF-"
