"""The gradient of a batch's mean loss with respect to the weights of some layers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..parts.losses import Loss
from .forward import forward
from .network import Buffers, Network, Parameters


def weight_gradients(
    net: Network,
    parameters: Parameters,
    buffers: Buffers,
    loss: Loss,
    x: Tensor,
    labels: Tensor,
    layers: Iterable[int],
) -> list[Tensor]:
    """dL/dW_l (runs, fan_in, units) of the ``layers``, which count from 1.

    L is the mean loss of ``x`` ([runs,] batch, inputs), one batch for all runs or each its own. As
    in all probes the batch's own statistics serve a batch norm, and blocks that training leaves out
    by chance count by their probability. Nothing is differentiated below the lowest layer.
    """
    runs = len(parameters["W"][0])
    weights = [w.detach() for w in parameters["W"]]
    wanted = [weights[layer - 1].requires_grad_() for layer in layers]
    if x.dim() == 2:
        x, labels = x.expand(runs, *x.shape), labels.expand(runs, *labels.shape)
    logits, _, _ = forward(net, {**parameters, "W": weights}, x, buffers, learning=False)
    # Runs share no parameter: the gradient of the sum is each run's own.
    return list(torch.autograd.grad(loss.per_sample(logits, labels).mean(1).sum(), wanted))
