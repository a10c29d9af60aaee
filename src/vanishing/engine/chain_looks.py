"""What a probe reads off the compiled loops of a whole MLP, in the pass itself: nothing is kept.

A :class:`Look` is filled while :mod:`.chain` goes forward and back; what it tells are the measures
that :mod:`.probes` takes of values that were kept.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..lazy import Lazy

if TYPE_CHECKING:
    from .network import Network

loops = Lazy("vanishing.engine.kernels")  # numba takes a third of a second to load
SUMS = 6  # see .kernels.scan


@dataclass
class Look:
    """Sums over a layer's values, (layers, runs, ...) each; no layers where nothing is asked."""

    h: np.ndarray
    out: np.ndarray
    flat: np.ndarray  # how many slopes are flat: below the peak, and in all
    alive: np.ndarray  # (layers, runs, units): whether some slope is not 0
    delta: np.ndarray
    delta_scaled: np.ndarray  # squares, and what was divided by first
    g: np.ndarray
    g_scaled: np.ndarray
    small: np.ndarray  # how many of g are at most each of the limits in size
    bounds: np.ndarray  # see .kernels.count_flat
    limits: np.ndarray  # falling
    order: np.ndarray  # where each of those that were given stands

    @classmethod
    def of(cls, net: Network, x: Tensor, limits: Sequence[float] | None = None) -> Look:
        """An empty look at a pass of ``x`` (runs, batch, inputs); without ``limits`` at nothing."""
        if limits is None:
            return _nothing(x.dtype)
        bounds = loops.rounded_down(np.array(loops.flat_bounds(net.activation)), x)
        shape, units = (net.depth, len(x)), net.architecture.width
        return cls._empty(shape, units, bounds, *loops.falling(limits, x))

    @classmethod
    def _empty(
        cls,
        shape: tuple[int, int],
        units: int,
        bounds: np.ndarray,
        limits: np.ndarray,
        order: np.ndarray,
    ) -> Look:
        alive = np.zeros((*shape, units), np.bool_)
        sizes = SUMS, SUMS, 2, SUMS, 2, SUMS, 2, len(limits)
        h, out, flat, *back = (np.zeros((*shape, size)) for size in sizes)
        return cls(h, out, flat, alive, *back, bounds, limits, order)

    @property
    def forward(self) -> tuple[np.ndarray, ...]:
        """What is filled on the way forward."""
        return self.h, self.out, self.flat, self.alive, self.bounds

    @property
    def backward(self) -> tuple[np.ndarray, ...]:
        """What is filled on the way back."""
        return self.delta, self.delta_scaled, self.g, self.g_scaled, self.small, self.limits

    def of_values(self) -> dict[str, Tensor]:
        """As :func:`.probes.of_values`."""
        size, output = loops.of_sums(self.h), loops.of_sums(self.out)
        low, both = np.moveaxis(self.flat, 2, 0) / self.h[..., 0]
        found = {
            "h_finite": size["finite"],
            "activation_mean": output["mean"],
            "activation_sd": output["sd"],
            "q": size["mean_square"],
            "saturation_low": low,
            "saturation_high": both - low,
            "dead_fraction": (~self.alive).mean(2),
        }
        return {name: torch.from_numpy(rows.T) for name, rows in found.items()}

    def of_delta(self) -> dict[str, Tensor]:
        """The moments log10_rms, zero and finite of delta, (runs, layers)."""
        return _moments(self.delta, self.delta_scaled)

    def of_weights(self) -> tuple[dict[str, Tensor], Tensor]:
        """The moments of dL/dW, and the shares (runs, layers, limits) within the limits."""
        shares = self.small[..., self.order] / self.g[..., :1]
        return _moments(self.g, self.g_scaled), torch.from_numpy(shares.swapaxes(0, 1))


def _moments(sums: np.ndarray, scaled: np.ndarray) -> dict[str, Tensor]:
    found = loops.of_sums(sums)
    found["log10_rms"] = loops.log10_rms(scaled[..., 0], scaled[..., 1], sums[..., 0])
    return {name: torch.from_numpy(rows.T) for name, rows in found.items()}


@functools.cache
def _nothing(dtype: torch.dtype) -> Look:
    no_numbers = torch.empty(0, dtype=dtype).numpy()
    return Look._empty((0, 0), 0, no_numbers, no_numbers, np.empty(0, np.int64))
