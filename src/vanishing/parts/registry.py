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
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
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
        name, given = parsed(label)
        entry = imported(name) if ":" in name else self._entry(name)
        wanted = f"must be a part, {self.part.__name__}, or a function that returns one"
        return made(f"{self.kind} {name!r}", entry, (self.part,), given, wanted)

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
        _refuse_unknown(what, key, known)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{what}: {key} must be a number, and {value!r} came.")
        if not math.isfinite(value):
            raise UserError(f"{what}: {key} must be finite, and {value!r} came.")
    _refuse_missing(what, known, given)
    return {
        key: f"{float(given[key]):.12g}"
        for key, parameter in known.items()
        if key in given and float(given[key]) != parameter.default
    }


def _refuse_unknown(what: str, key: str, known: Mapping) -> None:
    if key not in known:
        takes = unknown("parameter", key, known) if known else f"takes none, and {key!r} came."
        raise UserError(f"{what}: {takes}")


def _refuse_missing(what: str, known: Mapping, given: dict) -> None:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [
        key
        for key, parameter in known.items()
        if parameter.default is parameter.empty
        and parameter.kind not in variadic
        and key not in given
    ]
    if missing:
        raise UserError(f"{what}: needs {', '.join(missing)}.")


def _join(name: str, parameters: dict[str, str]) -> str:
    inside = ", ".join(f"{key}={value}" for key, value in parameters.items())
    return f"{name}({inside})" if inside else name


def parsed(label: str) -> tuple[str, dict[str, float]]:
    """The name that ``label`` holds, and its parameters.

    >>> parsed("leaky_relu(slope=0.2)")
    ('leaky_relu', {'slope': 0.2})
    """
    wrong = f"{label!r} is not the label of a part: name or name(key=value)"
    match = _LABEL.fullmatch(label)
    if not match:
        raise UserError(wrong)
    try:
        call = ast.parse(f"f({match['parameters'] or ''})", mode="eval").body
        given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError):
        raise UserError(wrong) from None
    if call.args or None in given:
        raise UserError(wrong)
    return match["name"], given


def made(
    what: str, entry: object, kinds: tuple[type, ...], given: dict[str, float], wanted: str
) -> object:
    """The part that ``entry`` is, or that it returns, called with what is ``given``."""
    if isinstance(entry, kinds):
        for key in given:
            _refuse_unknown(what, key, {})
        return entry
    if not callable(entry):
        raise UserError(f"{what} is {type(entry).__name__}, and {wanted}.")
    part = _called(what, entry, given)
    if not isinstance(part, kinds):
        raise UserError(f"{what} returns {type(part).__name__}, and {wanted}.")
    return part


def _called(what: str, entry: Callable, given: dict[str, float]) -> object:
    """What ``entry`` returns; a parameter that it lacks or needs, or its failure, in words."""
    try:
        known = inspect.signature(entry).parameters
    except ValueError:  # functions written in C may have none
        raise UserError(f"{what} is {entry!r}, which cannot be called with no value.") from None
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in known.values()):
        for key in given:
            if key not in known:
                has = f"its parameters are: {', '.join(known)}" if known else "it has no parameters"
                raise UserError(f"{what} has no parameter {key!r}; {has}.")
    _refuse_missing(what, known, given)
    try:
        return entry(**given)
    except UserError:
        raise
    except Exception as error:  # a function of the user's own may raise anything
        raise UserError(f"{what}: calling it fails with {_failure(error)}") from error


def _failure(error: Exception) -> str:
    """An error and the line of code that raised it."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({at.filename}, line {at.lineno})"


def imported(name: str) -> object:
    """The object that ``module:attribute`` names."""
    path, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name and f"{path}.".startswith(f"{error.name}."):
            raise UserError(f"{name!r} cannot be imported: {_not_found(path)}") from None
        raise UserError(f"{name!r} cannot be imported: {_failure(error)}") from error
    except Exception as error:  # the module is the user's own, and may raise anything
        raise UserError(f"{name!r} cannot be imported: {_failure(error)}") from error
    if not hasattr(module, attribute):
        names = [known for known in vars(module) if not known.startswith("_")]
        raise UserError(
            f"{name!r} cannot be imported: {unknown('attribute of ' + path, attribute, names)}"
        )
    return getattr(module, attribute)


def _not_found(module: str) -> str:
    return (
        f"no module {module!r} is found. Put {module.split('.')[0]}.py into the folder that you "
        "start from, or on PYTHONPATH."
    )


def source_file(name: str) -> Path | None:
    """The file of a user's own part, ``module:attribute``; None for one of ours."""
    if ":" not in name:
        return None
    spec = importlib.util.find_spec(name.partition(":")[0].partition("(")[0])
    return Path(spec.origin) if spec and spec.origin else None


def own_files(labels: Iterable[object]) -> list[Path]:
    """The files of those of some parts, by label, that are the user's own."""
    return sorted({file for label in set(labels) if (file := source_file(str(label)))})


def _refuse_unimportable(kind: str, name: str) -> None:
    """Look for ``module:attribute`` without running the module, which may import torch."""
    module, _, attribute = name.partition(":")
    try:
        path = source_file(name)
    except ModuleNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise UserError(f"{kind} {name!r}: {_not_found(module)}")
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
