"""The paper of a study that is not finished: built beside it, stamped, and leaving it alone."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from vanishing.cli import main
from vanishing.errors import UserError
from vanishing.figures import interactions, stamp, style
from vanishing.report import partial
from vanishing.study import index, plan
from vanishing.tables import LEDGER, RUNS

from .conftest import ROOT
from .finished_study import finish
from .papers import PAPER

NET = {
    "family": "mlp", "task": "digits", "width": 8,
    "factors": {"activation": ["tanh", "relu"], "init": ["he"], "depth": [3]},
    "seeds": {"judged": 2},
    "train": {"steps": 0},
    "probes": {"batch": 16},
}  # fmt: skip
TUNED = {**NET, "seeds": {"tuning": 1, "judged": 1},
         "factors": {**NET["factors"], "activation": ["sigmoid"]},
         "train": {"steps": 2, "lr": [0.1, 0.2], "batch": 16}}  # fmt: skip
RECURRENT = {
    "family": "rnn", "task": {"adding": {"samples": 60}}, "length": 10, "width": 4,
    "factors": {"activation": ["tanh"], "init": ["he"], "depth": [1]},
    "seeds": {"judged": 1}, "train": {"steps": 0}, "probes": {"batch": 8},
}  # fmt: skip
NOTEBOOK = """# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

import vanishing.figures.style as style
from vanishing.tables import RUNS

runs = RUNS.read(Path(results) / "tables" / "runs.parquet")
style.save(style.nothing("drawn"), Path(results) / "figures" / "drawn.svg", runs[["run_id"]])
"""
TEXT = """---
title: A paper
author: [A. Nobody]
abstract: So it is.
---

# Results {#sec:results}

As [@fig:drawn] shows, [some nets lose their gradient]{.finding claims="C01 SUPPORTED"}.

![What is drawn.](figures/drawn.svg){#fig:drawn notebook=drawn alt="Words."}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a small paper, whose study `mine` is trained."""
    folder = tmp_path_factory.mktemp("partial")
    finish(folder, {"signal": NET, "trained": TUNED, "time": RECURRENT})
    shutil.rmtree(folder / "results" / "mine" / "tables")
    (folder / "mine.yaml").write_text((folder / "mine.yaml").read_text().replace("false", "true"))
    reports = folder / "reports"
    shutil.copytree(PAPER / "theme", reports / "paper" / "theme")
    shutil.copy(PAPER / "references.bib", reports / "paper")
    shutil.copy(PAPER.parent / "claims.yaml", reports)
    (reports / "paper" / "paper.md").write_text(TEXT)
    (reports / "notebooks").mkdir()
    (reports / "notebooks" / "drawn.py").write_text(NOTEBOOK)
    figures = folder / "results" / "mine" / "figures"
    figures.mkdir()
    (figures / "rulegraph.svg").write_text("<svg></svg>")
    return folder


@pytest.fixture
def at(trained, tmp_path, monkeypatch):
    """A copy of that project, which is where we are."""
    folder = Path(shutil.copytree(trained, tmp_path / "project", symlinks=True))
    monkeypatch.chdir(folder)
    index.refresh("mine.yaml")
    return folder / "results" / "mine"


def forget(results: Path, *kinds: str) -> list[str]:
    """Have the cohorts of these kinds not be done; the ids of all that are left."""
    for log in sorted((results / "logs").glob("*/*.parquet")):
        if log.name.startswith(kinds):
            log.unlink()
    return sorted(log.stem for log in (results / "logs" / "runs").glob("*.parquet"))


def files(folder: Path, *without: str) -> dict[Path, tuple]:
    """All files below a folder, as they are."""
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in without
    }


@pytest.fixture(scope="module")
def unfinished(trained, tmp_path_factory):
    """The project with a paper of what is left without two kinds of nets; and what was said."""
    folder = tmp_path_factory.mktemp("unfinished") / "project"
    shutil.copytree(trained, folder, symlinks=True)
    results, said = folder / "results" / "mine", io.StringIO()
    with pytest.MonkeyPatch.context() as here, contextlib.redirect_stdout(said):
        here.chdir(folder)
        index.refresh("mine.yaml")
        forget(results, "rnn", "sigmoid")
        before = files(results)
        assert main(["paper", "mine.yaml"]) == 0
    return results, before, said.getvalue()


def test_the_command_says_where_the_paper_is_and_what_is_missing(unfinished):
    said = unfinished[2].splitlines()
    assert [f"results/mine/partial/report/paper.{kind}" for kind in ("html", "pdf")] == said[-5:-3]
    assert said[-2:] == ["  time: 0 of 1 runs", "  trained: 0 of 3 runs"]


def test_an_unfinished_studys_paper_and_figures_say_that_runs_are_missing(unfinished):
    partly = unfinished[0] / "partial"
    page = (partly / "report/paper.html").read_text()
    assert "incomplete: 4 of 8 runs" in page
    assert stamp.COLOUR in (partly / "figures/drawn.svg").read_text()
    assert stamp.missing(partly / "figures/drawn.svg") == "INCOMPLETE: 4 of 8 runs"
    assert (partly / "report/paper.pdf").stat().st_size > 10_000


def test_an_unfinished_study_decides_nothing_and_its_paper_says_nothing_that_rests_on_it(
    unfinished,
):
    ledger = LEDGER.read(unfinished[0] / "partial/claims/ledger.parquet")
    assert len(ledger)
    assert not set(ledger["verdict"]) & {"SUPPORTED", "REFUTED", "CONDITIONAL"}
    page = (unfinished[0] / "partial/report/paper.html").read_text()
    assert "some nets lose their gradient" not in page


def test_nothing_of_the_study_itself_is_touched(unfinished):
    results, before, _ = unfinished
    assert files(results, "partial", partial.LOCK) == before


def test_a_second_paper_sees_what_was_finished_meanwhile(
    trained, unfinished, tmp_path, monkeypatch
):
    folder = tmp_path / "project"
    shutil.copytree(unfinished[0].parents[1], folder, symlinks=True)
    monkeypatch.chdir(folder)
    results = folder / "results" / "mine"
    predictions = (results / "partial/tables/predictions.parquet").stat().st_mtime_ns
    shutil.copytree(trained / "results/mine/logs", results / "logs", dirs_exist_ok=True)
    built = partial.write("mine.yaml", lambda line: None)
    assert built.lines()[-1] == "no planned run is missing"
    assert "incomplete: " not in built.html.read_text()
    assert stamp.COLOUR not in (results / "partial/figures/drawn.svg").read_text()
    assert (results / "partial/tables/predictions.parquet").stat().st_mtime_ns == predictions


def test_the_predictions_of_the_study_are_taken_where_it_has_them(
    unfinished, tmp_path, monkeypatch
):
    folder = tmp_path / "project"
    shutil.copytree(unfinished[0].parents[1], folder, symlinks=True)
    monkeypatch.chdir(folder)
    results, said = Path("results/mine"), []
    (results / "tables").mkdir()
    for name in ("predictions", "expected", "lag_predictions"):
        table = f"tables/{name}.parquet"
        shutil.move(results / "partial" / table, results / table)
    planned = plan.make("mine.yaml")
    partial._predict(planned, results, results / "partial", said.append)
    assert not said
    name = "tables/predictions.parquet"
    assert (results / "partial" / name).read_bytes() == (results / name).read_bytes()
    assert not partial._hold(results, {"code": "other", "config": "other"}, [])


@pytest.mark.parametrize("left", ["nothing", "sigmoid"])
def test_before_anything_counts_there_is_nothing_to_write_about(at, capsys, left):
    tuning = [i for i in forget(at, "rnn", "tanh", "relu") if _split(at, i) == "tuning"]
    assert tuning
    forget(at, *({"sigmoid"} if left == "nothing" else set(_others(at, tuning))))
    assert main(["paper", "mine.yaml"]) == 2
    said = capsys.readouterr().err
    assert "nothing to write about" in said
    assert "Traceback" not in said
    assert not (at / "partial").exists()


def _split(results: Path, cohort: str) -> str:
    return json.loads((results / "cohorts" / f"{cohort}.json").read_text())["split"]


def _others(results: Path, ids: list[str]) -> list[str]:
    return [log.stem for log in (results / "logs/runs").glob("*.parquet") if log.stem not in ids]


def test_two_papers_of_one_study_do_not_mix(at):
    from filelock import FileLock

    with FileLock(at / partial.LOCK), pytest.raises(UserError, match="another `vanishing paper`"):
        partial.write("mine.yaml", lambda line: None)
    assert not (at / "partial").exists()


@pytest.mark.usefixtures("at")
def test_a_study_that_nobody_knows_is_refused(capsys):
    assert main(["paper", "yours"]) == 2
    assert "yours" in capsys.readouterr().err


@pytest.fixture
def planned(tmp_path):
    """A study of four planned runs, three of which are done."""
    text = {name: "x" for name, c in RUNS.columns.items() if c.dtype == "string"}
    numbers = {name: 1 for name, c in RUNS.columns.items() if c.dtype != "string"}
    rows = [{**text, **numbers, "run_id": i, "outcome": "trained"} for i in "abc"]
    RUNS.write(RUNS.frame(rows), tmp_path / "tables" / "runs.parquet")
    members = {"one": list("ab"), "two": list("bcd")}
    (tmp_path / "plan.json").write_text(json.dumps({"members": members}))
    return tmp_path


@pytest.mark.parametrize("name", ["figures/a.svg", "figures/claims/C01.svg"])
def test_a_figure_of_a_study_that_lacks_runs_says_so(planned, name):
    assert stamp.missing(planned / name) == "INCOMPLETE: 3 of 4 runs"


def test_a_stamp_makes_a_figure_higher_and_moves_nothing_in_it(planned, tmp_path):
    data = pd.DataFrame({"x": [1]})
    style.save(style.nothing("drawn"), planned / "figures/stamped.svg", data)
    style.save(style.nothing("drawn"), tmp_path / "elsewhere" / "a" / "b" / "plain.svg", data)
    stamped = (planned / "figures/stamped.svg").read_text()
    plain = (tmp_path / "elsewhere/a/b/plain.svg").read_text()
    assert stamp.COLOUR in stamped
    assert stamp.COLOUR not in plain
    assert _height(stamped) == pytest.approx(_height(plain) + stamp.ROOM)
    drawing = plain.partition("<defs>")[2].rpartition("</svg>")[0]
    assert drawing
    assert drawing in stamped


def _height(svg: str) -> float:
    return float(svg.partition('height="')[2].partition("pt")[0])


def test_a_study_whose_runs_are_all_done_has_no_stamp(planned):
    (planned / "plan.json").write_text(json.dumps({"members": {"one": list("abc")}}))
    assert stamp.missing(planned / "figures/a.svg") == ""


def test_how_rates_were_chosen_is_named_where_it_is_what_interacts():
    """As in a study whose other cells are missing."""
    levels = pd.Series(["tuned", "fixed(0.03)"])
    _, names = interactions._named_levels("lr_policy", levels)
    assert list(names) == list(names.values()) == ["fixed(0.03)", "tuned"]


def test_make_knows_the_paper_of_what_is_done():
    assert 'vanishing paper "$(STUDY)"' in (ROOT / "Makefile").read_text()


def test_the_config_of_these_tests_decides_verdicts(trained):
    assert yaml.safe_load((trained / "mine.yaml").read_text())["verdicts"]
