"""What is measured of every layer at a probe step: the columns of the table ``layers``.

Everything is taken in float64 from the float32 parameters, on one fixed batch: gradients here span
40 orders of magnitude, and a float32 norm is 0 below 3e-23. An exact zero has no logarithm; it is
stored as missing, with the share of zeros beside it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from ..parts.losses import Loss
from . import chain, statistics
from .feedforward import pass_forward
from .fused_layer import is_seen
from .layer_looks import Look
from .network import Buffers, Network, Parameters, without_running

# The largest magnitude that a format rounds to 0: half its smallest subnormal number.
UNDERFLOW = {
    "underflow_fp16": 2.0**-25, "underflow_bf16": 2.0**-134, "underflow_fp32": 2.0**-150,
}  # fmt: skip
# The smallest normal number of a format: below it digits are lost, or all flushed to 0.
SUBNORMAL = {"subnormal_fp16": 2.0**-14, "subnormal_fp32": 2.0**-126}  # bfloat16's is float32's

OF_DELTA = ("log10_rms", "zero", "finite")  # the moments that are asked of it

Measures = dict[str, Tensor]  # column -> (runs, depth), float64


def doubled(tensors: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
    """Copies in float64 that no gradient flows back from."""
    return {name: [t.detach().double() for t in group] for name, group in tensors.items()}


def probed_buffers(buffers: Buffers) -> Buffers:
    """The buffers of a probe, in float64: batch norm takes the probe batch's own statistics."""
    return doubled(without_running(buffers))


@dataclass(frozen=True)
class Probed:
    """All that a pass forward and back tells of the layers, and of a recurrent net's past."""

    layers: Measures
    lags: Tensor | None = None  # (runs, depth, steps): see :func:`.through_time.lag_profile`
    recurrences: dict[str, Measures] = field(default_factory=dict)  # see .of_recurrences


class Slopes:
    """phi' at every h of a pass, from the graph of that pass: nothing is computed twice.

    Have it :meth:`see` each h and phi(h) on the way; it tells phi'(h) until a gradient goes back
    through the graph and frees it.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Tensor, Tensor]] = {}

    def see(self, h: Tensor, a: Tensor) -> None:
        """Note that phi(h) is ``a``."""
        self._seen[id(h)] = h, a

    def at(self, h: Tensor) -> Tensor:
        """phi'(h), as :meth:`vanishing.parts.activations.Activation.derivative` has it."""
        h, a = self._seen[id(h)]
        if not a.requires_grad:  # a constant
            return torch.zeros_like(h)
        ones = torch.ones((), dtype=a.dtype, device=a.device).expand_as(a)
        return torch.autograd.grad(a, h, ones, retain_graph=True, materialize_grads=True)[0]


def statistics_on(device: torch.device) -> ModuleType:
    """The module with the functions of :mod:`.statistics` that is fastest on the ``device``."""
    if device.type != "cpu":
        return statistics
    from . import compiled_statistics  # numba takes a third of a second to load

    return compiled_statistics


def measure(
    net: Network, parameters: Parameters, buffers: Buffers, loss: Loss, x: Tensor, labels: Tensor
) -> Measures:
    """Every measure of every layer of every run; ``x`` (batch, inputs) serves all runs.

    L is the loss of a sample, delta_l = dL/dh_l its error signal, and g_l = dL/dW_l the gradient of
    the mean loss. With batch norm the samples of the batch share statistics, and delta is the
    gradient of the sum of their losses. Blocks that training leaves out by chance count by their
    probability.
    """
    runs, samples, buffers = len(parameters["W"][0]), len(x), probed_buffers(buffers)
    x, labels = x.double().expand(runs, *x.shape), labels.expand(runs, *labels.shape)

    def losses_of(logits: Tensor) -> Tensor:
        return loss.per_sample(logits, labels).sum(1)

    if chain.is_known(net, parameters, x, buffers, learning=False):
        return _of_chain(net, parameters, x, losses_of)
    exact = tracked(net, parameters)
    weights = exact["W"][: net.depth]
    if is_seen(net, x):
        look = Look.of(net, x, limits_of_weights(samples))
        logits, *_ = pass_forward(net, exact, x, buffers, False, values=False, look=look)
        torch.autograd.grad(losses_of(logits).sum(), weights)
        return of_look(look, samples)
    slopes = Slopes()
    logits, h, a = pass_forward(net, exact, x, buffers, False, on_phi=slopes.see)
    seen = of_values(net, h, a, slopes)
    delta, g = gradients_of(losses_of(logits).sum(), h, weights)
    return whole(seen, of_gradients(delta, g, samples))


def _of_chain(
    net: Network, parameters: Parameters, x: Tensor, losses_of: Callable[[Tensor], Tensor]
) -> Measures:
    """The same of a net whose layers the compiled loops know, and read as they are."""
    samples = x.shape[1]
    made = chain.passed(net, parameters, {}, x, losses_of, limits_of_weights(samples))
    made.chain.see(made.d_outputs, parameters)
    return of_look(made.chain.look, samples)


def of_look(look: Look, samples: int, of_sum: bool = True) -> Measures:
    """All measures, from what was seen of a pass; see :func:`of_gradients`."""
    found, (of_error, of_weight) = look.moments(), look.log10_rms()
    (_, _, *zero), (finite, *_) = found["zero"], found["finite"]
    seen = {
        "h_finite": finite,
        "activation_mean": found["mean"][1],
        "activation_sd": found["sd"][1],
        "q": found["mean_square"][0],
        **look.flatness(),
    }
    error = {"log10_rms": of_error, "zero": zero[0], "finite": found["finite"][2]}
    weights = {"log10_rms": of_weight, "zero": zero[1]}
    weights |= {name: found[name][3] for name in ("mean", "sd")}
    back = of_delta(error, 1 if of_sum else samples)
    back |= _of_weights(weights, look.within(), samples if of_sum else 1)
    return {name: torch.from_numpy(values) for name, values in whole(seen, back).items()}


def tracked(net: Network, parameters: Parameters) -> Parameters:
    """A copy in float64 in which the layers' weights ask for gradients."""
    exact = doubled(parameters)
    for weight in exact["W"][: net.depth]:
        weight.requires_grad_()
    return exact


def gradients_of(
    total: Tensor, h: list, others: list[Tensor], keep_graph: bool = False
) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Those of ``total`` with respect to every layer's ``h``, in pieces, and to ``others``."""
    pieces = [in_pieces(z) for z in h]
    inputs = [*(z for layer in pieces for z in layer), *others]
    # A truncated net has time steps that no gradient comes back to.
    found = torch.autograd.grad(total, inputs, retain_graph=keep_graph, materialize_grads=True)
    gradients = iter(found)
    return [[next(gradients) for _ in layer] for layer in pieces], list(gradients)


def of_hidden(
    parameters: Parameters, learning: list[Tensor], gradients: list[Tensor]
) -> list[Tensor]:
    """Of the ``gradients`` of what is ``learning``, those of all weights but the head's."""
    positions = {id(tensor): n for n, tensor in enumerate(learning)}
    return [gradients[positions[id(weight)]] for weight in parameters["W"][:-1]]


def whole(seen: Measures, back: Measures) -> Measures:
    """All measures, from what a pass forward and the one back tell."""
    found = seen | back
    finite = found.pop("h_finite") + found.pop("delta_finite")
    return found | {"nonfinite_fraction": 1 - finite / 2}


def in_pieces(values: Tensor | list[Tensor]) -> list[Tensor]:
    """A layer's values, a tensor for each time step or pass."""
    return values if isinstance(values, list) else [values]


def of_values(net: Network, h: list, a: list, slopes: Slopes) -> Measures:
    """What a pass forward tells of every layer; no gradient may have gone back through it yet."""
    h, a = ([in_pieces(layer) for layer in values] for values in (h, a))
    take = statistics_on(h[0][0].device)
    size, output = take.moments(h, ("mean_square", "finite")), take.moments(a, ("mean", "sd"))
    return {
        "h_finite": size["finite"],
        "activation_mean": output["mean"],
        "activation_sd": output["sd"],
        "q": size["mean_square"],
        **take.flatness(net.activation, h, slopes.at),
    }


def of_gradients(
    delta: list[list[Tensor]], g: list[Tensor], samples: int, of_sum: bool = True
) -> Measures:
    """What a pass back tells of every layer: of ``delta``, in pieces, and of ``g``.

    They came of the sum of the losses of so many ``samples``, or else of their mean.
    """
    error = statistics_on(g[0].device).moments(delta, OF_DELTA)
    return of_delta(error, 1 if of_sum else samples) | of_weights(g, samples if of_sum else 1)


def of_delta(error: Measures, samples: int) -> Measures:
    """What the moments of a ``delta`` tell, which is that of a loss times one over ``samples``."""
    return {
        "log10_delta_rms": error["log10_rms"] + math.log10(samples),
        "delta_zero_fraction": error["zero"],
        "delta_finite": error["finite"],
    }


def of_weights(g: list[Tensor], samples: int) -> Measures:
    """What the layers' weight gradients tell, which are ``samples`` times those of the loss."""
    take, weights = statistics_on(g[0].device), [[gradient] for gradient in g]
    found = take.moments(weights, ("log10_rms", "mean", "sd", "zero"))
    return _of_weights(found, take.shares_within(weights, limits_of_weights(samples)), samples)


@functools.cache
def limits_of_weights(samples: int) -> tuple[float, ...]:
    """Up to which size gradients underflow, or are subnormal, that are ``samples`` times larger."""
    at_most = [limit * samples for limit in UNDERFLOW.values()]
    below = [math.nextafter(limit * samples, 0) for limit in SUBNORMAL.values()]
    return *at_most, *below


def _of_weights(found: Measures, within: Tensor, samples: int) -> Measures:
    """From moments, and from the shares ``within`` those limits, (runs, depth, limits)."""
    small = within - found["zero"][..., None]
    return {
        "log10_grad_rms": found["log10_rms"] - math.log10(samples),
        "grad_mean": found["mean"] / samples,
        "grad_sd": found["sd"] / samples,
        "grad_zero_fraction": found["zero"],
        **{name: small[..., n] for n, name in enumerate((*UNDERFLOW, *SUBNORMAL))},
    }


def effective_depth(change: np.ndarray) -> np.ndarray:
    r"""How many layers take part, :math:`(\sum u)^2 / \sum u^2`, u the ``change`` (runs, depth).

    From 1 (one layer changes) to the depth (all alike); missing where none does. A layer that
    began at 0 has no relative change, and is left out.
    """
    change = np.where(np.isfinite(change), change, 0.0)
    with np.errstate(all="ignore"):
        return change.sum(1) ** 2 / (change**2).sum(1)
