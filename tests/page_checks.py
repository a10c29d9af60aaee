"""What a printed page must keep to: each check is a list of findings, empty where all is well.

Nothing here knows the theme: where the type stands is read off the pages themselves.
"""

import re
import unicodedata
from collections import Counter
from statistics import median

import numpy as np

from .pages import DPI, Box, Document, Page, Word

INK = 72 / DPI  # points a pixel
OVERHANG = 4  # points that punctuation may hang over an edge
SPARE = 3  # points that the two margins may differ by
EMPTIEST = 0.25  # share of a page's rows with ink or a figure below which it is nearly empty
OVERLAP = (1.5, 0.25)  # points across; share of the lower word's height
CORE = 0.25  # share of a word's height, above and below, that no letter need fill
FOLLOWS = 40  # points below a heading within which its text begins
REFERENCE = re.compile(r"\b(Figure|Table)s? (\d+)")
CAPTION = re.compile(r"(Figure|Table) (\d+)\.")
HEADING = re.compile(r"H[1-6]$")
APPENDIX = re.compile(r"[A-Z]\s")


def footer(document: Document) -> Box:
    """The line that most pages end with, at one height."""
    return _usual([_extent(page.lines[-1:]) for page in _sorted(document) if page.lines], "footer")


def header(document: Document) -> Box:
    """The line that most pages after the first begin with, at one height."""
    pages = [page for page in _sorted(document)[1:] if page.lines]
    return _usual([_extent(page.lines[:1]) for page in pages], "header")


def _sorted(document: Document) -> list[Page]:
    """The pages with their lines from top to bottom."""
    return [
        page._replace(lines=tuple(sorted(page.lines, key=lambda line: line[0].box.bottom)))
        for page in document.pages
    ]


def _usual(boxes: list[Box], name: str) -> Box:
    height, times = Counter(round(box.bottom) for box in boxes).most_common(1)[0]
    assert times > len(boxes) / 2, f"no {name} at the same height on most pages"
    return next(box for box in boxes if round(box.bottom) == height)


def _extent(lines) -> Box:
    boxes = [word.box for line in lines for word in line]
    return _around(boxes)


def _around(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def type_area(document: Document) -> Box:
    """Where text stands: between header and footer, from the usual left edge to the right one."""
    top, bottom = header(document).bottom, footer(document).top
    edges = [
        _around(boxes)
        for page in document.pages
        if (boxes := [w.box for w in page.words if top <= w.box.top and w.box.bottom <= bottom])
    ]
    return Box(median(e.left for e in edges), top, median(e.right for e in edges), bottom)


def uneven_margins(document: Document) -> list[str]:
    """The left and the right margin, where they differ."""
    area, width = type_area(document), document.pages[0].width
    right = width - area.right
    if abs(area.left - right) <= SPARE:
        return []
    return [f"the margins are {area.left:.0f} pt left and {right:.0f} pt right"]


def empty_pages(document: Document) -> list[str]:
    """Pages, the last one excepted, with few filled rows between header and footer."""
    area, found = type_area(document), []
    for number, page in enumerate(document.pages[:-1], 1):
        filled = page.ink.any(axis=1)
        for figure in _figures(document, number):
            filled[_pixel(figure.top) : _pixel(figure.bottom)] = True
        share = filled[_pixel(area.top) + 1 : _pixel(area.bottom)].mean()
        if share < EMPTIEST:
            found.append(f"page {number}: only {share:.0%} of its rows are filled")
    return found


def _figures(document: Document, page: int) -> list[Box]:
    return [e.box for e in document.elements if (e.kind, e.page) == ("Figure", page) and e.box]


def words_outside(document: Document) -> list[str]:
    """Words that stand to the left or the right of the type area."""
    area = type_area(document)
    return [
        f"page {number}: {word.text!r} leaves the type area"
        for number, page in enumerate(document.pages, 1)
        for word in page.words
        if word.box.left < area.left - OVERHANG or word.box.right > area.right + OVERHANG
    ]


def ink_outside(document: Document) -> list[str]:
    """Pages with ink in a margin, or in the white strip above the footer."""
    area, low, high = type_area(document), footer(document), header(document)
    found = []
    for number, page in enumerate(document.pages, 1):
        ink = page.ink
        strips = {
            "left margin": ink[:, : _pixel(area.left - OVERHANG)],
            "right margin": ink[:, _pixel(area.right + OVERHANG) + 1 :],
            "margin above the header": ink[: _pixel(high.top)],
            "margin below the footer": ink[_pixel(low.bottom) + 1 :],
            "strip above the footer": ink[_pixel(low.top - OVERHANG) : _pixel(low.top) - 1],
        }
        found += [
            f"page {number}: ink in the {name}" for name, part in strips.items() if part.any()
        ]
    return found


def _pixel(points: float) -> int:
    return max(int(points / INK), 0)


def overlapping_words(document: Document) -> list[str]:
    """Words that are set over one another."""
    return [
        f"page {number}: {one!r} and {other!r} overlap"
        for number, page in enumerate(document.pages, 1)
        for one, other in _collisions(page.words)
    ]


def _collisions(words: list[Word]) -> list[tuple[str, str]]:
    """Pairs of words whose cores, without the room above and below the letters, intersect."""
    if not words:
        return []
    left, top, right, bottom = np.array([word.box for word in words]).T
    room = CORE * (bottom - top)
    top, bottom = top + room, bottom - room
    across = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    down = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    least = OVERLAP[1] * np.minimum.outer(bottom - top, bottom - top)
    pairs = np.argwhere(np.triu((across > OVERLAP[0]) & (down > least), 1))
    return [(words[i].text, words[j].text) for i, j in pairs]


def orphaned_headings(document: Document) -> list[str]:
    """Headings with nothing below them in their column."""
    found, bottom = [], footer(document).top
    for element in document.elements:
        if not HEADING.match(element.kind):
            continue
        page = document.pages[element.page - 1]
        at = _place(element.title, page)
        below = [word.box for word in page.words if word.box.bottom <= bottom]
        below += _figures(document, element.page)
        if at is None:
            found.append(f"page {element.page}: the heading {element.title!r} is not there as text")
        elif not any(_follows(box, at) for box in below):
            found.append(f"page {element.page}: nothing follows the heading {element.title!r}")
    return found


def _place(title: str, page: Page) -> Box | None:
    """Where a page has a heading: of all runs of words that spell it, the largest letters."""
    words, wanted = page.words, _letters(title)
    spelt = [_letters(word.text) for word in words]
    places = []
    for first in range(len(words)):
        text, last = "", first
        while last < len(words) and len(text) < len(wanted) and wanted.startswith(text):
            text, last = text + spelt[last], last + 1
        if text == wanted and spelt[first]:
            places.append(_around([word.box for word in words[first:last]]))
    heights = [box.bottom - box.top for box in places]
    return places[int(np.argmax(heights))] if places else None


def _letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _follows(box: Box, heading: Box) -> bool:
    below = heading.bottom - 4 < box.top < heading.bottom + FOLLOWS
    return below and box.left < heading.right and box.right > heading.left


def distant_floats(document: Document) -> list[str]:
    """Figures and tables before their first mention, or over a page after it.

    Those of an appendix stand where they stand; but each must be mentioned, or be in an appendix.
    """
    shown, named = _captions(document), _mentions(document)
    appendix = min(
        (e.page for e in document.elements if e.kind == "H1" and APPENDIX.match(e.title or "")),
        default=len(document.pages) + 1,
    )
    tagged = sum(element.kind == "Caption" for element in document.elements)
    unread = f"{tagged} captions are tagged, {len(shown)} read: Figure or Table, a number and a dot"
    found = [unread] if tagged != len(shown) else []
    for label, page in shown.items():
        first = named.get(label)
        if page >= appendix:
            continue
        if first is None:
            found.append(f"page {page}: nothing refers to {label}")
        elif not first <= page <= first + 1:
            found.append(f"page {page}: {label} is first mentioned on page {first}")
    return found


def _captions(document: Document) -> dict[str, int]:
    """The page of each figure and table: where a line of a page with captions begins with it."""
    found = {}
    holding = {element.page for element in document.elements if element.kind == "Caption"}
    for number, page in enumerate(document.pages, 1):
        for line in page.lines if number in holding else ():
            if match := CAPTION.match(_joined(line)):
                found.setdefault(f"{match[1]} {match[2]}", number)
    return found


def _mentions(document: Document) -> dict[str, int]:
    """The page of each figure's and table's first mention outside its caption."""
    found = {}
    for number, page in enumerate(document.pages, 1):
        for line in map(_joined, page.lines):
            start = match.end() if (match := CAPTION.match(line)) else 0
            for kind, n in REFERENCE.findall(line[start:]):
                found.setdefault(f"{kind} {n}", number)
    return found


def _joined(line: tuple[Word, ...]) -> str:
    return " ".join(word.text for word in line)


def missing_bookmarks(document: Document) -> list[str]:
    """Headings of the structure that the outline lacks."""
    headings = [e.title for e in document.elements if HEADING.match(e.kind)]
    missing = Counter(headings) - Counter(document.outline)
    return [f"no bookmark leads to {title!r}" for title in missing] + (
        [] if headings else ["there are no headings"]
    )


def fonts_outside(document: Document) -> list[str]:
    """Fonts that are not in the file, or whose text can't be copied."""
    return [
        f"{font.name}: embedded {font.embedded}, with a map to Unicode {font.unicode}"
        for font in document.fonts
        if not (font.embedded and font.unicode)
    ] + ([] if document.fonts else ["there are no fonts"])


def missing_tags(document: Document) -> list[str]:
    """What a screen reader would miss: tags, the PDF/UA mark, title and language, and alt texts."""
    kinds = Counter(element.kind for element in document.elements)
    wants = {
        "the file is not tagged": document.info.get("Tagged") == "yes",
        "no mark of PDF/UA-1": "<pdfuaid:part>1</pdfuaid:part>" in document.metadata,
        "no title": bool(document.info.get("Title")),
        "no language": bool(document.language),
        "no heading is tagged": kinds["H1"] > 0,
        "tables without tagged header cells": kinds["TH"] >= kinds["Table"],
        "fewer figures tagged than captioned": kinds["Figure"]
        >= sum(label.startswith("Figure") for label in _captions(document)),
    }
    return [what for what, holds in wants.items() if not holds] + [
        f"page {e.page}: a {e.kind.lower()} without alternative text"
        for e in document.elements
        if e.kind in ("Figure", "Formula") and not (e.alt or "").strip()
    ]
