"""The kinds of fields that a config has: parts by label, axes, rates; no value is converted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ..errors import UserError
from ..parts.activations import ACTIVATIONS
from ..parts.games import GAMES
from ..parts.inits import INITS
from ..parts.losses import LOSSES
from ..parts.norms import NORMS
from ..parts.optimizers import OPTIMIZERS
from ..parts.recurrences import RECURRENCES
from ..parts.registry import Registry
from ..parts.residuals import RESIDUALS
from ..parts.schedules import CLIPS, SCHEDULES
from ..strict_yaml import Strict


class Block(Strict):
    """A block of the config: no value is converted, "3" is no number."""

    model_config = ConfigDict(strict=True)


def _part(registry: Registry) -> object:
    """A field that holds a part: checked, and turned into its label."""

    def label(spec: object) -> str:
        try:
            found = registry.label(spec)
            if ":" not in found:  # the user's own may import torch
                registry[found]  # refuses values that a part can't have
            return found
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


def axis(item: object) -> object:
    """A list of at least one ``item``, each of them once."""
    return Annotated[list[item], Field(min_length=1), AfterValidator(_no_twins)]


def _rates(given: object) -> object:
    """A rate alone is fixed, a list is tuned over: as tuples of one and of several floats."""
    if isinstance(given, list) and len(given) < 2:
        raise ValueError(
            "a list of rates is tuned over: give two or more, or one without brackets."
        )
    return [as_float(rate) for rate in given] if isinstance(given, list) else [as_float(given)]


def as_float(value: object) -> object:
    """A whole number as a float; all else as it came."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Positive = Annotated[int, Field(ge=1)]
Number = Annotated[float, BeforeValidator(as_float), Field(gt=0, allow_inf_nan=False)]
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
ScheduleName = _part(SCHEDULES)
ClipName = _part(CLIPS)
LossName = _part(LOSSES)
RecurrenceName = _part(RECURRENCES)
GameName = _part(GAMES)
Position = Literal["before", "after"]
Padding = Literal["zero", "circular"]
Players = Literal["mlp", "cnn"]
Generator = Literal["live", "fixed"]
Normed = Literal["both", "generator", "discriminator"]
NotNegative = Annotated[int, Field(ge=0)]
Noise = Annotated[float, BeforeValidator(as_float), Field(ge=0, allow_inf_nan=False)]
