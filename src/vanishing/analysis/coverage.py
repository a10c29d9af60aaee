"""What a registered analysis asks for by name, and a study does not have: levels and strata."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import pandas as pd

from .claims import Analysis, Level, same
from .effects import label, labels


def absent_strata(data: pd.DataFrame, analysis: Analysis, strata: Collection[str]) -> list[str]:
    """Levels, and strata of them, that the claim lists and no stratum with evidence covers.

    What is said of ``every`` stratum is not shown by some of them; a mean over controls is none
    where a control is missing. ``data``: the runs of :func:`.effects.observed`; ``strata``: the
    names of those with evidence. Ranges and strata that the claim does not list ask for nothing.
    """
    wanted = _wanted(analysis)
    seen = _covered(data, analysis, strata, list(wanted))
    single = [{name: level} for name, levels in wanted.items() for level in levels]
    absent = [levels for levels in single if not _any(seen, levels)]
    left = {
        name: [level for level in wanted[name] if {name: level} not in absent]
        for name in analysis.strata
        if name in wanted
    }
    crossed = [dict(zip(left, point, strict=True)) for point in itertools.product(*left.values())]
    if len(left) > 1:
        absent += [levels for levels in crossed if not _any(seen, levels)]
    return [label(levels) for levels in absent]


def _wanted(analysis: Analysis) -> dict[str, tuple[Level, ...]]:
    wanted = analysis.listed() if analysis.holds == "every" else {}
    if analysis.contrast and analysis.holds != "some":
        wanted["control"] = analysis.contrast.controls
    return wanted


def _covered(
    data: pd.DataFrame, analysis: Analysis, strata: Collection[str], names: list[str]
) -> pd.DataFrame:
    """Levels of ``names`` in strata with evidence, each combination once.

    With a contrast, those of the runs of each control, with its name.
    """
    if analysis.contrast is None:
        return data.loc[labels(data, analysis.strata).isin(strata), names].drop_duplicates()
    factor, treatment = analysis.contrast.factor, analysis.contrast.treatment
    parts = []
    data = data[list({*names, *analysis.strata, factor} - {"control"})]
    for control in analysis.contrast.controls:
        arms = data[factor].isin([treatment, control])
        pairs = data[arms & data[factor].eq(control).any()].assign(control=control)
        parts.append(pairs.loc[labels(pairs, analysis.strata).isin(strata), names])
    return pd.concat(parts, ignore_index=True).drop_duplicates()


def _any(data: pd.DataFrame, levels: dict[str, Level]) -> bool:
    keep = pd.Series(True, index=data.index)
    for name, level in levels.items():
        keep &= data[name].map(lambda value, level=level: same(value, level)).astype(bool)
    return bool(keep.any())
