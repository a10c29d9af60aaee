"""How much of a weight gradient is signal, and how much the noise of its samples."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..parts.losses import Loss
from .gradients import weight_gradients
from .network import Buffers, Network, Parameters

MIXED = 8  # samples of a micro-batch, at least, where a norm takes statistics over it
MICRO_BATCHES = 8


def noise(
    net: Network, parameters: Parameters, buffers: Buffers, loss: Loss, x: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    r"""The signal to noise of each layer's gradient (runs, depth), and the noise scale (runs).

    From the gradients :math:`g_i` of the mean losses of m = 8 micro-batches of n samples, parts of
    ``x`` (batch, inputs), with their mean :math:`\bar g` and
    :math:`V = \sum_i \|g_i - \bar g\|^2 / (m - 1)`:

    - snr :math:`= (\|\bar g\|^2 - V / m) / V`, a layer alone. Numerator and denominator estimate
      the squared true gradient and the variance of a micro-batch without bias; so the numerator may
      be negative where there is little signal, and stays so, for a mean over runs to be right.
    - noise scale :math:`= n V / (\|\bar g\|^2 - V / m)`, all hidden weights together: the trace of
      a sample's covariance over the squared true gradient, in samples (McCandlish et al. 2018,
      appendix A.1). Missing where the denominator is not positive.

    A small batch gives fewer micro-batches: of at least 8 samples where a norm mixes samples, whose
    statistics are the micro-batch's own (over 2 they would leave signs and no gradient). All is
    missing where there are fewer than two.
    """
    count = min(MICRO_BATCHES, len(x) // (MIXED if net.norm.mixes_samples else 1))
    if count < 2:
        missing = x.new_full((len(parameters["W"][0]), net.depth), torch.nan)
        return missing, missing[:, 0]
    size = len(x) // count
    parts = zip(x.split(size)[:count], labels.split(size)[:count], strict=True)
    layers = range(1, net.depth + 1)
    signal, variance, scale = signal_and_variance(
        weight_gradients(net, parameters, buffers, loss, *part, layers) for part in parts
    )
    weight = (scale / scale.amax(1, keepdim=True)).square()
    total = (signal * weight).sum(1)
    noise_scale = size * (variance * weight).sum(1) / torch.where(total > 0, total, torch.nan)
    return signal / torch.where(variance > 0, variance, torch.nan), noise_scale


def signal_and_variance(gradients: Iterable[list[Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    r"""Unbiased estimates of the squared mean and the variance of vectors drawn alike.

    ``gradients`` gives, draw by draw, a tensor (runs, ...) a layer. Returned are
    :math:`\|\bar g\|^2 - V / m` and :math:`V = \sum_i \|g_i - \bar g\|^2 / (m - 1)`, both over the
    square of ``scale``, the largest entry of the first draw, so that squares do not underflow; all
    (runs, layers). Only the running mean is kept (Welford 1962).
    """
    means: list[Tensor] = []
    for m, draw in enumerate(gradients, start=1):
        flat = [g.flatten(1) for g in draw]
        if m == 1:
            scales = [g.abs().amax(1, keepdim=True) for g in flat]
            scales = [torch.where(s == 0, 1.0, s) for s in scales]
            means = [g / s for g, s in zip(flat, scales, strict=True)]
            spread = torch.zeros_like(torch.cat(scales, dim=1))
            continue
        changes = [g / s - mean for g, s, mean in zip(flat, scales, means, strict=True)]
        means = [mean + change / m for mean, change in zip(means, changes, strict=True)]
        spread += (m - 1) / m * _squared(changes)
    variance = spread / (m - 1)
    return _squared(means) - variance / m, variance, torch.cat(scales, dim=1)


def _squared(vectors: list[Tensor]) -> Tensor:
    """The squared norms (runs, layers) of a vector (runs, size) a layer."""
    return torch.stack([v.square().sum(1) for v in vectors], dim=1)
