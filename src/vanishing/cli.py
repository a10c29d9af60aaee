"""The command line: one verb a station, done here or by a process that has loaded what it needs."""

from __future__ import annotations

import sys

from .study.forwarding import forward


def main(arguments: list[str] | None = None) -> int:
    """The exit status of ``vanishing ARGUMENTS``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    status = forward(arguments)
    if status is None:
        from .verbs import run  # which most jobs of a study never need

        status = run(arguments)
    return status
