"""A study's config: strict types, all errors at once, each with its line and what to do.

The JSON schema for editors (``workflow/config/schema.json``) is generated from these models.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .. import strict_yaml
from ..errors import unknown
from ..parts.measure_blocks import BLOCKS, BLOCKS_OF_GAMES
from ..parts.norms import NORMS
from .fields import (
    Activation,
    Block,
    ClipName,
    GameName,
    Generator,
    Init,
    LossName,
    Noise,
    Norm,
    Normed,
    NotNegative,
    Number,
    Optimizer,
    Padding,
    Players,
    Position,
    Positive,
    Rates,
    RecurrenceName,
    Residual,
    ScheduleName,
    axis,
)
from .tasks import TASK_SCHEMA, Task

# Tuning seeds come from a range of their own, so that more judged seeds never meet them.
FIRST_TUNING_SEED = 1_000_000


class Factors(Block):
    """The axes that every study crosses."""

    activation: axis(Activation)
    init: axis(Init)
    norm: axis(Norm) = ["none"]
    residual: axis(Residual) = ["none"]
    depth: axis(Positive)


class Vary(Block):
    """Other axes, crossed with the factors."""

    width: axis(Positive) | None = None
    norm_position: axis(Position) | None = None
    block: axis(Positive) | None = None
    stages: axis(Positive) | None = None
    padding: axis(Padding) | None = None
    recurrence: axis(RecurrenceName) | None = None
    length: axis(Positive) | None = None
    truncation: axis(NotNegative) | None = None
    game: axis(GameName) | None = None
    players: axis(Players) | None = None
    generator: axis(Generator) | None = None
    latent: axis(Positive) | None = None
    discriminator_steps: axis(Positive) | None = None
    instance_noise: axis(Noise) | None = None
    normed: axis(Normed) | None = None
    optimizer: axis(Optimizer) | None = None
    schedule: axis(ScheduleName) | None = None
    clip: axis(ClipName) | None = None
    loss: axis(LossName) | None = None
    batch: axis(Positive) | None = None
    steps: axis(Positive) | None = None
    lr: axis(Number) | None = None  # every run is judged at each of these fixed rates


class Exclude(Block):
    """Cells that are left out, and why: the paper's appendix lists them."""

    when: Annotated[dict[str, object], Field(min_length=1)]
    because: Annotated[str, Field(min_length=1)]


class Seeds(Block):
    """How many seeds choose the learning rate, and how many others are judged."""

    tuning: Annotated[int, Field(ge=0)] = 0
    judged: Positive


class Train(Block):
    """The training budget; ``steps: 0`` makes an init battery."""

    steps: Annotated[int, Field(ge=0)]
    lr: Rates | None = None
    optimizer: Optimizer = "sgd"
    schedule: ScheduleName = "constant"
    clip: ClipName = "none"
    loss: LossName | None = None  # that of the task's kind of answers
    batch: Positive = 64

    @property
    def tuned(self) -> bool:
        """Whether the rate is chosen among several on the tuning seeds."""
        return len(self.lr or ()) > 1


def _powers(base: int, steps: int) -> set[int]:
    return {base**k for k in range(steps.bit_length()) if base**k < steps}


# After which updates a training of so many steps is measured, by name; init and end come besides.
SCHEDULED: dict[str, Callable[[int], set[int]]] = {
    "sparse": lambda steps: _powers(4, steps),
    "log": lambda steps: _powers(2, steps),
    "every": lambda steps: set(range(steps)),
}


def _scheduled(given: object) -> object:
    """The steps as they came; a word that is no schedule is refused."""
    if isinstance(given, str) and given not in SCHEDULED:
        raise ValueError(unknown("schedule", given, SCHEDULED, ", or a list of numbers"))
    return given


class Probes(Block):
    """When all is measured, and on how many samples.

    ``sparse``: after 0, 1, 4, 16, ... updates and at the end; ``log``: after 0, 1, 2, 4, ...
    ``batch: training`` measures on the batch that the next update takes, in its own pass: at
    ``every`` step that costs less than a few passes on a batch of the probe's own. ``blocks``
    switches expensive measures on.
    """

    steps: Annotated[
        axis(Annotated[int, Field(ge=0)]) | Literal[tuple(SCHEDULED)], BeforeValidator(_scheduled)
    ] = "sparse"
    batch: Positive | Literal["training"] = 64
    blocks: axis(Literal[(*BLOCKS, *BLOCKS_OF_GAMES)]) | None = None

    @property
    def own_pass(self) -> bool:
        """Whether they look at the training's own passes."""
        return self.batch == "training"


# Axes that may stand in train instead, or in the battery itself.
_OF_TRAIN = ("optimizer", "schedule", "clip", "loss", "batch")
OF_FAMILY = {
    "mlp": ("norm_position", "block"),
    "cnn": ("norm_position", "block", "stages", "padding"),
    "rnn": ("recurrence", "length", "truncation"),
    "gan": (
        "norm_position", "block", "stages", "padding", "game", "players", "generator", "latent",
        "discriminator_steps", "instance_noise", "normed",
    ),
}  # fmt: skip
OF_BATTERY = tuple(dict.fromkeys(name for names in OF_FAMILY.values() for name in names))
# Measures of a net with a loss of its own on labelled samples, or of a game.
_BLOCKS_OF = {
    "mlp": tuple(BLOCKS), "gan": tuple(BLOCKS_OF_GAMES),
    "cnn": tuple(block for block in BLOCKS if block not in ("chain_rule", "output_bins")),
    "rnn": ("accuracy", "noise", "rank", "interference", "freeze"),
}  # fmt: skip


class Battery(Block):
    """A named block of runs: family, task, factors, seeds, training budget, probes."""

    family: Literal["mlp", "cnn", "rnn", "gan"]
    task: Annotated[Task, WithJsonSchema(TASK_SCHEMA)]
    factors: Factors
    vary: Vary = Vary()
    exclude: list[Exclude] = []
    width: Positive | None = None
    norm_position: Position = "before"
    block: Positive = 1
    stages: Positive = 1
    padding: Padding = "zero"
    recurrence: RecurrenceName = "vanilla"
    length: Positive | None = None  # time steps; that of the task
    truncation: NotNegative = 0  # time steps that the gradient goes back at most; 0: all
    game: GameName = "non_saturating"
    players: Players = "mlp"
    generator: Generator = "live"
    latent: Positive = 16  # numbers of noise, at each pixel of a cnn's smallest image
    discriminator_steps: Positive = 1
    instance_noise: Noise = 0.0
    normed: Normed = "both"
    seeds: Seeds
    train: Train
    probes: Probes = Probes()

    @model_validator(mode="after")
    def _makes_sense(self) -> Battery:
        wrong = [*self._wrong_budget(), *self._wrong_axes()]
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _wrong_budget(self) -> list[str]:
        train, seeds, wrong = self.train, self.seeds, []
        rates = {"train.lr": train.lr, "vary.lr": self.vary.lr}
        given = [name for name, value in rates.items() if value]
        if train.steps and not given:
            wrong.append(
                "train.lr is missing: give a rate, or a list of rates to tune over; or rates that "
                "are each judged, in vary.lr."
            )
        if len(given) > 1:
            wrong.append("give either train.lr or vary.lr.")
        if not train.steps:
            why = "has no sense with steps: 0, where nothing is trained."
            wrong += [f"{name} {why}" for name in given]
        if train.tuned and not seeds.tuning:
            wrong.append("train.lr is a list to tune over, and seeds.tuning is 0: give 1 or more.")
        if not train.tuned and seeds.tuning:
            wrong.append("seeds.tuning is given, and train.lr is no list: leave one of them out.")
        last = max(self.vary.steps or [train.steps])
        if self.probes.own_pass and not train.steps:
            wrong.append(
                "probes.batch: training has no sense with train.steps: 0, where nothing is "
                "trained: give a number."
            )
        if isinstance(self.probes.steps, list) and max(self.probes.steps) > last:
            late = max(self.probes.steps)
            wrong.append(f"probes.steps holds {late}, and training ends at {last}.")
        return wrong

    def _wrong_axes(self) -> list[str]:
        wrong = []
        if (self.width is None) == (self.vary.width is None):
            wrong.append("give either width, or a list of widths in vary.width.")
        for names, given, where in (
            (_OF_TRAIN, self.train.model_fields_set, "train."),
            (OF_BATTERY, self.model_fields_set, ""),
        ):
            twice = [name for name in names if name in given and getattr(self.vary, name)]
            wrong += [f"give either {where}{name} or vary.{name}." for name in twice]
        given = [n for n in OF_BATTERY if n in self.model_fields_set or getattr(self.vary, n)]
        for name in given:
            if name not in OF_FAMILY[self.family]:
                owners = " or ".join(f for f, names in OF_FAMILY.items() if name in names)
                wrong.append(f"{name} is of family {owners}, and family {self.family} came.")
        for block in self.probes.blocks or ():
            if block not in _BLOCKS_OF[self.family]:
                wrong.append(f"probes.blocks: {block} is no measure of family {self.family}.")
        if self.family == "gan" and (self.train.loss or self.vary.loss):
            wrong.append("a loss has no sense in family gan: its players play a game.")
        if self.train.tuned and "fixed" in (self.generator, *(self.vary.generator or ())):
            wrong.append(
                "train.lr is a list to tune over, and before a fixed generator no loss says which "
                "rate is best: give one."
            )
        if self.vary.steps and not self.train.steps:
            wrong.append("vary.steps has no sense with train.steps: 0, where nothing is trained.")
        if "scores" in (self.probes.blocks or ()) and not self.probes.own_pass:
            wrong.append(
                "probes.blocks: scores is for probes.batch: training; on a batch of the probe's "
                "own they come at every probe step without it."
            )
        if self.probes.batch in range(2) and any(
            ":" not in norm and NORMS[norm].mixes_samples for norm in self.factors.norm
        ):
            wrong.append("probes.batch must be at least 2 where a norm takes statistics over it.")
        return wrong


class Study(Block):
    """The whole config."""

    batteries: Annotated[dict[str, Battery], Field(min_length=1)]
    first_seed: NotNegative = 0  # of the judged seeds, and as far on of the tuning ones
    cohort_flops: Number | None = None  # of a job, at 2e10 a second; none: by the study's size
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    verdicts: bool = True  # false: too small a study to decide a claim (smoke)

    @model_validator(mode="after")
    def _seeds_stay_apart(self) -> Study:
        most = FIRST_TUNING_SEED - max(b.seeds.judged for b in self.batteries.values())
        if self.first_seed > most:
            raise ValueError(
                f"first_seed: {self.first_seed} takes judged seeds into the range of the tuning "
                f"ones, which begins at {FIRST_TUNING_SEED}: {most} is the most."
            )
        return self


def read(path: Path) -> Study:
    """The checked config at ``path``; all that is wrong with it in one :class:`UserError`."""
    return strict_yaml.read(path, Study)


def json_schema() -> str:
    """The JSON schema of a config, for editors."""
    return json.dumps(Study.model_json_schema(), indent=2) + "\n"
