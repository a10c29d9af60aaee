"""A comparison of two studies as plain text of 100 columns, and as CSV files."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ..analysis.causes import Cause
from ..analysis.compare import Comparison, agreements, chance_of_apart
from ..files import write_text

WIDTH = 100
FACTS, CELLS, CAUSES, COLUMNS = 20, 10, 40, 6  # rows that are listed, and columns


def text(found: Comparison, every: bool = False) -> str:
    """What ``vanishing compare`` prints; ``every`` lists all facts that moved, and all causes."""
    head = [f"A  {found.a}", f"B  {found.b}"]
    if not found.moved:
        head += ["", "nothing moved"]
    parts = [head, _why(found, every), _verdicts(found), _facts(found, every), _cells(found)]
    return "\n\n".join("\n".join(part) for part in [*parts, _runs(found)])


def write(found: Comparison, folder: Path) -> None:
    """Write ``verdicts.csv``, ``facts.csv`` and ``cells.csv``, all rows and not only what moved."""
    for name in ("verdicts", "facts", "cells"):
        frame: pd.DataFrame = getattr(found, name)
        write_text(folder / f"{name}.csv", frame.to_csv(index=False))


def _why(found: Comparison, every: bool) -> list[str]:
    lines = ["WHY IT MAY: what differs, A -> B"]
    for title, rows in (
        ("provenance", found.provenance),
        ("config", found.config),
        ("judged seeds", found.seeds),
    ):
        shown = rows if every else rows[:CAUSES]
        lines.append(f"  {title}: {'nothing' if not rows else ''}".rstrip())
        lines += [f"    {line}" for row in shown for line in _cause(row)]
        if len(rows) > len(shown):
            lines.append(f"    and {len(rows) - len(shown)} more (--all lists them)")
    return lines


def _cause(row: Cause) -> list[str]:
    """One line where it fits; else the two values below each other."""
    what, a, b = row
    line = f"{what}: {a} -> {b}"
    if len(line) <= WIDTH - 4:
        return [line]
    return [_cut(what, WIDTH - 4), f"  A {_cut(a, WIDTH - 8)}", f"  B {_cut(b, WIDTH - 8)}"]


def _verdicts(found: Comparison) -> list[str]:
    rows = found.verdicts
    moved = rows[rows["moved"]]
    lines = [f"VERDICTS: {len(moved)} of {int(rows['in_both'].sum())} moved"]
    for name, agreed in agreements(rows).items():
        share = "-" if math.isnan(agreed.share) else f"{agreed.share:.0%}"
        lines.append(f"  equal among {name:<24} {agreed.equal:>4} of {agreed.claims:<4} {share:>5}")
    lines += _lone(rows, "claim")
    if len(moved):
        shown = [
            (row.claim, row.verdict_a, _estimate(row, "a"), row.verdict_b, _estimate(row, "b"))
            for row in moved.itertuples()
        ]
        lines += _table(("claim", "A", "effect [95 %]", "B", "effect [95 %]"), shown)
    return lines


def _facts(found: Comparison, every: bool) -> list[str]:
    rows = found.facts
    moved = rows[rows["moved"]]
    beyond = int(moved["beyond"].sum())
    lines = [
        f"FACTS: {len(moved)} of {int(rows['in_both'].sum())} moved, {beyond} of these beyond "
        "their intervals (*)"
    ]
    lines += _lone(rows, "fact")
    shown = moved if every else moved.head(FACTS)
    listed = [
        ("*" if row.beyond else "", _cut(row.fact, 40), _estimate(row, "a"), _estimate(row, "b"))
        for row in shown.itertuples()
    ]
    lines += _table(("", "fact", "A", "B"), listed) if listed else []
    if len(moved) > len(shown):
        lines.append(f"  and {len(moved) - len(shown)} more (--all lists them)")
    return lines


def _cells(found: Comparison) -> list[str]:
    rows = found.cells
    moved, comparable = rows[rows["moved"]], int(rows["comparable"].sum())
    by_chance = chance_of_apart() * comparable
    lines = [
        f"CELLS: {len(moved)} of {comparable} outcomes of cells have 95 % intervals that do not "
        "overlap",
        f"  by chance under equal truth about {by_chance:.0f} would "
        "(independent seeds, normal estimates)",
    ]
    lines += _lone(rows, "outcome")
    counts = (
        moved.groupby(["battery", "outcome"]).size().sort_values(ascending=False, kind="stable")
    )
    if len(counts):
        listed = [(*names, str(count)) for names, count in counts.head(CELLS).items()]
        lines += _table(("battery", "outcome", "moved"), listed)
    if len(counts) > CELLS:
        lines.append(f"  and {int(counts.iloc[CELLS:].sum())} in {len(counts) - CELLS} more")
    return lines


def _runs(found: Comparison) -> list[str]:
    by_run = found.shared.groupby("run_id")["equal"].all()
    if by_run.empty:
        return ["SAME RUNS: none (no run_id is in both)"]
    lines = [f"SAME RUNS: {len(by_run)} in both, {int(by_run.sum())} of these equal to the bit"]
    differ = found.shared[~found.shared["equal"]]
    if len(differ):
        columns = differ["column"].value_counts().head(COLUMNS)
        often = ", ".join(f"{name} {count}" for name, count in columns.items())
        lines += textwrap.wrap(
            f"differ most often, by runs: {often}",
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
        )
        lines.append(f"  the largest difference: {_largest(differ)}")
    return lines


def _largest(differ: pd.DataFrame) -> str:
    """The largest relative difference of numbers; where only words differ, one of these."""
    numbers = differ[differ["absolute"].map(math.isfinite)]
    if numbers.empty:
        row = differ.iloc[0]
        return f"{row['column']} of {row['run_id']}, another word, or missing in one"
    row = numbers.sort_values(["relative", "absolute"], ascending=False).iloc[0]
    return (
        f"{row['column']} of {row['run_id']}, by {row['absolute']:.3g}, "
        f"relatively {row['relative']:.3g}"
    )


def _lone(rows: pd.DataFrame, what: str) -> list[str]:
    """How many rows only one of the two has."""
    counts = rows["only_in"].value_counts()
    said = [(int(counts.get(side, 0)), side) for side in "AB"]
    return [f"  only in {side}: {count} {what}{'s' * (count > 1)}" for count, side in said if count]


def _estimate(row: object, side: str) -> str:
    """Value and interval, each with four digits."""
    value, low, high = (getattr(row, f"{name}_{side}") for name in ("value", "low", "high"))
    if low != low and high != high:
        return _number(value)
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _number(value: object) -> str:
    if value is None or value != value:
        return "-"
    return _cut(value, 24) if isinstance(value, str) else f"{value:.4g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Aligned columns, two spaces apart, no line beyond the width."""
    every = [tuple(head), *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(head))]
    lines = [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in every
    ]
    return [_cut(f"  {line.rstrip()}", WIDTH) for line in lines]


def _cut(words: object, width: int) -> str:
    text = str(words)
    return text if len(text) <= width else text[: width - 3] + "..."
