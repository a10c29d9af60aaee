"""The predictions of a study: one for each of the cells that its plan holds."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pandas as pd

from ..parts.tasks import load
from .predictions import predict


def predictions(results: Path) -> pd.DataFrame:
    """The table ``predictions`` for the cells of the plan in ``results``."""
    plan = json.loads((results / "plan.json").read_text())
    size = functools.cache(_size)
    cells: dict[str, dict] = {}
    for entry in plan["cohorts"]:
        cohort = json.loads((results / "cohorts" / f"{entry['id']}.json").read_text())
        inputs, classes = size(json.dumps(cohort["data_source"], sort_keys=True))
        graph = {k: cohort[k] for k in ("activation", "norm", "residual", "depth", "width")}
        for run in cohort["runs"]:
            own = {"cell": run["cell"], "init": run["init"]}
            cells[run["cell"]] = {**own, **graph, "inputs": inputs, "classes": classes}
    return predict(pd.DataFrame(cells.values()))


def _size(source: str) -> tuple[int, int]:
    """Inputs of a sample and classes of a task."""
    data = load(json.loads(source))
    return data.inputs.shape[1], data.classes
