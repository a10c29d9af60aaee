"""The turns of a match: a pass of a player on what it is to learn from, then its update.

A turn that is looked at leaves a :class:`.glances.Glance` of its pass, before the update, which has
the same bits with it and without.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..parts.games import Game, gradient_penalty, slopes_of
from .glances import Glance, Judged
from .moves import of_update, squares_of
from .nonfinite import first_layers
from .player import Player, Turn, Values, apart, on_both
from .player_pass import Back, PlayerPass, by_loops, look_at
from .stack import copied
from .updates import update

if TYPE_CHECKING:
    from .adversarial import Match

Found = tuple[Tensor, list[Tensor]]  # of a turn: losses (runs), and gradients of what learns


@dataclass(frozen=True)
class Made:
    """The pass of a turn, before its update."""

    found: Found
    layers: Callable[[], Values]  # see :func:`_nonfinite`
    glances: list[Glance]  # where it is looked at


def turn_of_discriminator(
    match: Match, step: int, wanted: bool = False, looked_at: bool = False
) -> Turn:
    """An update of the discriminator on a real batch and a generated one."""
    return _update(match, match.discriminator, judged(match, looked_at), step, wanted)


def turn_of_generator(
    match: Match, step: int, wanted: bool = False, looked_at: bool = False
) -> Turn:
    """An update of the generator on new noise, through the discriminator as it is."""
    return _update(match, match.generator, generated(match, looked_at), step, wanted)


def glances_without_turns(match: Match) -> list[Glance]:
    """At passes of turns on the first real batch and new noise, of which none is made.

    Nothing is changed, nor drawn from what the match draws from.
    """
    players = {
        name: replace(player, buffers=copied(player.buffers))
        for name, player in match.players.items()
    }
    still = replace(match, draws=match.draws.copied(), **players)
    passes = [judged, generated] if match.rules.live else [judged]
    return [glance for make in passes for glance in make(still, looked_at=True).glances]


def judged(match: Match, looked_at: bool) -> Made:
    """The discriminator's pass. A fixed generator is looked at where its samples are made."""
    player, order = match.discriminator, match.samples.order
    real = match.samples.seen(order[player.turns % len(order)], match.lr.dtype)
    latent, values = match.latent("discriminator"), match.lr.device.type != "cpu"
    fake, made = match.generator.makes(latent, values)
    real, fake = match.noisy(real, "real"), match.noisy(fake, "generated")
    kept = match.draws.kept("survival_of_discriminator", player.net)
    found, h, glances = _judged(match, real, fake, kept, looked_at)
    if looked_at and not match.rules.live:
        glances.append(_at_generator(match, latent, fake))

    def layers() -> Values:
        if values:
            return [[z] for z in made] + h
        with torch.no_grad():
            of_generator = match.generator.sees(latent)[1]
            return [[z] for z in of_generator] + on_both(player, real, fake, False, kept)[2]

    return Made(found, layers, glances)


def _judged(
    match: Match, real: Tensor, fake: Tensor, kept: Tensor | None, looked_at: bool
) -> tuple[Found, Values, list[Glance]]:
    """What comes of samples of both kinds; h where the pass has kept it."""
    game, player, samples = match.rules.game, match.discriminator, real.shape[1]

    def glance(found: Found, verdict: Judged, back: Back) -> Glance:
        of_game, penalised = partial(of_outputs, game), bool(game.penalty)
        return Glance.of("discriminator", player, back, found[1], verdict, of_game, penalised)

    if player.chained and not game.penalty and not player.net.norm.mixes_samples:
        made = by_loops(player, torch.cat([real, fake], dim=1), looked_at)
        found, verdict, back = _of_both(game, made)
        return found, [], [glance(found, verdict, back)] if looked_at else []
    *on_each, h = on_both(player, real, fake, True, kept, match.lr.device.type != "cpu")
    mix = match.draws.uniform("mix", samples) if game.penalty else None
    losses = discriminator_loss(game, player, on_each, (real, fake, mix))
    found = _by_autograd(losses, player)
    if not looked_at:
        return found, h, []
    _, verdict, back = _of_both(game, look_at(player, apart(player.net, real, fake), samples, kept))
    return found, h, [glance(found, verdict, back)]


def generated(match: Match, looked_at: bool) -> Made:
    """The generator's pass."""
    player, other, game = match.generator, match.discriminator, match.rules.game
    kept, glances = match.draws.kept("survival_of_generator", player.net), []
    latent, values = match.latent("generator"), match.lr.device.type != "cpu"
    if player.chained and other.chained:
        own, h = by_loops(player, latent, looked_at), []
        fake = match.noisy(own.outputs, "own")
        through = other.chain_of(fake)
        outputs = through.forward(other.parameters)[..., 0]
        losses, slopes = slopes_of(lambda fake: (game.generator(fake),), (outputs,))
        d = through.of_samples(slopes[0] / slopes[0].shape[1], other.parameters)
        back = own.back(d, True)
        found = losses[0].mean(1), back.gradients
        if looked_at:
            verdict = (outputs,), losses, slopes
            glances = [Glance.of("generator", player, back, found[1], verdict, _of_losses)]
    else:
        fake, made, _ = player.sees(latent, True, kept, values)
        fake = match.noisy(fake, "own")
        output, h, _ = other.fixed().sees(fake, values=values)
        losses = game.generator(output[..., 0]).mean(1)
        found, h = _by_autograd(losses, player), made + h
        if looked_at:
            glances = [_at_generator(match, latent, fake.detach(), kept, found)]

    def layers() -> Values:
        if values:
            return [[z] for z in h]
        with torch.no_grad():
            again = player.sees(latent, False, kept)[1] + other.sees(fake)[1]
        return [[z] for z in again]

    return Made(found, layers, glances)


def discriminator_loss(
    game: Game, discriminator: Player, outputs: list[Tensor], batches: tuple[Tensor, ...]
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


def of_outputs(game: Game, verdict: Judged) -> dict[str, Tensor]:
    """What D(x) and D(G(z)), their losses and what these lose by them tell of the discriminator.

    In any precision, summed in float64.
    """
    outputs, losses, slopes = verdict
    (on_real, on_fake), settled = (t.double() for t in outputs), game.settled(*slopes)
    of_real, of_fake = (loss.mean(1, dtype=torch.float64) for loss in losses)
    return {
        "discriminator_loss": of_real + of_fake,
        "discriminator_accuracy": game.right(on_real, on_fake),
        "saturation_real": _share(settled[0], on_real),
        "saturation_generated": _share(settled[1], on_fake),
    }


def _share(settled: Tensor, output: Tensor) -> Tensor:
    """The share of samples that are settled; missing where an output is."""
    return torch.where(output.isnan(), torch.nan, settled.to(output.dtype)).mean(1)


def _at_generator(
    match: Match,
    latent: Tensor,
    fake: Tensor,
    kept: Tensor | None = None,
    found: Found | None = None,
) -> Glance:
    """A look at the generator beside its turn; one that is fixed makes none, and so has no losses.

    ``fake`` are its samples as the discriminator sees them.
    """
    game, player = match.rules.game, match.generator
    judge = match.discriminator.fixed()
    losses, slopes = slopes_of(lambda x: (game.generator(judge.judges(x)),), (fake,))
    back = look_at(player, [latent], latent.shape[1], kept).back(slopes[0] / fake.shape[1], True)
    gradients = back.gradients if found is None else found[1]
    return Glance.of("generator", player, back, gradients, ((), losses, ()), _of_losses)


def _of_losses(verdict: Judged) -> dict[str, Tensor]:
    _, [losses], _ = verdict
    return {"generator_loss": losses.mean(1, dtype=torch.float64)}


def _by_autograd(losses: Tensor, player: Player) -> Found:
    """What came of a pass through torch."""
    # Runs share no parameter: the gradient of the sum is each run's own.
    return losses.detach(), list(torch.autograd.grad(losses.sum(), player.learning))


def _of_both(game: Game, made: PlayerPass) -> tuple[Found, Judged, Back]:
    """The same without a penalty of a pass on real and as many generated samples.

    And what the pass has judged, and tells on its way back.
    """
    outputs = made.outputs[..., 0].chunk(2, dim=1)
    losses, slopes = game.slopes(*outputs)
    of_real, of_fake = (loss.mean(1) for loss in losses)
    # A mean's own derivative is known: a graph of it would take as long as that of all else.
    back = made.back((torch.cat(slopes, dim=1) / outputs[0].shape[1])[..., None], True)
    return (of_real + of_fake, back.gradients), (outputs, losses, slopes), back


def _update(match: Match, player: Player, made: Made, step: int, wanted: bool) -> Turn:
    """Clip, update; a critic's weights are clipped in the end."""
    game, budget, (losses, gradients) = match.rules.game, match.rules.budget, made.found
    nonfinite = _nonfinite(match, losses, made.layers)
    clips = game.clip is not None and player is match.discriminator
    before = copied({"W": player.parameters["W"][:-1]})["W"] if wanted and clips else None
    squares = squares_of(player.parameters["W"][:-1]) if wanted else None
    player.turns += 1
    lr = match.lr * budget.schedule.factor(step, budget.steps)
    clipped = budget.clip.apply(gradients)
    told = wanted and not clips and budget.optimizer.moments is None
    of_all = budget.optimizer, player.learning, clipped, player.state, lr, player.turns
    changes = update(*of_all, player.net.depth if told else 0)  # hidden weights come first
    if clips:
        for tensor in player.learning:
            tensor.data.clamp_(-game.clip, game.clip)
        if wanted:
            pairs = zip(before, player.parameters["W"][:-1], strict=True)
            changes = [old - new.detach() for old, new in pairs]
    moved = None
    if wanted:
        given = gradients, player.last and player.last.gradients, changes, squares
        moved = of_update(player, budget.optimizer, lr, player.turns, *given)
    player.last = Turn(losses, nonfinite, gradients, moved, made.glances)
    return player.last


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
