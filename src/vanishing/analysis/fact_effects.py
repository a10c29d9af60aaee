"""Facts of the ledger: the effect on which each verdict rests."""

from __future__ import annotations

import math

import pandas as pd

from .effects import ALL
from .fact import absent, fact
from .fact_rows import rows, words
from .ledger import unit_of

DIGITS = 3  # of an effect that are printed, behind the point at most


def effects(ledger: pd.DataFrame) -> dict[str, dict]:
    """``effect.<claim>``: what its registered analysis estimates, with the ledger's interval.

    Of a claim about every or some stratum it is that of the stratum that decides.
    """
    overall = ledger[ledger["stratum"] == ALL]
    return {f"effect.{row.claim}": _effect(row) for row in overall.itertuples()}


def _effect(row: object) -> dict:
    unit = unit_of(row.statistic)
    if pd.isna(row.value):
        return absent(unit, f"an estimate for claim {row.claim}")
    where = {"claim": [row.claim], "stratum": [ALL]}
    query = f"ledger: {words(where)}: {row.statistic}"
    precision = _precision(row.value)
    return fact(row.value, unit, precision, query, row.low, row.high, rows=rows("ledger", where))


def _precision(value: float) -> int:
    """Decimals that show three digits of a number.

    >>> _precision(17.3114), _precision(-0.5558), _precision(0.00345)
    (1, 3, 3)
    """
    if not value:
        return DIGITS
    return min(DIGITS, max(0, DIGITS - 1 - math.floor(math.log10(abs(value)))))
