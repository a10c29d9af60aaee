"""The answer in the README: a study's verdicts and a figure, copied to where they are committed."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from ..errors import UserError
from ..table import write_text
from ..tables import LEDGER
from .blocks import statements
from .svg import for_paper

FIGURES = ("ledger", "ledger_remedies")
COLUMNS = ("claim", "verdict", "value", "low", "high", "n", "p_holm", "statistic", "reason")
BLOCK = re.compile(r"(<!-- verdicts -->\n).*?(<!-- /verdicts -->)", re.S)


def publish(results: Path, root: Path) -> None:
    """Write ``reports/published/`` under ``root``, and the verdict table of its README."""
    ledger = LEDGER.read(results / "claims" / "ledger.parquet")
    overall = ledger.loc[ledger["stratum"] == "all", list(COLUMNS)]
    if overall["verdict"].eq("INCOMPLETE").any():
        raise UserError(f"{results} lacks runs: finish the study before you publish it.")
    folder = root / "reports" / "published"
    write_text(folder / "verdicts.csv", overall.to_csv(index=False, float_format="%.6g"))
    for name in FIGURES:
        figure = (results / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        write_text(folder / f"{name}.svg", for_paper(figure))
    readme = root / "README.md"
    table = verdict_table(pd.read_csv(folder / "verdicts.csv"), root / "reports" / "claims.yaml")
    write_text(readme, with_table(readme.read_text(encoding="utf-8"), table))


def verdict_table(verdicts: pd.DataFrame, claims: Path) -> str:
    """A Markdown table: every claim, what it says, and its verdict."""
    said = statements(claims)
    rows = [f"| {v.claim} | {said[v.claim]} | **{v.verdict}** |" for v in verdicts.itertuples()]
    return "\n".join(["| claim | what is said | verdict |", "|---|---|---|", *rows]) + "\n"


def with_table(readme: str, table: str) -> str:
    """The README with ``table`` between its two marks."""
    if not BLOCK.search(readme):
        raise UserError("README.md lacks the marks <!-- verdicts --> and <!-- /verdicts -->")
    return BLOCK.sub(lambda match: match[1] + table + match[2], readme)
