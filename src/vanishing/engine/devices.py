"""Where a stack is trained, and how many runs it holds."""

from __future__ import annotations

import itertools
import math

import torch

from ..errors import UserError

CPU_STACK = 16  # runs: beyond, a core's cache no longer holds the step (best at 8 to 16)
GPU_STACK = 512  # runs: kernel launches are paid once for all of them


def choose(wanted: str) -> torch.device:
    """The device that a config names; ``auto`` takes a GPU where there is one."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        # Probes need float64, which Metal does not have: it is used only where it is asked for.
        return torch.device("cuda" if there["cuda"] else "cpu")
    if wanted == "mps":
        raise UserError("device 'mps' has no float64, which the probes need: give cpu or auto.")
    if not there[wanted]:
        raise UserError(f"device {wanted!r} is not there. Give one of: auto, cpu.")
    return torch.device(wanted)


def stacks(runs: int, device: torch.device) -> list[range]:
    """The runs of a cohort in stacks of about equal size."""
    largest = CPU_STACK if device.type == "cpu" else GPU_STACK
    count = math.ceil(runs / largest)
    edges = [runs * i // count for i in range(count + 1)]
    return [range(a, b) for a, b in itertools.pairwise(edges)]
