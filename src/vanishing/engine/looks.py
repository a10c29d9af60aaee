"""What a probe reads off a recurrent net's compiled loops, in the pass itself: no value is kept.

A :class:`Look` at a layer fills while :mod:`.fused_recurrent` goes forward and back; what all looks
tell are the measures that :mod:`.probes` takes of values that were kept. What steps add up to is
summed along the last axis of contiguous memory: the order of a sum, and so its last bit, is then
that of a run's steps alone, however many runs stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..lazy import Lazy

if TYPE_CHECKING:
    from .fused_recurrent import Cell
    from .network import Network
    from .probes import Measures

kernels = Lazy("vanishing.engine.look_kernels")  # numba takes a third of a second to load
loops = Lazy("vanishing.engine.compiled_statistics")


@dataclass
class Look:
    """What is seen of a layer of some ``units``, whose step has ``batch`` times as many numbers."""

    cell: Cell
    batch: int
    limits: np.ndarray
    values: np.ndarray  # (steps, runs, ...), see .look_kernels
    sizes: np.ndarray  # (runs, units): of phi', added up over samples and steps
    delta: list[np.ndarray] = field(default_factory=list)  # of each way back, likewise
    again: bool = False  # after this way back comes another: what it needs is kept

    @classmethod
    def of(cls, net: Network, cell: Cell, x: Tensor, nearly: float) -> Look:
        """An empty one, at a pass of ``x`` (runs, batch, inputs); a gate is ``nearly`` 0 or 1."""
        (runs, batch, _), (steps, _) = x.shape, net.architecture.sequence
        numbers = kernels.OF_VALUES + cell.gates * kernels.OF_GATE
        bounds = *loops.flat_bounds(net.activation), nearly, math.nextafter(1 - nearly, 0)
        return cls(
            cell,
            batch,
            limits := loops.bounds_of(bounds, x),
            np.empty((steps, runs, numbers)),
            np.zeros((runs, net.architecture.width), limits.dtype),
        )

    def another_way_back(self) -> np.ndarray:
        """Where the sums of the next one go."""
        self.delta.append(np.empty((*self.values.shape[:2], kernels.OF_DELTA)))
        return self.delta[-1]

    @property
    def each(self) -> int:
        """Numbers a step."""
        return self.batch * self.sizes.shape[1]

    @property
    def dead(self) -> np.ndarray:
        """The share of units whose phi' was 0 everywhere, (runs)."""
        return (self.sizes == 0).mean(1)


def of_values(looks: Sequence[Look]) -> Measures:
    """As :func:`.probes.of_values`."""
    steps, each = len(looks[0].values), looks[0].each
    values = np.stack([_by_run(look.values)[:, : kernels.OF_VALUES] for look in looks])
    squares, finite, _, _, low, both = np.moveaxis(values.sum(3), 2, 0)  # (depth, runs) each
    mean, sd = _mean_and_sd(values[:, :, 2:4], each)
    dead = np.stack([look.dead for look in looks])
    found = {
        "h_finite": finite,
        "q": squares,
        "saturation_low": low,
        "saturation_high": both - low,
    }
    found = {name: sums / (steps * each) for name, sums in found.items()}
    found |= {"activation_mean": mean, "activation_sd": sd, "dead_fraction": dead}
    return {name: torch.from_numpy(rows.T) for name, rows in found.items()}


def of_gates(look: Look) -> list[Measures]:
    """Of each gate mean, sd, and the shares that are finite, nearly shut, and not nearly open."""
    steps, runs, _ = look.values.shape
    values = _by_run(look.values)[:, kernels.OF_VALUES :]
    values = values.reshape(runs, look.cell.gates, kernels.OF_GATE, steps)
    mean, sd = _mean_and_sd(values[:, :, :2], look.each)  # (runs, gates)
    shares = values[:, :, 2:].sum(3) / (steps * look.each)
    rows = torch.from_numpy(np.stack([mean, sd, *np.moveaxis(shares, 2, 0)]))
    names = ("mean", "sd", "finite", "shut", "ajar")
    return [dict(zip(names, gate, strict=True)) for gate in rows.unbind(2)]


def of_delta(delta: Sequence[np.ndarray], each: int) -> Measures:
    """log10_rms, zero and finite of the ``delta`` of a way back, (runs, depth).

    It has so many numbers ``each`` step.
    """
    squares, scale, zeros, finite = _of_way(delta)
    top = scale.max(2)
    with np.errstate(all="ignore"):
        together = (squares * (scale / top[..., None]) ** 2).mean(2)
    found = {
        "log10_rms": loops.log10_rms(together, top, each),
        "zero": zeros.mean(2) / each,
        "finite": finite.mean(2) / each,
    }
    return {name: torch.from_numpy(rows.T) for name, rows in found.items()}


def of_steps(delta: Sequence[np.ndarray], each: int) -> Tensor:
    """log10_rms of the ``delta`` of every step, (runs, depth, steps)."""
    squares, scale, _, _ = _of_way(delta)
    return torch.from_numpy(loops.log10_rms(squares, scale, each).swapaxes(0, 1))


def _by_run(values: np.ndarray) -> np.ndarray:
    """Sums (steps, runs, ...) as (runs, ..., steps), contiguous."""
    return np.ascontiguousarray(np.moveaxis(values, 0, 2))


def _of_way(delta: Sequence[np.ndarray]) -> np.ndarray:
    """What is seen of a way back, (depth, runs, steps) each; see :data:`.look_kernels.OF_DELTA`."""
    return np.ascontiguousarray(np.stack([d.transpose(2, 1, 0) for d in delta], axis=1))


def _mean_and_sd(values: np.ndarray, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Of all steps, of sums and squares about the mean (..., 2, steps) of each.

    Squares about several means are joined as Chan, Golub, LeVeque 1983 do it.
    """
    with np.errstate(all="ignore"):
        means = values[..., 0, :] / each
        mean = means.mean(-1)
        apart = (means - mean[..., None]) ** 2
        return mean, np.sqrt((values[..., 1, :] / each + apart).mean(-1))
