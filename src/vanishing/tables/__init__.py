"""Every table of the study, declared once: what a row is, its key, each column and its meaning.

Writers and readers both go through :meth:`Table.check`, so a table on disk never differs from what
is said here; ``reports/data-dictionary.md`` is rendered from these declarations.
"""

from __future__ import annotations

from .of_cells import (
    AGREEMENT,
    CASES,
    EXPECTED,
    INTERACTIONS,
    LAG_PREDICTIONS,
    NETWORK_FACTORS,
    PREDICTIONS,
    PROFILES,
    SUMMARY,
)
from .of_claims import (
    EVIDENCE,
    FALSE_POSITIVES,
    FRONTIERS,
    IMPORTANCE,
    LEDGER,
    OF_CLAIMS,
    SPECIFICATIONS,
)
from .of_runs import (
    CURVES,
    FREEZE,
    GAMES,
    LAGS,
    LAYERS,
    NETWORKS,
    RECURRENCES,
    RUNS,
    SCORES,
)

__all__ = [
    "AGREEMENT",
    "CASES",
    "CURVES",
    "EVIDENCE",
    "EXPECTED",
    "FALSE_POSITIVES",
    "FREEZE",
    "FRONTIERS",
    "GAMES",
    "IMPORTANCE",
    "INTERACTIONS",
    "LAGS",
    "LAG_PREDICTIONS",
    "LAYERS",
    "LEDGER",
    "LOGS",
    "NETWORKS",
    "NETWORK_FACTORS",
    "OF_CLAIMS",
    "PREDICTIONS",
    "PROFILES",
    "RECURRENCES",
    "RUNS",
    "RUN_LOG",
    "SCORES",
    "SPECIFICATIONS",
    "SUMMARY",
    "TABLES",
    "data_dictionary",
]

TABLES = {
    table.name: table
    for table in (
        RUNS,
        CURVES,
        LAYERS,
        NETWORKS,
        FREEZE,
        LAGS,
        RECURRENCES,
        SCORES,
        GAMES,
        PROFILES,
        PREDICTIONS,
        EXPECTED,
        LAG_PREDICTIONS,
        AGREEMENT,
        SUMMARY,
        LEDGER,
        EVIDENCE,
        SPECIFICATIONS,
        FALSE_POSITIVES,
        IMPORTANCE,
        INTERACTIONS,
        CASES,
        FRONTIERS,
    )
}
# What a training job can know of a run; the battery and the cell's signal come with the others.
RUN_LOG = RUNS.without("battery", "signal")
# What a training job writes; the runs come last, and say that the cohort is done.
LOGS = {
    table.name: table
    for table in (LAYERS, NETWORKS, FREEZE, LAGS, RECURRENCES, SCORES, GAMES, CURVES, RUN_LOG)
}


def data_dictionary() -> str:
    """All tables as Markdown: the text of ``reports/data-dictionary.md``."""
    parts = ["# Data dictionary", "", "Rendered from `src/vanishing/tables` by `make docs`."]
    for table in TABLES.values():
        parts += ["", f"## {table.name}", "", f"A row is {table.row}. Key: {', '.join(table.key)}.", ""]  # fmt: skip
        parts += ["| column | type | unit | meaning | null means |", "|---|---|---|---|---|"]
        parts += [
            f"| {name} | {c.dtype} | {c.unit} | {c.meaning} | {c.null or '-'} |"
            for name, c in table.columns.items()
        ]
    return "\n".join(parts) + "\n"
