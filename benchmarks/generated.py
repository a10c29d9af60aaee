"""Logs of a study that was never trained: a few real ones, with other ids and some noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from vanishing.engine import job
from vanishing.tables import EXPECTED, LOGS, PREDICTIONS

# What tells a template from another one: how many rows a run has in each table.
ALIKE = ("steps", "depth", "norm")
SETTINGS = ("run_id", "cell", "init", "seed", "lr_policy", "lr")
NOISE = 0.01


def config(runs: int, seeds: int = 10) -> dict:
    """The config of a study of at least ``runs`` runs: half at init, half trained."""
    factors = {
        "activation": ["sigmoid", "tanh", "relu", "gelu", "softplus"],
        "norm": ["none", "layer"],
        "depth": [4, 8, 16, 32],
    }
    each = 2 * seeds * np.prod([len(levels) for levels in factors.values()])
    sigmas = np.linspace(0.5, 3, max(2, round(runs / each)))
    inits = [{"gaussian": {"sigma_w": round(float(sigma), 5)}} for sigma in sigmas]
    shared = {"family": "mlp", "task": "digits", "width": 16, "factors": {**factors, "init": inits}}
    trained = {"optimizer": "sgd", "lr": 0.1, "steps": 120, "batch": 64}
    measured = {"probes": {"batch": 32}, "seeds": {"judged": seeds}}
    return {
        "batteries": {
            "signal": {**shared, **measured, "train": {"steps": 0}},
            "training": {**shared, **measured, "train": trained},
        }
    }


def write_logs(results: Path, seed: int = 0) -> None:
    """Logs of every cohort in ``results``, and empty tables of what theory predicts."""
    rng, templates = np.random.default_rng(seed), {}
    for cohort in json.loads((results / "plan.json").read_text())["cohorts"]:
        described = json.loads((results / "cohorts" / f"{cohort['id']}.json").read_text())
        kind = tuple(described[name] for name in ALIKE)
        if kind not in templates:
            templates[kind] = job.run({**described, "runs": described["runs"][:1]}, device="cpu")
        job.write(logs_like(described, templates[kind], rng), results / "logs", cohort["id"], {})
    for table in (PREDICTIONS, EXPECTED):
        table.write(table.frame([]), results / "tables" / f"{table.name}.parquet")


def logs_like(cohort: dict, template: job.Logs, rng: np.random.Generator) -> job.Logs:
    """Logs of all runs of a cohort, as its JSON has them, from those of one run of its kind."""
    members = pd.DataFrame(cohort["runs"])[list(SETTINGS)]
    logs = {}
    for name, table in LOGS.items():
        rows = template[name]
        many = pd.concat([rows] * len(members), ignore_index=True)
        of_run = np.repeat(np.arange(len(members)), len(rows))
        own = list(SETTINGS) if name == "runs" else ["run_id"]
        many[own] = members.loc[of_run, own].reset_index(drop=True)
        if name == "runs":
            many = many.assign(cohort=cohort["id"], activation=cohort["activation"])
        logs[name] = table.frame(_noisy(many, rng) if len(many) else [])
    return logs


def _noisy(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Measured numbers, each a little off: copies would take less disk than a study does."""
    measured = rows.select_dtypes("float").columns.difference(["lr", "level", "seconds"])
    factor = 1 + NOISE * rng.standard_normal((len(rows), len(measured)))
    return rows.assign(**(rows[measured] * factor))
