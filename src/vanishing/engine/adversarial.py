"""Two players in training: a generator G of samples, and a discriminator D that judges them.

An update of the discriminator makes small, with x real, z noise and B samples of each kind,

    L_D = mean of its losses on D(x) + mean of its losses on D(G(z)) [+ penalty * mean penalty],

one of the generator the mean of its losses on D(G(z)), through a discriminator that stays as it is.
Instance noise is added to all that the discriminator sees, to x and to G(z) each its own.

A norm that takes statistics over a batch takes those of the batch that it sees, real and generated
samples apart, and keeps none: not in training, nor where samples are looked at. What is iterated of
a spectral norm moves on once with each update of its player. Residual blocks survive by chance in
the player that learns; in the other one they count by their probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..parts.data import Data
from ..parts.games import GAMES, Game
from .draws import Draws
from .network import Network
from .player import Player, Turn
from .samples import Samples, samples_of
from .stack import Budget
from .turns import turn_of_discriminator, turn_of_generator

PLAYERS = ("generator", "discriminator")


@dataclass(frozen=True)
class Rules:
    """What all runs of a cohort of GANs share besides their players' networks."""

    game: Game
    budget: Budget
    live: bool = True  # the generator learns; else it stays as it was drawn
    discriminator_steps: int = 1  # updates of the discriminator to one of the generator
    instance_noise: float = 0.0  # sd, in the units of the data

    @classmethod
    def of(cls, graph: dict) -> Rules:
        """The rules that a cohort's settings name."""
        live = graph["generator"] == "live"
        return cls(
            GAMES[graph["game"]],
            Budget.of(graph),
            live,
            graph["discriminator_steps"] if live else 1,
            graph["instance_noise"],
        )


def players_of(graph: dict, data: Data) -> dict[str, Network]:
    """The networks of both players that a cohort's settings name."""
    return {player: Network.of_player(graph, data.shape, player) for player in PLAYERS}


@dataclass
class Match:
    """The runs of a stack at play."""

    rules: Rules
    generator: Player
    discriminator: Player
    samples: Samples
    draws: Draws
    lr: Tensor  # (runs, 1, 1)
    lost: Tensor | None = None  # (runs): whose loss was seen not to be finite, on a CPU

    @classmethod
    def of(
        cls,
        rules: Rules,
        nets: dict[str, Network],
        data: Data,
        runs: tuple[list[str], list[int], list[float | None]],
        device: torch.device,
        dtype: torch.dtype,
    ) -> Match:
        """The match of ``runs`` (inits, seeds, rates) before its first update."""
        (inits, seeds, rates), budget = runs, rules.budget
        updates = budget.steps * rules.discriminator_steps
        samples = samples_of(data, seeds, updates, budget.batch, budget.probe_batch, device)
        draws = Draws(seeds, device, dtype)
        latent = nets["generator"].architecture.inputs
        first = {
            "generator": draws.normal("latent_of_init", budget.probe_batch, latent),
            "discriminator": samples.first(budget.probe_batch, dtype),
        }
        players = {p: Player.of(nets[p], inits, seeds, p, first[p]) for p in PLAYERS}
        lr = torch.tensor([r or 0.0 for r in rates], device=device, dtype=dtype).view(-1, 1, 1)
        return cls(rules, players["generator"], players["discriminator"], samples, draws, lr)

    @property
    def players(self) -> dict[str, Player]:
        """Both players by their names."""
        return {player: getattr(self, player) for player in PLAYERS}

    def noisy(self, samples: Tensor, purpose: str) -> Tensor:
        """Samples as the discriminator sees them, with instance noise."""
        if not self.rules.instance_noise:
            return samples
        noise = self.draws.normal(f"noise_on_{purpose}", *samples.shape[1:])
        return samples + self.rules.instance_noise * noise

    def latent(self, purpose: str) -> Tensor:
        """Noise for a batch of the generator, (runs, batch, numbers)."""
        numbers = self.generator.net.architecture.inputs
        return self.draws.normal(f"latent_of_{purpose}", self.rules.budget.batch, numbers)


def advance(
    match: Match, step: int, wanted: bool = False, looked_at: bool = False
) -> dict[str, Turn]:
    """Make step ``step``, counted from 1: the turns of the discriminator, then the generator's.

    What is returned is each player's last turn; where ``wanted``, it says what it changed, and
    where it is ``looked_at``, what its pass told.
    """
    turns = match.rules.discriminator_steps
    for n in range(1, turns + 1):
        asked = (wanted, looked_at) if n == turns else (False, False)
        made = {"discriminator": turn_of_discriminator(match, step, *asked)}
    if match.rules.live:
        made["generator"] = turn_of_generator(match, step, wanted, looked_at)
    if match.lr.device.type == "cpu":
        for turn in made.values():
            if turn.nonfinite is not None:
                bad = turn.nonfinite > 0
                match.lost = bad if match.lost is None else match.lost | bad
    return made
