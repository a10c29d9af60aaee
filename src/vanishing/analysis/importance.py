"""Which factor matters most, for a measure of a battery: shares of variance, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..tables import IMPORTANCE
from .bootstrap import draws_of, ends
from .factors import FACTORS, differing, levels_of
from .measures import MEASURES
from .study_tables import Tables

SHOWN = ("slope", "weight_slope", "test_accuracy")  # the ranking depends on the measure
DRAWS = 1000
RIDGE = 1e-10  # of a design's mean square: lets draws that lost a cell be solved, and moves nothing
Terms = dict[tuple[str, ...], NDArray]  # a factor or two, and the columns that code it


def importance(tables: Tables, seed: int) -> pd.DataFrame:
    """omega squared of every factor, and every pair, of the batteries that cross two or more.

    Of the runs of judged seeds; a measure that no run of a battery has, or that is the same in all,
    gives no row.
    """
    runs = tables.runs[tables.runs["split"] == "judged"]
    rows = []
    for battery, part in runs.groupby("battery", sort=False):
        part = part.drop_duplicates("run_id").reset_index(drop=True)
        if len(varying(part)) < 2:
            continue
        for measure in SHOWN:
            value = MEASURES[measure].of(replace(tables, runs=part)).astype(float)
            found = explained(part.assign(value=value), seed)
            rows += found.assign(battery=battery, measure=measure).to_dict("records")
    return IMPORTANCE.frame(rows)


def varying(runs: pd.DataFrame) -> list[str]:
    """The factors of ``runs`` with more than one level, without those that follow from another.

    A factor follows from another that tells it in every run: of two that tell each other the one
    that :data:`.factors.FACTORS` has first stays.
    """
    levels = {name: runs[name].nunique() for name in differing(levels_of(runs, FACTORS))}
    several = sorted(levels, key=lambda name: -levels[name])
    kept: list[str] = []
    for name in several:
        if not any((runs.groupby(other)[name].nunique() == 1).all() for other in kept):
            kept.append(name)
    return [name for name in FACTORS if name in kept]


def explained(data: pd.DataFrame, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    r"""omega squared of each term in ``value``, with a 95 % bootstrap interval over seeds.

    The model has the main effects of all varying factors, all their two-way interactions, and the
    seed as a block; higher interactions are part of its error. Of a term t with type II sum of
    squares :math:`SS_t` (given all terms that do not contain it),

    .. math:: \omega_t^2 = \frac{SS_t - df_t\, MSE}{SS_{total} + MSE}

    (Hays 1963; Olejnik and Algina 2003). It may be below 0, as an estimate of 0 must. Only terms of
    which every contrast can be estimated get a row.

    Interval: seeds are drawn anew with all their runs. A draw's omega squared estimates the share
    among these seeds, :math:`SS_t / SS_{total}`, chance and all; its quantiles (:func:`.ends`) are
    therefore shifted by what omega squared takes off that.
    """
    data = data[np.isfinite(data["value"])]
    factors = varying(data)
    if len(factors) < 2 or data["value"].nunique() < 2:
        return pd.DataFrame()
    model = _Model.of(data, factors)
    if model.freedom < 1:
        return pd.DataFrame()
    squares = {term: s for term in model.terms if (s := model.squares(term)) is not None}
    value, raw = _shares(model, squares, np.ones((1, model.seeds)))
    rows = pd.DataFrame({"term": map(":".join, squares), "order": map(len, squares)})
    rows = rows.assign(omega_squared=value[0], low=np.nan, high=np.nan, n=model.seeds)
    if model.seeds > 1:
        drawn, _ = _shares(model, squares, draws_of(model.seeds, draws, seed))
        rows["low"], rows["high"] = np.nanquantile(drawn, ends(model.seeds), axis=0) + value - raw
    return rows


@dataclass(frozen=True)
class _Squares:
    """The two fits whose residuals differ by a term's sum of squares: their columns."""

    without: NDArray
    with_it: NDArray
    freedom: int


@dataclass(frozen=True)
class _Model:
    """A linear model with the seed as a block: what each seed adds to its normal equations.

    Columns and values are centred within seeds, which is what a block does (Frisch and Waugh
    1933); so seeds can be drawn by weighing their sums.
    """

    terms: tuple[tuple[str, ...], ...]
    places: dict[tuple[str, ...], NDArray]  # the columns of a term
    design: NDArray  # (run, column), centred within seeds
    gram: NDArray  # (seed, column, column)
    cross: NDArray  # (seed, column)
    square: NDArray  # (seed): of the centred values
    sums: NDArray  # (seed, 3): runs, and the sums of the values and of their squares

    @classmethod
    def of(cls, data: pd.DataFrame, factors: list[str]) -> _Model:
        """The model of ``value`` over ``factors`` and ``seed``."""
        coded = _coded(data, factors)
        places, end = {}, 0
        for term, columns in coded.items():
            places[term] = np.arange(end, end := end + columns.shape[1])
        raw = data["value"].to_numpy(float)
        value = raw - raw.mean()
        blocks = list(_blocks(data["seed"]))
        x = np.column_stack(list(coded.values()))
        y = value.copy()
        for rows in blocks:
            x[rows] -= x[rows].mean(axis=0)
            y[rows] -= y[rows].mean()
        return cls(
            tuple(coded), places, x,
            np.stack([x[rows].T @ x[rows] for rows in blocks]),
            np.stack([x[rows].T @ y[rows] for rows in blocks]),
            np.array([y[rows] @ y[rows] for rows in blocks]),
            np.array([(len(own), own.sum(), own @ own) for own in map(value.__getitem__, blocks)]),
        )  # fmt: skip

    @property
    def seeds(self) -> int:
        """The blocks."""
        return len(self.square)

    @property
    def everything(self) -> NDArray:
        """All columns."""
        return np.arange(self.design.shape[1])

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the error."""
        return len(self.design) - self.seeds - self._rank(self.everything)

    def squares(self, term: tuple[str, ...]) -> _Squares | None:
        """The fits that tell a term; None where not all of its contrasts can be estimated."""
        containing = [other for other in self.terms if set(term) <= set(other)]
        without = self._columns(other for other in self.terms if other not in containing)
        with_it = self._columns(o for o in self.terms if o == term or o not in containing)
        freedom = self._rank(with_it) - self._rank(without)
        complete = freedom == len(self.places[term])
        return _Squares(without, with_it, freedom) if complete else None

    def residual(self, columns: NDArray, weights: NDArray) -> NDArray:
        """Residual sums of squares with the seeds weighed, for each row of ``weights``."""
        square = weights @ self.square
        if not len(columns):
            return square
        gram = np.tensordot(weights, self.gram[:, columns[:, None], columns], 1)
        cross = weights @ self.cross[:, columns]
        least = RIDGE * np.trace(gram, axis1=1, axis2=2) / len(columns)
        if len(weights) == 1:  # exact, whatever the rank
            solved = np.linalg.lstsq(gram[0], cross[0], rcond=1e-12)[0][None]
        else:
            diagonal = np.arange(len(columns))
            gram[:, diagonal, diagonal] += least[:, None]
            solved = np.linalg.solve(gram, cross[..., None])[..., 0]
        return square - np.einsum("dc,dc->d", cross, solved)

    def _columns(self, terms: Iterator[tuple[str, ...]]) -> NDArray:
        return np.concatenate([np.empty(0, int), *(self.places[term] for term in terms)])

    def _rank(self, columns: NDArray) -> int:
        return int(np.linalg.matrix_rank(self.design[:, columns])) if len(columns) else 0


def _shares(model: _Model, squares: dict, weights: NDArray) -> tuple[NDArray, NDArray]:
    """omega squared and SS_t / SS_total, each of shape (draw, term)."""
    runs, sums, total = (weights @ model.sums).T
    total -= sums**2 / runs
    fits = {}
    for one in squares.values():
        for columns in (one.without, one.with_it):
            key = columns.tobytes()
            if key not in fits:
                fits[key] = model.residual(columns, weights)
    left = model.residual(model.everything, weights)
    error = left / (runs - len(model.design) + model.freedom)
    explained = np.column_stack(
        [fits[one.without.tobytes()] - fits[one.with_it.tobytes()] for one in squares.values()]
    )
    by_chance = error[:, None] * [one.freedom for one in squares.values()]
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw in which nothing varies
        return (explained - by_chance) / (total + error)[:, None], explained / total[:, None]


def _coded(data: pd.DataFrame, factors: list[str]) -> Terms:
    """Each factor in columns that sum to 0 over its levels, each pair in their products."""
    mains = {name: _sum_to_zero(data[name]) for name in factors}
    terms: Terms = {(name,): columns for name, columns in mains.items()}
    for one, two in combinations(factors, 2):
        product = mains[one][:, :, None] * mains[two][:, None, :]
        terms[one, two] = product.reshape(len(data), -1)
    return terms


def _sum_to_zero(levels: pd.Series) -> NDArray:
    codes, names = pd.factorize(levels, sort=True)
    return np.vstack([np.eye(len(names) - 1), -np.ones(len(names) - 1)])[codes]


def _blocks(seeds: pd.Series) -> Iterator[NDArray]:
    codes, names = pd.factorize(seeds, sort=True)
    return (np.flatnonzero(codes == block) for block in range(len(names)))
