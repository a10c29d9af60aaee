"""What pandoc passes over or reports without a line: references, figures, formulas, citations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import UserError, unknown

KINDS = {"fig": "figure", "tbl": "table", "eq": "equation", "sec": "section"}
CODE = re.compile(r"<!--.*?-->|^```.*?^```|`[^`\n]+`", re.M | re.S)
MATH = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.S)
ID = re.compile(r"\{#((?:fig|tbl|eq|sec):[\w.-]+)")
REFERENCE = re.compile(r"(?<![\w.\\])@((?:fig|tbl|eq|sec):[\w-]+(?:\.[\w-]+)*)")
CITATION = re.compile(r"(?<![\w.\\])@(?!(?:fig|tbl|eq|sec):)([A-Za-z]\w*)")
IMAGE = re.compile(r"\]\(([^()\s]+\.svg)\)(?P<attributes>\{(?:[^{}\"]|\"(?:[^\"\\]|\\.)*\")*\})?")
# TeX that pandoc's Typst or MathML writer sets wrongly and in silence, and what to write instead.
REFUSED_TEX = {
    r"\\\|": r"\lVert ... \rVert",
    r"\\[bB]igg?[lrm]?\\?[|.]": r"\left, \right, or \lVert ... \rVert",
    r"\\[;!:>]": "nothing, or \\quad",
}


def check(text: str, source: Path, figures: Path, bibliography: str) -> None:
    """Refuse what cannot be built, all of it at once, with file and line."""
    text = CODE.sub(_blank, text)
    formulas = list(MATH.finditer(text))
    prose = MATH.sub(_blank, text)
    problems = [
        *_references(prose),
        *_citations(prose, bibliography),
        *_images(prose, figures),
        *_formulas(formulas),
    ]
    if problems:
        lines = ((text.count("\n", 0, at) + 1, what) for at, what in problems)
        raise UserError("\n".join(f"{source}:{line}: {what}" for line, what in sorted(lines)))


def _references(text: str) -> Iterator[tuple[int, str]]:
    ids: dict[str, int] = {}
    for match in ID.finditer(text):
        if match[1] in ids:
            yield match.start(), f"the label {match[1]!r} is given twice"
        ids[match[1]] = match.start()
    for match in REFERENCE.finditer(text):
        if match[1] not in ids:
            kind = KINDS[match[1].partition(":")[0]]
            yield match.start(), unknown(kind, match[1], ids)


def _citations(text: str, bibliography: str) -> Iterator[tuple[int, str]]:
    keys = set(re.findall(r"^@\w+\s*\{\s*([^,\s]+)\s*,", bibliography, re.M))
    for match in CITATION.finditer(text):
        if match[1] not in keys:
            yield match.start(), unknown("reference", match[1], keys)


def _images(text: str, figures: Path) -> Iterator[tuple[int, str]]:
    for match in IMAGE.finditer(text):
        path = figures.parent / match[1]
        if not path.is_file():
            known = (p.stem for p in figures.glob("*.svg"))
            yield match.start(), unknown("figure", path.stem, known, f" (in {figures})")
        notebook = re.search(r'\bnotebook="([^"]*)"', match["attributes"] or "")
        executed = {p.stem for p in (figures.parent / "notebooks").glob("*.ipynb")}
        if notebook and notebook[1] not in executed:
            yield match.start(), unknown("executed notebook", notebook[1], executed)
        if 'alt="' not in (match["attributes"] or ""):
            yield match.start(), f'the figure {path.stem!r} has no alt text: add alt="..." to it'


def _formulas(formulas: Iterable[re.Match]) -> Iterator[tuple[int, str]]:
    for formula in formulas:
        for pattern, instead in REFUSED_TEX.items():
            for match in re.finditer(pattern, formula[0]):
                at = formula.start() + match.start()
                yield at, f"{match[0]} is set wrongly by pandoc: write {instead}"


def _blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def line_of(text: str, part: str) -> int | None:
    """The line of ``text`` on which ``part`` begins, white space aside."""
    words = [re.escape(word) for word in part.split()]
    match = re.search(r"\s+".join(words), text) if words else None
    return text.count("\n", 0, match.start()) + 1 if match else None
