"""A PDF as a reader meets it, page by page, read through poppler's command-line tools."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

TOOLS = ("pdffonts", "pdfinfo", "pdftohtml", "pdftoppm", "pdftotext")
DPI = 50
PAPER = 200  # of 255; what is darker is ink: pale shades of a background are not
XHTML = "{http://www.w3.org/1999/xhtml}"


class Box(NamedTuple):
    """A rectangle in points, from the page's upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


class Word(NamedTuple):
    """A word of a page."""

    text: str
    box: Box


class Page(NamedTuple):
    """A page: its size in points, its lines of words, and where ink is (rows, columns)."""

    width: float
    height: float
    lines: tuple[tuple[Word, ...], ...]
    ink: np.ndarray

    @property
    def words(self) -> list[Word]:
        """All words, in reading order."""
        return [word for line in self.lines for word in line]


class Element(NamedTuple):
    """A structure element: its kind (H1, Figure, ...), title, alternative text, page and box."""

    kind: str
    title: str | None
    alt: str | None
    page: int | None
    box: Box | None


class Font(NamedTuple):
    """A font: whether it is in the file, and whether its glyphs map back to letters."""

    name: str
    embedded: bool
    unicode: bool


class Document(NamedTuple):
    """All of a PDF that the checks look at; pages count from 1."""

    pages: tuple[Page, ...]
    elements: tuple[Element, ...]
    outline: tuple[str, ...]
    fonts: tuple[Font, ...]
    info: dict[str, str]
    metadata: str
    language: str


def read(path: Path) -> Document:
    """The PDF at ``path``; skips the test where poppler is missing."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"{missing[0]} (poppler-utils) is not installed")
    raw = path.read_bytes()
    info = dict(re.findall(r"^([^:]+):\s*(.*)$", _text("pdfinfo", path), re.M))
    pages = _pages(path)
    return Document(
        pages,
        tuple(_elements(raw, [page.height for page in pages])),
        _outline(path),
        tuple(_fonts(path)),
        info,
        _text("pdfinfo", "-meta", path),
        next((lang for one in _objects(raw).values() if (lang := _catalogued(one))), ""),
    )


def _catalogued(one: bytes) -> str | None:
    return _string(one, b"Lang") if one.startswith(b"<</Type/Catalog") else None


def _run(*command: object) -> bytes:
    return subprocess.run(list(map(str, command)), capture_output=True, check=True).stdout


def _text(*command: object) -> str:
    return _run(*command).decode("utf-8", "replace")


def _pages(path: Path) -> tuple[Page, ...]:
    document = ET.fromstring(_text("pdftotext", "-bbox-layout", path, "-"))
    drawn = _rendered(_run("pdftoppm", "-r", DPI, "-gray", path))
    found = document.iter(f"{XHTML}page")
    return tuple(
        Page(float(page.get("width")), float(page.get("height")), tuple(_lines(page)), ink)
        for page, ink in zip(found, drawn, strict=True)
    )


def _lines(page: ET.Element):
    """The lines of a page; a hard space of a PDF is a space here."""
    for line in page.iter(f"{XHTML}line"):
        yield tuple(
            Word((word.text or "").replace("\xa0", " "), _box(word))
            for word in line.iter(f"{XHTML}word")
        )


def _box(word: ET.Element) -> Box:
    return Box(*(float(word.get(side)) for side in ("xMin", "yMin", "xMax", "yMax")))


def _rendered(stream: bytes) -> list[np.ndarray]:
    """Where ink is, of the grey images (PGM) that follow each other in ``stream``."""
    found, at = [], 0
    while head := re.compile(rb"P5\s(\d+)\s(\d+)\s255\s").match(stream, at):
        columns, rows = int(head[1]), int(head[2])
        image = np.frombuffer(stream, np.uint8, rows * columns, head.end())
        found.append(image.reshape(rows, columns) < PAPER)
        at = head.end() + rows * columns
    return found


def _objects(raw: bytes) -> dict[int, bytes]:
    """The dictionaries of the file by number, which typst does not pack."""
    found = re.findall(rb"^(\d+) 0 obj\n(<<.*?)(?=\nendobj|\nstream)", raw, re.M | re.S)
    return {int(number): content for number, content in found}


def _elements(raw: bytes, heights: list[float]):
    """The structure elements, in the order of the file, which is that of reading."""
    objects = _objects(raw)
    pages = [number for number, one in objects.items() if one.startswith(b"<</Type/Page/")]
    for one in objects.values():
        if b"/Type/StructElem" not in one:
            continue
        kind = re.search(rb"/S/(\w+)", one)[1].decode()
        at = _page_object(one, objects)
        page = pages.index(at) + 1 if at else None
        box = re.search(rb"/BBox\[([-\d. ]+)\]", one)
        drawn = _from_top(box[1], heights[page - 1]) if box and page else None
        yield Element(kind, _string(one, b"T"), _string(one, b"Alt"), page, drawn)


def _page_object(one: bytes, objects: dict[int, bytes]) -> int | None:
    """The number of the page that an element, or the first of its children, is on."""
    if where := re.search(rb"/Pg (\d+) 0 R", one):
        return int(where[1])
    children = re.search(rb"/K\[([^\]]*)\]", one)
    numbers = re.findall(rb"(\d+) 0 R", children[1]) if children else []
    found = (_page_object(objects[int(number)], objects) for number in numbers)
    return next((page for page in found if page), None)


def _from_top(corners: bytes, height: float) -> Box:
    left, bottom, right, top = map(float, corners.split())
    return Box(left, height - top, right, height - bottom)


def _string(one: bytes, key: bytes) -> str | None:
    """The text at a key of a dictionary: plain in parentheses, or hexadecimal UTF-16."""
    found = re.search(rb"/" + key + rb"(?:\(((?:\\.|[^\\)])*)\)|<([0-9A-F]*)>)", one, re.S)
    if not found:
        return None
    if found[2] is not None:
        return bytes.fromhex(found[2].decode()).decode("utf-16")
    return re.sub(rb"\\(.)", rb"\1", found[1]).decode("latin-1")


def _outline(path: Path) -> tuple[str, ...]:
    """The bookmarks; pdftohtml writes them below the pages."""
    listing = _text("pdftohtml", "-xml", "-i", "-stdout", path)
    items = re.findall(r'<item page="\d+">(.*?)</item>', listing)
    return tuple(ET.fromstring(f"<t>{item}</t>").text or "" for item in items)


def _fonts(path: Path):
    for row in _text("pdffonts", path).splitlines()[2:]:
        embedded, _, mapped = row.split()[-5:-2]
        yield Font(row.split()[0], embedded == "yes", mapped == "yes")
