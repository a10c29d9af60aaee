"""Facts of the negative controls: what the engine finds where there is nothing to find."""

from __future__ import annotations

import pandas as pd

from ..parts.tasks import digits
from ..tables import FALSE_POSITIVES
from .controls import LEAST_FOR_INTERVAL, LEAST_FOR_P, Rate, rates
from .effects import ALL
from .fact import absent, fact, mean_of, mean_over_seeds
from .fact_rows import levels, rows, selected
from .study_tables import Tables
from .verdicts import LEAST_SEEDS

LINEAR = {"activation": "linear", "init": "orthogonal", "norm": "none", "residual": "none"}
# False alarm of :func:`.controls.rates`, what it is, and from how many pairs on it is possible.
ALARMS = (
    ("p", "one-sided p below .05", LEAST_FOR_P),
    ("interval", "a 95 % interval without 0", LEAST_FOR_INTERVAL),
    ("supported", "SUPPORTED, by p before Holm's correction", LEAST_SEEDS),
)


def controls(
    tables: Tables, false_positives: pd.DataFrame, ledger: pd.DataFrame
) -> dict[str, dict]:
    """``control.aa.*``: shares of draws with a false alarm; ``control.linear.v``; shuffled labels.

    Orthogonal linear networks keep every gradient: V is 0. Labels dealt out anew can be learnt by
    heart (``control.shuffled.train``), and tell nothing of others (``control.shuffled.accuracy``).
    """
    linear = selected(tables, "signal", **LINEAR)
    return {
        **_against_itself(false_positives, ledger),
        "control.linear.v": mean_of(linear, "vanishing_index", 3),
        **_shuffled(tables),
    }


def _against_itself(false_positives: pd.DataFrame, ledger: pd.DataFrame) -> dict[str, dict]:
    of = int((ledger["stratum"] == ALL).sum())
    claims = false_positives["claim"].nunique()
    query = f"false_positives: {claims} of {of} claims"
    every = rows(FALSE_POSITIVES.name, {})
    found, n = rates(false_positives), false_positives["n"]
    return {
        "control.aa.draws": fact(len(false_positives), "draws", 0, query, rows=every),
        **{
            f"control.aa.{name}": _alarm(found[name], what, levels(n[n >= least]))
            for name, what, least in ALARMS
        },
    }


def _alarm(rate: Rate | None, what: str, pairs: list[int]) -> dict:
    """``pairs``: of how many pairs the draws are that could err."""
    if rate is None:
        return absent("1", "a contrast of which a half of the control's seeds would be enough")
    share = rate.share
    query = (
        f"false_positives: share of {share.n} draws of {rate.claims} claims with {what}; Wilson's "
        f"interval over draws; the largest of a claim is {rate.largest:.2f} ({rate.worst})"
    )
    could = rows(FALSE_POSITIVES.name, {"n": pairs})
    return fact(share.value, "1", 3, query, share.low, share.high, rows=could)


def _shuffled(tables: Tables) -> dict[str, dict]:
    part = selected(tables, "shuffled")
    trained = part.runs["final_train_accuracy"].astype(float)
    classes = digits(shuffled=True).outputs
    chance = fact(1 / classes, "1", 2, f"one over the {classes} classes of digits", rows=None)
    return {
        "control.shuffled.accuracy": mean_of(part, "test_accuracy", 3),
        "control.shuffled.train": mean_over_seeds(part, trained, "final_train_accuracy", "1", 3),
        "control.shuffled.chance": chance
        if len(part.runs)
        else absent("1", f"runs of {part.query}"),
    }
