"""What strata are called."""

from __future__ import annotations

import pandas as pd

ALL = "all"


def label(row: dict) -> str:
    """The name of a stratum, ``activation=tanh, depth=20``.

    >>> label({"activation": "tanh", "sigma_w": 0.25})
    'activation=tanh, sigma_w=0.25'
    """
    return ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items())


def labels(data: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """The stratum of every row."""
    if not columns:
        return pd.Series(ALL, index=data.index, dtype=object)
    rows = list(zip(*(data[name] for name in columns), strict=True))
    names = {row: label(dict(zip(columns, row, strict=True))) for row in dict.fromkeys(rows)}
    return pd.Series([names[row] for row in rows], index=data.index, dtype=object)
