"""What turns of a match have seen, told of several at a time.

To work out what a look tells takes many small operations, of one turn about as long as of several,
and of a small stack longer than the look itself. Every number is of one run alone, so that turns
are told of as if they were more runs, with the same bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .layer_looks import Look
from .player import Player
from .player_pass import Back, joined_norm, norm_of
from .probes import Measures, of_look

AT_ONCE = 16  # turns
AXES = {"sums": 2, "scaled": 2, "flat": 1, "alive": 1, "small": 1}  # of the runs in a look
Judged = tuple[tuple[Tensor, ...], ...]  # outputs, losses, slopes: of each kind, (runs, batch)


@dataclass(frozen=True)
class Seen:
    """Measures of players' layers, (runs, depth), and of the game, (runs)."""

    layers: dict[str, Measures]
    game: dict[str, Tensor]


@dataclass(frozen=True)
class Glance:
    """What a pass of a player has seen, before it is told."""

    name: str  # of the player
    player: Player
    layers: Look | Measures
    rest: Tensor  # (runs): log10 of the norm of gradients that the layers do not tell, or of all
    whole: bool  # of all
    judged: Judged
    of_game: Callable[[Judged], dict[str, Tensor]]

    @classmethod
    def of(
        cls,
        name: str,
        player: Player,
        back: Back,
        gradients: list[Tensor],
        judged: Judged,
        of_game: Callable[[Judged], dict[str, Tensor]],
        penalised: bool = False,
    ) -> Glance:
        """That of a pass ``back`` with these ``gradients``, to which a penalty may have added."""
        rest = gradients if penalised else gradients[player.net.depth :]  # hidden weights first
        return cls(name, player, back.layers, norm_of(rest), penalised, judged, of_game)


def told(glances: Sequence[Glance]) -> list[Seen]:
    """What each has seen; those of a player are told together."""
    found: dict[int, Seen] = {}
    for name in dict.fromkeys(glance.name for glance in glances):
        places = [n for n, glance in enumerate(glances) if glance.name == name]
        found |= zip(places, _told_of_one([glances[n] for n in places]), strict=True)
    return [found[n] for n in range(len(glances))]


def _told_of_one(glances: list[Glance]) -> list[Seen]:
    """The same of glances at one player."""
    first, runs = glances[0], len(glances[0].rest)
    _, [losses, *_], _ = first.judged
    layers = _layers([glance.layers for glance in glances], losses.shape[1])
    judged = tuple(map(_below, zip(*(glance.judged for glance in glances), strict=True)))
    rest = torch.cat([glance.rest for glance in glances])
    norm = rest if first.whole else joined_norm(first.player, rest, layers)
    norm = torch.where(norm.isfinite(), norm, torch.nan)
    game = first.of_game(judged) | {f"log10_{first.name}_gradient": norm}
    ends = range(0, runs * len(glances) + 1, runs)
    return [
        Seen({first.name: _between(layers, *pair)}, _between(game, *pair))
        for pair in itertools.pairwise(ends)
    ]


def _between(measures: Measures, start: int, end: int) -> Measures:
    return {name: values[start:end] for name, values in measures.items()}


def _below(of_kinds: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Of each kind, what is of all turns."""
    return tuple(torch.cat(tensors) for tensors in zip(*of_kinds, strict=True))


def _layers(parts: list[Look | Measures], samples: int) -> Measures:
    """The measures (turns times runs, depth) of parts that are each of a turn.

    The gradients were those of the mean loss over so many ``samples``.
    """
    if isinstance(parts[0], Look):
        both = {
            name: np.concatenate([getattr(part, name) for part in parts], axis=axis)
            for name, axis in AXES.items()
        }
        return of_look(replace(parts[0], **both), samples, of_sum=False)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
