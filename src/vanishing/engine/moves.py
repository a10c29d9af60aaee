"""What an update of a player did to its hidden weights, told behind it.

What Adam took is told by the means that it has left, and the weights before by those after: nothing
is copied, and each tensor read once. The same columns as of :func:`.probes.of_update`, which a net
that is no player is told by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..lazy import Lazy
from ..parts.optimizers import Optimizer
from .chain import DTYPES, addresses
from .probes import Measures, statistics_on

if TYPE_CHECKING:
    from .player import Player

kernels = Lazy("vanishing.engine.move_kernels")  # numba takes a third of a second to load
SUMS = 7  # see .move_kernels.tell
SMALLEST, LARGEST = 1e-280, 1e280  # squares beyond these may have lost digits


def of_turn(
    player: Player,
    optimizer: Optimizer,
    lr: Tensor,
    gradients: list[Tensor],
    changes: list[Tensor] | None,
) -> Measures:
    """(runs, depth) each, of the update that has just been made, by rates ``lr`` (runs, 1, 1).

    ``changes`` are what was taken; None, if the optimizer's moments tell it. The ``gradients`` are
    compared with those of the player's last turn, the one before. Both in the order of what learns.
    """
    earlier = player.last.gradients if player.last else None
    if lr.device.type != "cpu":
        return _by_torch(player, _changes(player, optimizer, lr, changes), gradients, earlier)
    sums = _sums(player, optimizer, lr, gradients, earlier, changes)
    weights, taken, apart, began, own, before, along = (sums[..., n] for n in range(SUMS))
    with np.errstate(all="ignore"):
        found = {
            "total_change": np.sqrt(apart) / np.sqrt(began),
            "update_ratio": np.sqrt(taken) / np.sqrt(weights),
            "consecutive_cosine": along / (np.sqrt(own) * np.sqrt(before)),
        }
    measures = {name: torch.from_numpy(values.T) for name, values in found.items()}
    if earlier is None:
        measures["consecutive_cosine"].fill_(torch.nan)
    elif lr.dtype == torch.float64:  # no square of a number in float32 is lost in float64
        _mend(measures["consecutive_cosine"], np.stack([own, before]), gradients, earlier)
    return measures


def _sums(
    player: Player,
    optimizer: Optimizer,
    lr: Tensor,
    gradients: list[Tensor],
    earlier: list[Tensor] | None,
    changes: list[Tensor] | None,
) -> np.ndarray:
    """Those of :func:`.move_kernels.tell`, (layers, runs, 7)."""
    depth, like = player.net.depth, lr.flatten().numpy()
    given = player.parameters["W"], player.initial["W"], changes, gradients, earlier
    weights, starts, taken, own, before = (
        [t.detach().contiguous() for t in (of or ())[:depth]] for of in given
    )
    means, rates, numbers = ([], []), like, np.ones(2, like.dtype)
    if changes is None:
        (beta_1, beta_2, epsilon), step = optimizer.moments, player.turns
        means = [[state[name] for state in player.state[:depth]] for name in ("m", "v")]
        rates = (like / (1 - beta_1**step)).astype(like.dtype)
        numbers = np.array([(1 - beta_2**step) ** -0.5, epsilon], like.dtype)
    sums = np.empty((depth, len(like), SUMS))
    kernels.tell_all(
        addresses(weights), addresses(taken), tuple(map(addresses, means)),
        addresses(starts), (addresses(own), addresses(before)),
        np.array([w[0].numel() for w in weights]), rates, numbers, sums,
    )  # fmt: skip
    return sums


def _mend(
    cosine: Tensor, squares: np.ndarray, gradients: list[Tensor], earlier: list[Tensor]
) -> None:
    """Take the ``cosine`` (runs, depth) anew where one of both ``squares`` has lost its digits."""
    lost = torch.from_numpy(~((squares > SMALLEST) & (squares < LARGEST)).all(0))
    take = statistics_on(cosine.device)
    for layer, runs in enumerate(lost):
        if runs.any():
            cosine[runs, layer] = take.cosine(gradients[layer][runs], earlier[layer][runs])


def _changes(
    player: Player, optimizer: Optimizer, lr: Tensor, changes: list[Tensor] | None
) -> list[Tensor]:
    """What was taken, by moments where they alone tell it."""
    if changes is not None:
        return changes
    (beta_1, beta_2, epsilon), step, found = optimizer.moments, player.turns, []
    for state in player.state[: player.net.depth]:
        root = (state["v"] / (1 - beta_2**step)).sqrt_().add_(epsilon)
        found.append(lr / (1 - beta_1**step) * state["m"] / root)
    return found


def _by_torch(
    player: Player, changes: list[Tensor], gradients: list[Tensor], earlier: list[Tensor] | None
) -> Measures:
    """The same on a GPU."""
    weights = [w.detach() for w in player.parameters["W"][:-1]]
    take, depth = statistics_on(weights[0].device), len(weights)
    missing = [torch.full_like(weights[0][:, 0, 0], torch.nan, dtype=torch.float64)] * depth
    cosines = missing if earlier is None else map(take.cosine, gradients[:depth], earlier)
    rows = {
        "total_change": map(take.relative_distance, weights, player.initial["W"]),
        "update_ratio": [
            take.relative_norm(change, weight + change)
            for change, weight in zip(changes, weights, strict=False)
        ],
        "consecutive_cosine": cosines,
    }
    return {name: torch.stack(list(of_layers), dim=1) for name, of_layers in rows.items()}


def squares_of(tensors: list[Tensor]) -> np.ndarray:
    """The sum of squares of all of a run's numbers, (runs), on a CPU, in float64."""
    tensors = [t.detach().contiguous() for t in tensors]
    sizes, found = np.array([t[0].numel() for t in tensors]), np.zeros(len(tensors[0]))
    like = tensors[0].new_zeros(1).numpy()
    kernels.add_squares(addresses(tensors), sizes, like, found)
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
