"""Facts of the stand-ins for cases from the real world, by what is said to cause the failure."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from .fact import mean_of, mean_over_seeds, selected
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
    ``w01.far.<task>.<recurrence>`` are those of one, ``w01.slope.<task>.<recurrence>`` the
    lag slopes at init. ``w03.train.<condition>`` is the accuracy on
    the training samples, ``w03.clear.<condition>`` the sensitivity in the upper half of contrasts.
    """
    found = {}
    for recurrence in RECURRENCES:
        parts = [_sentences(tables, battery, recurrence) for battery in SENTENCES.values()]
        for task, part in zip(SENTENCES, parts, strict=True):
            found[f"w01.far.{task}.{recurrence}"] = _far(*part)
            found[f"w01.slope.{task}.{recurrence}"] = mean_of(part[0], "lag_slope", 3, part[1])
        found[f"w01.far.{recurrence}"] = _far(*_both(*parts))
    for name, battery, measure in IMAGES:
        for condition in CONDITIONS:
            part, query = selected(tables, battery, init=condition)
            found[f"{name}.{condition}"] = mean_of(part, measure, 3, query)
    for condition in CONDITIONS:
        part, query = selected(tables, "w03", init=condition)
        found[f"w03.train.{condition}"] = _mean(part, _fitted(part), "final_train_accuracy", query)
        found[f"w03.clear.{condition}"] = _mean(part, _clear(part), "clear sensitivity", query)
    return found


def _fitted(part: Tables) -> pd.Series:
    return part.runs["final_train_accuracy"].astype(float)


def _clear(part: Tables) -> pd.Series:
    """What faintness costs is clear less faint: so clear is what it costs and faint together."""
    return MEASURES["contrast_cost"].of(part) + MEASURES["faint_sensitivity"].of(part)


def _mean(part: Tables, values: pd.Series, measure: str, query: str) -> dict:
    return mean_over_seeds(part.runs, values, measure, "1", 3, query)


def _sentences(tables: Tables, battery: str, recurrence: str) -> tuple[Tables, str]:
    return selected(tables, battery, recurrence=recurrence)


def _both(one: tuple[Tables, str], other: tuple[Tables, str]) -> tuple[Tables, str]:
    """The runs of two selections; none where one of them is empty."""
    runs = [part.runs for part, _ in (one, other)]
    whole = pd.concat(runs, ignore_index=True) if all(map(len, runs)) else runs[0][:0]
    return replace(one[0], runs=whole), f"{one[1]} and {other[1]}"


def _far(part: Tables, query: str) -> dict:
    return mean_of(part, "far_error", 3, query)
