"""What comes back to a sample from the net's far end: dh_L/dx, and delta_1 of one same gradient.

A backward pass gives a row. Where a norm mixes the samples of a batch, a sample's own derivative
needs a pass of its own, with the others' outputs left out: sent back for all at once, the same
gradient would meet the mean over the batch that batch norm takes away, and nothing would be left.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..parts.losses import Loss
from .forward import forward
from .network import Buffers, Network, Parameters
from .statistics import log10_rms

SAMPLES = 4  # of a Jacobian; 1 where a norm mixes samples, as all of the batch is passed for each
LARGEST_OUTPUT = 1024  # values of h_L: each costs a backward pass
LARGEST_JACOBIAN = 2**21  # entries, of a sample


def jacobian(net: Network, parameters: Parameters, buffers: Buffers, x: Tensor) -> Tensor | None:
    """dh_L/dx of the first samples of ``x`` (batch, inputs): (runs, samples, outputs, inputs).

    The outputs are the units of h_L, of a CNN times its pixels. None where they are too many: a
    backward pass is made for each, of a few samples, or of the whole batch where a norm mixes them.
    """
    outputs = net.architecture.units(net.depth) * math.prod(net.architecture.pixels(net.depth))
    if outputs > LARGEST_OUTPUT or outputs * x.shape[1] > LARGEST_JACOBIAN:
        return None
    samples = 1 if net.norm.mixes_samples else min(SAMPLES, len(x))
    x = x if net.norm.mixes_samples else x[:samples]
    x = x.expand(len(parameters["W"][0]), *x.shape).clone().requires_grad_()
    _, h, _ = forward(net, parameters, x, buffers, learning=False)
    each = h[-1].flatten(2)[:, :samples].sum((0, 1))  # of no other sample and run
    rows = [torch.autograd.grad(output, x, retain_graph=True)[0] for output in each]
    return torch.stack([row[:, :samples] for row in rows], dim=2)


def shattering(net: Network, parameters: Parameters, buffers: Buffers, x: Tensor) -> Tensor:
    """Mean cosine of delta_1 between the samples of ``x`` (batch, inputs), (runs).

    Sent back is the gradient of the sum of a sample's logits, the same for all samples (Balduzzi
    et al. 2017); where a norm mixes samples, in a pass for each.
    """
    runs, batch = len(parameters["W"][0]), len(x)
    x = x.expand(runs, batch, -1).clone().requires_grad_()
    logits, h, _ = forward(net, parameters, x, buffers, learning=False)
    if not net.norm.mixes_samples:
        return mean_cosine(torch.autograd.grad(logits.sum(), h[0])[0].flatten(2))
    each = logits.sum((0, 2))
    passes = [torch.autograd.grad(output, h[0], retain_graph=True)[0] for output in each]
    own = [delta[:, sample] for sample, delta in enumerate(passes)]
    return mean_cosine(torch.stack(own, dim=1).flatten(2))


def stream_growth(
    net: Network, parameters: Parameters, buffers: Buffers, loss: Loss, x: Tensor, labels: Tensor
) -> Tensor:
    r"""log10 of :math:`E (dL/ds)^2` where the stream s enters the first block over its end, (runs).

    The stream is what the residual blocks add to; the mean is over samples and units.
    """
    runs = len(parameters["W"][0])
    streams: list[Tensor] = []
    x = x.expand(runs, *x.shape).clone().requires_grad_()
    logits, _, _ = forward(
        net, parameters, x, buffers, learning=False, on_stream=streams.append
    )  # fmt: skip
    total = loss.per_sample(logits, labels.expand(runs, *labels.shape)).sum()
    first, last = torch.autograd.grad(total, [streams[0], streams[-1]])
    return 2 * (log10_rms(first) - log10_rms(last))


def mean_cosine(vectors: Tensor) -> Tensor:
    r"""Mean cosine over the pairs of different ``vectors`` (runs, samples, size), (runs).

    :math:`(\|\sum_i u_i\|^2 - n) / (n (n - 1))` of the n unit vectors. A vector of zeros has no
    direction and is left out; missing where fewer than two are left.
    """
    largest = vectors.abs().amax(2, keepdim=True)
    units = torch.nn.functional.normalize(vectors / torch.where(largest == 0, 1.0, largest), dim=2)
    n = (largest != 0).sum((1, 2))
    return (units.sum(1).square().sum(1) - n) / (n * (n - 1))
