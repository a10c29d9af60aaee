"""What is committed of a study: its paper, its verdicts, and the figures that the README shows."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from ..analysis.claims import read_claims
from ..errors import UserError
from ..files import atomic, write_text
from .blocks import statements
from .seal import as_csv, seal, seals_of, verdicts
from .svg import for_paper

FIGURES = ("ledger", "ledger_remedies")
BLOCK = re.compile(r"(<!-- verdicts -->\n).*?(<!-- /verdicts -->)", re.S)


def publish(results: Path, root: Path) -> None:
    """Write ``reports/published/`` under ``root``, and the verdict table of its README."""
    overall = verdicts(results)
    if overall["verdict"].eq("INCOMPLETE").any():
        raise UserError(f"{results} lacks runs: finish the study before you publish it.")
    folder, table = root / "reports" / "published", as_csv(overall)
    paper = _paper(results, table)
    write_text(folder / "verdicts.csv", table)
    with atomic(folder / "paper.pdf") as temporary:
        temporary.write_bytes(paper)
    for name in FIGURES:
        figure = (results / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        write_text(folder / f"{name}.svg", for_paper(figure))
    readme = root / "README.md"
    shown = verdict_table(pd.read_csv(folder / "verdicts.csv"), root / "reports" / "claims.yaml")
    write_text(readme, with_table(readme.read_text(encoding="utf-8"), shown))


def _paper(results: Path, table: str) -> bytes:
    """The study's PDF; refused unless it was built from the verdicts in ``table``."""
    path = results / "report" / "paper.pdf"
    if not path.exists():
        raise UserError(f"there is no {path}: finish the study before you publish it.")
    if seals_of(pdf := path.read_bytes()) != {seal(table)}:
        raise UserError(
            f"{path} was built from other verdicts than {results / 'claims/ledger.parquet'} has: "
            "run `vanishing study` on its config to build it anew."
        )
    return pdf


def verdict_table(verdicts: pd.DataFrame, claims: Path) -> str:
    """A Markdown table: every claim, what it says, and its verdict."""
    said = statements(read_claims(claims))
    rows = [f"| {v.claim} | {said[v.claim]} | **{v.verdict}** |" for v in verdicts.itertuples()]
    return "\n".join(["| claim | what is said | verdict |", "|---|---|---|", *rows]) + "\n"


def with_table(readme: str, table: str) -> str:
    """The README with ``table`` between its two marks."""
    if not BLOCK.search(readme):
        raise UserError("README.md lacks the marks <!-- verdicts --> and <!-- /verdicts -->")
    return BLOCK.sub(lambda match: match[1] + table + match[2], readme)
