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

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..parts.data import Data
from ..parts.games import GAMES, Game, gradient_penalty
from .draws import Draws
from .network import Network, flat
from .nonfinite import first_layers
from .player import Player, Turn, Values, on_both
from .samples import Samples, samples_of
from .stack import Budget, copied
from .updates import update

PLAYERS = ("generator", "discriminator")
Found = tuple[Tensor, list[Tensor]]  # of a turn: losses (runs), and gradients of what learns


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


def discriminator_loss(
    game: Game, discriminator: Player, outputs: tuple[Tensor, Tensor], batches: tuple[Tensor, ...]
) -> Tensor:
    """L_D of every run, (runs), from its ``outputs`` on real and on generated samples.

    ``batches`` are these samples, and u of :func:`vanishing.parts.games.gradient_penalty`.
    """
    of_real, of_fake = game.discriminator(*outputs)
    losses = of_real.mean(1) + of_fake.mean(1)
    if not game.penalty:
        return losses
    penalty = gradient_penalty(discriminator.judges_twice, *batches)
    return losses + game.penalty * penalty.mean(1)


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


def advance(match: Match, step: int, wanted: bool = False) -> dict[str, Turn]:
    """Make step ``step``, counted from 1: the turns of the discriminator, then the generator's.

    What is returned is each player's last turn; where ``wanted``, it says what it changed.
    """
    turns = match.rules.discriminator_steps
    for n in range(1, turns + 1):
        made = {"discriminator": turn_of_discriminator(match, step, wanted and n == turns)}
    if match.rules.live:
        made["generator"] = turn_of_generator(match, step, wanted)
    if match.lr.device.type == "cpu":
        for turn in made.values():
            if turn.nonfinite is not None:
                bad = turn.nonfinite > 0
                match.lost = bad if match.lost is None else match.lost | bad
    return made


def turn_of_discriminator(match: Match, step: int, wanted: bool = False) -> Turn:
    """An update of the discriminator on a real batch and a generated one."""
    game, player, draws = match.rules.game, match.discriminator, match.draws
    real = match.samples.seen(match.samples.order[player.turns], match.lr.dtype)
    latent, values = match.latent("discriminator"), match.lr.device.type != "cpu"
    fake, made = match.generator.makes(latent, values)
    real, fake = match.noisy(real, "real"), match.noisy(fake, "generated")
    kept = draws.kept("survival_of_discriminator", player.net)
    if player.chained and not game.penalty and not player.net.norm.mixes_samples:
        found, h = _of_both(match, real, fake), []
    else:
        *outputs, h = on_both(player, real, fake, True, kept, values)
        mix = draws.uniform("mix", real.shape[1]) if game.penalty else None
        found = _by_autograd(discriminator_loss(game, player, outputs, (real, fake, mix)), player)

    def layers() -> Values:
        if values:
            return [[z] for z in made] + h
        with torch.no_grad():
            of_generator = match.generator.sees(latent)[1]
            return [[z] for z in of_generator] + on_both(player, real, fake, False, kept)[2]

    return _update(match, player, found, layers, step, wanted)


def turn_of_generator(match: Match, step: int, wanted: bool = False) -> Turn:
    """An update of the generator on new noise, through the discriminator as it is."""
    player, other = match.generator, match.discriminator
    kept = match.draws.kept("survival_of_generator", player.net)
    latent, values = match.latent("generator"), match.lr.device.type != "cpu"
    if player.chained and other.chained:
        fake, found, h = *_of_generated(match, latent), []
    else:
        fake, made, _ = player.sees(latent, True, kept, values)
        fake = match.noisy(fake, "own")
        output, h, _ = other.fixed().sees(fake, values=values)
        losses = match.rules.game.generator(output[..., 0]).mean(1)
        found, h = _by_autograd(losses, player), made + h

    def layers() -> Values:
        if values:
            return [[z] for z in h]
        with torch.no_grad():
            again = player.sees(latent, False, kept)[1] + other.sees(fake)[1]
        return [[z] for z in again]

    return _update(match, player, found, layers, step, wanted)


def _by_autograd(losses: Tensor, player: Player) -> Found:
    """What came of a pass through torch."""
    # Runs share no parameter: the gradient of the sum is each run's own.
    return losses.detach(), list(torch.autograd.grad(losses.sum(), player.learning))


def _of_both(match: Match, real: Tensor, fake: Tensor) -> Found:
    """The same of a discriminator whose layers the compiled loops know."""
    player, sizes = match.discriminator, [real.shape[1], fake.shape[1]]
    made = player.chain_of(torch.cat([real, fake], dim=1))
    outputs = made.forward(player.parameters)[..., 0].split(sizes, dim=1)
    losses, d = _slopes(match.rules.game.discriminator, outputs)
    return losses, flat(made.gradients(torch.cat(d, dim=1), player.parameters)[0])


def _of_generated(match: Match, latent: Tensor) -> tuple[Tensor, Found]:
    """What a generator makes, and the same of it, where the loops know both players' layers."""
    player, other, game = match.generator, match.discriminator, match.rules.game
    own = player.chain_of(latent)
    fake = match.noisy(own.forward(player.parameters), "own")
    judged = other.chain_of(fake)
    outputs = judged.forward(other.parameters)[..., 0]
    losses, [d] = _slopes(lambda fake: (game.generator(fake),), (outputs,))
    d_fake = judged.of_samples(d, other.parameters)
    return fake, (losses, flat(own.gradients(d_fake, player.parameters)[0]))


def _slopes(
    losses_of: Callable[..., tuple[Tensor, ...]], outputs: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The sum of mean losses (runs), and its derivatives by ``outputs``, (runs, batch) each.

    There are as many samples of either kind. A mean's own derivative is known: a graph of it would
    take as long as that of all else.
    """
    at = [output.detach().requires_grad_() for output in outputs]
    found = losses_of(*at)
    total = sum(loss.sum() for loss in found)
    d = torch.autograd.grad(total, at, materialize_grads=True)
    first, *others = (loss.detach().mean(1) for loss in found)
    return sum(others, first), tuple(slope / slope.shape[1] for slope in d)


def _update(
    match: Match,
    player: Player,
    found: Found,
    layers: Callable[[], Values],
    step: int,
    wanted: bool,
) -> Turn:
    """Clip, update; a critic's weights are clipped in the end."""
    game, (losses, gradients), hidden = match.rules.game, found, player.parameters["W"][:-1]
    nonfinite = _nonfinite(match, losses, layers)
    clips = game.clip is not None and player is match.discriminator
    before = copied({"W": hidden}) if wanted else None
    player.turns += 1
    changes = _moved(match, player, gradients, step, wanted and not clips)
    if clips:
        for tensor in player.learning:
            tensor.data.clamp_(-game.clip, game.clip)
        if wanted:
            pairs = zip(before["W"], hidden, strict=True)
            changes = [old - new.detach() for old, new in pairs]
    turn = Turn(losses, nonfinite, gradients, before, changes)
    player.earlier, player.last = player.last, turn
    return turn


def _moved(
    match: Match, player: Player, gradients: list[Tensor], step: int, wanted: bool
) -> list[Tensor]:
    """Update all that learns; where ``wanted``, what was taken from the hidden weights."""
    budget, depth = match.rules.budget, player.net.depth
    lr = match.lr * budget.schedule.factor(step, budget.steps)
    given = player.learning, budget.clip.apply(gradients), player.state  # hidden weights first
    return update(budget.optimizer, *given, lr, player.turns, depth if wanted else 0)


def _nonfinite(match: Match, losses: Tensor, layers: Callable[[], Values]) -> Tensor | None:
    """The first layer (runs) with such an h of runs whose loss is not finite; None: all are.

    ``layers()`` are the generator's and then the discriminator's, which are counted from 1 again;
    where all are finite, it is the discriminator's head. On a CPU an update keeps no h: where they
    are asked for, its passes are made a second time.
    """
    if losses.device.type == "cpu" and math.isfinite(losses.sum()):
        return None
    found, depth = first_layers(losses, layers, match.lost), match.generator.net.depth
    return None if found is None else torch.where(found > depth, found - depth, found)
