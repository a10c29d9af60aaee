"""What a network is trained to make small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..lazy import Lazy
from .data import UNASKED, Data
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")

# From a value that a net is to meet: what Hochreiter and Schmidhuber (1997) call processed right.
NEAR = 0.04


@dataclass(frozen=True)
class Loss:
    """``per_sample(outputs, labels)``: (runs, batch, [steps,] outputs), labels -> (runs, batch).

    In nats, or in squares of what the labels are measured in. ``right`` is the share of a sample's
    answers that are right, (runs, batch). ``constant(labels)`` are the outputs, (outputs), of a
    network that knows nothing but how often which answer is wanted.
    """

    per_sample: Callable[[Tensor, Tensor], Tensor]
    right: Callable[[Tensor, Tensor], Tensor]
    constant: Callable[[Tensor], Tensor]
    source: str
    formula: str = ""
    of_values: bool = False  # labels are values to be met, not classes


class Chance(NamedTuple):
    """What a network reaches that knows nothing of its inputs."""

    loss: float
    accuracy: float


LOSSES: Registry[Loss] = Registry("loss", Loss)


def chance(loss: Loss, data: Data) -> Chance:
    """Loss and accuracy of the best constant answer: of classes, by their frequencies."""
    labels = torch.from_numpy(data.labels)
    outputs = loss.constant(labels).double().expand(1, *labels.shape[: 1 + data.every_step], -1)
    labels = labels[None].double() if loss.of_values else labels[None]
    return Chance(
        float(loss.per_sample(outputs, labels).mean()), float(loss.right(outputs, labels).mean())
    )


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    classes = outputs.movedim(-1, 1)  # as torch has it, the runs for samples
    found = torch.nn.functional.cross_entropy(
        classes, labels, reduction="none", ignore_index=UNASKED
    )
    return _mean_of_asked(found, labels)


def _right_class(outputs: Tensor, labels: Tensor) -> Tensor:
    return _mean_of_asked((outputs.argmax(-1) == labels).double(), labels)


def _mean_of_asked(values: Tensor, labels: Tensor) -> Tensor:
    """The mean of a sample's values over the time steps where an answer is asked."""
    if labels.dim() == 2:
        return values
    asked = labels != UNASKED
    return torch.where(asked, values, 0.0).sum(2) / asked.sum(2)


def _log_frequencies(labels: Tensor) -> Tensor:
    return torch.bincount(labels[labels != UNASKED]).double().log()


LOSSES.add(
    "cross_entropy",
    Loss(
        _cross_entropy, _right_class, _log_frequencies, "Bridle 1990",
        "−log softmax(logits)[label], mean over the steps where a label is",
    ),
)  # fmt: skip
LOSSES.add(
    "squared_error",
    Loss(
        lambda outputs, labels: (outputs - labels).square().mean(-1),
        lambda outputs, labels: ((outputs - labels).abs() <= NEAR).all(-1).double(),
        lambda labels: labels.double().mean(0),
        "Legendre 1805",
        "(output − label)², mean over outputs",
        of_values=True,
    ),
)
