"""The cohorts' logs put together: the tables of a study that its trainings fill."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from ..table import Table
from ..tables import LOGS, RUNS
from .estimates import signals
from .study_tables import Tables


def gather(results: Path) -> dict[str, pd.DataFrame]:
    """The tables from the logs of the plan's cohorts, as many of them as are there.

    A run that two batteries ask for was trained once: it has a row in ``runs`` for each of them.
    Runs of a cohort that no battery asks for any more are left out.
    """
    plan = json.loads((results / "plan.json").read_text())
    cohorts = [cohort["id"] for cohort in plan["cohorts"]]
    wanted = pd.DataFrame(
        [(name, run_id) for name, ids in plan["members"].items() for run_id in ids],
        columns=["battery", "run_id"],
    )
    runs = wanted.merge(_logs(results, LOGS["runs"], cohorts), on="run_id", how="inner")
    logs = {
        name: _only(_logs(results, table, cohorts), set(runs["run_id"]))
        for name, table in LOGS.items()
        if name != "runs"
    }
    runs["signal"] = signals(Tables(runs, logs["layers"]))
    return {"runs": RUNS.frame(runs), **logs}


def _logs(results: Path, table: Table, cohorts: list[str]) -> pd.DataFrame:
    """The logs of ``table``, one below the other in the order of the plan."""
    files = [results / "logs" / table.name / f"{cohort}.parquet" for cohort in cohorts]
    found = [table.read(file) for file in files if file.exists()]
    found = [frame for frame in found if len(frame)]
    return pd.concat(found, ignore_index=True) if found else table.frame([])


def _only(frame: pd.DataFrame, run_ids: set[str]) -> pd.DataFrame:
    return frame[frame["run_id"].isin(run_ids)].reset_index(drop=True)
