"""Generated Markdown: the tables of the paper, each a function from data to text.

The paper asks for one by ``{{table:verdicts}}``; :func:`standard` makes all of a study's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..table import provenance_of
from ..tables import AGREEMENT, LEDGER, TABLES
from . import design, explorer, progress
from .claim_record import estimate, p_value, records
from .claim_section import anchor, sections
from .facts import badge, escaped, number
from .markdown import NONE, cell, table

if TYPE_CHECKING:
    import pandas as pd

    from ..analysis.claims import Registry

_WORDS = {"True": "yes", "False": "no", "None": "unknown"}


def standard(results: Path, claims: Path, bibliography: str) -> dict[str, str]:
    """Every table of a study's paper, by the name that ``{{table:name}}`` gives.

    ``bibliography`` (BibTeX) holds what the parts name as their sources.
    """
    from ..analysis.claims import read_claims  # brings pandas and scipy
    from .conditions import conditions

    registry = read_claims(claims)
    plan, runs = progress.read(results)
    ledger = results / "claims" / "ledger.parquet"
    judged = LEDGER.read(ledger)
    agreed = AGREEMENT.read(results / "tables" / "agreement.parquet")
    return {
        "verdicts": verdicts(judged, statements(registry)),
        "claims": claim_by_claim(results, registry),
        "explorer": explorer.section(results),
        "reasons": reasons(judged),
        "provenance": provenance(provenance_of(ledger) | verified(results)),
        "config": design.config(plan),
        "excluded": design.excluded(plan),
        "batteries": design.batteries(plan, progress.batteries(plan, runs)),
        "dictionary": dictionary(),
        "columns": columns(),
        "agreement": agreement(agreed),
        "outside": outside(agreed),
        **{f"condition_{claim}": text for claim, text in conditions(judged).items()},
        **parts(bibliography),
    }


def parts(bibliography: str) -> dict[str, str]:
    """A table a kind of part, ``parts_activation`` and so on."""
    from . import catalogue, sources  # brings torch

    return catalogue.tables(sources.works(bibliography))


def statements(registry: Registry) -> dict[str, str]:
    """What each claim of the registry says, by its id."""
    return {claim.id: " ".join(claim.statement.split()) for claim in registry.claims}


def claim_by_claim(results: Path, registry: Registry) -> str:
    """A section a claim, for the screen: see :mod:`.claim_section`."""
    return sections(records(results, registry).values())


def verdicts(ledger: pd.DataFrame, said: Mapping[str, str]) -> str:
    """A row a claim: its id, what it says, the verdict with the effect, its interval, the seeds.

    A verdict leads to the claim's section among those of :func:`claim_by_claim`.
    """
    overall = ledger[ledger["stratum"] == "all"]
    missing = sorted(set(overall["claim"]) - set(said))
    if missing:
        raise UserError(f"the ledger judges {missing}, and claims.yaml states no such claims")
    rows = [
        (
            row.claim,
            cell(said[row.claim]),
            f"[{badge(row.verdict)}](#{anchor(row.claim)}) {_effect(row)}".strip(),
        )
        for row in overall.itertuples()
    ]
    return table(("Claim", "Statement", "Verdict, effect [95 % interval]"), rows, "lll")


def reasons(ledger: pd.DataFrame) -> str:
    """A row a claim or secondary analysis: what was estimated, its p, and why that verdict."""
    carries = ledger["stratum"].str.fullmatch(r"all|secondary [^:]*")
    rows = []
    for row in ledger[carries].itertuples():
        name = "" if row.stratum == "all" else f" {row.stratum.removeprefix('secondary ')}"
        p = row.p_bh if name else row.p_holm
        why = f"{badge(row.verdict)} {escaped(row.reason)}"
        rows.append(
            (row.claim + escaped(name.replace("_", " ")), escaped(row.statistic), p_value(p), why)
        )
    return table(("Claim", "Estimated", "*p*", "Because"), rows, "llrl")


def _effect(row: object) -> str:
    """Value, interval, unit and seeds as Markdown, on a line of their own; nothing without runs."""
    from ..analysis.ledger import unit_of  # brings pandas and scipy

    if not (shown := " ".join(filter(None, estimate(row)))):
        return ""
    unit = unit_of(row.statistic)
    words = f" {unit}" if unit != "1" else ""
    return f"[{escaped(shown + words)}, *n* = {number(row.n)}]{{.statistic}}"


def provenance(entries: Mapping) -> str:
    """A row an entry of a table's provenance; what is nested gets a dotted name."""
    rows = [(escaped(key), escaped(value)) for key, value in _flat(entries)]
    return table(("What", "Which"), rows or [(NONE, NONE)], "ll")


def verified(results: Path) -> dict:
    """What came of training some runs again, for :func:`provenance`; empty where none were."""
    path = results / "claims" / "verified.json"
    return {"verified": json.loads(path.read_text(encoding="utf-8"))} if path.exists() else {}


def _flat(entries: Mapping, prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in sorted(entries.items()):
        if key == "packages":
            yield prefix + key, ", ".join(f"{name} {value[name]}" for name in sorted(value))
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield prefix + key, ", ".join(map(str, value))
        else:
            yield prefix + key, _WORDS.get(repr(value), str(value))  # 1 == True, but is a number


def dictionary() -> str:
    """A row a table of the study: what a row of it is, its key, and how many columns it has."""
    rows = [
        (
            escaped(name),
            escaped(known.row),
            escaped(", ".join(known.key)),
            number(len(known.columns)),
        )
        for name, known in TABLES.items()
    ]
    return table(("Table", "A row is", "Key", "Columns"), rows, "lllr")


def columns() -> str:
    """A heading and a table of columns for every table of the study."""
    head = ("Column", "Type", "Unit", "Meaning", "Missing means")
    parts = []
    for name, known in TABLES.items():
        rows = [
            (escaped(column), c.dtype, escaped(c.unit), escaped(c.meaning), escaped(c.null or "–"))
            for column, c in known.columns.items()
        ]
        heading = f"## {name} {{#columns-{name} .unnumbered .unlisted}}"
        parts += [heading, escaped(f"A row is {known.row}."), table(head, rows, "lllll")]
    return "\n\n".join(parts)


def agreement(agreed: pd.DataFrame) -> str:
    """A row a quantity of the theory: cells, how many lie inside its tolerance, what 95 % keep."""
    from ..analysis.agreement import QUANTITIES, held  # brings scipy

    cells = agreed.drop_duplicates(["cell", "quantity"])
    rows = []
    for row in held(cells).itertuples():
        quantity = QUANTITIES[row.quantity]
        limits = (row.tolerance, row.kept_by_95, row.largest)
        shown = [f"{v:.1%}" if quantity.relative else f"{v:.3g}" for v in limits]
        unit = "" if quantity.unit == "1" else f" ({quantity.unit})"
        rows.append(
            (cell(quantity.says + unit), number(row.cells), number(row.inside), *map(cell, shown))
        )
    head = ("Quantity", "Cells", "Inside", "Tolerance", "Kept by 95 %", "Largest")
    return table(head, rows or [(NONE, *["–"] * 5)], "lrrrrr")


def outside(agreed: pd.DataFrame) -> str:
    """A row a cell that lies outside the tolerance of a quantity: which, predicted, measured.

    They stand in the order of the quantities in the table of agreement.
    """
    from ..analysis.agreement import QUANTITIES

    cells = agreed[~agreed["inside"]].drop_duplicates(["cell", "quantity"])
    order = {name: place for place, name in enumerate(QUANTITIES)}
    cells = cells.sort_values("quantity", key=lambda names: names.map(order), kind="stable")
    rows = [
        (
            cell(QUANTITIES[row.quantity].short),
            escaped(_network(row)),
            number(row.predicted, 3),
            f"{number(row.measured, 3)} \\[{number(row.low, 3)},\N{NO-BREAK SPACE}"
            f"{number(row.high, 3)}\\]",
        )
        for row in cells.itertuples()
    ]
    head = ("Quantity", "Networks", "Predicted", "Measured [95 % interval]")
    return table(head, rows or [(NONE, *["–"] * 3)], "llrr")


def _network(row: object) -> str:
    """What sets a cell apart from a plain MLP on digits, in words."""
    words = [row.activation, row.init]
    if row.norm != "none":
        words.append(f"norm {row.norm}" + (" after phi" if row.norm_position == "after" else ""))
    if row.residual != "none":
        words.append(f"residual {row.residual}" + (f" of {row.block}" if row.block > 1 else ""))
    if row.family == "cnn":
        words.append(f"CNN, padding {row.padding}, stages {row.stages}")
    if row.family == "rnn":
        cut = f", truncated to {row.truncation}" if row.truncation else ""
        words.append(f"RNN, {row.recurrence}, length {row.length}{cut}")
    size = [f"depth {row.depth}", f"width {row.width}"]
    return ", ".join([*words, *size, *([] if row.task == "digits" else [f"task {row.task}"])])
