"""Where a stack is trained, and how many runs it holds."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math

import torch

from ..errors import UserError
from ..parts.architecture import Architecture

# Runs. On a core, more of them spread the cost of a call, until its cache no longer holds a step:
# best measured at width 64 (20, of 4 to 20) and at width 128 (12).
CPU_STACK, WIDE_CPU_STACK, WIDE = 20, 12, 64
CONVOLUTION_CPU_STACK = 8  # more of a grouped convolution's activations leave the cache
CPU_BYTES, GPU_BYTES = 1e9, 8e9  # that a stack may hold
COPIES = 6  # of a layer's values: z, h, a, their gradients
GPU_STACK = 512  # kernel launches are paid once for all of them

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt, malloc.h
KEPT_BYTES = 1 << 30


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


def bytes_of_run(architecture: Architecture, samples: int) -> float:
    """About what a probe holds of a run: of each layer some copies of its values, in float64."""
    values = sum(
        architecture.channels(n) * math.prod(architecture.pixels(n))
        for n in range(1, architecture.depth + 1)
    )
    if architecture.sequence:  # each step keeps its columns' sums, what phi sees and gives
        steps, features = architecture.sequence
        values *= steps * (architecture.columns + 2) / 3
        values += steps * (features + architecture.outputs * architecture.every_step)
    return 8.0 * COPIES * (samples * values + architecture.weights)


def keep_freed_memory() -> None:
    """Have glibc keep large blocks that are freed: the next step asks for the same ones.

    By default it hands them back to the system and faults them in again, which costs a stacked CNN
    about a fifth of its time. Elsewhere nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            libc.mallopt(parameter, KEPT_BYTES)


def stacks(
    runs: int,
    architecture: Architecture,
    samples: int,
    device: torch.device,
    opponent: Architecture | None = None,
) -> list[range]:
    """The runs of a cohort in stacks of about equal size, each of which fits into memory.

    ``samples`` are those that go through the net at a time. An ``opponent`` sees as many real ones
    beside what the net generates.
    """
    on_cpu = CPU_STACK if architecture.width <= WIDE else WIDE_CPU_STACK
    if architecture.family == "cnn":
        on_cpu = CONVOLUTION_CPU_STACK
    largest, memory = (on_cpu, CPU_BYTES) if device.type == "cpu" else (GPU_STACK, GPU_BYTES)
    needed = bytes_of_run(architecture, samples)
    needed += bytes_of_run(opponent, 2 * samples) if opponent else 0
    largest = max(1, min(largest, int(memory // needed)))
    count = math.ceil(runs / largest)
    edges = [runs * i // count for i in range(count + 1)]
    return [range(a, b) for a, b in itertools.pairwise(edges)]
