"""A pass through a player that is measured: forward, and back from what a game makes of it.

A probe makes one in float64 (:func:`pass_of`). Where probes look at the training's own turns it is
the pass of the update (:func:`by_loops`), in the precision of the training; where the compiled
loops do not know all of it, one beside it on the same batch (:func:`look_at`), so that the update
has the same bits whoever looks on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import chain
from .layer_looks import Look
from .moves import squares_of
from .network import flat
from .player import Player
from .probes import (
    Measures,
    Slopes,
    gradients_of,
    limits_of_weights,
    of_gradients,
    of_hidden,
    of_look,
    of_values,
    statistics_on,
    whole,
)


@dataclass(frozen=True)
class Back:
    """What the way back tells."""

    layers: Measures | Look  # what tells the measures, of a turn; none where nobody looks
    gradients: list[Tensor]  # by all that learns, hidden weights where asked for
    d_x: Tensor | None = None  # what is lost by the samples, where that is known


@dataclass(frozen=True)
class PlayerPass:
    """A pass through a player: forward and, once, back."""

    outputs: Tensor  # (runs, batch, outputs)
    # From what the losses, summed or their mean, lose by the outputs; whether gradients of hidden
    # weights are asked for, of which the layers' measures tell the size.
    back: Callable[[Tensor, bool], Back]


def read_at(player: Player, x: Tensor) -> Player:
    """A player that sees ``x`` in float64: itself, where the compiled loops read it as it is."""
    known = chain.is_known(player.net, player.parameters, x, player.buffers, False)
    return player if known else player.exact()


def pass_of(player: Player, batches: list[Tensor], samples: int) -> PlayerPass:
    """What comes of the ``batches`` in float64, (runs, batch, inputs) each, in passes of their own.

    Slopes are those of the sum of the losses; the mean loss is that over so many ``samples``.
    """
    [first, *others], net = batches, player.net
    exact = player.exact() if others else read_at(player, first)
    if exact is not player:
        return _by_values(exact, batches, samples)
    made = chain.Chain.of(net, first, limits_of_weights(samples))

    def back(d: Tensor, hidden: bool) -> Back:
        found, d_x = made.gradients(d, player.parameters, with_x=True, hidden=hidden)
        asked = [g for g in flat(found) if g is not None]
        return Back(of_look(made.look, samples), asked, d_x)

    return PlayerPass(made.forward(player.parameters), back)


def by_loops(player: Player, x: Tensor, looked_at: bool) -> PlayerPass:
    """The pass of ``x`` through a player that is ``chained``, in the precision of the training.

    In the memory of the pass before of as many samples. Slopes are those of the mean loss.
    """
    made = player.chain_of(x, looked_at)

    def back(d: Tensor, hidden: bool) -> Back:
        found, _ = made.gradients(d, player.parameters, hidden=hidden)
        return Back(made.look if looked_at else {}, [g for g in flat(found) if g is not None])

    return PlayerPass(made.forward(player.parameters), back)


def look_at(
    player: Player, batches: list[Tensor], samples: int, kept: Tensor | None = None
) -> PlayerPass:
    """A pass beside that of an update of which it tells: nothing that the player has moves on.

    As :func:`by_loops`, where these know the layers; else by values that are kept, and no gradient
    is given. ``kept`` are the blocks that survive in the update.
    """
    if player.chained and len(batches) == 1:
        return by_loops(player, *batches, looked_at=True)
    return _by_values(player, batches, samples, kept, of_sum=False)


def _by_values(
    player: Player,
    batches: list[Tensor],
    samples: int,
    kept: Tensor | None = None,
    of_sum: bool = True,
) -> PlayerPass:
    """The same of any layers, whose values are kept."""
    slopes = Slopes()
    passes = [player.sees(x, kept=kept, on_phi=slopes.see) for x in batches]
    outputs = torch.cat([made for made, _, _ in passes], dim=1)
    h, a = ([list(layer) for layer in zip(*(p[n] for p in passes), strict=True)] for n in (1, 2))

    def back(d: Tensor, hidden: bool) -> Back:
        seen = of_values(player.net, h, a, slopes)
        delta, found = gradients_of((outputs * d).sum(), h, player.learning)
        weights = of_hidden(player.parameters, player.learning, found)
        told = set() if hidden else set(map(id, weights))
        asked = [g for g in found if id(g) not in told]
        return Back(whole(seen, of_gradients(delta, weights, samples, of_sum)), asked)

    return PlayerPass(outputs.detach(), back)


def log10_norm(player: Player, back: Back, samples: int) -> Tensor:
    """log10 of the norm (runs) of all gradients of the mean loss; missing where all are 0.

    They are that of a sum of losses over so many ``samples``.
    """
    norm = norm_of(back.gradients) - math.log10(samples)
    if len(back.gradients) < len(player.learning):
        norm = joined_norm(player, norm, back.layers)
    return torch.where(norm.isfinite(), norm, torch.nan)


def norm_of(tensors: list[Tensor]) -> Tensor:
    """log10 of the norm (runs) of all numbers of a run; -inf where these are 0."""
    if tensors[0].dtype == torch.float32 and tensors[0].device.type == "cpu":
        # No square is 0 or infinite in float64. One after another: a run's have one order then.
        return sum(squares_of(tensors)).log10() / 2
    values = torch.cat([t.flatten(1) for t in tensors], dim=1)
    found = statistics_on(values.device).moments([[values]], ("log10_rms", "zero"))
    norm = found["log10_rms"] + math.log10(values.shape[1]) / 2
    return torch.where(found["zero"] == 1, -torch.inf, norm)[:, 0]


def joined_norm(player: Player, rest: Tensor, layers: Measures) -> Tensor:
    """log10 of the norm of numbers with a norm as ``rest``, and of the hidden weights' gradients.

    By measures of the ``layers``, whose runs may be those of several turns.
    """
    rms, zero = layers["log10_grad_rms"], layers["grad_zero_fraction"]
    sizes = torch.tensor([w.shape[1:].numel() for w in player.parameters["W"][:-1]])
    hidden = torch.where(zero == 1, -torch.inf, rms + sizes.to(rms).log10() / 2)
    squares = 2 * torch.cat([rest[:, None], hidden], dim=1)
    top = squares.amax(1, keepdim=True)
    return (top + (10 ** (squares - top)).sum(1, keepdim=True).log10())[:, 0] / 2
