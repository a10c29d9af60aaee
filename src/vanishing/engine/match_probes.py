"""What is measured of a GAN at a probe step: of each player, of the game, of what is generated.

All but the scores in float64, on one batch of real samples and one of noise, the same for all runs
and steps; without instance noise, and with the batches' own statistics in a batch norm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..parts.games import gradient_penalty
from ..parts.plane import ring_modes
from ..parts.seeds import generator_of
from . import chain
from .adversarial import Match
from .evaluation import Scores
from .network import flat
from .player import Player, apart
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
from .quality import Real, digit_features, frechet, high_quality_share, mmd2, modes_covered

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


def at_probe(match: Match, probe: Probe) -> tuple[dict[str, Measures], dict[str, Tensor]]:
    """The measures of each player's layers, and those of the game, (runs) each.

    L of a layer's measures is the loss of a sample without a penalty: the generator's on generated
    ones, through the discriminator, and the discriminator's on as many of each kind.
    """
    generator, discriminator = (player.exact() for player in match.players.values())
    runs = len(match.lr)
    latent = probe.latent.expand(runs, *probe.latent.shape)
    seen = pass_of(generator, [latent], len(probe.latent))
    fake = seen.outputs.detach()
    of_generator, game = _generator(match, seen, discriminator)
    batches = (probe.real.expand(runs, *probe.real.shape), fake, probe.mix.expand(runs, -1))
    layers, of_game = _discriminator(match, discriminator, batches)
    return {"generator": of_generator, "discriminator": layers}, game | of_game


def _generator(
    match: Match, seen: PlayerPass, discriminator: Player
) -> tuple[Measures, dict[str, Tensor]]:
    losses = match.rules.game.generator(discriminator.fixed().judges(seen.outputs))
    layers, gradients = seen.back(losses.sum())
    mean = losses.detach().mean(1)
    return layers, {"generator_loss": mean, "log10_generator_gradient": log10_norm(gradients)}


def _discriminator(
    match: Match, player: Player, batches: tuple[Tensor, Tensor, Tensor]
) -> tuple[Measures, dict[str, Tensor]]:
    game, (real, fake, _) = match.rules.game, batches
    # Over one batch's size, so that the layers' gradient is that of the sum of the two means.
    seen = pass_of(player, apart(player.net, real, fake), real.shape[1])
    outputs = seen.outputs[..., 0].split([real.shape[1], fake.shape[1]], dim=1)
    of_real, of_fake = game.discriminator(*outputs)
    layers, gradients = seen.back(of_real.sum() + of_fake.sum())
    if game.penalty:
        penalty = game.penalty * gradient_penalty(player.judges_twice, *batches).mean(1)
        more = torch.autograd.grad(penalty.sum(), player.learning, materialize_grads=True)
        gradients = [g + other for g, other in zip(gradients, more, strict=True)]
    on_real, on_fake = (out.detach() for out in outputs)
    return layers, {
        "discriminator_loss": (of_real.mean(1) + of_fake.mean(1)).detach(),
        "log10_discriminator_gradient": log10_norm(gradients),
        "discriminator_accuracy": game.right(on_real, on_fake),
        "saturation_real": _share(game.settled(on_real, True), on_real),
        "saturation_generated": _share(game.settled(on_fake, False), on_fake),
    }


@dataclass(frozen=True)
class PlayerPass:
    """A pass through a player that is measured: forward and, once, back."""

    outputs: Tensor  # (runs, batch, outputs), to be differentiated by
    # From the sum of the samples' losses: the layers' measures, and the gradients of the mean loss.
    back: Callable[[Tensor], tuple[Measures, list[Tensor]]]


def pass_of(player: Player, batches: list[Tensor], samples: int) -> PlayerPass:
    """What comes of the ``batches``, (runs, batch, inputs) each, in passes of their own.

    The mean loss is that over so many ``samples``.
    """
    [first, *others], net = batches, player.net
    if not others and chain.is_known(net, player.parameters, first, player.buffers, False):
        return _by_chain(player, first, samples)
    slopes = Slopes()
    passes = [player.sees(x, on_phi=slopes.see) for x in batches]
    h, a = ([list(layer) for layer in zip(*(p[n] for p in passes), strict=True)] for n in (1, 2))

    def back(total: Tensor) -> tuple[Measures, list[Tensor]]:
        seen = of_values(net, h, a, slopes)
        delta, found = gradients_of(total, h, player.learning)
        weights = of_hidden(player.parameters, player.learning, found)
        return whole(seen, of_gradients(delta, weights, samples)), [g / samples for g in found]

    return PlayerPass(torch.cat([outputs for outputs, _, _ in passes], dim=1), back)


def _by_chain(player: Player, x: Tensor, samples: int) -> PlayerPass:
    """The same where the compiled loops know the layers."""
    made = chain.Chain.of(player.net, x, limits_of_weights(samples))
    outputs = made.forward(player.parameters).requires_grad_()

    def back(total: Tensor) -> tuple[Measures, list[Tensor]]:
        [d] = torch.autograd.grad(total, [outputs])
        found, _ = made.gradients(d, player.parameters)
        return of_look(made.look, samples), [g / samples for g in flat(found)]

    return PlayerPass(outputs, back)


def log10_norm(tensors: list[Tensor]) -> Tensor:
    """log10 of each run's norm over all ``tensors`` (runs, ...); missing where all are 0."""
    values = torch.cat([t.flatten(1) for t in tensors], dim=1)
    found = statistics_on(values.device).moments([[values]], ("log10_rms",))
    return found["log10_rms"][:, 0] + np.log10(values.shape[1]) / 2


def _share(settled: Tensor, output: Tensor) -> Tensor:
    """The share of samples that are settled; missing where an output is."""
    return torch.where(output.isnan(), torch.nan, settled.to(output.dtype)).mean(1)


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
            found["modes"] = modes_covered(fake, *probe.modes)
            found["high_quality"] = high_quality_share(fake, *probe.modes)
        if probe.features:
            real = probe.reference.points[None]
            found["frechet"] = frechet(probe.features(fake), probe.features(real)[0])
    return {(name, 0.0): values.double().cpu().numpy() for name, values in found.items()}
