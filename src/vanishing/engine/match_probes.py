"""What is measured of a GAN at a probe step: of each player, of the game, of what is generated.

All but the scores in float64, on one batch of real samples and one of noise, the same for all runs
and steps; without instance noise, and with the batches' own statistics in a batch norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..parts.games import Game, gradient_penalty
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
from .quality import Real, digit_features, frechet, mmd2, modes_and_quality

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


def at_probe(match: Match, probe: Probe) -> tuple[dict[str, Measures], dict[str, Tensor]]:
    """The measures of each player's layers, and those of the game, (runs) each.

    L of a layer's measures is the loss of a sample without a penalty: the generator's on generated
    ones, through the discriminator, and the discriminator's on as many of each kind.
    """
    (generator, discriminator), runs = match.players.values(), len(match.lr)
    real, latent = (x.expand(runs, *x.shape) for x in (probe.real, probe.latent))
    made = pass_of(generator, [latent], len(probe.latent))
    batches = real, made.outputs, probe.mix.expand(runs, -1)
    layers, game, lost = _discriminator(match, discriminator, batches)
    of_generator, of_game = _generator(match, made, lost)
    return {"generator": of_generator, "discriminator": layers}, of_game | game


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
    on_real, on_fake = (out.clone().requires_grad_() for out in outputs)
    of_real, of_fake = game.discriminator(on_real, on_fake)
    total = of_real.sum() + of_fake.sum()
    d = torch.autograd.grad(total, [on_real, on_fake], materialize_grads=True)
    back = made.back(torch.cat(d, dim=1)[..., None], bool(game.penalty))
    if game.penalty:
        exact = player.exact()
        penalty = game.penalty * gradient_penalty(exact.judges_twice, *batches)
        more = torch.autograd.grad(penalty.sum(), exact.learning, materialize_grads=True)
        pairs = zip(back.gradients, more, strict=True)
        back = replace(back, gradients=[g + other for g, other in pairs])
    d_fake = None if back.d_x is None else back.d_x[:, samples:]
    lost = lost_by_samples(game, player, fake, (outputs[1], d[1], d_fake))
    on_real, on_fake = outputs
    found = {
        "discriminator_loss": (of_real.mean(1) + of_fake.mean(1)).detach(),
        "log10_discriminator_gradient": log10_norm(player, back, samples),
        "discriminator_accuracy": game.right(on_real, on_fake),
        "saturation_real": _share(game.settled(on_real, True), on_real),
        "saturation_generated": _share(game.settled(on_fake, False), on_fake),
    }
    return back.layers, found, lost


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


@dataclass(frozen=True)
class PlayerPass:
    """A pass through a player that is measured: forward and, once, back."""

    outputs: Tensor  # (runs, batch, outputs)
    # From what the sum of the samples' losses loses by the outputs; whether gradients of hidden
    # weights are asked for, of which the layers' measures tell the size.
    back: Callable[[Tensor, bool], Back]


@dataclass(frozen=True)
class Back:
    """What the way back tells."""

    layers: Measures
    gradients: list[Tensor]  # of that sum, by all that learns, hidden weights where asked for
    d_x: Tensor | None = None  # what is lost by the samples, where that is known


def read_at(player: Player, x: Tensor) -> Player:
    """A player that sees ``x`` in float64: itself, where the compiled loops read it as it is."""
    known = chain.is_known(player.net, player.parameters, x, player.buffers, False)
    return player if known else player.exact()


def pass_of(player: Player, batches: list[Tensor], samples: int) -> PlayerPass:
    """What comes of the ``batches``, (runs, batch, inputs) each, in passes of their own.

    The mean loss is that over so many ``samples``.
    """
    [first, *others], net = batches, player.net
    exact = player.exact() if others else read_at(player, first)
    if exact is player:
        return _by_chain(player, first, samples)
    slopes = Slopes()
    passes = [exact.sees(x, on_phi=slopes.see) for x in batches]
    outputs = torch.cat([made for made, _, _ in passes], dim=1)
    h, a = ([list(layer) for layer in zip(*(p[n] for p in passes), strict=True)] for n in (1, 2))

    def back(d: Tensor, hidden: bool) -> Back:
        seen = of_values(net, h, a, slopes)
        delta, found = gradients_of((outputs * d).sum(), h, exact.learning)
        weights = of_hidden(exact.parameters, exact.learning, found)
        told = set() if hidden else set(map(id, weights))
        asked = [g for g in found if id(g) not in told]
        return Back(whole(seen, of_gradients(delta, weights, samples)), asked)

    return PlayerPass(outputs.detach(), back)


def _by_chain(player: Player, x: Tensor, samples: int) -> PlayerPass:
    """The same where the compiled loops know the layers."""
    made = chain.Chain.of(player.net, x, limits_of_weights(samples))

    def back(d: Tensor, hidden: bool) -> Back:
        found, d_x = made.gradients(d, player.parameters, with_x=True, hidden=hidden)
        asked = [g for g in flat(found) if g is not None]
        return Back(of_look(made.look, samples), asked, d_x)

    return PlayerPass(made.forward(player.parameters), back)


def log10_norm(player: Player, back: Back, samples: int) -> Tensor:
    """log10 of the norm (runs) of all gradients of the mean loss; missing where all are 0."""
    values = torch.cat([g.flatten(1) for g in back.gradients], dim=1)
    found = statistics_on(values.device).moments([[values]], ("log10_rms", "zero"))
    rms, zero, sizes = found["log10_rms"] - math.log10(samples), found["zero"], [values.shape[1]]
    if len(back.gradients) < len(player.learning):
        rms = torch.cat([rms, back.layers["log10_grad_rms"]], dim=1)
        zero = torch.cat([zero, back.layers["grad_zero_fraction"]], dim=1)
        sizes += [w.shape[1:].numel() for w in player.parameters["W"][:-1]]
    squares = 2 * rms + torch.tensor(sizes).to(rms).log10()  # log10 of sums of squares
    squares = torch.where(zero == 1, -torch.inf, squares)
    top = squares.amax(1, keepdim=True)
    return (top + (10 ** (squares - top)).sum(1, keepdim=True).log10())[:, 0] / 2


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
            found["modes"], found["high_quality"] = modes_and_quality(fake, *probe.modes)
        if probe.features:
            real = probe.reference.points[None]
            found["frechet"] = frechet(probe.features(fake), probe.features(real)[0])
    return {(name, 0.0): values.double().cpu().numpy() for name, values in found.items()}
