"""What is published of the laptop study: README, table, figures and paper say the same."""

import re

import pandas as pd
import pytest

from vanishing.analysis.claims import read_claims
from vanishing.errors import UserError
from vanishing.report.paper import build
from vanishing.report.publish import FIGURES, publish, verdict_table, with_table
from vanishing.report.seal import COLUMNS, as_csv, seal, seals_of, verdicts
from vanishing.tables import LEDGER

from .conftest import ROOT
from .papers import paper_in, study_in

PUBLISHED = ROOT / "reports" / "published"
CLAIMS = ROOT / "reports" / "claims.yaml"


def pages_of(pdf: bytes) -> int:
    """How many pages a PDF says that it has, in metadata that needs no tool to be read."""
    return int(re.search(rb"<xmpTPg:NPages>(\d+)</xmpTPg:NPages>", pdf)[1])


def test_the_readme_shows_the_published_verdicts():
    readme = (ROOT / "README.md").read_text()
    table = verdict_table(pd.read_csv(PUBLISHED / "verdicts.csv"), CLAIMS)
    assert with_table(readme, table) == readme


def test_every_registered_claim_is_published_with_a_verdict():
    verdicts = pd.read_csv(PUBLISHED / "verdicts.csv")
    assert list(verdicts.columns) == list(COLUMNS)
    assert list(verdicts["claim"]) == [claim.id for claim in read_claims(CLAIMS).claims]
    assert not set(verdicts["verdict"]) & {"INCOMPLETE"}


def test_every_figure_of_the_readme_is_there():
    shown = re.findall(r"!\[[^\]]*\]\(([\w./-]+)\)", (ROOT / "README.md").read_text())
    assert shown == [f"reports/published/{name}.svg" for name in FIGURES]
    assert all((ROOT / path).exists() for path in shown)


def test_every_file_that_the_readme_names_is_there():
    links = re.findall(r"\]\(([\w./-]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_the_published_paper_is_of_the_published_verdicts():
    table = (PUBLISHED / "verdicts.csv").read_text()
    assert seals_of((PUBLISHED / "paper.pdf").read_bytes()) == {seal(table)}


def test_the_published_paper_has_the_length_of_a_paper():
    assert 12 <= pages_of((PUBLISHED / "paper.pdf").read_bytes()) <= 20


@pytest.fixture
def results(tmp_path):
    """A results folder with a ledger of one claim, and a project to publish it in."""
    text = {"claim": "C01", "stratum": "all", "statistic": "slope", "reason": "because"}
    numbers = dict.fromkeys(("value", "low", "high", "p", "p_holm", "p_bh"), 0.5)
    counts = dict.fromkeys(("n", "planned", "done", "diverged"), 3)
    counts |= dict.fromkeys(("seeds_needed", "specifications", "agreeing"))
    row = {**text, **numbers, **counts, "verdict": "SUPPORTED"}
    LEDGER.write(LEDGER.frame([row]), tmp_path / "results/claims/ledger.parquet")
    (tmp_path / "results/figures").mkdir()
    for name in FIGURES:
        (tmp_path / f"results/figures/{name}.svg").write_text('<svg fill="#010203"></svg>')
    (tmp_path / "results/report").mkdir()
    keyword = seal(as_csv(verdicts(tmp_path / "results")))
    (tmp_path / "results/report/paper.pdf").write_bytes(b"%PDF " + keyword.encode())
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/claims.yaml").write_text(CLAIMS.read_text())
    (tmp_path / "README.md").write_text("a\n<!-- verdicts -->\nold\n<!-- /verdicts -->\nb\n")
    return tmp_path / "results"


def test_publishing_writes_table_figure_and_readme(results, tmp_path):
    publish(results, tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert "| C01 |" in readme
    assert "**SUPPORTED**" in readme
    assert "old" not in readme
    assert readme.startswith("a\n")
    assert readme.endswith("b\n")
    assert "#010203" not in (tmp_path / "reports/published/ledger.svg").read_text()
    paper = (tmp_path / "reports/published/paper.pdf").read_bytes()
    assert paper == (results / "report/paper.pdf").read_bytes()
    assert seals_of(paper) == {seal((tmp_path / "reports/published/verdicts.csv").read_text())}
    publish(results, tmp_path)
    assert (tmp_path / "README.md").read_text() == readme


def test_an_unfinished_study_is_not_published(results, tmp_path):
    path = results / "claims/ledger.parquet"
    LEDGER.write(LEDGER.read(path).assign(verdict="INCOMPLETE"), path)
    with pytest.raises(UserError, match="finish the study"):
        publish(results, tmp_path)
    assert not (tmp_path / "reports/published").exists()


@pytest.mark.parametrize("pdf", [b"%PDF of an older version", b"%PDF " + seal("other").encode()])
def test_a_paper_of_other_verdicts_is_not_published(results, tmp_path, pdf):
    (results / "report/paper.pdf").write_bytes(pdf)
    with pytest.raises(UserError, match="was built from other verdicts"):
        publish(results, tmp_path)
    assert not (tmp_path / "reports/published").exists()


def test_a_study_without_a_paper_is_not_published(results, tmp_path):
    (results / "report/paper.pdf").unlink()
    with pytest.raises(UserError, match=r"no .*paper\.pdf: finish the study"):
        publish(results, tmp_path)


def test_a_built_paper_carries_the_seal_of_its_verdicts_and_its_pages(tmp_path):
    study, source = study_in(tmp_path), paper_in(tmp_path)
    source.write_text("---\ntitle: A paper\nauthor: [A. Nobody]\nabstract: So.\n---\n\n# Results\n")
    build(source, study, tmp_path / "paper.html", tmp_path / "paper.pdf", tables={})
    pdf = (tmp_path / "paper.pdf").read_bytes()
    assert seals_of(pdf) == {seal(as_csv(verdicts(study)))}
    assert pages_of(pdf) == 1
