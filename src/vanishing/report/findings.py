"""Sentences bound to verdicts: one that its verdicts contradict stops the build of the paper.

``[Sigmoid networks lose their gradient.]{.finding claims="C04 SUPPORTED"}`` stays where the ledger
gives every verdict that it names. It is left out where the study cannot tell: its config has
``verdicts: false``, runs are missing, or fewer than :data:`.verdicts.LEAST_SEEDS` seeds are there.
Else it is refused, by line.
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
    overall = ledger[ledger["stratum"] == "all"].set_index("claim")
    rows = overall[["verdict", "n"]].to_dict("index")
    bound = findings(text, source)
    problems = [problem for one in bound for problem in _problems(one, rows, judges, source)]
    if problems:
        raise UserError("\n".join(problems))
    for one in reversed(bound):
        kept = all(_tells(rows[claim], judges) for claim in one.claims)
        text = text[: one.start] + (_kept if kept else _left_out)(one) + text[one.end :]
    return text


def _problems(
    one: Finding, rows: Mapping[str, Mapping], judges: bool, source: Path
) -> Iterator[str]:
    where = f"{source}:{one.line}: "
    for claim, word in one.claims.items():
        if claim not in rows:
            yield where + unknown("claim of the ledger", claim, rows)
        elif _tells(rows[claim], judges) and rows[claim]["verdict"] != word:
            row = rows[claim]
            yield (
                f"{where}the sentence rests on {claim} being {word}, and the ledger says "
                f"{row['verdict']} (n = {row['n']}): rewrite the sentence, or take it out. "
                f"`vanishing claim {claim}` shows why."
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
