"""What a network gives for its inputs, whatever its family."""

from __future__ import annotations

from torch import Tensor

from .feedforward import OnAffine, OnPhi, OnStream, pass_forward
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
    on_phi: OnPhi | None = None,
    values: bool = True,
) -> tuple[Tensor, list[Tensor] | list[Steps], list[Tensor] | list[Steps]]:
    """Logits, and h and a of every layer; of a recurrent net each a list of time steps.

    ``x`` is (runs, batch, inputs). Without ``values`` the logits are all that is asked for: the
    lists may be empty, where that is faster. See :func:`.feedforward.pass_forward` and
    :func:`.recurrent.unroll`, which knows neither buffers nor blocks.
    """
    if net.recurrence:
        return unroll(net, parameters, x, on_phi=on_phi, values=values)
    return pass_forward(
        net, parameters, x, buffers, learning, kept, on_affine, on_stream, on_phi, values
    )
