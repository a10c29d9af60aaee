"""Times as people say them."""


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
