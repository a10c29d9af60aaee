"""How well the networks of a stack do on samples."""

from __future__ import annotations

import numpy as np
import torch

from .network import Buffers, Network, Parameters, forward
from .samples import Samples

BATCH = 1024  # samples: keeps the memory of an evaluation bounded


def accuracy(
    net: Network, parameters: Parameters, buffers: Buffers, samples: Samples, split: str
) -> np.ndarray:
    """The share of a split that each run gets right, (runs); batch norm uses running statistics."""
    indices, right = getattr(samples, split), 0
    dtype = parameters["W"][0].dtype
    with torch.no_grad():
        for part in indices.split(BATCH, dim=1):
            x, labels = samples.at(part)
            logits, _, _ = forward(net, parameters, x.to(dtype), buffers, learning=False)
            right = right + (logits.argmax(-1) == labels).sum(1)
    return (right.double() / indices.shape[1]).cpu().numpy()
