"""The tasks of a config: what is learned, and where its files are."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..errors import unknown
from .fields import Block, Number, as_float


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
    sequence: bool | None = None  # x is (samples, steps) or (samples, steps, features)
    name: str | None = None


class Published(Block):
    """A well-known set: its files in ``folder``, or else downloaded once; all samples, or some."""

    folder: str | None = None
    samples: Annotated[int, Field(ge=10)] | None = None
    scale: Literal["sample", "feature"] = "sample"


class Embedded(Block):
    """Data that comes with the packages."""


class Labelled(Embedded):
    """Such data with labels, which ``shuffled`` deals out anew, so that they say nothing."""

    shuffled: Annotated[bool | None, AfterValidator(lambda given: given or None)] = None


class Generated(Block):
    """Samples that are made: how many."""

    samples: Annotated[int, Field(ge=10)] | None = None


class Noisy(Generated):
    """Samples with noise in them, of this size."""

    noise: Annotated[float, BeforeValidator(as_float), Field(ge=0)] | None = None


class Ring(Generated):
    """Gaussians on a circle."""

    modes: Annotated[int, Field(ge=2)] | None = None
    sd: Number | None = None


class Text(Generated):
    """A text of the user's own, or ours."""

    path: str | None = None
    name: str | None = None


class Task(Block):
    """What is learned, under its one key; ``digits`` alone is short for ``{digits: {}}``."""

    digits: Labelled | None = None
    mnist: Published | None = None
    fashion_mnist: Published | None = None
    cifar10: Published | None = None
    idx: Idx | None = None
    npz: Npz | None = None
    adding: Generated | None = None
    temporal_order: Generated | None = None
    copy_memory: Generated | None = None
    noisy_majority: Noisy | None = None
    pixel_digits: Generated | None = None
    text: Text | None = None
    agreement: Generated | None = None
    transduction: Generated | None = None
    ring: Ring | None = None
    swiss_roll: Noisy | None = None
    xor: Noisy | None = None
    two_spirals: Noisy | None = None
    fine_and_coarse: Embedded | None = None
    faint_blob: Generated | None = None
    breast_cancer: Embedded | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, given: object) -> object:
        given = {given: {}} if isinstance(given, str) else given
        if not isinstance(given, dict) or len(given) != 1:
            raise ValueError(
                f"give one task: {', '.join(cls.model_fields)}; one with settings of its own as "
                "{idx: {images: FILE, labels: FILE}} or {npz: {path: FILE}}."
            )
        [(name, block)] = given.items()
        if name not in cls.model_fields:
            raise ValueError(unknown("task", str(name), cls.model_fields))
        return {name: {} if block is None else block}


def _schema() -> dict:
    """The JSON schema of a task: a name alone, or one with its settings."""
    blocks = {
        name: next(kind for kind in get_args(field.annotation) if kind is not type(None))
        for name, field in Task.model_fields.items()
    }
    alone = [
        n for n, b in blocks.items() if not any(f.is_required() for f in b.model_fields.values())
    ]
    return {
        "anyOf": [
            {"enum": alone},
            *(
                {"type": "object", "required": [n], "properties": {n: block.model_json_schema()}}
                for n, block in blocks.items()
                if block.model_fields
            ),
        ]
    }


TASK_SCHEMA = _schema()
