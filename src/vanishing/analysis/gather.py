"""The cohorts' logs put together: the tables of a study that its trainings fill.

Logs pass through cohort by cohort. What stays in memory is the table of runs, the sums that the
profiles are made of, of each table no more rows than fill a row group, and a few cohorts' logs.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import UserError
from ..table import Table
from ..tables import LOGS, PROFILES, RUN_LOG, RUNS
from .dynamics import COLUMNS, followed
from .estimates import signals
from .finished import path_of
from .over_seeds import judged
from .profiles import Sums, frame
from .study_tables import Tables

LONG = {name: table for name, table in LOGS.items() if table is not RUN_LOG}
# What the class of a cell's signal rests on: columns of runs, and of layers at init.
OF_SIGNAL = ["run_id", "cell", "seed", "recurrence", "vanishing_index", "lag_index"]
AT_INIT = ["run_id", "step", "player", "layer", "log10_delta_rms", "delta_zero_fraction",
           "nonfinite_fraction"]  # fmt: skip

AHEAD, READERS = 4, 2  # cohorts whose logs wait in memory to be put together, and who reads them


def gather(results: Path, stamp: Mapping | None = None) -> None:
    """Write the tables from the logs of the plan's cohorts, as many of them as are there.

    A run that two batteries ask for was trained once: it has a row in ``runs`` for each of them.
    Runs of a cohort that no battery asks for any more are left out. ``stamp``: the provenance.
    """
    plan = json.loads((results / "plan.json").read_text())
    cohorts = [cohort["id"] for cohort in plan["cohorts"]]
    runs = _asked_for(_runs_of(results, cohorts), plan["members"])
    shown = judged(frame(runs.select(["run_id", "cell", "lr_policy", "depth", "split"])))
    sums = Sums(shown, followed(_trained(runs))["run_id"].unique())
    overflowed = _pass_through(results, _by_cohort(runs, cohorts), sums, stamp)
    found = signals(Tables(frame(runs.select(OF_SIGNAL)), overflowed))
    runs = runs.append_column("signal", pa.array(found, pa.string()))
    with RUNS.writer(path_of(results, RUNS), stamp) as rows:
        rows.add(runs.select(list(RUNS.columns)).cast(RUNS.schema()))
    PROFILES.write(sums.table(), path_of(results, PROFILES), stamp)


def _trained(runs: pa.Table) -> pd.DataFrame:
    """The judged trainings among the runs: what decides which of them are followed."""
    mine = (pc.field("steps") > 0) & (pc.field("split").cast(pa.string()) == "judged")
    return frame(runs.filter(mine).select(COLUMNS))


def _runs_of(results: Path, cohorts: list[str]) -> pa.Table:
    """The runs of all cohorts, one below the other in the order of the plan."""
    files = (_file(results, RUN_LOG, cohort) for cohort in cohorts)
    found = list(_ahead(RUN_LOG.load, [file for file in files if file.exists()]))
    runs = pa.concat_tables(found or [RUN_LOG.schema().empty_table()]).unify_dictionaries()
    ids = frame(runs.select(["run_id", "cohort"]))
    if len(twice := ids[ids["run_id"].duplicated(keep=False)]):
        run, owners = twice["run_id"].iloc[0], sorted(set(twice["cohort"]))
        raise UserError(
            f"run {run} is in the logs of more than one cohort ({', '.join(owners)}): delete the "
            f"logs of all but one in {results / 'logs'}, and start again."
        )
    return runs.combine_chunks()


def _asked_for(runs: pa.Table, members: Mapping[str, list[str]]) -> pa.Table:
    """A row for each run of each battery, in the plan's order, as far as the runs are there."""
    place = pd.Index(runs["run_id"].to_pandas().astype("str"))
    parts = []
    for battery, ids in members.items():
        rows = place.get_indexer(pd.Index(ids, dtype="str"))
        mine = runs.take(pa.array(rows[rows >= 0], pa.int64()))
        parts.append(mine.append_column("battery", pa.array([battery] * len(mine), pa.string())))
    empty = runs.slice(0, 0).append_column("battery", pa.array([], pa.string()))
    return pa.concat_tables([empty, *parts])


def _by_cohort(runs: pa.Table, cohorts: list[str]) -> dict[str, pa.Array]:
    """The ids of the ``runs`` of every cohort that has some, in the order of the plan."""
    once = frame(runs.select(["run_id", "cohort"])).drop_duplicates("run_id")
    found = {id_: pa.array(own, pa.string()) for id_, own in once.groupby("cohort")["run_id"]}
    return {cohort: found[cohort] for cohort in cohorts if cohort in found}


def _pass_through(
    results: Path, runs: Mapping[str, pa.Array], sums: Sums, stamp: Mapping | None
) -> pd.DataFrame:
    """Write the long tables and add up the profiles; gives the layers that overflowed at init."""
    overflowed = []
    with ExitStack() as stack:
        parts = {
            name: stack.enter_context(table.writer(path_of(results, table), stamp))
            for name, table in LONG.items()
        }
        for logs in _ahead(lambda cohort: _logs_of(results, *cohort), runs.items()):
            for name, log in logs.items():
                parts[name].add(log)
            sums.add(logs)
            overflowed.append(_overflowed(logs["layers"]))
    empty = LONG["layers"].schema().empty_table().select(AT_INIT)
    return frame(pa.concat_tables([empty, *overflowed]).unify_dictionaries().select(AT_INIT))


def _ahead(of: Callable, each: Iterable) -> Iterator:
    """``map(of, each)``, in its order, where the next few are made while one is worked on."""
    with ThreadPoolExecutor(READERS) as readers:
        coming: deque[Future] = deque()
        try:
            for one in each:
                coming.append(readers.submit(of, one))
                if len(coming) > AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def _logs_of(results: Path, cohort: str, mine: pa.Array) -> dict[str, pa.Table]:
    """The long logs of a trained cohort: the rows of those of its runs that are asked for."""
    logs = {}
    for name, table in LONG.items():
        log = _log(results, table, cohort)
        asked = pc.is_in(log["run_id"].cast(pa.string()), mine)
        logs[name] = log if pc.all(asked, min_count=0).as_py() else log.filter(asked)
    return logs


def _log(results: Path, table: Table, cohort: str) -> pa.Table:
    """A long log of a trained cohort, which has all of them."""
    file = _file(results, table, cohort)
    if not file.exists():
        vouches = _file(results, RUN_LOG, cohort)
        raise UserError(
            f"{file} is missing, and {vouches} says that the cohort is trained. Delete that too, "
            "and start again: the cohort will be trained anew."
        )
    return table.load(file)


def _overflowed(layers: pa.Table) -> pa.Table:
    """The rows at init that tell a gradient that overflowed from one that vanished."""
    gone = pc.field("log10_delta_rms").is_null() & (pc.field("delta_zero_fraction") < 1)
    first = (pc.field("layer") == 1) & gone
    bad = pc.field("nonfinite_fraction") > 0
    return layers.select(AT_INIT).filter((pc.field("step") == 0) & (first | bad))


def _file(results: Path, table: Table, cohort: str) -> Path:
    return results / "logs" / table.name / f"{cohort}.parquet"
