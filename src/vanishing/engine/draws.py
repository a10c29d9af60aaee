"""What chance decides of each run on the way: noise, drawn step by step from its seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..parts.seeds import generator_of
from .network import Network


@dataclass
class Draws:
    """Draws of every run of a stack, (runs, ...), from a generator of each seed and purpose.

    What a purpose gets rests on the seed and on how often it was asked: runs of one seed share it
    in all arms, and a stack draws as its runs would alone. Draws are made in float32.
    """

    seeds: list[int]
    device: torch.device
    dtype: torch.dtype
    generators: dict[str, list[torch.Generator]] = field(default_factory=dict)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Numbers from N(0, 1)."""
        return self._drawn(torch.randn, purpose, shape)

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Numbers from [0, 1)."""
        return self._drawn(torch.rand, purpose, shape)

    def kept(self, purpose: str, net: Network) -> Tensor | None:
        """Which residual blocks of ``net`` survive an update, (runs, blocks); None: all do."""
        if net.survival is None:
            return None
        chance = torch.tensor(net.survival, device=self.device)
        return self.uniform(purpose, len(chance)) < chance

    def _drawn(self, draw: Callable[..., Tensor], purpose: str, shape: tuple[int, ...]) -> Tensor:
        if purpose not in self.generators:
            self.generators[purpose] = [generator_of(seed, purpose) for seed in self.seeds]
        rows = [draw(*shape, generator=generator) for generator in self.generators[purpose]]
        return torch.stack(rows).to(self.device, self.dtype)
