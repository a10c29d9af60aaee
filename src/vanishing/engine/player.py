"""A player of a game: a network of every run of a stack, what it learns, and what it sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..parts.seeds import generator_of
from . import chain
from .feedforward import OnPhi, pass_forward
from .initial import draw, initial_buffers, scale_to_unit_variance
from .layer_looks import Look
from .network import Buffers, Network, Parameters, flat, without_running
from .probes import Measures, doubled, limits_of_weights
from .stack import copied

if TYPE_CHECKING:
    from .glances import Glance

Values = list[list[Tensor]]  # of each layer, of each pass that a player made


@dataclass
class Turn:
    """What an update of a player was made of; gradients are in the order of what learns."""

    losses: Tensor  # (runs), before the update
    nonfinite: Tensor | None  # (runs): see :func:`.turns._nonfinite`
    gradients: list[Tensor]  # before clipping
    moved: Measures | None = None  # what :func:`.moves.of_update` tells, where it was asked for
    glances: list[Glance] = field(default_factory=list)  # at its pass, where it was looked at


@dataclass
class Player:
    """A player of every run of a stack, with all that changes from update to update."""

    net: Network
    parameters: Parameters
    buffers: Buffers
    initial: Parameters  # as they were at step 0
    learning: list[Tensor]  # the parameters that learn, as flat() orders them: W first
    chained: bool = False  # its updates go by compiled loops, see :mod:`.chain`
    state: list[dict] = field(default_factory=list)  # the optimizer's, a dict a learning tensor
    turns: int = 0  # updates made so far
    chains: dict[int, chain.Chain] = field(default_factory=dict)  # by samples of their pass
    last: Turn | None = None

    @classmethod
    def of(cls, net: Network, inits: list[str], seeds: list[int], name: str, x: Tensor) -> Player:
        """A player as it is drawn, from seeds that are its own; an init may look at ``x``."""
        own = [generator_of(seed, name).initial_seed() for seed in seeds]
        drawn = draw(net, inits, own).items()
        parameters = {n: [t.to(x.device, x.dtype) for t in tensors] for n, tensors in drawn}
        scale_to_unit_variance(net, parameters, inits, x)
        learning = [t.requires_grad_() for t in flat(parameters)]
        iterated = without_running(initial_buffers(net, parameters))
        chained = chain.is_known(net, parameters, x, iterated, learning=True)
        state = [{} for _ in learning]
        return cls(net, parameters, iterated, copied(parameters), learning, chained, state)

    def exact(self) -> Player:
        """A copy in float64, for a probe: gradients flow to it, and nothing back."""
        parameters = doubled(self.parameters)
        learning = [t.requires_grad_() for t in flat(parameters)]
        own = {"parameters": parameters, "learning": learning, "buffers": doubled(self.buffers)}
        return replace(self, **own, chained=False)  # whose memory is of the player's own precision

    def fixed(self) -> Player:
        """The same player for a pass that gradients flow through, and none to it."""
        values = {name: [t.detach() for t in group] for name, group in self.parameters.items()}
        return replace(self, parameters=values, learning=[], chained=False)

    def sees(
        self,
        x: Tensor,
        learning: bool = False,
        kept: Tensor | None = None,
        values: bool = True,
        on_phi: OnPhi | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """What comes of ``x`` (runs, batch, inputs), and h and a of every layer.

        Without ``values`` these are empty, and the pass may be faster; its gradient then cannot be
        differentiated once more. ``on_phi`` sees every h with phi(h).
        """
        return pass_forward(
            self.net, self.parameters, x, self.buffers, learning, kept,
            on_phi=on_phi, values=values,
        )  # fmt: skip

    def chain_of(self, x: Tensor, looked_at: bool = False) -> chain.Chain:
        """The pass of ``x`` (runs, batch, inputs) in compiled loops, where it is ``chained``.

        In the memory of the pass before of as many samples, which cannot be gone back any more. One
        that is ``looked_at`` is gone back from the mean loss.
        """
        known = self.chains.get(x.shape[1])
        if known is None:
            known = self.chains[x.shape[1]] = chain.Chain.of(self.net, x)
        limits = limits_of_weights(1) if looked_at else None
        known.x, known.look = x.contiguous(), Look.of(self.net, x, limits)
        return known

    def makes(self, latent: Tensor, values: bool = False) -> tuple[Tensor, list[Tensor]]:
        """A generator's samples of noise, to which no gradient flows; where asked for, its h."""
        if self.chained and not values:
            return self.chain_of(latent).forward(self.parameters), []
        with torch.no_grad():
            samples, h, _ = self.sees(latent, values=values)
        return samples, h

    def judges(self, x: Tensor) -> Tensor:
        """A discriminator's output on samples, (runs, batch)."""
        return self.sees(x, values=False)[0][..., 0]

    def judges_twice(self, x: Tensor) -> Tensor:
        """The same, whose gradient can be differentiated once more."""
        return self.sees(x)[0][..., 0]


def on_both(
    discriminator: Player,
    real: Tensor,
    fake: Tensor,
    learning: bool = False,
    kept: Tensor | None = None,
    values: bool = True,
) -> tuple[Tensor, Tensor, Values]:
    """Outputs on real and on generated samples, each (runs, batch), and h of each pass.

    One pass serves both kinds, where no norm would mix them. The rest as of :meth:`Player.sees`.
    """
    batches = apart(discriminator.net, real, fake)
    passes = [discriminator.sees(x, learning, kept, values) for x in batches]
    [outputs, *others] = (out[..., 0] for out, _, _ in passes)
    outputs = torch.cat([outputs, *others], dim=1) if others else outputs
    h = [list(of_layer) for of_layer in zip(*(h for _, h, _ in passes), strict=True)]
    return *outputs.split([real.shape[1], fake.shape[1]], dim=1), h


def apart(net: Network, real: Tensor, fake: Tensor) -> list[Tensor]:
    """The batches in which a discriminator sees samples of both kinds: one, if no norm mixes it."""
    return [real, fake] if net.norm.mixes_samples else [torch.cat([real, fake], dim=1)]
