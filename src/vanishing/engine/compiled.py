"""Functions of numbers and arrays as machine code, made by numba and kept on disk.

numba makes a function again when its own file has changed, and not when that of another one which
it calls has. The folder is therefore named after the text of all of them, :data:`SOURCES`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numba
from numba import types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

HERE = Path(__file__).parent
SOURCES = ("compiled.py", "fast_phi.py", "lane*.py", "*kernels.py")


def features_of(processor: str) -> str:
    """What loops may use of a processor with these features, as LLVM spells them.

    Registers of 512 bits as well: LLVM goes by halves of them on Intel's, for the sake of programs
    that use them seldom and would be slowed down by the clock. Here all products use them.
    """
    return f"{processor},-prefer-256-bit" if "+avx512f" in processor.split(",") else processor


if numba.config.CPU_FEATURES is None:  # else NUMBA_CPU_FEATURES says what it shall be
    numba.config.CPU_FEATURES = features_of(get_host_cpu_features())
FEATURES: str = numba.config.CPU_FEATURES


def exact(function: Callable) -> Callable:
    """The function as machine code: a product and a sum may be rounded once, no sum is reordered.

    NaN and infinity keep their meaning, and a division by 0 gives what it gives in an array.
    """
    return _compiled(function, {"contract"})


def reordered(function: Callable) -> Callable:
    """The same, but sums may be taken in any order, so that several numbers are added at a time."""
    return _compiled(function, {"contract", "reassoc"})


@intrinsic
def by_256_bits(typing):  # noqa: ARG001
    """Have the sums of a reordered function, which calls it, the same order on all processors.

    Of those that have registers of 256 bits: longer ones are not used in it.
    """

    def code(context, builder, signature, arguments):  # noqa: ARG001
        of_function = builder.function.attributes
        of_function.add("noinline")  # else it would have those of its caller
        set.add(of_function, '"prefer-vector-width"="256"')  # llvmlite knows no named ones
        return context.get_dummy_value()

    return types.void(), code


def folder(given: str = "") -> Path | None:
    """Where the machine code is kept: in a folder that is ``given``, or else beside the sources.

    Where neither can be written to, in the user's own cache. None where that cannot be either: each
    process then compiles what it calls.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - no home: as it is
    for place in (given, HERE / "__pycache__", Path(cache) / "vanishing"):
        if not place:
            continue
        path = Path(place) / f"machine-code-{digest()}"
        try:
            path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
        except OSError:
            continue
        return path
    return None


def digest() -> str:
    """Twelve hex digits that change with any of the sources."""
    files = sorted({file for pattern in SOURCES for file in HERE.glob(pattern)})
    text = b"".join(file.name.encode() + file.read_bytes() for file in files)
    return hashlib.sha256(text).hexdigest()[:12]


def _compiled(function: Callable, fastmath: set[str]) -> Callable:
    _name_for_good(function)
    made = numba.njit(cache=bool(KEPT), fastmath=fastmath, error_model="numpy")(function)
    if KEPT:
        _write_one_at_a_time(made._cache, KEPT / "lock")
    return made


def _name_for_good(function: Callable) -> None:
    """Have no two functions of one definition the same name, by what they close over.

    numba tells them apart by a number that it counts up in each process. From the disk comes what
    several processes compiled, and of two symbols with one name the linker takes either.
    """
    if not function.__closure__:
        return
    values = [str(cell.cell_contents) for cell in function.__closure__]
    if not all(value.isdigit() for value in values):
        raise TypeError(f"{function.__qualname__} closes over {values}, not whole numbers alone")
    function.__qualname__ += "_".join(["", *values])


def _write_one_at_a_time(cache: object, lock: Path) -> None:
    """Have no two processes write to a function's cache at once.

    numba numbers the files of a function's variants by those that its index names: of two that
    write at once, one may end in a file that the index holds for the other's.
    """
    write = cache.save_overload

    def locked(*what: object) -> None:
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            write(*what)

    cache.save_overload = locked


KEPT = folder(numba.config.CACHE_DIR)
numba.config.CACHE_DIR = str(KEPT or "")
