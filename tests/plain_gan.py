"""A GAN's players and updates in plain torch.nn and torch.optim, to hold the engine against.

One run; of the engine nothing is read but the numbers that it drew. Losses, penalty and order of
the updates are written from the papers.
"""

from dataclasses import dataclass

import torch
from torch import nn

from . import plain_parts as parts

SOFT = nn.functional.softplus
# On D(x) and D(G(z)): what the discriminator, and on D(G(z)) what the generator makes small.
LOSSES = {
    "saturating": (lambda r, f: (SOFT(-r), SOFT(f)), lambda f: -SOFT(f)),
    "non_saturating": (lambda r, f: (SOFT(-r), SOFT(f)), lambda f: SOFT(-f)),
    "least_squares": (lambda r, f: ((r - 1) ** 2 / 2, f**2 / 2), lambda f: (f - 1) ** 2 / 2),
    "hinge": (
        lambda r, f: (nn.functional.relu(1 - r), nn.functional.relu(1 + f)),
        lambda f: -f,
    ),
    "wgan": (lambda r, f: (-r, f), lambda f: -f),
    "wgan_gp": (lambda r, f: (-r, f), lambda f: -f),
}
PENALTY = {"wgan_gp": 10.0}
CLIP = {"wgan": 0.01}


def settings(label):
    """A game's losses, clip and penalty, of ``wgan(clip=0.1)``."""
    name, given = parts.parsed(label)
    return LOSSES[name], given.get("clip", CLIP.get(name)), given.get("penalty", PENALTY.get(name))


class Player(nn.Module):
    """A player of a cohort's ``graph`` with the weights of one run of the engine's ``drawn``."""

    def __init__(self, graph, player, image, drawn, run):
        super().__init__()
        self.norm, self.generates = graph["norm"], player == "generator"
        if graph["normed"] not in ("both", player):
            self.norm = "none"
        self.image, depth = image if graph["players"] == "cnn" else None, graph["depth"]
        stages = graph.get("stages", 1)
        self.stage = [n * stages // depth for n in range(depth)]
        self.layers = nn.ModuleList()
        for n, (w, b) in enumerate(zip(drawn["W"], drawn["b"], strict=True)):
            head = n == depth
            starts = 0 < n < depth and self.stage[n] > self.stage[n - 1]
            plain = not self.image or (head and not self.generates)
            stride = 2 if starts and not self.generates else 1
            self.layers.append(_layer(w[run], b[run], plain, stride, graph["padding"]))
        units = [w.shape[2] for w in drawn["W"][:-1]]
        pixels = (1, 1) if self.image else ()
        self.norms = nn.ModuleList(
            parts.made(parts.VALUE_NORMS, self.norm, u, pixels)
            if self.norm != "spectral"
            else nn.Identity()
            for u in units
        )
        if self.norm == "spectral":
            for layer in self.layers[:-1]:
                nn.utils.parametrizations.spectral_norm(layer)
        self.phis = nn.ModuleList(parts.made(parts.ACTIVATIONS, graph["activation"]) for _ in units)
        self.double()

    def forward(self, x):
        """Outputs (batch, numbers); h of every layer is kept in ``self.h``."""
        self.h = []
        if self.image:
            small = 2 ** self.stage[-1] if self.generates else 1
            x = x.view(len(x), -1, *(side // small for side in self.image[1:]))
        for n, (layer, norm, phi) in enumerate(
            zip(self.layers[:-1], self.norms, self.phis, strict=True)
        ):
            if self.generates and self.image and n and self.stage[n] > self.stage[n - 1]:
                x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            h = norm(layer(x))
            if h.requires_grad:
                h.retain_grad()
            self.h.append(h)
            x = phi(h)
        if self.image and not self.generates:
            x = x.mean((2, 3))
        return self.layers[-1](x).flatten(1)

    def start_power(self, top):
        """Take over the engine's singular vectors; v is of the weights as they are."""
        for layer, u in zip(self.layers[:-1], top, strict=True):
            layer.parametrizations.weight[0]._u.data.copy_(u.flatten())

    def renew_v(self):
        """Miyato et al. 2018 keep u alone, and take v from the weights as they are."""
        for layer in self.layers[:-1] if self.norm == "spectral" else ():
            part = layer.parametrizations.weight
            flat = part.original.detach().flatten(1)
            part[0]._v.data.copy_(nn.functional.normalize(flat.T @ part[0]._u, dim=0))

    def iterate(self):
        """One step of the power method, on the weights as they are."""
        for layer in self.layers[:-1] if self.norm == "spectral" else ():
            part = layer.parametrizations.weight
            flat = part.original.detach().flatten(1)
            v = nn.functional.normalize(flat.T @ part[0]._u, dim=0)
            part[0]._u.data.copy_(nn.functional.normalize(flat @ v, dim=0))
        return self.held()

    def held(self):
        """No pass of torch's own moves the vectors on; v follows the weights."""
        self.renew_v()
        for layer in self.layers[:-1] if self.norm == "spectral" else ():
            layer.parametrizations.weight[0].eval()
        return self

    def learned(self):
        """All parameters in the engine's order: weights, biases, gains and biases of norms."""
        spectral = nn.utils.parametrize.is_parametrized
        weights = [
            layer.parametrizations.weight.original if spectral(layer) else layer.weight
            for layer in self.layers
        ]
        affine = [norm for norm in self.norms if not isinstance(norm, nn.Identity)]
        return [
            *weights,
            *(layer.bias for layer in self.layers),
            *(norm.weight for norm in affine),
            *(norm.bias for norm in affine),
        ]


def _layer(w, b, plain, stride, padding):
    if plain:
        layer = nn.Linear(w.shape[0], w.shape[1])
    else:
        mode = {"zero": "zeros", "circular": "circular"}[padding]
        layer = nn.Conv2d(w.shape[0] // 9, w.shape[1], 3, stride, 1, padding_mode=mode)
    layer.weight.data = w.detach().T.reshape(layer.weight.shape).clone()
    layer.bias.data = b.detach().flatten().clone()
    return layer


@dataclass
class Batch:
    """All that chance gives an update of a run: samples, noise, instance noise, the penalty's u."""

    real: torch.Tensor | None
    latent: torch.Tensor
    on_real: torch.Tensor | float = 0.0
    on_fake: torch.Tensor | float = 0.0
    mix: torch.Tensor | None = None


class Game:
    """Both players with their optimizers; each update gives its loss and leaves its gradients."""

    def __init__(self, graph, generator, discriminator, lr):
        self.graph, self.generator, self.discriminator = graph, generator, discriminator
        (self.of_d, self.of_g), self.clip, self.penalty = settings(graph["game"])
        self.optimizers = [
            parts.made(parts.OPTIMIZERS, graph["optimizer"], player.parameters(), lr)
            for player in (generator, discriminator)
        ]

    def loss_of_discriminator(self, real, fake, mix):
        """Mean loss on real samples, plus that on generated ones, plus the penalty's."""
        on_real, on_fake = self.of_d(self.discriminator(real)[:, 0], self.discriminator(fake)[:, 0])
        loss = on_real.mean() + on_fake.mean()
        if not self.penalty:
            return loss
        between = (mix[:, None] * real + (1 - mix[:, None]) * fake).requires_grad_()
        [slope] = torch.autograd.grad(self.discriminator(between).sum(), between, create_graph=True)
        return loss + self.penalty * ((slope.norm(dim=1) - 1) ** 2).mean()

    def update_discriminator(self, batch):
        fake = self.generator.held()(batch.latent).detach() + batch.on_fake
        self.discriminator.iterate()
        loss = self.loss_of_discriminator(batch.real + batch.on_real, fake, batch.mix)
        self._step(1, loss)
        if self.clip:
            for parameter in self.discriminator.parameters():
                parameter.data.clamp_(-self.clip, self.clip)
        return loss.item()

    def update_generator(self, batch):
        self.generator.iterate()
        self.discriminator.held()
        fake = self.generator(batch.latent)
        loss = self.of_g(self.discriminator(fake + batch.on_fake)[:, 0]).mean()
        self._step(0, loss)
        return loss.item()

    def _step(self, which, loss):
        player = (self.generator, self.discriminator)[which]
        player.zero_grad()
        loss.backward(inputs=list(player.parameters()))
        parts.made(parts.CLIPS, self.graph["clip"], player.parameters())
        self.optimizers[which].step()
