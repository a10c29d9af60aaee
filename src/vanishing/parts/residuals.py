"""How a layer's input is added to its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Residual:
    """``add(a, branch)`` gives the layer's output from its input and phi(h), of one shape."""

    add: Callable[[Tensor, Tensor], Tensor]
    source: str


RESIDUALS: Registry[Residual] = Registry("residual", Residual)
RESIDUALS.add("none", Residual(lambda a, branch: branch, ""))
RESIDUALS.add("identity", Residual(lambda a, branch: a + branch, "He et al. 2016"))
