"""What pandoc's HTML lacks for those who read it by ear or by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from itertools import count


def mended(page: str) -> str:
    """The page with headings in order, tables, notes and scrolling regions that have names."""
    steps: list[Callable[[str], str]] = [_headings, _headers, _tables, _equations, _code, _notes]
    return reduce(lambda text, step: step(text), steps, page)


def _headings(page: str) -> str:
    """Sections one level lower than pandoc has them: the title alone is of the first."""

    def lower(match: re.Match) -> str:
        level = min(int(match["level"]) + 1, 6)
        return f"{match['section']}<h{level}{match['rest']}</h{level}>"

    section = r'(?P<section><section [^>]*class="level\d[^>]*>\s*)'
    return re.sub(rf"{section}<h(?P<level>\d)(?P<rest>.*?)</h\d>", lower, page, flags=re.S)


def _headers(page: str) -> str:
    """Every header cell says whether it heads a column or a row; one that says nothing is none."""
    for part, scope in (("thead", "col"), ("tbody", "row")):
        page = re.sub(
            rf"<{part}>.*?</{part}>",
            lambda match, scope=scope: re.sub(r"<th(?=[ >])", f'<th scope="{scope}"', match[0]),
            page,
            flags=re.S,
        )
    page = re.sub(r'<th scope="\w+"([^>]*)>\s*</th>', r"<td\1></td>", page)
    formula = r"(<th [^>]*>\s*<math)((?:(?!</th>).)*?)(<annotation[^>]*>.*?</math>\s*</th>)"
    return re.sub(formula, _read_out, page, flags=re.S)


def _read_out(match: re.Match) -> str:
    """A header cell that is a formula alone, with its letters as the formula's name."""
    letters = re.sub(r"<[^>]*>", "", match[2].partition(">")[2])
    return f'{match[1]} aria-label="{letters}"{match[2]}{match[3]}'


def _tables(page: str) -> str:
    """Every table in a group that scrolls, named by its number, else by the heading above it.

    A table with a class lays itself out.
    """
    heading, numbers = "", count(1)

    def grouped(match: re.Match) -> str:
        nonlocal heading
        if not match["table"]:
            heading = " ".join(re.sub(r"<[^>]*>", "", match[0]).split())
            return match[0]
        id_ = f"table-{next(numbers)}"
        label = '<span class="label"'
        table = match[0].replace(label, label.replace(" ", f' id="{id_}" '), 1)
        name = f'aria-labelledby="{id_}"' if table != match[0] else f'aria-label="{heading}"'
        return f'<div class="wide" tabindex="0" role="group" {name}>{table}</div>'

    table = r'(?P<table><table(?: style="[^"]*")?>.*?</table>)'
    return re.sub(rf"{table}|<(h\d|summary)\b.*?</\2>", grouped, page, flags=re.S)


def _equations(page: str) -> str:
    """A displayed equation, which scrolls where it is too long, is named by its number."""
    return re.sub(
        r'(<div id="eq:[^>]*>\s*)<p>(.*?</p>\s*<span class="number">\((\d+)\))',
        r'\1<p tabindex="0" role="group" aria-label="Equation \3">\2',
        page,
        flags=re.S,
    )


def _code(page: str) -> str:
    return re.sub(r"<pre\b", '<pre tabindex="0"', page)


def _notes(page: str) -> str:
    """Notes under a heading; marks and ways back say where they lead."""
    page = re.sub(
        r'(<section\s+id="footnotes"[^>]*)>\s*<hr ?/?>',
        r'\1 aria-labelledby="notes">\n<h2 id="notes">Notes</h2>',
        page,
    )
    page = re.sub(r'<a\s+href="#fn(\d+)"', r'\g<0> aria-label="Note \1"', page)
    return re.sub(
        r'<a\s+href="#fnref(\d+)"', r'\g<0> aria-label="Back to the mark of note \1"', page
    )
