"""The bundle: what is in it, where its links lead, what it says of itself, and that it repeats."""

import html
import io
import json
import re
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pandas as pd
import pytest
import yaml
from rocrate.rocrate import ROCrate

from vanishing.cli import main
from vanishing.errors import UserError
from vanishing.report import bundle, crate
from vanishing.report.paper import build
from vanishing.study import config
from vanishing.table import provenance_of
from vanishing.tables import LEDGER, RUNS

from .conftest import ROOT
from .papers import paper_in, study_in

CONFIG = "workflow/config/laptop.yaml"
BEGAN = "2031-05-06T07:08:09+00:00"
TEXT = """---
title: A paper
author: [A. Nobody]
abstract: So it is.
---

# Results {#sec:results}

As [@fig:profiles] shows.

![What is drawn.](figures/profiles.svg){#fig:profiles alt="Lines." data-notebook=signal}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A synthetic study with its paper, in which one table of data is too large for a page."""
    folder = tmp_path_factory.mktemp("bundle")
    study = study_in(folder)
    plan = study / "plan.json"
    settings = config.read(ROOT / CONFIG).model_dump(exclude_none=True)
    said = json.loads(plan.read_text()) | {"path": CONFIG, "config": settings}
    plan.write_text(json.dumps(said))
    (study / "figures" / "profiles.csv").write_text("x\n" + "1\n" * 150_000)
    ledger = study / "claims" / "ledger.parquet"
    stamp = provenance_of(ledger) | {"commit": "a" * 40, "claims": {"first_run": BEGAN}}
    LEDGER.write(LEDGER.read(ledger), ledger, stamp)
    source, report = paper_in(folder), study / "report"
    source.write_text(TEXT)
    build(source, study, report / "paper.html", report / "paper.pdf", tables={})
    return study


@pytest.fixture(scope="module")
def bundled(results):
    """The bundle of that study, opened."""
    return zipfile.ZipFile(io.BytesIO(bundle.write(results, ROOT).read_bytes()))


@pytest.fixture(scope="module")
def unzipped(bundled, tmp_path_factory):
    """The bundle in a folder, as a reader has it."""
    folder = tmp_path_factory.mktemp("unzipped")
    bundled.extractall(folder)
    return folder


def test_a_bundle_holds_the_paper_and_all_that_it_rests_on(bundled):
    assert {
        "README.md", "report/paper.html", "report/paper.pdf", "tables/runs.parquet",
        "claims/ledger.parquet", "claims/facts.json", "claims.yaml", "config/laptop.yaml",
        "plan.json", "provenance.json", "requirements.lock", "CITATION.cff", "LICENSE",
        "csv/ledger.csv", "csv/runs.csv", "csv/facts.csv", "data-dictionary.md",
        "notebooks/signal.ipynb", "figures/profiles.svg", "figures/profiles.csv",
    } <= set(bundled.namelist())  # fmt: skip


def test_every_link_of_the_paper_leads_to_a_file_of_the_bundle(unzipped):
    page = (unzipped / "report" / "paper.html").read_text()
    links = {html.unescape(link) for link in re.findall(r'\bhref="([^"]+)"', page)}
    files = {link.partition("#")[0] for link in links if not re.match(r"#|\w+:", link)}
    assert {"../notebooks/signal.ipynb", "../figures/profiles.csv"} <= files
    lost = [file for file in files if not (unzipped / "report" / unquote(file)).is_file()]
    assert not lost


def test_every_path_that_the_bundles_readme_names_is_there(unzipped):
    readme = (unzipped / "README.md").read_text()
    named = re.findall(r"`([\w./-]+(?:/|\.\w+))`", readme)
    assert "report/paper.pdf" in named
    assert all((unzipped / name).exists() for name in named)
    assert "No planned run is missing" in readme
    assert "a" * 40 in readme


def test_a_bundle_of_an_unfinished_study_says_so(results, tmp_path):
    plan = json.loads((results / "plan.json").read_text())
    for name in ("tables", "claims", "report", "figures", "notebooks"):
        (tmp_path / name).symlink_to(results / name)
    (tmp_path / "plan.json").write_text(
        json.dumps(plan | {"members": {"signal": ["lacking", *plan["members"]["signal"]]}})
    )
    files = bundle.contents(tmp_path, ROOT)
    assert "incomplete: 6 of 7 runs" in files["README.md"][0].decode()
    assert "incomplete: 6 of 7 runs" in files[crate.FILE][0].decode()


def test_figures_are_ink_on_white_and_not_in_the_colours_that_a_page_replaces(bundled):
    drawings = [name for name in bundled.namelist() if name.endswith(".svg")]
    assert drawings
    assert not any(b"#010203" in bundled.read(name) for name in drawings)


def test_a_table_is_too_large_for_a_spreadsheet_only_if_its_csv_is():
    short = {"run": ["a", "bc"], "there": [True, None], "value": [0.0, None], "step": [7, 8]}
    data = pd.DataFrame(short).astype({"run": "str"})
    assert bundle._at_least(data) == 8 + 3 + 1 + 1 + 2
    assert bundle._at_least(data) <= len(bundle._csv(data))
    long = data.assign(run="x" * 100)
    assert bundle._at_least(long) == 8 + 200 + 1 + 1 + 2


def test_small_tables_are_spreadsheets_too_and_large_ones_are_not(results, bundled, monkeypatch):
    ledger = pd.read_csv(io.BytesIO(bundled.read("csv/ledger.csv")))
    assert list(ledger["claim"]) == list(LEDGER.read(results / "claims/ledger.parquet")["claim"])
    facts = pd.read_csv(io.BytesIO(bundled.read("csv/facts.csv")))
    assert set(facts["fact"]) == set(json.loads(bundled.read("claims/facts.json")))
    assert {"value", "low", "high", "unit", "query"} < set(facts.columns)
    monkeypatch.setattr(bundle, "SPREADSHEET", 100)
    files = bundle.contents(results, ROOT)
    assert "csv/ledger.csv" not in files
    assert "claims/ledger.parquet" in files


def test_the_same_study_gives_the_same_bytes(results):
    first = bundle.write(results, ROOT).read_bytes()
    (results / "tables" / "runs.parquet").touch()
    (results / "tables" / "runs.parquet").chmod(0o600)
    assert bundle.write(results, ROOT).read_bytes() == first


def test_nothing_in_the_zip_tells_when_or_by_whom_it_was_written(bundled):
    entries = bundled.infolist()
    assert [e.filename for e in entries] == sorted(e.filename for e in entries)
    assert {e.date_time for e in entries} == {bundle.EPOCH}
    assert {e.external_attr >> 16 for e in entries} == {0o100644}
    assert bundled.testzip() is None


def test_rocrate_reads_the_crate_and_finds_every_file_in_it(bundled, unzipped):
    read = ROCrate(unzipped)
    parts = {unquote(part.id): part for part in read.root_dataset["hasPart"]}
    assert set(parts) == set(bundled.namelist()) - {crate.FILE}
    assert all((unzipped / name).is_file() for name in parts)
    sizes = {name: int(part["contentSize"]) for name, part in parts.items()}
    assert sizes == {name: (unzipped / name).stat().st_size for name in parts}
    assert all(part["encodingFormat"] and part["description"] for part in parts.values())
    assert parts["report/paper.pdf"]["encodingFormat"] == "application/pdf"


def test_the_crate_has_what_the_specification_asks_of_its_root(unzipped):
    root = ROCrate(unzipped).root_dataset
    assert root.type == "Dataset"
    assert "laptop" in root["name"]
    assert root["description"]
    assert root["datePublished"] == BEGAN[:10]
    citation = yaml.safe_load((unzipped / "CITATION.cff").read_text())
    assert root["license"]["name"] == citation["license"]
    assert root["author"]["name"] == citation["authors"][0]["name"]
    assert root["conformsTo"]["name"] == "Process Run Crate"
    described = json.loads((unzipped / crate.FILE).read_text())["@graph"]
    [itself] = [entity for entity in described if entity["@id"] == crate.FILE]
    assert itself["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}


def test_every_entity_that_the_crate_refers_to_is_described(unzipped):
    graph = json.loads((unzipped / crate.FILE).read_text())["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)
    named = set(re.findall(r'\{"@id": "([^"]+)"\}', json.dumps(graph)))
    assert named - known == {"https://w3id.org/ro/crate/1.1"}


def test_the_run_is_an_action_from_the_config_to_the_paper(unzipped):
    action = ROCrate(unzipped).root_dataset["mentions"]
    assert action.type == "CreateAction"
    assert action["instrument"].type == "SoftwareApplication"
    assert "a" * 40 in action["instrument"]["description"]
    assert action["object"].id == "config/laptop.yaml"
    assert [paper.id for paper in action["result"]] == list(bundle.PAPER)
    assert action["startTime"] == BEGAN


def test_a_table_is_described_by_its_data_dictionary(unzipped):
    runs = ROCrate(unzipped).dereference("tables/runs.parquet")
    columns = {column["name"]: column for column in runs["variableMeasured"]}
    assert list(columns) == list(RUNS.columns)
    assert columns["slope"]["description"].startswith(RUNS.columns["slope"].meaning)
    assert columns["slope"]["unitText"] == RUNS.columns["slope"].unit
    assert RUNS.row in runs["description"]


def test_results_that_carry_no_time_get_a_date_that_is_known_to_be_none():
    about = crate.About("a", "b", yaml.safe_load((ROOT / "CITATION.cff").read_text()), {}, "c")
    said = json.loads(crate.metadata({}, about))["@graph"]
    assert {e["datePublished"] for e in said if e["@id"] == "./"} == {crate.NO_DATE}
    assert not any("startTime" in entity for entity in said)


def test_the_config_in_a_bundle_is_the_one_that_was_run(results, bundled, tmp_path):
    assert bundled.read("config/laptop.yaml") == (ROOT / CONFIG).read_bytes()
    for file in (*bundle.OF_PROJECT, CONFIG):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    changed = (ROOT / CONFIG).read_text().replace("first_seed: 100", "first_seed: 101")
    (tmp_path / CONFIG).write_text(changed)
    with pytest.raises(UserError, match=r"laptop\.yaml has changed since"):
        bundle.write(results, tmp_path)


def test_a_study_without_a_paper_is_refused_by_name(results, tmp_path, capsys):
    for name in ("tables", "claims", "plan.json"):
        (tmp_path / name).symlink_to(results / name)
    assert main(["bundle", str(tmp_path), "--root", str(ROOT)]) == 2
    assert re.search(r"paper\.html.*Finish the study", capsys.readouterr().err)
    assert not (tmp_path / "report").exists()


def test_the_verb_says_where_the_bundle_is(results, capsys):
    assert main(["bundle", str(results), "--root", str(ROOT)]) == 0
    assert Path(capsys.readouterr().out.strip()) == results / "report" / "bundle.zip"


def test_every_file_has_a_format_of_its_own(bundled):
    suffixes = {PurePosixPath(name).suffix for name in bundled.namelist()}
    assert suffixes - set(crate.FORMATS) == {"", ".lock"}
