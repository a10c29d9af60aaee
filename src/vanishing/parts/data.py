"""What a network is shown and asked: inputs, and the answers that are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import Lazy
from .architecture import Shape
from .seeds import generator_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor
else:
    np = Lazy("numpy")
    torch = Lazy("torch")

UNASKED = -1  # the label of a step at which no answer is asked


@dataclass(frozen=True)
class Data:
    """Inputs and labels, a row a sample.

    Inputs are (samples, inputs) in float32: images flattened in the order of ``image``, sequences
    in that of ``sequence``; or tokens (samples, steps) in int64. Labels are classes from 0 on in
    int64, (samples), or one each step, (samples, steps), with UNASKED where none is wanted; or
    values to be met, (samples, values) in float32.
    """

    inputs: np.ndarray
    labels: np.ndarray
    image: tuple[int, int, int] | None = None  # channels, height, width; None: no image
    sequence: tuple[int, int] | None = None  # time steps, features of each; None: no sequence
    vocabulary: int = 0  # how many tokens there are; 0: the inputs are numbers
    level: np.ndarray | None = None  # (samples): what the task's own score is taken by
    score: str = ""  # the task's own score, by its name in parts/scores.py

    @property
    def of_values(self) -> bool:
        """Whether values are to be met; else classes are to be told apart."""
        return self.labels.dtype.kind == "f"

    @property
    def every_step(self) -> bool:
        """Whether an answer is asked at steps of the sequence; else one at its end."""
        return self.labels.ndim == 2 and not self.of_values

    @property
    def outputs(self) -> int:
        """Outputs that a network needs: a logit a class, or one a value."""
        return self.labels.shape[1] if self.of_values else int(self.labels.max()) + 1

    @property
    def shape(self) -> Shape:
        """The sizes that a network is built by; tokens enter it one-hot."""
        inputs = self.inputs.shape[1] * (self.vocabulary or 1)
        return Shape(inputs, self.outputs, self.image, self.sequence, self.every_step)


def probe_indices(samples: int, batch: int) -> Tensor:
    """Which of so many ``samples`` are measured: one batch for all runs and steps.

    Not the first: a file may be sorted by class.
    """
    return torch.randperm(samples, generator=generator_of(0, "probe"))[:batch]


def as_seen(inputs: Tensor, vocabulary: int, dtype: torch.dtype) -> Tensor:
    """Inputs as a network sees them: tokens one-hot, scaled so that their mean square is 1."""
    if not vocabulary:
        return inputs.to(dtype)
    hot = torch.nn.functional.one_hot(inputs, vocabulary).flatten(-2)
    return hot.to(dtype) * vocabulary**0.5
