"""Ledgers of planted studies, judged by the claims of the registry."""

from pathlib import Path

import pandas as pd

from vanishing.analysis.claims import Registry, read_claims
from vanishing.analysis.ledger import judge
from vanishing.analysis.study_tables import Tables

from .planted import members, no_layers, no_predictions, runs_of

REGISTRY = Path(__file__).parents[1] / "reports" / "claims.yaml"
INITS = ["torch_default", "xavier", "he", "lecun", "orthogonal"]
SIGMAS = [f"gaussian(sigma_b=0.0, sigma_w={value})" for value in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)]


def only(*ids: str) -> Registry:
    """The registry with the claims of these ids alone."""
    registry = read_claims(REGISTRY)
    return registry.model_copy(
        update={"claims": tuple(claim for claim in registry.claims if claim.id in ids)}
    )


def ledger_of(
    claims: Registry,
    runs: pd.DataFrame,
    planned: dict | None = None,
    decided: bool = True,
    layers: pd.DataFrame | None = None,
    predictions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The ledger of ``claims`` on ``runs``; nothing else was planned unless ``planned`` says so."""
    tables = Tables(
        runs,
        no_layers() if layers is None else layers,
        no_predictions() if predictions is None else predictions,
    )
    return judge(
        tables,
        claims,
        members(runs) if planned is None else planned,
        decided,
        seed=0,
    )


def of_all(ledger: pd.DataFrame) -> pd.Series:
    """The row that carries a claim's verdict."""
    return ledger[ledger["stratum"] == "all"].iloc[0]


def sigmoids(truth, seeds: int = 10, inits: list[str] = INITS) -> pd.DataFrame:
    """A battery of sigmoid networks at ``inits``."""
    return runs_of("signal", {"activation": ["sigmoid"], "init": inits}, seeds, truth)


def sweep(truth, seeds: int = 10) -> pd.DataFrame:
    """A battery of three activations at six sigma_w."""
    return runs_of(
        "sigma", {"activation": ["sigmoid", "tanh", "relu"], "init": SIGMAS}, seeds, truth
    )


def remedies(v: dict[str, float], seeds: int = 10) -> pd.DataFrame:
    """A battery at init whose vanishing index is ``v`` of the norm."""
    factors = {"activation": ["tanh", "relu"], "init": ["xavier", "he"], "norm": list(v)}
    return runs_of(
        "remedies_init",
        factors | {"depth": [20, 50]},
        seeds,
        lambda cell, rng: {"vanishing_index": rng.normal(v[cell["norm"]], 0.2)},
    )


def trainings(success: dict[str, float], diverged: bool = False) -> pd.DataFrame:
    """A battery of trainings, of which the share ``success`` of the norm is trained."""

    def truth(cell, rng):
        trained = rng.random() < success[cell["norm"]]
        return {"outcome": "trained" if trained else "diverged" if diverged else "stalled"}

    factors = {"activation": ["tanh", "relu"], "norm": list(success), "depth": [16, 32]}
    return runs_of("training", factors, 10, truth, steps=200)
