"""Names for parts, and a good error where a name does not exist.

A part is written in a config as ``tanh``, as ``{gaussian: {sigma_w: 4.0}}``, or as a user's own
``module:attribute``; everywhere else it goes by its label: ``tanh``, ``gaussian(sigma_w=4)``,
``my_parts:snake``. A parameter at its default is left out of the label, so that a new parameter
changes no label that exists.
"""

import ast
import importlib
import importlib.util
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ..errors import UserError, unknown

Part = TypeVar("Part")
_LABEL = re.compile(r"(?P<name>[\w.:]+)(\((?P<parameters>.*)\))?")


class Registry(Mapping[str, Part]):
    """Parts of one kind by label: ``ACTIVATIONS["leaky_relu(slope=0.2)"]``."""

    def __init__(self, kind: str, part: type[Part]) -> None:
        self.kind = kind
        self.part = part
        self.entries: dict[str, Part | Callable[..., Part]] = {}

    def add(self, name: str, entry: Part | Callable[..., Part]) -> None:
        """Register a part, or a function of some parameters that gives one."""
        self.entries[name] = entry

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, label: str) -> Part:
        match = _LABEL.fullmatch(label)
        if not match:
            raise UserError(f"{label!r} is not the label of a part: name or name(key=value)")
        given = _literals(match["parameters"] or "")
        entry = _imported(match["name"]) if ":" in match["name"] else self._entry(match["name"])
        part = entry if isinstance(entry, self.part) else entry(**given)
        if not isinstance(part, self.part):
            raise UserError(
                f"{label!r} is {type(part).__name__}, and must be {self.part.__name__} "
                f"or a function that returns one"
            )
        return part

    def label(self, spec: object) -> str:
        """The label of a part as it is written in a config; refuses what does not exist."""
        if isinstance(spec, str):
            name, given = spec, {}
        elif _is_call(spec):
            [(name, given)] = spec.items()
        else:
            raise UserError(
                f"{spec!r} is no {self.kind}: give a name, {{name: {{key: value}}}}, "
                "or your own as 'module:attribute'"
            )
        if ":" in name:
            _refuse_unimportable(self.kind, name)
            return _join(name, {key: repr(value) for key, value in given.items()})
        entry = self._entry(name)
        known = {} if isinstance(entry, self.part) else inspect.signature(entry).parameters
        return _join(name, _differing(f"{self.kind} {name!r}", known, given))

    def _entry(self, name: str) -> Part | Callable[..., Part]:
        if name not in self.entries:
            own = "; or give your own as 'module:attribute'"
            raise UserError(unknown(self.kind, name, self.entries, own))
        return self.entries[name]


def _is_call(spec: object) -> bool:
    """Whether ``spec`` is {name: {key: value}}."""
    return isinstance(spec, dict) and [type(inside) for inside in spec.values()] == [dict]


def _differing(what: str, known: dict, given: dict) -> dict[str, str]:
    """The parameters in the order of the signature, those at their default left out."""
    for key, value in given.items():
        if key not in known:
            takes = unknown("parameter", key, known) if known else f"takes none, and {key!r} came."
            raise UserError(f"{what}: {takes}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{what}: {key} must be a number, and {value!r} came.")
        if not math.isfinite(value):
            raise UserError(f"{what}: {key} must be finite, and {value!r} came.")
    missing = [k for k, p in known.items() if p.default is p.empty and k not in given]
    if missing:
        raise UserError(f"{what}: needs {', '.join(missing)}.")
    return {
        key: f"{float(given[key]):.12g}"
        for key, parameter in known.items()
        if key in given and float(given[key]) != parameter.default
    }


def _join(name: str, parameters: dict[str, str]) -> str:
    inside = ", ".join(f"{key}={value}" for key, value in parameters.items())
    return f"{name}({inside})" if inside else name


def _literals(parameters: str) -> dict[str, float]:
    call = ast.parse(f"f({parameters})", mode="eval").body
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def _imported(name: str) -> object:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def source_file(name: str) -> Path | None:
    """The file of a user's own part, ``module:attribute``; None for one of ours."""
    if ":" not in name:
        return None
    spec = importlib.util.find_spec(name.partition(":")[0].partition("(")[0])
    return Path(spec.origin) if spec and spec.origin else None


def _refuse_unimportable(kind: str, name: str) -> None:
    """Look for ``module:attribute`` without running the module, which may import torch."""
    module, _, attribute = name.partition(":")
    try:
        path = source_file(name)
    except ModuleNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise UserError(
            f"{kind} {name!r}: no module {module!r} is found. Put {module.split('.')[0]}.py into "
            "the folder that you start from, or on PYTHONPATH."
        )
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {n for node in tree.body for n in _bound(node)}
    if attribute not in names:
        raise UserError(
            f"{kind} {name!r}: {unknown('attribute of ' + str(path), attribute, names)}"
        )


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, ast.ImportFrom | ast.Import):
        return [alias.asname or alias.name for alias in node.names]
    return []
