"""What a network gives for its inputs, whatever its family."""

from __future__ import annotations

import torch
from torch import Tensor

from .feedforward import OnAffine, OnStream, pass_forward
from .network import Buffers, Network, Parameters
from .recurrent import Steps, unroll


def forward(
    net: Network,
    parameters: Parameters,
    x: Tensor,
    buffers: Buffers | None = None,
    learning: bool = True,
    kept: Tensor | None = None,
    on_affine: OnAffine | None = None,
    on_stream: OnStream | None = None,
) -> tuple[Tensor, list[Tensor] | list[Steps], list[Tensor] | list[Steps]]:
    """Logits, and h and a of every layer; of a recurrent net each a list of time steps.

    ``x`` is (runs, batch, inputs). See :func:`.feedforward.pass_forward` and
    :func:`.recurrent.unroll`, which knows neither buffers nor blocks.
    """
    if net.recurrence:
        return unroll(net, parameters, x)
    return pass_forward(net, parameters, x, buffers, learning, kept, on_affine, on_stream)


def over_time(values: Tensor | Steps) -> Tensor:
    """A layer's values as one tensor: (runs, batch, units), time or pixels behind them."""
    return values if isinstance(values, Tensor) else torch.stack(values, dim=3)
