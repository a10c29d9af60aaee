"""Judge a study: its tables in; summary, ledger and facts out."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pandas as pd

from ..provenance import provenance
from ..study.plan import config_digest
from ..table import Table, write_text
from ..tables import AGREEMENT, EXPECTED, LEDGER, NETWORKS, SUMMARY, TABLES
from .agreement import agreement
from .claims import read_claims
from .estimates import summary
from .facts import facts
from .ledger import judge
from .registration import registration
from .study_tables import Tables

SEED = 0  # of every resampling: the same tables give the same ledger


def judge_study(results: Path, claims: Path) -> None:
    """Write ``agreement``, ``summary``, ``ledger`` and ``facts.json`` under ``results``."""
    plan = json.loads((results / "plan.json").read_text())
    tables = Tables(**{f.name: _read(results, TABLES[f.name]) for f in fields(Tables)})
    registry, decided = read_claims(claims), plan["config"]["verdicts"]
    ledger = judge(tables, registry, plan["members"], decided, SEED)
    stamp = provenance(config_digest(results)) | {"claims": registration(claims, results)}
    networks, expected = (_read(results, table) for table in (NETWORKS, EXPECTED))
    agreed = agreement(tables.runs, tables.layers, networks, expected)
    AGREEMENT.write(agreed, results / "tables/agreement.parquet", stamp)
    SUMMARY.write(summary(tables, SEED), results / "tables/summary.parquet", stamp)
    LEDGER.write(ledger, results / "claims/ledger.parquet", stamp)
    found = facts(tables, agreed, ledger, plan)
    write_text(results / "claims/facts.json", json.dumps(found, indent=1, sort_keys=True) + "\n")


def _read(results: Path, table: Table) -> pd.DataFrame:
    return table.read(results / "tables" / f"{table.name}.parquet")
