"""A stack of runs in training, and one update of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..parts.losses import LOSSES, Loss
from ..parts.optimizers import OPTIMIZERS, Optimizer
from ..parts.schedules import CLIPS, SCHEDULES, Clip, Schedule
from . import chain
from .descent import Descent
from .forward import forward
from .initial import draw, initial_buffers, scale_to_unit_variance
from .moves import of_update, squares_of
from .network import Buffers, Network, Parameters, flat, without_running
from .nonfinite import first_layers
from .own_pass import own_pass, seen_by
from .probes import Measures, Probed, limits_of_weights
from .samples import Samples, survivals
from .updates import is_descent, update

UNCLIPPED = CLIPS["none"].apply
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
    own_pass: bool = False  # a probe makes no pass: it looks at that of the next update

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
            probes.get("own_pass", False),
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
    before: Parameters | None = None  # the parameters before it, for what asks for all of them
    probed: Probed | None = None  # what its pass told of the layers, where it was looked at
    moved: Measures | None = None  # what :func:`.moves.of_update` tells, where it was wanted


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
    frozen: int = 0  # layers next to the input that do not learn
    lost: Tensor | None = None  # (runs): whose loss was seen not to be finite, on a CPU
    descent: Descent | None = None  # tells of updates in place of their tensors, where it can

    @property
    def network(self) -> tuple[Network, Parameters, Buffers]:
        """The networks of the stack as they are now."""
        return self.net, self.parameters, self.buffers

    def losses_of(self, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """From outputs to losses of a batch with these ``labels``, (runs)."""
        return lambda outputs: self.budget.loss.per_sample(outputs, labels).mean(1)

    def chained(self, x: Tensor, kept: Tensor | None) -> bool:
        """Whether an update on ``x`` is one compiled pass, see :mod:`.chain`."""
        return kept is None and chain.is_known(*self.network[:2], x, self.buffers, learning=True)

    def passed(self, x: Tensor, labels: Tensor, looked_at: bool = False) -> chain.Passed:
        """That pass, of a batch with these ``labels``; where it is ``looked_at``, with its look."""
        limits = limits_of_weights(1) if looked_at else None
        return chain.passed(*self.network, x, self.losses_of(labels), limits)

    def descends(self, x: Tensor, kept: Tensor | None, told: bool) -> bool:
        """Whether the way back of that pass may be the update: W <- W - lr g, and no more.

        What is ``told`` of it is what its Descent can tell, of nets without a frozen layer.
        """
        budget, tells = self.budget, self.descent is not None and not self.frozen
        return (
            (tells or not told)
            and is_descent(budget.optimizer)
            and budget.clip.apply is UNCLIPPED
            and self.chained(x, kept)
        )

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
            frozen,
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


def advance(
    stack: Stack,
    step: int,
    wanted: bool = False,
    looked_at: bool = False,
    earlier: list[Tensor] | None = None,
) -> Update:
    """Make update ``step``, counted from 1; where ``wanted``, say what it changed.

    Its gradients are then compared with the ``earlier`` ones, those of the update before.

    On a GPU it waits for nothing: no number goes to the host, and none comes in pageable memory.
    The gradients are also told where a probe comes after the next update: it compares them. Of a
    pass that is ``looked_at`` everything is measured, see :mod:`.own_pass`, which does wait.
    """
    budget, parameters = stack.budget, stack.parameters
    x, labels = stack.samples.at(stack.samples.order[step - 1], stack.lr.dtype)
    kept = None if stack.kept is None else stack.kept[step - 1]
    told = wanted or step + 1 in budget.probe_steps
    lr = stack.lr * budget.schedule.factor(step, budget.steps)
    if stack.descends(x, kept, told):
        return _descended(stack, step, x, labels, lr, told, wanted, looked_at)
    if looked_at:
        losses, gradients, h, probed = own_pass(stack, x, labels, kept)
    else:
        losses, gradients, h = _passed(stack, x, labels, kept)
        probed = None
    nonfinite = _first_layers(stack, losses.detach(), x, kept, h)
    before = copied(parameters) if wanted and "interference" in budget.blocks else None
    clipped, optimizer, moved = budget.clip.apply(gradients), budget.optimizer, None
    taken = stack.net.depth - stack.frozen if wanted and not optimizer.moments else 0
    squares = squares_of(parameters["W"][:-1])[stack.frozen :] if wanted else None
    changes = update(optimizer, stack.learning, clipped, stack.state, lr, step, taken)
    if wanted:
        given = gradients, earlier, changes, squares, stack.frozen
        moved = of_update(stack, optimizer, lr, step, *given)
    return Update(
        step,
        x,
        labels,
        losses.detach(),
        nonfinite,
        gradients if told else None,
        before,
        probed,
        moved,
    )


def _descended(
    stack: Stack,
    step: int,
    x: Tensor,
    labels: Tensor,
    lr: Tensor,
    told: bool,
    wanted: bool,
    looked_at: bool,
) -> Update:
    """An update by plain gradient descent whose gradients nobody asks for, but its Descent."""
    made = stack.passed(x, labels, looked_at)
    nonfinite = _first_layers(stack, made.losses, x, None, [])  # by the weights before the update
    found = Update(step, x, labels, made.losses, nonfinite, None)
    if told:
        of_weights = made, stack.parameters, lr, stack.initial
        found.moved = stack.descent.make(step, *of_weights, wanted)
    else:
        made.chain.descend(made.d_outputs, stack.parameters, lr, stack.frozen)
    if looked_at:
        found.probed = seen_by(made)
    return found


def _passed(
    stack: Stack, x: Tensor, labels: Tensor, kept: Tensor | None
) -> tuple[Tensor, list[Tensor], list]:
    """Losses of a batch (runs), their gradients, and h where a later look at it would cost."""
    if stack.chained(x, kept):
        made = stack.passed(x, labels)
        gradients, _ = made.chain.gradients(made.d_outputs, stack.parameters, stack.frozen)
        return made.losses, [g for g in flat(gradients) if g is not None], []
    values = x.device.type != "cpu"
    outputs, h, _ = forward(stack.net, stack.parameters, x, stack.buffers, kept=kept, values=values)
    losses = stack.losses_of(labels)(outputs)
    # Runs share no parameter: the gradient of the sum is each run's own.
    return losses, list(torch.autograd.grad(losses.sum(), stack.learning)), h


def _first_layers(
    stack: Stack, losses: Tensor, x: Tensor, kept: Tensor | None, h: list
) -> Tensor | None:
    """The layers where values were first not finite, see :func:`.nonfinite.first_layers`.

    On a CPU an update keeps no ``h``: where they are asked for, the pass is made a second time.
    """

    def again() -> list:
        iterated = without_running(stack.buffers)
        with torch.no_grad():  # with the statistics of the batch, and what is iterated as it is now
            return forward(stack.net, stack.parameters, x, iterated, learning=False, kept=kept)[1]

    if losses.device.type != "cpu":
        return first_layers(losses, lambda: h)
    found = first_layers(losses, again, stack.lost)
    if found is not None:
        stack.lost = (found > 0) if stack.lost is None else stack.lost | (found > 0)
    return found


def copied(parameters: Parameters) -> Parameters:
    """The values as they are now."""
    return {name: [t.detach().clone() for t in tensors] for name, tensors in parameters.items()}
