"""What a claim can be about: one number a run, from the tables, by name.

A missing number is never dropped in silence. An error signal that is exactly zero has no logarithm;
it enters as a bound that is at least as extreme as every value that was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .grid_measures import accuracy_spread, largest_usable_rate, near_best, reach
from .init_measures import (
    VANISHED,
    log10_derivative,
    log10_sigma_w,
    saturation,
    shape,
    slope,
    vanished,
    vanishing_index,
    weight_slope,
)
from .init_measures import signal_index as signal_index
from .lag_measures import lag_index, lag_slope, lag_slope_early
from .layer_measures import (
    activation_growth,
    born_dead,
    chain_error,
    critical_layers,
    dead_share,
    derivative_near_one,
    derivative_near_zero,
    early_probe,
    freeze_cost,
    log10_gradient,
    lost_bf16,
    lost_fp16,
    lost_fp32,
    probe_gain,
    probe_trend,
)
from .player_measures import discriminator_accuracy, generator_decades, stagnation
from .score_measures import (
    contrast_cost,
    distance_error,
    faint_sensitivity,
    far_error,
    fine_at_matched_coarse,
    modes,
    noisy_at_matched_clean,
    sensitivity,
)
from .study_tables import Tables
from .training_measures import (
    accuracy_at_matched_loss,
    early_change,
    early_imbalance,
    generalisation_gap,
    imbalance_decline,
    interference,
    late_imbalance,
    log10_lr,
    log10_restricted_steps,
    plateau,
    stalled,
    success,
    test_accuracy,
    train_accuracy,
)


@dataclass(frozen=True)
class Measure:
    """A number that every run has: its unit, its meaning, and how it comes from the tables."""

    unit: str
    meaning: str
    of: Callable[[Tables], pd.Series]  # aligned with the rows of runs
    binary: bool = False


MEASURES = {
    "vanishing_index": Measure("decades", "vanishing index V at init", vanishing_index),
    "imbalance": Measure("decades", "|V| at init", lambda tables: vanishing_index(tables).abs()),
    "slope": Measure("decades/layer", "slope at init", slope),
    "shape": Measure("1", "AIC of a power law less AIC of an exponential, at init", shape),
    "saturation": Measure("1", "saturated share of units at init", saturation),
    "success": Measure("1", "share of runs that are trained", success, binary=True),
    "test_accuracy": Measure("1", "accuracy on the test split at the end", test_accuracy),
    "log10_sigma_w": Measure("decades", "log10 sigma_w", log10_sigma_w),
    "log10_derivative": Measure("decades", "log10 rms phi' by theory", log10_derivative),
    "lag_index": Measure("decades", "V through time of the top layer at init", lag_index),
    "lag_slope": Measure("decades/step", "lag slope of the top layer at init", lag_slope),
    "lag_slope_early": Measure(
        "decades/step", "lag slope of the top layer, mean over updates 1 to 32", lag_slope_early
    ),
    "generator_decades": Measure(
        "decades", "growth of the generator's gradient from init to the end", generator_decades
    ),
    "discriminator_accuracy": Measure(
        "1", "accuracy of the discriminator at the end", discriminator_accuracy
    ),
    "stagnation": Measure(
        "1", "share of live GANs that stall, die or diverge", stagnation, binary=True
    ),
    "modes": Measure("modes", "modes covered at the end", modes),
    "distance_error": Measure(
        "1", "error at the greatest distance less that at the smallest, at the end", distance_error
    ),
    "far_error": Measure("1", "error at the greatest distance, at the end", far_error),
    "fine_at_matched_coarse": Measure(
        "1",
        "accuracy on the fine pair when that on the coarse pair first reaches .95",
        fine_at_matched_coarse,
    ),
    "sensitivity": Measure(
        "1", "sensitivity at 95 % specificity, mean over levels, at the end", sensitivity
    ),
    "faint_sensitivity": Measure(
        "1", "sensitivity in the lower half of the levels, at the end", faint_sensitivity
    ),
    "contrast_cost": Measure(
        "1", "sensitivity in the upper half of the levels less that in the lower", contrast_cost
    ),
    # How a run was set up, and how its training ended.
    "depth": Measure("layers", "depth", lambda tables: tables.runs["depth"].astype(float)),
    "log2_depth": Measure(
        "doublings", "log2 of the depth", lambda tables: np.log2(tables.runs["depth"].astype(float))
    ),
    "log10_lr": Measure("decades", "log10 of the learning rate", log10_lr),
    "train_accuracy": Measure("1", "accuracy on the training split at the end", train_accuracy),
    "generalisation_gap": Measure(
        "1", "accuracy on the training split less that on the test split", generalisation_gap
    ),
    "stalled": Measure("1", "share of runs that stall", stalled, binary=True),
    "log10_restricted_steps": Measure(
        "decades",
        "log10 of the updates to the threshold, or of all updates",
        log10_restricted_steps,
    ),
    "plateau": Measure(
        "1", "share of runs whose loss stops falling before they are trained", plateau, binary=True
    ),
    # As it was drawn.
    "weight_slope": Measure("decades/layer", "V_w at init over the layers between", weight_slope),
    "vanished": Measure(
        "1", f"share of runs with V below {VANISHED:g} at init", vanished, binary=True
    ),
    "activation_growth": Measure(
        "decades", "growth of the activations from layer 1 to layer L at init", activation_growth
    ),
    "log10_gradient": Measure(
        "decades",
        "log10 rms of a layer's weight gradient at init, mean over layers",
        log10_gradient,
    ),
    "lost_fp32": Measure("1", "share of layer 1's gradient that is 0 in float32", lost_fp32),
    "lost_fp16": Measure("1", "share of layer 1's gradient that is 0 in float16", lost_fp16),
    "lost_bf16": Measure("1", "share of layer 1's gradient that is 0 in bfloat16", lost_bf16),
    "dead_share": Measure("1", "share of dead units at init", dead_share),
    "born_dead": Measure("1", "share of runs born with a dead layer", born_dead, binary=True),
    "derivative_near_zero": Measure(
        "decades",
        "log10 of phi' at its lowest outputs over phi' in the middle",
        derivative_near_zero,
    ),
    "derivative_near_one": Measure(
        "decades",
        "log10 of phi' at its highest outputs over phi' in the middle",
        derivative_near_one,
    ),
    "chain_error": Measure(
        "log10",
        "log10 of the difference of the product of Jacobians from backpropagation",
        chain_error,
    ),
    # In the course of training.
    "early_change": Measure(
        "decades",
        "log10 of how far the first third of the layers moved over the last third",
        early_change,
    ),
    "early_imbalance": Measure("decades", "|V|, mean over updates 1 to 8", early_imbalance),
    "late_imbalance": Measure("decades", "|V| at the end", late_imbalance),
    "imbalance_decline": Measure(
        "decades", "|V| over updates 1 to 8 less |V| at the end", imbalance_decline
    ),
    "interference": Measure(
        "decades",
        "log10 of the relative change of a gradient when the layers below are updated",
        interference,
    ),
    "accuracy_at_matched_loss": Measure(
        "1",
        "accuracy on the test split when the training loss first falls to .3 nats",
        accuracy_at_matched_loss,
    ),
    "noisy_at_matched_clean": Measure(
        "1",
        "accuracy under input noise when that without it first reaches .9",
        noisy_at_matched_clean,
    ),
    # At the end.
    "freeze_cost": Measure(
        "1", "test accuracy with half of the layers frozen, less that with none", freeze_cost
    ),
    "critical_layers": Measure(
        "1",
        "share of the lower half's layers whose reset costs more than .05 of accuracy",
        critical_layers,
    ),
    "probe_gain": Measure(
        "1", "accuracy of a linear probe of the last layer less that of the first", probe_gain
    ),
    "probe_trend": Measure("1", "Spearman's rho of linear probes with the layer", probe_trend),
    "early_probe": Measure(
        "1", "accuracy of linear probes of the first third of the layers", early_probe
    ),
    # Beside other runs of the same seed.
    "largest_usable_rate": Measure(
        "decades", "log10 of the largest usable learning rate", largest_usable_rate
    ),
    "near_best": Measure(
        "1",
        "share of inits and rates within .05 of the best test accuracy",
        near_best,
        binary=True,
    ),
    "accuracy_spread": Measure(
        "1", "distance of the test accuracy from its median over inits and rates", accuracy_spread
    ),
    "reach": Measure("doublings", "log2 of the greatest depth that is trained", reach),
}
