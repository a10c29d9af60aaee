"""Profiles of cells: what figures show layer by layer, lag by lag, step by step, over seeds.

They are taken cohort by cohort, and only sums are kept: what this needs of memory grows with the
number of cells, and not with that of runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..tables import PROFILES
from ..theory.slope import lag_slope
from .init_measures import saturated_share
from .over_seeds import moments, united

KEY, CELL = list(PROFILES.key), ["cell", "lr_policy"]
WAITING = 100_000  # rows of logs that are summed up together, and of sums that are united
# Quantities of a profile, as the table calls them; scores go by their own names.
OF_LAYERS = "log10_q", "log10_delta_rms"
LAYER_DECAY, SATURATION = "layer_decay", "saturation"
LAG_DECAY, LAG_SLOPE = "lag_decay", "lag_slope"
GENERATOR_GRADIENT = "generator_gradient"
OF_GAMES = "discriminator_accuracy", "saturation_generated"
TEST_ACCURACY = "test_accuracy"

# Of each log the columns that are used, and which rows where not all are.
_ALL, _DRAWN = None, pc.field("step") == 0
USED = {
    "layers": (["run_id", "step", "player", "layer", "q", "log10_delta_rms", "saturation_low",
                "saturation_high"], _DRAWN),
    "lags": (["run_id", "step", "layer", "lag", "log10_delta_rms"], _ALL),
    "games": (["run_id", "step", "log10_generator_gradient", *OF_GAMES], _ALL),
    "scores": (["run_id", "step", "score", "level", "value"], _ALL),
    "curves": (["run_id", "step", "test_accuracy"], _DRAWN),
}  # fmt: skip


class Sums:
    """The profiles of what was added of ``runs``: sums by cell, rates, step, quantity and place.

    ``followed``: the ids of those whose layers are shown at all probe steps.
    """

    def __init__(self, runs: pd.DataFrame, followed: Sequence[str] = ()) -> None:
        cells = runs.set_index("run_id")[[*CELL, "depth"]]
        self.cells = cells.assign(followed=cells.index.isin(followed))
        mine = pc.field("run_id").cast(pa.string()).isin(pa.array(followed, pa.string()))
        self.wanted = {name: where for name, (_, where) in USED.items()}
        self.wanted["layers"] = _DRAWN | mine
        self.waiting: dict[str, list[pa.Table]] = {name: [] for name in USED}
        self.sums: list[pd.DataFrame] = []

    def add(self, logs: Mapping[str, pa.Table]) -> None:
        """Whole runs: the logs of a cohort, by name."""
        for name, (columns, _) in USED.items():
            log, where = logs[name].select(columns), self.wanted[name]
            if len(log):
                self.waiting[name].append(log if where is None else log.filter(where))
        if sum(len(part) for parts in self.waiting.values() for part in parts) > WAITING:
            self._sum_up()

    def _sum_up(self) -> None:
        """Turn what waits into sums, and these into one where they have become many."""
        logs = {
            name: frame(pa.concat_tables(parts).unify_dictionaries())
            for name, parts in self.waiting.items()
            if parts
        }
        self.waiting = {name: [] for name in USED}
        self.sums += [moments(values, KEY) for values in profiles_of(logs, self.cells)]
        sizes = [len(part) for part in self.sums]
        if sum(sizes[1:]) > max(WAITING, *sizes[:1], 0):
            self.sums = [united(pd.concat(self.sums), KEY)]

    def table(self) -> pd.DataFrame:
        """The table ``profiles``."""
        self._sum_up()
        if not self.sums:
            return PROFILES.frame([])
        whole = united(pd.concat(self.sums), KEY).sort_values(KEY, ignore_index=True)
        several = whole["n"].where(whole["n"] > 1) - 1  # the sd of one value is none
        return PROFILES.frame(whole.assign(sd=np.sqrt(whole.pop("squares") / several)))


def profiles_of(logs: Mapping[str, pd.DataFrame], cells: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """What runs add to the profiles, a row a run: the columns of the key, and value.

    ``logs``: the columns USED of each log; ``cells``: cell, lr_policy and depth of the runs by
    run_id, and whether they are followed; a run that is not among them has no part.
    """
    for name, rows in logs.items():
        yield from OF_LOG[name](rows.join(cells, on="run_id", how="inner"))


def frame(table: pa.Table) -> pd.DataFrame:
    """The table for pandas, its strings as such."""
    rows = table.to_pandas()
    return rows.astype(dict.fromkeys(rows.select_dtypes("category").columns, "str"))


def _row(rows: pd.DataFrame, quantity: str | pd.Series, place: object, value: object) -> Iterator:
    if len(rows):
        named = rows[[*CELL, "step"]].assign(quantity=quantity, place=place, value=value)
        yield named.astype({"place": "float64", "value": "float64"})


def of_layers(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """log10 of q and of rms delta by layer and the saturated share, at init; the decay by step.

    Of a GAN its generator's.
    """
    rows = rows[rows["player"] != "discriminator"]
    drawn = rows[rows["step"] == 0]
    q = drawn["q"].astype(float)
    for quantity, value in zip(
        OF_LAYERS, (np.log10(q.where(q > 0)), drawn["log10_delta_rms"]), strict=True
    ):
        yield from _row(drawn, quantity, drawn["layer"], value)
    once = drawn[drawn["layer"] == 1]
    yield from _row(once, SATURATION, 0.0, once["run_id"].map(saturated_share(drawn)))
    mine = rows[rows["followed"]]
    yield from _row(mine, LAYER_DECAY, mine["layer"], _decay(mine))


def _decay(rows: pd.DataFrame) -> pd.Series:
    """log10 rms delta less that of the last layer of the same net at the same step."""
    size = rows["log10_delta_rms"].astype(float)
    keys = [rows["run_id"], rows["step"]]
    return size - size.where(rows["layer"] == rows["depth"]).groupby(keys).transform("max")


def of_lags(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Of the top layer: log10 rms delta at init by lag, less that at lag 0; the slope by step."""
    rows = rows[rows["layer"] == rows["depth"]]
    drawn = rows[rows["step"] == 0]
    size, first = drawn["log10_delta_rms"].astype(float), drawn["lag"] == 0
    last = size[first].set_axis(drawn.loc[first, "run_id"])
    yield from _row(drawn, LAG_DECAY, drawn["lag"], size - drawn["run_id"].map(last).astype(float))
    if len(rows):
        lines = rows.pivot(index=[*CELL, "run_id", "step"], columns="lag", values="log10_delta_rms")
        runs = lines.index.to_frame(index=False)
        yield from _row(runs, LAG_SLOPE, 0.0, lag_slope(lines.to_numpy(float)))


def of_games(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """log10 of the norm of the generator's gradient less that at init, and the other's view."""
    size, first = rows["log10_generator_gradient"].astype(float), rows["step"] == 0
    start = size[first].set_axis(rows.loc[first, "run_id"])
    yield from _row(rows, GENERATOR_GRADIENT, 0.0, size - rows["run_id"].map(start).astype(float))
    for name in OF_GAMES:
        yield from _row(rows, name, 0.0, rows[name])


def of_scores(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Every score at its levels, by its own name."""
    yield from _row(rows, rows["score"], rows["level"], rows["value"])


def of_curves(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The test accuracy before the first update."""
    yield from _row(rows, TEST_ACCURACY, 0.0, rows["test_accuracy"])


OF_LOG = {"layers": of_layers, "lags": of_lags, "games": of_games, "scores": of_scores,
          "curves": of_curves}  # fmt: skip
