"""Elementwise nonlinearities ``phi``: what a layer does to its pre-activation ``h``.

Gated ones (GLU, SwiGLU) are left out: they multiply two projections, which is no function of one h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ..errors import UserError
from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional
else:
    torch = Lazy("torch")
    functional = Lazy("torch.nn.functional")

# A unit saturates where its derivative is at most this share of the largest one.
SATURATION = 0.1


@dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity ``phi``, and where it comes from.

    All else follows from ``phi``: its derivative here, chi_1 and q_star in :mod:`vanishing.theory`.
    ``phi(h, *learned)`` takes an ``h`` of any shape, and its learned parameters as numbers or as
    tensors that broadcast against ``h``; left out, they are at their initial values.

    ``formula`` is plain-text maths that a machine can read too: numbers, h, learned parameters as
    a, b, c in their order, ``+ - * / ² ³ | |``, a space for a product, and the functions of
    :mod:`vanishing.contract.formulas`.
    """

    phi: Callable[..., Tensor]
    source: str
    formula: str = ""
    kinks: tuple[float, ...] = ()  # where phi or phi' jumps: quadrature cuts there (and at 0)
    learned: tuple[float, ...] = ()  # initial values of what a layer learns, one of each a layer
    frequency: float = 0.0  # of one that oscillates without end (radians a unit of h)

    def derivative(self, h: Tensor, *learned: float | Tensor) -> Tensor:
        """phi'(h), by automatic differentiation (at a kink, what torch takes: 0 for a ReLU)."""
        with torch.enable_grad():
            h = h.detach().requires_grad_()
            a = self.phi(h, *learned)
            if not a.requires_grad:  # a constant
                return torch.zeros_like(h)
            return torch.autograd.grad(a.sum(), h)[0].detach()

    @cached_property
    def peak(self) -> tuple[float, float]:
        """Where abs(phi') is largest (the middle, where that is an interval), and how large.

        On [-12, 12], with learned parameters at their initial values. Where phi' grows without
        bound (squared_relu) it is largest at an end, and a share of it is a convention.
        """
        h = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
        steepness = self.derivative(h).abs().nan_to_num(0, 0, 0)
        top = h[steepness >= steepness.max() * (1 - 1e-9)]
        return float(top.median()), float(steepness.max())

    def saturated(self, h: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Which units of ``h``, where phi' is ``slope``, are flat: below and above phi's steepest.

        Flat is where abs(phi') <= .1 of its largest value, :attr:`peak`: a valley of a phi that is
        not monotone (silu, sine) too. Dead, which is another measure, is phi' = 0 exactly.
        """
        peak, steepest = self.peak
        flat, below = slope.abs() <= SATURATION * steepest, h < peak
        return flat & below, flat & ~below


ACTIVATIONS: Registry[Activation] = Registry("activation", Activation)


def leaky_relu(slope: float = 0.01) -> Activation:
    """max(h, 0) + slope min(h, 0)."""
    return Activation(
        partial(leaky, slope=slope),
        "Maas, Hannun, Ng 2013",
        f"max(h, 0) + {slope:g} min(h, 0)",
        kinks=() if slope == 1 else (0.0,),
    )


def leaky(h: Tensor, slope: float) -> Tensor:
    """phi of :func:`leaky_relu`."""
    return functional.leaky_relu(h, slope)


def prelu(start: float = 0.25) -> Activation:
    """max(h, 0) + a min(h, 0), where each layer learns its a, from ``start`` on."""
    return Activation(
        lambda h, a=start: torch.where(h > 0, h, a * h),
        "He et al. 2015",
        "max(h, 0) + a min(h, 0)",
        kinks=(0.0,),
        learned=(float(start),),
    )


def elu(alpha: float = 1.0) -> Activation:
    """h above 0, and alpha (exp(h) - 1) below, which jumps in slope unless alpha is 1."""
    return Activation(
        lambda h: functional.elu(h, alpha),
        "Clevert, Unterthiner, Hochreiter 2016",
        f"max(h, 0) + {_times(alpha)}(exp(min(h, 0)) - 1)",
        kinks=() if alpha == 1 else (0.0,),
    )


def celu(alpha: float = 1.0) -> Activation:
    """h above 0, and alpha (exp(h / alpha) - 1) below: an elu of slope 1 at 0 for any alpha."""
    if not alpha > 0:
        raise UserError(f"celu: alpha must be above 0, and {alpha!r} came.")
    inside = "min(h, 0)" if alpha == 1 else f"min(h, 0) / {alpha:g}"
    return Activation(
        lambda h: functional.celu(h, alpha),
        "Barron 2017",
        f"max(h, 0) + {_times(alpha)}(exp({inside}) - 1)",
    )


def sine(frequency: float = 1.0) -> Activation:
    """sin(frequency h)."""
    return Activation(
        lambda h: torch.sin(frequency * h),
        "Sitzmann et al. 2020",
        f"sin({_times(frequency)}h)",
        frequency=abs(frequency),
    )


def shifted_tanh(shift: float = 1.0) -> Activation:
    """tanh(h) + shift: a mean that is not 0, and the derivatives of tanh."""
    return Activation(
        lambda h: torch.tanh(h) + shift, "LeCun et al. 1998", f"tanh(h) {_plus(shift)}"
    )


def _plus(number: float) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number):g}"


def _times(factor: float) -> str:
    return "" if factor == 1 else f"{factor:g} "


# The order is that of colours in figures: new ones go to the end.
ACTIVATIONS.add("linear", Activation(lambda h: h * 1, "Saxe, McClelland, Ganguli 2014", "h"))
ACTIVATIONS.add(
    "sigmoid", Activation(lambda h: torch.sigmoid(h), "Rumelhart et al. 1986", "1 / (1 + exp(-h))")
)
ACTIVATIONS.add("tanh", Activation(lambda h: torch.tanh(h), "LeCun et al. 1998", "tanh(h)"))
ACTIVATIONS.add(
    "relu", Activation(lambda h: torch.relu(h), "Nair, Hinton 2010", "max(h, 0)", kinks=(0.0,))
)
ACTIVATIONS.add("leaky_relu", leaky_relu)
ACTIVATIONS.add(
    "gelu", Activation(lambda h: functional.gelu(h), "Hendrycks, Gimpel 2016", "h Φ(h)")
)
ACTIVATIONS.add(
    "hard_sigmoid",
    Activation(
        lambda h: functional.hardsigmoid(h),
        "Howard et al. 2019",
        "min(max(h + 3, 0), 6) / 6",
        kinks=(-3.0, 3.0),
    ),
)
ACTIVATIONS.add(
    "hard_tanh",
    Activation(
        lambda h: functional.hardtanh(h),
        "Collobert 2004",
        "min(max(h, -1), 1)",
        kinks=(-1.0, 1.0),
    ),
)
ACTIVATIONS.add(
    "softsign",
    Activation(lambda h: functional.softsign(h), "Turian, Bergstra, Bengio 2009", "h / (1 + |h|)"),
)
ACTIVATIONS.add("arctan", Activation(lambda h: torch.atan(h), "Kamruzzaman 2002", "arctan(h)"))
ACTIVATIONS.add("erf", Activation(lambda h: torch.erf(h), "Williams 1997", "erf(h)"))
ACTIVATIONS.add("prelu", prelu)
ACTIVATIONS.add("elu", elu)
ACTIVATIONS.add(
    "selu",
    Activation(
        lambda h: functional.selu(h),
        "Klambauer et al. 2017",
        "1.0507010 (max(h, 0) + 1.6732632 (exp(min(h, 0)) - 1))",
        kinks=(0.0,),
    ),
)
ACTIVATIONS.add("celu", celu)
ACTIVATIONS.add(
    "gelu_tanh",
    Activation(
        lambda h: functional.gelu(h, approximate="tanh"),
        "Hendrycks, Gimpel 2016",
        "0.5 h (1 + tanh(√(2 / π) (h + 0.044715 h³)))",
    ),
)
ACTIVATIONS.add(
    "silu",
    Activation(lambda h: functional.silu(h), "Elfwing, Uchibe, Doya 2018", "h / (1 + exp(-h))"),
)
ACTIVATIONS.add(
    "mish", Activation(lambda h: functional.mish(h), "Misra 2020", "h tanh(ln(1 + exp(h)))")
)
ACTIVATIONS.add(
    "softplus",
    Activation(lambda h: functional.softplus(h), "Dugas et al. 2001", "ln(1 + exp(h))"),
)
ACTIVATIONS.add(
    "relu6",
    Activation(
        lambda h: functional.relu6(h), "Krizhevsky 2010", "min(max(h, 0), 6)", kinks=(0.0, 6.0)
    ),
)
ACTIVATIONS.add(
    "squared_relu", Activation(lambda h: torch.relu(h) ** 2, "So et al. 2021", "max(h, 0)²")
)
ACTIVATIONS.add("sine", sine)
ACTIVATIONS.add("shifted_tanh", shifted_tanh)
