"""Sentences bound to verdicts: one that its verdicts contradict stops the build of the paper.

``[Sigmoid networks lose their gradient.]{.finding claims="C04 SUPPORTED"}`` stays where the ledger
gives every verdict that it names. It is left out where the study cannot tell: its config has
``verdicts: false``, runs are missing, or fewer than :data:`.verdicts.LEAST_SEEDS` seeds are there.
Else it is refused, by line.

A sentence can rest on parts of a claim too: ``C06/at_equal_weights SUPPORTED`` is a secondary
analysis of it, ``R01/control=tanh REFUTED`` all strata at these levels (``,`` parts claims, ``&``
levels).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, unknown
from .checks import CODE

if TYPE_CHECKING:
    import pandas as pd

MARK = re.compile(r"\.finding\b")
END = re.compile(r'\]\{\.finding claims="(?P<claims>[^"]*)"\}')
PAIR = re.compile(r"(?P<claim>\S+)\s+(?P<word>\S.*)")
FORM = '[text]{.finding claims="C04 SUPPORTED, R07 REFUTED"}'
INCOMPLETE, NOT_TESTABLE = "INCOMPLETE", "NOT TESTABLE"
WORDS = ("SUPPORTED", "REFUTED", "CONDITIONAL", "INCONCLUSIVE", NOT_TESTABLE)


@dataclass(frozen=True)
class Finding:
    """A sentence of the paper, and the verdicts that it rests on, by claim."""

    start: int  # of its opening bracket
    end: int  # behind its attributes
    line: int
    text: str
    claims: Mapping[str, str]


def findings(text: str, source: Path) -> list[Finding]:
    """The bound sentences of a Markdown ``text``; one that is written wrongly is refused.

    >>> text = 'So. [Deep is hard.]{.finding claims="C01 SUPPORTED"}'
    >>> [(found.text, found.claims) for found in findings(text, Path("paper.md"))]
    [('Deep is hard.', {'C01': 'SUPPORTED'})]
    """
    prose = CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    ends = {match.start() + len("]{"): match for match in END.finditer(prose)}
    found = []
    for mark in MARK.finditer(prose):
        line = text.count("\n", 0, mark.start()) + 1
        end = ends.get(mark.start())
        start = _opening(prose, end.start()) if end else None
        if start is None:
            raise UserError(f"{source}:{line}: a finding is written as {FORM}")
        claims = _claims(end["claims"], f"{source}:{line}")
        found.append(Finding(start, end.end(), line, text[start + 1 : end.start()], claims))
    return found


def _opening(text: str, closing: int) -> int | None:
    """Where the bracket opens that closes at ``closing``; others may stand between the two."""
    depth = 0
    for at in range(closing, -1, -1):
        escaped = at > 0 and text[at - 1] == "\\"
        depth += 0 if escaped else {"]": 1, "[": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None


def _claims(named: str, where: str) -> dict[str, str]:
    pairs = [PAIR.fullmatch(part.strip()) for part in named.split(",")]
    if not all(pairs):
        raise UserError(f"{where}: the claims {named!r} must be pairs of claim and verdict: {FORM}")
    for pair in pairs:
        if pair["word"] not in WORDS:
            raise UserError(f"{where}: {unknown('verdict', pair['word'], WORDS)}")
    return {pair["claim"]: pair["word"] for pair in pairs}


def bind(text: str, ledger: pd.DataFrame, judges: bool, source: Path) -> str:
    """``text`` with the sentences that hold; refuses, all at once, those that do not.

    ``judges``: the study is large enough to decide, as its config says. Every line keeps its
    number.
    """
    bound = findings(text, source)
    named = {claim for one in bound for claim in one.claims}
    rows = {claim: row for claim in named if (row := _row(ledger, claim))}
    known = sorted(set(ledger["claim"]) | {name for name in named if _may_be(ledger, name)})
    problems = [problem for one in bound for problem in _problems(one, rows, known, judges, source)]
    if problems:
        raise UserError("\n".join(problems))
    for one in reversed(bound):
        kept = all(claim in rows and _tells(rows[claim], judges) for claim in one.claims)
        text = text[: one.start] + (_kept if kept else _left_out)(one) + text[one.end :]
    return text


def _row(ledger: pd.DataFrame, name: str) -> dict | None:
    """Verdict and seeds of a claim, or of a part of it; None where the ledger has none of it.

    The verdict of several strata is that of all, or all that there are, in words.
    """
    from ..analysis.strata import ALL, SECONDARY, levels, of_primary  # brings pandas

    claim, _, part = name.partition("/")
    rows = ledger[ledger["claim"] == claim]
    if "=" in part:
        wanted = dict(level.split("=", 1) for level in part.split("&"))
        primary = rows[of_primary(rows["stratum"])]
        rows = primary[[wanted.items() <= levels(one).items() for one in primary["stratum"]]]
    else:
        rows = rows[rows["stratum"] == (SECONDARY + part if part else ALL)]
    if rows.empty:
        return None
    return {"verdict": " and ".join(sorted(set(rows["verdict"]))), "n": int(rows["n"].min())}


def _may_be(ledger: pd.DataFrame, name: str) -> bool:
    """Whether another study could have this part of a claim, which the ledger lacks."""
    from ..analysis.strata import SECONDARY, of_primary  # brings pandas

    claim, _, part = name.partition("/")
    names = ledger.loc[ledger["claim"] == claim, "stratum"]
    if "=" in part:
        factors = {level.partition("=")[0] for level in part.split("&")}
        strata = names[of_primary(names)]
        return bool(len(names)) and all(f"{factor}=" in one for one in strata for factor in factors)
    return bool(part and len(names)) and not names.str.startswith(SECONDARY).any()


def _problems(
    one: Finding, rows: Mapping[str, Mapping], known: list[str], judges: bool, source: Path
) -> Iterator[str]:
    where = f"{source}:{one.line}: "
    for claim, word in one.claims.items():
        if claim not in rows:
            if claim not in known:
                yield where + unknown("claim of the ledger", claim, known)
        elif _tells(rows[claim], judges) and rows[claim]["verdict"] != word:
            row = rows[claim]
            yield (
                f"{where}the sentence rests on {claim} being {word}, and the ledger says "
                f"{row['verdict']} (n = {row['n']}): rewrite the sentence, or take it out. "
                f"`vanishing claim {claim.partition('/')[0]}` shows why."
            )


def _tells(row: Mapping, judges: bool) -> bool:
    """Can the study tell? That a claim names no test is known without one."""
    from ..analysis.verdicts import LEAST_SEEDS  # brings scipy

    if row["verdict"] == NOT_TESTABLE:
        return True
    return judges and row["verdict"] != INCOMPLETE and row["n"] >= LEAST_SEEDS


def _kept(one: Finding) -> str:
    claims = ", ".join(f"{claim} {word}" for claim, word in one.claims.items())
    return f'[{one.text}]{{.finding title="rests on {claims}"}}'


def _left_out(one: Finding) -> str:
    return "\n" * one.text.count("\n")
