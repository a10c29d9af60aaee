"""Tests over the cells of a seed: how a measure goes with another one, as one number a seed.

The cells of a seed are not independent draws, so none of these numbers has an error of its own: it
is their scatter between seeds that a verdict rests on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .relations import power_less_exponential, slope_of, spearman
from .strata import labels
from .survival import peto

if TYPE_CHECKING:
    from .claims import Analysis

# What the numbers below are made of: other columns of a run are not carried along, for speed.
TIMES = ("steps_to_threshold", "steps")
USED = ("cell", "seed", "value", *TIMES)
# The cells of a seed in the order of their names, the term and what stands beside it -> a number.
Statistic = Callable[[pd.DataFrame, str, list[str]], float]


def seed_regression(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """The least-squares coefficient of the term, with ``beside`` in the same fit."""
    return _of_seeds(data, analysis, "coefficient", _coefficient)


def seed_rank(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Spearman's correlation of value and term; with ``beside`` the partial one.

    Over the levels of an ordered factor the mean over seeds is a linear function of Page's L, the
    test of a trend in blocks. Missing where value or term is constant, or follows from ``beside``.
    """
    return _of_seeds(data, analysis, "rank correlation", _rank)


def seed_thirds(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Mean value of the third of the cells with the largest term, less that of the smallest."""
    return _of_seeds(data, analysis, "largest less smallest third", _thirds)


def seed_hazard(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Log hazard ratio of reaching the threshold: third with the largest term over the smallest.

    Peto's estimate, see :func:`.survival.peto`. Times are ``steps_to_threshold``, censored at
    ``steps`` where the threshold is not reached (by a run that diverged, too). The measure of the
    analysis plays no part.
    """
    trained = data[data["steps"] > 0]
    return _of_seeds(trained, analysis, "log hazard ratio", _hazard, needed=())


def seed_shape(data: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """AIC of a power law in the term less that of an exponential, where values are logarithms.

    See :func:`.relations.power_less_exponential`; the term is a depth.
    """
    return _of_seeds(data, analysis, "shape", _shape)


def _of_seeds(
    data: pd.DataFrame,
    analysis: Analysis,
    name: str,
    statistic: Statistic,
    needed: Sequence[str] = ("value",),
) -> pd.DataFrame:
    """The ``statistic`` of each seed's cells, stratum by stratum: stratum, cell, seed, value.

    Only cells that every seed of the stratum has are used, so that all numbers have one design.
    """
    term, beside = analysis.regress.term, list(analysis.regress.beside)
    known = data.dropna(subset=[*needed, term, *beside]).assign(
        stratum=lambda rows: labels(rows, analysis.strata)
    )
    known = known[list(dict.fromkeys(["stratum", *USED, term, *beside]))]
    rows = [
        {"stratum": stratum, "cell": name, "seed": seed, "value": statistic(cells, term, beside)}
        for stratum, part in known.groupby("stratum")
        for seed, cells in _shared(part).groupby("seed")
    ]
    return pd.DataFrame(rows, columns=["stratum", "cell", "seed", "value"])


def _shared(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of cells that every seed has, in the order of their names, which are left out."""
    seeds = part.groupby("cell")["seed"].transform("nunique")
    shared = part[seeds == part["seed"].nunique()].sort_values("cell", kind="stable")
    return shared.drop(columns=["stratum", "cell"])


def _coefficient(cells: pd.DataFrame, term: str, beside: list[str]) -> float:
    return slope_of(cells["value"], cells[term], cells[beside])


def _rank(cells: pd.DataFrame, term: str, beside: list[str]) -> float:
    return spearman(cells["value"], cells[term], cells[beside]).value


def _thirds(cells: pd.DataFrame, term: str, _: list[str]) -> float:
    smallest, largest = _ends(cells, term)
    if not len(smallest):
        return math.nan
    value = cells["value"].to_numpy(float)
    return float(value[largest].mean() - value[smallest].mean())


def _hazard(cells: pd.DataFrame, term: str, _: list[str]) -> float:
    smallest, largest = _ends(cells, term)
    compared = np.r_[largest, smallest]
    reached, until = (cells[c].to_numpy(float, na_value=math.nan)[compared] for c in TIMES)
    known = ~np.isnan(reached)
    return peto(np.where(known, reached, until), known, np.arange(len(compared)) < len(largest))[0]


def _shape(cells: pd.DataFrame, term: str, _: list[str]) -> float:
    return power_less_exponential(cells["value"], cells[term])


def _ends(cells: pd.DataFrame, term: str) -> tuple[NDArray, NDArray]:
    """Places of the thirds (rounded down) with the smallest and the largest term; ties by name.

    Both are empty where they do not differ in the term.
    """
    terms = cells[term].to_numpy(float)
    order = np.argsort(terms, kind="stable")  # cells come in the order of their names
    third = len(order) // 3
    smallest, largest = order[:third], order[len(order) - third :]
    if third and terms[smallest[-1]] < terms[largest[0]]:
        return smallest, largest
    return order[:0], order[:0]
