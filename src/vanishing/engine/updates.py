"""The update of what learns, by any optimizer, each run by a rate of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..lazy import Lazy
from ..parts.optimizers import OPTIMIZERS, Optimizer
from . import chain
from .chain import addresses, changed

kernels = Lazy("vanishing.engine.update_kernels")  # numba takes a third of a second to load
DESCENT = OPTIMIZERS["sgd"].update


def update(
    optimizer: Optimizer,
    tensors: list[Tensor],
    gradients: list[Tensor],
    state: list[dict],
    lr: Tensor,
    step: int,
    wanted: int = 0,
) -> list[Tensor]:
    """W <- W - lr (d + decay W) in place; what was taken from the first ``wanted`` tensors.

    ``lr`` is (runs, 1, 1): every run has its own. ``step`` counts from 1. What is wanted is worked
    out beside the update, which is the same to the last bit with it and without.
    """
    with torch.no_grad():
        if optimizer.fused and lr.device.type == "cpu":
            some = (of[:wanted] for of in (tensors, gradients, state))
            changes = _changes(optimizer, *some, lr, step)
            optimizer.fused(tensors, gradients, state, lr.flatten().tolist(), step)
            return changes
        if is_descent(optimizer) and lr.device.type == "cpu":
            _descend(tensors, gradients, lr.flatten())
            return [lr * gradient for gradient in gradients[:wanted]]
        changes = []
        for tensor, gradient, memory in zip(tensors, gradients, state, strict=True):
            direction = _direction(optimizer, tensor, gradient, memory, step)
            if len(changes) < wanted:
                changes.append(lr * direction)
            tensor.addcmul_(lr, direction, value=-1)
    return changes


def is_descent(optimizer: Optimizer) -> bool:
    """Whether all that it does is W <- W - lr g."""
    return optimizer.update is DESCENT and not optimizer.weight_decay


def _descend(tensors: list[Tensor], gradients: list[Tensor], rates: Tensor) -> None:
    """W <- W - lr g in place, with a rate for each run."""
    gradients = [g.contiguous() for g in gradients]  # the loop looks at the memory alone
    sizes = np.array([t[0].numel() for t in tensors])
    kernels.descend(addresses(tensors), addresses(gradients), sizes, rates.numpy())
    changed(tensors)


def load(dtypes: Sequence[torch.dtype] = chain.DTYPES) -> None:
    """Compile the loop, or read it from the disk, so that forks of this process find it."""
    for dtype in dtypes:
        rates = torch.zeros(1, dtype=dtype)
        _descend([rates.clone()], [rates], rates)


def _changes(
    optimizer: Optimizer,
    tensors: list[Tensor],
    gradients: list[Tensor],
    state: list[dict],
    lr: Tensor,
    step: int,
) -> list[Tensor]:
    """What an update will take from each tensor; it touches neither them nor the ``state``."""
    changes = []
    for tensor, gradient, memory in zip(tensors, gradients, state, strict=True):
        memory = {name: value.clone() for name, value in memory.items()}
        changes.append(lr * _direction(optimizer, tensor, gradient, memory, step))
    return changes


def _direction(
    optimizer: Optimizer, tensor: Tensor, gradient: Tensor, memory: dict, step: int
) -> Tensor:
    """d + decay W."""
    direction = optimizer.update(gradient, memory, step)
    decay = optimizer.weight_decay
    return direction.add(tensor, alpha=decay) if decay else direction
