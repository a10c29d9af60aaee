"""Measures of a training: how it ended, and how the gradient and the weights changed on the way."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .matching import at_mark
from .study_tables import EARLY, LARGEST, SMALLEST, Tables, bounded

LEAST_CHANGE = 2.0**-24  # the rounding of a float32: what is less counts as that
MATCHED_LOSS = 0.3  # nats
POINTS = 5  # of the logged losses that a smoothed one is the mean of, two to either side
LEVEL = 0.98  # of the earlier loss: a later one above it has hardly changed


def success(tables: Tables) -> pd.Series:
    """1 where the outcome is trained, else 0 (diverged too); missing where nothing was trained."""
    outcome = tables.runs["outcome"]
    return (outcome == "trained").astype(float).where(outcome.notna())


def test_accuracy(tables: Tables) -> pd.Series:
    """Share right on the test split at the end; a run that diverged is at chance."""
    return tables.runs["final_test_accuracy"].astype(float)


def train_accuracy(tables: Tables) -> pd.Series:
    """Share right on the training split at the end; a run that diverged is at chance."""
    return tables.runs["final_train_accuracy"].astype(float)


def generalisation_gap(tables: Tables) -> pd.Series:
    """Share right on the training split less that on the test split, at the end; 0 if diverged."""
    return train_accuracy(tables) - test_accuracy(tables)


def stalled(tables: Tables) -> pd.Series:
    """1 where the outcome is stalled, else 0 (diverged too); missing where nothing was trained."""
    outcome = tables.runs["outcome"]
    return (outcome == "stalled").astype(float).where(outcome.notna())


def log10_lr(tables: Tables) -> pd.Series:
    """log10 of the learning rate; missing where nothing was trained."""
    return np.log10(tables.runs["lr"].astype(float).where(tables.runs["lr"] > 0))


def log10_restricted_steps(tables: Tables) -> pd.Series:
    """log10 of the updates to half of chance's loss, which are all updates where it never falls so.

    At least 1 update; missing where nothing was trained, and for a GAN, whose loss has no chance.
    """
    runs = tables.runs
    steps = runs["steps"].astype(float)
    reached = runs["steps_to_threshold"].astype(float).fillna(steps)
    known = runs["outcome"].notna() & (runs["family"] != "gan")
    return np.log10(np.minimum(reached, steps).clip(lower=1.0)).where(known)


def early_change(tables: Tables) -> pd.Series:
    """log10 of how far the first third of the layers moved over how far the last third did.

    Means over a third of the total change from init to the end, layers that began at 0 left out.
    Missing where a run diverged.
    """
    rows, runs = tables.at_end(), tables.runs
    finite = runs.loc[runs["first_nonfinite_step"].isna(), "run_id"]
    rows = rows[rows["run_id"].isin(finite)].set_index("run_id")
    depth = rows.groupby(level="run_id")["layer"].transform("max")
    third, change = np.ceil(depth / 3), rows["total_change"].clip(lower=LEAST_CHANGE)
    first, last = (
        change[of_third].groupby(level="run_id").mean()
        for of_third in (rows["layer"] <= third, rows["layer"] > depth - third)
    )
    return tables.by_run(np.log10(first) - np.log10(last))


def early_imbalance(tables: Tables) -> pd.Series:
    """|V| early in training: its mean over the probe steps 1 to 8."""
    v = _vanishing(tables.during(*EARLY))
    return tables.by_run(v.abs().groupby(level="run_id").mean())


def late_imbalance(tables: Tables) -> pd.Series:
    """|V| after the last update; of a run that diverged the bound."""
    return tables.by_run(_vanishing(tables.at_end()).abs().groupby(level="run_id").mean())


def imbalance_decline(tables: Tables) -> pd.Series:
    """|V| early in training less |V| after the last update."""
    return early_imbalance(tables) - late_imbalance(tables)


def _vanishing(rows: pd.DataFrame) -> pd.Series:
    """V by run and step; what is beyond float32's range, 0 or not finite counts as its bound.

    One update that is too large leaves products of weights that no gradient could be stored in.
    """
    rows = rows[["run_id", "step", "layer", "log10_delta_rms", "delta_zero_fraction"]]
    outermost = rows.groupby("run_id")["layer"].transform("max")
    first, last = (
        rows[of_layer].set_index(["run_id", "step"])
        for of_layer in (rows["layer"] == 1, rows["layer"] == outermost)
    )
    size = first["log10_delta_rms"].astype(float)
    v = size - last["log10_delta_rms"].reindex(first.index)
    overflowed = size.isna() & (first["delta_zero_fraction"] < 1)
    return bounded(v.clip(SMALLEST, LARGEST), overflowed)


def interference(tables: Tables) -> pd.Series:
    """log10 of how much a layer's gradient changes when the layers below it have been updated.

    Relative to its norm; mean over the layers from the second on and the probe steps from 1 on.
    """
    layers = tables.layers
    known = layers["interference"].notna() & (layers["layer"] >= 2) & (layers["step"] >= 1)
    rows = Tables(tables.runs, layers[known]).during(1, layers["step"].max())
    size = np.log10(rows["interference"].clip(lower=LEAST_CHANGE))
    return tables.by_run(size.groupby(rows["run_id"]).mean())


def accuracy_at_matched_loss(tables: Tables) -> pd.Series:
    """Share right on the test split where the training loss first falls to .3 nats.

    The loss is a running mean over 5 logged points, the accuracy linear between probe steps.
    Missing where it never falls so far, where the loss is no cross-entropy, and where the accuracy
    is known at init and at the end alone (the block ``accuracy`` is off): a line between the two
    would be a guess.
    """
    runs, curves = tables.runs, tables.curves
    mine = curves[curves["run_id"].isin(runs.loc[runs["loss"] == "cross_entropy", "run_id"])]
    losses = mine.dropna(subset="train_loss").sort_values(["run_id", "step"], ignore_index=True)
    points = losses["train_loss"].astype(float).groupby(losses["run_id"])
    smooth = points.rolling(POINTS, center=True, min_periods=1).mean().droplevel("run_id")
    accuracy = mine.dropna(subset="test_accuracy").rename(columns={"test_accuracy": "value"})
    accuracy = accuracy[accuracy.groupby("run_id")["step"].transform("size") > 2]
    return tables.by_run(at_mark(losses.assign(value=-smooth), -MATCHED_LOSS, accuracy))


def plateau(tables: Tables) -> pd.Series:
    """1 where a run is not trained, and its loss has stopped falling; else 0, diverged too.

    Stopped: the mean loss over the last sixth of the updates is at most 2 % below the mean over
    the sixth that ends at two thirds of them. Missing where nothing was trained, where a sixth has
    no logged loss, and for a GAN, whose loss says nothing of progress.
    """
    runs = tables.runs
    curves = tables.curves[tables.curves["run_id"].isin(runs["run_id"])].dropna(subset="train_loss")
    steps = runs.drop_duplicates("run_id").set_index("run_id")["steps"]
    share = curves["step"] / curves["run_id"].map(steps).astype(float)
    before, after = (
        tables.by_run(rows["train_loss"].astype(float).groupby(rows["run_id"]).mean())
        for rows in (curves[share.between(1 / 2, 2 / 3, "left")], curves[share >= 5 / 6])
    )
    ended = runs["outcome"].isin(("trained", "diverged"))
    flat = (after >= LEVEL * before) & ~ended
    known = ended | (before.notna() & after.notna())
    return flat.astype(float).where(known & runs["outcome"].notna() & (runs["family"] != "gan"))
