"""What is measured of every layer at a probe step: the columns of the table ``layers``.

Everything is taken in float64 from the float32 parameters, on one fixed batch: gradients here span
40 orders of magnitude, and a float32 norm is 0 below 3e-23. An exact zero has no logarithm; it is
stored as missing, with the share of zeros beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts.losses import Loss
from .network import MLP, Parameters, forward

# The largest magnitude that a format rounds to 0: half its smallest subnormal number.
UNDERFLOW = {"underflow_fp16": 2.0**-25, "underflow_bf16": 2.0**-134}

Measures = dict[str, Tensor]  # column -> (runs, depth), float64


def measure(net: MLP, parameters: Parameters, loss: Loss, x: Tensor, labels: Tensor) -> Measures:
    """Every measure of every layer of every run; ``x`` (batch, inputs) serves all runs.

    L is the loss of a sample, delta_l = dL/dh_l its error signal, and g_l = dL/dW_l the gradient of
    the mean loss. With batch norm the samples of the batch share statistics, and delta is the
    gradient of the sum of their losses.
    """
    exact = {name: [t.detach().double() for t in tensors] for name, tensors in parameters.items()}
    runs, batch = len(exact["W"][0]), len(x)
    weights = [w.requires_grad_() for w in exact["W"][: net.depth]]
    logits, h, a = forward(net, exact, x.double().expand(runs, *x.shape))
    total = loss.per_sample(logits, labels.expand(runs, batch)).sum()
    gradients = torch.autograd.grad(total, [*h, *weights])
    delta, g = gradients[: net.depth], [gradient / batch for gradient in gradients[net.depth :]]
    with torch.no_grad():
        layers = [_layer(net, *tensors) for tensors in zip(h, a, delta, g, strict=True)]
    return {name: torch.stack([layer[name] for layer in layers], dim=1) for name in layers[0]}


def _layer(net: MLP, h: Tensor, a: Tensor, delta: Tensor, g: Tensor) -> dict[str, Tensor]:
    slope = net.activation.derivative(h)
    low, high = net.activation.saturated(h, slope)
    size = g.abs()
    zeros = _share(size == 0)
    return {
        "log10_delta_rms": log10_rms(delta),
        "log10_grad_rms": log10_rms(g),
        "grad_mean": g.mean((1, 2)),
        "grad_sd": _sd(g),
        "grad_zero_fraction": zeros,
        "delta_zero_fraction": _share(delta == 0),
        **{name: _share(size <= limit) - zeros for name, limit in UNDERFLOW.items()},
        "activation_mean": a.mean((1, 2)),
        "activation_sd": _sd(a),
        "q": _norm(h).square() / h[0].numel(),
        "saturation_low": _share(low),
        "saturation_high": _share(high),
        "dead_fraction": (slope == 0).all(1).double().mean(1),
    }


def log10_rms(values: Tensor) -> Tensor:
    """log10 of the root mean square over all but the run axis, NaN where every value is 0.

    Where squares underflow or overflow, the values are scaled by the largest of them first.
    """
    norm, scale = _norm(values), torch.ones(len(values), dtype=values.dtype, device=values.device)
    if ((norm < 1e-140) | ~(norm < 1e140)).any():
        scale = values.abs().amax((1, 2))
        norm = _norm(values / scale[:, None, None])
    log = torch.log10(norm / values[0].numel() ** 0.5) + torch.log10(scale)
    return torch.where(log.isfinite(), log, torch.nan)


def _norm(values: Tensor) -> Tensor:
    return torch.linalg.vector_norm(values, dim=(1, 2))


def _sd(values: Tensor) -> Tensor:
    """The standard deviation over all but the run axis."""
    return _norm(values - values.mean((1, 2), keepdim=True)) / values[0].numel() ** 0.5


def _share(where: Tensor) -> Tensor:
    return torch.count_nonzero(where, dim=(1, 2)).double() / where[0].numel()
