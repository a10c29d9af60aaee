"""How well the networks of a stack still do when noise is added to what they see."""

from __future__ import annotations

import torch
from torch import Tensor

from ..parts.losses import Loss
from ..parts.seeds import generator_of
from .evaluation import BATCH, Scores
from .forward import forward
from .network import Buffers, Network, Parameters
from .samples import Samples

NOISES = (0.0, 0.5, 1.0)  # sd, of inputs whose mean square is 1
SCORE = "noisy_accuracy"


def noisy_accuracy(
    net: Network,
    parameters: Parameters,
    buffers: Buffers,
    loss: Loss,
    samples: Samples,
    seeds: list[int],
) -> Scores:
    r"""The share of the test split that is right with x + sd n for x, (runs) for each sd.

    :math:`n \sim N(0, 1)` for each number of an input, drawn from the run's seed: the same for
    every sd, at every step and in every arm. As in all accuracies batch norm uses its running
    statistics. Missing where an output is not finite; nothing of a task whose labels are values.
    """
    if loss.of_values:
        return {}
    generators = [generator_of(seed, "input_noise") for seed in seeds]
    right = dict.fromkeys(NOISES, 0)
    with torch.no_grad():
        for part in samples.test.split(BATCH, dim=1):  # as the noise is drawn
            x, labels = samples.at(part, parameters["W"][0].dtype)
            noise = torch.stack([torch.randn(x.shape[1:], generator=g) for g in generators]).to(x)
            for sd in NOISES:
                seen = x + sd * noise
                outputs, _, _ = forward(
                    net, parameters, seen, buffers, learning=False, values=False
                )
                right[sd] = right[sd] + _right(loss, outputs, labels)
    count = samples.test.shape[1]
    return {(SCORE, sd): (total / count).cpu().numpy() for sd, total in right.items()}


def _right(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
    """How many answers are right, (runs) in float64; NaN where an output is not finite."""
    finite = outputs.isfinite().flatten(1).all(1)
    return loss.right(outputs, labels).double().sum(1).where(finite, torch.nan)
