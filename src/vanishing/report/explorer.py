"""The explorer of runs, for the page: all that its script needs, packed into a block of HTML.

The script is ``theme/explorer.js``; what is packed and how, :mod:`.explorer_data` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..tables import RUNS
from .facts import number

if TYPE_CHECKING:
    import pandas as pd

    from . import explorer_data as data

BUDGET = 1_300_000  # characters that the packs may take of the page
OF_ROWS, OF_THEORY = 0.6, 0.1  # shares of the budget that rows and predictions may take at most
BLOCK = 1024  # runs in a pack of details: what the browser unpacks to show one of them
ROWS = 8 * BLOCK  # runs in a pack of rows, which it unpacks all
LEAST = 24  # characters that the details of a run take at the least
# The filters at hand, in this order; all others stand behind "More filters".
FIRST = (
    "battery", "family", "task", "activation", "init", "norm", "residual", "depth", "recurrence",
    "game", "outcome", "signal",
)  # fmt: skip
# The columns of the table, in this order; a setting that never varies is left out.
SHOWN = (
    "activation", "init", "norm", "residual", "depth", "outcome", "signal", "vanishing_index",
    "slope", "width", "final_loss", "final_test_accuracy", "recurrence", "game", "family", "task",
    "optimizer", "lr", "seed", "split", "seconds", "battery",
)  # fmt: skip
EMPTY = "No run of this study is finished: there is nothing to explore yet."
WITHOUT_SCRIPT = (
    "This table of all runs needs JavaScript, which is off. Its data are in "
    "<code>tables/runs.parquet</code>, <code>tables/curves.parquet</code> and "
    "<code>tables/layers.parquet</code>, beside this page."
)


def section(results: Path, budget: int = BUDGET) -> str:
    """The explorer of the study in ``results``, as Markdown that holds a block of raw HTML.

    Its packs take at most ``budget`` characters. Rows come first, first seeds first, then the
    predictions, then the curves and profiles of the same runs; what is left out is said.
    """
    from . import explorer_data as data  # brings pandas

    tables = results / "tables"
    runs = data.runs(tables / "runs.parquet")
    if runs.empty:
        return EMPTY
    settings = {name: data.setting(name, runs[name]) for name in data.settings()}
    cells = list(runs["cell"].unique())
    meta = data.pack({}, _header(settings, cells))
    left = budget - len(meta)
    rows = _fitting(_rows(runs, settings, cells), OF_ROWS * left)
    theory = {"theory": data.theory(tables / "predictions.parquet", cells)}
    expected = _fitting(_details(theory, len(cells), len(cells)), OF_THEORY * left)
    left -= _size(rows + expected)
    chosen = runs["run_id"].iloc[: min(len(rows) * ROWS, int(left / LEAST))]
    lines, players = data.details(tables, chosen)
    details = _fitting(_details(lines, len(chosen), BLOCK, {"players": players}), left)
    packs = {"meta": [meta], "rows": rows, "theory": expected, "details": details}
    counts = min(len(runs), ROWS * len(rows)), min(len(chosen), BLOCK * len(details))
    return _html(packs, left_out(len(runs), *counts, theory=bool(expected)))


def left_out(total: int, rows: int, details: int, *, theory: bool) -> str:
    """What of a study's runs is not in the page, in words; empty where nothing is missing.

    >>> left_out(9000, 9000, 1024, theory=True)
    'Curves and profiles are here of 1024 of these runs, the first seeds of every cell first; \
the others are in <code>tables/curves.parquet</code> and <code>tables/layers.parquet</code>.'
    """
    said = []
    if rows < total:
        said.append(
            f"Of the study’s {number(total)} runs {number(rows)} are here, the first seeds of "
            "every cell first; all are in <code>tables/runs.parquet</code>."
        )
    if details < rows:
        said.append(
            f"Curves and profiles are here of {number(details)} of these runs, the first seeds of "
            "every cell first; the others are in <code>tables/curves.parquet</code> and "
            "<code>tables/layers.parquet</code>."
        )
    if not theory:
        said.append("What theory predicts is in <code>tables/predictions.parquet</code> alone.")
    return " ".join(said)


def _header(settings: Mapping[str, data.Setting], cells: list[str]) -> dict:
    """What the script must know of the columns, and how packed integers become numbers."""
    from . import explorer_data as data

    asked = [
        {"name": name, "options": found.options, "says": RUNS.columns[name].meaning}
        | ({"members": found.members} if found.members else {})
        for name, found in (settings | {"cell": data.Setting(cells, None, None)}).items()
    ]
    numbers = [
        {"name": name, "scale": scale, "says": _meaning(name)}
        for name, scale in data.NUMBERS.items()
    ]
    several = [name for name, found in settings.items() if _varies(found)]
    first = [name for name in FIRST if name in several]
    return {
        "settings": asked,
        "numbers": numbers,
        "first": first,
        "more": [name for name in several if name not in first],
        "shown": [name for name in SHOWN if name in several or name in data.NUMBERS],
        "scales": {
            "step": data.STEP,
            "train_loss": data.LOSS,
            "log10_delta_rms": data.LOG10,
            "q": data.LOG10,
        },
        "block": BLOCK,
    }


def _varies(setting: data.Setting) -> bool:
    """Whether runs differ in it, were it only that some have none."""
    return len(setting.options) > 1 or bool(setting.options and (setting.codes != 0).any())


def _meaning(name: str) -> str:
    column = RUNS.columns[name]
    return column.meaning if column.unit == "1" else f"{column.meaning} ({column.unit})"


def _rows(
    runs: pd.DataFrame, settings: Mapping[str, data.Setting], cells: list[str]
) -> Iterator[str]:
    """A pack of each block of runs: their ids, settings and outcomes."""
    from . import explorer_data as data

    codes = {name: found.codes for name, found in settings.items()}
    codes["cell"] = data.places(runs["cell"], cells)
    codes |= {name: scale.codes(runs[name].astype(float)) for name, scale in data.NUMBERS.items()}
    for start in range(0, len(runs), ROWS):
        names = runs["run_id"].iloc[start : start + ROWS].tolist()
        kept = {name: data.encode(column[start : start + ROWS]) for name, column in codes.items()}
        head = {"hexadecimal": data.hexadecimal(names)}
        yield data.pack({"run_id": data.ids(names)} | kept, head)


def _details(
    lines: Mapping[str, data.Lines], owners: int, block: int, header: Mapping | None = None
) -> Iterator[str]:
    """A pack of each ``block`` of runs, or of cells: their curves and profiles."""
    from . import explorer_data as data

    for start in range(0, owners, block):
        yield data.pack(
            {
                f"{kind}.{name}": content
                for kind, found in lines.items()
                for name, content in found.between(start, start + block).items()
            },
            header,
        )


def _fitting(packs: Iterable[str], budget: float) -> list[str]:
    """The packs before the first one with which they would take more than ``budget``."""
    kept: list[str] = []
    for pack in packs:
        if _size(kept) + len(pack) > budget:
            break
        kept.append(pack)
    return kept


def _size(packs: Iterable[str]) -> int:
    return sum(map(len, packs))


def _html(packs: Mapping[str, list[str]], note: str) -> str:
    """The explorer's place in the page, empty but for what a page without scripts shows."""
    scripts = [
        f'<script type="application/octet-stream" class="explorer-{kind}">{pack}</script>'
        for kind, all_of_kind in packs.items()
        for pack in all_of_kind
    ]
    said = [f'<p class="explorer-left-out">{note}</p>'] if note else []
    parts = [
        "```{=html}",
        '<div id="runs" class="explorer">',
        f"<noscript><p>{WITHOUT_SCRIPT}</p></noscript>",
        *said,
        *scripts,
        "</div>",
        "```",
    ]
    return "\n".join(parts)
