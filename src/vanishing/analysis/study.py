"""Judge a study: its tables in; summary, ledger, what they rest on, and facts out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from ..files import write_text
from ..provenance import provenance
from ..study.plan import config_digest
from ..tables import (
    AGREEMENT,
    CASES,
    EVIDENCE,
    FALSE_POSITIVES,
    FRONTIERS,
    IMPORTANCE,
    INTERACTIONS,
    LEDGER,
    SPECIFICATIONS,
    SUMMARY,
    TABLES,
)
from .agreement import agreement
from .case_scores import case_scores
from .claims import Registry, read_claims
from .controls import false_positives
from .effects import ALL
from .estimates import summary
from .evidence import evidence_of
from .facts import facts
from .finished import path_of
from .frontier import frontiers
from .importance import importance
from .interactions import interactions
from .ledger import analyses, ledger_of
from .registration import registration
from .specifications import specifications, with_robustness
from .study_tables import Tables

SEED = 0  # of every resampling: the same tables give the same ledger
DRAWS = 40  # of every contrast of an arm with itself


def judge_study(results: Path, claims: Path) -> None:
    """Write what is concluded of a study under ``results``: tables, and ``facts.json``."""
    plan = json.loads((results / "plan.json").read_text())
    tables = Tables.of(partial(_read, results))
    registry = read_claims(claims)
    found = concluded(tables, registry, plan)
    agreed = agreement(tables.runs, tables.layers, tables.networks, _read(results, "expected"))
    found |= {AGREEMENT.name: agreed, SUMMARY.name: summary(tables, SEED)}
    stamp = provenance(config_digest(results)) | {"claims": registration(claims, results)}
    for name, data in found.items():
        TABLES[name].write(data, path_of(results, TABLES[name]), stamp)
    said = facts(tables, found, plan)
    write_text(results / "claims/facts.json", json.dumps(said, indent=1, sort_keys=True) + "\n")


def concluded(tables: Tables, registry: Registry, plan: Mapping) -> dict[str, pd.DataFrame]:
    """The tables of what is concluded, by name."""
    planned, decided = plan["members"], plan["config"]["verdicts"]
    judged = analyses(tables, registry, planned, SEED)
    ledger = ledger_of(judged, registry, decided)
    words = ledger[ledger["stratum"] == ALL].set_index("claim")["verdict"].to_dict()
    others = specifications(tables, registry, judged, planned, decided, SEED, words)
    explained = importance(tables, SEED)
    return {
        LEDGER.name: with_robustness(ledger, others),
        EVIDENCE.name: evidence_of(judged),
        SPECIFICATIONS.name: others,
        FALSE_POSITIVES.name: false_positives(tables, registry, SEED, DRAWS),
        IMPORTANCE.name: explained,
        INTERACTIONS.name: interactions(tables, explained),
        CASES.name: case_scores(tables.runs, tables.scores),
        FRONTIERS.name: frontiers(tables, SEED),
    }


def _read(results: Path, name: str, **some: object) -> pd.DataFrame:
    return TABLES[name].read(path_of(results, TABLES[name]), **some)
