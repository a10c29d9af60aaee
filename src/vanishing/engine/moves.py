"""What an update did to the hidden weights, told behind it: of a stack of nets, or of a player.

What Adam took is told by the means that it has left. Of the weights before it only their squares
are kept: those after do not tell them where an update was larger than all of their digits. Plain
descent of an MLP is told while it is made, see :mod:`.descent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..lazy import Lazy
from ..parts.optimizers import Optimizer
from . import statistics
from .chain import DTYPES, addresses
from .network import Parameters
from .probes import Measures, statistics_on

if TYPE_CHECKING:
    from .player import Player
    from .stack import Stack

kernels = Lazy("vanishing.engine.move_kernels")  # numba takes a third of a second to load
SUMS = 6  # see .move_kernels.tell_all
NAMES = ("total_change", "update_ratio", "consecutive_cosine")


def nothing_moved(parameters: Parameters) -> Measures:
    """The measures before the first update, (runs, depth) each: all are missing."""
    *hidden, head = parameters["W"]
    shape = len(head), len(hidden)
    return {n: head.new_full(shape, torch.nan, dtype=torch.float64) for n in NAMES}


def squares_of(tensors: list[Tensor]) -> Tensor:
    """The sums of squares of each tensor's numbers, (tensors, runs) in float64."""
    tensors, runs = [t.detach().contiguous() for t in tensors], len(tensors[0])
    if tensors[0].device.type != "cpu":
        return torch.stack([t.double().flatten(1).square().sum(1) for t in tensors])
    sizes, found = np.array([t[0].numel() for t in tensors]), np.empty((len(tensors), runs))
    kernels.squares(addresses(tensors), sizes, tensors[0].new_zeros(1).numpy(), found)
    return torch.from_numpy(found)


@dataclass(frozen=True)
class _Made:
    """An update of the hidden weights that learn, a tensor (runs, ...) or more of each layer."""

    weights: list[Tensor]  # after it
    starts: list[Tensor]  # at step 0
    squares: Tensor  # (layers, runs): of the weights before it
    changes: list[Tensor]  # what was taken; none where the optimizer's moments tell it
    states: list[dict]  # the optimizer's
    gradients: list[Tensor]
    earlier: list[Tensor] | None  # those of the update before


def of_update(
    trained: Stack | Player,
    optimizer: Optimizer,
    lr: Tensor,
    step: int,
    gradients: list[Tensor],
    earlier: list[Tensor] | None,
    changes: list[Tensor],
    squares: Tensor,
    frozen: int = 0,
) -> Measures:
    """(runs, depth) each, of update ``step``, just made by rates ``lr`` (runs, 1, 1).

    ``changes`` are what was taken; none, if the optimizer's moments tell it. The ``gradients`` are
    compared with the ``earlier`` ones, of the update before. All in the order of what learns: the
    ``frozen`` layers next to the input do not. ``squares`` are :func:`squares_of` those hidden
    weights that do, before the update.
    """
    learn = trained.net.depth - frozen
    weights, starts = (of["W"][frozen:-1] for of in (trained.parameters, trained.initial))
    made = _Made(
        [w.detach() for w in weights],
        starts,
        squares,
        changes[:learn],
        trained.state[:learn],
        gradients[:learn],
        None if earlier is None else earlier[:learn],
    )
    tell = _by_loops if lr.device.type == "cpu" else _by_torch
    found = tell(made, optimizer, lr, step)
    if not frozen:
        return found
    starts = trained.initial["W"][:frozen]
    began = torch.stack([start.flatten(1).any(1) for start in starts], dim=1)
    still = torch.where(began, 0.0, torch.nan).double()  # nothing over nothing is missing
    of_frozen = still, torch.zeros_like(still), torch.full_like(still, torch.nan)
    rows = zip(NAMES, of_frozen, strict=True)
    return {name: torch.cat([values, found[name]], dim=1) for name, values in rows}


def _by_loops(made: _Made, optimizer: Optimizer, lr: Tensor, step: int) -> Measures:
    """The same of all layers that learn."""
    like, given = lr.flatten().numpy(), (made.weights, made.starts, made.changes, made.gradients)
    weights, starts, taken, own, before = (
        [t.contiguous() for t in of] for of in (*given, made.earlier or ())
    )
    means, rates, numbers = ([], []), like, np.ones(2, like.dtype)
    if optimizer.moments and not taken:
        beta_1, beta_2, epsilon = optimizer.moments
        means = [[state[name] for state in made.states] for name in ("m", "v")]
        rates = (like / (1 - beta_1**step)).astype(like.dtype)
        numbers = np.array([(1 - beta_2**step) ** -0.5, epsilon], like.dtype)
    sums = np.empty((len(weights), len(like), SUMS))
    kernels.tell_all(
        addresses(weights), addresses(taken), tuple(map(addresses, means)),
        addresses(starts), (addresses(own), addresses(before)),
        np.array([w[0].numel() for w in weights], np.int64), rates, numbers, sums,
    )  # fmt: skip
    changes, apart, began, own, before, along = (sums[..., n] for n in range(SUMS))
    compared = None if made.earlier is None else (before, along)
    measures = measures_of(changes, made.squares.numpy(), apart, began, own, compared)
    if compared and lr.dtype == torch.float64:  # no square in float32 is lost in float64
        _mend(measures["consecutive_cosine"], sums[..., 3:5], made.gradients, made.earlier)
    return measures


def measures_of(
    changes: np.ndarray,
    weights: np.ndarray,
    apart: np.ndarray,
    began: np.ndarray,
    gradients: np.ndarray,
    compared: tuple[np.ndarray, np.ndarray] | None,
) -> Measures:
    """(runs, layers) each, of squares (layers, runs).

    Of what was taken, the weights before, how far they are from where they began, and these; of the
    gradients and, where these are ``compared``, of the earlier ones, with the products of both.
    """
    with np.errstate(all="ignore"):
        cosine = np.full_like(gradients, np.nan)
        if compared:
            earlier, along = compared
            cosine = along / (np.sqrt(gradients) * np.sqrt(earlier))
        found = np.sqrt(apart) / np.sqrt(began), np.sqrt(changes) / np.sqrt(weights), cosine
    return {n: torch.from_numpy(values.T) for n, values in zip(NAMES, found, strict=True)}


def _mend(
    cosine: Tensor, squares: np.ndarray, gradients: list[Tensor], earlier: list[Tensor]
) -> None:
    """Take the ``cosine`` (runs, layers) anew where one of both ``squares`` has lost its digits."""
    take = statistics_on(cosine.device)
    lost = torch.from_numpy(~((squares > take.SMALLEST) & (squares < take.LARGEST)).all(2))
    for layer, runs in enumerate(lost):
        if runs.any():
            cosine[runs, layer] = take.cosine(gradients[layer][runs], earlier[layer][runs])


def _by_torch(made: _Made, optimizer: Optimizer, lr: Tensor, step: int) -> Measures:
    """The same on a GPU."""
    shape, changes = (len(lr), len(made.weights)), made.changes
    found = {name: lr.new_full(shape, torch.nan, dtype=torch.float64) for name in NAMES}
    if optimizer.moments and not changes:
        changes = _changes(optimizer.moments, lr, step, made.states)
    for n, (weight, start) in enumerate(zip(made.weights, made.starts, strict=True)):
        taken = changes[n].double().flatten(1).norm(dim=1)
        found["total_change"][:, n] = statistics.relative_distance(weight, start)
        found["update_ratio"][:, n] = taken / made.squares[n].sqrt()
        if made.earlier is not None:
            cosine = statistics.cosine(made.gradients[n], made.earlier[n])
            found["consecutive_cosine"][:, n] = cosine
    return found


def _changes(
    moments: tuple[float, float, float], lr: Tensor, step: int, states: list[dict]
) -> list[Tensor]:
    """What was taken, by the moments that tell it."""
    (beta_1, beta_2, epsilon), found = moments, []
    for state in states:
        root = (state["v"] / (1 - beta_2**step)).sqrt_().add_(epsilon)
        found.append(lr / (1 - beta_1**step) * (state["m"] / root))
    return found


def load(dtypes: Sequence[torch.dtype] = DTYPES) -> None:
    """Compile the loops, or read them from the disk, so that forks of this process find them."""
    nowhere = addresses(())
    for dtype in dtypes:
        like = torch.zeros(1, dtype=dtype).numpy()
        kernels.tell_all(
            nowhere, nowhere, (nowhere, nowhere), nowhere, (nowhere, nowhere),
            np.zeros(1, np.int64), like, np.ones(2, like.dtype),
            np.empty((0, 1, SUMS)),
        )  # fmt: skip
        squares_of([torch.zeros(1, 1, dtype=dtype)])
