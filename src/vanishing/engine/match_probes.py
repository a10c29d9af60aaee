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

from ..parts.plane import ring_modes
from ..parts.seeds import generator_of
from .adversarial import Match, Player, discriminator_loss, on_both
from .evaluation import Scores
from .probes import Measures, Slopes, of_layers, statistics_on
from .quality import digit_features, frechet, high_quality_share, mmd2, modes_covered

SCORED = 500  # samples, generated and real, that scores compare


@dataclass(frozen=True)
class Probe:
    """What every run of a study is probed with."""

    real: Tensor  # (batch, values)
    latent: Tensor  # (batch, numbers of noise)
    mix: Tensor  # (batch): where between two samples the penalty is taken
    reference: Tensor  # (500, values): real samples, or all where there are fewer
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
            samples.inputs[order[:SCORED].to(real.device)],
            normal(SCORED, "latent_of_scores"),
            None if centres is None else (torch.from_numpy(centres), sd),
            digit_features() if kind == "digits" else None,
        )


def at_probe(match: Match, probe: Probe) -> tuple[dict[str, Measures], dict[str, Tensor]]:
    """The measures of each player's layers, and those of the game, (runs) each.

    L of a layer's measures is the loss of a sample without a penalty: the generator's on generated
    ones, through the discriminator, and the discriminator's on as many of each kind.
    """
    slopes = Slopes()
    generator, discriminator = (player.exact(slopes.see) for player in match.players.values())
    runs = len(match.lr)
    real = probe.real.expand(runs, *probe.real.shape)
    fake, h, a = generator.sees(probe.latent.expand(runs, *probe.latent.shape))
    of_generator, game = _generator(match, (generator, discriminator), fake, (h, a, slopes))
    mix = probe.mix.expand(runs, -1)
    batches = (real, fake.detach(), mix)
    layers, of_game = _discriminator(match, discriminator, batches, slopes)
    return {"generator": of_generator, "discriminator": layers}, game | of_game


def _generator(
    match: Match, players: tuple[Player, Player], fake: Tensor, values: tuple[list, list, Slopes]
) -> tuple[Measures, dict[str, Tensor]]:
    generator, discriminator = players
    losses = match.rules.game.generator(discriminator.judges(fake))
    gradients = _gradients(losses.mean(1), generator)
    layers = of_layers(generator.net, generator.parameters, values, losses.sum(), losses.shape[1])
    mean = losses.detach().mean(1)
    return layers, {"generator_loss": mean, "log10_generator_gradient": log10_norm(gradients)}


def _discriminator(
    match: Match, player: Player, batches: tuple[Tensor, Tensor, Tensor], slopes: Slopes
) -> tuple[Measures, dict[str, Tensor]]:
    game, (real, fake, _) = match.rules.game, batches
    *outputs, h, a = on_both(player, real, fake)
    losses = discriminator_loss(game, player, outputs, batches)
    gradients = _gradients(losses, player)
    of_real, of_fake = game.discriminator(*outputs)
    # Over one batch's size, so that the layers' gradient is that of the sum of the two means.
    total = of_real.sum() + of_fake.sum()
    layers = of_layers(player.net, player.parameters, (h, a, slopes), total, real.shape[1])
    on_real, on_fake = (out.detach() for out in outputs)
    return layers, {
        "discriminator_loss": (of_real.mean(1) + of_fake.mean(1)).detach(),
        "log10_discriminator_gradient": log10_norm(gradients),
        "discriminator_accuracy": game.right(on_real, on_fake),
        "saturation_real": _share(game.settled(on_real, True), on_real),
        "saturation_generated": _share(game.settled(on_fake, False), on_fake),
    }


def _gradients(losses: Tensor, player: Player) -> list[Tensor]:
    """Those of each run's own loss (runs); the graph stays, to be gone back through once more."""
    return list(torch.autograd.grad(losses.sum(), player.learning, retain_graph=True))


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
        fake, _, _ = match.generator.sees(latent.expand(len(match.lr), *latent.shape))
        found = {"mmd": mmd2(fake, probe.reference)}
        if probe.modes:
            found["modes"] = modes_covered(fake, *probe.modes)
            found["high_quality"] = high_quality_share(fake, *probe.modes)
        if probe.features:
            found["frechet"] = frechet(
                probe.features(fake), probe.features(probe.reference[None])[0]
            )
    return {(name, 0.0): values.double().cpu().numpy() for name, values in found.items()}
