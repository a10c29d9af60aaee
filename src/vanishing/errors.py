"""What a user can have got wrong, told apart from what we got wrong."""

import difflib
import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


class UserError(Exception):
    """A mistake in what a user gave: shown without a traceback, exit status 2."""


def unknown(kind: str, name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The message for a name that does not exist: what came, the nearest name, all names.

    >>> unknown("norm", "bacth", ["none", "batch", "layer"])
    "no norm is called 'bacth'. Did you mean 'batch'? Known: batch, layer, none."
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"no {kind} is called {name!r}.{hint} Known: {', '.join(known)}{otherwise}."


def whole(what: str, value: float, low: int) -> None:
    """Refuse a ``value`` that is no whole number, or one below ``low``."""
    if value < low or not float(value).is_integer():
        raise UserError(f"{what} must be a whole number from {low} on, and {value:g} came.")


def within(what: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    """Refuse a ``value`` outside [low, high); or (low, high) where it is ``open_low``."""
    if not (low < value if open_low else low <= value) or not value < high:
        bracket = "(" if open_low else "["
        upper = "" if high == float("inf") else f"{high:g}"
        allowed = (
            f"in {bracket}{low:g}, {upper})"
            if upper
            else (f"above {low:g}" if open_low else f"{low:g} or more")
        )
        raise UserError(f"{what} must be {allowed}, and {value:g} came.")


def of_disk(error: OSError) -> str | None:
    """What to tell a user of a file that the disk does not take; None of any other error.

    >>> of_disk(OSError(errno.EROFS, "", "results/a/plan.json")).partition(". ")[0]
    'results/a/plan.json cannot be opened or written: Read-only file system'
    """
    file = str(error.filename or "a file")
    if error.errno in _FULL:
        room = _free(Path(file))
        return (
            f"{os.strerror(error.errno)}: {file} could not be written{room}. What is finished is "
            "kept: make room, and start again."
        )
    if error.errno in _CLOSED:
        return (
            f"{file} cannot be opened or written: {os.strerror(error.errno)}. A study writes into "
            "its folder: give yourself the right to (ls -l, mount), or work on a copy."
        )
    return None


def _free(file: Path) -> str:
    """How much room is left beside a file, as words."""
    there = next((folder for folder in file.parents if folder.is_dir()), Path())
    usage = shutil.disk_usage(there)
    return f", with {usage.free / 2**20:,.1f} of {usage.total / 2**20:,.1f} MiB free on its disk"
