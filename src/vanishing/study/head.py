"""One head a study: the process that runs Snakemake, how it starts and ends, and what it leaves.

Two heads would write the same files. A head holds a lock on ``results/<study>/.running.json`` that
the system frees however it dies; what a killed one left running is stopped. Where other machines
share the folder, a living head is known by its touching the record every half a minute: the file
system's clock alone tells how long ago that was.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from ..errors import UserError
from .index import FILE
from .processes import MARK, stop_below

RECORD = ".running.json"
BEAT = 30  # seconds between two touches of the record by a head
SILENCE = 300  # seconds without one, after which a head on another machine is dead


@dataclass(frozen=True)
class Head:
    """The process at the head of a study."""

    pid: int
    started: float  # seconds since 1970
    host: str
    executor: str = "local"  # of its profile: what may outlive it
    code: str = ""  # fingerprint of all that logs are made by
    since: float = 0.0  # ``started`` by the clock of the file system
    ended: bool = False  # by itself, after all below it had


def head(results: Path) -> Head | None:
    """The head that works on the study now, if one does."""
    last = last_head(results)
    return last if last and not last.ended and alive(last, results) else None


def last_head(results: Path) -> Head | None:
    """The head that began to work on the study last; None where no record tells."""
    try:
        return Head(**json.loads((results / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def alive(last: Head, results: Path) -> bool:
    """Whether a head that has not ended runs still; on another machine, whether it beats.

    Here the lock tells, for when a process began is said by a clock that may have jumped since. A
    recovery holds it too, and is no head: hence the pid.
    """
    import psutil

    if last.host != platform.node():
        return silence(results) < SILENCE
    return _locked(results / RECORD) and psutil.pid_exists(last.pid)


def silence(results: Path) -> float:
    """For how many seconds no head has touched the record, by the clock of the file system."""
    return clock(results) - (results / RECORD).stat().st_mtime


def clock(folder: Path) -> float:
    """What time it is for the file system of ``folder``, in seconds since 1970."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock") as file:
            return Path(file.name).stat().st_mtime
    except OSError:  # a folder that we may only read: the clock of this machine is near enough
        return time.time()


@contextlib.contextmanager
def only_head(
    results: Path,
    patience: float = 5,
    *,
    executor: str = "local",
    code: str = "",
    after: Callable[[Head | None], None] = lambda last: None,
) -> Iterator[Callable[[], None]]:
    """Be the only head of the study in ``results``, after what a dead one left is stopped.

    Another one is given ``patience`` seconds to end, then refuses us (:class:`UserError`). What
    the last head left is shown to ``after``, which may refuse too: its record is kept then. What
    this gives is to be called if what is below us has not ended in order, which an exception is
    anyway: the next head then deals with it as after a death.
    """
    results.mkdir(parents=True, exist_ok=True)
    with held(results, patience) as record:
        after(last_head(results))
        remove_stale_locks(results)
        me = _myself(executor, code, clock(results))
        _write(record, json.dumps(asdict(me)))
        in_order = [True]
        try:
            with _beating(results / RECORD):
                yield in_order.clear
        except BaseException:
            in_order.clear()
            raise
        finally:
            # What cannot be written is dealt with as after a death, too.
            with contextlib.suppress(OSError):
                _write(record, json.dumps(asdict(replace(me, ended=bool(in_order)))))


@contextlib.contextmanager
def held(results: Path, patience: float = 5, *, gone: bool = False) -> Iterator[IO]:
    """The record of a study whose head is dead, locked, with what it left here stopped.

    A head on another machine that beats is alive, unless a person says that it is ``gone``.
    """
    # Made if it is not there, and not emptied if it is.
    with os.fdopen(os.open(results / RECORD, os.O_RDWR | os.O_CREAT, 0o666), "r+") as record:
        _lock(record, results, patience)
        other = last_head(results)
        if other and other.host != platform.node() and head(results) and not gone:
            raise UserError(
                f"{_busy(results, other)} It was alive {max(0, silence(results)):.0f} s ago, and "
                f"counts as dead after {SILENCE} s of silence. If you know that it is gone: "
                f"vanishing recover {config_of(results)} --head-is-gone."
            )
        stop_below(results)
        yield record


def conclude(record: IO, last: Head) -> None:
    """Write down that nothing of a dead head is left, in the record that :func:`held` gives."""
    _write(record, json.dumps(asdict(replace(last, ended=True))))


def config_of(results: Path) -> str:
    """What to call the study in ``results`` on the command line: its config, or else its name."""
    try:
        return str(json.loads((results / FILE).read_text())["config_path"])
    except (OSError, ValueError, KeyError, TypeError):
        return results.name


def remove_stale_locks(results: Path, folder: Path = Path(".snakemake/locks")) -> None:
    """Remove Snakemake's locks on files of this study, which a killed head leaves behind.

    ``snakemake --unlock`` would remove those of every study in the folder, and take seconds.
    """
    inside = f"{results}/"
    for lock in folder.glob("*.lock"):
        ours = any(line.startswith(inside) for line in lock.read_text().splitlines())
        if ours and not _by_hand():
            lock.unlink(missing_ok=True)


def _by_hand() -> bool:
    """Whether somebody runs ``snakemake`` itself in this folder, without a head of ours."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            named = any(
                Path(word).name in ("snakemake", "__main__.py") for word in process.cmdline()[:3]
            )
            if named and Path(process.cwd()) == Path.cwd() and MARK not in process.environ():
                return True
    return False


def _lock(record: IO, results: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                break
        time.sleep(0.1)
    raise UserError(_busy(results, head(results)))


def _locked(record: Path) -> bool:
    """Whether somebody holds the record."""
    try:
        with record.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _busy(results: Path, other: Head | None) -> str:
    who = f"process {other.pid} on {other.host}" if other else "another process"
    return (
        f"{results} is being worked on already, by {who}. Wait until it ends (vanishing status "
        f"{config_of(results)} says how far it is), or stop it: it goes on from there."
    )


def _myself(executor: str, code: str, since: float) -> Head:
    import psutil

    created = psutil.Process().create_time()
    return Head(os.getpid(), created, platform.node(), executor, code, since)


@contextlib.contextmanager
def _beating(record: Path) -> Iterator[None]:
    """Touch ``record`` every :data:`BEAT` seconds, in a thread: whatever the head waits for."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(OSError):  # a network file system that is away for a while
                os.utime(record)

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _write(record: IO, text: str) -> None:
    """Put ``text`` in the place of what the record holds.

    Over it, with spaces up to its end, so that it needs no room on a disk that is full, and a kill
    at any moment leaves the old text or the new one.
    """
    data, before = text.encode(), os.fstat(record.fileno()).st_size
    os.pwrite(record.fileno(), data.ljust(before), 0)
    os.ftruncate(record.fileno(), len(data))
