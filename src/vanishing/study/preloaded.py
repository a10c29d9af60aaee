"""A process that has loaded what training needs, and forks itself for every cohort.

Importing torch and pandas costs each job two seconds, as much as many a cohort's training. A study
on one machine therefore starts this process once; ``vanishing train`` finds it by ``VARIABLE``,
hands its arguments and its three standard streams over a socket, and waits for the exit status.
Without it (Snakemake by hand, a cluster, no Linux) a job trains in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "VANISHING_PRELOADED"  # names the socket
DIED = 1  # exit status of a job whose fork ended without a word
GRACE = 20.0  # seconds that a fork has for its checkpoint, once it is to end
_LENGTH = struct.Struct("!I")


@contextlib.contextmanager
def running(environment: dict[str, str], wanted: bool = True) -> Iterator[dict[str, str]]:
    """Start the process; gives the variables that let jobs find it (none where it is not)."""
    if not wanted or sys.platform != "linux":  # elsewhere a fork after loading torch is not safe
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="vanishing-") as folder:  # a socket's path is short
        path = str(Path(folder) / "socket")
        command = [sys.executable, "-m", "vanishing.study.preloaded", path, str(os.getpid())]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield {VARIABLE: path}
        finally:
            process.kill()
            process.wait()


def forward(arguments: list[str]) -> int | None:
    """The exit status of ``vanishing ARGUMENTS`` in a fork; None if there is no such process."""
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError:
            return None
        request = {"arguments": arguments, "cwd": str(Path.cwd()), "environment": dict(os.environ)}
        message = json.dumps(request).encode()
        socket.send_fds(connection, [_LENGTH.pack(len(message))], [0, 1, 2])
        connection.sendall(message)
        _hand_on_signals(connection)
        answer = connection.recv(1)
    return answer[0] if answer else DIED


def _hand_on_signals(connection: socket.socket) -> None:
    """Have a SIGTERM or Ctrl-C end the fork, which says with what status: no more comes from us."""

    def end(*_: object) -> None:
        with contextlib.suppress(OSError):  # the fork has ended by itself
            connection.shutdown(socket.SHUT_WR)

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def serve(path: str, parent: int) -> None:
    """Listen at ``path`` and fork for each job, until the process ``parent`` is ours no more."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(128)  # jobs that come while we load wait here
        _load()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks report by themselves
        listener.settimeout(1)
        while os.getppid() == parent:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                listener.close()
                _job(connection)
            connection.close()


def _load() -> None:
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import torch  # noqa: F401

    from ..engine import job  # noqa: F401
    from ..provenance import training_code

    training_code([])  # of what is loaded now; kept for every fork


def _job(connection: socket.socket) -> None:
    """Be the job: take its streams, folder and environment, run it, report, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.setblocking(True)
    status = DIED
    try:
        head, streams, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
        for own, given in enumerate(streams):
            os.dup2(given, own)
            os.close(given)
        request = json.loads(_exactly(connection, _LENGTH.unpack(head)[0]))
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        del os.environ[VARIABLE]
        from ..cli import main

        status = main(request["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else DIED
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with contextlib.suppress(OSError):
            connection.sendall(bytes([status]))
        os._exit(status)


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
    serve(sys.argv[1], int(sys.argv[2]))
