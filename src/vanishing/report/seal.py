"""By what a PDF is known to be of some verdicts: a hash of them, among the keywords of the file.

The table that is published beside a paper is a text file; its hash says whether the two belong
together, without a word of the paper being read.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..tables import LEDGER

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("claim", "verdict", "value", "low", "high", "n", "p_holm", "statistic", "reason")
SEAL = re.compile(rb"verdicts-sha256-[0-9a-f]{64}")


def verdicts(results: Path) -> pd.DataFrame:
    """The overall verdict of every claim of a study, with what it was reached by."""
    ledger = LEDGER.read(results / "claims" / "ledger.parquet")
    return ledger.loc[ledger["stratum"] == "all", list(COLUMNS)]


def as_csv(table: pd.DataFrame) -> str:
    """The text of ``verdicts.csv``."""
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def seal(csv: str) -> str:
    """The keyword of a paper whose verdicts are those of ``csv``.

    >>> seal("claim,verdict\\n")[:20]
    'verdicts-sha256-3bcc'
    """
    return f"verdicts-sha256-{hashlib.sha256(csv.encode()).hexdigest()}"


def seals_of(pdf: bytes) -> set[str]:
    """The seals that a PDF carries, in the metadata that it holds as plain text."""
    return {found.decode() for found in SEAL.findall(pdf)}
