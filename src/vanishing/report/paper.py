"""The paper: its Markdown source and a study's results in, one HTML file and one PDF out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import UserError
from ..files import atomic, write_text
from ..tables import LEDGER
from . import blocks, checks, facts, findings, html, lint, numbers, pdf, progress


def build(
    source: Path,
    results: Path,
    out_html: Path,
    out_pdf: Path,
    tables: Mapping[str, str] | None = None,
) -> None:
    """Write the paper ``source`` with the numbers of the study in ``results``.

    ``tables`` holds ready Markdown by the name that ``{{table:name}}`` asks for; left out, it is
    :func:`blocks.standard` with the statements of ``claims.yaml`` in the folder above the source.
    The bibliography ``references.bib`` and the folder ``theme`` lie beside the source. Nothing is
    written unless both files can be.
    """
    source, results = Path(source), Path(results)
    text, stamp = bound(source, results, tables)
    theme = source.parent.resolve() / "theme"
    with ThreadPoolExecutor(1) as beside:  # both wait for pandoc most of their time
        document = beside.submit(pdf.render, text, source, theme, results, stamp)
        page = html.render(text, source, theme, results, Path(out_html), stamp)
    content = document.result()
    write_text(Path(out_html), page)
    with atomic(Path(out_pdf)) as temporary:
        temporary.write_bytes(content)


def bound(source: Path, results: Path, tables: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The checked source with everything generated in it, and the stamp of an unfinished study."""
    text = _read(source)
    bibliography = _read(source.parent / "references.bib")
    lint.check(text, source)
    checks.check(text, source, results / "figures", bibliography)
    plan, runs = progress.read(results)
    if tables is None:
        tables = blocks.standard(results, source.parent.parent / "claims.yaml", bibliography)
    ledger = LEDGER.read(results / "claims" / "ledger.parquet")
    verdicts = progress.verdicts(plan, ledger)
    text = findings.bind(text, ledger, progress.judges(plan), source)
    known = facts.load(results / "claims" / "facts.json")
    text = facts.needed(text, known, source)
    if facts.asks(text, "numbers"):  # of what the text prints, and so the last
        tables = {**tables, "numbers": numbers.section(text, known, results)}
    return facts.bind(text, known, verdicts, tables, source), progress.stamp(plan, runs)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"no file {path}: the paper needs it") from None
