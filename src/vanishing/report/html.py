"""The paper as one HTML file: style, fonts, figures and their data inside, nothing fetched."""

from __future__ import annotations

import base64
import html
import os
import re
from pathlib import Path

from . import accessible, pandoc, svg
from .svg_compact import Sheet

# Bytes of a figure's data that the page carries, and of all figures' together, the smallest first;
# what is larger is linked. With the rest of a page it stays below 5 MB.
EMBEDDED_DATA, EMBEDDED_IN_ALL = 200_000, 600_000
IMAGE = re.compile(r"<img\b(?P<attributes>[^>]*)/?>(?P<between>.*?)</figcaption>", re.S)


def render(text: str, source: Path, theme: Path, results: Path, out: Path, stamp: str) -> str:
    """The page of the bound Markdown ``text``; links to notebooks are relative to ``out``."""
    options = [
        f"--template={theme / 'page.html'}",
        "--mathml",
        "--toc",
        "--toc-depth=2",
        "--section-divs",
        *([f"--variable=stamp:{stamp}"] if stamp else []),
    ]
    page = pandoc.convert(text, source, theme, "html5", options)
    sheet, carried = Sheet(), _carried(page, results)
    page = IMAGE.sub(lambda match: _figure(match, results, out, sheet, carried), page)
    page = accessible.mended(_spaced_functions(page))
    parts = {
        "/*style*/": style(theme),
        "/*script*/": script(theme),
        "<!--sheet-->": sheet.drawing(),
    }
    return re.sub("|".join(map(re.escape, parts)), lambda match: parts[match[0]], page)


def script(theme: Path) -> str:
    """The page's scripts, each apart from the names of the others."""
    parts = [path.read_text(encoding="utf-8") for path in sorted(theme.glob("*.js"))]
    return "\n".join(f"{{\n{part}}}" for part in parts)


def style(theme: Path) -> str:
    """The style sheets, in the order of their names, with their fonts inside."""

    def embedded(match: re.Match) -> str:
        return f"url(data:font/woff2;base64,{_base64((theme / match[1]).read_bytes())})"

    css = "\n".join(path.read_text(encoding="utf-8") for path in sorted(theme.glob("*.css")))
    return re.sub(r"url\((fonts/[\w.-]+)\)", embedded, css)


def _attributes(image: re.Match) -> dict[str, str]:
    found = re.findall(r'([\w-]+)="([^"]*)"', image["attributes"])
    return {key: html.unescape(value) for key, value in found}


def _carried(page: str, results: Path) -> set[Path]:
    """The data files of figures that the page carries, and does not only lead to."""
    images = (results / _attributes(match)["src"] for match in IMAGE.finditer(page))
    files = {path for image in images if (path := image.with_suffix(".csv")).is_file()}
    carried, left = set(), EMBEDDED_IN_ALL
    for size, path in sorted((path.stat().st_size, path) for path in files):
        if size <= min(EMBEDDED_DATA, left):
            carried.add(path)
            left -= size
    return carried


def _figure(match: re.Match, results: Path, out: Path, sheet: Sheet, carried: set[Path]) -> str:
    """An image's place, taken by the drawing itself; below the caption, its data and notebook."""
    attributes = _attributes(match)
    path = results / attributes["src"]
    drawing = svg.for_screen(path.read_text(encoding="utf-8"), path.stem, attributes["alt"], sheet)
    if "style" in attributes:  # a width of its own
        drawing = drawing.replace("<svg", f'<svg style="{attributes["style"]}"', 1)
    links = _links(path, results, out, attributes.get("data-notebook"), carried)
    return f"{drawing}{match['between']}{links}</figcaption>"


def _links(path: Path, results: Path, out: Path, notebook: str | None, carried: set[Path]) -> str:
    links = []
    if (data := path.with_suffix(".csv")).is_file():
        inside = f"data:text/csv;base64,{_base64(data.read_bytes())}" if data in carried else ""
        url = inside or _relative(data, out)
        links.append(f'<a download="{data.name}" href="{url}">Data (CSV)</a>')
    if notebook:
        file = results / "notebooks" / f"{notebook}.ipynb"
        links.append(f'<a href="{_relative(file, out)}">Notebook</a>')
    return f'<span class="links">{" ".join(links)}</span>' if links else ""


def _relative(path: Path, out: Path) -> str:
    return Path(os.path.relpath(path, out.parent)).as_posix()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _spaced_functions(page: str) -> str:
    """``log_10 x`` with its space, which pandoc's MathML loses after a subscript."""
    function = (
        r'(<msub><mrow><mi mathvariant="normal">\w+</mi><mo>&#8289;</mo></mrow>'
        r"(?:(?!<msub>).)*?</msub>)"
    )
    return re.sub(function, r'\1<mspace width="0.167em"/>', page)
