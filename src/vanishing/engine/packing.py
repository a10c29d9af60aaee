"""The state of a training as plain values, which ``torch.load`` reads without running any code."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..parts.seeds import generator_of
from .network import flat

if TYPE_CHECKING:
    from .draws import Draws
    from .player import Player
    from .stack import Stack


def packed(value: Any) -> Any:
    """``value`` of dicts, lists and numbers alone; tensors stay, an array becomes one, and tagged.

    A dataclass becomes the dict of its fields.

    >>> packed({"a": (1, np.float64(0.5))})
    {'a': ('tuple', [1, 0.5])}
    """
    if is_dataclass(value):
        return packed(vars(value))
    if isinstance(value, dict):
        return {_key(key): packed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [packed(item) for item in value]
    if isinstance(value, tuple):
        return "tuple", [packed(item) for item in value]
    if isinstance(value, np.ndarray):
        return "array", torch.from_numpy(value.copy())
    if isinstance(value, Tensor):
        return value.detach()
    return value.item() if isinstance(value, np.generic) else value


def _key(key: Any) -> Any:
    """A key of a dict without numpy's numbers, which equal the plain ones."""
    if isinstance(key, tuple):
        return tuple(map(_key, key))
    return key.item() if isinstance(key, np.generic) else key


def unpacked(value: Any, device: torch.device) -> Any:
    """What was packed, its tensors on the ``device``."""
    if isinstance(value, dict):
        return {key: unpacked(item, device) for key, item in value.items()}
    if isinstance(value, list):
        return [unpacked(item, device) for item in value]
    if isinstance(value, tuple):
        kind, item = value
        return item.numpy() if kind == "array" else tuple(unpacked(item, device))
    return value.to(device) if isinstance(value, Tensor) else value


def values_of(trained: Stack | Player) -> dict:
    """What the updates of a stack or player have made of it."""
    return {
        "parameters": trained.parameters,
        "buffers": trained.buffers,
        "initial": trained.initial,
        "optimizer": trained.state,
    }


def set_values(trained: Stack | Player, values: dict) -> None:
    """Have a stack or player be where :func:`values_of` found it."""
    pairs = zip(flat(trained.parameters), flat(values["parameters"]), strict=True)
    with torch.no_grad():  # in place: the tensors that learn are some of these
        for mine, kept in pairs:
            mine.copy_(kept)
    trained.buffers, trained.initial = values["buffers"], values["initial"]
    trained.state = values["optimizer"]


def states_of(draws: Draws) -> dict[str, list[np.ndarray]]:
    """Where the generators of all purposes are."""
    return {
        purpose: [generator.get_state().numpy() for generator in generators]
        for purpose, generators in draws.generators.items()
    }


def set_states(draws: Draws, states: dict[str, list[np.ndarray]]) -> None:
    """Have all generators go on from where :func:`states_of` found them."""
    for purpose, found in states.items():
        draws.generators[purpose] = [generator_of(seed, purpose) for seed in draws.seeds]
        for generator, state in zip(draws.generators[purpose], found, strict=True):
            generator.set_state(torch.from_numpy(state))
