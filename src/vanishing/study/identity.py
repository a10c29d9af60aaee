"""What tells cohorts apart.

Every training job imports this: it may not bring what reads configs.
"""

from __future__ import annotations

import hashlib
import json

# What all runs of a cohort share; init, learning rate and seed vary inside it.
GRAPH = (
    "family", "task", "data", "depth", "width", "activation", "norm", "residual", "batch",
    "optimizer", "loss", "steps", "norm_position", "block", "stages", "padding", "schedule", "clip",
    "recurrence", "length", "truncation", "game", "players", "generator", "latent",
    "discriminator_steps", "instance_noise", "normed",
)  # fmt: skip


def digest(value: object) -> str:
    """16 hexadecimal digits of the sha256 of ``value`` as JSON with sorted keys."""
    return of_text(json.dumps(value, sort_keys=True))


def of_text(text: str) -> str:
    """16 hexadecimal digits of its sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
