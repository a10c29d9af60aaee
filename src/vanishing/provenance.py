"""Where a result comes from: a fingerprint of the code, the versions and machine that made it."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from .errors import UserError, unknown
from .files import write_text

HERE = Path(__file__).parent
# Packages whose version can move a number or a picture.
PACKAGES = (
    "vanishing", "torch", "numba", "llvmlite", "numpy", "scipy", "pandas", "pyarrow",
    "scikit-learn", "statsmodels",
    "matplotlib", "seaborn", "papermill", "snakemake", "pypandoc_binary", "typst",
)  # fmt: skip


def fingerprint(
    *parts: str, extra_files: Iterable[str | os.PathLike] = (), packages: Iterable[str] = ()
) -> str:
    """Twelve hex digits that change when the code of ``parts`` does, and not with its comments.

    The hash of the syntax trees of subpackages (``engine``) or modules (``tables``,
    ``theory.slope``), docstrings left out, of ``extra_files``, the user's own parts, and of the
    versions of installed ``packages``.
    """
    files = sorted({Path(extra).resolve() for extra in extra_files})
    return _fingerprint(tuple(sorted(set(parts))), tuple(files), tuple(sorted(set(packages))))


@cache  # Snakemake asks for every job of a rule
def _fingerprint(parts: tuple[str, ...], files: tuple[Path, ...], packages: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for file in _files(part):
            digest.update(f"{file.relative_to(HERE).as_posix()} {_tree(file).digest}\n".encode())
    for file in files:
        digest.update(f"{file.name} {_tree(file).digest}\n".encode())
    for package in packages:
        digest.update(f"{package} {_version(package)}\n".encode())
    return digest.hexdigest()[:12]


def training_code(own_parts: Iterable[str | os.PathLike]) -> str:
    """The fingerprint of all code that the numbers of a run rest on: a change trains it again."""
    formulas = imported("theory", "parts", "engine")
    packages = ["torch", "numba"]
    return fingerprint("parts", "engine", *formulas, extra_files=own_parts, packages=packages)


@cache
def imported(subpackage: str, *parts: str) -> tuple[str, ...]:
    """The modules of ``subpackage`` that ``parts`` import, and those that these import in turn.

    Inside functions too, where an import may stand that would be circular at a module's top.

    >>> imported("theory", "engine.logs"), imported("theory", "parts.spreads")
    (('theory.slope',), ('theory.fixed_points', 'theory.gaussian', 'theory.maps'))
    """
    inside, found = set(_files(subpackage)), set()
    new = {file for part in parts for file in _files(part)}
    while new:
        new = {module for file in new for module in _imports(file)} & inside - found
        found |= new
    names = (file.relative_to(HERE).with_suffix("").parts for file in found)
    return tuple(sorted(".".join(name) for name in names))


def provenance(config_digest: str | None = None) -> dict:
    """Code, versions and machine of this process, ready for JSON: what every table carries."""
    return {
        "code": all_code(),
        **git_state(),
        "config": config_digest,
        "packages": versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **machine(),
        **gpu(),
    }


def git_state() -> dict[str, str | bool | None]:
    """Commit of the code, and whether files differ from it; None outside a checkout.

    As it was when a process first asked, as :func:`all_code`.
    """
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain") if commit else None
    return {"commit": commit or None, "dirty": None if changed is None else bool(changed)}


def all_code() -> str:
    """The fingerprint of all of this package as it was when a process first asked for one.

    What was loaded then is what runs: an edit changes neither it nor what is forked later.
    """
    return fingerprint(*_known())


def versions() -> dict[str, str | None]:
    """The installed version of each package that can move a result; None where it is missing."""
    return {name: _version(name) for name in PACKAGES}


@cache
def machine() -> dict[str, str | int | float]:
    """CPU model, logical cores, and memory in GiB."""
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    return {"cpu": _cpu_model(), "cores": os.cpu_count() or 1, "memory_gib": round(memory, 1)}


def gpu() -> dict[str, str | bool | None]:
    """The GPU that this process used, its driver and CUDA, and how it multiplied.

    All None where none was used; this does not start CUDA, on a GPU that may be another job's.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        names = ("gpu", "driver", "cuda", "compute_capability", "matmul_precision", "tf32")
        return dict.fromkeys(names)
    query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    driver = _output(*query)
    matmul, convolution = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return {
        "gpu": torch.cuda.get_device_name(),
        "driver": driver.splitlines()[0] if driver else None,
        "cuda": torch.version.cuda,
        "compute_capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": matmul or convolution,
    }


def _files(part: str) -> list[Path]:
    path = HERE.joinpath(*part.split("."))
    if path.is_dir() and (path / "__init__.py").exists():
        return sorted(path.rglob("*.py"))
    if path.with_suffix(".py").exists():
        return [path.with_suffix(".py")]
    raise UserError(unknown("part of the code", part, _known(), ", or a module in one"))


def _known() -> list[str]:
    packages = [file.parent.name for file in HERE.glob("*/__init__.py")]
    return sorted(packages + [file.stem for file in HERE.glob("*.py")])


def _imports(file: Path) -> set[Path]:
    """The modules of this package that a module imports by relative imports, as all of it does."""
    found = set()
    for level, module, names in _tree(file).imports:
        source = file.parents[level - 1].joinpath(*module.split("."))
        found |= {source.with_suffix(".py"), source / "__init__.py"}
        found |= {source / f"{name}.py" for name in names}
    return found


class Tree(NamedTuple):
    """What is asked of a module's syntax tree."""

    digest: str  # without comments and docstrings
    imports: list  # relative ones: level, module, names


@cache
def _tree(file: Path) -> Tree:
    """The tree of a module; of one of ours kept beside its bytecode, as parsing takes a while.

    Under a hash of the module and of this one: neither an edit nor another rule finds an old one.
    """
    source = file.read_bytes()
    if HERE not in file.parents:
        return _parsed(source, file)
    key = hashlib.sha256(Path(__file__).read_bytes() + source).hexdigest()
    place = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.tree"
    with suppress(OSError, ValueError):
        kept = json.loads(place.read_text())
        if kept[0] == key:
            return Tree(*kept[1:])
    tree = _parsed(source, file)
    if not sys.dont_write_bytecode:
        with suppress(OSError):
            write_text(place, json.dumps([key, *tree]), durable=False)
    return tree


def _parsed(source: bytes, file: Path) -> Tree:
    parsed, words = ast.parse(source, filename=str(file)), []
    _spell(parsed, words)
    digest = hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()
    imports = [
        [node.level, node.module or "", [n.name for n in node.names]]
        for node in ast.walk(parsed)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    return Tree(digest, imports)


def _spell(node: ast.AST, words: list[str]) -> None:
    """Append the syntax tree without docstrings; ``ast.dump`` says the same at thrice the time."""
    words.append(type(node).__name__)
    for field in node._fields:
        value = getattr(node, field, None)
        if field == "body" and isinstance(value, list) and value and _is_docstring(value[0]):
            value = value[1:]
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                _spell(item, words)
            else:
                words.append(repr(item))
        words.append(f"end {field}")


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    mac = _output("sysctl", "-n", "machdep.cpu.brand_string") if sys.platform == "darwin" else None
    return next(iter(models), mac) or platform.processor() or platform.machine()


@cache
def _git(*arguments: str) -> str | None:
    """What git says of the folder of the code; None if it is no checkout of this project."""
    root = HERE.parent.parent  # an installed copy has no .git there, whatever folder holds it
    return _output("git", "-C", str(root), *arguments) if (root / ".git").exists() else None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
