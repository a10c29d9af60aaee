"""How deep a network can be and still train: the depth of half success, and theory's scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..parts import laws, spreads
from ..parts.activations import ACTIVATIONS
from ..parts.inits import INITS
from ..tables import FRONTIERS
from ..theory.cell import centred
from ..theory.fixed_points import xi_c
from .bootstrap import draws_of, ends
from .importance import varying
from .measures import MEASURES
from .statistics import Estimate, mean_interval
from .study_tables import Tables

ARM = ["activation", "init", "norm", "residual"]
LAWS = (laws.normal, laws.uniform, laws.orthogonal)  # of weights that theory takes for random
LEAST_DEPTHS = 3
DRAWS = 2000
ITERATIONS = 200  # of Newton's method, at most
STEP = 2.0  # of it, in standard deviations, at most
HALF = 0.5
CRITICAL = 1e4  # layers: a scale that long is that of a critical init, but for rounding
FLAT = 1e-9  # a slope that is nearer to 0 is rounding: success does not change with depth
FARTHEST = math.log(1e9)  # of a depth: beyond it, or below its inverse, a curve says nothing


@dataclass(frozen=True)
class Curve:
    r"""Success against depth, :math:`p = 1 / (1 + \exp(-(a + b \ln L)))`."""

    intercept: float
    slope: float

    def __call__(self, depth: ArrayLike) -> NDArray:
        """The share that trains at ``depth``."""
        return 1 / (1 + np.exp(-(self.intercept + self.slope * np.log(depth))))

    @property
    def depth_50(self) -> float:
        """L_50 in layers; missing where success does not fall with depth."""
        return _layers(-self.intercept / self.slope) if self.slope < -FLAT else math.nan


def _layers(log: float) -> float:
    return math.exp(log) if abs(log) < FARTHEST else math.nan


def frontiers(tables: Tables, seed: int) -> pd.DataFrame:
    """L_50 of every arm of the batteries that train at three depths or more, of judged seeds.

    A battery that varies anything besides depth and the arm (a width, a rate) has no rows: its runs
    would make one curve of several.
    """
    runs = tables.runs[(tables.runs["split"] == "judged") & tables.runs["steps"].gt(0)]
    rows = []
    for battery, part in runs.groupby("battery", sort=False):
        part = part.drop_duplicates("run_id").reset_index(drop=True)
        if part["depth"].nunique() < LEAST_DEPTHS or set(varying(part)) - {*ARM, "depth"}:
            continue
        part = part.assign(success=MEASURES["success"].of(replace(tables, runs=part)))
        for arm, own in part.dropna(subset="success").groupby(ARM, sort=False):
            row = {"battery": battery, **dict(zip(ARM, arm, strict=True))}
            rows.append(row | frontier(own, seed) | {"xi": depth_scale(own)})
    return FRONTIERS.frame(rows)


def frontier(data: pd.DataFrame, seed: int, draws: int = DRAWS) -> dict[str, object]:
    """``depth_50`` with ``low`` and ``high``, ``beyond`` and ``n``: of runs of one arm.

    Interval: seeds are drawn anew with all their runs (:mod:`.bootstrap`). A draw in which all of a
    depth's runs train or none does, at every depth, tells L_50 no closer than the two depths on
    either side of its step: there L_50 is drawn between them, evenly over log depth. A draw whose
    success does not fall bounds nothing: its L_50 is infinite where half of its runs train or more,
    else 0. An end that is infinite or 0 is no bound, and left out.
    """
    depths, success, runs = _counts(data)
    share = success.sum(axis=0) / runs.sum(axis=0)
    found = {"depth_50": math.nan, "low": math.nan, "high": math.nan, "n": len(runs)}
    found["beyond"] = (
        "deeper" if share[-1] >= HALF else "shallower" if share[0] < HALF else "inside"
    )
    if len(depths) > 1 and 0 < success.sum() < runs.sum():
        found["depth_50"] = fitted(data).depth_50
    if len(runs) > 1 and len(depths) > 1:
        weights = draws_of(len(runs), draws, seed)
        drawn = _log_half(np.log(depths), weights @ success, weights @ runs, seed)
        bounds = np.quantile(drawn, ends(len(runs)), method="inverted_cdf")
        low, high = map(_layers, bounds)
        found |= {"low": low, "high": high}
    return found


def fitted(data: pd.DataFrame) -> Curve:
    """The curve of ``success`` over ``depth``, by :func:`logistic`; missing at a single depth."""
    depths, success, runs = _counts(data)
    if len(depths) < 2:
        return Curve(math.nan, math.nan)
    [line] = logistic(np.log(depths), success.sum(axis=0)[None], runs.sum(axis=0)[None])
    return Curve(*map(float, line))


def logistic(x: NDArray, success: NDArray, runs: NDArray, penalty: float = 0.5) -> NDArray:
    r"""Intercept and slope of logistic curves over ``x``; shape (curve, 2).

    ``success`` of ``runs``, each of shape (curve, x). Maximises the likelihood times
    :math:`|I|^{penalty}`, I Fisher's information: .5 is Jeffreys's prior, under which the curve is
    finite also where success and failure are separated (Firth 1993; Heinze and Schemper 2002); 0
    is maximum likelihood. By Newton's method on the modified score
    :math:`\sum_x (k - n\pi + 2\,penalty\, H (1/2 - \pi)) (1, x)`, H the leverage of x.
    """
    centre, scale = x.mean(), x.std()
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale])
    line = np.zeros((len(success), 2))
    for _ in range(ITERATIONS):
        p = 1 / (1 + np.exp(-np.clip(line @ design.T, -500, 500)))
        weight = np.maximum(runs * p * (1 - p), 1e-300)
        information = np.einsum("cx,xi,xj->cij", weight, design, design)
        inverse = np.linalg.pinv(information, hermitian=True)
        leverage = weight * np.einsum("xi,cij,xj->cx", design, inverse, design)
        score = (success - runs * p + 2 * penalty * leverage * (0.5 - p)) @ design
        step = np.einsum("cij,cj->ci", inverse, score)
        size = np.abs(step).max(axis=1, keepdims=True)
        line += step / np.maximum(1, size / STEP)
        if size.max(initial=0) < 1e-11:
            break
    slope = line[:, 1] / scale
    return np.column_stack([line[:, 0] - slope * centre, slope])


def depth_scale(runs: pd.DataFrame) -> float:
    """Theory's xi_c in layers, of plain MLPs of one sigma_w and sigma_b; missing for others.

    Weights are independent or orthogonal, and spread alike in all layers.
    """
    plain = runs["family"].eq("mlp") & runs["norm"].eq("none") & runs["residual"].eq("none")
    sigmas = runs[["sigma_w", "sigma_b"]].astype(float).round(9).drop_duplicates()
    init = INITS[str(runs["init"].iloc[0])]
    alike = init.law in LAWS and init.weight_mean is spreads.zero and not init.needs_layer
    if not plain.all() or len(sigmas) != 1 or not alike or init.unit_variance:
        return math.nan
    sigma_w, sigma_b = runs[["sigma_w", "sigma_b"]].astype(float).iloc[0]
    activation = ACTIVATIONS[str(runs["activation"].iloc[0])]
    activation = centred(activation) if init.centred else activation
    scale = xi_c(activation, float(sigma_w), float(sigma_b))
    return scale if scale is not None and 0 < scale < CRITICAL else math.nan


@dataclass(frozen=True)
class Scaling:
    """How L_50 goes with xi: :math:`L_{50} = factor \\cdot \\xi^{slope}`, and its mean ratio.

    ``ratio`` is the geometric mean of L_50 / xi: the factor if the slope is taken to be 1, which
    Schoenholz et al. 2017 found to be about 6.
    """

    slope: Estimate
    factor: Estimate
    ratio: Estimate


def scaled(found: pd.DataFrame) -> pd.DataFrame:
    """The arms with a xi whose frontier lies inside the depths, of the battery with most of them.

    Another battery has another budget, and so another depth at the same xi.
    """
    inside = found[found["beyond"].eq("inside")].dropna(subset=["depth_50", "xi"])
    if inside.empty:
        return inside
    return inside[inside["battery"] == inside.groupby("battery", sort=False).size().idxmax()]


def scaling(found: pd.DataFrame) -> Scaling:
    """Regress log L_50 on log xi over the arms of :func:`scaled`; a row each.

    Least squares with Student's 95 % intervals; an arm is the unit. Missing with fewer than three
    arms, or one xi in all.
    """
    inside = scaled(found)
    n, x, y = len(inside), np.log(inside["xi"]), np.log(inside["depth_50"])
    if n < 3 or np.ptp(x) < 1e-9:
        return Scaling(*[Estimate(math.nan, math.nan, math.nan, n)] * 3)
    line, ratio = stats.linregress(x, y), mean_interval(y - x)
    reach = stats.t.ppf(0.975, n - 2) * np.array([0, -1, 1])
    return Scaling(
        Estimate(*map(float, line.slope + reach * line.stderr), n),
        Estimate(*map(float, np.exp(line.intercept + reach * line.intercept_stderr)), n),
        Estimate(*map(float, np.exp([ratio.value, ratio.low, ratio.high])), n),
    )


def _counts(data: pd.DataFrame) -> tuple[NDArray, NDArray, NDArray]:
    """The depths, and successes and runs of shape (seed, depth)."""
    each = data.groupby(["seed", "depth"])["success"]
    success, runs = (each.agg(how).unstack(fill_value=0) for how in ("sum", "count"))
    return success.columns.to_numpy(float), success.to_numpy(float), runs.to_numpy(float)


def _log_half(x: NDArray, success: NDArray, runs: NDArray, seed: int) -> NDArray:
    """log L_50 of each draw, as :func:`frontier` has it; infinite where there is no bound."""
    half = np.where(2 * success.sum(axis=1) >= runs.sum(axis=1), np.inf, -np.inf)
    mixed = (success.sum(axis=1) > 0) & (success.sum(axis=1) < runs.sum(axis=1))
    if mixed.any():  # draws repeat: a curve for each that differs
        both, where = np.unique(
            np.hstack([success[mixed], runs[mixed]]), axis=0, return_inverse=True
        )
        line = logistic(x, both[:, : len(x)], both[:, len(x) :])[where.ravel()]
        with np.errstate(divide="ignore", invalid="ignore"):
            half[mixed] = np.where(line[:, 1] < -FLAT, -line[:, 0] / line[:, 1], half[mixed])
    last = (success == runs).cumprod(axis=1).sum(axis=1) - 1  # the last depth at which all train
    step = (last >= 0) & (last < len(x) - 1) & (success.sum(axis=1) == _up_to(runs, last))
    place = np.random.default_rng(seed).random(len(half))
    after = np.minimum(last + 1, len(x) - 1)
    return np.where(step, x[last] + place * (x[after] - x[last]), half)


def _up_to(runs: NDArray, last: NDArray) -> NDArray:
    """The runs of the depths as far as ``last``."""
    return np.take_along_axis(runs.cumsum(axis=1), np.maximum(last, 0)[:, None], axis=1)[:, 0]
