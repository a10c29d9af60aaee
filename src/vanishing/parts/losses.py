"""What a network is trained to make small."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..lazy import Lazy
from .registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = Lazy("torch")


@dataclass(frozen=True)
class Loss:
    """``per_sample(logits, labels)``: (runs, batch, classes), (runs, batch) -> (runs, batch), nats.

    ``chance(classes)`` is the loss of a network that knows nothing but the classes.
    """

    per_sample: Callable[[Tensor, Tensor], Tensor]
    chance: Callable[[int], float]
    source: str
    formula: str = ""


LOSSES: Registry[Loss] = Registry("loss", Loss)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")


LOSSES.add(
    "cross_entropy",
    Loss(_cross_entropy, math.log, "Bridle 1990", "−log softmax(logits)[label]"),
)
