"""What a linear classifier finds in a layer: how far the classes are told apart there."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .forward import forward
from .network import Buffers, Network, Parameters
from .samples import Samples

PENALTY = 1e-3  # over the mean variance of a feature
PART = 256  # samples that go through the net at a time: keeps the memory in float64 bounded


def linear_probe(
    net: Network, parameters: Parameters, buffers: Buffers, samples: Samples
) -> Tensor:
    r"""The share right on the test split of a ridge regression from each layer, (runs, depth).

    Features F (samples, units) are a_l, of a CNN its mean over pixels. On the n training samples
    the weights w and the bias b minimise

    .. math:: \|F w + 1 b^T - Y\|^2 + \lambda \|w\|^2, \quad
              \lambda = 10^{-3} \, n \, \overline{\mathrm{Var} F},

    Y the labels one-hot and the bias free of the penalty (Alain, Bengio 2017, with least squares);
    the answer is the class of the largest output. It rests on neither scale nor mean of the
    features, of which the mean is most in a deep sigmoid net.
    With batch norm the samples of a part share statistics, as in all probes. Missing where a
    feature is not finite.
    """
    classes = parameters["W"][-1].shape[2]
    means, scales, moments = [], [], []
    for features, labels in _features(net, parameters, buffers, samples, "train"):
        if not moments:  # or digits would cancel; those of the first part serve the others
            means = [f.mean(1, keepdim=True) for f in features]
            spread = [(f - m).abs().amax((1, 2), keepdim=True) for f, m in _pairs(features, means)]
            scales = [torch.where(s > 0, s, 1.0) for s in spread]
        wanted = torch.nn.functional.one_hot(labels, classes).double()
        new = [moments_of(f, wanted) for f in _standardised(features, means, scales)]
        moments = [m + n for m, n in zip(moments, new, strict=True)] if moments else new
    weights = [ridge_weights(m, classes) for m in moments]
    right = 0
    for features, labels in _features(net, parameters, buffers, samples, "test"):
        shown = _standardised(features, means, scales)
        outputs = [_with_ones(f) @ w for f, w in _pairs(shown, weights)]
        right = right + torch.stack([_right(z, labels) for z in outputs], dim=1)
    return right / samples.test.shape[1]


def _features(
    net: Network, parameters: Parameters, buffers: Buffers, samples: Samples, split: str
) -> Iterator[tuple[list[Tensor], Tensor]]:
    """A layer's features (runs, samples, units), of all layers, and the labels; part by part."""
    indices = getattr(samples, split)
    # Of about equal size: a rest of a sample or two would leave a batch norm no statistics.
    for part in indices.chunk(math.ceil(indices.shape[1] / PART), dim=1):
        x, labels = samples.at(part, torch.float64)
        with torch.no_grad():
            _, _, a = forward(net, parameters, x, buffers, learning=False)
        yield [values.flatten(3).mean(3) if values.dim() > 3 else values for values in a], labels


def _standardised(
    features: list[Tensor], means: list[Tensor], scales: list[Tensor]
) -> list[Tensor]:
    return [(f - m) / s for f, m, s in zip(features, means, scales, strict=True)]


def _pairs(first: list[Tensor], second: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(first, second, strict=True)


def _with_ones(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones_like(features[..., :1])], dim=2)


def moments_of(features: Tensor, wanted: Tensor) -> Tensor:
    """[F 1]^T [F 1 Y], (runs, units + 1, units + 1 + classes)."""
    design = _with_ones(features)
    return design.mT @ torch.cat([design, wanted], dim=2)


def ridge_weights(moments: Tensor, classes: int) -> Tensor:
    """The weights, and the bias in the last row, (runs, units + 1, classes)."""
    finite = moments.isfinite().flatten(1).all(1)[:, None, None]
    gram, target = moments[..., :-classes], moments[..., -classes:]
    squares = gram.diagonal(dim1=1, dim2=2)[:, :-1]  # of each unit, summed over the n samples
    sums, n = gram[:, -1, :-1], gram[:, -1, -1:]
    penalty = PENALTY * (squares - sums.square() / n).mean(1)
    penalty = torch.where(penalty > 0, penalty, 1.0)  # of features that are all alike
    ridge = penalty[:, None] * torch.ones_like(gram[:, 0])
    ridge[:, -1] = 0  # the bias is free
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    solved = torch.linalg.solve(
        torch.where(finite, gram + torch.diag_embed(ridge), identity), target
    )
    return torch.where(finite, solved, torch.nan)


def _right(outputs: Tensor, labels: Tensor) -> Tensor:
    """How many answers are right, (runs) in float64; NaN where an output is not finite."""
    right = (outputs.argmax(2) == labels).sum(1).double()
    return right.where(outputs.isfinite().flatten(1).all(1), torch.nan)
