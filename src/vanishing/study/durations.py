"""Times as people say them."""

from ..errors import UserError

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> [duration(s) for s in (4.2, 75, 3720, 200_000, 9e6)]
    ['4 s', '1 min 15 s', '1 h 2 min', '55 h 33 min', '104 days']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    if minutes < 100 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60):,} days"


def seconds(text: str) -> float:
    """A time that a person gave, in seconds.

    >>> [seconds(text) for text in ("90s", "30m", "1.5h", "2d")]
    [90.0, 1800.0, 5400.0, 172800.0]
    """
    number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text.strip().removeprefix(number).strip()
    try:
        given = float(number) * UNITS[unit]
    except (ValueError, KeyError):
        given = -1
    if not 0 <= given < float("inf"):
        raise UserError(f"a time is a number with its unit, as 90s, 30m, 2h or 1d; {text!r} came.")
    return given
