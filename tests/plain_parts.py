"""Every part anew, with torch.nn and torch.optim, written from the definitions and the papers.

Found by the name that its registry gives it; nothing is imported from the project.
"""

import ast
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, parametrizations, parametrize


def parsed(label):
    """``leaky_relu(slope=0.2)`` as a name and what it is given."""
    name, _, given = label.partition("(")
    call = ast.parse(f"f({given or ')'}", mode="eval").body
    return name, {k.arg: ast.literal_eval(k.value) for k in call.keywords}


def made(parts, label, *args):
    name, given = parsed(label)
    return parts[name](*args, **given)


class Elementwise(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, h):
        return self.function(h)


ACTIVATIONS = {
    "linear": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "tanh": nn.Tanh,
    "hard_tanh": nn.Hardtanh,
    "softsign": nn.Softsign,
    "arctan": lambda: Elementwise(torch.atan),
    "erf": lambda: Elementwise(torch.special.erf),
    "relu": nn.ReLU,
    "leaky_relu": lambda slope=0.01: nn.LeakyReLU(slope),
    "prelu": lambda start=0.25: nn.PReLU(init=start, dtype=torch.float64),
    "elu": lambda alpha=1.0: nn.ELU(alpha),
    "selu": nn.SELU,
    "celu": lambda alpha=1.0: nn.CELU(alpha),
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "relu6": nn.ReLU6,
    "squared_relu": lambda: Elementwise(lambda h: h * nn.functional.relu(h)),
    "shifted_tanh": lambda shift=1.0: Elementwise(lambda h: torch.tanh(h) + shift),
    "sine": lambda frequency=1.0: Elementwise(lambda h: torch.sin(frequency * h)),
}


class RootMeanSquare(nn.Module):
    """nn.RMSNorm over channels and pixels, with a gain for each channel."""

    def __init__(self, units, pixels):
        super().__init__()
        self.norm = nn.RMSNorm((units, *pixels), eps=1e-5, elementwise_affine=False)
        self.weight = nn.Parameter(torch.ones(units, *[1] * len(pixels)))

    def forward(self, z):
        return self.norm(z) * self.weight


def batch_norm(units, pixels):
    return nn.BatchNorm2d(units) if pixels else nn.BatchNorm1d(units)


def layer_norm(units, pixels):
    """Over a sample's channels and pixels, with a gain for each channel: a group norm of one."""
    return nn.GroupNorm(1, units) if pixels else nn.LayerNorm(units)


VALUE_NORMS = {
    "none": lambda units, pixels: nn.Identity(),
    "batch": batch_norm,
    "layer": layer_norm,
    "group": lambda units, pixels, groups=4: nn.GroupNorm(groups, units),
    "instance": lambda units, pixels: nn.InstanceNorm2d(units, affine=True),
    "rms": RootMeanSquare,
}


class ScaledStandardisation(nn.Module):
    """Brock, De, Smith 2021: each unit's weights at mean 0 and variance gain^2 / fan_in, and a
    fixed factor that brings the variance of phi(N(0, 1)) to 1."""

    def __init__(self, weight, activation):
        super().__init__()
        self.gain = nn.Parameter(weight.new_ones(len(weight), *[1] * (weight.dim() - 1)))
        self.factor = 1 / math.sqrt(variance_of(activation))

    def forward(self, weight):
        rows = weight.flatten(1)
        centred = rows - rows.sum(1, keepdim=True) / rows.shape[1]
        spread = centred.square().sum(1, keepdim=True)  # variance times fan_in
        unit = centred / torch.where(spread > 1e-4, spread, 1e-4).sqrt()
        return self.factor * self.gain * unit.view_as(weight)


def variance_of(activation):
    """Variance of phi(z), z ~ N(0, 1): Gauss-Legendre between whole numbers, where kinks are."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    starts = np.arange(-14, 14)[:, None]
    z = torch.from_numpy((starts + (nodes + 1) / 2).ravel())
    p = np.tile(weights / 2, len(starts)) * np.exp(-(z.numpy() ** 2) / 2) / math.sqrt(2 * math.pi)
    a = activation.double()(z).detach().numpy()
    return (p * a**2).sum() - (p * a).sum() ** 2


def standardised(layer, activation):
    part = ScaledStandardisation(layer.weight, activation)
    return parametrize.register_parametrization(layer, "weight", part)


WEIGHT_NORMS = {
    "weight": lambda layer, activation: parametrizations.weight_norm(layer),
    "spectral": lambda layer, activation: parametrizations.spectral_norm(layer),
    "standardised": standardised,
}


@dataclass
class Site:
    """Where a block's end stands: block ``number`` of ``blocks``, counted from the input."""

    number: int
    blocks: int
    units: int
    pixels: tuple
    gate: nn.Module | None


def thinned(x, f):
    """Every second pixel of x, as often as the block's convolutions stride."""
    while x.dim() > 2 and x.shape[2:] != f.shape[2:]:
        x = nn.functional.avg_pool2d(x, 1, stride=2)
    return x


class Join(nn.Module):
    """x + f, by the shortcut A of He et al. 2016: zeros for the channels that x lacks."""

    def __init__(self, site):
        super().__init__()
        self.site = site

    def forward(self, x, f, kept):
        x = thinned(x, f)
        x = nn.functional.pad(x, [0, 0] * (x.dim() - 2) + [0, f.shape[1] - x.shape[1]])
        return self.sum(x, f, kept)

    def sum(self, x, f, *_):
        return x + f


class Scaled(Join):
    def sum(self, x, f, *_):
        return x + f / math.sqrt(self.site.blocks)


class Learned(Join):
    def __init__(self, site, start, each_unit=False):
        super().__init__(site)
        shape = (site.units, *[1] * len(site.pixels)) if each_unit else (1,)
        self.factor = nn.Parameter(torch.full(shape, float(start)))

    def sum(self, x, f, *_):
        return x + self.factor * f


class Dropped(Join):
    def __init__(self, site, survival=0.5):
        super().__init__(site)
        self.chance = 1 - (1 - survival) * site.number / site.blocks

    def sum(self, x, f, kept):
        return x + (self.chance if kept is None else float(kept)) * f


class Highway(Join):
    def __init__(self, site, bias=-2.0):
        super().__init__(site)
        self.gate = site.gate
        nn.init.constant_(self.gate.bias, bias)

    def forward(self, x, f, *_):
        return super().forward(x, f, torch.sigmoid(self.gate(x)))

    def sum(self, x, f, t):
        return t * f + (1 - t) * x


class Branch(Join):
    def forward(self, _, f, *__):
        return f


class Dense(Join):
    def forward(self, x, f, *_):
        return torch.cat([thinned(x, f), f], dim=1)


RESIDUALS = {
    "none": Branch,
    "identity": Join,
    "pre_activation": Join,
    "scaled": Scaled,
    "rezero": lambda site: Learned(site, 0.0),
    "skip_init": lambda site, start=0.0: Learned(site, start),
    "layer_scale": lambda site, start=0.1: Learned(site, start, each_unit=True),
    "highway": Highway,
    "stochastic_depth": Dropped,
    "dense": Dense,
}
# Their blocks join the z's, and begin with norm and activation.
PRE_ACTIVATION = {"pre_activation", "scaled", "skip_init", "layer_scale"}


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023."""

    def __init__(self, parameters, lr, beta_1=0.9, beta_2=0.99, weight_decay=0.0):
        given = {"lr": lr, "beta_1": beta_1, "beta_2": beta_2, "decay": weight_decay}
        super().__init__(parameters, given)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = group["beta_1"] * m + (1 - group["beta_1"]) * p.grad
                p -= group["lr"] * (c.sign() + group["decay"] * p)
                self.state[p]["m"] = group["beta_2"] * m + (1 - group["beta_2"]) * p.grad


def adam(kind, **always):
    def of(parameters, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-8, **more):
        return kind(parameters, lr, (beta_1, beta_2), epsilon, **always, **more)

    return of


OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": lambda p, lr, beta=0.9: torch.optim.SGD(p, lr, beta),
    "nesterov": lambda p, lr, beta=0.9: torch.optim.SGD(p, lr, beta, nesterov=True),
    "adam": adam(torch.optim.Adam),
    "adamw": adam(torch.optim.AdamW),
    "rmsprop": lambda p, lr, alpha=0.99, epsilon=1e-8: torch.optim.RMSprop(p, lr, alpha, epsilon),
    "adagrad": lambda p, lr, epsilon=1e-10: torch.optim.Adagrad(p, lr, eps=epsilon),
    "lion": Lion,
}
CLIPS = {
    "none": lambda parameters: None,
    "norm": lambda parameters, limit: clip_grad_norm_(parameters, limit),
    "value": lambda parameters, limit: clip_grad_value_(parameters, limit),
}


def rising(steps, warmup):
    """Over how many of the first updates the rate rises linearly."""
    return round(warmup * steps)


def warm(steps, warmup=0.1):
    """The factor of update t, counted from 0."""
    return lambda t: min(1, (t + 1) / max(1, rising(steps, warmup)))


def half_cosine(steps, warmup=0.0):
    first = rising(steps, warmup)
    falling = np.cos(np.linspace(0, np.pi, steps - first + 1)) / 2 + 0.5
    return lambda t: (t + 1) / first if t < first else falling[t - first]


SCHEDULES = {
    "constant": lambda steps: lambda t: 1.0,
    "warmup": warm,
    "cosine": half_cosine,
}
