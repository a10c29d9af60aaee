"""Training a stack of runs: draw, step, probe, update."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..parts.losses import LOSSES, Loss
from ..parts.optimizers import OPTIMIZERS, Optimizer
from ..parts.tasks import TEST_FRACTION, Data
from .network import MLP, Parameters, Running, draw, flat, forward, generator_of, initial_running
from .probes import Measures, measure

EVALUATION_BATCH = 1024  # samples: keeps the memory of an evaluation bounded


@dataclass(frozen=True)
class Budget:
    """How a stack is trained and when it is probed."""

    optimizer: Optimizer
    loss: Loss
    steps: int
    batch: int
    probe_steps: tuple[int, ...]
    probe_batch: int

    @classmethod
    def of(cls, graph: dict) -> Budget:
        """The budget that a cohort's settings name."""
        probes = graph["probes"]
        return cls(
            OPTIMIZERS[graph["optimizer"]],
            LOSSES[graph["loss"]],
            graph["steps"],
            graph["batch"],
            tuple(probes["steps"]),
            probes["batch"],
        )


@dataclass
class Trace:
    """What the training of a stack left behind, the run axis last in ``losses``, else first."""

    losses: np.ndarray  # (steps, runs) nats, of the batch before each update
    test_accuracy: dict[int, np.ndarray] = field(default_factory=dict)  # probe step -> (runs)
    train_accuracy: np.ndarray | None = None  # (runs), at the end
    measures: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)  # (runs, depth) each


@dataclass(frozen=True)
class Samples:
    """The data on the device, and which samples each run trains on, in which order."""

    inputs: Tensor  # (samples, inputs)
    labels: Tensor  # (samples)
    train: Tensor  # (runs, training samples): indices
    test: Tensor  # (runs, test samples): indices
    order: Tensor  # (steps, runs, batch): indices
    probe: Tensor  # (probe batch): indices, for all runs

    def at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (..., inputs) and labels (...) of ``indices`` of any shape."""
        return self.inputs[indices], self.labels[indices]


def samples_of(data: Data, seeds: list[int], budget: Budget, device: torch.device) -> Samples:
    """Split and order of each seed: the same in every arm, whatever stack the run is in."""
    n = len(data.labels)
    tests = max(1, round(n * TEST_FRACTION))
    splits = torch.stack([torch.randperm(n, generator=generator_of(s, "split")) for s in seeds])
    train, test = splits[:, tests:], splits[:, :tests]
    if budget.steps and budget.batch > n - tests:
        raise UserError(f"batch {budget.batch} is more than the {n - tests} training samples.")
    pairs = zip(train, seeds, strict=True)
    order = [_epochs(rows, budget.steps, budget.batch, seed) for rows, seed in pairs]
    # Not the first samples: a file may be sorted by class. One batch for all runs and steps.
    probe = torch.randperm(n, generator=generator_of(0, "probe"))[: budget.probe_batch]
    return Samples(
        torch.from_numpy(data.inputs).to(device),
        torch.from_numpy(data.labels).to(device),
        train.to(device),
        test.to(device),
        torch.stack(order, dim=1).to(device),
        probe.to(device),
    )


def _epochs(rows: Tensor, steps: int, batch: int, seed: int) -> Tensor:
    """(steps, batch) indices: each sample once an epoch, newly ordered; a rest is dropped."""
    generator, a_epoch = generator_of(seed, "order"), max(1, len(rows) // batch)
    epochs = [
        rows[torch.randperm(len(rows), generator=generator)[: a_epoch * batch]].view(-1, batch)
        for _ in range(-(-steps // a_epoch))
    ]
    return torch.cat(epochs)[:steps] if epochs else rows.new_empty(0, batch)


def train_stack(
    net: MLP,
    budget: Budget,
    data: Data,
    inits: list[str],
    seeds: list[int],
    rates: list[float | None],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Trace:
    """Train the runs (init, seed, learning rate) of a stack together, and measure on the way."""
    samples = samples_of(data, seeds, budget, device)
    parameters = {
        name: [t.to(device, dtype).requires_grad_() for t in tensors]
        for name, tensors in draw(net, inits, seeds).items()
    }
    running = initial_running(net, len(seeds), parameters["W"][0].detach())
    lr = torch.tensor([r or 0.0 for r in rates], device=device, dtype=dtype).view(-1, 1, 1)
    losses = torch.empty(budget.steps, len(seeds), device=device, dtype=dtype)
    state: list[dict] = [{} for _ in flat(parameters)]
    trace, ratio = Trace(np.empty(0)), None

    for step in range(budget.steps + 1):
        if step in budget.probe_steps:
            found = measure(net, parameters, budget.loss, *samples.at(samples.probe))
            trace.measures[step] = _numpy(found, ratio)
            if budget.steps:
                trace.test_accuracy[step] = _accuracy(net, parameters, running, samples, "test")
        if step == budget.steps:
            break
        x, labels = samples.at(samples.order[step])
        logits, _, _ = forward(net, parameters, x.to(dtype), running)
        loss = budget.loss.per_sample(logits, labels).mean(1)  # (runs)
        losses[step] = loss.detach()
        # Runs share no parameter: the gradient of the sum is each run's own.
        gradients = torch.autograd.grad(loss.sum(), flat(parameters))
        wanted = step + 1 in budget.probe_steps
        ratio = update(budget.optimizer, parameters, gradients, state, lr, step + 1, wanted)

    trace.losses = losses.double().cpu().numpy()
    if budget.steps:
        trace.train_accuracy = _accuracy(net, parameters, running, samples, "train")
    return trace


def update(
    optimizer: Optimizer,
    parameters: Parameters,
    gradients: tuple[Tensor, ...],
    state: list[dict],
    lr: Tensor,
    step: int,
    ratio_wanted: bool = False,
) -> Tensor | None:
    """W <- W - lr d in place; where wanted, norm(lr d) / norm(W) of hidden weights (runs, depth).

    ``lr`` is (runs, 1, 1): every run has its own. ``step`` counts from 1.
    """
    hidden = {id(weight) for weight in parameters["W"][:-1]}
    ratios = []
    with torch.no_grad():
        for tensor, gradient, memory in zip(flat(parameters), gradients, state, strict=True):
            change = lr * optimizer.update(gradient, memory, step)
            if ratio_wanted and id(tensor) in hidden:
                ratios.append(_norm(change) / _norm(tensor))
            tensor.sub_(change)
    return torch.stack(ratios, dim=1) if ratios else None


def _norm(tensor: Tensor) -> Tensor:
    return torch.linalg.vector_norm(tensor, dim=(1, 2), dtype=torch.float64)


def _accuracy(
    net: MLP, parameters: Parameters, running: Running, samples: Samples, split: str
) -> np.ndarray:
    """The share of a split that each run gets right, (runs); batch norm uses running statistics."""
    indices, right = getattr(samples, split), 0
    dtype = parameters["W"][0].dtype
    with torch.no_grad():
        for part in indices.split(EVALUATION_BATCH, dim=1):
            x, labels = samples.at(part)
            logits, _, _ = forward(net, parameters, x.to(dtype), running, learning=False)
            right = right + (logits.argmax(-1) == labels).sum(1)
    return (right.double() / indices.shape[1]).cpu().numpy()


def _numpy(measures: Measures, ratio: Tensor | None) -> dict[str, np.ndarray]:
    missing = torch.full_like(measures["q"], torch.nan)
    with_ratio = {**measures, "update_ratio": missing if ratio is None else ratio}
    return {name: values.cpu().numpy() for name, values in with_ratio.items()}
