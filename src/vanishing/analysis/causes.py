"""Why two studies' results may differ: code, versions, machines, config and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import pandas as pd

from ..table import provenance_of
from ..tables import LEDGER, RUNS
from .finished import json_of, stamp_of, table_of

ABSENT = "(absent)"
Cause = tuple[str, str, str]  # what, in A, in B
_HASHES = ("config", "claims.first_run", "claims.committed", "claims.before_runs", "dirty")


def provenances(a: Path, b: Path) -> list[Cause]:
    """Where the stamps differ of what trained the runs, and of what judged them.

    A training's are those of the logs of its cohorts, which may be many where a study grew; without
    them, that of the table of runs.
    """
    rows = []
    for stage, of in (("trained by", _trained), ("judged by", _judged)):
        rows += [(f"{stage}: {key}", *values) for key, *values in nested(of(a), of(b))]
    return rows


def _trained(results: Path) -> dict[str, str]:
    cohorts = [cohort["id"] for cohort in json_of(results, "plan.json")["cohorts"]]
    logs = [results / "logs" / "runs" / f"{id_}.parquet" for id_ in cohorts]
    stamps = [provenance_of(log) for log in logs if log.exists()] or [stamp_of(results, RUNS)]
    found: dict[str, set[str]] = {}
    for stamp in map(_flat, stamps):
        for key, value in stamp.items():
            found.setdefault(key, set()).add(str(value))
    devices = table_of(results, RUNS, ["device"])["device"]
    found["device"] = set(devices)
    return {
        key: ", ".join(sorted(values)) for key, values in found.items() if key not in _HASHES
    }  # a cohort's stamp has the digest of the cohort as its config


def _judged(results: Path) -> dict[str, str]:
    stamp = _flat(stamp_of(results, LEDGER))
    return {key: str(value) for key, value in stamp.items() if key not in _HASHES}


def configs(a: Path, b: Path) -> list[Cause]:
    """Every setting that differs between the two resolved configs, by its dotted name.

    A battery that only one has is one row.
    """
    first, second = (json_of(results, "plan.json")["config"] for results in (a, b))
    one, other = (set(config.get("batteries", ())) for config in (first, second))
    only = [(f"batteries.{name}", "there", ABSENT) for name in sorted(one - other)]
    only += [(f"batteries.{name}", ABSENT, "there") for name in sorted(other - one)]
    lone = tuple(f"{name}." for name, *_ in only)
    rows = nested(_flat(first), _flat(second))
    return only + [row for row in rows if not row[0].startswith(lone)]


def nested(a: Mapping[str, object], b: Mapping[str, object]) -> list[Cause]:
    """Every key at which two flat mappings differ.

    >>> nested({"x": 1, "y.z": 2}, {"x": 1, "y.z": 3, "w": None})
    [('w', '(absent)', 'None'), ('y.z', '2', '3')]
    """
    keys = sorted({*a, *b})
    rows = [(key, str(a.get(key, ABSENT)), str(b.get(key, ABSENT))) for key in keys]
    return [row for row in rows if row[1] != row[2]]


def _flat(entries: Mapping, prefix: str = "") -> dict[str, object]:
    """Nested settings by dotted names; a list is one setting, an empty mapping too."""
    flat: dict[str, object] = {}
    for key, value in entries.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def judged_seeds(a: Path, b: Path) -> list[Cause]:
    """The judged seeds of the batteries that both have and whose seeds differ.

    Batteries with the same two sets share a row.
    """
    first, second = (_seeds(results) for results in (a, b))
    rows: dict[tuple[str, str], list[str]] = {}
    for battery in sorted(set(first) & set(second)):
        if first[battery] != second[battery]:
            rows.setdefault((first[battery], second[battery]), []).append(battery)
    return [(", ".join(names), *seeds) for seeds, names in rows.items()]


def _seeds(results: Path) -> dict[str, str]:
    runs = table_of(results, RUNS, ["battery", "split", "seed"])
    judged: pd.Series = runs[runs["split"] == "judged"].groupby("battery")["seed"].unique()
    return {battery: ranges(seeds) for battery, seeds in judged.items()}


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers as ranges.

    >>> ranges([3, 0, 1, 2, 9])
    '0-3, 9'
    """
    ordered = sorted(set(map(int, numbers)))
    starts = [n for i, n in enumerate(ordered) if not i or ordered[i - 1] != n - 1]
    ends = [a for a, b in pairwise(ordered) if b != a + 1] + ordered[-1:]
    return ", ".join(
        f"{start}-{end}" if end > start else str(start)
        for start, end in zip(starts, ends, strict=True)
    )
