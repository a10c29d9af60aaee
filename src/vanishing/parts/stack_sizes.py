"""How many runs a stack holds, and how much memory: what the engine and the plan reckon by."""

from __future__ import annotations

import math

from .architecture import Architecture

# Runs. On a core, more of them spread the cost of a call, and that pays the less the wider layers
# are: measured at widths 32 to 256 and depths 8 to 96, of 4 to 64 runs, on a machine that had other
# work too, these are within a tenth of the best.
FEWEST, MOST, UNITS = 12, 48, 2048  # runs of a CPU's stack; units of a layer in all its runs
RECURRENT_CPU_STACK, WIDE_RECURRENT, WIDE = 20, 12, 64
CONVOLUTION_CPU_STACK = 12  # measured at width 16, of 4 to 16: 16 are at most 3 % faster
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
    if architecture.sequence:
        return RECURRENT_CPU_STACK if architecture.width <= WIDE else WIDE_RECURRENT
    return min(MOST, max(FEWEST, UNITS // architecture.width))
