"""Facts of the stand-ins for cases from the real world, by what is said to cause the failure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from .fact import mean_of, mean_over_seeds
from .fact_rows import Selection, selected
from .measures import MEASURES
from .study_tables import Tables

RECURRENCES = ("vanilla", "lstm", "gru")
SENTENCES = {"agreement": "rnn_agreement", "transduction": "rnn_transduction"}
# Inits whose gradient vanishes, and stays, in the nets of these batteries.
CONDITIONS = ("torch_default", "orthogonal")
# Fact, battery, measure.
IMAGES = (
    ("w02.fine", "w02", "fine_at_matched_coarse"),
    ("w03.sensitivity", "w03", "sensitivity"),
    ("w03.faint", "w03", "faint_sensitivity"),
    ("w03.test", "w03", "test_accuracy"),
    ("cancer.sensitivity", "cancer", "sensitivity"),
)


def cases(tables: Tables) -> dict[str, dict]:
    """``w01.far.<recurrence>`` and, condition by condition, the facts in ``IMAGES``.

    ``w01.far.<recurrence>`` is the error at the greatest distance, over the cells of two tasks;
    ``w01.far.<task>.<recurrence>`` are those of one, ``w01.slope.<task>.<recurrence>`` the lag
    slopes at init. ``w03.train.<condition>`` is the accuracy on the training samples,
    ``w03.clear.<condition>`` the sensitivity in the upper half of contrasts.
    """
    found = {}
    for recurrence in RECURRENCES:
        parts = {
            task: selected(tables, battery, recurrence=recurrence)
            for task, battery in SENTENCES.items()
        }
        for task, part in parts.items():
            found[f"w01.far.{task}.{recurrence}"] = _far(part)
            found[f"w01.slope.{task}.{recurrence}"] = mean_of(part, "lag_slope", 3)
        both = selected(tables, tuple(SENTENCES.values()), recurrence=recurrence)
        found[f"w01.far.{recurrence}"] = _far(_if_all(both, parts.values()))
    for name, battery, measure in IMAGES:
        for condition in CONDITIONS:
            part = selected(tables, battery, init=condition)
            found[f"{name}.{condition}"] = mean_of(part, measure, 3)
    for condition in CONDITIONS:
        part = selected(tables, "w03", init=condition)
        found[f"w03.train.{condition}"] = _mean(part, _fitted(part), "final_train_accuracy")
        found[f"w03.clear.{condition}"] = _mean(part, _clear(part.tables), "clear sensitivity")
    return found


def _fitted(part: Selection) -> pd.Series:
    return part.runs["final_train_accuracy"].astype(float)


def _clear(tables: Tables) -> pd.Series:
    """What faintness costs is clear less faint: so clear is what it costs and faint together."""
    return MEASURES["contrast_cost"].of(tables) + MEASURES["faint_sensitivity"].of(tables)


def _mean(part: Selection, values: pd.Series, measure: str) -> dict:
    return mean_over_seeds(part, values, measure, "1", 3)


def _if_all(whole: Selection, parts: Iterable[Selection]) -> Selection:
    """The whole of these parts; no runs where one of them has none."""
    runs = whole.runs if all(len(part.runs) for part in parts) else whole.runs[:0]
    return replace(whole, tables=replace(whole.tables, runs=runs))


def _far(part: Selection) -> dict:
    return mean_of(part, "far_error", 3)
