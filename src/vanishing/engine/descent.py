"""What plain gradient descent of an MLP did to its weights, told while each of them is made.

The gradients, the weights before, and what was taken from them would else be written and read
again by :func:`.moves.of_update`, which takes half as long as the update itself. In the way back
they are in the cache. Kept are the last gradients of the hidden weights, and the squares of these
as they became: what is told of the next update rests on them. Of float32 alone, no square of which
is 0 or infinite in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .chain import Passed, addresses
from .moves import measures_of, squares_of
from .network import Parameters
from .probes import Measures

SUMS = 5  # see .update_kernels.descend_and_tell


@dataclass
class Descent:
    """The gradients of the hidden weights at the last update that was told of."""

    gradients: list[Tensor] = field(default_factory=list)  # (runs, fan_in, units) each
    squares: np.ndarray | None = None  # of them, (layers, runs)
    after: np.ndarray | None = None  # likewise of the weights after it, if it was wanted
    began: np.ndarray | None = None  # those of the weights at step 0, once they were asked for
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
        """Make update ``step``; where ``wanted``, give :func:`.moves.of_update` of it."""
        weights, starts = parameters["W"][:-1], initial["W"][:-1]
        self.gradients = self.gradients or [torch.zeros_like(w.detach()) for w in weights]
        sums = np.empty((len(weights), len(weights[0]), SUMS))
        moves = addresses(self.gradients), addresses(starts if wanted else ()), sums
        follows = 0 < self.step == step - 1
        earlier, before = (self.squares, self.after) if follows else (None, None)
        if wanted and before is None:
            before = squares_of(weights).numpy()
        made.chain.descend(made.d_outputs, parameters, rates, moves=moves)
        self.squares, self.step, self.after = sums[..., 0].copy(), step, None
        if not wanted:
            return None
        if self.began is None:
            self.began = squares_of(starts).numpy()
        squares, along, changes, after, apart = np.moveaxis(sums, 2, 0)
        self.after = after.copy()
        compared = None if earlier is None else (earlier, along)
        return measures_of(changes, before, apart, self.began, squares, compared)
