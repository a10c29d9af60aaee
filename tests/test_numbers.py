"""Each number of the page leads to its entry, and its entry to the rows that it came from."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from vanishing.report import facts, numbers, pandoc, paper
from vanishing.report.explorer_data import settings

from .papers import TEXT, fact, source_in, study_in, whole_paper

WHERE = Path("paper.md")
NUMBERS = "\n\n# Numbers {.screen}\n\n{{table:numbers}}\n"
CLAIMS = "\n\n{{table:claims}}\n"
EXPLORER = "\n\n{{table:explorer}}\n"
KNOWN = {
    "slope": fact(-0.12345, low=-0.2, high=-0.1),
    "plan": fact(7, 0, "runs") | {"rows": None, "query": "plan.json: members"},
    "shares": fact(0.5, 2, "1") | {"rows": {"table": "agreement", "where": {"quantity": ["q"]}}},
    "verdict": fact("REFUTED", 0, "")
    | {"rows": {"table": "ledger", "where": {"stratum": ["all"], "claim": ["C01"]}}},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return study_in(tmp_path_factory.mktemp("study"))


def bound(text: str, results: Path) -> str:
    made = {"numbers": "", "claims": "", "explorer": ""}
    if facts.asks(text, "numbers"):
        made["numbers"] = numbers.section(text, KNOWN, results)
    return facts.bind(text, KNOWN, {"C01": "REFUTED"}, made, WHERE)


def test_without_the_section_numbers_lead_nowhere(results):
    text = bound("{{slope}} and {{verdict:C01}}", results)
    assert text.startswith("[−0.123]{.fact title=")
    assert "](#" not in text


def test_a_number_leads_to_its_entry_and_back_to_its_first_place(results):
    text = bound("{{slope}}, again {{slope|unit}}" + NUMBERS, results)
    assert text.startswith("[−0.123](#fact-slope){#use-slope .fact title=")
    assert text.count("#use-slope .fact") == 1
    assert text.count("](#fact-slope)") == 2
    assert text.count("{#fact-slope}") == 1
    assert "[in the text](#use-slope)" in text


def test_a_verdict_leads_to_its_claims_section_where_the_paper_has_it(results):
    badge = "[REFUTED]{.verdict .refuted}"
    assert bound("{{verdict:C01}}" + CLAIMS, results).startswith(f"[{badge}](#claim-C01)")
    assert bound("{{verdict:C01}}", results) == badge


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A heading of {{slope}}", "# A heading of −0.123"),
        ("title: On {{slope}}", "title: On −0.123"),
        ("$x = {{slope}}$", "$x = −0.123$"),
        ('![A.](f.svg){alt="at {{slope}}"}', '![A.](f.svg){alt="at −0.123"}'),
    ],
)
def test_a_number_is_bare_text_in_headings_formulas_and_alt_texts(results, text, expected):
    assert bound(text + NUMBERS, results).startswith(expected)


def test_no_link_stands_in_the_text_of_a_link(results):
    text = bound("[see {{slope}} [here]{.x} {{verdict:C01}}](#there)" + NUMBERS + CLAIMS, results)
    link = text.partition("](#there)")[0]
    assert "](#" not in link
    assert "{.fact title=" in link
    assert "in the text" not in text  # the number is no link that could be led back to


def test_a_number_in_a_caption_is_a_link(results):
    text = bound("![Of {{slope}}.](f.svg){#fig:f}" + NUMBERS, results)
    assert text.startswith("![Of [−0.123](#fact-slope){#use-slope")


def test_entries_are_those_of_the_printed_facts_in_their_order(results):
    text = "{{plan}} `{{shares}}` <!-- {{shares}} --> {{slope}} {{plan}}"
    found = re.findall(r"\{#fact-(\w+)\}", numbers.section(text, KNOWN, results))
    assert found == ["plan", "slope"]
    assert numbers.section("none", KNOWN, results) == numbers.NONE


def test_an_entry_says_value_unit_interval_and_query(results):
    text = numbers.section("{{slope}}", KNOWN, results)
    assert r"[−0.123 decades/layer \[−0.200, −0.100\]]" in text.replace("\xa0", " ")
    assert r"runs: init = \"he\" & \<all\>" in text


def test_an_entry_leads_to_its_runs_in_the_explorer_or_to_their_table(results):
    assert "[the 6 runs](#runs?battery=signal)" in numbers.section(
        "{{slope}}" + EXPLORER, KNOWN, results
    )
    beside = numbers.section("{{slope}}", KNOWN, results)
    assert "[the 6 runs](../tables/runs.parquet) battery signal" in beside


def test_an_entry_leads_to_its_claim_or_table_and_one_of_the_plan_to_none(results):
    text = "{{verdict}} {{shares}} {{plan}}"
    known = numbers.section(text + CLAIMS, KNOWN, results)
    assert "[claim C01](#claim-C01)" in known
    assert "[rows of agreement](../tables/agreement.parquet) quantity q" in known
    assert known.count(".parquet") == 1
    assert "[rows of ledger](../claims/ledger.parquet)" in numbers.section(text, KNOWN, results)


def test_a_filter_is_read_back_as_it_was_meant():
    where = {"task": ["adding(samples=2000)", "a,b & c"], "depth": [10, 20.0], "data": [""]}
    hash_ = numbers.explored(where)
    assert set(hash_) <= set("runs?&=,%()_") | set(map(chr, range(48, 123)))
    parts = (part.split("=") for part in hash_.partition("?")[2].split("&"))
    back = {unquote(name): list(map(unquote, found.split(","))) for name, found in parts}
    assert back == {"task": where["task"], "depth": ["10", "20"], "data": [""]}
    assert numbers.explored({}) == "runs"


def test_the_explorer_filters_by_all_columns_that_facts_name():
    named = {
        "family", "battery", "game", "steps", "lr_policy", "depth", "length", "norm", "split",
        "task", "activation", "recurrence", "generator", "signal", "outcome", "residual", "init",
    }  # fmt: skip
    assert named <= set(settings())


@pytest.fixture(scope="module")
def whole(once) -> Path:
    """The project's paper, which has its numbers, of a synthetic study."""
    assert facts.asks(TEXT, "numbers")
    return once("paper", whole_paper)


@pytest.fixture(scope="module")
def page(whole) -> str:
    return (whole / "results/laptop/report/paper.html").read_text()


def test_no_link_of_the_page_leads_to_a_missing_id(page):
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    links = set(re.findall(r'href="#([^"]*)"', page))
    leading = {"runs" if re.match(r"runs?[?=]", unquote(to)) else unquote(to) for to in links}
    assert leading - {""} <= set(ids)


def test_every_number_of_the_page_leads_to_an_entry(page):
    shown = re.findall(r'<(?:a|span)\b[^>]*class="fact"[^>]*>', page)
    assert len(shown) > 50
    linked = [tag for tag in shown if tag.startswith("<a")]
    inside = re.findall(r'<a\b(?![^>]*class="fact")[^>]*>(?:(?!</a>).)*class="fact"', page, re.S)
    assert len(shown) - len(linked) == len(inside)
    assert not re.search(r"<a\b[^>]*>(?:(?!</a>).)*<a\b", page, re.S)


def test_print_has_no_link_into_what_is_for_the_screen(whole):
    source = source_in(whole)
    text, _ = paper.bound(source, whole / "results/laptop")
    typeset = pandoc.convert(text, source, source.parent / "theme", "typst", [])
    assert not re.search(r"#link\(<(?:fact|use|claim)-", typeset)
    assert "<fact-" not in typeset


def test_a_study_judged_before_rows_were_kept_has_entries_without_links(results):
    old = {"slope": {key: value for key, value in KNOWN["slope"].items() if key != "rows"}}
    text = numbers.section(json.dumps("{{slope}}"), old, results)
    assert ".parquet" not in text
    assert "#fact-slope" in text
