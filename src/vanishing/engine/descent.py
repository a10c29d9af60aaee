"""What plain gradient descent of an MLP did to its weights, told while each of them is made.

The gradients, the weights before, and what was taken from them would else be written and read again
by :func:`.probes.of_update`, which takes half as long as the update itself. In the way back they
are in the cache, and only the last gradients of the hidden weights are kept. Of float32 alone, no
square of which is 0 or infinite in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .chain import Passed, addresses
from .network import Parameters
from .probes import Measures

SUMS = 7  # see .update_kernels.tell_gradient and descend_and_tell


@dataclass
class Descent:
    """The gradients of the hidden weights at the last update that was told of."""

    gradients: list[Tensor] = field(default_factory=list)  # (runs, fan_in, units) each
    step: int = 0  # of that update; 0: there was none

    def make(
        self,
        step: int,
        made: Passed,
        parameters: Parameters,
        rates: Tensor,
        initial: Parameters,
        wanted: bool,
    ) -> Measures | None:
        """Make update ``step``; where ``wanted``, give :func:`.probes.of_update` of it."""
        weights, compares = parameters["W"][:-1], 0 < self.step == step - 1
        sums = np.empty((len(weights) if wanted else 0, len(weights[0]), SUMS))
        self.gradients = self.gradients or [torch.empty_like(w.detach()) for w in weights]
        starts = addresses(initial["W"][:-1])
        moves = addresses(self.gradients), starts, sums, compares
        made.chain.descend(made.d_outputs, parameters, rates, moves=moves)
        self.step = step
        return _measures(sums, compares) if wanted else None


def _measures(sums: np.ndarray, compares: bool) -> Measures:
    """(runs, layers) each, of ``sums`` (layers, runs, 7)."""
    *squares, along, apart, began = np.moveaxis(sums, 2, 0)
    with np.errstate(all="ignore"):
        weights, changes, own, earlier = map(np.sqrt, squares)
        cosine = along / (own * earlier) if compares else np.full_like(own, np.nan)
        found = {
            "total_change": np.sqrt(apart) / np.sqrt(began),
            "update_ratio": changes / weights,
            "consecutive_cosine": cosine,
        }
    return {name: torch.from_numpy(values.T) for name, values in found.items()}
