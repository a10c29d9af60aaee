"""What an init must keep: every layer's draw has the stated mean, spread and law."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import stats

from ..errors import UserError
from ..parts.activations import ACTIVATIONS
from ..parts.architecture import Place
from ..parts.laws import Law, delta_orthogonal, orthogonal
from .failure import told

if TYPE_CHECKING:
    from torch import Tensor

    from ..parts.inits import Init

SIZES = {  # (inputs, units) of a layer, and the pixels of its kernel
    "mlp": ([(300, 300), (200, 400), (400, 200)], 1),
    "cnn": ([(40, 40), (24, 64), (64, 24)], 9),
    "rnn": ([(300, 300), (20, 300), (300, 300)], 1),
}
ACTIVATED_BY = ("tanh", "relu", "elu")  # an init may depend on what follows, as `critical` does
ERRORS = 5  # standard errors that a mean may be off
LEAST_P = 1e-5  # of a test of the law: the draws are always the same, and so is its outcome


def init_problems(init: Init, families: tuple[str, ...] | None = None) -> list[str]:
    """Every promise that ``init`` breaks in the layers of ``families``, its own by default."""
    families = init.families if families is None else families
    if not families or not set(families) <= set(SIZES):
        return [f"families must be some of {', '.join(SIZES)}, and {families} came"]
    places = [place for family in families for place in _places(family)]
    problems = [problem for place in places for problem in told(_at_place(init, place))]
    return problems + [problem for place in places for problem in told(_centred(init, place))]


def _places(family: str) -> Iterator[Place]:
    """Layers in and at the end of a residual branch, one with many biases, and a head."""
    if family == "rnn":
        yield from _recurrent_places()
        return
    sizes, field = SIZES[family]
    hidden = [
        Place(inputs * field, units, field, 2, 8, 4, True, ends, 2, ACTIVATIONS[activation])
        for (inputs, units), activation in zip(sizes, ACTIVATED_BY, strict=True)
        for ends in (False, True)
    ]
    many_biases = hidden[0]._replace(fan_in=4 * field, units=8_000)
    head = Place(300, 10, layer=9, depth=8, blocks=4, block=2, activation=ACTIVATIONS["tanh"])
    yield from [*hidden, many_biases, head]


def _recurrent_places() -> Iterator[Place]:
    """A recurrent layer's weight on what it sees, that on its past, and the head."""
    sizes, _ = SIZES["rnn"]
    for (inputs, units), activation in zip(sizes, ACTIVATED_BY, strict=True):
        seen = Place(
            inputs, units, layer=1, depth=1, activation=ACTIVATIONS[activation], state=units
        )
        yield from (seen, seen._replace(fan_in=units, recurrent=True))
    yield seen._replace(units=10, layer=2)


def _at_place(init: Init, place: Place) -> Iterator[str]:
    try:
        std, mean, bias_std = (f(place) for f in (init.weight_std, init.weight_mean, init.bias_std))
    except UserError as error:
        yield f"{_where(place)}: no std is given ({error})"
        return
    weight, bias = _drawn(init, place, 0)
    shapes = (tuple(weight.shape), tuple(bias.shape))
    if shapes != ((place.fan_in, place.units), (1, place.units)):
        yield f"{_where(place)}: a weight and a bias of shapes {shapes} came"
        return
    if {weight.dtype, bias.dtype} != {torch.float32}:
        yield f"{_where(place)}: {weight.dtype} and {bias.dtype} came, and must be float32"
    if not (weight.isfinite().all() and bias.isfinite().all()):
        yield f"{_where(place)}: values came that are not finite"
        return
    for problem in (
        *_same_seed(init, place, weight, std),
        *_of_weight(init.law, place, weight, std, mean),
        *([] if init.centred else _of_bias(bias, bias_std)),
    ):
        yield f"{_where(place)}: {problem}"


def _centred(init: Init, place: Place) -> Iterator[str]:
    """Behind phi's that all stand at 0, z is 0; where the inputs are no activations, so is b."""
    if not init.centred:
        return
    weight, bias = _drawn(init, place._replace(activation=ACTIVATIONS["sigmoid"]), 0)
    constant = 0.0 if place.layer == 1 else 0.5 * weight.double().sum(0)  # sigmoid(0) = 1/2
    if not torch.allclose(bias.double(), 0.0 * bias.double() - constant, atol=1e-5):
        yield f"{_where(place)}: the biases do not take away what phi(0) adds"


def _drawn(init: Init, place: Place, seed: int) -> tuple[Tensor, Tensor]:
    return init.draw(place, torch.Generator().manual_seed(seed))


def _same_seed(init: Init, place: Place, weight: Tensor, std: float) -> Iterator[str]:
    if not torch.equal(weight, _drawn(init, place, 0)[0]):
        yield "the same seed gave another draw: draw from the generator that is given"
    if std and init.law.cdf and torch.equal(weight, _drawn(init, place, 1)[0]):
        yield "another seed gave the same draw"


def _of_weight(law: Law, place: Place, weight: Tensor, std: float, mean: float) -> Iterator[str]:
    """Entries are mean + std times entries of mean square 1 that follow the law."""
    if not std:
        if not torch.equal(weight, torch.full_like(weight, mean)):
            yield f"the std is 0, and the weights are not all {mean:g}"
        return
    entries = (weight.double().numpy() - mean) / std
    yield from _moments("weights", entries, mean_too=law.cdf is not None)
    yield from _of_law(law, entries.ravel(), place)
    if law in (orthogonal, delta_orthogonal):
        yield from _isometry(law, place, torch.from_numpy(entries))


def _moments(what: str, entries: np.ndarray, mean_too: bool = True) -> Iterator[str]:
    """Mean 0 and mean square 1, to some standard errors of independent entries like these."""
    square, root = entries**2, math.sqrt(entries.size)
    allowed = ERRORS * square.std() / root + 1e-5
    if abs(square.mean() - 1) > allowed:
        yield (
            f"the {what} have {square.mean():.4f} times the stated variance "
            f"(between {1 - allowed:.4f} and {1 + allowed:.4f} is chance)"
        )
    if mean_too and abs(entries.mean()) > ERRORS / root:
        yield (
            f"the {what} have a mean {entries.mean():.4g} stds off the stated one "
            f"(up to {ERRORS / root:.4f} is chance)"
        )


def _of_law(law: Law, entries: np.ndarray, place: Place) -> Iterator[str]:
    """A binomial test of how many entries are 0, and Kolmogorov's and Smirnov's of the others."""
    if law.cdf is None:
        return

    def cdf(values: object) -> np.ndarray:
        return law.cdf(np.asarray(values, dtype=float), place)

    below, at = cdf([-1e-9, 0.0])
    zeros = float(at - below) if at - below > 1e-6 else 0.0  # the law's share of exact zeros
    others = entries[entries != 0] if zeros else entries
    if zeros:
        p = stats.binomtest(entries.size - others.size, entries.size, zeros).pvalue
        if p < LEAST_P:
            yield (
                f"{1 - others.size / entries.size:.4f} of the weights are 0, and the law's cdf "
                f"says {zeros:.4f} (p = {p:.1g})"
            )
    found = stats.kstest(others, lambda x: (cdf(x) - zeros * (x >= 0)) / (1 - zeros))
    if found.pvalue < LEAST_P:
        yield (
            f"the weights do not follow the law's cdf: {found.statistic:.4f} apart at "
            f"{found.statistic_location:.3g} stds (p = {found.pvalue:.1g})"
        )


def _isometry(law: Law, place: Place, entries: Tensor) -> Iterator[str]:
    """Rows or columns, whichever are fewer, are orthogonal and of one length."""
    channels, field = (place.fan_in, 1) if law is orthogonal else (
        place.fan_in // place.field, place.field
    )  # fmt: skip
    kernel = entries.view(channels, field, place.units)
    if kernel.count_nonzero() != kernel[:, field // 2].count_nonzero():
        yield "weights off the kernel's centre are not 0"
    q = kernel[:, field // 2] / math.sqrt(field * max(channels, place.units))
    gram = q @ q.T if channels <= place.units else q.T @ q
    off = float((gram - torch.eye(len(gram), dtype=gram.dtype)).abs().max())
    if off > 1e-4:
        yield f"not an isometry: W Wᵀ or Wᵀ W is {off:.2g} off a multiple of 1"


def _of_bias(bias: Tensor, std: float) -> Iterator[str]:
    if not std:
        if bias.count_nonzero():
            yield "the bias's std is 0, and biases are not 0"
        return
    yield from _moments("biases", bias.double().numpy() / std)


def _where(place: Place) -> str:
    kind = "head" if place.head else "end of a branch" if place.ends_block else "hidden layer"
    kernel = f", kernel of {place.field}" if place.field > 1 else ""
    return f"{kind} of {place.fan_in} inputs and {place.units} units{kernel}"
