"""Claim by claim: the pages of :mod:`.claim_page` as sections of the paper's HTML, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .claim_record import Record, behind, concluded, estimate, p_value, registered, said
from .facts import badge, escaped, number
from .markdown import table

if TYPE_CHECKING:
    import pandas as pd

SHOWN_RUNS = 20
OPEN_ROWS = 12  # a longer table is folded
INTRODUCTION = """\
A section a claim: what is said and where, the registered test, the verdict, and what it rests on. \
In a figure an interval holds at once with those of the other strata, a filled mark is a stratum \
that supports the claim, and the row under the line carries the verdict. The grey band holds \
effects too small to matter; where a claim is one of equality it is the margin within which the \
effect is claimed to lie."""


def anchor(claim: str) -> str:
    """The id of a claim's section."""
    return f"claim-{claim}"


def sections(found: Iterable[Record]) -> str:
    """What the sections have in common, and a section a claim."""
    return "\n\n".join([INTRODUCTION, *map(section, found)])


def section(found: Record) -> str:
    """The section of a claim, under a heading that other pages can link to."""
    claim, word = found.claim, found.verdict["verdict"]
    blocks = [
        f"## {claim.id} {badge(word)} {{#{anchor(claim.id)} .unnumbered .unlisted}}",
        escaped(" ".join(claim.statement.split())),
        _definitions([*said(found), *_test(found), *concluded(found)]),
        _figure(found),
        _table("Strata", found.strata, "stratum", None),
        _table("Other specifications", found.specifications, "specification", None),
        _table("Secondary analyses, exploratory", found.secondary, "stratum", "p_bh"),
        _runs(found),
    ]
    return "\n\n".join(filter(None, blocks))


def _test(found: Record) -> list[tuple[str, str]]:
    """The registered test in one entry: it is what a reader skips first."""
    if found.claim.primary is None:
        return []
    lines = dict(registered(found.claim.primary))
    claimed = lines.pop("claimed")
    return [
        ("claimed", f"{claimed}, {lines.pop('holds')}"),
        ("test", ". ".join(f"{name.capitalize()}: {what}" for name, what in lines.items())),
    ]


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    items = [f"{name.capitalize()}\n:   {escaped(text)}" for name, text in pairs if text]
    return "::: {.claim}\n" + "\n\n".join(items) + "\n:::"


def _figure(found: Record) -> str:
    name = f"figures/claims/{found.claim.id}.svg"
    if not (found.results / name).is_file():
        return ""
    of = f"{number(len(found.strata))} strata and " if len(found.strata) else ""
    alt = f"{found.claim.id}: effects of {of}all cells, with their intervals; in the table below."
    return f'![Effects by stratum.]({name}){{#strata-{found.claim.id} alt="{alt}"}}'


def _table(title: str, part: pd.DataFrame, name: str, p: str | None) -> str:
    """A table of estimates under its title, folded where it is long; ``p``: of which column."""
    if part.empty:
        return ""
    head = [title, "Value", "95 % interval", "n", *(["*p*"] if p else []), "Verdict"]
    rows = [
        [escaped(getattr(row, name)), *map(escaped, estimate(row)), number(row.n)]
        + ([escaped(p_value(getattr(row, p)))] if p else [])
        + [badge(row.verdict)]
        for row in part.itertuples()
    ]
    made = table(head, rows, "lrrr" + "r" * bool(p) + "l")
    return made if len(rows) <= OPEN_ROWS else _folded(f"{title}: all {number(len(rows))}", made)


def _runs(found: Record) -> str:
    """The first run ids, folded, and the command that lists all."""
    if not found.runs:
        return ""
    ids, left = found.runs[:SHOWN_RUNS], len(found.runs) - SHOWN_RUNS
    shown = " ".join(f"`{name}`" for name in ids)
    more = f"and {number(left)} more: " if left > 0 else "also by "
    command = f"`vanishing claim {found.claim.id} --results {found.results} --runs`"
    return _folded(f"Runs: {behind(found)}", f"{shown}, {more}{command}")


def _folded(summary: str, body: str) -> str:
    opened = _html(["<details>", f"<summary>{summary}</summary>"])
    return "\n\n".join([opened, body, _html(["</details>"])])


def _html(lines: Sequence[str]) -> str:
    return "\n".join(["```{=html}", *lines, "```"])
