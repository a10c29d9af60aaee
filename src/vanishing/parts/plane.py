"""Generated tasks in the plane, on which a generator or a classifier can be looked at.

Inputs are (samples, 2), of mean 0 and mean square 1 over samples and features together: a shape is
moved and scaled as a whole, never bent. A task always makes the same samples.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from ..errors import within
from ..lazy import Lazy
from .data import Data

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

_FEWEST = 10  # samples: fewer cannot be split into training and test
_QUARTERS = 4  # of the roll


def ring(samples: int = 4000, modes: int = 8, sd: float = 0.02) -> Data:
    """``modes`` Gaussians on a circle, each with the same number of samples; label: which one.

    The circle has radius 1 and each Gaussian ``sd`` before both are scaled; in units of the data
    they are :func:`ring_modes`. (Metz, Poole, Pfau, Sohl-Dickstein 2017.)
    """
    _refuse_few("ring", samples)
    centres, spread = ring_modes(modes, sd)
    labels = np.arange(samples) % modes
    points = centres[labels] + spread * np.random.RandomState(0).randn(samples, 2)
    return Data(points.astype(np.float32), labels)


def ring_modes(modes: int = 8, sd: float = 0.02) -> tuple[np.ndarray, float]:
    """The centres (modes, 2) of :func:`ring` and the sd of each feature around them, as scaled.

    On a circle of radius 1 a feature's mean square is 1/2 + sd^2; all is divided by its root.
    """
    within("modes of ring", modes, 2, inf)
    within("sd of ring", sd, 0, inf, open_low=True)
    angle, scale = 2 * np.pi * np.arange(modes) / modes, np.sqrt(0.5 + sd**2)
    return np.stack([np.cos(angle), np.sin(angle)], 1) / scale, float(sd / scale)


def swiss_roll(samples: int = 4000, noise: float = 0.25) -> Data:
    """A band rolled up, seen from its edge; label: the quarter along it, 0 in the middle.

    (x, y) = t (cos t, sin t) with t = 1.5 pi (1 + 2 u), u uniform in [0, 1), and Gaussian noise of
    sd ``noise``, all before it is centred and scaled. (The curve: Marsland 2009, as in
    scikit-learn; as a target for generators: Gulrajani et al. 2017.)
    """
    _refuse_few("swiss_roll", samples)
    within("noise of swiss_roll", noise, 0, inf)
    generator, labels = np.random.RandomState(0), np.arange(samples) % _QUARTERS
    t = 1.5 * np.pi * (1 + 2 * (labels + generator.rand(samples)) / _QUARTERS)
    points = t[:, None] * np.stack([np.cos(t), np.sin(t)], 1)
    return _standardised(points + noise * generator.randn(samples, 2), labels)


def xor(samples: int = 2000, noise: float = 0.3) -> Data:
    """Whether the signs of two features differ: four corners (+-1, +-1) in noise of sd ``noise``.

    The label is that of the corner; no straight line tells the two classes apart.
    (Minsky, Papert 1969.)
    """
    _refuse_few("xor", samples)
    within("noise of xor", noise, 0, inf)
    corner = np.arange(samples) % 4
    signs = np.stack([2 * (corner // 2) - 1, 2 * (corner % 2) - 1], 1)
    points = signs + noise * np.random.RandomState(0).randn(samples, 2)
    return _standardised(points, (signs[:, 0] != signs[:, 1]).astype(np.int64))


def two_spirals(samples: int = 2000, noise: float = 0.01) -> Data:
    """Two spirals of three turns, one inside the other; label: which one.

    With u uniform in [0, 1), the first runs inwards at radius 1 - 12/13 u and angle 6 pi u, the
    second is its mirror image through the centre; Gaussian noise of sd ``noise``, in units of the
    outer radius. Every one of samples/2 equal stretches of u holds a sample of each.
    (Lang, Witbrock 1988.)
    """
    _refuse_few("two_spirals", samples)
    within("noise of two_spirals", noise, 0, inf)
    generator, place = np.random.RandomState(0), np.arange(samples)
    labels, u = place % 2, (place // 2 + generator.rand(samples)) / np.ceil(samples / 2)
    direction = np.stack([np.cos(6 * np.pi * u), np.sin(6 * np.pi * u)], 1)
    points = ((1 - 2 * labels) * (1 - 12 / 13 * u))[:, None] * direction
    return _standardised(points + noise * generator.randn(samples, 2), labels)


def _standardised(points: np.ndarray, labels: np.ndarray) -> Data:
    """Each feature centred, then both divided by one number."""
    centred = points - points.mean(0)
    return Data((centred / np.sqrt(np.square(centred).mean())).astype(np.float32), labels)


def _refuse_few(task: str, samples: int) -> None:
    within(f"samples of {task}", samples, _FEWEST, inf)
