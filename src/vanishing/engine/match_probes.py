"""What is measured of a GAN at a probe step: of each player, of the game, of what is generated.

All but the scores in float64, on one batch of real samples and one of noise, the same for all runs
and steps; without instance noise, and with the batches' own statistics in a batch norm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..parts.games import Game, gradient_penalty
from ..parts.plane import ring_modes
from ..parts.seeds import generator_of
from .adversarial import Match
from .evaluation import Scores
from .glances import Seen
from .player import Player, apart
from .player_pass import PlayerPass, log10_norm, pass_of, read_at
from .probes import Measures
from .quality import Real, digit_features, frechet, mmd2, modes_and_quality
from .turns import of_outputs

LEAST = 1e-150  # in size, of what a slope is told by, and 1 over the most: it has all its digits
SCORED = 500  # samples, generated and real, that scores compare


@dataclass(frozen=True)
class Probe:
    """What every run of a study is probed with."""

    real: Tensor  # (batch, values)
    latent: Tensor  # (batch, numbers of noise)
    mix: Tensor  # (batch): where between two samples the penalty is taken
    reference: Real  # 500 real samples, or all where there are fewer
    latent_of_scores: Tensor  # (500, numbers of noise)
    modes: tuple[Tensor, float] | None  # centres and sd, where the data has known ones
    features: Callable[[Tensor], Tensor] | None  # of images that a classifier knows

    @classmethod
    def of(cls, match: Match, source: dict) -> Probe:
        """The probe on a task as a cohort names it, ``source``; other draws than any run's."""
        samples, numbers = match.samples, match.generator.net.architecture.inputs
        real, _ = samples.at(samples.probe, torch.float64)

        def normal(count: int, purpose: str) -> Tensor:
            drawn = torch.randn(count, numbers, generator=generator_of(0, purpose))
            return drawn.to(real.device, torch.float64)

        mix = torch.rand(len(real), generator=generator_of(0, "probe_mix"))
        order = torch.randperm(len(samples.inputs), generator=generator_of(0, "reference"))
        kind, settings = source["kind"], {n: v for n, v in source.items() if n in ("modes", "sd")}
        centres, sd = ring_modes(**settings) if kind == "ring" else (None, 0.0)
        return cls(
            real,
            normal(len(real), "probe_latent"),
            mix.to(real),
            Real.of(samples.inputs[order[:SCORED].to(real.device)]),
            normal(SCORED, "latent_of_scores"),
            None if centres is None else (torch.from_numpy(centres), sd),
            digit_features() if kind == "digits" else None,
        )


def at_probe(match: Match, probe: Probe) -> Seen:
    """The measures of each player's layers, and those of the game.

    L of a layer's measures is the loss of a sample without a penalty: the generator's on generated
    ones, through the discriminator, and the discriminator's on as many of each kind.
    """
    (generator, discriminator), runs = match.players.values(), len(match.lr)
    real, latent = (x.expand(runs, *x.shape) for x in (probe.real, probe.latent))
    made = pass_of(generator, [latent], len(probe.latent))
    batches = real, made.outputs, probe.mix.expand(runs, -1)
    layers, game, lost = _discriminator(match, discriminator, batches)
    of_generator, of_game = _generator(match, made, lost)
    return Seen({"generator": of_generator, "discriminator": layers}, of_game | game)


def _generator(
    match: Match, made: PlayerPass, lost: tuple[Tensor, Tensor]
) -> tuple[Measures, dict[str, Tensor]]:
    """From its losses (runs, batch), and what they lose by its samples."""
    losses, d = lost
    back = made.back(d, False)
    norm = log10_norm(match.generator, back, losses.shape[1])
    return back.layers, {"generator_loss": losses.mean(1), "log10_generator_gradient": norm}


def _discriminator(
    match: Match, player: Player, batches: tuple[Tensor, Tensor, Tensor]
) -> tuple[Measures, dict[str, Tensor], tuple[Tensor, Tensor]]:
    """And what it tells the generator: the losses of its samples, and what these lose by them."""
    game, (real, fake, _) = match.rules.game, batches
    # Over one batch's size, so that the layers' gradient is that of the sum of the two means.
    samples, sizes = real.shape[1], [real.shape[1], fake.shape[1]]
    made = pass_of(player, apart(player.net, real, fake), samples)
    outputs = made.outputs[..., 0].split(sizes, dim=1)
    losses, d = game.slopes(*outputs)
    back = made.back(torch.cat(d, dim=1)[..., None], bool(game.penalty))
    if game.penalty:
        exact = player.exact()
        penalty = game.penalty * gradient_penalty(exact.judges_twice, *batches)
        more = torch.autograd.grad(penalty.sum(), exact.learning, materialize_grads=True)
        pairs = zip(back.gradients, more, strict=True)
        back = replace(back, gradients=[g + other for g, other in pairs])
    d_fake = None if back.d_x is None else back.d_x[:, samples:]
    lost = lost_by_samples(game, player, fake, (outputs[1], d[1], d_fake))
    norm = {"log10_discriminator_gradient": log10_norm(player, back, samples)}
    return back.layers, of_outputs(game, (outputs, losses, d)) | norm, lost


def lost_by_samples(
    game: Game, player: Player, fake: Tensor, judged: tuple[Tensor, Tensor, Tensor | None]
) -> tuple[Tensor, Tensor]:
    """A generator's losses (runs, batch), and what they lose by its samples ``fake``.

    ``judged`` are D(fake), and what the discriminator's own losses lose by it and, if known, by
    ``fake``: of a sample both players' are D's one slope, times numbers. So it need not be taken
    twice, but of runs where one of these is next to nothing, or not finite.
    """
    outputs, of_own, d_own = judged
    if d_own is None:
        return _passed_on(game, player, fake)
    at = outputs.clone().requires_grad_()
    losses = game.generator(at)
    [d] = torch.autograd.grad(losses.sum(), at)
    d_fake = d_own * (d / of_own)[..., None]
    sizes = torch.cat([of_own.abs(), d_own.abs().amax(2)], dim=1)
    told = ((sizes > LEAST) & (sizes < 1 / LEAST)).all(1)
    if not told.all():
        rest = ~told
        some = {name: [t[rest] for t in group] for name, group in player.parameters.items()}
        buffers = {name: [t[rest] for t in group] for name, group in player.buffers.items()}
        own = {"parameters": some, "buffers": buffers, "learning": [], "chained": False}
        alone = replace(player, **own)
        d_fake[rest] = _passed_on(game, alone, fake[rest])[1]
    return losses.detach(), d_fake


def _passed_on(game: Game, player: Player, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The same by a pass of its own."""
    at = fake.clone().requires_grad_()
    losses = game.generator(read_at(player, fake).fixed().judges(at))
    return losses.detach(), torch.autograd.grad(losses.sum(), at)[0]


def scores(match: Match, probe: Probe) -> Scores:
    """How good 500 generated samples are, (runs) each.

    On all tasks mmd, the squared maximum mean discrepancy from real samples; on the ring, modes
    and high_quality; on the digits, frechet.
    """
    latent = probe.latent_of_scores.to(match.lr.dtype)
    with torch.no_grad():
        fake, _, _ = match.generator.sees(latent.expand(len(match.lr), *latent.shape), values=False)
        found = {"mmd": mmd2(fake, probe.reference)}
        if probe.modes:
            found["modes"], found["high_quality"] = modes_and_quality(fake, *probe.modes)
        if probe.features:
            real = probe.reference.points[None]
            found["frechet"] = frechet(probe.features(fake), probe.features(real)[0])
    return {(name, 0.0): values.double().cpu().numpy() for name, values in found.items()}
