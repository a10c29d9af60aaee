"""What is measured of every layer at a probe step: the columns of the table ``layers``.

Everything is taken in float64 from the float32 parameters, on one fixed batch: gradients here span
40 orders of magnitude, and a float32 norm is 0 below 3e-23. An exact zero has no logarithm; it is
stored as missing, with the share of zeros beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..parts.losses import Loss
from .forward import forward, over_time
from .network import Buffers, Network, Parameters, learned_by_phi

if TYPE_CHECKING:
    from .adversarial import Player, Turn
    from .stack import Stack, Update

# The largest magnitude that a format rounds to 0: half its smallest subnormal number.
UNDERFLOW = {
    "underflow_fp16": 2.0**-25, "underflow_bf16": 2.0**-134, "underflow_fp32": 2.0**-150,
}  # fmt: skip
# The smallest normal number of a format: below it digits are lost, or all flushed to 0.
SUBNORMAL = {"subnormal_fp16": 2.0**-14, "subnormal_fp32": 2.0**-126}  # bfloat16's is float32's

Measures = dict[str, Tensor]  # column -> (runs, depth), float64


def doubled(tensors: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
    """Copies in float64 that no gradient flows back from."""
    return {name: [t.detach().double() for t in group] for name, group in tensors.items()}


def probed_buffers(buffers: Buffers) -> Buffers:
    """The buffers of a probe, in float64: batch norm takes the probe batch's own statistics."""
    return doubled({name: t for name, t in buffers.items() if name not in ("mean", "variance")})


def measure(
    net: Network, parameters: Parameters, buffers: Buffers, loss: Loss, x: Tensor, labels: Tensor
) -> Measures:
    """Every measure of every layer of every run; ``x`` (batch, inputs) serves all runs.

    L is the loss of a sample, delta_l = dL/dh_l its error signal, and g_l = dL/dW_l the gradient of
    the mean loss. With batch norm the samples of the batch share statistics, and delta is the
    gradient of the sum of their losses. Blocks that training leaves out by chance count by their
    probability.
    """
    exact = doubled(parameters)
    runs = len(exact["W"][0])
    for weight in exact["W"][: net.depth]:
        weight.requires_grad_()
    logits, h, a = forward(
        net, exact, x.double().expand(runs, *x.shape), probed_buffers(buffers), learning=False
    )
    total = loss.per_sample(logits, labels.expand(runs, *labels.shape)).sum()
    return of_layers(net, exact, (h, a), total, len(x))


def of_layers(
    net: Network, parameters: Parameters, values: tuple[list, list], total: Tensor, samples: int
) -> Measures:
    """The measures of a net's layers in whose forward pass h and a, ``values``, came about.

    ``total`` is the sum of the losses of so many ``samples``, each g_l that of their mean; what
    ``parameters["W"]`` holds must ask for gradients. A recurrent layer's values are those of all
    its time steps.
    """
    h, a = values
    flat = [z for layer in h for z in (layer if isinstance(layer, list) else [layer])]
    weights = parameters["W"][: net.depth]
    # A truncated net has time steps that no gradient comes back to.
    gradients = iter(torch.autograd.grad(total, [*flat, *weights], materialize_grads=True))
    with torch.no_grad():
        delta = [
            over_time([next(gradients) for _ in z] if isinstance(z, list) else next(gradients))
            for z in h
        ]
        rows = zip(map(over_time, h), map(over_time, a), delta, gradients, strict=True)
        layers = [
            _layer(net, learned_by_phi(net, parameters, n, z), z, out, back, g / samples)
            for n, (z, out, back, g) in enumerate(rows)
        ]
    return {name: torch.stack([layer[name] for layer in layers], dim=1) for name in layers[0]}


def _layer(
    net: Network, learned: list[Tensor], h: Tensor, a: Tensor, delta: Tensor, g: Tensor
) -> dict[str, Tensor]:
    slope = net.activation.derivative(h, *learned)
    low, high = net.activation.saturated(h, slope)
    size = g.abs()
    zeros = _share(size == 0)
    return {
        "log10_delta_rms": log10_rms(delta),
        "log10_grad_rms": log10_rms(g),
        "grad_mean": _mean(g),
        "grad_sd": _sd(g),
        "grad_zero_fraction": zeros,
        "delta_zero_fraction": _share(delta == 0),
        **{name: _share(size <= limit) - zeros for name, limit in UNDERFLOW.items()},
        **{name: _share(size < limit) - zeros for name, limit in SUBNORMAL.items()},
        "nonfinite_fraction": 1 - (_share(h.isfinite()) + _share(delta.isfinite())) / 2,
        "activation_mean": _mean(a),
        "activation_sd": _sd(a),
        "q": _norm(h).square() / h[0].numel(),
        "saturation_low": _share(low),
        "saturation_high": _share(high),
        "dead_fraction": _share((slope == 0).all(dim=_samples_and_pixels(h), keepdim=True)),
    }


def of_update(
    stack: Stack | Player, last: Update | Turn | None, earlier: Update | Turn | None
) -> Measures:
    """What the last update did to the hidden weights, and how far they are from where they began.

    Of a stack of nets or of a player of games. Missing before the first update; layers that are
    frozen do not change.
    """
    weights = stack.parameters["W"][:-1]
    change = [
        _relative(w.double() - w_0.double(), w_0)
        for w, w_0 in zip(weights, stack.initial["W"][:-1], strict=True)
    ]
    missing = torch.full_like(torch.stack(change, dim=1), torch.nan)
    found = {"total_change": torch.stack(change, dim=1) if last else missing}
    found |= {"update_ratio": missing.clone(), "consecutive_cosine": missing.clone()}
    positions = {id(tensor): n for n, tensor in enumerate(stack.learning)}
    for layer, weight in enumerate(weights):
        n = positions.get(id(weight))
        if last is None:
            continue
        if n is None:
            found["update_ratio"][:, layer] = 0.0
            continue
        found["update_ratio"][:, layer] = _relative(last.changes[n], last.before["W"][layer])
        if earlier is not None:
            now, then = last.gradients[n], earlier.gradients[n]
            found["consecutive_cosine"][:, layer] = cosine(now.double(), then.double())
    return found


def effective_depth(change: Tensor) -> Tensor:
    r"""How many layers take part, :math:`(\sum u)^2 / \sum u^2`, u the ``change`` (runs, depth).

    From 1 (one layer changes) to the depth (all alike); missing where none does. A layer that
    began at 0 has no relative change, and is left out.
    """
    change = torch.where(change.isfinite(), change, 0.0)
    return change.sum(1).square() / change.square().sum(1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of two tensors over all but the run axis, (runs); missing where one is 0."""
    a, b = (t / t.abs().amax(_rest(t), keepdim=True) for t in (a, b))
    return (a * b).sum(_rest(a)) / (_norm(a) * _norm(b))


def log10_rms(values: Tensor) -> Tensor:
    """log10 of the root mean square over all but the run axis, NaN where every value is 0.

    Where squares underflow or overflow, the values are scaled by the largest of them first.
    """
    norm, scale = _norm(values), torch.ones(len(values), dtype=values.dtype, device=values.device)
    if ((norm < 1e-140) | ~(norm < 1e140)).any():
        scale = values.abs().amax(_rest(values))
        norm = _norm(values / scale.view(-1, *[1] * (values.dim() - 1)))
    log = torch.log10(norm / values[0].numel() ** 0.5) + torch.log10(scale)
    return torch.where(log.isfinite(), log, torch.nan)


def _relative(change: Tensor, whole: Tensor) -> Tensor:
    """norm(change) / norm(whole) of every run, in float64."""
    return _norm(change.detach().double()) / _norm(whole.detach().double())


def _rest(values: Tensor) -> tuple[int, ...]:
    """All but the run axis."""
    return tuple(range(1, values.dim()))


def _samples_and_pixels(values: Tensor) -> tuple[int, ...]:
    return tuple(axis for axis in _rest(values) if axis != 2)


def _norm(values: Tensor) -> Tensor:
    return torch.linalg.vector_norm(values, dim=_rest(values))


def _mean(values: Tensor) -> Tensor:
    return values.mean(_rest(values))


def _sd(values: Tensor) -> Tensor:
    """The standard deviation over all but the run axis."""
    return _norm(values - values.mean(_rest(values), keepdim=True)) / values[0].numel() ** 0.5


def _share(where: Tensor) -> Tensor:
    return torch.count_nonzero(where, dim=_rest(where)).double() / where[0].numel()
