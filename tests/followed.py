"""A small study whose verdicts can be followed down: three claims, their ledger and their runs."""

import json
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from vanishing.analysis.claims import Registry, read_claims
from vanishing.analysis.evidence import evidence_of
from vanishing.analysis.ledger import Judged, analyses, ledger_of
from vanishing.analysis.study_tables import Tables
from vanishing.tables import EVIDENCE, LEDGER, SPECIFICATIONS

from .planted import members, runs_of

SLOPES = {"relu": 0.0, "tanh": -0.1, "sigmoid": -0.5}
WHERE = {"norm": "none", "depth": {"min": 5, "max": 100}, "init": ["he", "xavier"],
         "residual": {"other_than": ["identity", "scaled"]}}  # fmt: skip
CONTRAST = {"factor": "activation", "treatment": "relu", "control": ["tanh", "sigmoid"]}
SAID = {"quote": "it *fades*", "quoted_from": "S1", "sources": ["S0", "S1"], "refuted_if": "not so"}
ON = {"batteries": ["signal"], "measure": "slope"}
CLAIMS = {
    "sources": {"S0": "A Book", "S1": "An Article"},
    "claims": [
        {
            **SAID, "id": "C01", "statement": "ReLU shrinks less.", "reading": "At each init.",
            "figure": "profiles",
            "primary": {**ON, "test": "seed_difference", "contrast": CONTRAST, "where": WHERE,
                        "side": "greater", "smallest_effect": 0.02, "holds": "every",
                        "strata": ["init", "control"]},
            "secondary": {
                "at_all": {**ON, "test": "seed_mean", "side": "less", "smallest_effect": 0.02,
                           "strata": ["activation"]},
            },
        },
        {
            **SAID, "id": "C02", "statement": "With ReLU it is 0.",
            "primary": {**ON, "test": "seed_mean", "side": "equivalent", "target": 0.01,
                        "where": {"activation": "relu"}, "smallest_effect": 0.05},
        },
        {**SAID, "id": "C03", "statement": "It is so.", "not_testable": "it names no test"},
    ],
}  # fmt: skip


def runs(seeds: int = 8) -> pd.DataFrame:
    """A battery of three activations and two inits, with slopes as planted."""

    def truth(cell, rng):
        return {"slope": SLOPES[cell["activation"]] + rng.normal(0, 0.002)}

    factors = {"activation": list(SLOPES), "init": ["he", "xavier"]}
    return runs_of("signal", factors, seeds, truth)


def registry(folder: Path) -> Registry:
    """The three claims, read from ``claims.yaml`` in the folder."""
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump(CLAIMS))
    return read_claims(path)


@cache
def study() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ledger and evidence of the three claims."""
    claims = Registry.model_validate(CLAIMS)
    found = judged(claims, runs())
    return ledger_of(found, claims, True), evidence_of(found)


def judged(claims: Registry, data: pd.DataFrame) -> list[Judged]:
    """The analyses of the claims on these runs."""
    return analyses(Tables(data), claims, members(data), 0)


def study_in(folder: Path) -> Path:
    """The judged study: plan, ledger, evidence, other specifications, a figure of the paper."""
    results = folder / "results" / "own"
    registry(folder)
    ledger, evidence = (table.copy() for table in study())
    for name in ("claims", "figures"):
        (results / name).mkdir(parents=True)
    (results / "plan.json").write_text(json.dumps({"members": members(runs())}))
    ledger.loc[ledger["stratum"] == "all", ["specifications", "agreeing"]] = [1, 1.0]
    LEDGER.write(ledger, results / "claims" / "ledger.parquet")
    EVIDENCE.write(evidence, results / "claims" / "evidence.parquet")
    row = {"claim": "C01", "specification": "smallest effect x 2", "value": 0.1, "low": 0.09,
           "high": 0.11, "n": 8, "verdict": "SUPPORTED", "agrees": True}  # fmt: skip
    SPECIFICATIONS.write(SPECIFICATIONS.frame([row]), results / "claims" / "specifications.parquet")
    (results / "figures" / "profiles.svg").write_text("<svg/>")
    return results
