"""What a trained net knows when one of its layers has forgotten all."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts.losses import Loss
from .evaluation import accuracy
from .initial import initial_buffers
from .network import Buffers, Network, Parameters, flat
from .samples import Samples
from .stack import OF_BLOCKS


def reset_accuracy(
    net: Network,
    parameters: Parameters,
    initial: Parameters,
    buffers: Buffers,
    loss: Loss,
    samples: Samples,
) -> Tensor:
    """The training accuracy with a layer alone back at its initial values, (runs, depth).

    A layer's own parameters are set back, weight, bias, gain and what its phi learns; what a
    residual block learns beside them is not, and batch norm keeps its running statistics (Zhang,
    Bengio, Singer 2022). Missing where a parameter of the run is not finite.
    """
    first = initial_buffers(net, initial)
    columns = []
    for n in range(net.depth):
        mixed = {
            name: _with(tensors, initial[name], n) if name not in OF_BLOCKS else tensors
            for name, tensors in parameters.items()
        }
        # A spectral norm would divide the old weight by what it takes for its length.
        kept = {
            name: _with(tensors, first[name], n) if name == "top" else tensors
            for name, tensors in buffers.items()
        }
        columns.append(torch.from_numpy(accuracy(net, mixed, kept, loss, samples, "train")))
    finite = torch.stack([t.isfinite().flatten(1).all(1) for t in flat(parameters)]).all(0)
    return torch.stack(columns, dim=1).where(finite.cpu()[:, None], torch.nan)


def _with(tensors: list[Tensor], others: list[Tensor], n: int) -> list[Tensor]:
    """``tensors``, but the ``n``-th from ``others``."""
    return [*tensors[:n], others[n], *tensors[n + 1 :]]
