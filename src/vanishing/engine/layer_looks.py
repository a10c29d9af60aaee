"""What a probe reads off the compiled loops of layers, in the pass itself: nothing is kept.

A :class:`Look` is filled while :mod:`.chain` goes forward and back through an MLP, and while
:mod:`.convolution` does through each layer of a CNN; what it tells are the measures that
:mod:`.probes` takes of values that were kept.
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
    from ..parts.architecture import Architecture
    from .network import Network

loops = Lazy("vanishing.engine.compiled_statistics")  # numba takes a third of a second to load
SUMS = 6  # see .sum_kernels.scan


@dataclass
class Look:
    """Sums over a layer's values, (layers, runs, ...) each; no layers where nothing is asked."""

    # Four times: of h (count, squares, finite ones), of what leaves the layer (all but zeros), of
    # delta (count, zeros, finite ones), and of dL/dW.
    sums: np.ndarray
    scaled: np.ndarray  # of the last two: squares, and what was divided by first
    flat: np.ndarray  # how many slopes are flat: below the peak, and in all
    alive: np.ndarray  # (layers, runs, most units): 1 where some slope is not 0, else 0
    units: np.ndarray  # (layers)
    small: np.ndarray  # how many of dL/dW are at most each of the limits in size
    bounds: np.ndarray  # see .sum_kernels.count_flat
    limits: np.ndarray  # falling
    order: np.ndarray  # where each of those that were given stands

    @classmethod
    def of(cls, net: Network, x: Tensor, limits: Sequence[float] | None = None) -> Look:
        """An empty look at a pass of ``x`` (runs, batch, inputs); without ``limits`` at nothing."""
        if limits is None:
            return nothing(x.dtype)
        bounds = loops.bounds_of(loops.flat_bounds(net.activation), x)
        return cls._empty(len(x), _units(net.architecture), bounds, *loops.falling(limits, x))

    @classmethod
    def _empty(
        cls,
        runs: int,
        units: np.ndarray,
        bounds: np.ndarray,
        limits: np.ndarray,
        order: np.ndarray,
    ) -> Look:
        shape = len(units), runs
        alive = np.zeros((*shape, units.max(initial=0)), bounds.dtype)
        sizes = (4, *shape, SUMS), (2, *shape, 2), (*shape, 2)
        small = np.zeros((*shape, len(limits)))
        return cls(*map(np.zeros, sizes), alive, units, small, bounds, limits, order)

    @property
    def forward(self) -> tuple[np.ndarray, ...]:
        """What is filled on the way forward."""
        return *self.sums[:2], self.flat, self.alive, self.bounds

    @property
    def backward(self) -> tuple[np.ndarray, ...]:
        """What is filled on the way back."""
        (_, _, delta, g), (of_delta, of_g) = self.sums, self.scaled
        return delta, of_delta, g, of_g, self.small, self.limits

    def see_output(self, layer: int, a: Tensor) -> None:
        """Add the sums of what leaves the layer with this index, where that is made elsewhere.

        ``a`` is (runs, batch, units, height, width), units innermost in memory.
        """
        values = a.detach().permute(0, 1, 3, 4, 2).reshape(-1).numpy()
        size = len(values) // len(a)
        loops.scan(values, (len(a), 1, size, size, 0), (True, False), self.sums[1][layer])

    def moments(self) -> dict[str, np.ndarray]:
        """Of all :attr:`sums` those of :func:`.compiled_statistics.of_sums`, (4, runs, layers).

        A moment of what was not added up says nothing.
        """
        return {name: rows.mT for name, rows in loops.of_sums(self.sums).items()}

    def log10_rms(self) -> np.ndarray:
        """Of delta and of dL/dW, (2, runs, layers)."""
        squares, scale = np.moveaxis(self.scaled, 3, 0)
        return loops.log10_rms(squares, scale, self.sums[2:, ..., 0]).mT

    def flatness(self) -> dict[str, np.ndarray]:
        """As :func:`.statistics.flatness`."""
        low, both = np.moveaxis(self.flat, 2, 0) / self.sums[0, ..., 0]
        dead = 1 - self.alive.sum(axis=2) / self.units[:, None]
        found = {"saturation_low": low, "saturation_high": both - low, "dead_fraction": dead}
        return {name: rows.T for name, rows in found.items()}

    def within(self) -> np.ndarray:
        """Which share of dL/dW is at most each of the limits in size, (runs, layers, limits)."""
        return (self.small[..., self.order] / self.sums[3, ..., :1]).swapaxes(0, 1)


@functools.cache
def _units(architecture: Architecture) -> np.ndarray:
    """Of each layer; the same array for all who ask alike."""
    return np.array([architecture.units(n + 1) for n in range(architecture.depth)])


@functools.cache
def nothing(dtype: torch.dtype) -> Look:
    """A look at no layer."""
    no_numbers, none = torch.empty(0, dtype=dtype).numpy(), np.empty(0, np.int64)
    return Look._empty(0, none, no_numbers, no_numbers, none)
