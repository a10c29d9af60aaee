"""How steep an activation with bounds is where its outputs lie low, in the middle and high."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts.activations import Activation
from .forward import forward
from .network import Buffers, Network, Parameters, learned_by_phi

EDGE = 0.05  # of the range of phi: an output there counts as low, or as high
FLAT = 1e-3  # of the range: less than this phi still moves beyond |h| = 10^6


def output_bins(
    net: Network, parameters: Parameters, buffers: Buffers, x: Tensor
) -> dict[str, Tensor]:
    r"""The mean :math:`|\phi'(h)|` of outputs in three parts of phi's range, (runs, depth) each.

    With the bounds m and M of phi, an output :math:`\phi(h)` is low up to :math:`m + .05 (M - m)`,
    high from :math:`M - .05 (M - m)` on, and else in the middle; over the samples ``x`` (batch,
    inputs) and units of a layer. Missing where no output lies there; nothing of a phi without
    bounds.
    """
    bounds = bounded_range(net.activation)
    if bounds is None:
        return {}
    x = x.expand(len(parameters["W"][0]), *x.shape)
    with torch.no_grad():
        _, h, _ = forward(net, parameters, x, buffers, learning=False)
    layers = [
        _of_layer(net.activation, z, learned_by_phi(net, parameters, n, z), bounds)
        for n, z in enumerate(h)
    ]
    return {name: torch.stack([layer[name] for layer in layers], dim=1) for name in layers[0]}


def bounded_range(activation: Activation) -> tuple[float, float] | None:
    """The least and the largest value of phi; None where it does not settle at both ends.

    Of a phi that learns, with what it starts from. It settles where its values from abs(h) = 10^6
    to 10^12 differ by less than a thousandth of all that it spans, which no phi does that grows (a
    logarithm neither) or oscillates.
    """
    far = torch.logspace(6, 12, 25, dtype=torch.float64)
    outer = torch.logspace(1, 6, 501, dtype=torch.float64)
    inner = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    with torch.no_grad():
        ends = [activation.phi(-far), activation.phi(far)]
        every = torch.cat([*ends, *map(activation.phi, (-outer, inner, outer))])
    low, high = float(every.min()), float(every.max())
    if not every.isfinite().all() or not high > low:
        return None
    moves = max(float(end.max() - end.min()) for end in ends)
    return (low, high) if moves < FLAT * (high - low) else None


def _of_layer(
    activation: Activation, h: Tensor, learned: list[Tensor], bounds: tuple[float, float]
) -> dict[str, Tensor]:
    """The three means of a layer with pre-activations ``h`` (runs, batch, units), (runs) each."""
    slope, (least, largest) = activation.derivative(h, *learned).abs(), bounds
    a, edge = activation.phi(h, *learned), EDGE * (largest - least)
    low, high = a <= least + edge, a >= largest - edge
    bins = {"low": low, "middle": ~(low | high), "high": high}
    return {f"derivative_{name}": _mean(slope, where) for name, where in bins.items()}


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """The mean of the ``values`` (runs, batch, units) ``where`` they count; NaN of none."""
    return torch.where(where, values, 0.0).sum((1, 2)) / where.sum((1, 2))
