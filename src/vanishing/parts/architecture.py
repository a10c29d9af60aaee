"""The shape of a network: how many inputs, units and pixels each of its weights connects.

Stated once: the engine builds by it, inits draw by it, the theory integrates over it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from .recurrences import RECURRENCES
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
    state: int = 0  # units of a recurrent net's state, 0 in any other
    recurrent: bool = False  # it acts on the layer's own past

    @property
    def fan_out(self) -> int:
        """Outputs that an input reaches: units times the kernel's pixels."""
        return self.units * self.field

    @property
    def head(self) -> bool:
        """Whether this is the linear layer that gives the logits."""
        return self.layer > self.depth


class Shape(NamedTuple):
    """How large what a network is shown, and what it is asked for, are."""

    inputs: int  # numbers of a sample
    outputs: int  # logits, or values
    image: tuple[int, int, int] | None = None  # channels, height, width; inputs are in this order
    sequence: tuple[int, int] | None = None  # time steps, features of each; inputs likewise
    every_step: bool = False  # an answer is asked at each time step, not only after the last


@dataclass(frozen=True)
class Architecture:
    """Depth, widths and pixels of a network, whatever its activation, norm and init.

    A CNN has ``stages`` of about equally many layers; each after the first begins with a stride of
    2 and doubles the channels. Its head sees the mean over the pixels (He et al. 2016). One that
    ``generates`` goes the other way: each stage after the first doubles the image's sides and
    halves the channels, and the head is a convolution (Radford, Metz, Chintala 2016).
    """

    family: str  # mlp, cnn, rnn
    depth: int
    width: int  # units of a layer; of a CNN, channels of the stage with the largest image
    inputs: int  # of a sample
    outputs: int
    skips: bool = False  # there are residual blocks, from layer 2 on
    concatenates: bool = False  # a block appends its output to its input
    block: int = 1  # layers of a residual block; the last block may have fewer
    image: tuple[int, int, int] | None = None  # channels, height, width of a sample
    stages: int = 1
    padding: str = "zero"  # or circular
    generates: bool = False  # images, of noise
    sequence: tuple[int, int] | None = None  # time steps, features of each, of an RNN
    every_step: bool = False  # it answers at each time step
    columns: int = 1  # blocks of a recurrent layer's weight: its gates, and the candidate

    @classmethod
    def of(cls, graph: dict, shape: Shape) -> Architecture:
        """The architecture that a cohort's settings name, for samples of a ``shape``."""
        residual, family = RESIDUALS[graph["residual"]], graph["family"]
        recurrence = RECURRENCES[graph["recurrence"]] if family == "rnn" else None
        return cls(
            family,
            graph["depth"],
            graph["width"],
            shape.inputs,
            shape.outputs,
            residual.skips,
            residual.add is concatenate,
            graph.get("block", 1),
            shape.image if family == "cnn" else None,
            graph.get("stages", 1),
            graph.get("padding", "zero"),
            sequence=shape.sequence if recurrence else None,
            every_step=bool(recurrence) and shape.every_step,
            columns=len(recurrence.columns) if recurrence else 1,
        )

    @classmethod
    def of_player(cls, graph: dict, shape: Shape, generates: bool) -> Architecture:
        """That of a GAN's player: from samples of a ``shape`` to one number, or noise to samples.

        Noise is ``latent`` numbers, in a CNN at each pixel of its smallest image.
        """
        settings = {**graph, "family": graph["players"]}
        if not generates:
            return cls.of(settings, shape._replace(outputs=1))
        image = None
        if graph["players"] == "cnn":
            smallest = 2 ** (graph.get("stages", 1) - 1)
            image = (graph["latent"], *(side // smallest for side in shape.image[1:]))
        noise = Shape(math.prod(image or [graph["latent"]]), shape.inputs, image)
        return replace(cls.of(settings, noise), generates=True)

    @property
    def blocks(self) -> int:
        """How many residual blocks there are: layer 1 stands before the first."""
        return math.ceil((self.depth - 1) / self.block) if self.skips else 0

    def stage(self, layer: int) -> int:
        """The stage of a layer, from 0."""
        return (layer - 1) * self.stages // self.depth

    def starts_stage(self, layer: int) -> bool:
        """Whether a stage after the first begins with this layer."""
        return layer > 1 and self.stage(layer) > self.stage(layer - 1)

    def stride(self, layer: int) -> int:
        """2 at the first layer of every stage but the first, else 1; 1 where images grow."""
        return 2 if self.starts_stage(layer) and not self.generates else 1

    def units(self, layer: int) -> int:
        """Units (channels) that a hidden layer's weight gives."""
        stage = self.stage(layer)
        return self.width * 2 ** (self.stages - 1 - stage if self.generates else stage)

    def channels(self, layer: int) -> int:
        """Units (channels) that leave a layer, 0 being the input: more where blocks append."""
        if layer == 0 and self.family == "rnn":
            return self.sequence[1]
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
            if self.generates and self.starts_stage(n):
                height, width = 2 * height, 2 * width
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
        """The place of a hidden layer's weight, or of the head's (layer depth + 1).

        Of a recurrent layer, of the weight that acts on what comes from below.
        """
        head = layer > self.depth
        field = KERNEL**2 if self.family == "cnn" and not (head and not self.generates) else 1
        units = self.head_units if head else self.units(layer)
        inside = not head and self.block_of(layer) > 0
        return Place(
            self.channels(layer - 1) * field, units, field, layer, self.depth, self.blocks, inside,
            inside and self.ends_block(layer), self.block, activation,
            self.width if self.family == "rnn" else 0,
        )  # fmt: skip

    @property
    def head_units(self) -> int:
        """Units of the head: a logit a class, or the channels of a generated image."""
        if self.family == "cnn" and self.generates:
            return self.outputs // math.prod(self.pixels(self.depth))
        return self.outputs

    def recurrent_place(self, layer: int, activation: Activation | None = None) -> Place:
        """The place of the weight that acts on a recurrent layer's own past."""
        return self.place(layer, activation)._replace(fan_in=self.width, recurrent=True)

    def gate_place(self, layer: int, activation: Activation | None = None) -> Place:
        """The place of the weight that a gated block which ends with ``layer`` has beside."""
        start = layer - (layer - 2) % self.block
        field = self.place(layer).field
        fan_in = self.channels(start - 1) * field
        return self.place(layer, activation)._replace(fan_in=fan_in, ends_block=False)

    @functools.cached_property
    def weights(self) -> int:
        """How many weights there are, all layers and the head."""
        return sum(self._weights_of(n) for n in range(1, self.depth + 2))

    def _weights_of(self, layer: int) -> int:
        place = self.place(layer)
        past = self.width if self.family == "rnn" and not place.head else 0
        return (place.fan_in + past) * place.units * (1 if place.head else self.columns)

    @functools.cached_property
    def multiplications(self) -> int:
        """Multiplications of a forward pass of a sample: each weight once a pixel or time step."""
        steps = self.sequence[0] if self.sequence else 1
        hidden = sum(
            self._weights_of(n) * math.prod(self.pixels(n)) for n in range(1, self.depth + 1)
        )
        at_head = steps if self.every_step else 1
        if self.generates:
            at_head = math.prod(self.pixels(self.depth))
        return steps * hidden + at_head * self._weights_of(self.depth + 1)
