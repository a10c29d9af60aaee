"""What Snakemake remembers of a study's logs, and the cohorts that finished behind its back.

A job of a cluster that ends after its head died leaves good logs, and nobody writes down what they
were made by: Snakemake would take them for half written, or overlook a later change of the code.
These cohorts are recorded by Snakemake itself (``--touch``) if they would be made by the same today
as when their head had started (:func:`made_by`); or else they are marked to be made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import UserError
from ..provenance import training_code
from .head import Head
from .processes import environment

FOLDER = Path(".snakemake")
AT_ONCE = 2000  # files in one call of Snakemake: a command line has a longest length
NEAR = 0.01  # seconds by which two readings of one file's time may differ


def made_by(own_parts: Iterable[str | os.PathLike], device: str) -> str:
    """Changes with whatever Snakemake trains a cohort again for: code, tables, device.

    Those are the parameters of the rule ``train`` that do not name a file.
    """
    from ..tables import LOGS

    said = [training_code(own_parts), *(table.signature for table in LOGS.values()), device]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]


def record_finished(
    results: Path, config: str | os.PathLike, last: Head, code: str
) -> tuple[list[str], list[str]]:
    """The cohorts finished behind the back of ``last``: recorded now, or to be made again.

    ``code`` is :func:`made_by` of now; a cohort that was made by another is marked as unfinished.
    """
    from ..tables import LOGS

    if not last.code:  # a record of an older version, which knew neither code nor cluster
        return [], []
    kept, torn = [], []
    for cohort in _since(results / "logs/runs", last.since):
        files = [results / "logs" / name / f"{cohort}.parquet" for name in LOGS]
        if _recorded(results / f"logs/runs/{cohort}.parquet"):  # the one that the rule declares
            continue
        good = code == last.code and all(map(_whole, files))
        (kept if good else torn).append(cohort)
        if not good:
            mark_unfinished(file for file in files if file.exists())
    _touch(results, config, [str(results / f"logs/runs/{cohort}.parquet") for cohort in kept])
    return kept, torn


def mark_unfinished(files: Iterable[Path]) -> None:
    """Have Snakemake make ``files`` again."""
    for file in files:
        marker = record_path("incomplete", file)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps({"external_jobid": None}))


def record_path(kind: str, file: Path) -> Path:
    """Where Snakemake 9 keeps its ``metadata`` of a file, or the mark that it is ``incomplete``.

    Its path in URL-safe base64, in pieces that a folder's entry can have.
    """
    folder = FOLDER / kind
    longest = (os.pathconf(folder, "PC_NAME_MAX") if folder.exists() else 255) or 255
    code = urlsafe_b64encode(str(file).encode()).decode()
    pieces = [code[i : i + longest - 1] for i in range(0, len(code), longest - 1)]
    return folder.joinpath(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1])


def _since(folder: Path, when: float) -> list[str]:
    """The cohorts whose log in ``folder`` is not older than ``when``."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(
            entry.name.removesuffix(".parquet")
            for entry in entries
            if entry.name.endswith(".parquet")
            and not entry.name.startswith(".")  # one that was being written
            and entry.stat().st_mtime >= when - NEAR
        )


def _recorded(file: Path) -> bool:
    """Whether Snakemake knows the file as it is: it writes down when a finished one was changed."""
    if not file.exists() or record_path("incomplete", file).exists():
        return False
    try:
        said = json.loads(record_path("metadata", file).read_text())
        return abs(said["endtime"] - file.stat().st_mtime) <= NEAR
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _whole(file: Path) -> bool:
    """Whether a log can be read, and is newer than the mark that its job was begun."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    marker = record_path("incomplete", file)
    try:
        pq.read_metadata(file)
        return not marker.exists() or file.stat().st_mtime >= marker.stat().st_mtime - NEAR
    except (OSError, pa.ArrowException):
        return False


def _touch(results: Path, config: str | os.PathLike, files: Sequence[str]) -> None:
    """Have Snakemake write down that ``files`` and their rule's others are made by the code of now.

    Only missing or older files count on the way (``mtime``), so that nothing else is recorded.
    """
    for first in range(0, len(files), AT_ONCE):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", *files[first : first + AT_ONCE]),
                *("--touch", "--force", "--nolock", "--ignore-incomplete", "--nocolor"),
                *("--cores", "1", "--scheduler", "greedy", "--rerun-triggers", "mtime"),
                *("--config", f"study={config}"),
            ],
            env=environment(os.environ, results),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            log = results / "recover.log"
            log.write_text(done.stdout + done.stderr)
            raise UserError(f"Snakemake could not record what is finished; why is in {log}.")
