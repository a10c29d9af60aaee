"""What a user can have got wrong, told apart from what we got wrong."""

import difflib
from collections.abc import Iterable


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
