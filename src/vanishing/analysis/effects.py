"""From runs to effects: per stratum one number a seed, which is all that a verdict rests on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .measures import MEASURES
from .proportions import success_bounds
from .relations import slope_of
from .statistics import Flips, flips
from .study_tables import Tables

if TYPE_CHECKING:
    from .claims import Analysis

# All that tells one cell from another. sigma_w and sigma_b follow from init, and are not listed.
FACTORS = (
    "family", "task", "data", "activation", "init", "norm", "norm_position", "residual", "block",
    "depth", "width", "stages", "padding", "recurrence", "length", "truncation", "game", "players",
    "generator", "latent", "discriminator_steps", "instance_noise", "normed", "loss", "optimizer",
    "schedule", "clip", "lr_policy", "batch", "steps", "probe_batch",
)  # fmt: skip
# What makes no difference at some level of a factor, where it then stands at its default, or what
# follows from the level: a task's data and loss. The length of a sequence is the task's, whatever
# net sees it.
DETAILS = {
    "norm": ("norm_position", "normed"),
    "residual": ("block",),
    "task": ("data", "loss"),
    "players": ("stages", "padding"),
    "generator": ("discriminator_steps",),
    "family": (
        "stages", "padding", "recurrence", "truncation", "game", "players", "generator", "latent",
        "discriminator_steps", "instance_noise", "normed",
    ),
}  # fmt: skip
ALL = "all"


@dataclass(frozen=True)
class Evidence:
    """A stratum's effect: ``values``, one a seed, with the bounds and p-values they give.

    ``arms`` are the successes (seeds, cells) of two arms where the effect is a difference of
    shares; then bounds are the wider ones of :func:`.proportions.success_bounds`.
    """

    values: np.ndarray
    seed: int
    arms: tuple[np.ndarray, np.ndarray] | None = field(default=None)

    @property
    def n(self) -> int:
        """The seeds that it rests on."""
        return len(self.values)

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(self.values.mean()) if self.n else math.nan

    @property
    def sd(self) -> float:
        """The standard deviation between seeds."""
        return float(self.values.std(ddof=1)) if self.n > 1 else math.nan

    @cached_property
    def flips(self) -> Flips:
        """The sign flips of the values."""
        return flips(self.values, self.seed)

    def bounds(self, tail: float) -> tuple[float, float]:
        """A lower and an upper bound, each wrong with probability at most ``tail``."""
        if self.n == 0:
            return -math.inf, math.inf
        if self.arms is not None:
            return success_bounds(*self.arms, tail, self.seed)
        return self.flips.low(tail), self.flips.high(tail)

    def p_above(self, null: float) -> float:
        """p of "more than ``null``". For shares: more than 0, an exact test only there."""
        return self.flips.p_above(0.0 if self.arms is not None and null > 0 else null)

    def p_below(self, null: float) -> float:
        """p of "less than ``null``". For shares: less than 0."""
        return self.flips.p_below(0.0 if self.arms is not None and null < 0 else null)


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
    runs = runs[runs["battery"].isin(analysis.batteries) & (runs["split"] != "tuning")]
    keep = pd.Series(True, index=runs.index)
    for column, condition in analysis.conditions().items():
        keep &= runs[column].map(condition).astype(bool)
    runs = runs[keep].drop_duplicates("run_id").reset_index(drop=True)
    part = replace(tables, runs=runs)
    names = {"value": analysis.measure}
    if analysis.regress:
        names |= {name: name for name in (analysis.regress.term, *analysis.regress.beside)}
    return runs.assign(**{column: MEASURES[name].of(part) for column, name in names.items()})


def label(row: dict) -> str:
    """The name of a stratum, ``activation=tanh, depth=20``.

    >>> label({"activation": "tanh", "sigma_w": 0.25})
    'activation=tanh, sigma_w=0.25'
    """
    return ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items())


def labels(data: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """The stratum of every row."""
    if not columns:
        return pd.Series(ALL, index=data.index, dtype=object)
    rows = data[list(columns)].to_dict("records")
    return pd.Series([label(row) for row in rows], index=data.index, dtype=object)


def seed_mean(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """The measure itself, a cell and a seed at a time."""
    return data.assign(stratum=labels(data, analysis.strata))[["stratum", "cell", "seed", "value"]]


def paired_by(factor: str) -> list[str]:
    """What a pair of runs shares: the seed, and every factor but ``factor`` and its details."""
    apart = (factor, *DETAILS.get(factor, ()))
    return [name for name in (*FACTORS, "seed") if name not in apart]


def seed_difference(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Treatment less control, paired by :func:`paired_by`."""
    contrast = analysis.contrast
    keys = paired_by(contrast.factor)
    first_of = {k: data.drop_duplicates(keys).set_index(keys)[k] for k in ("sigma_w", "sigma_b")}
    treated = _arm(data, contrast.factor, contrast.treatment, keys)
    parts = []
    for control in contrast.controls:
        other = _arm(data, contrast.factor, control, keys)
        pairs = pd.concat({"treated": treated, "control_value": other}, axis=1, join="inner")
        sigmas = {name: column.reindex(pairs.index) for name, column in first_of.items()}
        pairs = pairs.assign(control=control, **sigmas).reset_index()
        parts.append(pairs.assign(value=pairs["treated"] - pairs["control_value"]))
    pairs = pd.concat(parts, ignore_index=True)
    cell = labels(pairs, (*keys[:-1], "control"))
    return pairs.assign(stratum=labels(pairs, analysis.strata), cell=cell)


def _arm(data: pd.DataFrame, factor: str, level: object, keys: list[str]) -> pd.Series:
    rows = data[data[factor] == level].dropna(subset="value")
    return rows.groupby(keys)["value"].mean()


def seed_regression(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """The coefficient of a regressor over the cells of a seed: as many coefficients as seeds.

    Only cells that every seed has are used, so that all coefficients have the same design.
    """
    on, beside = analysis.regress.term, list(analysis.regress.beside)
    known = data.dropna(subset=["value", on, *beside]).assign(
        stratum=lambda rows: labels(rows, analysis.strata)
    )
    rows = []
    for stratum, part in known.groupby("stratum"):
        seeds = part.groupby("cell")["seed"].transform("nunique")
        for seed, cells in part[seeds == part["seed"].nunique()].groupby("seed"):
            value = slope_of(cells["value"], cells[on], cells[beside])
            rows.append({"stratum": stratum, "cell": "coefficient", "seed": seed, "value": value})
    return pd.DataFrame(rows, columns=["stratum", "cell", "seed", "value"])


TESTS = {
    "seed_mean": Test("mean over seeds, sign-flip test", seed_mean),
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
}


def evidence(effects: pd.DataFrame, shares: bool, seed: int) -> Evidence:
    """The mean over cells for each seed that has all of the cells, every cell of equal weight."""
    key = [effects["seed"], effects["stratum"] + " | " + effects["cell"]]
    wide = effects.groupby(key)["value"].mean().unstack().dropna()
    arms = None
    if shares and len(wide):
        arms = tuple(
            effects.groupby(key)[name].mean().unstack().loc[wide.index].to_numpy()
            for name in ("treated", "control_value")
        )
    return Evidence(wide.mean(axis=1).to_numpy(float), seed, arms)


def by_stratum(effects: pd.DataFrame, shares: bool, seed: int) -> dict[str, Evidence]:
    """The evidence of every stratum, in the order of their names' first appearance."""
    return {
        str(stratum): evidence(part, shares, seed)
        for stratum, part in effects.groupby("stratum", sort=False)
    }


def across_strata(effects: pd.DataFrame) -> np.ndarray:
    """Effects of shape (seeds, strata), of the seeds that have every cell of every stratum."""
    cells = effects.groupby(["seed", "stratum", "cell"])["value"].mean().unstack([1, 2]).dropna()
    return cells.T.groupby(level=0).mean().T.to_numpy(float)
