"""What moved between two studies' results: verdicts, facts, cells, and the runs of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from ..tables import LEDGER, RUN_LOG, RUNS, SUMMARY
from . import causes
from .differences import NOT_OF_THE_NUMBERS, differences
from .finished import columns_of, json_of, table_of
from .verdicts import DECIDED

_ESTIMATE = ["value", "low", "high"]


@dataclass(frozen=True)
class Comparison:
    """What moved from study ``a`` to study ``b``, and what may be why.

    ``verdicts``, ``facts`` and ``cells`` have a row a claim, fact, and outcome of a cell; columns
    of the two end in ``_a`` and ``_b``; ``in_both``, ``only_in`` (A or B) and ``moved`` say so.
    ``shared`` has a row a run that both trained and column of it, as :func:`differences` gives it.
    """

    a: Path
    b: Path
    provenance: list[causes.Cause]
    config: list[causes.Cause]
    seeds: list[causes.Cause]
    verdicts: pd.DataFrame
    facts: pd.DataFrame
    cells: pd.DataFrame
    shared: pd.DataFrame

    @property
    def moved(self) -> bool:
        """Whether anything did."""
        tables = (self.verdicts, self.facts, self.cells)
        changed = any((frame["moved"] | ~frame["in_both"]).any() for frame in tables)
        return bool(changed or not self.shared["equal"].all())


@dataclass(frozen=True)
class Agreement:
    """How many of some claims have the same verdict in both studies."""

    claims: int
    equal: int

    @property
    def share(self) -> float:
        """The share that agrees; not a number where there are no such claims."""
        return self.equal / self.claims if self.claims else float("nan")


def compare(a: Path, b: Path) -> Comparison:
    """What moved between the results of two studies, read from their folders."""
    return Comparison(
        a,
        b,
        causes.provenances(a, b),
        causes.configs(a, b),
        causes.judged_seeds(a, b),
        verdicts(*(_verdicts(results) for results in (a, b))),
        facts(*(json_of(results, "claims/facts.json") for results in (a, b))),
        cells(*(_cells(results, _cell_keys(a, b)) for results in (a, b))),
        _shared(a, b),
    )


def _verdicts(results: Path) -> pd.DataFrame:
    names = ["claim", "stratum", "verdict", *_ESTIMATE, "n"]
    ledger = table_of(results, LEDGER, names)
    return ledger[ledger["stratum"] == "all"].drop(columns="stratum")


def verdicts(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """A row a claim: its verdict and effect in both; moved where the verdicts differ."""
    both = _joined(a, b, ["claim"])
    return both.assign(moved=both["in_both"] & (both["verdict_a"] != both["verdict_b"]))


def agreements(verdicts: pd.DataFrame) -> dict[str, Agreement]:
    """Agreement among the claims of both: all, those decided in one at least, and in both.

    Decided are SUPPORTED, REFUTED and CONDITIONAL. A claim that only one of two repetitions decides
    counts as a disagreement among those decided in one at least.
    """
    both = verdicts[verdicts["in_both"]]
    first, second = both["verdict_a"].isin(DECIDED), both["verdict_b"].isin(DECIDED)
    groups = {
        "all claims": both,
        "decided in at least one": both[first | second],
        "decided in both": both[first & second],
    }
    return {
        name: Agreement(len(rows), int((~rows["moved"]).sum())) for name, rows in groups.items()
    }


def facts(a: Mapping[str, dict], b: Mapping[str, dict]) -> pd.DataFrame:
    """A row a fact, the largest relative change first.

    Moved is one that is printed differently, at the coarser precision of the two; ``beyond`` says
    that its intervals do not overlap (where it has none, that it moved).
    """
    both = _joined(_facts(a), _facts(b), ["fact"])
    finer = both[["precision_a", "precision_b"]].min(axis=1)
    moved = [_printed(x, p) != _printed(y, p) for x, y, p in
             zip(both["value_a"], both["value_b"], finer, strict=True)]  # fmt: skip
    both["moved"] = both["in_both"] & np.array(moved, dtype=bool)
    both["beyond"] = both["moved"] & (apart(both) | ~_have_intervals(both))
    x, y = (pd.to_numeric(both[f"value_{side}"], errors="coerce") for side in "ab")
    both["relative"] = ((y - x).abs() / np.maximum(x.abs(), y.abs())).fillna(0.0)
    order = ["beyond", "moved", "relative", "fact"]
    return both.sort_values(order, ascending=[False, False, False, True], ignore_index=True)


def _facts(known: Mapping[str, dict]) -> pd.DataFrame:
    names = ["fact", *_ESTIMATE, "precision", "unit"]
    rows = [{"fact": name, **fact} for name, fact in known.items()]
    frame = pd.DataFrame(rows).reindex(columns=names)
    return frame.astype({"low": "float64", "high": "float64", "precision": "float64"})


def _printed(value: object, precision: float) -> object:
    """A fact's value as it is printed; what is no number as it is."""
    if value is None or value != value:
        return None
    if isinstance(value, str) or precision != precision:
        return value
    return f"{value:.{int(precision)}f}"


def _cell_keys(a: Path, b: Path) -> list[str]:
    """What tells rows of the summary apart, in both studies' versions of it."""
    there = [set(columns_of(results, SUMMARY)) for results in (a, b)]
    keys = ("battery", "cell", "lr_policy", "outcome")
    return [name for name in keys if all(name in columns for columns in there)]


def _cells(results: Path, keys: list[str]) -> pd.DataFrame:
    return table_of(results, SUMMARY, [*keys, "n", *_ESTIMATE])


def cells(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """A row an outcome of a cell; moved where the intervals of the two do not overlap."""
    keys = [name for name in a.columns if name not in ("n", *_ESTIMATE)]
    both = _joined(a, b, keys)
    return both.assign(comparable=_have_intervals(both), moved=apart(both))


def chance_of_apart(confidence: float = 0.95) -> float:
    r"""How often two intervals of one truth miss each other, by chance alone.

    :math:`P(|Z| > 2 z / \sqrt 2)` with z the interval's half width in standard errors: for
    independent normal estimates of equal error, .0056 at 95 %.
    """
    half = stats.norm.ppf(0.5 + confidence / 2)
    return float(2 * stats.norm.sf(2 * half / np.sqrt(2)))


def apart(both: pd.DataFrame) -> pd.Series:
    """Whether the intervals of a row's two estimates do not overlap; not, where one has none."""
    first, second = (both["low_b"] > both["high_a"]), (both["low_a"] > both["high_b"])
    return first | second


def _have_intervals(both: pd.DataFrame) -> pd.Series:
    return both[["low_a", "high_a", "low_b", "high_b"]].notna().all(axis=1)


def _joined(a: pd.DataFrame, b: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows of both, side by side; ``in_both`` says whether they have it, else ``only_in``."""
    both = a.merge(b, on=keys, how="outer", suffixes=("_a", "_b"), indicator="in_both")
    only = both["in_both"].astype("str").map({"both": "", "left_only": "A", "right_only": "B"})
    return both.assign(in_both=only == "", only_in=only)


def _shared(a: Path, b: Path) -> pd.DataFrame:
    """Where the runs that both studies trained differ, in the columns that both tables have."""
    there = [set(columns_of(results, RUNS)) for results in (a, b)]
    both = [n for n in RUN_LOG.columns if all(n in c for c in there)]
    names = [n for n in both if n not in NOT_OF_THE_NUMBERS]
    first, second = (table_of(results, RUNS, names).drop_duplicates("run_id") for results in (a, b))
    ids = set(first["run_id"]) & set(second["run_id"])
    return differences(RUN_LOG, *(runs[runs["run_id"].isin(ids)] for runs in (first, second)))
