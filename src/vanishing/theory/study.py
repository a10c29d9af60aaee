"""The predictions of a study: one for each of the cells that its plan holds."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..parts.tasks import load
from .predictions import predict


def predictions(results: Path) -> pd.DataFrame:
    """The table ``predictions`` for the cells of the plan in ``results``."""
    torch.set_num_threads(1)  # on tensors this small, threads wait for each other
    plan = json.loads((results / "plan.json").read_text())
    of_task = functools.cache(_of_task)
    cells: dict[str, dict] = {}
    for entry in plan["cohorts"]:
        cohort = json.loads((results / "cohorts" / f"{entry['id']}.json").read_text())
        graph = {k: cohort[k] for k in ("activation", "norm", "residual", "depth", "width")}
        graph |= of_task(json.dumps(cohort["data_source"], sort_keys=True))
        graph["samples"] = cohort["probes"]["batch"]
        for run in cohort["runs"]:
            own = {"cell": run["cell"], "init": run["init"]}
            cells[run["cell"]] = {**own, **graph}
    return predict(pd.DataFrame(cells.values()))


def _of_task(source: str) -> dict:
    """Inputs of a sample, classes, and the root mean square cosine of two samples' inputs."""
    data = load(json.loads(source))
    x = data.inputs / np.linalg.norm(data.inputs, axis=1, keepdims=True)
    return {
        "inputs": x.shape[1],
        "classes": data.classes,
        "correlation": float(np.linalg.norm(x.T @ x / len(x))),
    }
