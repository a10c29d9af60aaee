"""Where random numbers come from: a generator of its own for each seed and purpose."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..lazy import Lazy

if TYPE_CHECKING:
    import torch
else:
    torch = Lazy("torch")


def generator_of(seed: int, purpose: str) -> torch.Generator:
    """A generator of a run's own for a purpose (init, split, order), the same in every arm."""
    code = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(code[:7], "big"))
