"""Rules that draw the initial weights, each stating mean, spread and law of what it draws.

A weight is a matrix (fan_in, units): a layer maps ``a`` to ``a @ W + b``. A convolution's fan_in
counts channel by channel the pixels of the kernel, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserError, whole, within
from ..lazy import Lazy
from . import spreads
from .architecture import Place
from .laws import (
    Law,
    beside_the_past,
    delta_orthogonal,
    identity,
    normal,
    orthogonal,
    sparse,
    uniform,
)  # fmt: skip
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor
else:
    torch = Lazy("torch")


@dataclass(frozen=True)
class Init:
    """Weights and biases of a layer: ``law`` says how they are spread, the two stds how widely.

    An entry is weight_mean + weight_std times an entry of mean square 1 of the law.
    """

    weight_std: Callable[[Place], float]
    source: str
    bias_std: Callable[[Place], float] = spreads.zero
    law: Law = normal
    weight_mean: Callable[[Place], float] = spreads.zero
    formula: str = ""
    unit_variance: bool = False  # scaled after the draw so that z has variance 1 on real samples
    families: tuple[str, ...] = ("mlp", "cnn", "rnn")
    may_be_zero: bool = False  # all weights of a unit may be 0
    needs_block: int = 0  # blocks of at least so many layers that add to z; 0: any net
    needs_layer: int = 0  # the net must have a layer of this number, its head counted; 0: any net
    centred: bool = False  # biases take away what phi(0) adds to z

    def draw(self, place: Place, generator: Generator) -> tuple[Tensor, Tensor]:
        """A weight (fan_in, units) and a bias (1, units), in float32.

        The bias is drawn even where its std is 0, so that arms with one seed share all draws.
        """
        weight = self.weight_std(place) * self.law.draw(place, generator) + self.weight_mean(place)
        bias_law = uniform if self.law is uniform else normal
        bias = self.bias_std(place) * bias_law.draw(Place(1, place.units), generator)
        if self.centred and place.layer > 1:  # the input of layer 1 is no activation
            at_0 = place.activation.phi(torch.zeros((), dtype=torch.float64))
            bias = bias - at_0 * weight.double().sum(0, keepdim=True)
        return weight.float(), bias.float()


INITS: Registry[Init] = Registry("init", Init)


def _spread(sigma_w: float, sigma_b: float, law: Law, formula: str, source: str) -> Init:
    within("sigma_w", sigma_w, 0, math.inf, open_low=True)
    within("sigma_b", sigma_b, 0, math.inf)
    return Init(
        lambda place: sigma_w / math.sqrt(place.fan_in),
        source,
        lambda place: sigma_b,
        law,
        formula=formula,
    )


def gaussian(sigma_w: float, sigma_b: float = 0.0) -> Init:
    """W ~ N(0, sigma_w^2 / fan_in), b ~ N(0, sigma_b^2)."""
    formula = "W ~ N(0, sigma_w² / fan_in), b ~ N(0, sigma_b²)"
    return _spread(sigma_w, sigma_b, normal, formula, "Poole et al. 2016")


def uniform_init(sigma_w: float, sigma_b: float = 0.0) -> Init:
    """W ~ U(-c, c) with c^2 = 3 sigma_w^2 / fan_in, b ~ U(-d, d) with d^2 = 3 sigma_b^2."""
    formula = "W ~ U(−c, c), c² = 3 sigma_w² / fan_in; b ~ U(−d, d), d² = 3 sigma_b²"
    return _spread(sigma_w, sigma_b, uniform, formula, "LeCun et al. 1998")


def preset(sigma_w: float) -> Init:
    """A gaussian init with a name of its own."""
    formula = f"W ~ N(0, {sigma_w:g}² / fan_in), b = 0"
    return _spread(sigma_w, 0.0, normal, formula, "Poole et al. 2016")


def orthogonal_init(gain: float = 1.0) -> Init:
    """W = gain Q with orthonormal rows or columns: for a square W, sigma_w = gain."""
    within("init 'orthogonal': gain", gain, 0, math.inf, open_low=True)
    return Init(
        lambda place: gain / math.sqrt(max(place.fan_in, place.units)),
        "Saxe, McClelland, Ganguli 2014",
        law=orthogonal,
        formula="W = gain Q, QᵀQ = 1 or QQᵀ = 1",
    )


def delta_orthogonal_init(gain: float = 1.0) -> Init:
    """W = gain Q at the centre of the kernel and 0 around it: every pixel apart is an isometry."""
    within("init 'delta_orthogonal': gain", gain, 0, math.inf, open_low=True)
    return Init(
        lambda place: gain * spreads.centre_rms(place),
        "Xiao et al. 2018",
        law=delta_orthogonal,
        formula="W = gain Q at the kernel's centre, else 0",
        families=("cnn",),
    )


def identity_init(gain: float = 1.0, sd: float = 0.001) -> Init:
    """W = gain at equal indices of input and output (at the kernel's centre), else 0.

    In a recurrent net this is the weight that acts on the past; the others are N(0, sd^2).
    """
    within("init 'identity': gain", gain, 0, math.inf, open_low=True)
    within("init 'identity': sd", sd, 0, math.inf, open_low=True)
    return Init(
        lambda place: sd if beside_the_past(place) else gain * spreads.centre_rms(place),
        "Le, Jaitly, Hinton 2015",
        law=identity,
        formula="W = gain · 1; in a recurrent net U is, and W, head ~ N(0, sd²)",
        may_be_zero=True,  # where there are more units than inputs
    )


def sparse_init(connections: float = 15, sigma: float = 1.0) -> Init:
    """Each unit has ``connections`` inputs at random, with weights N(0, sigma^2), and no others."""
    whole("init 'sparse': connections", connections, 1)
    return Init(
        lambda place: sigma * math.sqrt(min(connections, place.fan_in) / place.fan_in),
        "Martens 2010",
        law=sparse(int(connections)),
        formula="N(0, sigma²) for so many inputs of a unit, else 0",
    )


def one_layer(layer: int, factor: float = 1.0, sigma_w: float = math.sqrt(2)) -> Init:
    """W ~ N(0, sigma_w^2 / fan_in), times ``factor`` in one layer (depth + 1 is the head).

    All error signals behind that layer are products with its weights, and scale with them.
    """
    whole("init 'one_layer': layer", layer, 1)
    within("init 'one_layer': factor", factor, 0, math.inf, open_low=True)
    within("init 'one_layer': sigma_w", sigma_w, 0, math.inf, open_low=True)
    return Init(
        spreads.apart(int(layer), factor, spreads.fan_in(sigma_w**2)),
        "Hochreiter 1991",
        formula="W ~ N(0, sigma_w² / fan_in), in one layer times factor; b = 0",
        needs_layer=int(layer),
    )


def centred(sigma_w: float = 1.0) -> Init:
    """W ~ N(0, sigma_w^2 / fan_in), and biases that take away what phi(0) adds to z."""
    within("init 'centred': sigma_w", sigma_w, 0, math.inf, open_low=True)
    formula = "W ~ N(0, sigma_w² / fan_in); b_j = −phi(0) Σ_i W_ij behind an activation"
    spread = spreads.fan_in(sigma_w**2)
    return Init(spread, "LeCun et al. 1998", formula=formula, centred=True, families=("mlp",))


def constant(value: float = 0.01) -> Init:
    """Every weight alike: all units of a layer stay the same (symmetry)."""
    if not value:
        raise UserError("init 'constant': value must not be 0: give the init zeros instead.")
    return Init(
        spreads.zero,
        "Rumelhart et al. 1986",
        weight_mean=lambda place: value,
        formula="W = value, b = 0",
    )


INITS.add(
    "zeros",
    Init(spreads.zero, "Rumelhart et al. 1986", formula="W = 0, b = 0", may_be_zero=True),
)
INITS.add("constant", constant)


INITS.add(
    "torch_default",
    Init(
        spreads.torch_default, "LeCun et al. 1998, as in torch.nn", spreads.torch_default, uniform,
        formula="W, b ~ U(−1, 1) / √fan_in; in a recurrent net over the root of its units",
    ),
)  # fmt: skip
INITS.add(
    "lecun", Init(spreads.fan_in(1), "LeCun et al. 1998", formula="W ~ N(0, 1 / fan_in), b = 0")
)
INITS.add(
    "xavier",
    Init(spreads.xavier, "Glorot, Bengio 2010", formula="W ~ N(0, 2 / (fan_in + fan_out)), b = 0"),
)
INITS.add(
    "xavier_uniform",
    Init(
        spreads.xavier, "Glorot, Bengio 2010", law=uniform,
        formula="W ~ U(−c, c), c² = 6 / (fan_in + fan_out), b = 0",
    ),
)  # fmt: skip
INITS.add("he", Init(spreads.fan_in(2), "He et al. 2015", formula="W ~ N(0, 2 / fan_in), b = 0"))
INITS.add(
    "he_uniform",
    Init(
        spreads.fan_in(2), "He et al. 2015", law=uniform,
        formula="W ~ U(−c, c), c² = 6 / fan_in, b = 0",
    ),
)  # fmt: skip
INITS.add(
    "he_fan_out", Init(spreads.fan_out(2), "He et al. 2015", formula="W ~ N(0, 2 / fan_out), b = 0")
)  # fmt: skip
INITS.add(
    "he_fan_out_uniform",
    Init(
        spreads.fan_out(2), "He et al. 2015", law=uniform,
        formula="W ~ U(−c, c), c² = 6 / fan_out, b = 0",
    ),
)  # fmt: skip
INITS.add("orthogonal", orthogonal_init)
INITS.add("delta_orthogonal", delta_orthogonal_init)
INITS.add("identity", identity_init)
INITS.add("gaussian", gaussian)
INITS.add("uniform", uniform_init)
INITS.add("too_small", preset(0.25))
INITS.add("too_large", preset(4.0))
INITS.add("sparse", sparse_init)
INITS.add(
    "lsuv",
    Init(
        lambda place: 1 / math.sqrt(max(place.fan_in, place.units)), "Mishkin, Matas 2016",
        law=orthogonal, unit_variance=True, families=("mlp", "cnn"),
        formula="W = Q / sd(a Q) over real samples, layer by layer; b = 0",
    ),
)  # fmt: skip
INITS.add(
    "critical",
    Init(
        spreads.critical, "Schoenholz et al. 2017",
        formula="W ~ N(0, sigma_w² / fan_in) with chi_1(sigma_w) = 1 at q*, b = 0",
    ),
)  # fmt: skip
INITS.add(
    "fixup",
    Init(
        spreads.fixup, "Zhang, Dauphin, Ma 2019", needs_block=2, may_be_zero=True,
        families=("mlp", "cnn"),
        formula="he · B^(−1 / (2m − 2)) in B branches of m layers; 0 at their ends and in the head",
    ),
)  # fmt: skip
INITS.add("one_layer", one_layer)
INITS.add("centred", centred)
INITS.add(
    "centred_xavier",
    Init(
        spreads.xavier, "Glorot, Bengio 2010, LeCun et al. 1998", centred=True, families=("mlp",),
        formula="W as xavier; b_j = −phi(0) Σ_i W_ij behind an activation",
    ),
)  # fmt: skip
