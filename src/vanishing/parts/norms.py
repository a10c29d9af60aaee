"""Normalisation: of what a layer puts out, or of its weights.

All tensors carry the run axis in front: a layer's values are (runs, batch, units), in a CNN
(runs, batch, channels, height, width), weights (runs, fan_in, units), gains and biases
(runs, 1, units).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import whole
from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .activations import Activation
else:
    torch = Lazy("torch")

EPSILON = 1e-5  # added to every variance, as torch.nn does
MOMENTUM = 0.1  # of the running statistics that batch norm evaluates with
LEAST_VARIANCE = 1e-4  # of weights times fan_in, under which standardisation stops enlarging
FEEDFORWARD = ("mlp", "cnn")
FIRST_ITERATIONS = 50  # of the power method, on the drawn weights

Running = tuple["Tensor", "Tensor"]  # mean and variance, each (runs, 1, units)


def _unchanged(
    z: Tensor,
    running: Running | None = None,  # noqa: ARG001
    learning: bool = True,  # noqa: ARG001
) -> Tensor:
    return z


@dataclass(frozen=True)
class Norm:
    """``apply(z, running, learning)`` normalises values, ``weigh`` the weights that made them.

    A layer gives gain * apply(z) + bias, with the ``affine`` of the two that there are, 1 and 0 at
    init. Where ``running`` is given, batch statistics are folded into it while ``learning``, and it
    stands in for them where not. ``weigh(W, gain, activation, top)`` gives the weights that a layer
    uses in the place of W; its gain starts at ``first_gain(W)``.
    """

    apply: Callable[[Tensor, Running | None, bool], Tensor]
    source: str
    formula: str = ""
    affine: tuple[str, ...] = ("gain", "bias")  # what there is to learn
    running: bool = False  # keeps running statistics
    mixes_samples: bool = False  # a sample's values depend on the others of its batch
    weigh: Callable[[Tensor, Tensor | None, Activation, Tensor | None], Tensor] | None = None
    first_gain: Callable[[Tensor], Tensor] | None = None
    iterates: bool = False  # ``top`` is needed, the weights' estimated first singular vectors
    needs_weights: bool = False  # divides by the size of a unit's weights
    groups: int = 0  # the units must be a multiple of it
    families: tuple[str, ...] = FEEDFORWARD


NORMS: Registry[Norm] = Registry("norm", Norm)


def batch_norm(z: Tensor, running: Running | None = None, learning: bool = True) -> Tensor:
    """(z - mean) / sqrt(variance + eps), over the batch (and pixels), for each run and unit."""
    runs, batch, units, *space = z.shape
    # A run's unit is a channel: one call of the fused kernel serves the whole stack.
    channels = z.transpose(0, 1).reshape(batch, runs * units, *space)
    mean, variance = (t.view(-1) for t in running) if running else (None, None)
    h = torch.nn.functional.batch_norm(
        channels,
        mean,
        variance,
        training=learning or running is None,
        momentum=MOMENTUM,
        eps=EPSILON,
    )
    return h.view(batch, runs, units, *space).transpose(0, 1)


def layer_norm(z: Tensor, running: None = None, learning: bool = True) -> Tensor:  # noqa: ARG001
    """(z - mean) / sqrt(variance + eps), over the units (and pixels), for each sample apart."""
    return torch.nn.functional.layer_norm(z, z.shape[2:], eps=EPSILON)


def rms_norm(z: Tensor, running: None = None, learning: bool = True) -> Tensor:  # noqa: ARG001
    """z / sqrt(mean of z^2 + eps), over the units (and pixels), for each sample apart."""
    return torch.nn.functional.rms_norm(z, z.shape[2:], eps=EPSILON)


def _grouped(z: Tensor, groups: int) -> Tensor:
    samples = z.flatten(0, 1)
    return torch.nn.functional.group_norm(samples, groups, eps=EPSILON).view(z.shape)


def group_norm(groups: float = 4) -> Norm:
    """Layer norm over each of ``groups`` equal shares of the units."""
    whole("norm 'group': groups", groups, 1)
    return Norm(
        lambda z, running, learning: _grouped(z, int(groups)),
        "Wu, He 2018",
        "(z − mean) / sd over a sample's units of a group",
        groups=int(groups),
    )


def unit_norms(weight: Tensor) -> Tensor:
    """The length of each unit's weights, (runs, 1, units)."""
    return torch.linalg.vector_norm(weight, dim=1, keepdim=True)


def _weight_norm(
    weight: Tensor, gain: Tensor | None, activation: Activation, top: Tensor | None  # noqa: ARG001
) -> Tensor:  # fmt: skip
    return weight * (gain / unit_norms(weight))


def _standardised(
    weight: Tensor, gain: Tensor | None, activation: Activation, top: Tensor | None  # noqa: ARG001
) -> Tensor:  # fmt: skip
    fan_in = weight.shape[1]
    variance, mean = torch.var_mean(weight, dim=1, keepdim=True, correction=0)
    size = (variance * fan_in).clamp_min(LEAST_VARIANCE).rsqrt()
    return (weight - mean) * (size * gain * variance_gain(activation))


def variance_gain(activation: Activation) -> float:
    r"""What brings the variance of phi(z), z ~ N(0, 1), to 1: :math:`1 / \sqrt{Var\,\phi(z)}`.

    sqrt(2 / (1 - 1/pi)) for relu (Brock et al. 2021).
    """
    from ..theory.maps import moments

    m = moments(activation, 1.0)
    return 1 / math.sqrt(m.square - m.mean**2)


def _ones(weight: Tensor) -> Tensor:
    return torch.ones_like(weight[:, :1])


def next_top(weight: Tensor, top: Tensor, iterations: int = 1) -> Tensor:
    """Steps of the power method: ``top`` (runs, units, 1) goes to the first singular vector."""
    for _ in range(iterations):
        left = torch.nn.functional.normalize(weight @ top, dim=1)
        top = torch.nn.functional.normalize(weight.transpose(1, 2) @ left, dim=1)
    return top


def _spectral(
    weight: Tensor, gain: Tensor | None, activation: Activation, top: Tensor | None  # noqa: ARG001
) -> Tensor:  # fmt: skip
    left = torch.nn.functional.normalize(weight.detach() @ top, dim=1)  # (runs, fan_in, 1)
    largest = left.transpose(1, 2) @ weight @ top  # the gradient goes through the weight only
    return weight / largest


NORMS.add("none", Norm(_unchanged, "", "h = z", affine=(), families=(*FEEDFORWARD, "rnn")))
NORMS.add(
    "batch",
    Norm(
        batch_norm, "Ioffe, Szegedy 2015", "(z − mean) / sd of a unit over the batch",
        running=True, mixes_samples=True,
    ),
)  # fmt: skip
NORMS.add(
    "layer",
    Norm(
        layer_norm, "Ba, Kiros, Hinton 2016", "(z − mean) / sd over a sample's units",
        families=(*FEEDFORWARD, "rnn"),
    ),
)  # fmt: skip
NORMS.add("group", group_norm)
NORMS.add(
    "instance",
    Norm(
        lambda z, running, learning: _grouped(z, z.shape[2]), "Ulyanov et al. 2016",
        "(z − mean) / sd over the pixels of a sample's channel", families=("cnn",),
    ),
)  # fmt: skip
NORMS.add(
    "rms",
    Norm(
        rms_norm, "Zhang, Sennrich 2019", "z / rms(z) over a sample's units", affine=("gain",),
        families=(*FEEDFORWARD, "rnn"),
    ),
)  # fmt: skip
NORMS.add(
    "weight",
    Norm(
        _unchanged, "Salimans, Kingma 2016", "w of a unit = gain · v / ‖v‖, gain = ‖v‖ at init",
        affine=("gain",), weigh=_weight_norm, first_gain=unit_norms, needs_weights=True,
    ),
)  # fmt: skip
NORMS.add(
    "spectral",
    Norm(
        _unchanged, "Miyato et al. 2018", "W / largest singular value of W, of hidden layers",
        affine=(), weigh=_spectral, iterates=True, needs_weights=True,
    ),
)  # fmt: skip
NORMS.add(
    "standardised",
    Norm(
        _unchanged, "Brock, De, Smith 2021",
        "w of a unit = gain (v − mean) / (sd √fan_in √Var φ(N(0, 1)))",
        affine=("gain",), weigh=_standardised, first_gain=_ones,
    ),
)  # fmt: skip
