"""A network that carries the run axis itself: a single run is a stack of one.

The letters are those of Poole et al. 2016, but for a, which they call x: with a_0 the input,

    z_l = a_{l-1} W_l + b_l,    h_l = norm(z_l),    a_l = phi(h_l),    l = 1 .. depth,

and a linear head on top. h is always what phi sees; delta_l = dL/dh_l. What is done with these
parameters stands in :mod:`.feedforward` and :mod:`.recurrent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..parts.activations import ACTIVATIONS, Activation
from ..parts.architecture import Architecture, Place, Shape
from ..parts.norms import NORMS, Norm, Running
from ..parts.recurrences import RECURRENCES, Recurrence
from ..parts.residuals import RESIDUALS, Residual

# W and b: a tensor a layer and the head; gain, bias, phi_<n> (what phi learns): a layer; skip,
# W_gate, b_gate: a residual block. Each is (runs, rows, units); b, gain, bias have one row. In a
# recurrent layer the last rows of W, as many as there are units, act on the layer's own past, and
# its columns are the gates' units and the candidate's.
Parameters = dict[str, list[Tensor]]
# What is neither learned nor drawn, a tensor a layer: batch norm's running mean and variance, and
# top, the first singular vectors of a spectral norm.
Buffers = dict[str, list[Tensor]]


@dataclass(frozen=True)
class Network:
    """The graph that all runs of a stack share."""

    activation: Activation
    norm: Norm
    residual: Residual
    architecture: Architecture
    norm_first: bool = True  # before phi
    recurrence: Recurrence | None = None  # of a recurrent net
    truncation: int = 0  # time steps that the gradient goes back at most; 0: all

    @classmethod
    def of(cls, graph: dict, shape: Shape) -> Network:
        """The network that a cohort's settings name, for samples of a ``shape``."""
        recurrent = graph["family"] == "rnn"
        return cls(
            ACTIVATIONS[graph["activation"]],
            NORMS[graph["norm"]],
            RESIDUALS[graph["residual"]],
            Architecture.of(graph, shape),
            graph.get("norm_position", "before") == "before",
            RECURRENCES[graph["recurrence"]] if recurrent else None,
            graph.get("truncation", 0) if recurrent else 0,
        )

    @classmethod
    def of_player(cls, graph: dict, shape: Shape, player: str) -> Network:
        """A GAN's ``player``, generator or discriminator; its norm is none where not ``normed``."""
        normed = graph["normed"] in ("both", player)
        return cls(
            ACTIVATIONS[graph["activation"]],
            NORMS[graph["norm"] if normed else "none"],
            RESIDUALS[graph["residual"]],
            Architecture.of_player(graph, shape, player == "generator"),
            graph.get("norm_position", "before") == "before",
        )

    @property
    def depth(self) -> int:
        """Hidden layers."""
        return self.architecture.depth

    @property
    def places(self) -> list[Place]:
        """The place of every layer's weight, the head last."""
        return [self.architecture.place(n, self.activation) for n in range(1, self.depth + 2)]

    @property
    def survival(self) -> list[float] | None:
        """The chance of each residual block to survive an update; None where all do."""
        of, blocks = self.residual.survival, self.architecture.blocks
        return of and [of(block, blocks) for block in range(1, blocks + 1)]

    @cached_property
    def block_ends(self) -> list[int]:
        """The layers that residual blocks end with."""
        return [n for n in range(1, self.depth + 1) if self.architecture.ends_block(n)]

    @cached_property
    def strengths(self) -> list[float]:
        """What each residual block's branch is multiplied by, but for what it learns."""
        blocks = self.architecture.blocks
        return [self.residual.strength(block, blocks) for block in range(1, blocks + 1)]


def normalised(
    net: Network,
    parameters: Parameters,
    layer: int,
    values: Tensor,
    buffers: Buffers,
    learning: bool,
    units: slice = slice(None),
) -> Tensor:
    """What the norm of a layer makes of the ``values`` of its ``units``, with gain and bias."""
    values = net.norm.apply(values, running_of(buffers, layer), learning)
    if net.norm.weigh or not net.norm.affine:
        return values
    gain = over_pixels(parameters["gain"][layer][..., units], values)
    if "bias" not in net.norm.affine:
        return values * gain
    bias = over_pixels(parameters["bias"][layer][..., units], values)
    return torch.addcmul(bias, values, gain)


def running_of(buffers: Buffers, layer: int) -> Running | None:
    """The running statistics that a norm keeps of a layer."""
    return (buffers["mean"][layer], buffers["variance"][layer]) if "mean" in buffers else None


def without_running(buffers: Buffers) -> Buffers:
    """The buffers but for a norm's running statistics: it then takes those of the batch."""
    return {name: t for name, t in buffers.items() if name not in ("mean", "variance")}


def over_pixels(rows: Tensor, values: Tensor) -> Tensor:
    """``rows`` (runs, 1, units) in a shape that goes with ``values``, which may have pixels."""
    return rows.view(*rows.shape, *[1] * (values.dim() - 3))


def learned_by_phi(net: Network, parameters: Parameters, layer: int, h: Tensor) -> list[Tensor]:
    """What the activation of a layer learns."""
    names = [f"phi_{n}" for n in range(len(net.activation.learned))]
    return [over_pixels(parameters[name][layer], h) for name in names]


def flat(parameters: Parameters) -> list[Tensor]:
    """All tensors of the stack, in a fixed order."""
    return [tensor for name in parameters for tensor in parameters[name]]
