"""Runs of a finished study trained again: do the tables say what the code gives?

What the last bits of a run are depends on its machine, on torch, and on how many runs are trained
beside it. So whole stacks are trained again, and each run is held against its rows in the tables:
on the same kind of machine they must be equal to the bit, on another within a tolerance.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from ..engine import job
from ..errors import UserError, whole, within
from ..provenance import provenance
from ..table import Table, provenance_of
from ..tables import LAGS, LAYERS, LOGS, RUN_LOG, RUNS
from .differences import NOT_OF_THE_NUMBERS, differences
from .finished import json_of, table_of

# On another kind of machine, these columns may differ by so many decades, as float32 rounds.
TOLERANCE = 1e-3
AT_INIT = {
    "runs": ("vanishing_index", "weight_vanishing_index", "slope", "lag_index", "lag_slope"),
    "layers": ("log10_delta_rms", "log10_grad_rms"),
    "lags": ("log10_delta_rms",),
}
RULE = (
    "on the same kind of machine equal to the bit; on another (CPU model, torch or device differ) "
    f"outcomes equal and gradients at init within {TOLERANCE:g} decades: trajectories part"
)


@dataclass(frozen=True)
class Sample:
    """How many runs are drawn: a share of all, at least so many, in about so many seconds."""

    share: float = 0.002
    least: int = 8
    seed: int = 0
    seconds: float = math.inf

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"--share must be above 0 and at most 1, and {self.share:g} came.")
        whole("--least", self.least, 1)
        whole("--seed", self.seed, 0)
        within("--seconds", min(self.seconds, 1e99), 0, math.inf, open_low=True)


@dataclass(frozen=True)
class Verified:
    """What came of training runs of a study again.

    ``runs`` has a row a run that was trained: ``run_id``, ``drawn`` or trained beside one that was,
    ``state`` (equal, within, off), and where it differs most: ``table``, ``column``, ``absolute``,
    ``relative``. ``machines`` and ``codes`` say what differs from when the tables were made.
    """

    runs: pd.DataFrame
    of: int
    sample: Sample
    machines: tuple[str, ...]
    codes: tuple[str, ...]

    def count(self, state: str) -> int:
        """Runs in a state."""
        return int((self.runs["state"] == state).sum())

    @property
    def fails(self) -> bool:
        """Whether a run is off on the kind of machine that made the tables."""
        return bool(((self.runs["state"] == "off") & self.runs["same_kind"]).any())


def verify(results: Path, sample: Sample, device: str = "auto") -> Verified:
    """Train a random sample of a study's runs again, and compare all that the tables say of them.

    Needs the cohorts' files and their logs, which give learning rates and the machine of then.
    """
    runs = table_of(results, RUNS).drop_duplicates("run_id", ignore_index=True)
    if runs.empty:
        raise UserError(f"{results} has no runs to verify: finish the study first.")
    drawn = draw(runs, sample)
    chosen = runs[runs["run_id"].isin(drawn)]
    now = provenance()
    stamps = {cohort: _stamp(results, cohort) for cohort in sorted(set(chosen["cohort"]))}
    again, tuning = [], _tuning(results, runs)
    for cohort, members in chosen.groupby("cohort", sort=True):
        only = set(members["run_id"])
        again.append(job.run(_cohort(results, str(cohort)), tuning, device, only))
    logs = {name: pd.concat([part[name] for part in again]) for name in LOGS}
    trained = set(logs["runs"]["run_id"])
    before = {name: _of(results, table, trained) for name, table in LOGS.items()}
    others = _other_kinds(before["runs"], logs["runs"], stamps, now)
    found = _states(before, logs, others)
    found["drawn"] = found["run_id"].isin(drawn)
    codes = sorted({str(stamp.get("code")) for stamp in stamps.values()} - {now["code"]})
    changed = tuple(f"{then} then, {now['code']} now" for then in codes)
    machines = tuple(sorted(set(others.values()) - {""}))
    return Verified(found, len(runs), sample, machines, changed)


def draw(runs: pd.DataFrame, sample: Sample) -> list[str]:
    """The ids of a random sample of ``runs``, which may be trained in about its seconds.

    A run costs what its stack took, unless one beside it was drawn. Runs too expensive for what is
    left are passed over; where even the least number is, the cheapest that are left make it up.
    """
    # The runs of a stack share its wall time equally: they are told by it.
    stack = runs.groupby(["cohort", "seconds"]).ngroup()
    ordered = pd.DataFrame({"run_id": runs["run_id"], "stack": stack})
    ordered["cost"] = runs["seconds"].groupby(stack).transform("sum")
    ordered = ordered.sort_values("run_id").sample(frac=1, random_state=sample.seed)
    wanted = min(len(runs), max(sample.least, math.ceil(sample.share * len(runs))))
    drawn, trained, left = [], set(), sample.seconds
    for row in ordered.itertuples():
        cost = 0.0 if row.stack in trained else row.cost
        if cost <= left and len(drawn) < wanted:
            drawn.append(row.run_id)
            trained.add(row.stack)
            left -= cost
    rest = ordered[~ordered["run_id"].isin(drawn)].sort_values("cost", kind="stable")
    lacking = max(0, min(wanted, sample.least) - len(drawn))
    return drawn + list(rest["run_id"].head(lacking))


def _cohort(results: Path, cohort: str) -> dict:
    return json_of(results, f"cohorts/{cohort}.json")


def _stamp(results: Path, cohort: str) -> dict:
    """The provenance of a cohort's log: the code and the machine that trained it."""
    path = results / "logs" / "runs" / f"{cohort}.parquet"
    if not path.exists():
        raise UserError(
            f"there is no {path}: verification needs the cohorts' logs, which say what machine "
            "trained them. Run `vanishing study` on the config to make them anew."
        )
    return provenance_of(path)


def _tuning(results: Path, runs: pd.DataFrame) -> pd.DataFrame | None:
    """The tuning runs of a study from their logs, as its training read them; None without any."""
    cohorts = sorted(set(runs.loc[runs["split"] == "tuning", "cohort"]))
    logs = [RUN_LOG.read(results / "logs" / "runs" / f"{id_}.parquet") for id_ in cohorts]
    return pd.concat(logs) if logs else None


def _of(results: Path, table: Table, run_ids: set[str]) -> pd.DataFrame:
    """The rows of some runs in a study's table; a run of two batteries has the same row in both."""
    rows = table_of(results, table, where=pc.field("run_id").isin(sorted(run_ids)))
    rows = rows.drop_duplicates(ignore_index=True)
    twice = rows.loc[rows.duplicated(list(table.key)), "run_id"]
    if len(twice):
        raise UserError(
            f"the table {table.name!r} says two things of the run {twice.iloc[0]}: delete "
            f"{results / 'tables'} and start the study again; it will be made anew."
        )
    return rows


def _other_kinds(
    before: pd.DataFrame, again: pd.DataFrame, stamps: Mapping[str, dict], now: dict
) -> dict[str, str]:
    """By run: in what its machine is now of another kind than then; empty where in nothing."""
    device = again.set_index("run_id")["device"]
    said = {}
    for run in before.itertuples():
        then = _kind(stamps[run.cohort], run.device)
        here = _kind(now, device[run.run_id])
        said[run.run_id] = ", ".join(
            f"{what} {then[what]} then, {here[what]} now"
            for what in then
            if then[what] != here[what]
        )
    return said


def _kind(stamp: dict, device: str) -> dict[str, str | None]:
    """What the last bits of a training depend on, of a machine."""
    gpu = stamp.get("gpu") if device != "cpu" else None
    torch = stamp.get("packages", {}).get("torch")
    return {"CPU": stamp.get("cpu"), "torch": torch, "device": device, "GPU": gpu}


def _states(
    before: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame], others: Mapping[str, str]
) -> pd.DataFrame:
    """A row a run: its state, and where it differs most (relatively, as units differ)."""
    parts = [
        differences(table, before[name], again[name], NOT_OF_THE_NUMBERS).assign(table=name)
        for name, table in LOGS.items()
    ]
    every = pd.concat(parts, ignore_index=True)
    worst = every.sort_values(["equal", "relative", "absolute"], ascending=[True, False, False])
    found = worst.drop_duplicates("run_id").sort_values("run_id", ignore_index=True)
    found["same_kind"] = [not others.get(run_id) for run_id in found["run_id"]]
    near = found["run_id"].isin(_near(every, before, again)) & ~found["same_kind"]
    found["state"] = np.select([found["equal"], near], ["equal", "within"], "off")
    return found.drop(columns="equal")


def _near(
    every: pd.DataFrame, before: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame]
) -> set[str]:
    """The runs with the same outcome, and gradients at init within the tolerance."""
    runs = every[every["table"] == "runs"]
    judged = runs[runs["column"].isin(["outcome", *AT_INIT["runs"]])]
    parts = [judged]
    for table in (LAYERS, LAGS):
        first = (frames[table.name] for frames in (before, again))
        at_init = differences(table, *(frame[frame["step"] == 0] for frame in first))
        parts.append(at_init[at_init["column"].isin(AT_INIT[table.name])])
    largest = pd.concat(parts).groupby("run_id")["absolute"].max()
    return set(largest.index[largest <= TOLERANCE])


def as_json(found: Verified) -> str:
    """``verified.json``: what the paper's provenance says of it."""
    sample = found.sample
    bounded = "" if math.isinf(sample.seconds) else f", in about {sample.seconds:g} s of training"
    said = {
        "runs_trained_again": len(found.runs),
        "of_runs": found.of,
        "drawn_at_random": f"{int(found.runs['drawn'].sum())} (seed {sample.seed}{bounded}), "
        "and those trained beside them",
        "equal_to_the_bit": found.count("equal"),
        "within_tolerance": found.count("within"),
        "off": found.count("off"),
        "worst": worst(found),
        "machine": "; ".join(found.machines) or "the kind that made the tables",
        "code_changed": "; ".join(found.codes) or "no",
        "rule": RULE,
    }
    return json.dumps(said, indent=1) + "\n"


def worst(found: Verified) -> str:
    """Which number of which run differs most from the tables."""
    differ = found.runs[found.runs["state"] != "equal"]
    if differ.empty:
        return "nothing differs"
    row = differ.sort_values(["relative", "absolute"], ascending=False, kind="stable").iloc[0]
    where = f"{row['table']}.{row['column']} of run {row['run_id']}"
    if math.isinf(row["absolute"]):
        return f"{where}: another word, or missing in one of the two"
    return f"{where}: by {row['absolute']:.3g}, relatively {row['relative']:.3g}"


def text(found: Verified) -> str:
    """What ``vanishing verify`` prints."""
    said = json.loads(as_json(found))
    width = max(map(len, said))
    return "\n".join(f"{key.replace('_', ' '):<{width}}  {value}" for key, value in said.items())
