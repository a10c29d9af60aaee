r"""The verdict rule: from the evidence of strata to one estimate, one interval, one p, one word.

An effect is turned into a *gain*, positive in the claimed direction; a claim says that its gain
lies beyond a *bar*:

===========  ==========================  ===============
side         gain                        bar
===========  ==========================  ===============
greater      effect                      smallest effect
less         -effect                     smallest effect
equivalent   -\|effect - target\|        -margin
===========  ==========================  ===============

Strata are put together as the claim says. ``average``: the mean over all cells. ``every``: the
smallest gain of a stratum; its lower bound needs no correction (an intersection-union test), its
upper one holds for all strata at once (Bonferroni), for otherwise many strata would refute
anything. ``some``: the largest gain, the other way round. Side ``both``: the smaller of the largest
gains on the two sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .effects import ALL, Evidence
from .statistics import interaction, seeds_needed

if TYPE_CHECKING:
    from .claims import Analysis

SUPPORTED, REFUTED, CONDITIONAL = "SUPPORTED", "REFUTED", "CONDITIONAL"
INCONCLUSIVE, INCOMPLETE, NOT_TESTABLE = "INCONCLUSIVE", "INCOMPLETE", "NOT TESTABLE"
DECIDED = (SUPPORTED, REFUTED, CONDITIONAL)
LEVEL = 0.05
TAIL = LEVEL / 2
LEAST_SEEDS = 7


@dataclass(frozen=True)
class Gain:
    """A gain with the bounds that decide, its p, and the stratum that it hangs on."""

    value: float
    low: float
    high: float
    p: float
    n: int
    sd: float
    stratum: str
    tails: tuple[float, float]  # of the lower and of the upper bound

    def beyond(self, bar: float) -> bool:
        """Does the whole interval lie beyond the bar?"""
        return self.low > bar

    def short_of(self, bar: float) -> bool:
        """Does the whole interval lie short of the bar?"""
        return self.high < bar


def bar(analysis: Analysis) -> float:
    """What a gain must lie beyond."""
    margin = analysis.smallest_effect
    return -margin if analysis.side == "equivalent" else margin


def gain(e: Evidence, analysis: Analysis, side: str, stratum: str, tails: tuple) -> Gain:
    """The gain of a stratum; ``tails``: how often the lower, the upper bound may be wrong."""
    least, target = analysis.smallest_effect, analysis.target
    (low, far_high), (far_low, high) = e.bounds(tails[0]), e.bounds(tails[1])
    if side == "greater":
        value, ends, p = e.value, (low, high), e.p_above(least)
    elif side == "less":
        value, ends, p = -e.value, (-far_high, -far_low), e.p_below(-least)
    else:
        value = -abs(e.value - target)
        furthest = max(far_high - target, target - low)
        nearest = max(0.0, far_low - target, target - high)
        ends = (-furthest, -nearest)
        p = max(e.p_above(target - least), e.p_below(target + least))
    return Gain(value, *ends, p, e.n, e.sd, stratum, tails)


def combined(
    strata: dict[str, Evidence],
    pooled: Evidence,
    analysis: Analysis,
    side: str,
    tails: tuple[float, float] = (TAIL, TAIL),
) -> Gain:
    """The gain that the claim is about, over its strata."""
    lower, upper = tails
    if analysis.holds == "average":
        return gain(pooled, analysis, side, "", tails)
    several = len(strata)
    every = analysis.holds == "every"
    corrected = (lower, upper / several) if every else (lower / several, upper)
    gains = [gain(e, analysis, side, name, corrected) for name, e in strata.items()]
    pick = min if every else max
    deciding = pick(gains, key=lambda g: g.value)
    p = max(g.p for g in gains) if every else min(1.0, several * min(g.p for g in gains))
    return Gain(
        deciding.value,
        pick(g.low for g in gains),
        pick(g.high for g in gains),
        p,
        min(g.n for g in gains),
        deciding.sd,
        deciding.stratum,
        corrected,
    )


def overall(strata: dict[str, Evidence], pooled: Evidence, analysis: Analysis) -> Gain:
    """The gain of the row ``all``."""
    if analysis.side != "both":
        return combined(strata, pooled, analysis, analysis.side)
    # Either sign alone is enough to refute "both appear": its upper bound is shared between them.
    signs = [combined(strata, pooled, analysis, s, (TAIL, TAIL / 2)) for s in ("greater", "less")]
    weaker = min(signs, key=lambda g: g.value)
    return Gain(
        weaker.value,
        min(g.low for g in signs),
        min(g.high for g in signs),
        max(g.p for g in signs),
        weaker.n,
        weaker.sd,
        weaker.stratum,
        weaker.tails,
    )


def in_units(g: Gain, analysis: Analysis) -> tuple[float, float, float]:
    """Value, low and high of a gain in the measure's own sign (a distance, for equivalence)."""
    if analysis.side in ("less", "equivalent"):
        return -g.value, -g.high, -g.low
    return g.value, g.low, g.high


@dataclass(frozen=True)
class Finding:
    """What the runs of an analysis say, before multiplicity and completeness are looked at."""

    gain: Gain
    bar: float
    favourable: tuple[str, ...]  # strata with a gain beyond the bar, all strata at once
    short: tuple[str, ...]  # strata with a gain short of it, all at once
    reverse: tuple[str, ...]  # strata with an effect of interest the other way, all at once
    p_interaction: float  # not a number where signs do not differ: it is not needed there

    @property
    def conditional(self) -> bool:
        """Do strata differ in sign, and more than chance would make them?"""
        differ = bool(self.favourable and self.reverse)
        return differ and self.p_interaction < LEVEL


def finding(
    strata: dict[str, Evidence],
    pooled: Evidence,
    matrix: np.ndarray,
    analysis: Analysis,
    seed: int,
) -> Finding:
    """Everything that the verdict of the row ``all`` needs. ``matrix``: effects, seeds x strata.

    Signs differ where one stratum's interval (simultaneous over strata) lies beyond the smallest
    effect and another's beyond it on the other side of zero: effects of no interest have no sign.
    For equivalence, ``some`` and ``both`` there is no sign to differ: a departure either way speaks
    against the first, and one stratum is enough for the others.
    """
    mark = bar(analysis)
    side = "greater" if analysis.side == "both" else analysis.side
    tail = TAIL / max(1, len(strata))
    gains = {name: gain(e, analysis, side, name, (tail, tail)) for name, e in strata.items()}
    signed = analysis.side in ("greater", "less") and analysis.holds in ("every", "average")
    favourable = tuple(name for name, g in gains.items() if g.beyond(mark))
    reverse = tuple(name for name, g in gains.items() if signed and g.high < -mark)
    return Finding(
        overall(strata, pooled, analysis),
        mark,
        favourable,
        tuple(name for name, g in gains.items() if g.short_of(mark)),
        reverse,
        interaction(matrix, seed) if favourable and reverse else math.nan,
    )


def verdict(found: Finding, p: float, correction: str = "Holm's") -> tuple[str, str]:
    """The verdict of complete runs with enough seeds, and why. ``p``: after that correction."""
    g = found.gain
    if found.conditional:
        return CONDITIONAL, (
            f"strata differ in sign: holds in {_list(found.favourable)}; "
            f"reversed in {_list(found.reverse)}"
        )
    if g.beyond(found.bar) and p < LEVEL:
        return SUPPORTED, "the whole interval lies beyond the smallest effect"
    if g.short_of(found.bar):
        where = f" in {_list(found.short)}" if g.stratum and found.short else ""
        return REFUTED, f"the interval excludes the smallest effect{where}"
    if g.beyond(found.bar):
        return INCONCLUSIVE, f"p is not below .05 after {correction} correction"
    return INCONCLUSIVE, "the interval includes the smallest effect"


def _list(names: tuple[str, ...]) -> str:
    return "; ".join(name if name != ALL else "all cells" for name in names)


def stratum_verdict(e: Evidence, analysis: Analysis, tail: float) -> tuple[str, str]:
    """The word for a stratum's own row: its interval alone, simultaneous over strata."""
    sides = ("greater", "less") if analysis.side == "both" else (analysis.side,)
    gains = [gain(e, analysis, side, "", (tail, tail)) for side in sides]
    mark = bar(analysis)
    if any(g.beyond(mark) for g in gains):
        return SUPPORTED, "the whole interval lies beyond the smallest effect"
    if all(g.short_of(mark) for g in gains):
        return REFUTED, "the interval excludes the smallest effect"
    return INCONCLUSIVE, "the interval includes the smallest effect"


def enough_seeds(g: Gain, mark: float, tests: int) -> int | None:
    """About how many seeds would decide, if effect and spread stay as they are (power .8).

    At least 7, more than there are, and so many that all signs alike pass Holm's first step over
    ``tests`` claims. None where nothing can be said.
    """
    towards = g.value > mark
    needed = seeds_needed(abs(g.value - mark), g.sd, g.tails[0 if towards else 1])
    if not math.isfinite(needed):
        return None
    least = LEAST_SEEDS if g.n < LEAST_SEEDS else g.n + 1
    if towards:
        least = max(least, math.ceil(math.log2(max(tests, 1) * TAIL / g.tails[0] / LEVEL)))
    return max(least, math.ceil(needed))
