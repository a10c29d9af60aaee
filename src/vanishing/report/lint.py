"""Refuses typed-in results: a number in the paper's text comes from a fact, or says why not.

Free are: citations, formulas, code, addresses, heading and list markers, names that hold a digit
(C01, ReLU6, 8×8, float64), years, and counts written as words. A constant of the design, which no
run can change, is marked as such: ``[20]{.given}``. Everything else with a digit is a finding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError

# What is no prose, blanked in this order; line ends stay, so that lines can be told.
NO_PROSE = tuple(
    re.compile(pattern, re.M | re.S)
    for pattern in (
        r"<!--.*?-->",
        r"^```.*?^```",
        r"`[^`\n]+`",
        r"\$\$.*?\$\$",
        r"\$[^$\n]+\$",
        r"\{\{[^{}]+\}\}",
        r"\]\([^()\n]*\)",  # where a link or an image leads
        r"<https?://[^>\s]+>|https?://\S+",
        r"(?<![\w.])-?@[\w][\w:.#$%&+?<>~/-]*\w",  # citations and cross-references
        r"\s+p{1,2}\.\s*\d+(?:[-–]\d+)?(?=[\];,])",  # a page in a citation
        r"^\s*(?:\d+[.)]|\(\d+\))\s",  # list markers
        r"^#+\s+(?:\d+\.)*",  # heading markers
        r"^[a-z-]+:(?=\s)",  # keys of the metadata
    )
)
GIVEN = re.compile(r"\[([^\[\]]*)\]\{\.given\}")
GIVEN_CONTENT = re.compile(r"(?=\D*\d)\S+(?:\s\S+){0,2}")  # a number and two words at most
ATTRIBUTES = re.compile(r"\{[^{}]*\}")
ALT = re.compile(r'\balt="((?:[^"\\]|\\.)*)"')
WORD = re.compile(r"[^\s\[\]()*;:!?\"“”‘’…—/]+")
FREE = re.compile(
    r"[A-Za-zα-ωΑ-Ω][\w+-]*"  # a name that begins with a letter
    r"|\d+×\d+(?:×\d+)?"  # a shape
    r"|(?:19|20)\d\d(?:[-–](?:19|20)?\d\d)?"  # a year
    r"|\d+D"  # dimensions
)


@dataclass(frozen=True)
class Finding:
    """A typed-in number: where, and the word that holds it."""

    line: int
    word: str
    why: str = "is a typed-in number"


def findings(text: str) -> list[Finding]:
    """The typed-in numbers of a Markdown ``text``.

    >>> findings("ReLU kept 0.93 in [20]{.given} layers of C01, He et al. (2015).")
    [Finding(line=1, word='0.93', why='is a typed-in number')]
    """
    found = []
    for pattern in NO_PROSE:
        text = pattern.sub(_blank, text)
    for match in GIVEN.finditer(text):
        if not GIVEN_CONTENT.fullmatch(match[1].strip()):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Finding(line, match[1], "is marked .given, which is for one number"))
    text = ATTRIBUTES.sub(_only_alt, GIVEN.sub(_blank, text))
    for line, content in enumerate(text.splitlines(), start=1):
        words = (match[0].strip(".,'") for match in WORD.finditer(content))
        found += [
            Finding(line, word)
            for word in words
            if re.search(r"\d", word) and not FREE.fullmatch(word)
        ]
    return sorted(found, key=lambda finding: finding.line)


def check(text: str, source: Path) -> None:
    """Refuse ``text`` if it holds typed-in numbers, all of them at once, with their lines."""
    found = findings(text)
    if found:
        places = "\n".join(f"{source}:{f.line}: {f.word!r} {f.why}" for f in found)
        raise UserError(
            f"{places}\nTake a result from a fact, {{{{name}}}}; mark a constant of the design as "
            "[20]{.given}; write a small count as a word."
        )


def _blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _only_alt(match: re.Match) -> str:
    """An attribute block with nothing left but the alt text; an equation's is a formula, spoken."""
    text, kept = match[0], _blank(match)
    if "#eq:" in text:
        return kept
    for alt in ALT.finditer(text):
        kept = kept[: alt.start(1)] + alt[1] + kept[alt.end(1) :]
    return kept
