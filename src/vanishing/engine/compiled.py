"""Functions of numbers and arrays as machine code, made by numba and kept on disk.

numba makes a function again when its own file has changed, and not when that of another one which
it calls has. The folder is therefore named after the text of all of them, :data:`SOURCES`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numba

HERE = Path(__file__).parent
SOURCES = ("compiled.py", "fast_phi.py", "lanes.py", "*kernels.py")


def exact(function: Callable) -> Callable:
    """The function as machine code: a product and a sum may be rounded once, no sum is reordered.

    NaN and infinity keep their meaning, and a division by 0 gives what it gives in an array.
    """
    return _compiled(function, {"contract"})


def reordered(function: Callable) -> Callable:
    """The same, but sums may be taken in any order, so that several numbers are added at a time."""
    return _compiled(function, {"contract", "reassoc"})


def folder() -> Path | None:
    """Where the machine code is kept, beside the sources or in the user's own cache.

    None where neither can be written to: each process then compiles what it calls.
    """
    beside, own = HERE / "__pycache__", Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    for place in (beside, own.expanduser() / "vanishing"):
        path = place / f"machine-code-{digest()}"
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
    return numba.njit(cache=KEPT, fastmath=fastmath, error_model="numpy")(function)


# What a user has set in NUMBA_CACHE_DIR stays.
if not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = str(folder() or "")
KEPT = bool(numba.config.CACHE_DIR)
