"""YAML that remembers which line a value came from, so that an error can point at it."""

import re
from pathlib import Path

import yaml

from ..errors import UserError

Lines = dict[tuple, int]  # path of keys and positions -> line, counted from 1


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


def line_of(lines: Lines, where: tuple) -> int:
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
