"""How good the samples of a generator are, told without a network that someone else has trained.

Samples carry the run axis in front, (runs, m, values); real data has none, (n, values). All is
computed in float64, on the device of the samples.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..parts.tasks import TEST_FRACTION, digits
from .singular_values import singular_values

NEAR = 3  # standard deviations of a mode within which a sample is of high quality
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # in median distances of the real data
SIZES = (64, 64, 32, 10)  # of the classifier: pixels, hidden units, features, classes
EPOCHS, BATCH, RATE, MOMENTUM = 20, 64, 0.1, 0.9  # of its training

Layers = Sequence[tuple[Tensor, Tensor]]  # weights (inputs, units) and biases (units)


def high_quality_share(samples: Tensor, centres: Tensor, sd: float) -> Tensor:
    """The share of ``samples`` (runs, m, d) within 3 ``sd`` of the nearest of ``centres`` (k, d).

    (runs), from 0 to 1 (Srivastava et al. 2017). A sample that is not finite is near none.
    """
    return _near(samples, centres, sd).any(-1).double().mean(1)


def modes_covered(samples: Tensor, centres: Tensor, sd: float) -> Tensor:
    """How many ``centres`` are the nearest of at least one sample of high quality, (runs).

    Arguments as of :func:`high_quality_share` (Srivastava et al. 2017).
    """
    return _near(samples, centres, sd).any(1).double().sum(-1)


def _near(samples: Tensor, centres: Tensor, sd: float) -> Tensor:
    """Whether a centre is a sample's nearest and within 3 sd of it, (runs, m, k)."""
    distance = _distances(samples.double(), centres.to(samples.device).double())
    nearest = torch.nn.functional.one_hot(distance.argmin(-1), len(centres)).bool()
    return nearest & (distance <= NEAR * sd)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances (runs, m, n), exact where two points are close: no x·x − 2x·y + y·y."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def mmd2(x: Tensor, y: Tensor, bandwidths: tuple[float, ...] = BANDWIDTHS) -> Tensor:
    r"""The squared maximum mean discrepancy of ``x`` (runs, m, d) and real ``y`` (n, d), (runs).

    :math:`\overline{k(x_i, x_j)}_{i \neq j} + \overline{k(y_i, y_j)}_{i \neq j} -
    2 \overline{k(x_i, y_j)}` (Gretton et al. 2012), unbiased and so below 0 at times, with
    :math:`k(a, b) = \sum_s \exp(-|a - b|^2 / 2 s^2)` and s the ``bandwidths`` times the median
    distance of two distinct points of ``y``. Missing where a sample is not finite.
    """
    x, y = x.double(), y.to(x.device).double()
    pairs = torch.nn.functional.pdist(y)
    median = pairs[pairs > 0].median()
    factors = [-1 / (2 * float(b * median) ** 2) for b in bandwidths]
    m = x.shape[1]
    # A point's kernel with itself is 1 a bandwidth, whatever the point.
    same = [(_kernels(_distances(run, run), factors) - m * len(factors)) for run in x]
    other = [_kernels(_distances(run, y), factors) for run in x]
    real = _kernels(pairs, factors) / len(pairs)
    return torch.stack(same) / (m * (m - 1)) + real - 2 * torch.stack(other) / (m * len(y))


def _kernels(distances: Tensor, factors: list[float]) -> Tensor:
    """The sum of all kernels over all ``distances``."""
    squares = distances.square()
    return torch.stack([(squares * factor).exp_().sum() for factor in factors]).sum()


def frechet(features_x: Tensor, features_y: Tensor) -> Tensor:
    r"""The Fréchet distance of Gaussians fitted to features (runs, m, k) and (n, k), (runs).

    :math:`|\mu_x - \mu_y|^2 + \mathrm{tr}(C_x + C_y - 2 (C_x C_y)^{1/2})`, C the unbiased
    covariances (Dowson, Landau 1982; Heusel et al. 2017): a squared distance, in the square
    of the features' unit. Missing where a feature is not finite.
    """
    x, y = features_x.double(), features_y.to(features_x.device).double()
    (mean_x, root_x), (mean_y, root_y) = _gaussian(x), _gaussian(y)
    # With C = R'R, tr (Cx Cy)^(1/2) is the sum of the singular values of Rx Ry'. A root of Cx Cy
    # itself would lose half of the digits wherever a feature is constant or depends on others.
    shared = singular_values(root_x @ root_y.mT).sum(-1)
    spread = root_x.square().sum((-2, -1)) + root_y.square().sum((-2, -1))
    return ((mean_x - mean_y).square().sum(-1) + spread - 2 * shared).clamp(min=0.0)


def _gaussian(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (..., k) and a root R (..., min(m, k), k) of the covariance R'R of ``x`` (..., m, k)."""
    mean = x.mean(-2, keepdim=True)
    root = torch.linalg.qr(x - mean, mode="r").R / (x.shape[-2] - 1) ** 0.5
    return mean[..., 0, :], root


@dataclass(frozen=True)
class DigitClassifier:
    """A small net that tells scikit-learn's digits apart; ``accuracy`` is on digits held out."""

    layers: Layers
    accuracy: float

    def features(self, x: Tensor) -> Tensor:
        """The last hidden activations (runs, n, 32) of ``x`` (runs, n, 64), in float64."""
        with torch.no_grad():
            return _hidden([(w.to(x.device), b.to(x.device)) for w, b in self.layers], x.double())


def digit_features() -> Callable[[Tensor], Tensor]:
    """Images (runs, n, 64) to features (runs, n, 32), for :func:`frechet` of the digits.

    Those of a :class:`DigitClassifier`, in the place of a large network trained elsewhere: numbers
    compare within this study alone. Images are to be scaled as the task's are.
    """
    return digit_classifier().features


@functools.cache
def digit_classifier() -> DigitClassifier:
    """The same classifier always: a fifth of the digits held out, then SGD with momentum."""
    data = digits()
    order = np.random.RandomState(0).permutation(len(data.labels))
    held = round(TEST_FRACTION * len(order))
    inputs, labels = torch.from_numpy(data.inputs).double(), torch.from_numpy(data.labels)
    layers = _trained(inputs[order[held:]], labels[order[held:]])
    with torch.no_grad():
        guesses = _logits(layers, inputs[order[:held]]).argmax(-1)
    accuracy = (guesses == labels[order[:held]]).double().mean()
    return DigitClassifier(layers, float(accuracy))


def _hidden(layers: Layers, x: Tensor) -> Tensor:
    for weight, bias in layers[:-1]:
        x = torch.relu(x @ weight + bias)
    return x


def _logits(layers: Layers, x: Tensor) -> Tensor:
    weight, bias = layers[-1]
    return _hidden(layers, x) @ weight + bias


def _trained(inputs: Tensor, labels: Tensor) -> Layers:
    """Layers drawn by He's rule and trained; nothing that the caller has set changes them."""
    generator = torch.Generator().manual_seed(0)
    layers = [
        ((2 / m) ** 0.5 * torch.randn(m, n, generator=generator, dtype=torch.float64),
         torch.zeros(n, dtype=torch.float64))
        for m, n in itertools.pairwise(SIZES)
    ]  # fmt: skip
    parameters = [t.requires_grad_() for layer in layers for t in layer]
    velocities = [torch.zeros_like(p) for p in parameters]
    with torch.enable_grad():
        for _ in range(EPOCHS):
            for part in torch.randperm(len(labels), generator=generator).split(BATCH):
                loss = torch.nn.functional.cross_entropy(
                    _logits(layers, inputs[part]), labels[part]
                )
                gradients = torch.autograd.grad(loss, parameters)
                for p, v, g in zip(parameters, velocities, gradients, strict=True):
                    v.mul_(MOMENTUM).add_(g)
                    p.data.add_(v, alpha=-RATE)
    return tuple((w.detach(), b.detach()) for w, b in layers)
