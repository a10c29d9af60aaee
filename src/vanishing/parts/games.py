"""What a discriminator and a generator play against each other for.

A discriminator puts out one number a sample, high for what it holds for real: the logit of a
probability in some games, a score without a unit in the others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import within
from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")

SETTLED = 0.1  # of the slope where the discriminator is undecided, as saturation of a unit is told


@dataclass(frozen=True)
class Game:
    """``discriminator(real, fake)`` and ``generator(fake)``: the losses that each makes small.

    ``real`` and ``fake`` are what the discriminator puts out on real and on generated samples,
    (runs, batch); the losses are those of single samples, (runs, batch), and a sample's loss rests
    on its own output alone. In nats where the output is the logit of a ``probability``.
    """

    discriminator: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    generator: Callable[[Tensor], Tensor]
    source: str
    formula: str = ""
    probability: bool = False  # the output is the logit of the probability to be real
    threshold: float | None = 0.0  # above it a sample is taken for real; None: scores are relative
    clip: float | None = None  # discriminator's weights go into [-clip, clip] after its update
    penalty: float = 0.0  # what multiplies :func:`gradient_penalty` in the discriminator's loss

    def slopes(self, output_real: Tensor, output_fake: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        r"""The discriminator's losses of each kind, and their :math:`\partial L_D / \partial D`."""
        return slopes_of(self.discriminator, (output_real, output_fake))

    def settled(self, slope_real: Tensor, slope_fake: Tensor) -> tuple[Tensor, Tensor]:
        r"""On which samples of each kind the discriminator is saturated: true or false.

        Where :math:`|\partial L_D / \partial D|`, the slopes that are given, is at most .1 of its
        value at the ``threshold``, and at 0 where there is none. The threshold is 0 but in least
        squares, .5: there 0 is the target of generated samples, and has no slope to compare with. A
        critic never settles.
        """
        of_real, of_fake = _undecided(self)
        return slope_real.abs() <= SETTLED * of_real, slope_fake.abs() <= SETTLED * of_fake

    def right(self, output_real: Tensor, output_fake: Tensor) -> Tensor:
        """The share that the discriminator tells right, (runs): the mean of that of each kind.

        The threshold of a critic is the midpoint between its mean outputs on the two kinds, for
        each run. An output at the threshold counts half. Missing where an output is.
        """
        if self.threshold is None:
            threshold = (output_real.mean(1) + output_fake.mean(1))[:, None] / 2
        else:
            threshold = self.threshold
        shares = _above(output_real - threshold), _above(threshold - output_fake)
        return (shares[0] + shares[1]) / 2


@functools.lru_cache
def _undecided(game: Game) -> tuple[float, float]:
    """The sizes of both slopes at a game's threshold."""
    start = torch.full((1, 1), game.threshold or 0.0, dtype=torch.float64)
    _, (of_real, of_fake) = game.slopes(start, start)
    return abs(float(of_real)), abs(float(of_fake))


def _above(margin: Tensor) -> Tensor:
    """The share of a run's margins above 0, (runs); a margin of 0 counts half."""
    counts = (1 + margin.sign()) / 2
    return torch.where(margin.isnan(), torch.nan, counts).mean(1)


def slopes_of(
    losses_of: Callable[..., tuple[Tensor, ...]], outputs: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], ...]:
    """Losses of single samples, (runs, batch) each, and what their sum loses by ``outputs``."""
    at = [output.detach().requires_grad_() for output in outputs]
    with torch.enable_grad():
        losses = losses_of(*at)
        total = sum(loss.sum() for loss in losses)
        slopes = torch.autograd.grad(total, at, materialize_grads=True)
    return tuple(loss.detach() for loss in losses), slopes


GAMES: Registry[Game] = Registry("game", Game)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor
) -> Tensor:
    r"""How far the critic's slope is from 1 between real and generated samples, (runs, batch).

    :math:`(\|\nabla_{\hat x} D(\hat x)\|_2 - 1)^2` at :math:`\hat x = u x + (1 - u) G(z)`
    (Gulrajani et al. 2017, eq. 3), to be differentiated by the critic's parameters; the generator
    gets no gradient from it. ``critic`` takes (runs, batch, inputs) to (runs, batch) and must not
    mix samples, as batch norm would; ``mix`` is u, (runs, batch), drawn uniformly from [0, 1].
    """
    u = mix[..., None]
    between = (u * real + (1 - u) * fake).detach().requires_grad_()
    [slope] = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    # The square of a slope that has vanished would be 0 in float32, and so would its gradient.
    largest = slope.detach().abs().amax(-1, keepdim=True)
    scale = torch.where(largest > 0, largest, 1.0)
    norm = scale[..., 0] * torch.linalg.vector_norm(slope / scale, dim=-1)
    return (norm - 1).square()


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)); torch's softplus is x above 20, and its slope 1, which float64 tells off."""
    return -torch.nn.functional.logsigmoid(-x)


def _cross_entropies(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return _softplus(-real), _softplus(fake)


def _squares(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return (real - 1).square() / 2, fake.square() / 2


def _hinges(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return torch.relu(1 - real), torch.relu(1 + fake)


def _scores(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return -real, fake


def _minus(fake: Tensor) -> Tensor:
    return -fake


def wgan(clip: float = 0.01) -> Game:
    """A critic whose weights are clipped into [-clip, clip], so that its slope is bounded."""
    within("game 'wgan': clip", clip, 0, float("inf"), open_low=True)
    return Game(
        _scores,
        _minus,
        "Arjovsky, Chintala, Bottou 2017",
        "D: −D(x) + D(G(z)), |w| ≤ clip; G: −D(G(z))",
        threshold=None,
        clip=clip,
    )


def wgan_gp(penalty: float = 10.0) -> Game:
    """A critic whose slope is drawn to 1 by a penalty of this weight."""
    within("game 'wgan_gp': penalty", penalty, 0, float("inf"), open_low=True)
    return Game(
        _scores,
        _minus,
        "Gulrajani et al. 2017",
        "D: −D(x) + D(G(z)) + penalty · (‖∇D(x̂)‖ − 1)²; G: −D(G(z))",
        threshold=None,
        penalty=penalty,
    )


GAMES.add(
    "saturating",
    Game(
        _cross_entropies,
        lambda fake: -_softplus(fake),
        "Goodfellow et al. 2014",
        "D: −log σ(D(x)) − log(1 − σ(D(G(z)))); G: log(1 − σ(D(G(z))))",
        probability=True,
    ),
)
GAMES.add(
    "non_saturating",
    Game(
        _cross_entropies,
        lambda fake: _softplus(-fake),
        "Goodfellow et al. 2014",
        "D: −log σ(D(x)) − log(1 − σ(D(G(z)))); G: −log σ(D(G(z)))",
        probability=True,
    ),
)
GAMES.add(
    "least_squares",
    Game(
        _squares,
        lambda fake: (fake - 1).square() / 2,
        "Mao et al. 2017",
        "D: ½(D(x) − 1)² + ½D(G(z))²; G: ½(D(G(z)) − 1)²",
        threshold=0.5,
    ),
)
GAMES.add(
    "hinge",
    Game(
        _hinges,
        _minus,
        "Lim, Ye 2017; Miyato et al. 2018",
        "D: max(0, 1 − D(x)) + max(0, 1 + D(G(z))); G: −D(G(z))",
    ),
)
GAMES.add("wgan", wgan)
GAMES.add("wgan_gp", wgan_gp)
