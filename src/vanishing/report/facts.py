"""Facts bound into the text: every ``{{name}}`` becomes the number that the run gave.

A fact is an entry of ``claims/facts.json``: value, unit, precision, interval, the query that gave
it and the rows that it rests on. ``{{name}}`` prints the value, ``{{name|unit|interval}}`` adds to
it (see ``FORMATS``), ``{{verdict:C01}}`` prints the verdict of a claim and ``{{table:config}}`` a
generated table. In a paper that asks for ``{{table:numbers}}`` every number leads to its entry
there, and with ``{{table:claims}}`` a verdict to its claim's section. What stands between
``:::: {.needs facts="gan. w01."}`` and ``::::`` is left out of the paper of a study that has no
fact whose name begins so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..errors import UserError, unknown

MINUS, NARROW_SPACE = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"
MISSING = "n/a"
SLOT = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
# Code is left alone; in formulas, quoted attributes (alt texts), headings and titles a fact is bare
# text, and in the text of a link it is no link of its own.
TOKENS = re.compile(
    r"(?P<code>^```.*?^```|<!--.*?-->|`[^`\n]+`)"
    r'|(?P<bare>\$\$.*?\$\$|\$[^$\n]+\$|\b[\w-]+="(?:[^"\\]|\\.)*"'
    r"|^#{1,6}\s[^\n]*|^(?:title|subtitle|running):[^\n]*)"
    r"|(?P<link>(?<!!)\[(?:[^\[\]]|\[[^\[\]]*\])*\]\([^()\n]*\))"
    r"|(?P<slot>\{\{[^{}]+\}\})",
    re.M | re.S,
)
# The facts that a passage needs, by how their names begin; four colons, so that it may hold divs.
NEEDS = re.compile(
    r'^:::: \{\.needs facts="(?P<needed>[^"]*)"\}\n(?P<passage>.*?)^::::$', re.M | re.S
)
NO_SUCH = "This study has no such networks."


def load(path: Path) -> dict[str, dict]:
    """The facts of a study, by name."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no facts at {path}: the claims have not been judged yet") from None


def number(value: float | str | None, precision: int = 0, *, signed: bool = False) -> str:
    """``value`` as it is printed: ``precision`` decimals, a true minus, thousands set apart.

    >>> number(-0.51234, 3), number(12345), number(-0.0001, 2), number(None)
    ('−0.512', '12\u202f345', '0.00', 'n/a')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return ("" if value > 0 else MINUS) + "∞"
    digits = f"{abs(value):,.{precision}f}"
    if abs(value) < 10000:
        digits = digits.replace(",", "")
    sign = "" if float(digits.replace(",", "")) == 0 else MINUS if value < 0 else "+" * signed
    return sign + digits.replace(",", NARROW_SPACE)


def _interval(fact: Mapping) -> str:
    if fact.get("low") is None or fact.get("high") is None:
        return ""
    low, high = (number(fact[end], fact["precision"]) for end in ("low", "high"))
    return f" [{low},\N{NO-BREAK SPACE}{high}]"


def _p(fact: Mapping) -> str:
    """A p value with its relation, ``= 0.012`` or ``< 0.001``."""
    if fact["value"] is None:
        return f"= {MISSING}"
    least = 10.0 ** -fact["precision"]
    small = fact["value"] < least
    return f"{'<' if small else '='} {number(least if small else fact['value'], fact['precision'])}"


def _hundredfold(fact: Mapping) -> dict:
    """A share with its interval in per cent."""
    parts = {end: fact.get(end) for end in ("value", "low", "high")}
    scaled = {end: None if part is None else 100 * part for end, part in parts.items()}
    return {**fact, **scaled, "precision": max(0, fact["precision"] - 2)}


def _percent(fact: Mapping) -> str:
    if fact["value"] is None:
        return MISSING
    return number(fact["value"], fact["precision"]) + f"{NARROW_SPACE}%"


MAIN: dict[str, Callable[[Mapping], str]] = {
    "value": lambda fact: number(fact["value"], fact["precision"]),
    "signed": lambda fact: number(fact["value"], fact["precision"], signed=True),
    "percent": _percent,
    "p": _p,
}
ADDED: dict[str, Callable[[Mapping], str]] = {
    "unit": lambda fact: "" if fact["value"] is None else "\N{NO-BREAK SPACE}" + fact["unit"],
    "interval": _interval,
}
FORMATS = (*MAIN, *ADDED)


def formatted(fact: Mapping, formats: list[str]) -> str:
    """``fact`` as text: one of ``value``, ``signed``, ``percent``, ``p``, then unit and interval.

    >>> fact = {"value": 0.5, "precision": 2, "unit": "1", "low": 0.4, "high": 0.6}
    >>> formatted(fact, ["interval"]), formatted(fact, ["percent", "interval"])
    ('0.50 [0.40,\xa00.60]', '50\u202f% [40,\xa060]')
    """
    for name in formats:
        if name not in FORMATS:
            raise UserError(unknown("format of a fact", name, FORMATS))
    main = [name for name in formats if name in MAIN] or ["value"]
    fact = _hundredfold(fact) if main[0] == "percent" else fact
    text = MAIN[main[0]](fact)
    return text + "".join(ADDED[name](fact) for name in formats if name in ADDED)


def bind(
    text: str,
    facts: Mapping[str, Mapping],
    verdicts: Mapping[str, str],
    tables: Mapping[str, str],
    source: Path,
) -> str:
    """``text`` (Markdown) with every ``{{...}}`` replaced; what is unknown is refused by line."""
    text = needed(text, facts, source)
    numbers, claims = asks(text, "numbers"), asks(text, "claims")
    shown: set[str] = set()  # the facts that have been a link

    def replace(match: re.Match) -> str:
        kind = match.lastgroup
        try:
            if kind == "code":
                return _code(match["code"])
            return SLOT.sub(lambda slot: expand(slot[1], kind), match[0])
        except UserError as error:
            line = text.count("\n", 0, match.start()) + 1
            raise UserError(f"{source}:{line}: {error}") from None

    def expand(slot: str, kind: str) -> str:
        name, *formats = (part.strip() for part in slot.split("|"))
        what, _, key = name.partition(":")
        linked = kind == "slot"
        if what == "table" and key:
            return _known("table", key, tables)
        if what == "verdict" and key:
            word = _known("claim", key, verdicts)
            return word if kind == "bare" else badge(word, key if linked and claims else "")
        fact = _known("fact", name, facts)
        said = formatted(fact, formats)
        if kind == "bare":
            return said
        first = linked and name not in shown
        shown.update([name] if linked else [])
        return _span(name, fact, said, link=linked and numbers, first=first)

    return TOKENS.sub(replace, text)


def _code(text: str) -> str:
    """Code as it is; a fact within it would be printed by its name."""
    if text.startswith("`") and not text.startswith("```") and (slot := SLOT.search(text)):
        raise UserError(f"{slot[0]} stands in code, which is left as it is: take it out of there")
    return text


def asks(text: str, table: str) -> bool:
    """Whether the paper ``text`` has a place for the generated table of this name."""
    slots = (match["slot"] for match in TOKENS.finditer(text) if match["slot"])
    return any(SLOT.fullmatch(slot)[1] == f"table:{table}" for slot in slots)


def printed(text: str, facts: Mapping[str, Mapping]) -> Iterator[tuple[str, bool]]:
    """The facts that ``text`` prints, in its order, and whether as a link to their entry."""
    for match in TOKENS.finditer(text):
        for slot in () if match["code"] else SLOT.finditer(match[0]):
            name = slot[1].partition("|")[0].strip()
            if name in facts:
                yield name, match.lastgroup == "slot"


def needed(text: str, facts: Mapping[str, Mapping], source: Path) -> str:
    """``text`` less the passages whose facts are all missing; every line keeps its number."""

    def kept(match: re.Match) -> str:
        starts = match["needed"].split()
        for start in starts:
            if not any(name.startswith(start) for name in facts):
                line = text.count("\n", 0, match.start()) + 1
                raise UserError(f"{source}:{line}: {unknown('fact', start, facts)}")
        mine = [fact for name, fact in facts.items() if name.startswith(tuple(starts))]
        if any(fact["value"] is not None for fact in mine):
            return f"\n{match['passage']}"
        return f"\n{NO_SUCH}" + "\n" * match["passage"].count("\n")

    return NEEDS.sub(kept, text)


def _known(kind: str, name: str, known: Mapping[str, object]) -> object:
    if name not in known:
        raise UserError(unknown(kind, name, known))
    return known[name]


def _span(name: str, fact: Mapping, shown: str, *, link: bool, first: bool) -> str:
    """A number with its query; as a link it leads to its entry, which leads back to the first."""
    title = f"{name}: {fact.get('query', '')}".replace("\\", "\\\\").replace('"', '\\"')
    known = f'.fact title="{" ".join(title.split())}"'
    if not link:
        return f"[{escaped(shown)}]{{{known}}}"
    place = f"#{used(name)} " if first else ""
    return f"[{escaped(shown)}](#{anchor(name)}){{{place}{known}}}"


def anchor(name: str) -> str:
    """The id of a fact's entry."""
    return f"fact-{name}"


def used(name: str) -> str:
    """The id of the first place in the text that prints a fact."""
    return f"use-{name}"


def badge(verdict: str, claim: str = "") -> str:
    """A verdict as a span that the theme draws as a badge; it leads to its claim's section."""
    drawn = f"[{verdict}]{{.verdict .{verdict.lower().replace(' ', '-')}}}"
    return f"[{drawn}](#claim-{claim})" if claim else drawn


def escaped(text: str) -> str:
    """``text`` as literal Markdown, safe in a table's cell too."""
    return re.sub(r"([\\`*_{}\[\]<>$|~^@#\"'])", r"\\\1", str(text))
