"""How much of the plan is done, and what must be stamped on what shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..tables import RUNS
from .facts import number

if TYPE_CHECKING:
    import pandas as pd


def read(results: Path) -> tuple[dict, pd.DataFrame]:
    """The plan of a study, and its runs so far."""
    try:
        plan = json.loads((results / "plan.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no plan.json in {results}: make the study first") from None
    path = results / "tables" / "runs.parquet"
    runs = RUNS.read(path) if path.exists() else RUNS.frame([])
    return plan, runs


def batteries(plan: Mapping, runs: pd.DataFrame) -> list[dict]:
    """Per battery: runs planned, done, and of these diverged."""
    rows = []
    for name, members in plan["members"].items():
        done = runs[(runs["battery"] == name) & runs["run_id"].isin(members)]
        diverged = int((done["outcome"] == "diverged").sum())
        rows.append(
            {"battery": name, "planned": len(members), "done": len(done), "diverged": diverged}
        )
    return rows


def judges(plan: Mapping) -> bool:
    """Whether the study is large enough to decide claims, which its config says."""
    return plan["config"]["verdicts"]


def stamp(plan: Mapping, runs: pd.DataFrame) -> str:
    """What a reader must know before the first number; empty for a whole study."""
    stamps = []
    if not judges(plan):
        stamps.append("too small a study for verdicts")
    planned = {run_id for members in plan["members"].values() for run_id in members}
    done = len(planned & set(runs["run_id"]))
    if done < len(planned):
        stamps.append(f"incomplete: {number(done)} of {number(len(planned))} runs")
    return " · ".join(stamps)


def verdicts(plan: Mapping, ledger: pd.DataFrame) -> dict[str, str]:
    """The verdict of every claim; a study that is too small to judge may have decided none."""
    overall = ledger[ledger["stratum"] == "all"]
    words = dict(zip(overall["claim"], overall["verdict"], strict=True))
    decided = sorted(c for c, v in words.items() if v in ("SUPPORTED", "REFUTED", "CONDITIONAL"))
    if decided and not judges(plan):
        raise UserError(
            f"the {plan['study']} study is too small for verdicts, and its ledger decides "
            f"{decided}: judge again."
        )
    return words
