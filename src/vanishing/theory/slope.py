"""The slope of a profile: how many decades a gradient changes per layer towards the input.

Measured and predicted slopes both come from here, so they mean the same.
"""

from __future__ import annotations

import numpy as np


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
