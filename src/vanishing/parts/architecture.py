"""The shape of a network: how many inputs, units and pixels each of its weights connects.

Stated once: the engine builds by it, inits draw by it, the theory integrates over it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .residuals import RESIDUALS, concatenate

if TYPE_CHECKING:
    from .activations import Activation

KERNEL = 3  # pixels along a side of a convolution's kernel


class Place(NamedTuple):
    """Where a weight stands, which is all that an init may know of it."""

    fan_in: int  # inputs of a unit: channels times the kernel's pixels
    units: int  # of the layer: channels of a convolution
    field: int = 1  # the kernel's pixels, 1 in an MLP
    layer: int = 1  # 1 is next to the input; depth + 1 is the head
    depth: int = 1  # hidden layers of the network
    blocks: int = 0  # residual blocks of the network
    in_block: bool = False  # the layer lies in a residual branch ...
    ends_block: bool = False  # ... and is its last
    block: int = 1  # layers of a whole branch
    activation: Activation | None = None

    @property
    def fan_out(self) -> int:
        """Outputs that an input reaches: units times the kernel's pixels."""
        return self.units * self.field

    @property
    def head(self) -> bool:
        """Whether this is the linear layer that gives the logits."""
        return self.layer > self.depth


@dataclass(frozen=True)
class Architecture:
    """Depth, widths and pixels of a network, whatever its activation, norm and init.

    A CNN has ``stages`` of about equally many layers; each after the first begins with a stride of
    2 and doubles the channels. Its head sees the mean over the pixels (He et al. 2016).
    """

    family: str  # mlp, cnn
    depth: int
    width: int  # units of a layer; of a CNN, channels of the first stage
    inputs: int  # of a sample
    classes: int
    skips: bool = False  # there are residual blocks, from layer 2 on
    concatenates: bool = False  # a block appends its output to its input
    block: int = 1  # layers of a residual block; the last block may have fewer
    image: tuple[int, int, int] | None = None  # channels, height, width of a sample
    stages: int = 1
    padding: str = "zero"  # or circular

    @classmethod
    def of(
        cls, graph: dict, inputs: int, classes: int, image: tuple[int, int, int] | None
    ) -> Architecture:
        """The architecture that a cohort's settings name, for samples of a size."""
        residual, family = RESIDUALS[graph["residual"]], graph["family"]
        return cls(
            family,
            graph["depth"],
            graph["width"],
            inputs,
            classes,
            residual.skips,
            residual.add is concatenate,
            graph.get("block", 1),
            image if family == "cnn" else None,
            graph.get("stages", 1),
            graph.get("padding", "zero"),
        )

    @property
    def blocks(self) -> int:
        """How many residual blocks there are: layer 1 stands before the first."""
        return math.ceil((self.depth - 1) / self.block) if self.skips else 0

    def stage(self, layer: int) -> int:
        """The stage of a layer, from 0."""
        return (layer - 1) * self.stages // self.depth

    def stride(self, layer: int) -> int:
        """2 at the first layer of every stage but the first, else 1."""
        return 2 if layer > 1 and self.stage(layer) > self.stage(layer - 1) else 1

    def units(self, layer: int) -> int:
        """Units (channels) that a hidden layer's weight gives."""
        return self.width * 2 ** self.stage(layer)

    def channels(self, layer: int) -> int:
        """Units (channels) that leave a layer, 0 being the input: more where blocks append."""
        if layer == 0:
            return self.image[0] if self.family == "cnn" else self.inputs
        if not self.concatenates:
            return self.units(layer)
        ends = [n for n in range(1, layer + 1) if n == 1 or self.ends_block(n)]
        within = [] if layer in ends else [layer]
        return sum(map(self.units, within or ends))

    def pixels(self, layer: int) -> tuple[int, int]:
        """Height and width of a layer's output, layer 0 being the input; (1, 1) in an MLP."""
        if self.family != "cnn":
            return 1, 1
        height, width = self.image[1:]
        for n in range(1, layer + 1):
            stride = self.stride(n)
            height, width = -(-height // stride), -(-width // stride)
        return height, width

    def block_of(self, layer: int) -> int:
        """The residual block that a layer lies in, counted from 1; 0 for none."""
        return 0 if layer == 1 or not self.skips else (layer - 2) // self.block + 1

    def starts_block(self, layer: int) -> bool:
        """Whether a residual block begins with this layer."""
        return self.block_of(layer) > 0 and (layer - 2) % self.block == 0

    def ends_block(self, layer: int) -> bool:
        """Whether a residual block ends with this layer."""
        inside = self.block_of(layer) > 0
        return inside and ((layer - 1) % self.block == 0 or layer == self.depth)

    def place(self, layer: int, activation: Activation | None = None) -> Place:
        """The place of a hidden layer's weight, or of the head's (layer depth + 1)."""
        if layer > self.depth:
            fan_in, units, field = self.channels(self.depth), self.classes, 1
        else:
            field = KERNEL**2 if self.family == "cnn" else 1
            fan_in, units = self.channels(layer - 1) * field, self.units(layer)
        inside = layer <= self.depth and self.block_of(layer) > 0
        return Place(
            fan_in, units, field, layer, self.depth, self.blocks, inside,
            inside and self.ends_block(layer), self.block, activation,
        )  # fmt: skip

    def gate_place(self, layer: int, activation: Activation | None = None) -> Place:
        """The place of the weight that a gated block which ends with ``layer`` has beside."""
        start = layer - (layer - 2) % self.block
        field = self.place(layer).field
        fan_in = self.channels(start - 1) * field
        return self.place(layer, activation)._replace(fan_in=fan_in, ends_block=False)

    @functools.cached_property
    def weights(self) -> int:
        """How many weights there are, all layers and the head."""
        return sum(p.fan_in * p.units for p in map(self.place, range(1, self.depth + 2)))

    @functools.cached_property
    def multiplications(self) -> int:
        """Multiplications of a forward pass of a sample: each weight once a pixel of its output."""
        places = map(self.place, range(1, self.depth + 1))
        hidden = sum(p.fan_in * p.units * math.prod(self.pixels(p.layer)) for p in places)
        head = self.place(self.depth + 1)
        return hidden + head.fan_in * head.units
