"""Sources as parts name them, ``He et al. 2015``, as entries of the paper's bibliography."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import UserError

NAMED = re.compile(r"(?P<names>[^\W\d][^\d]*?) (?P<year>\d{4}[a-z]?)(?!\d)")
ENTRY = re.compile(r"^@\w+\s*\{\s*(?P<key>[^,\s]+)\s*,(?P<fields>.*?)^\}", re.M | re.S)
AUTHOR = re.compile(r"^\s*author\s*=\s*\{(?P<authors>.*?)\},?\s*$", re.M)
ET_AL, OTHERS = " et al.", "others"


class Work(NamedTuple):
    """What of an entry tells it from others: its authors' surnames, and its key's year."""

    surnames: tuple[str, ...]
    key: str


def works(bibliography: str) -> list[Work]:
    """All entries of a BibTeX file.

    >>> works("@misc{Ba2016,\\n  author = {Ba, Jimmy Lei and Kiros, Jamie},\\n}\\n")
    [Work(surnames=('Ba', 'Kiros'), key='Ba2016')]
    """
    found = []
    for entry in ENTRY.finditer(bibliography):
        authors = AUTHOR.search(entry["fields"])
        people = authors["authors"].split(" and ") if authors else []
        found.append(Work(tuple(name.partition(",")[0].strip() for name in people), entry["key"]))
    return found


def cited(source: str, known: list[Work]) -> str:
    """``source`` with every work that it names as a citation of pandoc's; refuses an unknown one.

    A key ends with the year; surnames are all that there are, or the first and ``et al.``

    >>> cited("Ba, Kiros 2016, as in torch", [Work(("Ba", "Kiros"), "Ba2016")])
    '@Ba2016, as in torch'
    """
    return NAMED.sub(lambda match: f"@{_key(match, known)}", source)


def _key(match: Mapping[str, str], known: list[Work]) -> str:
    names, year = match["names"], match["year"]
    first, surnames = names.removesuffix(ET_AL), tuple(names.split(", "))
    keys = [
        work.key
        for work in known
        if work.key.endswith(year)
        and (
            work.surnames[:1] == (first,) and len(work.surnames) > 2
            if names.endswith(ET_AL)
            else work.surnames == surnames
        )
    ]
    if len(keys) != 1:
        raise UserError(
            f"the bibliography has {len(keys)} entries for the source {names} {year!s}: give it "
            f"one whose key ends in {year}, with exactly these authors (or more than two)."
        )
    return keys[0]
