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

# Samples at a time, or time steps of them: more than 256 are no faster on a CPU (of 8 to 512 in an
# MLP of width 64, a CNN of 16 channels, recurrent nets of 64 steps), and take more memory. 1024 was
# kept so that no number moves: the last bits of a product depend on how many samples are in it.
BATCH = 1024
# Bytes of a run's outputs of a recurrent layer on a CPU, whose steps are single calls there: 1.3 to
# 1.7 times as fast as 1024 time steps, and up to 1.9 times as fast as parts that leave the caches.
RECURRENT_BYTES = 1 << 19
Scores = dict[tuple[str, float], np.ndarray]  # score and level -> (runs)


def accuracy(
    net: Network, parameters: Parameters, buffers: Buffers, loss: Loss, samples: Samples, split: str
) -> np.ndarray:
    """The share of a split that each run gets right, (runs); batch norm uses running statistics."""
    parts = _answers(net, parameters, buffers, samples, split)
    right = torch.cat([loss.right(outputs, labels) for _, outputs, labels in parts], dim=1)
    # Added once, a run at a time: parts depend on how many runs there are, and shares are rounded.
    return right.double().cpu().numpy().mean(1)


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
        for part in _in_parts(net, getattr(samples, split)):
            x, labels = samples.at(part, parameters["W"][0].dtype)
            outputs, _, _ = forward(net, parameters, x, buffers, learning=False, values=False)
            yield part, outputs, labels


def _in_parts(net: Network, indices: Tensor) -> tuple[Tensor, ...]:
    """``indices`` (runs, samples) in parts that go through the net at a time."""
    steps = net.architecture.sequence[0] if net.recurrence else 1
    most = max(1, BATCH // steps)
    if net.recurrence and indices.device.type == "cpu":
        most = max(most, RECURRENT_BYTES // (4 * steps * net.architecture.width))
    return indices.split(most, dim=1)
