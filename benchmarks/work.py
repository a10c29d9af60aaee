"""What an update of a run has to do: operations of its matrix products, bytes that it must move.

Counted from the shapes of its networks, whatever the engine makes of them, so that a faster way of
the same work shows as a larger share of the machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vanishing.engine.adversarial import PLAYERS, players_of
from vanishing.engine.network import Network
from vanishing.parts.architecture import Architecture
from vanishing.parts.data import Data

FLOAT = 4  # bytes of a number in training
# Moves of a number of a hidden layer: a is written and read on the way forward; on the way back it
# is read for phi' and dL/dW, and its gradient written and read.
FORWARD, BACK = 2, 3
OF_WEIGHT = 6  # read on both ways, its gradient written and read, itself read and written
MOMENTS = {"sgd": 0, "momentum": 1, "nesterov": 1}  # of each weight, read and written; others 2


@dataclass(frozen=True)
class Work:
    """Of one run: operations (a multiplication and an addition are two) and bytes."""

    operations: float
    bytes: float = 0.0


def of_update(described: dict, data: Data) -> Work:
    """An update of a cohort's run; of a GAN, a turn of the discriminator and one of the generator.

    The least bytes: those of hidden values and weights in float32, each moved once for each use,
    as if nothing else were ever written.
    """
    batch = described["batch"]
    if described["family"] != "gan":
        net = Network.of(described, data.shape).architecture
        return Work(
            batch * (_forward(net) + _back(net)),
            batch * FLOAT * (FORWARD + BACK) * _values(net) + _of_weights(net, described),
        )
    generator, discriminator = (
        players_of(described, data)[player].architecture for player in PLAYERS
    )
    turns = described["discriminator_steps"]
    judged = 2 * (_forward(discriminator) + _back(discriminator)) + _forward(generator)
    made = _forward(generator) + _back(generator)
    through = _forward(discriminator) + _forward(discriminator)  # back to its inputs alone
    values = turns * (2 * (FORWARD + BACK) * _values(discriminator) + FORWARD * _values(generator))
    values += (FORWARD + BACK) * (_values(generator) + _values(discriminator))
    weights = turns * _of_weights(discriminator, described) + _of_weights(generator, described)
    return Work(
        batch * (turns * judged + made + through),
        batch * FLOAT * values + weights,
    )


def of_probe(described: dict, data: Data) -> Work:
    """The pass forward and back of a probe on its fixed batch, in float64.

    Of a GAN, both players on generated samples, and the discriminator on as many real ones.
    """
    batch = described["probes"]["batch"]
    if described["family"] != "gan":
        net = Network.of(described, data.shape).architecture
        return Work(batch * (_forward(net) + _back(net)))
    generator, discriminator = (
        players_of(described, data)[player].architecture for player in PLAYERS
    )
    passes = _forward(generator) + _back(generator)
    passes += 2 * (_forward(discriminator) + _back(discriminator))
    return Work(batch * passes)


def _forward(net: Architecture) -> float:
    return 2.0 * net.multiplications


def _back(net: Architecture) -> float:
    """dL/dW of every layer, and dL/da of all but the input, which nothing asks for."""
    first, steps = net.place(1), net.sequence[0] if net.sequence else 1
    of_input = steps * first.fan_in * first.units * net.columns * math.prod(net.pixels(1))
    return 2.0 * (2 * net.multiplications - of_input)


def _values(net: Architecture) -> float:
    """Numbers of the hidden layers of a sample, of a recurrent net at all time steps."""
    steps = net.sequence[0] if net.sequence else 1
    layers = range(1, net.depth + 1)
    return steps * sum(net.channels(n) * math.prod(net.pixels(n)) * net.columns for n in layers)


def _of_weights(net: Architecture, described: dict) -> float:
    """Bytes of the weights, their gradients and what the optimizer keeps of them."""
    name = described["optimizer"].partition("(")[0]
    return FLOAT * net.weights * (OF_WEIGHT + 2 * MOMENTS.get(name, 2))
