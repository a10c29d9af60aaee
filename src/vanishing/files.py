"""Files that are there whole or not at all: a process may be killed at any moment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path


class atomic:  # noqa: N801 - used as a function
    """A temporary path beside ``path`` that becomes ``path`` when the block ends without error.

    One of many files need not be ``durable`` by itself, if all are before anything relies on them.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        self.path, self.durable = Path(path), durable

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        os.close(handle)
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: type | None, error: BaseException | None, *_: object) -> None:
        if kind is not None:
            self._fail(error)
            return
        try:
            if self.durable:
                _to_disk(self.temporary, self.path)
            self.temporary.chmod(0o666 & ~_umask())
            self.temporary.replace(self.path)
        except OSError as refused:
            self._fail(refused)
            raise

    def _fail(self, error: BaseException | None) -> None:
        self.temporary.unlink(missing_ok=True)
        _name(error, self.path)


def make_durable(paths: Collection[Path]) -> None:
    """Have the disk take files that were written without, all in the time that one takes."""
    from concurrent.futures import ThreadPoolExecutor  # which who parses the Snakefile needs not

    with ThreadPoolExecutor(len(paths)) as threads:
        list(threads.map(_to_disk, paths, paths))


def _to_disk(path: Path, name: Path) -> None:
    """Have the disk take the file at ``path``, which goes by the ``name``."""
    with path.open("rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as refused:
            _name(refused, name)
            raise


def _name(error: BaseException | None, path: Path) -> None:
    """Note which file an error is of: a full disk does not say which one it refused."""
    if isinstance(error, OSError) and error.errno and error.filename is None:
        error.filename = str(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Write ``text`` to ``path`` at once or not at all."""
    with atomic(path, durable) as temporary:
        temporary.write_text(text, encoding="utf-8")
