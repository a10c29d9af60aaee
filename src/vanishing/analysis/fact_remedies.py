"""Facts of the remedies: which networks train, which cells a remedy harms, how rates were tuned."""

from __future__ import annotations

import math
import re

import pandas as pd

from ..tables import RUNS
from .claims import Analysis, Contrast
from .effects import observed, seed_difference
from .estimates import fullest
from .fact import absent, fact
from .fact_rows import JUDGED, Where, levels, rows, taken, words
from .proportions import share_over_seeds
from .study_tables import Tables

ARMS = {
    "plain": ("none", "none"),
    "batch": ("batch", "none"),
    "layer": ("layer", "none"),
    "residual": ("none", "identity"),
}
# By remedy: its factor, its level, and the factor that must be none beside it.
HARMS = {"batch": ("norm", "batch", "residual"), "residual": ("residual", "identity", "norm")}
REMEDIES = "remedies_init"
HARM = 1.0  # decades of |V|
TUNED = re.compile(r"tuned\((?P<rates>[^;()]+); \d+ seeds\)")


def successes(runs: pd.DataFrame) -> dict[str, dict]:
    """``success.<arm>.deep``: the share of trained runs at the largest depth.

    Of the battery with most remedies.
    """
    training = fullest(_judged_trainings(runs))
    where = {
        "battery": levels(training["battery"]),
        **_trained(training),
        "depth": levels(training["depth"])[-1:],
    }
    return {
        f"success.{arm}.deep": _success(training, where | {"norm": [norm], "residual": [residual]})
        for arm, (norm, residual) in ARMS.items()
    }


def _trained(training: pd.DataFrame) -> Where:
    return {"split": JUDGED, "steps": levels(training["steps"])}


def _success(training: pd.DataFrame, where: Where) -> dict:
    deep = taken(training, where)
    each = [deep[name] for name in ("seed", "cell", "lr_policy")]
    trained = (deep["outcome"] == "trained").groupby(each).first()
    if trained.empty:
        return absent("1", f"the battery with most remedies, largest depth: {words(where)}")
    done, interval = share_over_seeds(trained.astype(float).unstack([1, 2]).dropna().to_numpy())
    query = f"runs: {words(where)}; share trained: mean over cells, then over seeds; {interval}"
    return fact(done.value, "1", 2, query, done.low, done.high, rows=rows(RUNS.name, where))


def harms(tables: Tables) -> dict[str, dict]:
    """``harm.<remedy>``: in how many cells it raises mean \\|V\\| by more than a decade.

    ``harm.<remedy>.cells``: the cells that there are with it and without it.
    """
    found = {}
    for remedy, (factor, level, other) in HARMS.items():
        where = {"battery": [REMEDIES], "split": JUDGED, factor: [level, "none"], other: ["none"]}
        rises = _rises(tables, factor, level, other)
        if rises.empty:
            none = absent("cells", f"pairs of {words(where)}")
            found |= {f"harm.{remedy}": none, f"harm.{remedy}.cells": none}
            continue
        query = (
            f"runs: {words(where)}; difference of |V|, {level} less none, paired by seed, mean by "
            "cell"
        )
        both = rows(RUNS.name, where)
        above = f"{query}; cells above {HARM:g} decade"
        found |= {
            f"harm.{remedy}": fact(int((rises > HARM).sum()), "cells", 0, above, rows=both),
            f"harm.{remedy}.cells": fact(len(rises), "cells", 0, f"{query}; cells", rows=both),
        }
    return found


def _rises(tables: Tables, factor: str, level: str, other: str) -> pd.Series:
    """By how many decades \\|V\\| rises with a remedy, cell by cell."""
    analysis = Analysis(
        batteries=(REMEDIES,),
        measure="imbalance",
        test="seed_difference",
        side="greater",
        smallest_effect=HARM,
        where={other: "none"},
        contrast=Contrast(factor=factor, treatment=level, control="none"),
    )
    pairs = seed_difference(observed(analysis, tables), analysis)
    return pairs.groupby("cell")["value"].mean()


def tuned_rates(policy: str) -> tuple[float, ...]:
    """The rates that a learning rate was chosen from; none where it was not tuned.

    >>> tuned_rates("tuned(0.01, 0.03; 2 seeds)"), tuned_rates("fixed(0.1)")
    ((0.01, 0.03), ())
    """
    tuned = TUNED.fullmatch(policy)
    return tuple(float(rate) for rate in tuned["rates"].split(",")) if tuned else ()


def tuning(runs: pd.DataFrame) -> dict[str, dict]:
    """``tuning.cells`` that were tuned; ``tuning.edge``: the share at an end of its grid."""
    training = _judged_trainings(runs).dropna(subset="lr")
    tuned = training[training["lr_policy"].map(lambda policy: bool(tuned_rates(policy)))]
    cells = tuned.drop_duplicates(["cell", "lr_policy"])
    if cells.empty:
        none = "a judged cell with a tuned learning rate"
        return {"tuning.cells": absent("cells", none), "tuning.edge": absent("1", none)}
    at_edge = [_at_edge(*c) for c in zip(cells["lr"], cells["lr_policy"], strict=True)]
    query = "runs: judged, lr_policy tuned"
    edge = f"{query}: share with lr at an end of its grid"
    chosen = rows(RUNS.name, _trained(tuned) | {"lr_policy": levels(tuned["lr_policy"])})
    return {
        "tuning.cells": fact(len(cells), "cells", 0, f"{query}: number of cell", rows=chosen),
        "tuning.edge": fact(sum(at_edge) / len(cells), "1", 2, edge, rows=chosen),
    }


def _at_edge(lr: float, policy: str) -> bool:
    rates = tuned_rates(policy)
    # The policy prints six digits of a rate.
    return any(math.isclose(lr, end, rel_tol=1e-5) for end in (min(rates), max(rates)))


def _judged_trainings(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[(runs["split"] != "tuning") & (runs["steps"] > 0)].drop_duplicates("run_id")
