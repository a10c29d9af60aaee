"""A stack of runs in training, and one update of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..parts.losses import LOSSES, Loss
from ..parts.optimizers import OPTIMIZERS, Optimizer
from ..parts.schedules import CLIPS, SCHEDULES, Clip, Schedule
from .forward import forward
from .initial import draw, initial_buffers, scale_to_unit_variance
from .network import Buffers, Network, Parameters
from .nonfinite import first_layers
from .samples import Samples, survivals

OF_BLOCKS = ("skip", "W_gate", "b_gate")  # parameters that residual blocks have, not layers


@dataclass(frozen=True)
class Budget:
    """How a stack is trained and when it is probed."""

    optimizer: Optimizer
    loss: Loss
    steps: int
    batch: int
    probe_steps: tuple[int, ...]
    probe_batch: int
    blocks: tuple[str, ...] = ()  # of expensive measures
    clip: Clip = CLIPS["none"]
    schedule: Schedule = SCHEDULES["constant"]
    score: str = ""  # the task's own

    @classmethod
    def of(cls, graph: dict, score: str = "") -> Budget:
        """The budget that a cohort's settings name, on a task that may have a score of its own."""
        probes = graph["probes"]
        return cls(
            OPTIMIZERS[graph["optimizer"]],
            LOSSES[graph["loss"]],
            graph["steps"],
            graph["batch"],
            tuple(probes["steps"]),
            probes["batch"],
            tuple(probes.get("blocks", ())),
            CLIPS[graph.get("clip", "none")],
            SCHEDULES[graph.get("schedule", "constant")],
            score,
        )


@dataclass
class Update:
    """What an update was made of; lists are in the order of the tensors that learn."""

    step: int  # counted from 1
    x: Tensor  # (runs, batch, inputs)
    labels: Tensor  # (runs, batch)
    losses: Tensor  # (runs), before the update
    nonfinite: Tensor | None  # (runs): see :func:`.nonfinite.first_layers`
    gradients: list[Tensor] | None  # before clipping, where they were asked for
    before: Parameters | None  # the parameters before the update, likewise
    changes: list[Tensor] | None  # what was taken from the tensors, likewise


@dataclass
class Stack:
    """Runs in training: all that changes from update to update."""

    net: Network
    budget: Budget
    samples: Samples
    parameters: Parameters
    buffers: Buffers
    lr: Tensor  # (runs, 1, 1)
    kept: Tensor | None  # (steps, runs, blocks): the residual blocks that survive each update
    learning: list[Tensor]  # the parameters that are not frozen, in the order of flat()
    initial: Parameters  # as they were at step 0
    state: list[dict] = field(default_factory=list)  # the optimizer's, a dict a learning tensor

    @property
    def network(self) -> tuple[Network, Parameters, Buffers]:
        """The networks of the stack as they are now."""
        return self.net, self.parameters, self.buffers

    @classmethod
    def of(
        cls,
        net: Network,
        budget: Budget,
        samples: Samples,
        runs: tuple[list[str], list[int], list[float | None]],
        dtype: torch.dtype,
        frozen: int = 0,
    ) -> Stack:
        """The stack of ``runs`` (inits, seeds, rates) before its first update.

        The ``frozen`` layers next to the input do not learn.
        """
        (inits, seeds, rates), device = runs, samples.inputs.device
        parameters = {
            name: [t.to(device, dtype) for t in tensors]
            for name, tensors in draw(net, inits, seeds).items()
        }
        scale_to_unit_variance(net, parameters, inits, samples.first(budget.probe_batch, dtype))
        learning = [t.requires_grad_() for t in unfrozen(net, parameters, frozen)]
        return cls(
            net,
            budget,
            samples,
            parameters,
            initial_buffers(net, parameters),
            torch.tensor([r or 0.0 for r in rates], device=device, dtype=dtype).view(-1, 1, 1),
            survivals(net, seeds, budget.steps, device),
            learning,
            copied(parameters),
            [{} for _ in learning],
        )


def unfrozen(net: Network, parameters: Parameters, frozen: int) -> list[Tensor]:
    """The tensors of the layers after the first ``frozen``, in the order of :func:`flat`."""
    return [
        tensor
        for name, tensors in parameters.items()
        for n, tensor in enumerate(tensors)
        if layer_of(net, name, n) > frozen
    ]


def layer_of(net: Network, name: str, n: int) -> int:
    """The layer of the ``n``-th tensor (from 0) of a name; what a block learns is of its last."""
    return net.block_ends[n] if name in OF_BLOCKS else n + 1


def advance(stack: Stack, step: int, wanted: bool = False) -> Update:
    """Make update ``step``, counted from 1; where ``wanted``, say what it changed.

    On a GPU it waits for nothing: no number goes to the host, and none comes in pageable memory.
    The gradients are also told where a probe comes after the next update: it compares them.
    """
    budget, parameters = stack.budget, stack.parameters
    x, labels = stack.samples.at(stack.samples.order[step - 1], stack.lr.dtype)
    kept = None if stack.kept is None else stack.kept[step - 1]
    logits, h, _ = forward(stack.net, parameters, x, stack.buffers, kept=kept)
    losses = budget.loss.per_sample(logits, labels).mean(1)
    # Runs share no parameter: the gradient of the sum is each run's own.
    gradients = list(torch.autograd.grad(losses.sum(), stack.learning))
    before = copied(parameters) if wanted else None
    lr = stack.lr * budget.schedule.factor(step, budget.steps)
    clipped = budget.clip.apply(gradients)
    changes = update(budget.optimizer, stack.learning, clipped, stack.state, lr, step)
    return Update(
        step,
        x,
        labels,
        losses.detach(),
        first_layers(losses.detach(), h),
        gradients if wanted or step + 1 in budget.probe_steps else None,
        before,
        changes if wanted else None,
    )


def copied(parameters: Parameters) -> Parameters:
    """The values as they are now."""
    return {name: [t.detach().clone() for t in tensors] for name, tensors in parameters.items()}


def update(
    optimizer: Optimizer,
    tensors: list[Tensor],
    gradients: list[Tensor],
    state: list[dict],
    lr: Tensor,
    step: int,
) -> list[Tensor]:
    """W <- W - lr (d + decay W) in place; what was taken from each tensor.

    ``lr`` is (runs, 1, 1): every run has its own. ``step`` counts from 1.
    """
    changes = []
    with torch.no_grad():
        for tensor, gradient, memory in zip(tensors, gradients, state, strict=True):
            direction = optimizer.update(gradient, memory, step)
            if optimizer.weight_decay:
                direction = direction + optimizer.weight_decay * tensor
            change = lr * direction
            tensor.sub_(change)
            changes.append(change)
    return changes
