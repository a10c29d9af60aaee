"""Studies whose truth is known, for every kind of test, and what the engine makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

from vanishing.analysis.claims import Analysis, Claim, Contrast, Registry, Regress
from vanishing.analysis.effects import TESTS, CellEffects, by_cell, observed
from vanishing.analysis.ledger import Judged, decide, judge, weighed
from vanishing.analysis.study_tables import Tables
from vanishing.analysis.verdicts import enough_seeds

from .planted import members, runs_of

DRAWS, FEWER = 200, 100
STRATA = ("tanh", "relu")  # activations
SIGMAS = tuple(f"gaussian(sigma_b=0.0, sigma_w={2.0**k})" for k in range(-4, 5))
ARMS = ("none", "batch")  # norms: control, treatment
SUPPORTED, REFUTED, CONDITIONAL = "SUPPORTED", "REFUTED", "CONDITIONAL"
INCONCLUSIVE = "INCONCLUSIVE"
VERDICTS = (SUPPORTED, REFUTED, CONDITIONAL, INCONCLUSIVE)
APART = 1000  # between the seeds of one draw and those of the next
# Runs, the effect of each and a generator give runs in which something is measured.
Plant = Callable[[pd.DataFrame, np.ndarray, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Kind:
    """A kind of test: an analysis, the cells it looks at, and how an effect gets into their runs.

    ``plant`` takes the runs, the effect of each (in units of the known effect, which lies well
    beyond the smallest) and a generator. ``at_bar``: the effect, in these units, that equals the
    smallest one; not a number where a test's number is no linear function of the effect.
    """

    analysis: Analysis
    factors: dict[str, list]
    plant: Plant
    at_bar: float
    seeds: int = 10
    steps: int = 0

    @property
    def test(self) -> str:
        """Its name."""
        return self.analysis.test

    def skeleton(self) -> pd.DataFrame:
        """All runs, with nothing measured."""
        return _skeleton(self.test, self.seeds, self.steps)


@dataclass(frozen=True)
class Truth:
    """A planted truth, the verdict that it must get, and the one that would be an error."""

    kind: Kind
    name: str
    effects: tuple[float, float]  # of the two strata, in units of the known effect
    right: str  # given to at least .8 of draws; "" where no verdict is designed for
    wrong: str = SUPPORTED  # given to at most .05 of draws

    def __str__(self) -> str:
        return f"{self.kind.test}: {self.name}"

    @property
    def draws(self) -> int:
        """How many decide: fewer where there is an effect, far from the smallest one."""
        return FEWER if self.right and any(self.effects) else DRAWS

    def verdicts(self, draws: int = DRAWS, seed: int = 0, seeds: int = 0) -> pd.DataFrame:
        """A row a draw: verdict, seeds_needed. ``seeds``: other than the kind's own number of them.

        All draws are planted at once, each with seeds of its own, and then judged one by one.
        """
        kind = replace(self.kind, seeds=seeds) if seeds else self.kind
        once = kind.skeleton()
        draw = np.repeat(np.arange(draws), len(once))
        runs = pd.concat([once] * draws, ignore_index=True)
        runs["seed"] += draw * APART
        runs["run_id"] += " " + pd.Series(draw.astype(str), index=runs.index)
        runs = kind.plant(runs, self.effect_of(runs), np.random.default_rng(seed))
        data = observed(kind.analysis, Tables(runs))
        effects = TESTS[kind.test].effects(data, kind.analysis)
        cells = by_cell(effects, kind.analysis.of_shares)
        of = cells.seeds // APART
        return pd.DataFrame([self._verdict(cells.of(of == draw), data) for draw in range(draws)])

    def _verdict(self, cells: CellEffects, data: pd.DataFrame) -> dict:
        analysis = self.kind.analysis
        strata, found = weighed(cells, analysis, seed=0)
        judged = Judged("P01", "", analysis, strata, found, data, cells, 0, "", ())
        word, _ = decide(judged, found.gain.p, decided=True)  # Holm's over one claim is p itself
        needed = enough_seeds(found.gain, found.bar, 1) if word == INCONCLUSIVE else None
        return {"verdict": word, "seeds_needed": needed}

    def effect_of(self, runs: pd.DataFrame) -> np.ndarray:
        """The effect of each run, in units of the known one."""
        return np.where(runs["activation"] == STRATA[0], *self.effects)

    def ledgers(self, draws: int, missing: bool = False, seed: int = 0) -> pd.DataFrame:
        """The ledger's row ``all`` of each draw, and how many runs there were and diverged.

        Where a run is ``missing``, it is one at random.
        """
        rng = np.random.default_rng(seed)
        skeleton = self.kind.skeleton()
        rows = []
        for _ in range(draws):
            runs = self.kind.plant(skeleton, self.effect_of(skeleton), rng)
            runs = runs.drop(index=rng.integers(len(runs))) if missing else runs
            ledger = judge(Tables(runs), registry(self.kind.analysis), members(skeleton), True, 0)
            diverged = int((runs["outcome"] == "diverged").sum())
            rows.append(ledger.iloc[0].to_dict() | {"runs": len(runs), "truly": diverged})
        return pd.DataFrame(rows)


def registry(analysis: Analysis) -> Registry:
    """A registry of one claim."""
    claim = Claim(
        id="P01",
        statement="What was planted is found.",
        quote="planted",
        quoted_from="P",
        sources=("P",),
        refuted_if="nothing was planted",
        primary=analysis,
    )
    return Registry(sources={"P": "planted"}, claims=(claim,))


@cache
def _skeleton(test: str, seeds: int, steps: int) -> pd.DataFrame:
    kind = kinds()[test]
    runs = runs_of("planted", kind.factors, seeds, lambda cell, rng: {}, steps=steps)
    return runs.assign(vanishing_index=0.0, slope=0.0)


def _of(test: str, **settings: object) -> Analysis:
    return Analysis(batteries=("planted",), test=test, strata=("activation",), **settings)


def kinds() -> dict[str, Kind]:
    """Every kind of test, by its name."""
    contrast = Contrast(factor="norm", treatment="batch", control="none")
    on_sigma, on_depth = Regress(term="log10_sigma_w"), Regress(term="depth")
    arms = {"activation": list(STRATA), "norm": list(ARMS), "depth": [8, 16, 32]}
    sigmas = {"activation": list(STRATA), "init": list(SIGMAS)}
    depths = {"activation": list(STRATA), "depth": [4, 8, 16, 32, 64]}
    v = {"measure": "vanishing_index", "side": "less"}
    more = {"measure": "vanishing_index", "side": "greater"}
    every = {"holds": "every"}
    found = (
        Kind(
            _of("seed_mean", **v, **every, smallest_effect=1.0),
            {"activation": list(STRATA), "depth": [8, 16]},
            _v,
            0.5,
        ),
        Kind(
            _of("seed_difference", **more, smallest_effect=1.0, contrast=contrast),
            arms,
            _v_of_norm,
            0.5,
        ),
        Kind(
            _of(
                "success_difference",
                measure="success",
                side="greater",
                smallest_effect=0.2,
                contrast=contrast,
            ),
            arms,
            _success,
            0.25,
            20,
            200,
        ),
        Kind(
            _of("seed_regression", **more, **every, smallest_effect=1.0, regress=on_sigma),
            sigmas,
            _v_along_sigma,
            0.5,
            8,
        ),
        Kind(
            _of("seed_rank", **more, **every, smallest_effect=0.4, regress=on_sigma),
            sigmas,
            _v_along_sigma,
            np.nan,
            8,
        ),
        Kind(
            _of("seed_thirds", **more, smallest_effect=1.0, regress=on_sigma),
            sigmas,
            _v_along_sigma,
            0.5 / np.log10(64),
        ),
        Kind(
            _of(
                "seed_hazard",
                measure="success",
                side="greater",
                smallest_effect=0.8,
                regress=on_sigma,
            ),
            sigmas,
            _times,
            np.nan,
            12,
            400,
        ),
        Kind(
            _of("seed_shape", **more, smallest_effect=2.0, regress=on_depth),
            depths,
            _shapes,
            np.nan,
        ),
    )
    return {kind.test: kind for kind in found}


def _noise(runs: pd.DataFrame, rng: np.random.Generator, sd: float) -> np.ndarray:
    """Of each run, and as much again of each seed: the cells of a seed go together."""
    by_seed = rng.normal(0, sd, int(runs["seed"].max()) + 1)
    return rng.normal(0, sd, len(runs)) + by_seed[runs["seed"]]


def _v(runs: pd.DataFrame, effect: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    return runs.assign(vanishing_index=-2 * effect + _noise(runs, rng, 0.4))


def _v_of_norm(runs: pd.DataFrame, effect: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    treated = (runs["norm"] == ARMS[1]).to_numpy()
    return runs.assign(vanishing_index=2 * effect * treated + _noise(runs, rng, 0.4))


def _v_along_sigma(
    runs: pd.DataFrame, effect: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    along = 2 * effect * np.log10(runs["sigma_w"].to_numpy())
    return runs.assign(vanishing_index=along + _noise(runs, rng, 0.3))


def _success(runs: pd.DataFrame, effect: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """With chance .5 each arm is trained, .4 more or less at an effect of 1; the others diverge."""
    sign = np.where(runs["norm"] == ARMS[1], 1, -1)
    trained = rng.random(len(runs)) < 0.5 + 0.4 * effect * sign
    return runs.assign(outcome=np.where(trained, "trained", "diverged"))


def _times(runs: pd.DataFrame, effect: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Exponential times until the threshold, that sigma_w shortens; what takes longer diverges."""
    rate = 10 ** (1.5 * effect * np.log10(runs["sigma_w"].to_numpy()))
    times = np.ceil(rng.exponential(100 / rate))
    reached = times <= runs["steps"]
    return runs.assign(
        steps_to_threshold=pd.array(np.where(reached, times, np.nan), dtype="Int64"),
        outcome=np.where(reached, "trained", "diverged"),
    )


def _shapes(runs: pd.DataFrame, effect: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Exponential in the depth where the effect is positive, else a power law of it."""
    depth = runs["depth"].to_numpy()
    exponential, power = effect.clip(min=0) * depth, (-effect).clip(min=0) * np.log(depth)
    return runs.assign(vanishing_index=-0.2 * exponential - 3 * power + _noise(runs, rng, 0.3))


def truths() -> list[Truth]:
    """Every truth about every kind of test."""
    found = []
    for kind in kinds().values():
        found += [
            Truth(kind, "effect", (1, 1), SUPPORTED, REFUTED),
            Truth(kind, "none", (0, 0), REFUTED),
            Truth(kind, "reversed", (-1, -1), REFUTED),
            Truth(kind, "sign differs by stratum", (1, -1), CONDITIONAL),
        ]
        if math.isfinite(kind.at_bar):
            found.append(Truth(kind, "at the smallest effect", (kind.at_bar,) * 2, ""))
    return found


def error_rates(draws: int = DRAWS) -> pd.DataFrame:
    """A row a truth: what it is, and the share of each verdict."""
    rows = []
    for truth in truths():
        words = truth.verdicts(draws)["verdict"]
        rows.append({"truth": str(truth), "must be": truth.right or f"not {truth.wrong}"})
        rows[-1] |= {word: float((words == word).mean()) for word in VERDICTS}
    return pd.DataFrame(rows)
