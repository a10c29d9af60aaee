"""YAML files read into strict models: all that is wrong at once, each with its line."""

import re
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import UserError, unknown

Lines = dict[tuple, int]  # path of keys and positions -> line, counted from 1


class Strict(BaseModel):
    """A block of a file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Strict)


def read(path: Path, model: type[Model]) -> Model:
    """The checked content of the file ``path``; all its mistakes in one :class:`UserError`."""
    data, lines = load(path)
    if not isinstance(data, dict):
        keys = ", ".join(model.model_fields)
        raise UserError(f"{path} must be a mapping, with keys of: {keys}.")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        messages = [_message(path, lines, model, e) for e in error.errors()]
        raise UserError("\n".join(dict.fromkeys(messages))) from None


def _message(path: Path, lines: Lines, model: type[Strict], error: dict) -> str:
    place = _place(error["loc"], lines)
    if error["type"] == "extra_forbidden":
        text = unknown("key", str(place[-1]), _keys(model, place[:-1]))
    elif error["type"] == "missing":
        place, text = (*place, error["loc"][-1]), "this key is missing"
    elif error["type"] == "value_error":
        text = str(error["ctx"]["error"])
    else:
        text = f"{error['msg']}, and {_shown(error['input'])} came"
    at = f"{path}:{_line_of(lines, place)}: {_dotted(place)}"
    return "\n".join(f"{at}: {one}" for one in text.splitlines())


def _place(location: tuple, lines: Lines) -> tuple:
    """``location`` without the names that pydantic adds for the branches of a union."""
    place: tuple = ()
    for step in location:
        if (*place, step) in lines:
            place = (*place, step)
    return place


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _dotted(place: tuple) -> str:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "the file"


def _keys(model: type[Strict], place: tuple) -> list[str]:
    """The keys that exist at ``place``: of the model that the fields on the way lead to."""
    for step in place:
        if isinstance(step, str) and step in model.model_fields:  # else a name or a position
            model = next(iter(_models(model.model_fields[step].annotation)), model)
    return list(model.model_fields)


def _models(annotation: object) -> list[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's floats: 1e-3 is a number (YAML 1.1 reads it as text)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def load(path: Path) -> tuple[object, Lines]:
    """The data of a YAML file, and the line of each of its values."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: Lines = {}
        if node is not None:
            _walk(node, (), lines, path)
        return (loader.construct_document(node) if node is not None else None), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{path}:{mark.line + 1 if mark else 1}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: {error}") from None
    finally:
        loader.dispose()


def _line_of(lines: Lines, where: tuple) -> int:
    """The line of the value at ``where``, or of the nearest value that encloses it."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)


def _walk(node: yaml.Node, where: tuple, lines: Lines, path: Path) -> None:
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            _walk(item, (*where, position), lines, path)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inside = (*where, key.value)
            if inside in lines:
                raise UserError(
                    f"{path}:{key.start_mark.line + 1}: the key {key.value!r} stands twice "
                    f"(first in line {lines[inside]}); give it once."
                )
            lines[inside] = key.start_mark.line + 1
            _walk(value, inside, lines, path)
