"""Which samples each run trains on, in which order, and what else its seed decides on the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError
from ..parts.data import Data, as_seen, probe_indices
from ..parts.seeds import generator_of
from ..parts.tasks import TEST_FRACTION
from .network import Network


@dataclass(frozen=True)
class Samples:
    """The data on the device, and which samples each run trains on, in which order."""

    inputs: Tensor  # (samples, inputs)
    labels: Tensor  # (samples)
    train: Tensor  # (runs, training samples): indices
    test: Tensor  # (runs, test samples): indices
    order: Tensor  # (steps, runs, batch): indices
    probe: Tensor  # (probe batch): indices, for all runs
    vocabulary: int = 0  # how many tokens the inputs are; 0: they are numbers
    level: Tensor | None = None  # (samples): what the task's own score is taken by

    def at(self, indices: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Inputs (..., inputs) and labels (..., [steps or values]) of ``indices`` of any shape."""
        return self.seen(indices, dtype), self.labels[indices]

    def seen(self, indices: Tensor, dtype: torch.dtype) -> Tensor:
        """Inputs as a network sees them: tokens one-hot, scaled so that their mean square is 1."""
        return as_seen(self.inputs[indices], self.vocabulary, dtype)

    def first(self, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Inputs (runs, count, inputs) of the first training samples of every run."""
        return self.seen(self.train[:, :count], dtype)


def samples_of(
    data: Data, seeds: list[int], steps: int, batch: int, probe_batch: int, device: torch.device
) -> Samples:
    """Split and order of each seed: the same in every arm, whatever stack the run is in."""
    n = len(data.labels)
    tests = max(1, round(n * TEST_FRACTION))
    own = list(dict.fromkeys(seeds))  # runs of one seed share its draws
    splits = torch.stack([torch.randperm(n, generator=generator_of(s, "split")) for s in own])
    train, test = splits[:, tests:], splits[:, :tests]
    if steps and batch > n - tests:
        raise UserError(f"batch {batch} is more than the {n - tests} training samples.")
    pairs = zip(train, own, strict=True)
    order = [_epochs(rows, steps, batch, seed) for rows, seed in pairs]
    of_run = torch.tensor([own.index(seed) for seed in seeds])
    return Samples(
        torch.from_numpy(data.inputs).to(device),
        torch.from_numpy(data.labels).to(device),
        train[of_run].to(device),
        test[of_run].to(device),
        torch.stack(order, dim=1)[:, of_run].to(device),
        probe_indices(n, probe_batch).to(device),
        data.vocabulary,
        None if data.level is None else torch.from_numpy(data.level).to(device),
    )


def _epochs(rows: Tensor, steps: int, batch: int, seed: int) -> Tensor:
    """(steps, batch) indices: each sample once an epoch, newly ordered; a rest is dropped."""
    generator, a_epoch = generator_of(seed, "order"), max(1, len(rows) // batch)
    epochs = [
        rows[torch.randperm(len(rows), generator=generator)[: a_epoch * batch]].view(-1, batch)
        for _ in range(-(-steps // a_epoch))
    ]
    return torch.cat(epochs)[:steps] if epochs else rows.new_empty(0, batch)


def survivals(net: Network, seeds: list[int], steps: int, device: torch.device) -> Tensor | None:
    """Which residual blocks survive each update, (steps, runs, blocks); None where all do."""
    if net.survival is None or not steps:
        return None
    chance = torch.tensor(net.survival)
    drawn = [torch.rand(steps, len(chance), generator=generator_of(s, "survival")) for s in seeds]
    return (torch.stack(drawn, dim=1) < chance).to(device)
