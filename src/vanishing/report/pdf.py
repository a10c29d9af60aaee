"""The paper as a tagged PDF (PDF/UA-1): pandoc writes Typst, the typst wheel sets it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ..errors import UserError
from . import pandoc, svg
from .seal import as_csv, seal, verdicts

STANDARD = "ua-1"
# Written into the file in place of the hour, so that the same paper is the same bytes.
TIMESTAMP = 946684800  # 2000-01-01


def render(text: str, source: Path, theme: Path, results: Path, stamp: str) -> bytes:
    """The PDF of the bound Markdown ``text``, sealed with the verdicts in ``results``."""
    options = [
        f"--template={theme / 'paper.typ'}",
        f"--variable=keywords:{seal(as_csv(verdicts(results)))}",
        *([f"--variable=stamp:{stamp}"] if stamp else []),
    ]
    body = pandoc.convert(text, source, theme, "typst-citations", options)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "paper.typ").write_text(body, encoding="utf-8")
        _copy_figures(body, results, root)
        return _compiled(root, source)


def _copy_figures(body: str, results: Path, root: Path) -> None:
    for name in sorted(set(re.findall(r'image\("(figures/[^"]+\.svg)"', body))):
        (root / name).parent.mkdir(exist_ok=True)
        drawing = svg.for_paper((results / name).read_text(encoding="utf-8"))
        (root / name).write_text(drawing, encoding="utf-8")


def _compiled(root: Path, source: Path) -> bytes:
    import typst

    compiler = typst.Compiler(root / "paper.typ", root=root, ignore_system_fonts=True)
    try:
        return compiler.compile(format="pdf", pdf_standards=[STANDARD], timestamp=TIMESTAMP)
    except typst.TypstError as error:
        detail = str(error).replace(str(root), "")
        raise UserError(f"{source}: typst could not set the paper:\n{detail}") from None
