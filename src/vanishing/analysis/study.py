"""Judge a study: its tables in; summary, ledger and facts out."""

from __future__ import annotations

import json
from pathlib import Path

from ..provenance import provenance
from ..study.plan import config_digest
from ..tables import LAYERS, LEDGER, PREDICTIONS, RUNS, SUMMARY, write_text
from .claims import read_claims
from .estimates import summary
from .facts import facts
from .ledger import judge
from .registration import registration

SEED = 0  # of every resampling: the same tables give the same ledger


def judge_study(results: Path, claims: Path) -> None:
    """Write ``tables/summary``, ``claims/ledger`` and ``claims/facts.json`` under ``results``."""
    plan = json.loads((results / "plan.json").read_text())
    runs, layers, predictions = (
        table.read(results / "tables" / f"{table.name}.parquet")
        for table in (RUNS, LAYERS, PREDICTIONS)
    )
    registry, decided = read_claims(claims), plan["config"]["verdicts"]
    ledger = judge(runs, layers, predictions, registry, plan["members"], decided, SEED)
    stamp = provenance(config_digest(results)) | {"claims": registration(claims, results)}
    SUMMARY.write(summary(runs, SEED, layers), results / "tables/summary.parquet", stamp)
    LEDGER.write(ledger, results / "claims/ledger.parquet", stamp)
    found = facts(runs, layers, predictions, ledger, plan)
    write_text(results / "claims/facts.json", json.dumps(found, indent=1, sort_keys=True) + "\n")
