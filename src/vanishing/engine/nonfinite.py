"""Where a run's values were first not finite: at which update, in which layer.

A step on a GPU must not wait for the host to look at a flag. There the layer is found at every
update and kept on the device; on a CPU, where looking costs nothing, only where a run's loss is not
finite for the first time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .network import Parameters

Values = list[Tensor] | list[list[Tensor]]  # of each layer; of each time step or pass of it


def first_layers(
    losses: Tensor, h: Callable[[], Values], lost: Tensor | None = None
) -> Tensor | None:
    """The first layer (runs) that is not finite of each run whose loss is not; 0 of the others.

    The head counts as the layer after the last. None: every loss is finite, and that was cheap to
    see. ``losses`` are (runs), what ``h()`` gives for a layer (runs, ...); on a CPU it is asked for
    only where a loss is not finite in a run that was not ``lost`` before.
    """
    if losses.device.type != "cpu":
        return torch.where(losses.isfinite(), 0, _first(h()))
    bad = ~losses.isfinite()
    if lost is not None:
        bad &= ~lost
    if not bad.any():
        return None
    found = torch.zeros(len(losses), dtype=torch.int64)
    found[bad] = _first([[t[bad] for t in (z if isinstance(z, list) else [z])] for z in h()])
    return found


def first_weights(parameters: Parameters) -> Tensor:
    """The first layer (runs) in which a weight is not finite, 0 where all are; the head is one."""
    bad = torch.stack([~_largest(w.detach()).isfinite() for w in parameters["W"]])
    return torch.where(bad.any(0), bad.byte().argmax(0) + 1, 0)


def nothing_yet(runs: int, device: torch.device) -> Tensor:
    """Update and layer (runs, 2), 0 and 0 of a run that was finite until now."""
    return torch.zeros(runs, 2, dtype=torch.int64, device=device)


def note(first: Tensor, step: int, layers: Tensor | None) -> None:
    """Note in ``first`` (runs, 2) the step and layer of the runs that were finite until now."""
    if layers is None:
        return
    now = torch.stack([torch.full_like(layers, step), layers], dim=1)
    new = (first[:, :1] == 0) & (layers[:, None] > 0)
    first.copy_(torch.where(new, now, first))


def _first(h: Values) -> Tensor:
    """The first layer (runs) with a value that is not finite; the head where there is none."""
    finite = torch.stack([_largest(z).isfinite() for z in h])  # (depth, runs)
    head = torch.zeros_like(finite[:1])
    return torch.cat([finite, head]).logical_not_().byte().argmax(0) + 1


def _largest(z: Tensor | list[Tensor]) -> Tensor:
    """The largest size of a layer's values in each run, (runs): not finite if one of them is not.

    All that is asked hands a NaN on, and copies nothing. On a GPU one kernel; on a CPU two that
    are vectorised, 14 times as fast as that norm, which is not.
    """
    if isinstance(z, list):
        z = z[0] if len(z) == 1 else torch.cat([t.detach().flatten(1) for t in z], dim=1)
    values, rest = z.detach(), tuple(range(1, z.dim()))
    if values.device.type == "cpu":
        return torch.maximum(values.amax(rest), -values.amin(rest))
    return torch.linalg.vector_norm(values, torch.inf, dim=rest)
