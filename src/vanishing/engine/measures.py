"""What a run's training is summarised by: how it ended, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SMOOTHING = 10  # updates that a smoothed loss is the mean of
TRAINED_ACCURACY = 0.9
TRAINED_LOSS = 0.1  # of chance
STALLED_LOSS = 0.98  # of chance
THRESHOLD_LOSS = 0.5  # of chance: what steps_to_threshold counts up to
DEAD_UNITS = 0.99  # of a layer
TRAINED_DISTANCE = 0.1  # of generated samples from real ones, over what it was at the start
STALLED_DISTANCE = 0.9  # likewise
GUESSING_ACCURACY = 0.55  # of a discriminator; one that tosses a coin has .5


def smoothed(losses: np.ndarray) -> np.ndarray:
    """The mean of the last 10 losses (fewer at the start) at every step; (steps, ...) as given."""
    start = [losses[:end].mean(axis=0) for end in range(1, min(SMOOTHING, len(losses) + 1))]
    if len(losses) < SMOOTHING:
        return np.array(start)
    # Each window apart: a running sum would carry the rounding of one huge loss along.
    windows = np.lib.stride_tricks.sliding_window_view(losses, SMOOTHING, axis=0)
    return np.concatenate([start, windows.mean(axis=-1)])


def steps_to_threshold(losses: np.ndarray, chance: float) -> int | None:
    """The number of updates after which the smoothed loss was first at half of chance, or None."""
    reached = np.flatnonzero(smoothed(losses) <= THRESHOLD_LOSS * chance)
    return int(reached[0]) if len(reached) else None


def outcome(
    losses: np.ndarray, chance: float, train_accuracy: float, end: Mapping[str, np.ndarray]
) -> str:
    """diverged, dead, trained, stalled or slow: the first that is true of a run.

    ``losses`` (steps) are those of the updates, ``end`` holds the layers' measures (depth) after
    the last of them: there a run whose last update was too much shows no finite q. A net may begin
    with a loss above chance: one that stays there has not moved, and is stalled.
    """
    worst = max(chance, losses[0]) + 1
    if not np.isfinite(losses).all() or (final := smoothed(losses)[-1]) > worst:
        return "diverged"
    if not (np.isfinite(end["q"]).all() and np.isfinite(end["grad_mean"]).all()):
        return "diverged"
    if (end["dead_fraction"] >= DEAD_UNITS).any() or end["delta_zero_fraction"][0] == 1:
        return "dead"
    if train_accuracy >= TRAINED_ACCURACY or final <= TRAINED_LOSS * chance:
        return "trained"
    return "stalled" if final >= STALLED_LOSS * chance else "slow"


def outcome_of_match(
    losses: Mapping[str, np.ndarray], end: Mapping[str, Mapping[str, np.ndarray]]
) -> str:
    """diverged or dead, the first that is true of a GAN whose generator learns; else ''.

    ``losses`` are those of the players' updates (steps), of those that made any; ``end`` holds the
    measures of their layers (depth) after the last. Diverged: anything is not finite. Dead: a
    layer of a player that learns is, or no gradient comes down to a generator that would.
    """
    finite = [np.isfinite(of_player).all() for of_player in losses.values()]
    measured = [
        np.isfinite(layers[name]).all() for layers in end.values() for name in ("q", "grad_mean")
    ]
    if not all(finite + measured):
        return "diverged"
    learns = [player for player, of_player in losses.items() if len(of_player)]
    cut = "generator" in learns and end["generator"]["delta_zero_fraction"][0] == 1
    if cut or any((end[player]["dead_fraction"] >= DEAD_UNITS).any() for player in learns):
        return "dead"
    return ""


def outcome_of_generator(distance: float, first: float) -> str:
    """trained, stalled or slow, by what is left of the ``first`` squared mmd at the end.

    At most a tenth is trained, nine tenths are stalled.
    """
    if distance <= TRAINED_DISTANCE * first:
        return "trained"
    return "stalled" if distance >= STALLED_DISTANCE * first else "slow"


def outcome_of_discriminator(accuracy: float) -> str:
    """trained, stalled or slow, by the share that it tells right before a fixed generator.

    On the probe batch: from .9 on it is trained, up to .55 it is stalled.
    """
    if accuracy >= TRAINED_ACCURACY:
        return "trained"
    return "stalled" if accuracy <= GUESSING_ACCURACY else "slow"
