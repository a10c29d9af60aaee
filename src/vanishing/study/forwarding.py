"""How a job of a study finds the process that has loaded what it needs, and has it do the work.

Each job is a process of its own for Snakemake. This one starts within some hundredths of a second,
as it imports next to nothing: it hands its arguments and its three standard streams over a socket
to one of the processes of :mod:`.preloaded`, and waits for the exit status.
"""

from __future__ import annotations

import os

VARIABLE = "VANISHING_PRELOADED"  # names the folder of the sockets
# Which process, by the name of its socket, does which verbs.
TRAINING, STATIONS = "training", "stations"
SERVED = dict.fromkeys(("train", "verify", "predict"), TRAINING) | dict.fromkeys(
    ("gather", "judge", "render", "kernel", "bundle"), STATIONS
)
DIED = 1  # exit status of a job of whose fork nothing is heard: the process that made it died too


def forward(arguments: list[str]) -> int | None:
    """The exit status of ``vanishing ARGUMENTS`` in a fork; None if no process takes it.

    Of a fork that a signal killed it is 128 + the signal, which the process that made it tells.
    """
    folder = os.environ.get(VARIABLE)
    server = SERVED.get(arguments[0]) if arguments else None
    if not folder or server is None:
        return None
    # What socket and signal rest on, and in place of json: those would double this process's time.
    import _socket
    import marshal
    from array import array

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(os.path.join(folder, server))  # noqa: PTH118 - pathlib takes 10 ms
    except OSError:
        connection.close()
        return None
    message = marshal.dumps([arguments, os.getcwd(), dict(os.environ)])  # noqa: PTH109
    streams = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array("i", [0, 1, 2]))
    try:
        connection.sendmsg([len(message).to_bytes(4, "big")], [streams])
        connection.sendall(message)
        _hand_on_signals(connection)
        answer = connection.recv(1)
    except ConnectionError:  # killed while we waited
        answer = b""
    connection.close()
    return answer[0] if answer else DIED


def _hand_on_signals(connection: object) -> None:
    """Have a SIGTERM or Ctrl-C end the fork, which says with what status: no more comes from us."""
    import _signal
    import _socket

    def end(*_: object) -> None:
        try:
            connection.shutdown(_socket.SHUT_WR)
        except OSError:  # the fork has ended by itself
            return

    for number in (_signal.SIGTERM, _signal.SIGINT):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, end)
