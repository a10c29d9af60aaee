"""What every verdict rests on: the runs behind each row of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from ..tables import EVIDENCE
from .effects import ALL
from .ledger import Judged, own_rows, row_name, runs_of


def evidence_of(judged: Sequence[Judged]) -> pd.DataFrame:
    """The runs of every row that :func:`.ledger.ledger_of` makes of ``judged``: as many as done.

    A run counts that is there, with a value or, as the row's reason then says, without one.
    """
    parts = [part for j in judged for part in _of_analysis(j)]
    return EVIDENCE.frame(pd.concat(parts, ignore_index=True) if parts else [])


def _of_analysis(j: Judged) -> Iterator[pd.DataFrame]:
    for stratum in (ALL, *own_rows(j)):
        named = {"claim": j.claim, "stratum": row_name(j, stratum)}
        yield runs_of(j, stratum)[["run_id"]].assign(**named)
