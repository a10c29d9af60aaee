"""The tasks of a config: what is learned, and where its files are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..errors import unknown
from .fields import Block


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


class Published(Block):
    """A well-known set: its files in ``folder``, or else downloaded once; all samples, or some."""

    folder: str | None = None
    samples: Annotated[int, Field(ge=10)] | None = None
    scale: Literal["sample", "feature"] = "sample"


class Embedded(Block):
    """Data that comes with the packages."""


TASK_SCHEMA = {
    "anyOf": [
        {"enum": ["digits", "mnist", "fashion_mnist", "cifar10"]},
        *(
            {"type": "object", "required": [name], "properties": {name: block.model_json_schema()}}
            for name, block in [
                ("mnist", Published),
                ("fashion_mnist", Published),
                ("cifar10", Published),
                ("idx", Idx),
                ("npz", Npz),
            ]
        ),
    ]
}


class Task(Block):
    """What is learned, under its one key; ``digits`` alone is short for ``{digits: {}}``."""

    digits: Embedded | None = None
    mnist: Published | None = None
    fashion_mnist: Published | None = None
    cifar10: Published | None = None
    idx: Idx | None = None
    npz: Npz | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, given: object) -> object:
        given = {given: {}} if isinstance(given, str) else given
        if not isinstance(given, dict) or len(given) != 1:
            raise ValueError(
                "give one task: digits, mnist, fashion_mnist, cifar10, "
                "{idx: {images: FILE, labels: FILE}} or {npz: {path: FILE}}."
            )
        [(name, block)] = given.items()
        if name not in cls.model_fields:
            raise ValueError(unknown("task", str(name), cls.model_fields))
        return {name: {} if block is None else block}
