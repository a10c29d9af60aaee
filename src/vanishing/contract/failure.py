"""A part that fails while it is checked breaks its contract too."""

from __future__ import annotations

from collections.abc import Iterator


def told(problems: Iterator[str]) -> Iterator[str]:
    """``problems``, and where the part's own code raises, what it raised."""
    try:
        yield from problems
    except Exception as error:  # the part may be anybody's, and may raise anything
        first, *_ = str(error).strip().splitlines() or [""]
        yield f"it fails with {type(error).__name__}: {first}"
