"""The paper of a synthetic study: numbering, bytes, HTML and PDF, errors by line."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vanishing.errors import UserError
from vanishing.report import html, paper, pdf
from vanishing.tables import LEDGER, RUNS

from .papers import FIGURES, MINI, ledger, paper_in, run_rows, source_in, study_in, whole_paper

NO_TABLES = {}  # are made for a text that asks for none


@pytest.fixture
def results(tmp_path) -> Path:
    """A finished synthetic study: all that the paper reads."""
    return study_in(tmp_path)


@pytest.fixture
def source(tmp_path) -> Path:
    """A small paper with the project's theme and bibliography."""
    return paper_in(tmp_path)


@pytest.fixture(scope="module")
def whole(once) -> tuple[Path, Path]:
    """Source and results of the project's own paper, built: tests read it and write nothing."""
    folder = once("paper", whole_paper)
    return source_in(folder), folder / "results" / "laptop"


def page_of(results: Path) -> str:
    return (results / "report" / "paper.html").read_text()


def build(source: Path, results: Path, tables: dict | None = None) -> tuple[str, bytes]:
    out = results / "report"
    paper.build(source, results, out / "paper.html", out / "paper.pdf", tables)
    return (out / "paper.html").read_text(), (out / "paper.pdf").read_bytes()


def page_alone(source: Path, results: Path) -> str:
    """The HTML of a text that asks for no table."""
    text, stamp = paper.bound(source, results, {})
    out = results / "report" / "paper.html"
    return html.render(text, source, source.parent.resolve() / "theme", results, out, stamp)


def refused(
    source: Path, results: Path, text: str, message: str, tables: dict | None = NO_TABLES
) -> None:
    source.write_text(text)
    with pytest.raises(UserError, match=message):
        build(source, results, tables)
    assert not (results / "report").exists()


def pdf_text(path: Path) -> str:
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext (poppler-utils) is not installed")
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True)
    return done.stdout


def test_the_projects_paper_builds_to_the_same_bytes_in_any_folder(whole, tmp_path):
    whole_paper(tmp_path)
    for name, begins in (("paper.html", b"<!DOCTYPE html>"), ("paper.pdf", b"%PDF-1.7")):
        one, two = (
            (results / "report" / name).read_bytes()
            for results in (whole[1], tmp_path / "results" / "laptop")
        )
        assert one == two
        assert one.startswith(begins)


def test_html_fetches_nothing(whole):
    _, results = whole
    page = page_of(results)
    leads = r"#|data:|\.\./(?:notebooks|tables|claims)/|https://(?:doi|arxiv)\.org/"
    fetched = re.findall(rf'(?:src|href)="(?!{leads})([^"]*)"', page)
    assert fetched == []
    assert "@import" not in page
    assert re.findall(r"url\((?!data:|#)", page) == []


def test_pdf_is_tagged_and_has_bookmarks(whole):
    _, results = whole
    document = (results / "report" / "paper.pdf").read_bytes()
    for mark in (b"/StructTreeRoot", b"/MarkInfo", b"/Outlines", b"pdfuaid"):
        assert mark in document


def test_numbering_is_equal_in_html_and_pdf(whole):
    source, results = whole
    page = page_of(results)
    typeset = " ".join(pdf_text(results / "report" / "paper.pdf").split())
    labels = re.findall(r'class="label"><strong>((?:Figure|Table)\sS?\d+)\.</strong>', page)
    assert labels == sorted(set(labels), key=labels.index)
    assert len(labels) == len(re.findall(r"\{#(?:fig|tbl):", source.read_text()))
    for label in labels:
        said = f"{label}.".replace("\xa0", " ") in typeset.replace("\xa0", " ")
        assert said or "S" in label  # what bears an S is for the screen alone
    for equation in re.findall(r'class="number">(\(\d+\))<', page):
        assert equation in typeset
    heads = re.findall(r'<h\d[^>]*><span class="number">([\w.]+)\u2002</span> ?([^<]+)</h', page)
    assert ("4.1", "What makes the gradient vanish?") in heads
    screen = [title for number, title in heads if re.match("[G-Z]$", number)]
    assert screen[:2] == ["How the verdicts came about", "Claim by claim"]
    assert screen[-1] == "Columns of the tables"
    for number, title in heads:
        in_print = f"{number} {title}" in typeset.replace("\u2002", " ")
        assert in_print == (title not in screen)


def test_references_lead_to_what_they_name(source, results):
    source.write_text(MINI)
    page = page_alone(source, results)
    names = {"fig:profiles": "Figure", "tbl:t": "Table", "eq:e": "Equation", "sec:one": "Section"}
    for id_, name in names.items():
        text = f"{name}\xa01"
        assert re.search(rf'<a href="#{id_}"\s+class="ref"[^>]*>{text}</a>', page)
        assert f'id="{id_}"' in page
    assert "Deep Residual Learning" in page.title()


def test_a_fact_is_shown_with_its_query(source, results):
    source.write_text(MINI)
    page = page_alone(source, results)
    title = "slope.relu.he: runs: init = &quot;he&quot; &amp; &lt;all&gt;"
    assert f'<span class="fact" title="{title}">−0.123</span>' in page
    assert "−0.123\xa0decades/layer [−0.200,\xa0−0.100]" in page
    ledger = LEDGER.read(results / "claims" / "ledger.parquet").set_index(["claim", "stratum"])
    assert f'aria-label="Slope −0.123, {ledger.loc[("C01", "all"), "verdict"]}"' in page
    assert "{{" not in page


def test_table_headers_have_scopes_and_tables_captions(whole):
    source, results = whole
    page = page_of(results)
    numbered = re.findall(r"\{#(tbl:[\w-]+)", source.read_text())
    assert numbered
    for name in numbered:
        part = page[page.index(f'id="{name}"') :]
        assert "<caption>" in part[: part.index("</table>")]
    assert re.findall(r"<th(?![^>]*scope)[ >]", page) == []
    assert '<th scope="row"' in page


def test_figure_links_to_its_data_and_notebook(whole):
    _, results = whole
    page = page_of(results)
    assert 'download="profiles.csv" href="data:text/csv;base64,' in page
    assert 'href="../notebooks/signal.ipynb"' in page


def test_large_data_is_linked_and_not_carried(source, results):
    (results / "figures" / "profiles.csv").write_text("x\n" * html.EMBEDDED_DATA)
    source.write_text(MINI)
    page = page_alone(source, results)
    assert 'download="profiles.csv" href="../figures/profiles.csv"' in page


def test_data_of_figures_is_carried_from_the_smallest_as_far_as_it_fits(source, results):
    for name in FIGURES:
        rows = html.EMBEDDED_DATA // 4 if name != "profiles" else 1
        (results / "figures" / f"{name}.csv").write_text("x,1\n" * rows)
    others = [f'![Of {n}.](figures/{n}.svg){{#fig:{n} alt="A drawing"}}' for n in FIGURES]
    source.write_text("\n\n".join([MINI, *(o for o in others if "profiles" not in o)]))
    page = page_alone(source, results)
    carried = re.findall(r'download="(\w+)\.csv" href="data:', page)
    assert "profiles" in carried
    assert len(carried) == 1 + (html.EMBEDDED_IN_ALL - 4) // (4 * (html.EMBEDDED_DATA // 4))


def test_whole_study_has_no_stamp(whole):
    _, results = whole
    page = page_of(results)
    assert 'class="stamp"' not in page


def test_unfinished_study_is_stamped_and_still_built(source, results):
    RUNS.write(run_rows(["run0", "run1"]), results / "tables" / "runs.parquet")
    source.write_text(MINI)
    page, _ = build(source, results, NO_TABLES)
    assert "incomplete: 2 of 6 runs" in page
    assert "incomplete: 2 of 6 runs" in pdf_text(results / "report" / "paper.pdf")


def small(results: Path, name: str) -> None:
    plan = json.loads((results / "plan.json").read_text())
    plan |= {"study": name, "config": plan["config"] | {"verdicts": False}}
    (results / "plan.json").write_text(json.dumps(plan))


@pytest.mark.parametrize("name", ["smoke", "mine"])
def test_a_study_without_verdicts_is_stamped_whatever_its_name(source, results, name):
    small(results, name)
    LEDGER.write(ledger(["INCONCLUSIVE"]), results / "claims" / "ledger.parquet")
    source.write_text(MINI)
    page = page_alone(source, results)
    assert "too small a study for verdicts" in page


def test_a_study_without_verdicts_with_a_decided_claim_is_refused(source, results):
    small(results, "smoke")
    with pytest.raises(UserError, match=r"too small for verdicts.*'C01'"):
        build(source, results)


def test_unknown_fact_is_refused_with_line_and_nearest(source, results):
    text = MINI.replace("x | {{slope.relu.he|", "x | {{slope.relu.hee|")
    message = r"paper\.md:16: no fact is called 'slope\.relu\.hee'.*'slope\.relu\.he'"
    refused(source, results, text, message)


NEEDY = """
:::: {.needs facts="lag. gan."}
Told of {{lag.slope.vanilla.orthogonal}}.

::: {#tbl:u widths="50 50"}
| a | b |
|:--|--:|
| x | {{gan.modes.hinge}} |

: Of games.
:::
::::
"""


def of_needs(results: Path, **values: object) -> None:
    """Sets the facts that the paper needs in NEEDY: those named have a value, others none."""
    path = results / "claims" / "facts.json"
    known = json.loads(path.read_text())
    for name, fact in known.items():
        group = name.partition(".")[0]
        if group in ("lag", "gan"):
            fact["value"] = values.get(group)
    path.write_text(json.dumps(known))


def test_a_passage_whose_facts_are_all_missing_gives_way_to_a_sentence(source, results):
    of_needs(results)
    source.write_text(MINI + NEEDY)
    page = page_alone(source, results)
    assert "This study has no such networks." in page
    assert "Told of" not in page
    assert "Of games" not in page


@pytest.mark.parametrize("value", [0, 0.5])
def test_a_passage_is_kept_whole_where_one_of_its_facts_is_known(source, results, value):
    of_needs(results, gan=value)
    source.write_text(MINI + NEEDY)
    page = page_alone(source, results)
    assert "no such networks" not in page
    assert "Told of" in page
    assert "Of games" in page
    assert ":::" not in page


def test_lines_after_a_passage_that_is_left_out_keep_their_numbers(source, results):
    of_needs(results)
    text = MINI + NEEDY + "\n{{no.such}}\n"
    line = text[: text.index("{{no.such}}")].count("\n") + 1
    refused(source, results, text, rf"paper\.md:{line}: no fact is called 'no\.such'")


def test_a_passage_that_needs_facts_which_no_study_has_is_refused(source, results):
    text = MINI + NEEDY.replace('"lag. gan."', '"lag. gann."')
    line = text[: text.index("::::")].count("\n") + 1
    refused(source, results, text, rf"paper\.md:{line}: no fact is called 'gann\.'")


def test_the_projects_paper_of_a_study_of_layers_alone_builds(source, results):
    path = results / "claims" / "facts.json"
    known = json.loads(path.read_text())
    for name, fact in known.items():
        if name.partition(".")[0] in ("lag", "adding", "gan", "w01", "w02", "w03", "cancer"):
            fact["value"] = None
    path.write_text(json.dumps(known))
    page, _ = build(source, results)
    assert page.count("This study has no such networks.") == 3


def test_unknown_format_is_refused(source, results):
    refused(
        source, results, MINI.replace("|unit|", "|units|"), "no format of a fact is called 'units'"
    )


def test_unknown_table_is_refused(source, results):
    refused(
        source, results, MINI + "\n{{table:verdict}}\n",
        r"no table is called 'verdict'.*'verdicts'", tables=None,
    )  # fmt: skip


def test_unknown_claim_is_refused(source, results):
    refused(source, results, MINI + "\n{{verdict:C99}}\n", "no claim is called 'C99'")


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
    assert build(source, results, NO_TABLES)[1]


def test_log_keeps_its_space_in_mathml(source, results):
    source.write_text(MINI)
    page = page_alone(source, results)
    assert re.search(r'log</mi>.*?</msub><mspace width="0.167em"/>', page)


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
