"""Judge a study: its tables in; summary, ledger and facts out."""

from __future__ import annotations

import json
from pathlib import Path

from ..provenance import provenance
from ..study.plan import config_digest
from ..table import write_text
from ..tables import AGREEMENT, EXPECTED, LAYERS, LEDGER, NETWORKS, PREDICTIONS, RUNS, SUMMARY
from .agreement import agreement
from .claims import read_claims
from .estimates import summary
from .facts import facts
from .ledger import judge
from .registration import registration

SEED = 0  # of every resampling: the same tables give the same ledger


def judge_study(results: Path, claims: Path) -> None:
    """Write ``agreement``, ``summary``, ``ledger`` and ``facts.json`` under ``results``."""
    plan = json.loads((results / "plan.json").read_text())
    runs, layers, networks, predictions, expected = (
        table.read(results / "tables" / f"{table.name}.parquet")
        for table in (RUNS, LAYERS, NETWORKS, PREDICTIONS, EXPECTED)
    )
    registry, decided = read_claims(claims), plan["config"]["verdicts"]
    ledger = judge(runs, layers, predictions, registry, plan["members"], decided, SEED)
    stamp = provenance(config_digest(results)) | {"claims": registration(claims, results)}
    agreed = agreement(runs, layers, networks, expected)
    AGREEMENT.write(agreed, results / "tables/agreement.parquet", stamp)
    SUMMARY.write(summary(runs, SEED, layers), results / "tables/summary.parquet", stamp)
    LEDGER.write(ledger, results / "claims/ledger.parquet", stamp)
    found = facts(runs, layers, agreed, ledger, plan)
    write_text(results / "claims/facts.json", json.dumps(found, indent=1, sort_keys=True) + "\n")
