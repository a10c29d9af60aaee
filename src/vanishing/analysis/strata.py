"""What strata are called."""

from __future__ import annotations

import re

import pandas as pd

from .factors import differing, levels_of

ALL = "all"
SECONDARY = "secondary "  # begins the names of a secondary analysis and of its strata
NEXT = re.compile(r", (?=\w+=)")  # between the factors of a stratum


def label(row: dict) -> str:
    """The name of a stratum, ``activation=tanh, depth=20``.

    >>> label({"activation": "tanh", "sigma_w": 0.25})
    'activation=tanh, sigma_w=0.25'
    """
    return ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items())


def of_primary(names: pd.Series) -> pd.Series:
    """Which of a claim's strata, by their names in the ledger, its primary analysis has."""
    return names.ne(ALL) & ~names.str.startswith(SECONDARY)


def levels(stratum: str) -> dict[str, str]:
    """The levels of a stratum by factor, from its name.

    >>> levels("activation=relu, control=one_layer(layer=2, factor=0.1)")
    {'activation': 'relu', 'control': 'one_layer(layer=2, factor=0.1)'}
    """
    found, depth, start = [], 0, 0
    for at, letter in enumerate(stratum):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and NEXT.match(stratum, at):
            found.append(stratum[start:at])
            start = at + 2
    pairs = (part.partition("=") for part in [*found, stratum[start:]])
    return {factor: level for factor, _, level in pairs}


def labels(data: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """The stratum of every row."""
    if not columns:
        return pd.Series(ALL, index=data.index, dtype=object)
    levels = levels_of(data, columns)
    # Rows are told apart by the few columns that are not the same in all of them.
    several = [levels[name] for name in differing(levels)]
    rows = list(zip(*several, strict=True)) if several else [()] * len(data)
    first = {row: place for place, row in reversed(list(enumerate(rows)))}
    names = {row: label({c: of[at] for c, of in levels.items()}) for row, at in first.items()}
    return pd.Series([names[row] for row in rows], index=data.index, dtype=object)
