"""Snakemake's own report: its captions, and the figures that it shows."""

import json
import re
from types import SimpleNamespace

import pytest
from docutils.core import publish_doctree
from jinja2 import Environment, StrictUndefined

from vanishing.cli import main
from vanishing.report import technical

from .conftest import ROOT

WORKFLOW = ROOT / "workflow"
RULES = "".join(file.read_text() for file in sorted((WORKFLOW / "rules").glob("*.smk")))
CAPTIONS = sorted((WORKFLOW / "report").glob("*.rst"))
MARKED = re.findall(r"\breport\((.*?)\n        \)", RULES, re.S)


def test_whatever_is_marked_has_a_caption_a_category_and_labels():
    assert len(MARKED) >= 9
    for marked in MARKED:
        assert all(f"{name}=" in marked for name in ("caption", "category", "labels"))


def test_every_caption_that_a_rule_names_is_there_and_every_one_there_is_named():
    named = set(re.findall(r'caption="\.\./report/(\w+\.rst)"', RULES))
    overall = re.search(r'^report: "workflow/report/(\w+\.rst)"$', _snakefile(), re.M)
    assert named | {overall[1]} == {file.name for file in CAPTIONS}


def _snakefile() -> str:
    return (ROOT / "Snakefile").read_text()


@pytest.mark.parametrize("caption", CAPTIONS, ids=lambda file: file.stem)
def test_a_caption_is_sound_and_knows_its_words(caption):
    wildcards = SimpleNamespace(notebook="signal", figure="profiles")
    known = SimpleNamespace(config={"study": "smoke"}, wildcards=wildcards)
    template = Environment(undefined=StrictUndefined).from_string(caption.read_text())
    text = template.render(snakemake=known)
    assert publish_doctree(text, settings_overrides={"halt_level": 2}).astext()


@pytest.mark.parametrize(
    "output",
    ["report/paper.html", "report/paper.pdf", "claims/ledger.parquet", "claims/facts.json",
     "tables/runs.parquet", "tables/summary.parquet", "notebooks/{{notebook}}.ipynb",
     "report/figures"],
)  # fmt: skip
def test_what_a_study_publishes_is_marked(output):
    assert any(f'{{RESULTS}}/{output}"' in marked for marked in MARKED)


def test_figures_are_set_in_ink_on_white_by_the_notebook_that_names_them(tmp_path):
    for name in ("profiles", "claims/C01", "rulegraph"):
        figure = tmp_path / "figures" / f"{name}.svg"
        figure.parent.mkdir(exist_ok=True)
        figure.write_text('<svg fill="#010203"></svg>')
    cells = [
        {"cell_type": "markdown", "source": ["not `rulegraph.svg`"]},
        {"cell_type": "code", "source": ["style.save(\n", '  drawn, figures / "profiles.svg")']},
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "signal.ipynb").write_text(json.dumps({"cells": cells}))
    out = tmp_path / "report" / "figures"
    render = ["render", str(tmp_path / "figures"), "--results", str(tmp_path), "--out", str(out)]
    assert main(render) == 0
    made = {file.relative_to(out).as_posix(): file.read_text() for file in out.rglob("*.svg")}
    assert set(made) == {"signal/profiles.svg", "claims/C01.svg", "workflow/rulegraph.svg"}
    assert not any("#010203" in text for text in made.values())


def test_the_report_of_a_study_that_fails_is_not_written(monkeypatch):
    monkeypatch.setattr("vanishing.study.run.run_study", lambda *given, **more: 1)
    assert technical.report("smoke", "default", print) == 1
