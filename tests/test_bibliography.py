"""The bibliography: whole entries, well-formed identifiers, each work once, none uncited."""

import re
from collections import Counter
from typing import NamedTuple

import pytest

from vanishing.report import catalogue, sources

from .papers import PAPER, TEXT

BIBLIOGRAPHY = (PAPER / "references.bib").read_text(encoding="utf-8")
NEEDED = {
    "article": {"journal", "volume", "pages"},
    "book": {"publisher", "address"},
    "incollection": {"booktitle", "publisher", "pages"},
    "inproceedings": {"booktitle"},
    "misc": set(),
    "thesis": {"type", "institution"},
}
KNOWN = [  # in the order in which an entry has them
    "author", "title", "type", "journal", "booktitle", "series", "volume", "number", "pages",
    "institution", "publisher", "address", "howpublished", "year", "doi", "eprint", "eprinttype",
    "langid",
]  # fmt: skip
SHAPES = {
    "author": r"[^,{}]+, [^,{}]+|\{[^{}]+\}|others",  # each of the people
    "year": r"(1[89]|20)\d\d",
    "pages": r"\d+(--\d+)?",
    "doi": r"10\.\d{4,9}/[^\s{}]+",
    "eprint": r"\d{4}\.\d{4,5}",
    "eprinttype": r"arxiv",
    "langid": r"french|german",
}
ENTRY = re.compile(r"^@(\w+)\{(\w+),\n(.*?)^\}\n", re.M | re.S)
FIELD = re.compile(r"^  (\w+) = \{(.*)\},?\n", re.M)


class Entry(NamedTuple):
    """A work: its type, key and fields."""

    kind: str
    key: str
    fields: dict[str, str]


def entries(text: str) -> list[Entry]:
    """All entries; nothing of ``text`` is passed over."""
    found = [Entry(kind, key, dict(FIELD.findall(body))) for kind, key, body in ENTRY.findall(text)]
    assert ENTRY.sub("", text).strip() == ""
    assert all(FIELD.sub("", body) == "" for _, _, body in ENTRY.findall(text))
    return found


def faults(text: str, cited: set[str]) -> list[str]:
    """What is wrong with the bibliography ``text``, of which ``cited`` are the keys in use."""
    works = entries(text)
    keys = [work.key for work in works]
    titles = Counter(_plain(work.fields.get("title", "")) for work in works)
    return [
        *(fault for work in works for fault in _faults_of(work)),
        *(f"{keys[i + 1]}: out of order" for i in range(len(keys) - 1) if keys[i] >= keys[i + 1]),
        *(f"twice: {title}" for title, times in titles.items() if times > 1),
        *(f"{key}: nothing cites it" for key in keys if key not in cited),
        *(f"{key}: cited, but not there" for key in sorted(cited - set(keys))),
    ]


def _faults_of(work: Entry) -> list[str]:
    key, fields = work.key, work.fields
    needed = {"author", "title", "year"} | NEEDED[work.kind]
    found = [f"{key}: no {name}" for name in sorted(needed - set(fields))]
    found += [f"{key}: {name} is no field" for name in fields if name not in KNOWN]
    if list(fields) != [name for name in KNOWN if name in fields]:
        found.append(f"{key}: fields out of order")
    for name, shape in SHAPES.items():
        parts = fields[name].split(" and ") if name == "author" else [fields.get(name)]
        if name in fields and not all(re.fullmatch(shape, part) for part in parts):
            found.append(f"{key}: {name} is {fields[name]!r}")
    if work.kind == "misc" and not {"eprint", "howpublished"} & set(fields):
        found.append(f"{key}: nothing says where it is")
    if ("eprint" in fields) != ("eprinttype" in fields):
        found.append(f"{key}: an eprint and its type belong together")
    if not re.search(rf"{fields.get('year')}[a-z]?$", key):
        found.append(f"{key}: the key does not end with the year")
    return found + _unprotected(key, fields.get("title", ""))


def _unprotected(key: str, title: str) -> list[str]:
    """Capitals inside a title that a style would make small: within braces they stay."""
    bare = re.sub(r"\{[^{}]*\}", "", title)[1:]
    return [f"{key}: capitals without braces in {title!r}"] if re.search(r"[A-Z]", bare) else []


def _plain(title: str) -> str:
    return re.sub(r"[\W_]", "", title).casefold()


@pytest.fixture
def cited_keys(monkeypatch) -> set[str]:
    """The keys that the paper or the source of a part cites."""
    monkeypatch.setattr(catalogue, "_numbers", lambda kind, name: ())  # they cost seconds
    works = sources.works(BIBLIOGRAPHY)
    parts = (row for kind in catalogue.REGISTRIES for row in catalogue.rows(kind))
    named = [sources.cited(part.source, works) for part in parts]
    return set(re.findall(r"(?<![\w.])@([A-Z]\w+)", "\n".join([TEXT, *named])))


def test_bibliography_of_the_paper_is_without_fault(cited_keys):
    assert faults(BIBLIOGRAPHY, cited_keys) == []


def test_all_that_has_neither_identifier_nor_pages_is_no_paper():
    bare = [
        work for work in entries(BIBLIOGRAPHY) if not {"doi", "eprint", "pages"} & {*work.fields}
    ]
    assert {work.kind for work in bare} <= {"thesis", "book", "misc", "inproceedings"}
    assert all("Workshop" in w.fields["booktitle"] for w in bare if w.kind == "inproceedings")


SOUND = """@article{Bengio1994,
  author = {Bengio, Yoshua and Simard, Patrice},
  title = {Learning is difficult in {MLPs}},
  journal = {IEEE Transactions on Neural Networks},
  volume = {5},
  pages = {157--166},
  year = {1994},
  doi = {10.1109/72.279181}
}

@misc{Ba2016,
  author = {Ba, Jimmy Lei},
  title = {Layer normalization},
  year = {2016},
  eprint = {1607.06450},
  eprinttype = {arxiv}
}
"""
PLANTED = [
    ("  journal = {IEEE Transactions on Neural Networks},\n", "", "Bengio1994: no journal"),
    ("volume = {5}", "publisher = {IEEE}", "Bengio1994: no volume"),
    ("  year = {2016},\n", "", "Ba2016: no year"),
    ("year = {1994}", "year = {19944}", "Bengio1994: year is '19944'"),
    ("year = {1994}", "year = {1995}", "Bengio1994: the key does not end with the year"),
    ("157--166", "157-166", "Bengio1994: pages is '157-166'"),
    ("{10.1109", "{https://doi.org/10.1109", "Bengio1994: doi is"),
    ("1607.06450", "arXiv:1607.06450", "Ba2016: eprint is"),
    (",\n  eprinttype = {arxiv}", "", "Ba2016: an eprint and its type belong together"),
    ("eprint = {1607.06450},\n  eprinttype", "langid", "Ba2016: nothing says where it is"),
    ("Bengio, Yoshua", "Yoshua Bengio", "Bengio1994: author is"),
    ("{MLPs}", "MLPs", "Bengio1994: capitals without braces"),
    ("volume = {5}", "url = {https://example.org}", "Bengio1994: url is no field"),
    ("Layer normalization", "Learning is Difficult in {MLPs}", "twice: learningisdifficultinmlps"),
    ("Bengio1994", "Abel1994", "Bengio1994: cited, but not there"),
    ("Bengio1994", "Abel1994", "Abel1994: nothing cites it"),
    ("Ba2016", "Ca2016", "Bengio1994: out of order"),
]


def in_order(text: str) -> str:
    first, second = text.split("\n\n")
    return f"{second}\n{first}\n"


def test_sound_entries_pass():
    assert faults(in_order(SOUND), {"Bengio1994", "Ba2016"}) == []


@pytest.mark.parametrize(("old", "new", "message"), PLANTED)
def test_planted_fault_is_found(old, new, message):
    assert old in SOUND
    found = faults(in_order(SOUND.replace(old, new)), {"Bengio1994", "Ba2016"})
    assert any(fault.startswith(message) for fault in found), found
