"""How well the networks of a stack do on samples: their accuracy, and the task's own score."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..parts.losses import Loss
from ..parts.scores import SCORES
from .forward import forward
from .network import Buffers, Network, Parameters
from .samples import Samples

BATCH = 1024  # samples, or time steps of them: keeps the memory of an evaluation bounded
Scores = dict[tuple[str, float], np.ndarray]  # score and level -> (runs)


def accuracy(
    net: Network, parameters: Parameters, buffers: Buffers, loss: Loss, samples: Samples, split: str
) -> np.ndarray:
    """The share of a split that each run gets right, (runs); batch norm uses running statistics."""
    right, count = 0, getattr(samples, split).shape[1]
    for _, outputs, labels in _answers(net, parameters, buffers, samples, split):
        right = right + loss.right(outputs, labels).sum(1)
    return (right.double() / count).cpu().numpy()


def scores(
    net: Network, parameters: Parameters, buffers: Buffers, samples: Samples, score: str
) -> Scores:
    """The task's own ``score`` on the test split, (runs) for each of its levels."""
    parts = list(_answers(net, parameters, buffers, samples, "test"))
    indices, outputs, labels = (torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True))
    found = SCORES[score](outputs, labels, samples.level[indices])
    return {name: values.double().cpu().numpy() for name, values in found.items()}


def _answers(
    net: Network, parameters: Parameters, buffers: Buffers, samples: Samples, split: str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Indices, outputs and labels of a split, part by part, each (runs, samples, ...)."""
    with torch.no_grad():
        steps = net.architecture.sequence[0] if net.recurrence else 1
        for part in getattr(samples, split).split(max(1, BATCH // steps), dim=1):
            x, labels = samples.at(part, parameters["W"][0].dtype)
            outputs, _, _ = forward(net, parameters, x, buffers, learning=False)
            yield part, outputs, labels
