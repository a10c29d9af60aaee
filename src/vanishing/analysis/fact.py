"""A number that the paper prints: its value with unit, precision, interval and origin."""

from __future__ import annotations

import math

import numpy as np


def fact(
    value: object,
    unit: str,
    precision: int,
    query: str,
    low: float | None = None,
    high: float | None = None,
) -> dict:
    """One fact; what is not finite is null (JSON has no other word for it)."""
    known = {"value": _plain(value), "unit": unit, "precision": precision}
    return known | {"low": _plain(low), "high": _plain(high), "query": query}


def _plain(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if isinstance(value, int | np.integer) else number


def absent(unit: str, why: str) -> dict:
    """A fact that this study cannot give, and why."""
    return fact(None, unit, 0, f"not in this study: {why}")
