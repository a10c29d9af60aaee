"""How many runs a stack holds, and how much memory: what the engine and the plan reckon by."""

from __future__ import annotations

import math

from .architecture import Architecture

# Runs. On a core, more of them spread the cost of a call, until its cache no longer holds a step:
# best measured at width 64 (20, of 4 to 20) and at width 128 (12).
CPU_STACK, WIDE_CPU_STACK, WIDE = 20, 12, 64
CONVOLUTION_CPU_STACK = 8  # more of a grouped convolution's activations leave the cache
CPU_BYTES = 1e9  # that a stack may hold
GPU_STACK = 512  # kernel launches are paid once for all of them
COPIES = 6  # of a layer's values: z, h, a, their gradients


def bytes_of_run(
    architecture: Architecture, samples: int, opponent: Architecture | None = None
) -> float:
    """About what a probe holds of a run: of each layer some copies of its values, in float64.

    ``samples`` are those that go through the net at a time. An ``opponent`` sees as many real ones
    beside what the net generates.
    """
    values = sum(
        architecture.channels(n) * math.prod(architecture.pixels(n))
        for n in range(1, architecture.depth + 1)
    )
    if architecture.sequence:  # each step keeps its columns' sums, what phi sees and gives
        steps, features = architecture.sequence
        values *= steps * (architecture.columns + 2) / 3
        values += steps * (features + architecture.outputs * architecture.every_step)
    own = 8.0 * COPIES * (samples * values + architecture.weights)
    return own + (bytes_of_run(opponent, 2 * samples) if opponent else 0.0)


def most_runs(architecture: Architecture, on_cpu: bool = True) -> int:
    """The most runs that are worth while in a stack, whatever the memory."""
    if not on_cpu:
        return GPU_STACK
    if architecture.family == "cnn":
        return CONVOLUTION_CPU_STACK
    return CPU_STACK if architecture.width <= WIDE else WIDE_CPU_STACK
