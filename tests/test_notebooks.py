"""Notebooks: checked parameters, the venv's own kernel, the same bytes, readable failures."""

import ast
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest

from vanishing.errors import UserError
from vanishing.report import notebooks

HEAD = (
    '# %% [markdown]\n# # A title\n\n# %% tags=["parameters"]\nresults = "results/none"\nn = 1\n\n'
)
GIVEN = {"results": "results/laptop", "n": 3}
PROJECT = Path(__file__).parents[1]
SOURCES = sorted((PROJECT / "reports" / "notebooks").glob("*.py"))
COMPUTES = (ast.FunctionDef, ast.Lambda, ast.For, ast.While, ast.comprehension)


@pytest.fixture
def notebook(tmp_path):
    """Write a notebook of the given cells; return its path."""

    def write(*cells: str):
        path = tmp_path / "tiny.py"
        path.write_text(HEAD + "".join(f"# %%\n{cell}\n\n" for cell in cells))
        return path

    return write


def text_of(path) -> str:
    cells = json.loads(path.read_text())["cells"]
    return "".join("".join(o.get("text", "")) for c in cells for o in c.get("outputs", []))


def test_executed_notebook_is_the_same_bytes_every_time(notebook, tmp_path):
    source = notebook(
        "import sys, warnings\nprint('a')\nprint('b', file=sys.stderr)\nprint('c', flush=True)",
        "warnings.warn('beware', stacklevel=1)\nprint(object())\nlambda: 0",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(1, 1))\n_ = ax.plot([n])",
    )
    notebooks.execute(source, tmp_path / "one.ipynb", GIVEN)
    notebooks.execute(source, tmp_path / "two.ipynb", GIVEN)
    one = (tmp_path / "one.ipynb").read_text()
    assert one == (tmp_path / "two.ipynb").read_text()
    assert "image/png" in one
    assert str(tmp_path) not in one
    assert "papermill" not in json.loads(one)["metadata"]


def test_parameters_arrive_and_the_kernel_is_this_interpreter(notebook, tmp_path):
    source = notebook(
        "import sys, ipykernel\nprint(results, n, sys.executable)",
        "print(ipykernel.get_connection_info(unpack=True)['transport'])",
    )
    notebooks.execute(source, tmp_path / "out.ipynb", GIVEN)
    assert text_of(tmp_path / "out.ipynb") == f"results/laptop 3 {sys.executable}\nipc\n"


def test_a_users_jupyter_settings_do_nothing(notebook, tmp_path, monkeypatch):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("print('startup file was read')")
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        '{"argv": ["/bin/false"], "display_name": "x", "language": "python"}'
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    notebooks.execute(notebook("print('ran')"), tmp_path / "out.ipynb", GIVEN)
    assert text_of(tmp_path / "out.ipynb") == "ran\n"


def test_mistyped_parameter_is_refused_with_the_nearest(notebook, tmp_path):
    with pytest.raises(UserError, match=r"tiny\.py: no parameter is called 'resutls'.*'results'"):
        notebooks.execute(notebook("1"), tmp_path / "o.ipynb", {"resutls": "x", "n": 1})


def test_missing_parameter_is_refused(notebook, tmp_path):
    with pytest.raises(UserError, match="parameter 'n' was not given"):
        notebooks.execute(notebook("1"), tmp_path / "o.ipynb", {"results": "x"})


def test_notebook_without_parameters_cell_is_refused(tmp_path):
    (tmp_path / "bare.py").write_text("# %%\nprint(1)\n")
    with pytest.raises(UserError, match="0 cells tagged 'parameters'"):
        notebooks.execute(tmp_path / "bare.py", tmp_path / "o.ipynb", {})


def test_unknown_notebook_names_the_nearest(notebook, tmp_path):
    notebook("1")
    with pytest.raises(UserError, match="Did you mean 'tiny'"):
        notebooks.execute(tmp_path / "tinny.py", tmp_path / "o.ipynb", GIVEN)


def test_failure_keeps_a_copy_and_prints_cell_and_traceback_without_ansi(notebook, tmp_path):
    source = notebook("print('before')", "value = {}['gone']")
    log = io.StringIO()
    with pytest.raises(notebooks.NotebookError, match="KeyError"):
        notebooks.execute(source, tmp_path / "out.ipynb", GIVEN, log)
    assert not (tmp_path / "out.ipynb").exists()
    assert "before" in text_of(tmp_path / "out.failed.ipynb")
    assert "    value = {}['gone']" in log.getvalue()
    assert "KeyError: 'gone'" in log.getvalue()
    assert "\x1b" not in log.getvalue()


def test_failure_names_file_and_line_also_inside_of_a_longer_cell(notebook, tmp_path):
    source = notebook("print('before')", "a = 1\nb = 2\nvalue = {}['gone']\nc = 3")
    lines = source.read_text().splitlines()
    at = lines.index("value = {}['gone']") + 1
    with pytest.raises(notebooks.NotebookError, match=rf"tiny\.py:{at}: failed in cell"):
        notebooks.execute(source, tmp_path / "out.ipynb", GIVEN, io.StringIO())


def test_success_removes_the_failed_copy(notebook, tmp_path):
    (tmp_path / "out.failed.ipynb").write_text("old")
    notebooks.execute(notebook("1"), tmp_path / "out.ipynb", GIVEN)
    assert not (tmp_path / "out.failed.ipynb").exists()


def test_environment_is_given_back(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/somewhere")
    before = dict(os.environ)
    notebooks.execute(notebook("1"), tmp_path / "out.ipynb", GIVEN)
    assert dict(os.environ) == before


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_of_the_project_argues_and_computes_nothing(source):
    assert not any(isinstance(node, COMPUTES) for node in ast.walk(ast.parse(source.read_text())))
    notebooks.check_parameters(notebooks.read(source), {"results": "results/mine"}, source)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_table_that_a_notebook_reads_is_an_input_of_its_rule(source):
    """A notebook waits for what it names; each file that it reads is therefore named in one way."""
    named = re.findall(r'"(\w+)\.parquet"', source.read_text())
    assert {Path(table).stem for table in notebooks.reads(source)} == {"runs", *named}


def test_a_notebook_of_the_claims_waits_for_the_ledger_and_others_do_not():
    folder = PROJECT / "reports" / "notebooks"
    assert "claims/ledger.parquet" in notebooks.reads(folder / "ledger.py")
    assert notebooks.reads(folder / "dynamics.py") == [
        "tables/profiles.parquet",
        "tables/runs.parquet",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "tables / 'runs.parquet'",
        'Path(results) / "tables" / "runs.parquet"',
        'Path(results, "claims", "ledger.parquet")',
        'f"{results}/tables/runs.parquet"',
        'tables / "runs.parquet", tables/"profiles.parquet"',
    ],
)
def test_a_table_that_is_named_in_another_way_is_refused_with_its_line(notebook, line):
    source = notebook("1", line)
    at = source.read_text().splitlines().index(line) + 1
    with pytest.raises(UserError, match=rf'tiny\.py:{at}: .*\n.* tables / "NAME\.parquet"'):
        notebooks.reads(source)


def test_comments_and_imports_name_no_table(notebook):
    source = notebook("import pyarrow.parquet", "# from tables/seen.parquet")
    assert notebooks.reads(source) == ["tables/runs.parquet"]


def test_every_figure_of_the_paper_is_drawn_by_the_notebook_that_it_names():
    text = (PROJECT / "reports" / "paper" / "paper.md").read_text()
    named = re.findall(r'\]\(figures/(\w+)\.svg\)\{#fig:\w+ notebook="(\w+)"', text)
    drawn = {path.stem: path.read_text() for path in SOURCES}
    assert len(named) > 9
    assert all(f'/ "{figure}.svg"' in drawn[notebook] for figure, notebook in named)
