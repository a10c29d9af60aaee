"""The table of the benchmark of speed: medians over pairs, ratios, and what was met."""

from __future__ import annotations

import pandas as pd
from benchmarks.speed_arms import ARMS
from benchmarks.speed_cells import CELLS, Cell

MOST_OVERHEAD = {"d": 5, "every": 40}  # % of the training that logging may cost


def table(rows: pd.DataFrame, on_gpu: bool = False) -> pd.DataFrame:
    """A row a cell: rates, ratios to the plain arms beside their targets, what logging costs."""
    lines = {
        name: _line(CELLS[name], of.pivot(index="pair", columns="arm"), on_gpu)
        for name, of in rows.groupby("cell", sort=False)
    }
    columns = dict.fromkeys(name for line in lines.values() for name in line)
    order = [*(arm for arm in ARMS if arm in columns), *(n for n in columns if n not in ARMS)]
    found = pd.DataFrame(list(lines.values()), index=pd.Index(list(lines), name="cell"))
    return found[order].fillna("")


def _line(cell: Cell, of: pd.DataFrame, on_gpu: bool) -> dict[str, str]:
    rates, warm, loop = of["rate"], of["warm"], of["loop"]
    line = {arm: f"{rates[arm].median():.0f}" for arm in ARMS if arm in rates}
    targets = {"b": cell.over_b} if on_gpu else {"a": cell.over_a, "c": cell.over_c}
    for base in ("a", "b", "c"):
        if {"d", base} <= set(rates):
            line[f"d/{base}"] = ratio(rates["d"] / rates[base], targets.get(base))
    for arm in ("d", "off"):
        base = "b" if on_gpu else "c"
        if {arm, base} <= set(warm):
            line[f"{arm}/{base} warm"] = ratio(warm[arm] / warm[base])
    for arm, most in MOST_OVERHEAD.items():
        if {arm, "off"} <= set(warm):
            line[f"{arm}: log %"] = ratio(overhead(of, arm), most, at_most=True)
    for arm in ("a", "e", "cockpit"):
        if {arm, "b"} <= set(loop):
            line[f"{arm}: log x"] = ratio(loop["b"] / loop[arm])
    return line


def overhead(of: pd.DataFrame, arm: str) -> pd.Series:
    """What an arm's probes cost, in % of a training without any.

    The ``off`` arm has probes too, n_off of them in T_off seconds a run. With n in T seconds one
    costs c = (T - T_off) / (n - n_off), by the default schedule (d) where it was measured, since
    the two of ``off`` are such probes; a training without any takes T_0 = T_off - c n_off.
    """
    seconds, probes = of["each"], of["probes"]
    such = "d" if "d" in seconds else arm
    each = (seconds[such] - seconds["off"]) / (probes[such] - probes["off"])
    without = seconds["off"] - each * probes["off"]
    return 100 * (seconds[arm] - without) / without


def ratio(values: pd.Series, target: float | None = None, at_most: bool = False) -> str:
    """The median of several, their range, and whether it meets the target.

    >>> ratio(pd.Series([2.0, 3.0, 2.5]), 2)
    '2.50 (2.00 to 3.00) >=2 met'
    """
    values = values.dropna()
    median = values.median()
    text = f"{median:.2f}"
    if len(values) > 1:
        text += f" ({values.min():.2f} to {values.max():.2f})"
    if target is None:
        return text
    met = median <= target if at_most else median >= target
    return f"{text} {'<=' if at_most else '>='}{target:g} {'met' if met else 'missed'}"


def markdown(found: pd.DataFrame) -> str:
    """A table in Markdown, its index first.

    >>> print(markdown(pd.DataFrame({"c": ["1"]}, index=pd.Index(["x"], name="cell"))))
    | cell | c |
    |---|---|
    | x | 1 |
    """
    whole = found.reset_index()
    lines = [list(whole.columns), *whole.astype(str).to_numpy().tolist()]
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(whole.columns), *rows[1:]])
