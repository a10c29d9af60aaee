"""Processes that have loaded what a study's jobs need, and fork themselves for each of them.

Importing torch and pandas costs a job more than a second, as much as many a cohort's training, and
what a notebook imports takes as long. A study on one machine therefore loads them once: a process
for what trains (and for what predicts or verifies, whose forks load the rest), and another, forked
from it, that has the libraries of tables, figures and notebooks too. ``vanishing VERB`` finds them
by their sockets, see :mod:`.forwarding`. Without them (Snakemake by hand, a cluster, no Linux) a
job does its work in a process of its own.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ..lazy import loading
from . import slots
from .forwarding import DIED, STATIONS, TRAINING, VARIABLE

GRACE = 20.0  # seconds that a fork has for its checkpoint, once it is to end
IDLE = 0.2  # seconds without a new job after which a core has time for what stations need
SHORT = "/tmp"  # a socket's path has 107 characters at most, and TMPDIR may be longer


@contextlib.contextmanager
def running(
    environment: dict[str, str],
    wanted: bool = True,
    at_once: bool = True,
    families: Collection[str] = (),
) -> Iterator[dict[str, str]]:
    """Start the processes; gives the variables that let jobs find them (none where they are not).

    They load ``at_once``, or when a first job comes: there may be none. Compiled loops are loaded
    for the ``families`` of networks that will be trained. Where no socket can be made, jobs go
    without the processes.
    """
    if not wanted or sys.platform != "linux":  # elsewhere a fork after loading torch is not safe
        yield {}
        return
    short = SHORT if Path(SHORT).is_dir() else None
    with contextlib.ExitStack() as stack:
        variables = {}
        with contextlib.suppress(OSError):
            made = tempfile.TemporaryDirectory(prefix="vanishing-", dir=short)
            folder = stack.enter_context(made)
            process = _start(Path(folder), environment, at_once, families)
            stack.callback(process.wait)
            stack.callback(process.kill)
            variables = {VARIABLE: folder}
        yield variables


def _start(
    folder: Path, environment: dict[str, str], at_once: bool, families: Collection[str]
) -> subprocess.Popen:
    """The first process. Its sockets listen before it does: no job comes too early."""
    with contextlib.ExitStack() as stack:
        listeners = []
        for name in (TRAINING, STATIONS):
            listeners.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
            listeners[-1].bind(str(folder / name))
            listeners[-1].listen(128)
        handles = [listener.fileno() for listener in listeners]
        # The folder is among the words by which a person finds the process.
        words = [str(folder), str(os.getpid()), *map(str, handles), "now" if at_once else "later"]
        words += [",".join(sorted(families))]
        return subprocess.Popen(
            [sys.executable, "-m", "vanishing.study.preloaded", *words],
            env={**environment, "PYTHONHASHSEED": "0"},  # as a notebook's kernel has it
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=handles,
        )


def serve(
    training: socket.socket,
    stations: socket.socket,
    parent: int,
    at_once: bool,
    families: Collection[str],
) -> None:
    """Load, and fork for each job, until the process ``parent`` is ours no more.

    Who trains does not wait for what stations need: another fork loads that once one of them asks,
    or a core has nothing to do.
    """
    if not at_once and not _asked([training, stations], parent):
        return
    with loading():
        _load(families)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, no fork's end could be told
    here = os.getpid()
    if _answer(training, parent, stations):
        training.close()
        with loading():
            _load_stations()
        _answer(stations, here)


def _asked(listeners: Sequence[socket.socket], parent: int) -> bool:
    """Wait for a first job; whether one came before the process ``parent`` ended."""
    while os.getppid() == parent:
        if select.select(listeners, [], [], 1)[0]:
            return True
    return False


def _answer(listener: socket.socket, parent: int, beside: socket.socket | None = None) -> bool:
    """Fork for each job that comes, until the process ``parent`` is ours no more.

    True in a fork that is to answer ``beside``, made when a job has come there, or when none has
    come for a while and fewer are at work than there are cores.
    """
    forks: dict[int, socket.socket] = {}  # who waits for each
    while os.getppid() == parent:
        _tell_ends(forks)
        listeners = [listener] if beside is None else [listener, beside]
        ready, _, _ = select.select(listeners, [], [], 1 if beside is None else IDLE)
        if listener in ready:
            connection, _ = listener.accept()
            if (fork := os.fork()) == 0:
                for other in (*listeners, *forks.values()):
                    other.close()
                _job(connection)
            forks[fork] = connection
        elif ready or (beside and len(forks) < slots.cores()):
            if os.fork() == 0:
                for other in forks.values():
                    other.close()
                return True
            beside.close()
            beside = None
    return False


def _tell_ends(forks: dict[int, socket.socket]) -> None:
    """Tell who waits for a fork that has ended how it did: 128 + the signal that killed it.

    A fork that has answered was heard first, and nobody listens any more.
    """
    for fork in list(forks):
        ended, how = os.waitpid(fork, os.WNOHANG)
        if not ended:
            continue
        status = os.waitstatus_to_exitcode(how)
        with forks.pop(fork) as connection, contextlib.suppress(OSError):
            connection.sendall(bytes([128 - status if status < 0 else status]))


def _load(families: Collection[str]) -> None:
    """What training needs. No gradient is computed: threads are not forked."""
    import pandas  # noqa: F401
    import psutil  # noqa: F401
    import pyarrow.pandas_compat
    import pyarrow.parquet  # noqa: F401
    import torch  # noqa: F401

    from .. import provenance, verbs
    from ..engine import compiled_statistics, job, moves, sum_kernels, updates  # noqa: F401
    from ..parts import tasks

    sum_kernels.load()
    updates.load()
    moves.load()
    for family in {"mlp", "cnn", "rnn", "gan"}.intersection(families):
        _load_loops_of(family)
    tasks.load({"kind": "digits"})  # this and what follows is kept for every fork
    provenance.training_code([])
    provenance.provenance()
    verbs.command_line()
    _write_a_table()


def _load_loops_of(family: str) -> None:
    """The compiled loops that networks of a family are trained and looked at with."""
    from ..engine import chain, convolution, fused_recurrent, products, quality

    loops = {
        "mlp": (chain,),
        "gan": (chain, quality),
        "rnn": (fused_recurrent,),
        "cnn": (convolution, products),
    }
    for made in loops[family]:
        made.load()
    if family == "cnn":  # torch compares the shapes of the gradients that a probe starts from by it
        import torch.fx.experimental.symbolic_shapes  # noqa: F401 - and it brings sympy


def _write_a_table() -> None:
    """The first frame and file of a process take some hundredths of a second more than others."""
    import numpy as np

    from ..tables import RUN_LOG

    columns = RUN_LOG.columns.items()
    row = {n: np.array(["" if c.dtype == "string" else 0], dtype=object) for n, c in columns}
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as folder:
        RUN_LOG.write(RUN_LOG.frame(row), Path(folder) / "runs.parquet")


def _load_stations() -> None:
    """What the tables, claims, figures, notebooks and the paper need besides."""
    from ..analysis import gather, study  # noqa: F401
    from ..report import bundle, catalogue, kernel, paper, sources  # noqa: F401

    kernel.load()


def _job(connection: socket.socket) -> None:
    """Be the job: take its streams, folder and environment, run it, report, and end."""
    connection.setblocking(True)
    status = DIED
    try:
        head, streams, _, _ = socket.recv_fds(connection, 4, 3)
        for own, given in enumerate(streams):
            os.dup2(given, own)
            os.close(given)
        message = _exactly(connection, int.from_bytes(head, "big"))
        arguments, cwd, environment = marshal.loads(message)
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None  # the job's own, and not the one that was looked up here
        from ..verbs import run

        status = run(arguments)
    except SystemExit as end:
        status = status_of(end)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # what was said is lost, as on a full disk: no success
                status = status or DIED
        with contextlib.suppress(OSError):
            connection.sendall(bytes([status & 255]))
        os._exit(status & 255)


def status_of(end: SystemExit) -> int:
    """The exit status that a process of its own has after ``end``: a text is shown, and is 1."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 255
    print(end.code, file=sys.stderr)  # noqa: T201
    return 1


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = b""
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise ConnectionError("the job that asked is gone")
        parts += part
    return parts


def _end_with(connection: socket.socket) -> None:
    """End this job when the process that asked for it ends, or asks for it: Snakemake killed it.

    As SIGTERM does, which lets a training write its checkpoint; and at once after some seconds.
    """
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(DIED)


if __name__ == "__main__":
    _, _, parent, *handles, when, trained = sys.argv
    both = (socket.socket(fileno=int(n)) for n in handles)
    serve(*both, int(parent), when == "now", trained.split(","))
