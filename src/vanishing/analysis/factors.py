"""What tells one cell from another, and what two runs share that differ in some of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

# All that tells one cell from another. sigma_w and sigma_b follow from init, and are not listed.
FACTORS = (
    "family", "task", "data", "activation", "init", "norm", "norm_position", "residual", "block",
    "depth", "width", "stages", "padding", "recurrence", "length", "truncation", "game", "players",
    "generator", "latent", "discriminator_steps", "instance_noise", "normed", "loss", "optimizer",
    "schedule", "clip", "lr_policy", "batch", "steps", "probe_batch",
)  # fmt: skip
# What makes no difference at some level of a factor, where it then stands at its default, or what
# follows from the level: a task's data and loss, the rates that an optimizer is tuned over. The
# length of a sequence is the task's, whatever net sees it.
DETAILS = {
    "norm": ("norm_position", "normed"),
    "residual": ("block",),
    "task": ("data", "loss"),
    "players": ("stages", "padding"),
    "generator": ("discriminator_steps",),
    "optimizer": ("lr_policy",),  # rates of one are no rates of another
    "family": (
        "stages", "padding", "recurrence", "truncation", "game", "players", "generator", "latent",
        "discriminator_steps", "instance_noise", "normed",
    ),
}  # fmt: skip


def levels_of(data: pd.DataFrame, names: Sequence[str]) -> dict[str, list]:
    """The level of every row in each of the columns ``names``."""
    return {name: data[name].to_numpy().tolist() for name in names}


def differing(levels: Mapping[str, list]) -> list[str]:
    """The names of columns that do not have one and the same level in all rows."""
    return [name for name, of in levels.items() if of and of.count(of[0]) < len(of)]


def paired_by(*factors: str) -> list[str]:
    """What a pair of runs shares: the seed, and every factor but ``factors`` and their details."""
    apart = {name for factor in factors for name in (factor, *DETAILS.get(factor, ()))}
    return [name for name in (*FACTORS, "seed") if name not in apart]
