"""A real SLURM cluster of one machine: four nodes on loopback, two of them with fake GPUs.

Its daemons run in the foreground as children of the test process, from Debian's packages, in a
temporary folder, on free ports, without systemd, without cgroups, as root or as an ordinary user.
They end with the cluster, and with the test process however that ends. What is left then (steps of
jobs, links in /etc/slurm) is written down in one place, where the next start removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from .slurm_files import ACCOUNT, CPU_NODES, GPU_NODES, GPUS, INIT_SQL, files

PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch")
SYSTEM = Path("/etc/slurm")  # the plugin's inner srun loses SLURM_CONF and looks only here
LINKED = ("slurm.conf", "gres.conf", "cgroup.conf")
MARK = "VANISHING_TEST_CLUSTER"  # in the environment of every daemon and job: its folder
RECORD = Path(tempfile.gettempdir()) / f"vanishing-slurm-{os.getuid()}.json"
PATIENCE = 60  # seconds for a daemon to come up, on a busy machine
TURN = 1800  # seconds for the tests of another process to be done with their cluster
NODES = (*CPU_NODES, *GPU_NODES)


class Unavailable(Exception):  # noqa: N818 - no error
    """Why no cluster can be started on this machine."""


@dataclass
class Cluster:
    """A running cluster; ``environment`` is what its users' commands need."""

    folder: Path
    ports: Mapping[str, int]
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a login node."""
        configuration = str(self.folder / "etc/slurm.conf")
        return {"SLURM_CONF": configuration, MARK: str(self.folder), "PATH": _path()}

    def command(self, *words: str) -> str:
        """What one of SLURM's commands prints."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout.strip()

    def start(self, name: str, *words: str) -> None:
        """Start a daemon that dies with us, and note it for the next start."""
        with (self.folder / f"log/{name}.out").open("a") as log:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        _note(self.folder, self.daemons.values())

    def start_node(self, name: str) -> None:
        """Start the slurmd of a node; :meth:`wait_for_nodes` says when it is there."""
        self.start(f"slurmd-{name}", "slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """Cut a node's power: SIGKILL to its slurmd and all processes of its jobs.

        Those that mind jobs come first: else one may still report how a job has died.
        """
        self.daemons[f"slurmd-{name}"].kill()
        self.daemons.pop(f"slurmd-{name}").wait()
        of_jobs = marked(self.folder, SLURMD_NODENAME=name)
        parents = [parent for process in of_jobs if (parent := _parent(process))]
        minders = [parent for parent in parents if parent.name() == "slurmstepd"]
        for process in (*minders, *of_jobs):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def wait_for_nodes(self) -> None:
        """Wait until every node takes jobs."""
        wait_until(lambda: not self._down(), f"the nodes of {self.folder}")

    def _down(self) -> list[str]:
        states = dict(line.split() for line in self.command("sinfo", "-hNo", "%N %t").splitlines())
        return [node for node in NODES if states.get(node) not in ("idle", "mix", "alloc", "comp")]


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> object:
    """The first value of ``condition`` that is true; TimeoutError after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError, OSError):
            if found := condition():
                return found
        time.sleep(0.2)
    raise TimeoutError(f"{what} did not come within {patience} s")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Start a cluster in ``folder``, and end it; one at a time on a machine.

    :class:`Unavailable` where packages are missing or /etc/slurm is not ours to write.
    """
    check()
    with _only_one():
        remove_leftovers()
        _check_links()
        cluster = Cluster(folder, _free_ports("ctld", "dbd", "mariadb", *NODES))
        try:
            _start(cluster)
            yield cluster
        finally:
            remove_leftovers()
            for daemon in cluster.daemons.values():
                daemon.wait()


def check() -> None:
    """Refuse with the reason where no cluster can be started."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}; .ci/run lists the packages")
    if not os.access(SYSTEM, os.W_OK):
        raise Unavailable(f"{SYSTEM} is not writable, and Snakemake's SLURM plugin reads it")


def marked(folder: Path, **variables: str) -> list[psutil.Process]:
    """Processes of the cluster in ``folder`` that have these variables too.

    They are read from /proc: slurmstepd writes its title over the first, and psutil then sees none.
    """
    wanted, found = {f"{k}={v}".encode() for k, v in {MARK: folder, **variables}.items()}, []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            theirs = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            if wanted <= set(theirs) and process.pid != os.getpid():
                found.append(process)
    return found


def remove_leftovers() -> None:
    """End all processes of the last cluster that is written down, and remove its links."""
    try:
        last = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return
    folder = Path(last["folder"])
    daemons = []
    for pid, started in last["daemons"]:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if abs(process.create_time() - started) < 1:
                daemons.append(process)
    # Slurmds first: they would report what dies. The jobs have the folder in their environment.
    for process in [*reversed(daemons), *marked(folder)]:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(daemons, timeout=PATIENCE)
    for link in (SYSTEM / name for name in LINKED):
        if link.is_symlink() and link.readlink().is_relative_to(folder):
            link.unlink()
    RECORD.unlink()


def _start(cluster: Cluster) -> None:
    for name in ("etc", "run", "log", "state", "dev", "munge", "mysql"):
        (cluster.folder / name).mkdir(parents=True, mode=0o700)
    for number in range(GPUS):  # slurmd wants a device: a link to one will do, and needs no root
        (cluster.folder / f"dev/nvidia{number}").symlink_to("/dev/null")
    for name, text in files(cluster.folder, cluster.ports, getpass.getuser()).items():
        path = cluster.folder / "etc" / name
        path.touch(mode=0o600)
        path.write_text(text)
    _start_munge(cluster)
    _start_accounting(cluster)
    _note(cluster.folder, cluster.daemons.values())
    for name in LINKED:
        (SYSTEM / name).unlink(missing_ok=True)
        (SYSTEM / name).symlink_to(cluster.folder / "etc" / name)
    cluster.start("slurmctld", "slurmctld", "-D")
    _wait_for_port(cluster, "ctld")
    for node in NODES:
        (cluster.folder / "state" / node).mkdir()
        cluster.start_node(node)
    cluster.wait_for_nodes()


def _start_munge(cluster: Cluster) -> None:
    key = cluster.folder / "munge/key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    run = cluster.folder / "run"
    cluster.start(
        "munged", "munged", "--foreground", "--force", f"--key-file={key}",
        f"--socket={run / 'munge'}", f"--pid-file={run / 'munged.pid'}",
        f"--log-file={cluster.folder / 'log/munged.log'}",
        f"--seed-file={cluster.folder / 'munge/seed'}",
    )  # fmt: skip
    wait_until(lambda: cluster.command("munge", "-n", "-S", str(run / "munge")), "munged")


def _start_accounting(cluster: Cluster) -> None:
    """MariaDB, slurmdbd on it, and an account for this user."""
    data, user = cluster.folder / "mysql", getpass.getuser()
    small = ("--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0")
    cluster.command(
        "mariadb-install-db", "--no-defaults", f"--user={user}", f"--datadir={data}",
        "--auth-root-authentication-method=normal", "--skip-test-db", *small,
    )  # fmt: skip
    (cluster.folder / "etc/init.sql").write_text(INIT_SQL)
    cluster.start(
        "mariadbd", "mariadbd", "--no-defaults", f"--user={user}", f"--datadir={data}",
        f"--socket={data / 'socket'}", f"--port={cluster.ports['mariadb']}",
        "--bind-address=127.0.0.1", f"--init-file={cluster.folder / 'etc/init.sql'}",
        "--skip-name-resolve=OFF", "--innodb-buffer-pool-size=64M",
        "--innodb-lock-wait-timeout=900", "--skip-log-bin", *small,
    )  # fmt: skip
    _wait_for_port(cluster, "mariadb")
    cluster.start("slurmdbd", "slurmdbd", "-D")
    _wait_for_port(cluster, "dbd")
    add = ("sacctmgr", "-i", "add")
    cluster.command(*add, "cluster", "loopback")
    cluster.command(*add, "account", ACCOUNT)
    cluster.command(*add, "user", user, f"account={ACCOUNT}", f"defaultaccount={ACCOUNT}")


def _wait_for_port(cluster: Cluster, name: str) -> None:
    address = ("127.0.0.1", cluster.ports[name])
    wait_until(lambda: socket.create_connection(address, 1).close() is None, name)


def _free_ports(*names: str) -> dict[str, int]:
    with contextlib.ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in names}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in sockets.items()}


def _check_links() -> None:
    for path in (SYSTEM / name for name in LINKED):
        if path.exists():  # a link that leads nowhere may be replaced
            raise Unavailable(f"{path} is there: this machine has a cluster of its own")


@contextlib.contextmanager
def _only_one() -> Iterator[IO]:
    """Wait until no other test process has a cluster: there is one /etc/slurm."""
    with RECORD.with_suffix(".lock").open("w") as lock:
        wait_until(lambda: _taken(lock), "the end of another test's cluster", TURN)
        yield lock


def _taken(lock: IO) -> bool:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError while another process has it
    return True


def _note(folder: Path, daemons: object) -> None:
    """Write down what runs, for :func:`remove_leftovers`."""
    known = []
    for daemon in daemons:
        with contextlib.suppress(psutil.Error):
            known.append([daemon.pid, psutil.Process(daemon.pid).create_time()])
    RECORD.write_text(json.dumps({"folder": str(folder), "daemons": known}))


def _parent(process: psutil.Process) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        return process.parent()
    return None


def _path() -> str:
    """Where programs are: the daemons lie in sbin, which a user's PATH need not have."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
