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

from ..lazy import Lazy
from ..parts.optimizers import momentum
from ..parts.tasks import TEST_FRACTION, digits
from .singular_values import singular_values

loops = Lazy("vanishing.engine.quality_kernels")  # numba takes a third of a second to load
NEAR = 3  # standard deviations of a mode within which a sample is of high quality
WIDEST, KERNELS = 4.0, 5  # bandwidths in median distances of the real data, each twice the next
SIZES = (64, 64, 32, 10)  # of the classifier: pixels, hidden units, features, classes
EPOCHS, BATCH, RATE, MOMENTUM = 20, 64, 0.1, 0.9  # of its training

Layers = Sequence[tuple[Tensor, Tensor]]  # weights (inputs, units) and biases (units)


def modes_and_quality(samples: Tensor, centres: Tensor, sd: float) -> tuple[Tensor, Tensor]:
    """How many modes are covered by samples of high quality, and the share of these, (runs) each.

    A sample, of (runs, m, d), is of high quality within 3 ``sd`` of the nearest of ``centres``
    (k, d), and covers that one (Srivastava et al. 2017); one that is not finite is near none.
    """
    distance, nearest = _distances(centres.to(samples.device).double(), samples.double()).min(1)
    hits = distance.new_zeros(len(samples), len(centres))
    hits.scatter_add_(1, nearest, (distance <= NEAR * sd).double())
    return (hits > 0).double().sum(1), hits.sum(1) / samples.shape[1]


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances (runs, m, n), exact where two points are close: no x·x − 2x·y + y·y."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass(frozen=True)
class Real:
    """What :func:`mmd2` needs of real data, the same for all that is compared with it."""

    points: Tensor  # (n, d), float64
    widest: float  # the largest bandwidth
    mean: float  # of the kernel over pairs of two points

    @classmethod
    def of(cls, y: Tensor) -> Real:
        """That of samples ``y`` (n, d)."""
        y = y.double()
        pairs = torch.nn.functional.pdist(y)
        widest = WIDEST * float(pairs[pairs > 0].median())
        return cls(y, widest, float(_kernels(pairs.square_(), widest)) / len(pairs))


def mmd2(x: Tensor, real: Real) -> Tensor:
    r"""The squared maximum mean discrepancy of ``x`` (runs, m, d) and y (n, d), ``real``, (runs).

    :math:`\overline{k(x_i, x_j)}_{i \neq j} + \overline{k(y_i, y_j)}_{i \neq j} -
    2 \overline{k(x_i, y_j)}` (Gretton et al. 2012), unbiased and so below 0 at times, with
    :math:`k(a, b) = \sum_s \exp(-|a - b|^2 / 2 s^2)` and s 1/4, 1/2, 1, 2 and 4 times the median
    distance of two distinct points of y. Missing where a sample is not finite.
    """
    x, m, n = x.double(), x.shape[1], len(real.points)
    sums = compiled_sums if x.device.type == "cpu" else sums_of_kernels
    own, shared = sums(x, real.points.to(x.device), real.widest)
    found = own / (m * (m - 1) / 2) + real.mean - 2 * shared / (m * n)
    return torch.where(x.isfinite().flatten(1).all(1), found, torch.nan)


def sums_of_kernels(x: Tensor, y: Tensor, widest: float) -> tuple[Tensor, Tensor]:
    """The sum of k over pairs of two points of a run's, and of a run's and one of ``y``, (runs)."""
    own = [_kernels(torch.nn.functional.pdist(run).square_(), widest) for run in x]
    shared = [_kernels(_distances(run, y).square_(), widest) for run in x]
    return torch.stack(own), torch.stack(shared)


def compiled_sums(x: Tensor, y: Tensor, widest: float) -> tuple[Tensor, Tensor]:
    """The same by :mod:`.quality_kernels`, on a CPU."""
    scale = 1 / (2 * widest**2)
    near = (_reach(x, y) * scale <= loops.NEAR).numpy()
    even = x.shape[2] % 2  # a value that all points share makes no distance
    x, y = (torch.nn.functional.pad(t, (0, even)).mT.contiguous().numpy() for t in (x, y))
    own, shared = np.empty(len(x)), np.empty(len(x))
    row = np.empty(max(x.shape[2], y.shape[1]))
    loops.own_sums(x, scale, near, row, own)
    loops.shared_sums(x, y, scale, near, row, shared)
    return torch.from_numpy(own), torch.from_numpy(shared)


def _reach(x: Tensor, y: Tensor) -> Tensor:
    """The squared diagonal (runs) of the box that holds a run's points and ``y``."""
    most = torch.maximum(x.amax(1), y.amax(0))
    return (most - torch.minimum(x.amin(1), y.amin(0))).square().sum(1)


def load() -> None:
    """Compile the loops, or read them from the disk, so that forks of this process find them."""
    compiled_sums(torch.zeros(1, 2, 2, dtype=torch.float64), torch.zeros(2, 2).double(), 1.0)


def _kernels(squares: Tensor, widest: float) -> Tensor:
    """The sum of all kernels over pairs with these squared distances."""
    factors = [-(4**n) / (2 * widest**2) for n in range(KERNELS)]
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
    rule, states = momentum(MOMENTUM), [{} for _ in parameters]
    batches = (
        part
        for _ in range(EPOCHS)
        for part in torch.randperm(len(labels), generator=generator).split(BATCH)
    )
    for step, part in enumerate(batches, start=1):
        with torch.enable_grad():
            loss = torch.nn.functional.cross_entropy(_logits(layers, inputs[part]), labels[part])
        gradients = torch.autograd.grad(loss, parameters)
        for p, g, state in zip(parameters, gradients, states, strict=True):
            p.data.add_(rule.update(g, state, step), alpha=-RATE)
    return tuple((w.detach(), b.detach()) for w, b in layers)
