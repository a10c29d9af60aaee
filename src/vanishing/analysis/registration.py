"""Whether the claims were written down before the runs that judge them."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path


def registration(claims: Path, results: Path) -> dict[str, str | bool | None]:
    """The commit of ``claims``, its time, the time of the first run, and which came first.

    ``before_runs`` is None where that cannot be known: outside a checkout, where the file was never
    committed, or where it differs from what was.
    """
    first = _first_run(results)
    known = {"commit": None, "committed": None, "first_run": first, "before_runs": None}
    said = _git(claims, "log", "-1", "--format=%H %cI")
    if not said or _git(claims, "status", "--porcelain"):
        return known
    commit, time = said.split()
    committed = datetime.fromisoformat(time).astimezone(UTC).isoformat(timespec="seconds")
    return known | {
        "commit": commit,
        "committed": committed,
        "before_runs": first is not None and committed < first,
    }


def _first_run(results: Path) -> str | None:
    """When the first cohort that is there was done, in UTC."""
    logs = results / "logs" / "runs"
    times = [file.stat().st_mtime for file in logs.glob("[!.]*.parquet")]
    return datetime.fromtimestamp(min(times), UTC).isoformat(timespec="seconds") if times else None


def _git(file: Path, *arguments: str) -> str | None:
    """What git says of a file; None where there is no git, or no checkout."""
    command = ["git", "-C", str(file.resolve().parent), *arguments, "--", file.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
