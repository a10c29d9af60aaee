"""How the entries of a weight are spread, at mean square 1: the shape without the size."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import Lazy
from .architecture import Place

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Generator, Tensor
else:
    torch = Lazy("torch")


@dataclass(frozen=True)
class Law:
    """``draw(place, generator)`` is a matrix (fan_in, units) whose entries have mean square 1.

    ``cdf(values, place)`` is their distribution; None where nothing is random.
    """

    draw: Callable[[Place, Generator], Tensor]
    cdf: Callable[[np.ndarray, Place], np.ndarray] | None


def _draw_normal(place: Place, generator: Generator) -> Tensor:
    return torch.randn(place.fan_in, place.units, generator=generator)


def _draw_uniform(place: Place, generator: Generator) -> Tensor:
    return math.sqrt(3) * (2 * torch.rand(place.fan_in, place.units, generator=generator) - 1)


def _draw_orthogonal(place: Place, generator: Generator) -> Tensor:
    """A Haar-random (semi-)orthogonal matrix, scaled so that the mean square of an entry is 1."""
    most, fewest = max(place.fan_in, place.units), min(place.fan_in, place.units)
    basis, triangle = torch.linalg.qr(torch.randn(most, fewest, generator=generator))
    basis = basis * triangle.diagonal().sign()  # makes the draw uniform over the group
    return math.sqrt(most) * (basis if place.fan_in >= place.units else basis.T)


def _at_centre(place: Place, matrix: Tensor) -> Tensor:
    """``matrix`` (channels, units) at the centre of a kernel that is 0 around it."""
    channels = place.fan_in // place.field
    kernel = matrix.new_zeros(channels, place.field, place.units)
    kernel[:, place.field // 2] = matrix
    return kernel.view(place.fan_in, place.units)


def _draw_delta_orthogonal(place: Place, generator: Generator) -> Tensor:
    centre = Place(place.fan_in // place.field, place.units)
    return math.sqrt(place.field) * _at_centre(place, _draw_orthogonal(centre, generator))


def beside_the_past(place: Place) -> bool:
    """Whether a weight of a recurrent net acts on something else than the net's past."""
    return bool(place.state) and not place.recurrent


def _draw_identity(place: Place, generator: Generator) -> Tensor:
    if beside_the_past(place):
        return _draw_normal(place, generator)
    channels = place.fan_in // place.field
    share = min(channels, place.units) / (place.fan_in * place.units)
    # In float64: times its std a 1 is 1 again, and not a 1 less a bit that 50 time steps add up.
    eye = torch.eye(channels, place.units, dtype=torch.float64)
    return _at_centre(place, eye) / math.sqrt(share)


def _draw_sparse(place: Place, generator: Generator, connections: int) -> Tensor:
    count = min(connections, place.fan_in)
    weights = _draw_normal(place, generator)
    rank = torch.rand(place.fan_in, place.units, generator=generator).argsort(0).argsort(0)
    return weights * (rank < count) * math.sqrt(place.fan_in / count)


def _normal_cdf(values: np.ndarray, place: Place) -> np.ndarray:  # noqa: ARG001
    from scipy import stats

    return stats.norm.cdf(values)


def _uniform_cdf(values: np.ndarray, place: Place) -> np.ndarray:  # noqa: ARG001
    from scipy import stats

    return stats.uniform.cdf(values, -math.sqrt(3), 2 * math.sqrt(3))


def _orthogonal_cdf(values: np.ndarray, place: Place) -> np.ndarray:
    """A coordinate of a point on the sphere of radius sqrt(n), n = max(fan_in, units)."""
    from scipy import stats

    n = max(place.fan_in, place.units)
    return stats.beta.cdf((1 + values / math.sqrt(n)) / 2, (n - 1) / 2, (n - 1) / 2)


def _sparse_cdf(values: np.ndarray, place: Place, connections: int) -> np.ndarray:
    share = min(connections, place.fan_in) / place.fan_in
    return share * _normal_cdf(values * math.sqrt(share), place) + (1 - share) * (values >= 0)


def _delta_orthogonal_cdf(values: np.ndarray, place: Place) -> np.ndarray:
    centre = Place(place.fan_in // place.field, place.units)
    inside = _orthogonal_cdf(values / math.sqrt(place.field), centre)
    return inside / place.field + (1 - 1 / place.field) * (values >= 0)


normal = Law(_draw_normal, _normal_cdf)
uniform = Law(_draw_uniform, _uniform_cdf)
orthogonal = Law(_draw_orthogonal, _orthogonal_cdf)
delta_orthogonal = Law(_draw_delta_orthogonal, _delta_orthogonal_cdf)
identity = Law(_draw_identity, None)


def sparse(connections: int) -> Law:
    """So many inputs of a unit, at random; the others are 0."""
    return Law(
        functools.partial(_draw_sparse, connections=connections),
        functools.partial(_sparse_cdf, connections=connections),
    )
