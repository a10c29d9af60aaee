"""Executed notebooks: the same source, parameters and results give the same bytes every time."""

from __future__ import annotations

import ast
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..errors import UserError, unknown
from ..files import write_text
from . import kernel

if TYPE_CHECKING:
    from nbformat import NotebookNode

START_TIMEOUT = 120  # seconds a kernel may take to answer
CELL_TIMEOUT = 1200  # seconds a cell may take
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
LINE_OF_CELL = re.compile(r"Cell In\s?\[\d+\], line (\d+)")
TABLE = re.compile(r'(?:tables|"(claims)") / "(\w+)\.parquet"')
PARQUET = re.compile(r"(?<!pyarrow)\.parquet\b")  # a file's name, and no import
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What differs between two executions of one cell: addresses, ipykernel's names of its cells.
ACCIDENTAL = (
    (re.compile(r" at 0x[0-9a-f]{6,}"), ""),
    (re.compile(r"\S*ipykernel_\d+/\d+\.py"), "<cell>"),
)


class NotebookError(UserError):
    """A cell failed; its source and traceback are in the log."""


def execute(
    source: Path, out: Path, parameters: Mapping[str, object], log: TextIO | None = None
) -> None:
    """Execute the py:percent notebook ``source`` with ``parameters`` into the file ``out``.

    ``out`` is written at once or not at all. Of a failing notebook the state at the failure is kept
    as ``<name>.failed.ipynb`` beside it, the cell and its traceback are printed to ``log``
    (standard error unless told), and :class:`NotebookError` is raised.
    """
    source, out = Path(source), Path(out)
    notebook = read(source)
    check_parameters(notebook, parameters, source)
    failed = out.with_suffix(".failed.ipynb")
    executed, error = _run(notebook, dict(parameters))
    text = json.dumps(normalised(executed), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if error is None:
        write_text(out, text)
        failed.unlink(missing_ok=True)
        return
    write_text(failed, text)
    print(_explained(source, error), file=log or sys.stderr)
    raise NotebookError(
        f"{_place(source, error)}: failed in cell {error.exec_count}: {error.ename}: "
        f"{ANSI.sub('', error.evalue)}. What it had done by then is in {failed}."
    )


def read(source: Path) -> NotebookNode:
    """The notebook of a py:percent file, with the kernel that this interpreter is."""
    import jupytext

    if not source.exists():
        near = sorted(path.stem for path in source.parent.glob("*.py"))
        raise UserError(unknown("notebook", source.stem, near, f" (in {source.parent})"))
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    return notebook


def reads(source: Path) -> list[str]:
    """The tables that a notebook reads, within the folder of a study.

    Every figure asks the table of runs whether all are done. A table that is named in another way
    than these is refused: its notebook would not wait for it.
    """
    text = source.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        code = not line.lstrip().startswith("#")
        if code and len(PARQUET.findall(line)) > len(TABLE.findall(line)):
            raise UserError(
                f"{source}:{number}: which table is read cannot be told from: {line.strip()}\n"
                'A notebook names each table as tables / "NAME.parquet", after tables = '
                'Path(results) / "tables", or as Path(results) / "claims" / "NAME.parquet", on one '
                "line: write it so, and the notebook waits for the table."
            )
    found = TABLE.findall(text)
    named = {f"{folder or 'tables'}/{name}.parquet" for folder, name in found}
    return sorted({"tables/runs.parquet", *named})


def check_parameters(notebook: NotebookNode, given: Mapping[str, object], source: Path) -> None:
    """Refuse ``given`` unless it names exactly what the ``parameters`` cell assigns."""
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise UserError(
            f"{source} has {len(cells)} cells tagged 'parameters' and must have one: "
            '# %% tags=["parameters"]'
        )
    known = _assigned(cells[0].source)
    for name in given:
        if name not in known:
            raise UserError(f"{source}: {unknown('parameter', name, known)}")
    for name in known:
        if name not in given:
            raise UserError(
                f"{source}: its parameter {name!r} was not given (given: "
                f"{', '.join(sorted(given)) or 'none'}; it has: {', '.join(known)})."
            )


def _assigned(code: str) -> list[str]:
    targets = []
    for statement in ast.parse(code).body:
        targets += getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _run(notebook: NotebookNode, parameters: dict) -> tuple[NotebookNode, Exception | None]:
    """The executed notebook, and the error that ended it."""
    import nbformat
    import papermill

    # A socket's path may have 107 characters at most: a short folder, whatever TMPDIR says.
    short = "/tmp" if Path("/tmp").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="vn", dir=short) as private,
        kernel.clean(Path(private)),
    ):
        start, end = Path(private, "in.ipynb"), Path(private, "out.ipynb")
        nbformat.write(notebook, start)
        try:
            papermill.execute_notebook(
                start,
                end,
                parameters,
                kernel_name=kernel.NAME,
                language="python",
                progress_bar=False,
                start_timeout=START_TIMEOUT,
                execution_timeout=CELL_TIMEOUT,
                config=kernel.config(Path(private)),
            )
            error = None
        except papermill.PapermillExecutionError as failure:
            error = failure
        return nbformat.read(end, as_version=4), error


def normalised(notebook: NotebookNode) -> NotebookNode:
    """``notebook`` without what differs between two executions: times, paths, ids, chunks."""
    notebook.metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    notebook.nbformat_minor = max(notebook.nbformat_minor, 5)  # the first with ids
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"cell-{number}"
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": list(tags)} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = [_plain(output) for output in _merged(cell.outputs)]
    return notebook


def _merged(outputs: list[dict]) -> list[dict]:
    """Consecutive pieces of text as one a stream: how they were cut depends on timing."""
    merged: list[dict] = []
    for output in outputs:
        run = []
        for earlier in reversed(merged):
            if earlier["output_type"] != "stream":
                break
            run.append(earlier)
        same = [e for e in run if e["name"] == output.get("name")]
        if output["output_type"] == "stream" and same:
            same[0]["text"] += output["text"]
        elif output.get("name") == "stdout" and run:
            merged.insert(len(merged) - len(run), output)
        else:
            merged.append(output)
    return merged


def _plain(output: dict) -> dict:
    output["metadata"] = {} if "metadata" in output else None
    if output["metadata"] is None:
        del output["metadata"]
    if "text" in output:
        output["text"] = _without_accidents(output["text"])
    for kind, content in output.get("data", {}).items():
        if kind.startswith("text/") and isinstance(content, str):
            output["data"][kind] = _without_accidents(content)
    if "traceback" in output:
        output["traceback"] = [_without_accidents(ANSI.sub("", t)) for t in output["traceback"]]
    return output


def _without_accidents(text: str) -> str:
    for pattern, replacement in ACCIDENTAL:
        text = pattern.sub(replacement, text)
    return text


def _place(source: Path, error: Exception) -> str:
    """File and line of what failed: the line within its cell, where the traceback has it."""
    text = source.read_text(encoding="utf-8")
    start = text.find(error.source.strip())
    if start < 0:  # a cell that was put in, such as that of the parameters
        return str(source)
    inside = LINE_OF_CELL.search(ANSI.sub("", "\n".join(error.traceback)))
    return f"{source}:{text.count(chr(10), 0, start) + (int(inside[1]) if inside else 1)}"


def _explained(source: Path, error: Exception) -> str:
    """The failing cell and its traceback, as plain text."""
    lines = [f"{source}, cell {error.exec_count}:", ""]
    lines += [f"    {line}" for line in error.source.splitlines()]
    lines += ["", _without_accidents(ANSI.sub("", "\n".join(error.traceback)))]
    return "\n".join(lines)
