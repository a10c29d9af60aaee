"""pandoc, the one inside the wheel: an older one of the machine's never gets in."""

from __future__ import annotations

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from .checks import line_of

READER = "markdown+table_attributes-implicit_header_references"


def executable() -> Path:
    """The pandoc that ``pypandoc_binary`` brought."""
    spec = find_spec("pypandoc")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        for name in ("pandoc", "pandoc.exe"):
            if (found := Path(folder, "files", name)).is_file():
                return found
    raise UserError("pandoc is missing: install the package pypandoc_binary (requirements.lock)")


def convert(text: str, source: Path, theme: Path, to: str, options: list[str]) -> str:
    """Markdown ``text``, read from ``source``, in the format ``to``; a warning is an error."""
    command = [
        executable(),
        f"--from={READER}",
        f"--to={to}",
        "--standalone",
        "--fail-if-warnings",
        "--wrap=none",
        "--columns=100000",  # else a long line makes all columns of a table equal
        f"--data-dir={theme}",  # a user's own templates stay out
        f"--lua-filter={theme / 'article.lua'}",
        "--citeproc",
        f"--lua-filter={theme / 'typst.lua'}",
        f"--bibliography={source.parent / 'references.bib'}",
        "--metadata=link-citations:true",
        "--syntax-highlighting=none",
        *options,
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise UserError(_explained(done.stderr, source))
    return done.stdout


def _explained(message: str, source: Path) -> str:
    formula = re.search(r"Could not convert TeX math (.*?), rendering as TeX", message, re.S)
    line = line_of(source.read_text(encoding="utf-8"), formula[1]) if formula else None
    where = f"{source}:{line}" if line else str(source)
    return f"{where}: pandoc refused the paper:\n{message.strip()}"
