"""Where a claim holds whose strata differ in sign: the condition of a CONDITIONAL verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from ..analysis.strata import ALL, levels, of_primary
from ..analysis.verdicts import CONDITIONAL, REFUTED, SUPPORTED
from .facts import escaped, number

NAMED = 2  # strata of a kind that are named; of more, their number is


def conditions(ledger: pd.DataFrame) -> dict[str, str]:
    """For every claim the strata in which it holds and those in which it does not, as Markdown.

    Empty where the verdict is not CONDITIONAL. Where the levels of one factor part the two kinds,
    and no stratum is undecided, these levels are named: ``, against sigmoid and not against tanh``.
    """
    overall = ledger[ledger["stratum"] == ALL].set_index("claim")["verdict"]
    return {
        claim: _condition(ledger[ledger["claim"] == claim]) if word == CONDITIONAL else ""
        for claim, word in overall.items()
    }


def _condition(rows: pd.DataFrame) -> str:
    primary = rows[of_primary(rows["stratum"])]
    by_verdict = {
        word: [levels(name) for name in primary.loc[primary["verdict"] == word, "stratum"]]
        for word in (SUPPORTED, REFUTED)
    }
    holding, failing = by_verdict[SUPPORTED], by_verdict[REFUTED]
    count = len(primary)
    for factor in holding[0] if holding and len(holding) + len(failing) == count else ():
        of = [{stratum[factor] for stratum in strata} for strata in (holding, failing)]
        if not of[0] & of[1]:
            return f", {_named(factor, of[0])} and not {_named(factor, of[1])}"
    return f", in {_strata(holding, count)} and not in {_strata(failing, count)}"


def _named(factor: str, found: Iterable[str]) -> str:
    with_factor = "against" if factor == "control" else f"with {factor}"
    return escaped(f"{with_factor} {' or '.join(sorted(found))}")


def _strata(strata: list[Mapping[str, str]], count: int) -> str:
    if len(strata) > NAMED or not strata:
        return f"{number(len(strata))} of {number(count)} strata"
    return escaped("; ".join(" ".join(stratum.values()) for stratum in strata))
