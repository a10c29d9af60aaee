"""The paper of a synthetic study: facts, numbering, bytes, HTML and PDF, errors by line."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from vanishing.errors import UserError
from vanishing.report import blocks, facts, html, paper, pdf, progress, rulegraph, svg
from vanishing.tables import AGREEMENT, LEDGER, RUNS

PAPER = Path(__file__).parents[1] / "reports" / "paper"
CLAIMS = ("C01", "C04", "C05", "C08", "C09", "C10", "C12", "R01", "R05", "R07", "R13")
WORDS = ("SUPPORTED", "REFUTED", "CONDITIONAL", "INCONCLUSIVE", "INCOMPLETE")
FIGURES = (
    "profiles",
    "calibration",
    "agreement",
    "phase",
    "trainability",
    "remedies",
    "ledger",
    "rulegraph",
)
LONG = "A statement that goes on and on, as the statements of explanations do, " * 4
DIGEST = "0123456789abcdef" * 4
DOT = """digraph snakemake_dag {
    graph[bgcolor=white, margin=0];
    0[label = "all", color = "0.00 0.6 0.85", style="rounded"];
    1[label = "report", color = "0.20 0.6 0.85", style="rounded"];
    2[label = "train", color = "0.40 0.6 0.85", style="rounded"];
    3[label = "plan", color = "0.50 0.6 0.85", style="rounded"];
    1 -> 0
    2 -> 1
    3 -> 1
    3 -> 2
}"""


def drawing(name: str) -> str:
    return (
        '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="400pt" '
        'height="200pt" viewBox="0 0 400 200"><metadata>when</metadata><defs>'
        '<style type="text/css">*{stroke:none}</style>'
        '<clipPath id="p1"><rect width="400" height="200"/></clipPath></defs>'
        f'<rect width="400" height="200" style="fill: {svg.BACKGROUND}"/>'
        f'<g clip-path="url(#p1)"><path d="M0 0L400 200" style="stroke: {svg.GRID}"/></g>'
        f'<circle cx="50" cy="50" r="9" fill="{svg.TEXT}"/><!-- {name} --></svg>\n'
    )


def ledger(words=WORDS) -> pd.DataFrame:
    rows = [
        {"claim": claim, "stratum": "all", "statistic": "slope [decades/layer], weakest stratum",
         "value": -0.25 + i / 10, "low": -0.5 + i / 10, "high": i / 10, "n": 20, "p": 0.01,
         "p_holm": 0.0002, "p_bh": None, "verdict": words[i % len(words)], "planned": 40,
         "done": 39, "diverged": 1, "seeds_needed": None,
         "reason": "strata differ: a_b=tanh; c=relu"}
        for i, claim in enumerate(CLAIMS)
    ]  # fmt: skip
    return LEDGER.frame(rows)


def run_rows(ids: list[str]) -> pd.DataFrame:
    text = {name: "x" for name, c in RUNS.columns.items() if c.dtype == "string"}
    numbers = {name: 1 for name, c in RUNS.columns.items() if c.dtype != "string"}
    rows = [
        {**text, **numbers, "run_id": i, "battery": "signal", "outcome": "trained"} for i in ids
    ]
    return RUNS.frame(rows)


def fact(value, precision=3, unit="decades/layer", low=None, high=None) -> dict:
    return {"value": value, "unit": unit, "precision": precision, "low": low, "high": high,
            "query": 'runs: init = "he" & <all>'}  # fmt: skip


def every_fact_of(text: str) -> dict:
    names = {re.split(r"\s*\|", slot)[0] for slot in facts.SLOT.findall(text)}
    return {
        name: fact(-0.12345, low=-0.2, high=-0.1)
        for name in names
        if not name.startswith(("table:", "verdict:"))
    }


@pytest.fixture
def results(tmp_path) -> Path:
    """A finished synthetic study: all that the paper reads."""
    root = tmp_path / "results" / "laptop"
    ids = [f"run{i}" for i in range(6)]
    plan = {
        "study": "laptop",
        "config": {"verdicts": True, "batteries": {"signal": {"depth": [10, 20]}}},
        "batteries": {
            "signal": {
                "excluded": [
                    {"when": {"norm": ["batch"]}, "because": "one | at a time", "cells": 3}
                ]
            }
        },
        "members": {"signal": ids},
    }
    for name in ("figures", "claims", "tables", "notebooks"):
        (root / name).mkdir(parents=True)
    (root / "plan.json").write_text(json.dumps(plan))
    known = every_fact_of((PAPER / "paper.md").read_text())
    (root / "claims" / "facts.json").write_text(json.dumps(known))
    LEDGER.write(ledger(), root / "claims" / "ledger.parquet", {"code": DIGEST, "torch": "2.13"})
    RUNS.write(run_rows(ids), root / "tables" / "runs.parquet")
    AGREEMENT.write(AGREEMENT.frame([]), root / "tables" / "agreement.parquet")
    for name in FIGURES:
        (root / "figures" / f"{name}.svg").write_text(drawing(name))
        (root / "figures" / f"{name}.csv").write_text("x,y\n1,2\n")
    for name in ("signal", "phase", "trainability", "ledger"):
        (root / "notebooks" / f"{name}.ipynb").write_text("{}")
    return root


@pytest.fixture
def source(tmp_path) -> Path:
    """A small paper with the project's theme and bibliography."""
    folder = tmp_path / "reports" / "paper"
    shutil.copytree(PAPER / "theme", folder / "theme")
    shutil.copy(PAPER / "references.bib", folder)
    registry = yaml.safe_load((PAPER.parent / "claims.yaml").read_text())
    for claim in registry["claims"]:
        claim["statement"] = f"{LONG} {claim['id']}"
    (folder.parent / "claims.yaml").write_text(yaml.safe_dump(registry))
    (folder / "paper.md").write_text((PAPER / "paper.md").read_text())
    return folder / "paper.md"


MINI = """---
title: Small
author: [Nobody]
---

# One {#sec:one}

See @fig:profiles, @tbl:t, @eq:e, @sec:one and @He2016.

![A caption with {{slope.relu.he}}.](figures/profiles.svg){#fig:profiles
alt="Slope {{slope.relu.he}}, {{verdict:C01}}"}

::: {#tbl:t widths="40 60"}
| a | b |
|:--|--:|
| x | {{slope.relu.he|unit|interval}} |

: About tables.
:::

::: {#eq:e alt="an equation"}
$$ a = \\log_{10} b \\cap \\sigma_w $$
:::

# References {.unnumbered}

::: {#refs}
:::
"""


def build(source: Path, results: Path) -> tuple[str, bytes]:
    out = results / "report"
    paper.build(source, results, out / "paper.html", out / "paper.pdf")
    return (out / "paper.html").read_text(), (out / "paper.pdf").read_bytes()


def refused(source: Path, results: Path, text: str, message: str) -> None:
    source.write_text(text)
    with pytest.raises(UserError, match=message):
        build(source, results)
    assert not (results / "report").exists()


def pdf_text(path: Path) -> str:
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext (poppler-utils) is not installed")
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True)
    return done.stdout


def test_the_projects_paper_builds_to_the_same_bytes(source, results):
    one, two = build(source, results), build(source, results)
    assert one == two
    assert one[1].startswith(b"%PDF-1.7")


def test_html_fetches_nothing(source, results):
    page, _ = build(source, results)
    fetched = re.findall(
        r'(?:src|href)="(?!#|data:|\.\./notebooks/|https://doi\.org/)([^"]*)"', page
    )
    assert fetched == []
    assert "@import" not in page
    assert re.findall(r"url\((?!data:|#)", page) == []


def test_pdf_is_tagged_and_has_bookmarks(source, results):
    _, document = build(source, results)
    for mark in (b"/StructTreeRoot", b"/MarkInfo", b"/Outlines", b"pdfuaid"):
        assert mark in document


def test_numbering_is_equal_in_html_and_pdf(source, results):
    page, _ = build(source, results)
    typeset = " ".join(pdf_text(results / "report" / "paper.pdf").split())
    labels = re.findall(r'class="label"><strong>((?:Figure|Table)\s\d+)\.</strong>', page)
    assert labels == sorted(set(labels), key=labels.index)
    assert len(labels) == len(re.findall(r"\{#(?:fig|tbl):", source.read_text()))
    for label in labels:
        assert f"{label}.".replace("\xa0", " ") in typeset.replace("\xa0", " ")
    for equation in re.findall(r'class="number">(\(\d+\))<', page):
        assert equation in typeset
    heads = re.findall(r'<h\d[^>]*><span class="number">([\w.]+)\u2002</span> ?([^<]+)</h', page)
    assert ("3.2", "Causes") in heads
    assert heads[-1] == ("F", "Config")
    for number, title in heads:
        assert re.search(rf"{re.escape(number)}\s+{re.escape(title.split()[0])}", typeset)


def test_references_lead_to_what_they_name(source, results):
    source.write_text(MINI)
    page, _ = build(source, results)
    names = {"fig:profiles": "Figure", "tbl:t": "Table", "eq:e": "Equation", "sec:one": "Section"}
    for id_, name in names.items():
        text = f"{name}\xa01"
        assert re.search(rf'<a href="#{id_}"\s+class="ref"[^>]*>{text}</a>', page)
        assert f'id="{id_}"' in page
    assert "Deep Residual Learning" in page.title()


def test_a_fact_is_shown_with_its_query(source, results):
    source.write_text(MINI)
    page, _ = build(source, results)
    title = "slope.relu.he: runs: init = &quot;he&quot; &amp; &lt;all&gt;"
    assert f'<span class="fact" title="{title}">−0.123</span>' in page
    assert "−0.123\xa0decades/layer [−0.200,\xa0−0.100]" in page
    assert 'aria-label="Slope −0.123, SUPPORTED"' in page
    assert "{{" not in page


def test_table_headers_have_scopes_and_tables_captions(source, results):
    page, _ = build(source, results)
    assert page.count("<caption>") == page.count("<table") == source.read_text().count("{#tbl:")
    assert re.findall(r"<th(?![^>]*scope)[ >]", page) == []
    assert '<th scope="row"' in page


def test_figures_follow_the_page_in_html_and_are_ink_in_pdf():
    screen = svg.for_screen(drawing("a"), "a", 'an "alt" text')
    assert 'aria-label="an &quot;alt&quot; text"' in screen
    assert "var(--plot-text)" in screen
    assert 'clip-path="url(#a-p1)"' in screen
    assert '<style type="text/css">#plot-a *{' in screen
    for sentinel in (svg.TEXT, svg.GRID, svg.BACKGROUND):
        assert sentinel not in screen + svg.for_paper(drawing("a"))


def test_sentinel_colours_are_those_of_the_figures():
    from vanishing.figures import style

    assert (svg.TEXT, svg.GRID, svg.BACKGROUND) == (style.TEXT, style.GRID, style.BACKGROUND)
    assert svg.ON_PAPER == style.ON_PAPER


def test_figure_links_to_its_data_and_notebook(source, results):
    page, _ = build(source, results)
    assert 'download="profiles.csv" href="data:text/csv;base64,' in page
    assert 'href="../notebooks/signal.ipynb"' in page


def test_large_data_is_linked_and_not_carried(source, results):
    (results / "figures" / "profiles.csv").write_text("x\n" * html.EMBEDDED_DATA)
    page, _ = build(source, results)
    assert 'download="profiles.csv" href="../figures/profiles.csv"' in page


def test_no_text_leaves_the_page(source, results):
    build(source, results)
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext (poppler-utils) is not installed")
    done = subprocess.run(
        ["pdftotext", "-bbox", results / "report" / "paper.pdf", "-"],
        capture_output=True,
        text=True,
    )
    right = [float(x) for x in re.findall(r'<word [^>]*xMax="([\d.]+)"', done.stdout)]
    margin, width = 27 / 25.4 * 72, 210 / 25.4 * 72
    assert len(right) > 1000
    assert max(right) < width - margin + 2  # punctuation may hang a little


def test_whole_study_has_no_stamp(source, results):
    page, _ = build(source, results)
    assert 'class="stamp"' not in page


def test_unfinished_study_is_stamped_and_still_built(source, results):
    RUNS.write(run_rows(["run0", "run1"]), results / "tables" / "runs.parquet")
    page, _ = build(source, results)
    assert "incomplete: 2 of 6 runs" in page
    assert "incomplete: 2 of 6 runs" in pdf_text(results / "report" / "paper.pdf")


def test_study_without_any_run_is_stamped(results):
    (results / "tables" / "runs.parquet").unlink()
    assert progress.stamp(*progress.read(results)) == "incomplete: 0 of 6 runs"


def small(results: Path, name: str) -> None:
    plan = json.loads((results / "plan.json").read_text())
    plan |= {"study": name, "config": {"verdicts": False}}
    (results / "plan.json").write_text(json.dumps(plan))


@pytest.mark.parametrize("name", ["smoke", "mine"])
def test_a_study_without_verdicts_is_stamped_whatever_its_name(source, results, name):
    small(results, name)
    LEDGER.write(ledger(["INCONCLUSIVE"]), results / "claims" / "ledger.parquet")
    page, _ = build(source, results)
    assert "too small a study for verdicts" in page


def test_a_study_named_smoke_may_judge_if_its_config_says_so(results):
    plan, runs = progress.read(results)
    assert progress.stamp(plan | {"study": "smoke"}, runs) == ""


def test_a_study_without_verdicts_with_a_decided_claim_is_refused(source, results):
    small(results, "smoke")
    with pytest.raises(UserError, match=r"too small for verdicts.*'C01'"):
        build(source, results)


def test_unknown_fact_is_refused_with_line_and_nearest(source, results):
    text = MINI.replace("x | {{slope.relu.he|", "x | {{slope.relu.hee|")
    message = r"paper\.md:16: no fact is called 'slope\.relu\.hee'.*'slope\.relu\.he'"
    refused(source, results, text, message)


def test_unknown_format_is_refused(source, results):
    refused(
        source, results, MINI.replace("|unit|", "|units|"), "no format of a fact is called 'units'"
    )


def test_unknown_table_is_refused(source, results):
    refused(
        source, results, MINI + "\n{{table:verdict}}\n", r"no table is called 'verdict'.*'verdicts'"
    )


def test_unknown_claim_is_refused(source, results):
    refused(source, results, MINI + "\n{{verdict:C02}}\n", "no claim is called 'C02'")


def test_unknown_reference_is_refused(source, results):
    text = MINI.replace("@fig:p", "@fig:q", 1)
    refused(source, results, text, r"paper\.md:8: no figure is called 'fig:qrofiles'")


def test_missing_figure_is_refused(source, results):
    (results / "figures" / "profiles.svg").unlink()
    refused(source, results, MINI, r"paper\.md:10: no figure is called 'profiles'")


def test_figure_without_alt_text_is_refused(source, results):
    text = re.sub(r'\salt="Slope[^"]*"', "", MINI)
    refused(source, results, text, r"paper\.md:10: the figure 'profiles' has no alt text")


def test_notebook_that_was_not_executed_is_refused(source, results):
    text = MINI.replace("{#fig:profiles", '{#fig:profiles notebook="signals"')
    refused(source, results, text, "no executed notebook is called 'signals'.*'signal'")


def test_missing_citation_is_refused(source, results):
    text = MINI.replace("@He2016", "@Hee2016")
    refused(source, results, text, r"paper\.md:8: no reference is called 'Hee2016'.*'He2016'")


def test_bad_formula_is_refused_by_line(source, results):
    refused(
        source, results, MINI.replace("\\sigma_w", "\\sgma_{w"), r"paper\.md:22: pandoc refused"
    )


@pytest.mark.parametrize("tex", [r"\bigl\|x\bigr\|", r"\|x\|", r"a\;b", r"a\!b"])
def test_formula_that_typst_would_set_wrongly_is_refused(source, results, tex):
    refused(
        source,
        results,
        MINI.replace("\\sigma_w", tex),
        r"paper\.md:22: .* is set wrongly by pandoc",
    )


def test_label_given_twice_is_refused(source, results):
    refused(source, results, MINI.replace("{#tbl:t", "{#sec:one"), "'sec:one' is given twice")


def test_typed_in_result_is_refused(source, results):
    refused(source, results, MINI.replace("About tables", "About 0.93"), r"paper\.md:18: '0\.93'")


def test_symbols_that_typst_renamed_are_renamed(source, results):
    source.write_text(MINI.replace("\\cap", r"\cap b \otimes c \ominus d \odot \lVert e \rVert"))
    assert build(source, results)[1]


def test_log_keeps_its_space_in_mathml(source, results):
    source.write_text(MINI)
    page, _ = build(source, results)
    assert re.search(r'log</mi>.*?</msub><mspace width="0.167em"/>', page)


def test_statement_of_an_unregistered_claim_is_refused():
    with pytest.raises(UserError, match="states no such claims"):
        blocks.verdicts(ledger(), {"C01": "x"})


def test_a_mistake_in_the_registry_is_refused_before_the_table(source):
    claims = source.parents[1] / "claims.yaml"
    assert blocks.statements(claims)["C01"] == f"{' '.join(LONG.split())} C01"
    claims.write_text(claims.read_text().replace("statement:", "statment:", 1))
    with pytest.raises(UserError, match="no key is called 'statment'"):
        blocks.statements(claims)


def test_reasons_give_holms_p_of_a_primary_test_and_hochbergs_of_a_secondary_one():
    given = {"stratum": "secondary a_b", "p": 0.5, "p_holm": None, "p_bh": 0.25}
    rows = LEDGER.frame(ledger().head(1).assign(**given))
    both = LEDGER.frame(pd.concat([ledger().head(1), rows], ignore_index=True))
    first, second = blocks.reasons(both).splitlines()[2:]
    assert "| < 0.001 |" in first
    assert second.startswith("| C01 a b |")
    assert "| 0.250 |" in second


def test_verdict_table_has_a_row_a_claim():
    lines = blocks.verdicts(ledger(), dict.fromkeys(CLAIMS, "It | shrinks.")).splitlines()
    assert len(lines) == 2 + len(CLAIMS)
    assert lines[2].startswith("| C01 | It \\| shrinks. [slope")
    assert "[SUPPORTED]{.verdict .supported} | −0.250 \\[−0.500,\xa00.000\\] | 20 |" in lines[2]


def test_agreement_counts_cells_within_tolerance_by_quantity():
    row = {name: "x" if c.dtype == "string" else 1 for name, c in AGREEMENT.columns.items()}
    rows = [
        row | {"quantity": "slope", "cell": cell, "tolerance": 0.01, "distance": off, "inside": ok}
        for cell, off, ok in (("a", 0.002, True), ("b", -0.03, False))
    ]
    rows.append(
        row | {"quantity": "log_q_variance", "tolerance": 0.25, "distance": 0.125, "inside": True}
    )
    lines = blocks.agreement(AGREEMENT.frame(rows)).splitlines()[2:]
    assert lines[0].endswith("| 2 | 1 | 0.01 | 0.03 | 0.03 |")
    assert lines[1].endswith("| 1 | 1 | 25.0% | 12.5% | 12.5% |")
    assert blocks.agreement(AGREEMENT.frame([])).count("|") == 3 * 7
    [missed] = blocks.outside(AGREEMENT.frame(rows)).splitlines()[2:]
    assert missed.startswith("| slope | x, x, norm x, residual x, depth 1, width 1 | 1.000 |")
    assert blocks.outside(AGREEMENT.frame([])).count("|") == 3 * 5


def test_completeness_counts_planned_done_and_diverged(results):
    rows = run_rows(["run0", "run1"]).assign(outcome=["diverged", "trained"])
    RUNS.write(RUNS.frame(rows), results / "tables" / "runs.parquet")
    made = blocks.completeness(progress.batteries(*progress.read(results)))
    assert made.endswith("| signal | 6 | 2 | 1 |")


@pytest.mark.parametrize(
    ("value", "formats", "shown"),
    [
        (0.5, ["signed"], "+0.500"),
        (0.5, ["percent"], "50.0\u202f%"),
        (0.00001, ["p"], "< 0.001"),
        (0.0321, ["p"], "= 0.032"),
        (None, [], "n/a"),
        (None, ["percent"], "n/a"),
        (None, ["unit", "interval"], "n/a"),
        ("laptop", [], "laptop"),
        (-0.00001, [], "0.000"),
    ],
)
def test_formats(value, formats, shown):
    assert facts.formatted(fact(value), formats) == shown


def test_rule_graph_drops_all_and_implied_edges():
    picture = rulegraph.draw(DOT)
    assert re.findall(r">(\w+)</text>", picture) == ["report", "train", "plan"]
    assert picture.count("<path") == 2


def test_rule_graph_without_rules_is_refused():
    with pytest.raises(UserError, match="names no rules"):
        rulegraph.draw("digraph {}")


def test_importing_the_report_loads_neither_pandas_nor_torch():
    code = "import sys, vanishing.report.paper, vanishing.report.notebooks; print(*sys.modules)"
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pandas", "torch", "matplotlib", "papermill", "typst", "pypandoc"}
    assert heavy & set(done.stdout.split()) == set()


def test_pdf_of_a_wrong_theme_is_an_error_of_the_theme(source, results):
    theme = source.parent / "theme" / "paper.typ"
    theme.write_text(theme.read_text() + "\n#unknown()\n")
    refused(source, results, MINI, "typst could not set the paper")
    assert pdf.STANDARD == "ua-1"
