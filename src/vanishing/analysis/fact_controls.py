"""Facts of the negative controls: what the engine finds where there is nothing to find."""

from __future__ import annotations

import pandas as pd

from ..parts.tasks import digits
from .controls import Rate, rates
from .effects import ALL
from .fact import absent, fact, mean_of, mean_over_seeds, selected
from .study_tables import Tables

LINEAR = {"activation": "linear", "init": "orthogonal", "norm": "none", "residual": "none"}
# Fact, false alarm of :func:`.controls.rates`, what it is.
ALARMS = (
    ("control.aa.p", "p", "one-sided p below .05"),
    ("control.aa.interval", "interval", "a 95 % interval without 0"),
    ("control.aa.supported", "supported", "SUPPORTED, by p before Holm's correction"),
)


def controls(
    tables: Tables, false_positives: pd.DataFrame, ledger: pd.DataFrame
) -> dict[str, dict]:
    """``control.aa.*``: shares of draws with a false alarm; ``control.linear.v``; shuffled labels.

    Orthogonal linear networks keep every gradient: V is 0. Labels dealt out anew can be learnt by
    heart (``control.shuffled.train``), and tell nothing of others (``control.shuffled.accuracy``).
    """
    linear, query = selected(tables, "signal", **LINEAR)
    return {
        **_against_itself(false_positives, ledger),
        "control.linear.v": mean_of(linear, "vanishing_index", 3, query),
        **_shuffled(tables),
    }


def _against_itself(false_positives: pd.DataFrame, ledger: pd.DataFrame) -> dict[str, dict]:
    of = int((ledger["stratum"] == ALL).sum())
    claims = false_positives["claim"].nunique()
    found = rates(false_positives)
    draws = fact(len(false_positives), "draws", 0, f"false_positives: {claims} of {of} claims")
    return {
        "control.aa.draws": draws,
        **{name: _alarm(found[alarm], what) for name, alarm, what in ALARMS},
    }


def _alarm(rate: Rate | None, what: str) -> dict:
    if rate is None:
        return absent("1", "a contrast of which a half of the control's seeds would be enough")
    share = rate.share
    query = (
        f"false_positives: share of {share.n} draws of {rate.claims} claims with {what}; Wilson's "
        f"interval over draws; the largest of a claim is {rate.largest:.2f} ({rate.worst})"
    )
    return fact(share.value, "1", 3, query, share.low, share.high)


def _shuffled(tables: Tables) -> dict[str, dict]:
    part, query = selected(tables, "shuffled")
    trained = part.runs["final_train_accuracy"].astype(float)
    classes = digits(shuffled=True).outputs
    chance = fact(1 / classes, "1", 2, f"one over the {classes} classes of digits")
    return {
        "control.shuffled.accuracy": mean_of(part, "test_accuracy", 3, query),
        "control.shuffled.train": mean_over_seeds(
            part.runs, trained, "final_train_accuracy", "1", 3, query
        ),
        "control.shuffled.chance": chance if len(part.runs) else absent("1", f"runs of {query}"),
    }
