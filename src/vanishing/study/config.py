"""A study's config: strict types, all errors at once, each with its line and what to do.

The JSON schema for editors (``workflow/config/schema.json``) is generated from these models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from .. import strict_yaml
from ..errors import UserError, unknown
from ..parts.activations import ACTIVATIONS
from ..parts.inits import INITS
from ..parts.losses import LOSSES
from ..parts.norms import NORMS
from ..parts.optimizers import OPTIMIZERS
from ..parts.registry import Registry
from ..parts.residuals import RESIDUALS
from ..strict_yaml import Strict


class Block(Strict):
    """A block of the config: no value is converted, "3" is no number."""

    model_config = ConfigDict(strict=True)


def _part(registry: Registry) -> object:
    """A field that holds a part: checked, and turned into its label."""

    def label(spec: object) -> str:
        try:
            return registry.label(spec)
        except UserError as error:
            raise ValueError(str(error)) from None

    names = {"enum": sorted(registry)}
    own = {"type": "string", "pattern": ":", "description": "your own: module:attribute"}
    with_parameters = {"type": "object", "minProperties": 1, "maxProperties": 1}
    schema = {"anyOf": [names, own, with_parameters], "title": registry.kind}
    return Annotated[str, BeforeValidator(label), WithJsonSchema(schema)]


_RATE = {"type": "number", "exclusiveMinimum": 0}


def _no_twins(values: list) -> list:
    twins = [value for position, value in enumerate(values) if value in values[:position]]
    if twins:
        raise ValueError(f"{twins[0]!r} stands twice; give each value once.")
    return values


def _axis(item: object) -> object:
    return Annotated[list[item], Field(min_length=1), AfterValidator(_no_twins)]


def _rates(given: object) -> object:
    """A rate alone is fixed, a list is tuned over: as tuples of one and of several floats."""
    if isinstance(given, list) and len(given) < 2:
        raise ValueError(
            "a list of rates is tuned over: give two or more, or one without brackets."
        )
    return [_as_float(rate) for rate in given] if isinstance(given, list) else [_as_float(given)]


def _as_float(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _steps(given: object) -> object:
    """``log`` is the default schedule; it stands as None where a list would stand."""
    return None if given == "log" else given


Positive = Annotated[int, Field(ge=1)]
Number = Annotated[float, BeforeValidator(_as_float), Field(gt=0, allow_inf_nan=False)]
Rates = Annotated[
    list[Number],
    AfterValidator(_no_twins),
    BeforeValidator(_rates),
    WithJsonSchema({"anyOf": [_RATE, {"type": "array", "items": _RATE, "minItems": 2}]}),
]
Activation = _part(ACTIVATIONS)
Init = _part(INITS)
Norm = _part(NORMS)
Residual = _part(RESIDUALS)
Optimizer = _part(OPTIMIZERS)
LossName = _part(LOSSES)


class Factors(Block):
    """The axes that every study crosses."""

    activation: _axis(Activation)
    init: _axis(Init)
    norm: _axis(Norm) = ["none"]
    residual: _axis(Residual) = ["none"]
    depth: _axis(Positive)


class Vary(Block):
    """Other axes, crossed with the factors."""

    width: _axis(Positive) | None = None
    optimizer: _axis(Optimizer) | None = None
    loss: _axis(LossName) | None = None
    batch: _axis(Positive) | None = None
    steps: _axis(Positive) | None = None


class Idx(Block):
    """Arrays of the user's own in IDX files, gzipped or not."""

    images: str
    labels: str
    scale: Literal["sample", "feature"] = "sample"
    name: str | None = None


class Npz(Block):
    """Arrays of the user's own in an .npz file."""

    path: str
    x: str = "x"
    y: str = "y"
    scale: Literal["sample", "feature"] = "sample"
    name: str | None = None


_TASK_SCHEMA = {
    "anyOf": [
        {"const": "digits"},
        {"type": "object", "required": ["idx"], "properties": {"idx": Idx.model_json_schema()}},
        {"type": "object", "required": ["npz"], "properties": {"npz": Npz.model_json_schema()}},
    ]
}


class Embedded(Block):
    """Data that comes with the packages."""


class Task(Block):
    """What is learned, under its one key; ``digits`` alone is short for ``{digits: {}}``."""

    digits: Embedded | None = None
    idx: Idx | None = None
    npz: Npz | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, given: object) -> object:
        given = {given: {}} if isinstance(given, str) else given
        if not isinstance(given, dict) or len(given) != 1:
            raise ValueError(
                "give one task: digits, {idx: {images: FILE, labels: FILE}} or {npz: {path: FILE}}."
            )
        [name] = given
        if name not in cls.model_fields:
            raise ValueError(unknown("task", str(name), cls.model_fields))
        return given


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
    loss: LossName = "cross_entropy"
    batch: Positive = 64

    @property
    def tuned(self) -> bool:
        """Whether the rate is chosen among several on the tuning seeds."""
        return len(self.lr or ()) > 1


class Probes(Block):
    """When all is measured (``log``: 0, 1, 2, 4, ... and the end), and on how many samples."""

    steps: Annotated[
        _axis(Annotated[int, Field(ge=0)]) | None,
        BeforeValidator(_steps),
        WithJsonSchema(
            {
                "anyOf": [
                    {"const": "log"},
                    {"type": "array", "items": {"type": "integer", "minimum": 0}},
                ]
            }
        ),
    ] = None
    batch: Annotated[int, Field(ge=2)] = 64


_VARIED = ("optimizer", "loss", "batch")  # axes that may stand in train instead


class Battery(Block):
    """A named block of runs: family, task, factors, seeds, training budget, probes."""

    family: Literal["mlp"]
    task: Annotated[Task, WithJsonSchema(_TASK_SCHEMA)]
    factors: Factors
    vary: Vary = Vary()
    exclude: list[Exclude] = []
    width: Positive | None = None
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
        if train.steps and train.lr is None:
            wrong.append("train.lr is missing: give a rate, or a list of rates to tune over.")
        if not train.steps and train.lr is not None:
            wrong.append("train.lr has no sense with steps: 0, where nothing is trained.")
        if train.tuned and not seeds.tuning:
            wrong.append("train.lr is a list to tune over, and seeds.tuning is 0: give 1 or more.")
        if not train.tuned and seeds.tuning:
            wrong.append("seeds.tuning is given, and train.lr is no list: leave one of them out.")
        last = max(self.vary.steps or [train.steps])
        if self.probes.steps and max(self.probes.steps) > last:
            late = max(self.probes.steps)
            wrong.append(f"probes.steps holds {late}, and training ends at {last}.")
        return wrong

    def _wrong_axes(self) -> list[str]:
        wrong = []
        if (self.width is None) == (self.vary.width is None):
            wrong.append("give either width, or a list of widths in vary.width.")
        given = self.train.model_fields_set
        twice = [name for name in _VARIED if name in given and getattr(self.vary, name)]
        wrong += [f"give either train.{name} or vary.{name}." for name in twice]
        if self.vary.steps and not self.train.steps:
            wrong.append("vary.steps has no sense with train.steps: 0, where nothing is trained.")
        smallest = min(self.vary.batch or [self.train.batch])
        if any(norm == "batch" for norm in self.factors.norm) and smallest < 2:
            wrong.append("norm batch needs a batch of at least 2 to take statistics over.")
        return wrong


class Study(Block):
    """The whole config."""

    batteries: Annotated[dict[str, Battery], Field(min_length=1)]
    cohort_flops: Number = 4e11
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    verdicts: bool = True  # false: too small a study to decide a claim (smoke)


def read(path: Path) -> Study:
    """The checked config at ``path``; all that is wrong with it in one :class:`UserError`."""
    return strict_yaml.read(path, Study)


def json_schema() -> str:
    """The JSON schema of a config, for editors."""
    return json.dumps(Study.model_json_schema(), indent=2) + "\n"
