"""What chance decides of each run on the way: noise, drawn step by step from its seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..parts.seeds import generator_of
from .devices import sent
from .network import Network


@dataclass
class Draws:
    """Draws of every run of a stack, (runs, ...), from a generator of each seed and purpose.

    What a purpose gets rests on the seed and on how often it was asked: runs of one seed share it
    in all arms, and a stack draws as its runs would alone. Draws are made in float32, on the CPU; a
    GPU gets them without a step waiting for it.
    """

    seeds: list[int]
    device: torch.device
    dtype: torch.dtype
    generators: dict[str, list[torch.Generator]] = field(default_factory=dict)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Numbers from N(0, 1)."""
        return sent(self._drawn(Tensor.normal_, purpose, shape), self.device, self.dtype)

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Numbers from [0, 1)."""
        return sent(self._drawn(Tensor.uniform_, purpose, shape), self.device, self.dtype)

    def kept(self, purpose: str, net: Network) -> Tensor | None:
        """Which residual blocks of ``net`` survive an update, (runs, blocks); None: all do."""
        if net.survival is None:
            return None
        chance = torch.tensor(net.survival)
        return sent(self._drawn(Tensor.uniform_, purpose, chance.shape) < chance, self.device)

    def copied(self) -> Draws:
        """What draws the same from here on, and leaves these where they are."""
        of_each = {
            purpose: [generator.clone_state() for generator in generators]
            for purpose, generators in self.generators.items()
        }
        return replace(self, generators=of_each)

    def _drawn(self, fill: Callable[..., Tensor], purpose: str, shape: tuple[int, ...]) -> Tensor:
        if purpose not in self.generators:
            self.generators[purpose] = [generator_of(seed, purpose) for seed in self.seeds]
        drawn = torch.empty(len(self.seeds), *shape)
        for row, generator in zip(drawn.unbind(), self.generators[purpose], strict=True):
            fill(row, generator=generator)
        return drawn
