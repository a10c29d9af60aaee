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

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..parts.data import Data
from ..parts.games import GAMES, Game, gradient_penalty
from ..parts.seeds import generator_of
from .draws import Draws
from .feedforward import OnPhi, pass_forward
from .initial import draw, initial_buffers, scale_to_unit_variance
from .network import Buffers, Network, Parameters, flat
from .nonfinite import first_layers
from .probes import doubled
from .samples import Samples, samples_of
from .stack import Budget, copied, update

PLAYERS = ("generator", "discriminator")
Values = list[list[Tensor]]  # of each layer, of each pass that a player made


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
class Turn:
    """What an update of a player was made of; lists are in the order of the tensors that learn."""

    losses: Tensor  # (runs), before the update
    nonfinite: Tensor | None  # (runs): see :func:`_nonfinite`
    gradients: list[Tensor]  # before clipping
    before: Parameters | None = None  # the parameters before it, where they were asked for
    changes: list[Tensor] | None = None  # what was taken from the tensors, likewise


@dataclass
class Player:
    """A player of every run of a stack, with all that changes from update to update."""

    net: Network
    parameters: Parameters
    buffers: Buffers
    initial: Parameters  # as they were at step 0
    learning: list[Tensor]  # the parameters that learn, in the order of flat()
    state: list[dict] = field(default_factory=list)  # the optimizer's, a dict a learning tensor
    turns: int = 0  # updates made so far
    last: Turn | None = None
    earlier: Turn | None = None  # the one before the last
    on_phi: OnPhi | None = None  # sees every h with phi(h)

    @classmethod
    def of(cls, net: Network, inits: list[str], seeds: list[int], name: str, x: Tensor) -> Player:
        """A player as it is drawn, from seeds that are its own; an init may look at ``x``."""
        own = [generator_of(seed, name).initial_seed() for seed in seeds]
        drawn = draw(net, inits, own).items()
        parameters = {n: [t.to(x.device, x.dtype) for t in tensors] for n, tensors in drawn}
        scale_to_unit_variance(net, parameters, inits, x)
        learning = [t.requires_grad_() for t in flat(parameters)]
        buffers = initial_buffers(net, parameters)
        iterated = {name: buffers[name] for name in buffers if name not in ("mean", "variance")}
        return cls(net, parameters, iterated, copied(parameters), learning, [{} for _ in learning])

    def exact(self, on_phi: OnPhi) -> Player:
        """A copy in float64, for a probe: gradients flow to it, and nothing back."""
        parameters = doubled(self.parameters)
        learning = [t.requires_grad_() for t in flat(parameters)]
        return replace(
            self,
            parameters=parameters,
            learning=learning,
            buffers=doubled(self.buffers),
            on_phi=on_phi,
        )

    def sees(
        self, x: Tensor, learning: bool = False, kept: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """What comes of ``x`` (runs, batch, inputs), and h and a of every layer."""
        return pass_forward(
            self.net, self.parameters, x, self.buffers, learning, kept, on_phi=self.on_phi
        )

    def judges(self, x: Tensor) -> Tensor:
        """A discriminator's output on samples, (runs, batch)."""
        return self.sees(x)[0][..., 0]


def on_both(
    discriminator: Player,
    real: Tensor,
    fake: Tensor,
    learning: bool = False,
    kept: Tensor | None = None,
) -> tuple[Tensor, Tensor, Values, Values]:
    """Outputs on real and on generated samples, each (runs, batch), and h and a of each pass.

    One pass serves both kinds, where no norm would mix them.
    """
    apart = discriminator.net.norm.mixes_samples
    batches = [real, fake] if apart else [torch.cat([real, fake], dim=1)]
    passes = [discriminator.sees(x, learning, kept) for x in batches]
    outputs = torch.cat([out[..., 0] for out, _, _ in passes], dim=1)
    h, a = (
        [list(of_layer) for of_layer in zip(*(p[n] for p in passes), strict=True)] for n in (1, 2)
    )
    return *outputs.split([real.shape[1], fake.shape[1]], dim=1), h, a


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
    return losses + game.penalty * gradient_penalty(discriminator.judges, *batches).mean(1)


@dataclass
class Match:
    """The runs of a stack at play."""

    rules: Rules
    generator: Player
    discriminator: Player
    samples: Samples
    draws: Draws
    lr: Tensor  # (runs, 1, 1)

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
    return made


def turn_of_discriminator(match: Match, step: int, wanted: bool = False) -> Turn:
    """An update of the discriminator on a real batch and a generated one."""
    game, player, draws = match.rules.game, match.discriminator, match.draws
    real, _ = match.samples.at(match.samples.order[player.turns], match.lr.dtype)
    with torch.no_grad():
        fake, made, _ = match.generator.sees(match.latent("discriminator"))
    real, fake = match.noisy(real, "real"), match.noisy(fake, "generated")
    kept = draws.kept("survival_of_discriminator", player.net)
    *outputs, h, _ = on_both(player, real, fake, True, kept)
    mix = draws.uniform("mix", real.shape[1]) if game.penalty else None
    losses = discriminator_loss(game, player, outputs, (real, fake, mix))
    return _update(match, player, losses, [[z] for z in made] + h, step, wanted)


def turn_of_generator(match: Match, step: int, wanted: bool = False) -> Turn:
    """An update of the generator on new noise, through the discriminator as it is."""
    player = match.generator
    kept = match.draws.kept("survival_of_generator", player.net)
    fake, made, _ = player.sees(match.latent("generator"), True, kept)
    output, h, _ = match.discriminator.sees(match.noisy(fake, "own"))
    losses = match.rules.game.generator(output[..., 0]).mean(1)
    return _update(match, player, losses, [[z] for z in made + h], step, wanted)


def _update(
    match: Match, player: Player, losses: Tensor, layers: Values, step: int, wanted: bool
) -> Turn:
    """Gradient, clip, update; a critic's weights are clipped in the end."""
    budget, game = match.rules.budget, match.rules.game
    # Runs share no parameter: the gradient of the sum is each run's own.
    gradients = list(torch.autograd.grad(losses.sum(), player.learning))
    before = copied(player.parameters) if wanted else None
    player.turns += 1
    changes = update(
        budget.optimizer,
        player.learning,
        budget.clip.apply(gradients),
        player.state,
        match.lr * budget.schedule.factor(step, budget.steps),
        player.turns,
        wanted,
    )
    if game.clip is not None and player is match.discriminator:
        for tensor in player.learning:
            tensor.data.clamp_(-game.clip, game.clip)
        if wanted:
            pairs = zip(flat(before), player.learning, strict=True)
            changes = [old - new.detach() for old, new in pairs]
    found = _nonfinite(losses.detach(), layers, match.generator.net.depth)
    turn = Turn(losses.detach(), found, gradients, before, changes)
    player.earlier, player.last = player.last, turn
    return turn


def _nonfinite(losses: Tensor, layers: Values, depth: int) -> Tensor | None:
    """The first layer (runs) with such an h of runs whose loss is not finite; None: all are.

    ``layers`` are the generator's, ``depth`` of them, and then the discriminator's, counted from 1
    again; where all are finite, it is the discriminator's head.
    """
    found = first_layers(losses, lambda: layers)
    return None if found is None else torch.where(found > depth, found - depth, found)
