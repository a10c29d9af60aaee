"""Sums over each run's values: moments, shares and norms, in float64.

A layer's values are ``Pieces``: (runs, ...), or of more than one time step or pass a tensor
(runs, batch, units[, pixels]) each. This is torch, for any device; :mod:`.compiled_statistics` has
the same functions for a CPU's memory, and :func:`.probes.statistics_on` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from ..parts.activations import Activation

Pieces = Sequence[Tensor]


def moments(layers: Sequence[Pieces], wanted: Iterable[str]) -> dict[str, Tensor]:
    """Those ``wanted`` of mean, sd, mean_square, log10_rms; and the shares zero and finite.

    (runs, layers) each.
    """
    formulas = {
        "mean": lambda v: v.mean(_rest(v)),
        "sd": lambda v: _norm(v - v.mean(_rest(v), keepdim=True)) / v[0].numel() ** 0.5,
        "mean_square": lambda v: _norm(v).square() / v[0].numel(),
        "log10_rms": log10_rms,
        "zero": lambda v: _share(v == 0),
        "finite": lambda v: _share(v.isfinite()),
    }
    values = [_joined(pieces).detach().double() for pieces in layers]
    return {name: torch.stack([formulas[name](v) for v in values], dim=1) for name in wanted}


def shares_within(layers: Sequence[Pieces], limits: Sequence[float]) -> Tensor:
    """Which share of the values is at most each of ``limits`` in size, (runs, layers, limits)."""
    sizes = [_joined(pieces).detach().double().abs() for pieces in layers]
    rows = [torch.stack([_share(size <= limit) for limit in limits], dim=1) for size in sizes]
    return torch.stack(rows, dim=1)


def flatness(
    activation: Activation, layers: Sequence[Pieces], slope: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """The shares of values where phi is flat, below and above its peak, and of units that are dead.

    (runs, layers) each; ``layers`` are the h's, ``slope(h)`` is phi'. A unit is dead whose phi' is
    0 for all samples, pixels and pieces.
    """
    found = []
    for pieces in layers:
        h, steepness = _joined(pieces), _joined([slope(h) for h in pieces])
        low, high = activation.saturated(h, steepness)
        others = tuple(axis for axis in _rest(h) if axis != 2)
        dead = (steepness == 0).all(dim=others, keepdim=True)
        found.append([_share(where) for where in (low, high, dead)])
    names = ("saturation_low", "saturation_high", "dead_fraction")
    shares = zip(*found, strict=True)
    return {name: torch.stack(of, dim=1) for name, of in zip(names, shares, strict=True)}


def relative_distance(now: Tensor, then: Tensor) -> Tensor:
    """norm(now - then) / norm(then), (runs)."""
    then = then.double()
    return _norm(now.double() - then) / _norm(then)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine of two tensors, (runs); missing where one is 0, and no square of it underflows."""
    x, y = (t.double() / t.double().abs().amax(_rest(t), keepdim=True) for t in (x, y))
    return (x * y).sum(_rest(x)) / (_norm(x) * _norm(y))


def log10_rms(values: Tensor) -> Tensor:
    """log10 of the root mean square, (runs), NaN where every value is 0.

    Where squares underflow or overflow, the values are scaled by the largest of them first.
    """
    norm, scale = _norm(values), torch.ones(len(values), dtype=values.dtype, device=values.device)
    if ((norm < 1e-140) | ~(norm < 1e140)).any():
        scale = values.abs().amax(_rest(values))
        norm = _norm(values / scale.view(-1, *[1] * (values.dim() - 1)))
    log = torch.log10(norm / values[0].numel() ** 0.5) + torch.log10(scale)
    return torch.where(log.isfinite(), log, torch.nan)


def _joined(pieces: Pieces) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.stack(tuple(pieces), dim=3)


def _rest(values: Tensor) -> tuple[int, ...]:
    """All but the run axis."""
    return tuple(range(1, values.dim()))


def _norm(values: Tensor) -> Tensor:
    return torch.linalg.vector_norm(values, dim=_rest(values))


def _share(where: Tensor) -> Tensor:
    return torch.count_nonzero(where, dim=_rest(where)).double() / where[0].numel()
