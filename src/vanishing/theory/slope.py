"""The slope of a profile: decades that a gradient changes per layer, or per step of time lag.

Measured and predicted slopes both come from here, so they mean the same.
"""

from __future__ import annotations

import numpy as np

FIRST_LAGS = 2  # which a lag slope leaves out


def kept_layers(depth: int) -> slice:
    """The layers that a slope is fitted on: up to two at each end, near input and head, are not.

    >>> kept_layers(20), kept_layers(4)
    (slice(2, 18, None), slice(0, 4, None))
    """
    drop = max(0, min(2, (depth - 3) // 2))
    return slice(drop, depth - drop)


def slope(log10_delta_rms: np.ndarray) -> np.ndarray:
    """Decades per layer, going one layer back towards the input; negative where gradients vanish.

    Minus the least squares slope of log10 rms(delta) on the layer, over :func:`kept_layers`; the
    last axis is the layer. Not a number where a layer is, or where fewer than two are left.

    >>> float(slope(np.array([-3.0, -2.0, -1.0, 0.0])))
    -1.0
    """
    profile = np.asarray(log10_delta_rms, dtype=float)
    kept = profile[..., kept_layers(profile.shape[-1])]
    layer = np.arange(kept.shape[-1], dtype=float)
    if len(layer) < 2:
        return np.full(kept.shape[:-1], np.nan)
    centred = layer - layer.mean()
    return -(kept @ centred) / (centred @ centred)


def lag_slope(log10_delta_rms: np.ndarray) -> np.ndarray:
    """Decades per step of time lag, of profiles (..., lag) from lag 0 on; the first 2 are left out.

    The least squares slope. What is not finite is left out as censored; not a number where fewer
    than two lags are left.

    >>> float(lag_slope(np.array([9.0, 9.0, -2.0, -3.0, np.nan, -5.0])))
    -1.0
    """
    profile = np.asarray(log10_delta_rms, dtype=float)[..., FIRST_LAGS:]
    seen = np.isfinite(profile)
    top = np.where(seen, profile, -np.inf).max(-1, keepdims=True, initial=-np.inf)
    below = np.where(seen, profile - np.where(np.isfinite(top), top, 0), 0)  # a constant: exact 0
    lag = np.arange(profile.shape[-1], dtype=float)
    count = np.maximum(seen.sum(-1, keepdims=True), 1)
    centred = np.where(seen, lag - (seen * lag).sum(-1, keepdims=True) / count, 0)
    size = (centred**2).sum(-1)
    return np.where(size > 0, (centred * below).sum(-1) / np.where(size > 0, size, 1), np.nan)
