"""From runs to effects: per stratum one number a seed, which is all that a verdict rests on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .factors import DETAILS as DETAILS
from .factors import FACTORS as FACTORS
from .factors import differing, levels_of, paired_by
from .measures import MEASURES
from .per_seed import seed_hazard, seed_rank, seed_regression, seed_shape, seed_thirds
from .proportions import share_bounds, success_bounds
from .statistics import Flips, flips
from .strata import ALL as ALL
from .strata import label as label
from .strata import labels as labels
from .study_tables import Tables

if TYPE_CHECKING:
    from .claims import Analysis


@dataclass(frozen=True)
class Evidence:
    """A stratum's effect: ``values``, one a seed, with the bounds and p-values they give.

    ``arms`` are the successes (seeds, cells) of one arm where the effect is a share, of two where
    it is a difference of shares; then bounds are the wider ones of
    :func:`.proportions.share_bounds` or :func:`.proportions.success_bounds`.
    """

    values: np.ndarray
    seed: int
    arms: tuple[np.ndarray, ...] = field(default=())
    _bounds: dict[float, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)

    @property
    def n(self) -> int:
        """The seeds that it rests on."""
        return len(self.values)

    @cached_property
    def value(self) -> float:
        """The mean over seeds."""
        return float(self.values.mean()) if self.n else math.nan

    @cached_property
    def sd(self) -> float:
        """The standard deviation between seeds."""
        return float(self.values.std(ddof=1)) if self.n > 1 else math.nan

    @cached_property
    def flips(self) -> Flips:
        """The sign flips of the values."""
        return flips(self.values, self.seed)

    def bounds(self, tail: float) -> tuple[float, float]:
        """A lower and an upper bound, each wrong with probability at most ``tail``."""
        if tail not in self._bounds:  # asked for by every row and rule that rests on it
            self._bounds[tail] = self._bounds_at(tail)
        return self._bounds[tail]

    def _bounds_at(self, tail: float) -> tuple[float, float]:
        if self.n == 0:
            return -math.inf, math.inf
        if self.arms:
            bounds = success_bounds if len(self.arms) == 2 else share_bounds
            return bounds(*self.arms, tail, self.seed)
        return self.flips.low(tail), self.flips.high(tail)

    def p_above(self, null: float) -> float:
        """p of "more than ``null``". Of two shares: more than 0, an exact test only there."""
        return self.flips.p_above(0.0 if len(self.arms) == 2 and null > 0 else null)

    def p_below(self, null: float) -> float:
        """p of "less than ``null``". Of two shares: less than 0."""
        return self.flips.p_below(0.0 if len(self.arms) == 2 and null < 0 else null)


@dataclass(frozen=True)
class Test:
    """How effects are made of runs. ``needs``: the parts of an analysis that it rests on."""

    __test__ = False  # not a test case of pytest

    meaning: str
    effects: Callable[[pd.DataFrame, Analysis], pd.DataFrame]  # stratum, cell, seed, value
    needs: tuple[str, ...] = ()


def observed(analysis: Analysis, tables: Tables) -> pd.DataFrame:
    """The runs that an analysis rests on, tuning seeds left out, with ``value`` and regressors."""
    runs = tables.runs
    keep = runs["battery"].isin(analysis.batteries) & (runs["split"] != "tuning")
    for column, condition in analysis.conditions().items():
        codes, levels = pd.factorize(runs[column], use_na_sentinel=False)
        keep &= np.array([condition(level) for level in levels], bool)[codes]
    keep[keep] = ~runs.loc[keep, "run_id"].duplicated()
    runs = runs[keep].reset_index(drop=True)
    part = replace(tables, runs=runs)
    names = {"value": analysis.measure}
    if analysis.regress:
        names |= {name: name for name in (analysis.regress.term, *analysis.regress.beside)}
    found = runs.assign(**{column: MEASURES[name].of(part) for column, name in names.items()})
    # Rates that are each judged share a cell's id, and are cells of their own here.
    return found.assign(cell=found["cell"] + " " + found["lr_policy"])


def seed_mean(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """The measure itself, a cell and a seed at a time."""
    return data.assign(stratum=labels(data, analysis.strata))[["stratum", "cell", "seed", "value"]]


def seed_difference(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Treatment less control, paired by :func:`paired_by`."""
    contrast = analysis.contrast
    keys = paired_by(contrast.factor)
    # Pairs have a number: to group by one column costs a tenth of grouping by thirty.
    values = pd.DataFrame(
        {"pair": _numbered(data, keys), "arm": data[contrast.factor], "value": data["value"]}
    )
    pair, first = np.unique(values["pair"].to_numpy(), return_index=True)
    treated = _arm(values, contrast.treatment)
    parts = []
    for control in contrast.controls:
        other = _arm(values, control)
        pairs = pd.concat({"treated": treated, "control_value": other}, axis=1, join="inner")
        shared = data[[*keys, "sigma_w", "sigma_b"]].iloc[first[np.searchsorted(pair, pairs.index)]]
        shared = shared.assign(control=control)
        parts.append(
            shared.assign(
                **{arm: pairs[arm].to_numpy() for arm in pairs},
                value=(pairs["treated"] - pairs["control_value"]).to_numpy(),
                stratum=labels(shared, analysis.strata),
                cell=labels(shared, (*keys[:-1], "control")),
            )
        )
    return pd.concat(parts, ignore_index=True)


def _numbered(data: pd.DataFrame, keys: list[str]) -> pd.Series:
    """The number of each row's combination of ``keys``, in their order."""
    return data.groupby(differing(levels_of(data, keys)) or keys[-1:]).ngroup()


def _arm(values: pd.DataFrame, level: object) -> pd.Series:
    rows = values[values["arm"] == level].dropna(subset="value")
    return rows.groupby("pair")["value"].mean()


TESTS = {
    "seed_mean": Test(
        "mean over seeds, sign-flip test (of shares Wilson's interval, or the seeds' where that is "
        "wider)",
        seed_mean,
    ),
    "seed_difference": Test(
        "difference paired by seed, sign-flip test", seed_difference, ("contrast",)
    ),
    "success_difference": Test(
        "difference of shares paired by seed: sign-flip test against 0 (with one cell exact "
        "McNemar), Newcombe's interval or the seeds' where that is wider",
        seed_difference,
        ("contrast",),
    ),
    "seed_regression": Test(
        "a seed's regression coefficient over cells, sign-flip test", seed_regression, ("regress",)
    ),
    "seed_rank": Test(
        "a seed's rank correlation over cells (Spearman's; the partial one where other measures "
        "are held fixed), sign-flip test",
        seed_rank,
        ("regress",),
    ),
    "seed_thirds": Test(
        "a seed's mean over the third of cells with the largest term less that over the third "
        "with the smallest, sign-flip test",
        seed_thirds,
        ("regress",),
    ),
    "seed_hazard": Test(
        "a seed's log hazard ratio of reaching the loss threshold (Peto's), third of cells with "
        "the largest term over the third with the smallest, censored at the last update, "
        "sign-flip test",
        seed_hazard,
        ("regress",),
    ),
    "seed_shape": Test(
        "a seed's AIC of a power law in the term less AIC of an exponential, over cells, "
        "sign-flip test",
        seed_shape,
        ("regress",),
    ),
}


@dataclass(frozen=True)
class CellEffects:
    """Effects of shape (seeds, cells), not a number where a seed lacks a cell.

    ``arms``: of shares, their values, or those of treatment and control.
    """

    seeds: np.ndarray
    strata: np.ndarray  # the stratum of each cell
    value: np.ndarray
    arms: tuple[np.ndarray, ...] = ()

    def of(self, seeds: np.ndarray) -> CellEffects:
        """Some seeds alone, with the cells that any of them has; ``seeds``: which, as a mask."""
        cells = ~np.isnan(self.value[seeds]).all(axis=0)
        value, *arms = (table[seeds][:, cells] for table in (self.value, *self.arms))
        return CellEffects(self.seeds[seeds], self.strata[cells], value, tuple(arms))

    def evidence(self, seed: int) -> Evidence:
        """The mean over cells for each seed that has all of them, every cell of equal weight."""
        return self._evidence(np.ones(len(self.strata), bool), seed)

    def by_stratum(self, seed: int) -> dict[str, Evidence]:
        """The evidence of every stratum that a seed has every cell of."""
        found = {
            str(name): self._evidence(self.strata == name, seed)
            for name in dict.fromkeys(self.strata)
        }
        return {name: e for name, e in found.items() if e.n}

    def across_strata(self) -> np.ndarray:
        """Effects of shape (seeds, strata), of the seeds that have every cell of every stratum."""
        value = self.value[~np.isnan(self.value).any(axis=1)]
        names = dict.fromkeys(self.strata)
        return np.column_stack([value[:, self.strata == name].mean(axis=1) for name in names])

    def _evidence(self, cells: np.ndarray, seed: int) -> Evidence:
        complete = ~np.isnan(self.value[:, cells]).any(axis=1)
        value, *arms = (table[complete][:, cells] for table in (self.value, *self.arms))
        return Evidence(value.mean(axis=1), seed, tuple(arms) if len(value) else ())


def by_cell(effects: pd.DataFrame, shares: bool) -> CellEffects:
    """Effects (a row a stratum, cell and seed) as tables; strata in the order of the rows."""
    both = ["treated", "control_value"] if "treated" in effects else ["value"]
    arms = both if shares else []
    effects = effects[["stratum", "cell", "seed", *dict.fromkeys(["value", *arms])]]
    effects = effects.dropna(subset="value")
    cells = effects.groupby(["stratum", "cell"], sort=False).ngroup().to_numpy()
    seeds, row = np.unique(effects["seed"].to_numpy(), return_inverse=True)
    first = np.unique(cells, return_index=True)[1]
    strata = effects["stratum"].to_numpy(object)[first]
    value, *arms = (_mean(effects[name], row, cells) for name in ("value", *arms))
    return CellEffects(seeds, strata, value, tuple(arms))


def _mean(values: pd.Series, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    shape = (row.max(initial=-1) + 1, column.max(initial=-1) + 1)
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (row, column), values.to_numpy(float))
    np.add.at(count, (row, column), 1)
    return np.divide(total, count, out=np.full(shape, math.nan), where=count > 0)
