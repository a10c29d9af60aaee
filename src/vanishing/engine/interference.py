"""What the update of the layers below changes in a layer's gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts.losses import Loss
from .gradients import weight_gradients
from .network import Buffers, Network, Parameters
from .probes import Measures
from .stack import layer_of
from .statistics import cosine


def interference(
    net: Network,
    before: Parameters,
    after: Parameters,
    buffers: Buffers,
    loss: Loss,
    x: Tensor,
    labels: Tensor,
) -> Measures:
    r"""How far the layers below move the gradient of a layer, (runs, depth); no block is left out.

    Of :math:`g_l = dL/dW_l` on the batch ``x`` (runs, batch, inputs) of an update, at the
    parameters ``before`` it, and :math:`g_l'`, the same with the layers below l as they are
    ``after`` it (Santurkar et al. 2018, definition 2.1): :math:`\|g_l' - g_l\| / \|g_l\|`, and
    their cosine. Layer 1 has none below it: 0 and 1. Missing where g_l is 0.

    Every layer costs a forward pass, and a backward pass down to it.
    """
    at = (buffers, loss, x, labels)
    first = weight_gradients(net, before, *at, range(1, net.depth + 1))
    second = [first[0]]
    for layer in range(2, net.depth + 1):
        second += weight_gradients(net, updated_below(net, before, after, layer), *at, [layer])
    pairs = list(zip(first, second, strict=True))
    return {
        "interference": torch.stack([_relative_change(*pair) for pair in pairs], dim=1),
        "interference_cosine": torch.stack([cosine(*pair) for pair in pairs], dim=1),
    }


def updated_below(net: Network, before: Parameters, after: Parameters, layer: int) -> Parameters:
    """``before``, but for all that belongs to layers below ``layer``, which is from ``after``."""
    return {
        name: [
            after[name][n] if layer_of(net, name, n) < layer else tensor
            for n, tensor in enumerate(tensors)
        ]
        for name, tensors in before.items()
    }


def _relative_change(old: Tensor, new: Tensor) -> Tensor:
    """norm(new - old) / norm(old) of every run, scaled so that no square underflows."""
    old, new = old.flatten(1), new.flatten(1)
    scale = old.abs().amax(1, keepdim=True)
    change = torch.linalg.vector_norm((new - old) / scale, dim=1)
    return change / torch.linalg.vector_norm(old / scale, dim=1)
