"""The kernel that notebooks run on: this interpreter, and no settings but the project's own.

It is ``vanishing kernel FILE``: in a study on one machine a fork of a process that has loaded all
that a notebook imports (:mod:`..study.preloaded`), elsewhere a process that loads it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from traitlets.config import Config

NAME = "vanishing"
PARENT = "JPY_PARENT_PID"  # Jupyter's name for the process that a kernel works for
INLINE = "module://matplotlib_inline.backend_inline"  # matplotlib's backend in every kernel
# What executing and drawing import on their way, besides the figures' own modules.
LIBRARIES = (
    "IPython.core.completerlib", "ipykernel.kernelapp", "jupytext", "nbclient", "papermill",
    "matplotlib.backends.backend_svg", "matplotlib_inline.backend_inline", "typst",
)  # fmt: skip


def config(private: Path) -> Config:
    """Settings under which our kernel is spoken to through files, within :func:`clean`."""
    from traitlets.config import Config

    command = [sys.executable, "-m", "vanishing", "kernel", "{connection_file}"]
    # Messages, as a signal would end a fork and not interrupt it.
    said = {
        "argv": command,
        "display_name": NAME,
        "language": "python",
        "interrupt_mode": "message",
    }
    folder = Path(os.environ["JUPYTER_DATA_DIR"]) / "kernels" / NAME
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(said))
    return Config(KernelManager={"transport": "ipc", "connection_file": str(private / "k.json")})


def serve(connection: Path) -> None:
    """Be the kernel of a connection file, until it is told to end or who asked for it is gone."""
    if parent := os.environ.pop(PARENT, None):
        threading.Thread(target=_end_after, args=(int(parent),), daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    # 1: a parent that ipykernel does not watch; that of a fork is not who asked for it.
    arguments = ["-f", str(connection), "--HistoryManager.hist_file=:memory:"]
    IPKernelApp.launch_instance(arguments, parent_handle=1)


def _end_after(process: int) -> None:
    with suppress(ProcessLookupError):
        while True:
            os.kill(process, 0)
            time.sleep(1)
    os._exit(1)


def load() -> None:
    """Import all that a notebook needs, as a kernel would."""
    from .. import figures

    with TemporaryDirectory() as private, clean(Path(private)):
        os.environ["MPLBACKEND"] = INLINE
        for name in (
            *LIBRARIES,
            *(f"vanishing.figures.{m.name}" for m in iter_modules(figures.__path__)),
        ):
            import_module(name)


@contextmanager
def clean(private: Path) -> Iterator[None]:
    """An environment in which a user's own Jupyter, IPython and matplotlib settings do nothing."""
    empty = private / "matplotlibrc"
    empty.touch()
    before = dict(os.environ)
    for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "PYTHONSTARTUP", "MPLBACKEND"):
        os.environ.pop(name, None)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        os.environ[name] = str(private / name.lower())
    os.environ |= {"MATPLOTLIBRC": str(empty), "PYTHONHASHSEED": "0", "JUPYTER_NO_CONFIG": "1"}
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
