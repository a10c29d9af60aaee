"""A claim with all that a study says of it, and its registered test in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, unknown
from ..table import Table
from ..tables import EVIDENCE, LEDGER, SPECIFICATIONS
from .facts import number

if TYPE_CHECKING:
    import pandas as pd

    from ..analysis.claims import Analysis, Claim, Registry

HOLDS = {
    "average": "on average: the mean over all cells",
    "every": "in every stratum: the weakest decides",
    "some": "in some stratum: the strongest decides",
}


@dataclass(frozen=True)
class Record:
    """What a claim's page shows. The frames hold this claim's rows alone."""

    claim: Claim
    titles: Mapping[str, str]  # of the articles, by their short names
    ledger: pd.DataFrame
    evidence: pd.DataFrame  # empty where the study was judged before it was kept
    specifications: pd.DataFrame
    members: Mapping[str, list[str]]  # the planned run ids of each battery
    results: Path

    @property
    def verdict(self) -> pd.Series:
        """The row that carries the verdict."""
        return self.ledger[self.ledger["stratum"] == "all"].iloc[0]

    @property
    def strata(self) -> pd.DataFrame:
        """The rows of the primary analysis, stratum by stratum."""
        from ..analysis.strata import of_primary  # brings pandas

        return self.ledger[of_primary(self.ledger["stratum"])]

    @property
    def secondary(self) -> pd.DataFrame:
        """The rows of the secondary analyses, each under its name and without its strata."""
        from ..analysis.strata import SECONDARY  # brings pandas

        rows = self.ledger[self.ledger["stratum"].str.fullmatch(f"{SECONDARY}[^:]*")]
        return rows.assign(stratum=rows["stratum"].str.removeprefix(SECONDARY))

    @property
    def runs(self) -> list[str]:
        """The ids of the runs that the verdict rests on."""
        return list(self.evidence.loc[self.evidence["stratum"] == "all", "run_id"])

    def by_battery(self) -> dict[str, int]:
        """How many of these runs each battery of the test has; one may be of two."""
        mine, batteries = set(self.runs), self.claim.primary.batteries if self.claim.primary else ()
        return {name: len(mine & set(self.members.get(name, ()))) for name in batteries}

    def figures(self) -> list[Path]:
        """The figures that are there: that of its strata, and that of the paper."""
        paths = [self.results / f"figures/claims/{self.claim.id}.svg"]
        if self.claim.figure:
            paths.append(self.results / f"figures/{self.claim.figure.removeprefix('fig:')}.svg")
        return [path for path in paths if path.is_file()]


def records(results: Path, registry: Registry) -> dict[str, Record]:
    """The records of all claims that the ledger of a study judges, in the registry's order."""
    from ..analysis.finished import json_of, path_of  # brings pandas

    if not path_of(results, LEDGER).exists():
        raise UserError(
            f"{results} has no verdicts yet: run the study first (`vanishing study laptop`), judge "
            f"what is there (`vanishing judge {results}`), or name another folder by --results."
        )
    members = json_of(results, "plan.json")["members"]
    tables = [_rows(results, table) for table in (LEDGER, EVIDENCE, SPECIFICATIONS)]
    judged = set(tables[0]["claim"])
    return {
        claim.id: Record(
            claim,
            {name: registry.sources[name] for name in claim.sources},
            *(table[table["claim"] == claim.id] for table in tables),
            members,
            results,
        )
        for claim in registry.claims
        if claim.id in judged
    }


def record(results: Path, claims: Path, name: str) -> Record:
    """The record of the claim ``name`` of the registry ``claims``."""
    from ..analysis.claims import read_claims  # brings pandas and scipy

    registry = read_claims(claims)
    known = [claim.id for claim in registry.claims]
    if name not in known:
        raise UserError(unknown("claim", name, known))
    found = records(results, registry)
    if name not in found:
        raise UserError(
            f"the ledger in {results} does not judge {name}, which {claims} registers: "
            f"`vanishing judge {results}` judges it anew."
        )
    return found[name]


def _rows(results: Path, table: Table) -> pd.DataFrame:
    """A table of a study; empty where it was judged before there was one."""
    from ..analysis.finished import path_of, table_of

    there = path_of(results, table).exists()
    return table_of(results, table) if there else table.frame([])


def said(found: Record) -> list[tuple[str, str]]:
    """Where the claim is made, and how it is read."""
    claim = found.claim
    others = [title for name, title in found.titles.items() if name != claim.quoted_from]
    return [
        ("quotation", f"“{claim.quote}” ({found.titles[claim.quoted_from]})"),
        ("also in", "; ".join(others)),
        ("read as", claim.reading),
        ("refuted if", claim.refuted_if),
    ]


def registered(analysis: Analysis) -> list[tuple[str, str]]:
    """A test in words: what is said, and of what."""
    from ..analysis.effects import TESTS
    from ..analysis.measures import MEASURES

    measure = MEASURES[analysis.measure]
    lines = [
        ("batteries", ", ".join(analysis.batteries)),
        ("measure", f"{measure.meaning} [{measure.unit}]"),
        ("test", TESTS[analysis.test].meaning),
        ("contrast", _contrast(analysis)),
        ("regressor", _regress(analysis)),
        ("claimed", _claimed(analysis)),
        ("holds", "both ways" if analysis.side == "both" else HOLDS[analysis.holds]),
        ("where", "; ".join(f"{name} {_allowed(v)}" for name, v in analysis.where.items())),
        ("strata", ", ".join(analysis.strata)),
    ]
    return [(name, text) for name, text in lines if text]


def _contrast(analysis: Analysis) -> str:
    c = analysis.contrast
    return f"{c.factor} {c.treatment} less {_or(c.controls)}" if c else ""


def _regress(analysis: Analysis) -> str:
    from ..analysis.measures import MEASURES

    if analysis.regress is None:
        return ""
    term, *beside = (
        MEASURES[name].meaning for name in (analysis.regress.term, *analysis.regress.beside)
    )
    return term + (f", at equal {', '.join(beside)}" if beside else "")


def _claimed(analysis: Analysis) -> str:
    """Where the effect is claimed to lie; the smallest effect is in it."""
    least = f"{analysis.smallest_effect:g}"
    return {
        "greater": f"the effect is more than {least}",
        "less": f"the effect is less than \N{MINUS SIGN}{least}",
        "equivalent": f"the effect lies within {least} of {analysis.target:g}",
        "both": f"more than {least} in one stratum and less than \N{MINUS SIGN}{least} in another",
    }[analysis.side]


def _allowed(value: object) -> str:
    """A condition in words."""
    if isinstance(value, tuple):
        return _or(value)
    if not hasattr(value, "other_than"):
        return str(value)
    ends = [
        f"from {value.min:g}" if value.min is not None else "",
        f"up to {value.max:g}" if value.max is not None else "",
        f"other than {_or(value.other_than)}" if value.other_than else "",
    ]
    return " ".join(filter(None, ends))


def _or(levels: Iterable[object]) -> str:
    *first, last = map(str, levels)
    return f"{', '.join(first)} or {last}" if first else last


def concluded(found: Record) -> list[tuple[str, str]]:
    """Why the verdict is what it is, and what it is estimated from."""
    row = found.verdict
    lines = [("because", row["reason"])]
    if row["n"]:
        value, ends = estimate(row)
        interval = f" {ends}, 95 % interval" if ends else ""
        lines += [
            ("estimated", row["statistic"]),
            ("effect", f"{value}{interval}, n = {number(row['n'])} seeds"),
            ("p-value", f"{p_value(row['p'])}, after Holm’s correction {p_value(row['p_holm'])}"),
        ]
    if (seeds := given(row["seeds_needed"])) is not None:
        lines.append(("would decide", f"about {number(seeds)} seeds"))
    return [*lines, ("robustness", robustness(row))] if found.claim.primary else lines


def estimate(row: object) -> tuple[str, str]:
    """The value of a row, and its interval in brackets, empty where there is none.

    To three decimals, or one from ten upwards; an end that is open is a dash.
    """
    known = [v for v in (row.value, row.low, row.high) if v == v]
    decimals = 3 if max(map(abs, known), default=0) < 10 else 1
    if row.low != row.low and row.high != row.high:
        return number(row.value, decimals), ""
    low, high = (number(end, decimals) if end == end else "–" for end in (row.low, row.high))
    return number(row.value, decimals), f"[{low},\N{NO-BREAK SPACE}{high}]"


def p_value(p: float) -> str:
    """A p to three decimals, a dash where there is none."""
    if p != p:
        return "–"
    return "< 0.001" if p < 0.001 else number(p, 3)


def robustness(verdict: object) -> str:
    """How many other specifications agree, in words; none can where the claim is not decided."""
    count, share = given(verdict.specifications), given(verdict.agreeing)
    if not count:
        return "no other specification was judged"
    agree = "the claim is not decided" if share is None else f"{number(100 * share)} % agree"
    return f"other specifications: {number(count)}; {agree}"


def given(value: float | None) -> float | None:
    """A number of a table, or None for whatever stands there where one is missing."""
    import pandas as pd

    return None if pd.isna(value) else value


def behind(found: Record) -> str:
    """How many runs the verdict rests on, and of which batteries."""
    if not found.runs:
        return "none are recorded" if found.verdict["done"] else "none"
    counts = ", ".join(f"{name} {number(count)}" for name, count in found.by_battery().items())
    return f"{number(len(found.runs))} ({counts})"
