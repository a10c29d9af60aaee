"""What every verdict rests on: the runs behind each row of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat

import pandas as pd

from ..tables import EVIDENCE
from .effects import ALL
from .ledger import Judged, own_rows, row_name, runs_of


def evidence_of(judged: Sequence[Judged]) -> pd.DataFrame:
    """The runs of every row that :func:`.ledger.ledger_of` makes of ``judged``: as many as done.

    A run counts that is there, with a value or, as the row's reason then says, without one.
    """
    rows = [row for j in judged for part in _of_analysis(j) for row in part]
    return EVIDENCE.frame(pd.DataFrame(rows, columns=["claim", "stratum", "run_id"]))


def _of_analysis(j: Judged) -> Iterator[Iterator[tuple[str, str, str]]]:
    for stratum in (ALL, *own_rows(j)):
        named = repeat(j.claim), repeat(row_name(j, stratum))
        yield zip(*named, runs_of(j, stratum)["run_id"])  # noqa: B905 (two are without end)
