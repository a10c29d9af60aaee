"""A process that has loaded torch serves the jobs of a study by forking itself."""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pytest
from benchmarks.speed_cells import CELLS
from benchmarks.speed_cells import cohort_of as cohort_of_cell

from vanishing.lazy import loading
from vanishing.study import plan, preloaded
from vanishing.tables import LAYERS, RUN_LOG

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks after loading torch")
NOTEBOOK = """
# %% tags=["parameters"]
results = ""

# %%
import os
from pathlib import Path

import matplotlib.figure

print("drawn by", matplotlib.get_backend())
with Path(results, "parents").open("a") as file:
    print(os.getppid(), file=file)
matplotlib.figure.Figure()
"""
TRAINED = """
import json, sys
from vanishing.study import preloaded
preloaded._load({sys.argv[1]})
from numba.core.dispatcher import Dispatcher
from vanishing.engine import job
def there():
    modules = [module for name, module in sys.modules.items() if name.startswith("vanishing.")]
    loops = [loop for m in modules for loop in vars(m).values() if isinstance(loop, Dispatcher)]
    return {*sys.modules, *(f"{loop}{made}" for loop in loops for made in loop.signatures)}
before = there()
job.run(json.load(sys.stdin), device="cpu")
print(sorted(there() - before))
"""
VANISHING = str(Path(sys.executable).parent / "vanishing")


@pytest.fixture(scope="module")
def server():
    """The variables by which jobs find the process, whose streams are buffered as is usual."""
    environment = {n: value for n, value in os.environ.items() if n != "PYTHONUNBUFFERED"}
    with preloaded.running(environment) as variables:
        yield variables


def cohort_of(folder, steps=6):
    (folder / "mine.yaml").write_text(
        "batteries: {b: {family: mlp, task: digits, width: 8, seeds: {judged: 2}, "
        f"train: {{steps: {steps}, lr: 0.1}}, "
        "factors: {activation: [tanh], init: [he], depth: [2]}}}"
    )
    planned = plan.make(folder / "mine.yaml", folder)
    plan.write(planned, folder)
    return folder / "cohorts" / f"{planned.cohorts[0].id}.json"


def train(cohort, logs, variables, **options):
    command = [VANISHING, "train", str(cohort), "--logs", str(logs), "--tuning"]
    return subprocess.Popen(
        command, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True, **options
    )


def test_a_forked_job_writes_what_a_job_of_its_own_writes(server, tmp_path):
    cohort = cohort_of(tmp_path)
    for name, variables in {"forked": server, "alone": {}}.items():
        job = train(cohort, tmp_path / name, variables)
        assert "2 of 2 runs" in job.communicate()[1]
        assert job.returncode == 0
    for table in (RUN_LOG, LAYERS):
        forked, alone = (
            table.read(tmp_path / name / table.name / f"{cohort.stem}.parquet").drop(
                columns="seconds", errors="ignore"
            )
            for name in ("forked", "alone")
        )
        pd.testing.assert_frame_equal(forked, alone)


def test_a_mistake_is_told_on_the_jobs_own_stream_with_status_2(server, tmp_path):
    job = train(tmp_path / "none.json", tmp_path, server)
    assert "there is no cohort" in job.communicate()[1]
    assert job.returncode == 2


def test_a_crash_is_told_with_its_traceback(server, tmp_path):
    (tmp_path / "bad.json").write_text("{}")
    job = train(tmp_path / "bad.json", tmp_path, server)
    assert "KeyError" in job.communicate()[1]
    assert job.returncode == 1


def test_a_relative_path_starts_where_the_job_does(server, tmp_path):
    cohort = cohort_of(tmp_path)
    job = train(cohort.relative_to(tmp_path), "logs", server, cwd=tmp_path)
    job.communicate()
    assert (tmp_path / "logs" / "runs" / f"{cohort.stem}.parquet").exists()


def test_a_killed_job_ends_its_fork(server, tmp_path):
    folder = server[preloaded.VARIABLE]
    before = _wait(lambda: _two(folder))
    job = train(cohort_of(tmp_path, steps=200_000), tmp_path, server)
    assert _wait(lambda: set(_processes(folder)) > before)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert _wait(lambda: set(_processes(folder)) == before)


def test_a_job_that_gets_sigterm_has_its_fork_write_a_checkpoint(server, tmp_path):
    cohort = cohort_of(tmp_path, steps=200_000)
    job = train(cohort, tmp_path / "logs", server)
    assert _wait((tmp_path / "running" / cohort.name).exists)
    job.send_signal(signal.SIGTERM)
    assert "of 200000; a checkpoint is written" in job.communicate()[1]
    assert job.returncode == 143
    assert list((tmp_path / "checkpoints" / cohort.stem).glob("runs-*.pt"))


def test_a_killed_jobs_fork_writes_a_checkpoint(server, tmp_path):
    cohort = cohort_of(tmp_path, steps=200_000)
    job = train(cohort, tmp_path / "logs", server)
    assert _wait((tmp_path / "running" / cohort.name).exists)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert _wait(lambda: list((tmp_path / "checkpoints" / cohort.stem).glob("runs-*.pt")))


def test_a_fork_that_a_signal_kills_gives_128_and_the_signal(server, tmp_path):
    folder = server[preloaded.VARIABLE]
    serving = _wait(lambda: _two(folder))
    cohort = cohort_of(tmp_path, steps=200_000)
    job = train(cohort, tmp_path / "logs", server)
    assert _wait((tmp_path / "running" / cohort.name).exists)
    [fork] = set(_processes(folder)) - serving
    os.kill(fork, signal.SIGKILL)
    job.communicate()
    assert job.returncode == 128 + signal.SIGKILL


def test_a_fork_does_not_hold_the_connections_of_others(server, tmp_path):
    """Else a job would wait for another's end where its own fork and the server were killed."""
    folder = server[preloaded.VARIABLE]
    serving = _wait(lambda: _two(folder))
    cohort = cohort_of(tmp_path, steps=200_000)
    places = [tmp_path / name for name in ("one", "two")]
    jobs = [train(cohort, place / "logs", server) for place in places]
    assert all(_wait((place / "running" / cohort.name).exists) for place in places)
    held = [len(_sockets(fork)) for fork in set(_processes(folder)) - serving]
    for job in jobs:
        job.kill()
        job.communicate()
    assert held == [1, 1]
    assert _wait(lambda: set(_processes(folder)) == serving)


@pytest.mark.parametrize(("code", "status"), [(None, 0), (0, 0), (3, 3), (-1, 255), ("why", 1)])
def test_a_forks_status_is_what_a_process_of_its_own_would_have(code, status, capsys):
    own = subprocess.run([sys.executable, "-c", f"import sys; sys.exit({code!r})"], stderr=-1)
    assert preloaded.status_of(SystemExit(code)) == own.returncode == status
    assert capsys.readouterr().err.encode() == own.stderr


def test_what_cannot_be_written_is_no_success(server):
    with Path("/dev/full").open("w") as full:
        job = subprocess.run(
            [VANISHING, "train", "--help"], env={**os.environ, **server}, stdout=full
        )
    assert job.returncode == 1


def test_a_long_tmpdir_does_not_lengthen_the_sockets_path(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(_long(tmp_path)))
    with (
        preloaded.running(dict(os.environ), at_once=False) as variables,
        socket.socket(socket.AF_UNIX) as job,
    ):
        job.connect(f"{variables[preloaded.VARIABLE]}/training")


def test_where_no_socket_can_be_made_jobs_go_without_the_process(tmp_path, monkeypatch):
    folder = _long(tmp_path)
    monkeypatch.setattr(preloaded, "SHORT", str(folder))
    with preloaded.running(dict(os.environ)) as variables:
        assert variables == {}
    assert list(folder.iterdir()) == []


def test_without_the_process_a_job_trains_by_itself(tmp_path):
    cohort = cohort_of(tmp_path)
    job = train(cohort, tmp_path, {preloaded.VARIABLE: str(tmp_path / "no-socket")})
    job.communicate()
    assert job.returncode == 0


def test_a_notebook_and_its_kernel_are_forks_and_write_what_a_kernel_of_its_own_writes(
    server, tmp_path
):
    source = tmp_path / "cells.py"
    source.write_text(NOTEBOOK)
    command = [VANISHING, "render", str(source), "--results", str(tmp_path)]
    for name, variables in {"forked": server, "alone": {}}.items():
        out = [*command, "--out", str(tmp_path / f"{name}.ipynb")]
        subprocess.run(out, env={**os.environ, **variables}, check=True)
    forked, alone = ((tmp_path / f"{name}.ipynb").read_text() for name in ("forked", "alone"))
    parents, serving = (tmp_path / "parents").read_text().split(), _two(server[preloaded.VARIABLE])
    assert int(parents[0]) in serving
    assert int(parents[1]) not in serving
    assert forked == alone


@pytest.mark.parametrize("verb", ["train", "render"])
def test_the_processes_may_load_when_a_first_job_comes(verb):
    with preloaded.running(dict(os.environ), at_once=False) as variables:
        folder = variables[preloaded.VARIABLE]
        assert _wait(lambda: len(_processes(folder)) == 1)
        job = subprocess.run([VANISHING, verb], env={**os.environ, **variables})
        assert job.returncode == 2  # it lacks its arguments
        assert _wait(lambda: _two(folder))


def test_what_stations_need_is_not_loaded_while_every_core_trains(tmp_path):
    cohort, cores = cohort_of(tmp_path, steps=200_000), os.sched_getaffinity(0)
    with contextlib.ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, cores)
        os.sched_setaffinity(0, {min(cores)})  # as the processes below have it
        variables = stack.enter_context(preloaded.running(dict(os.environ), at_once=False))
        folder = variables[preloaded.VARIABLE]
        job = train(cohort, tmp_path / "logs", variables)
        assert _wait((tmp_path / "running" / cohort.name).exists)
        time.sleep(3)
        at_work = _processes(folder)
        job.kill()
        job.communicate()
        assert len(at_work) == 2  # who loaded torch, and the job
        assert _wait(lambda: at_work[0] in _two(folder) and _two(folder) != set(at_work))


@pytest.mark.parametrize("name", ["mlp-d8-w64", "cnn-d8-w16", "rnn-t64-w32", "gan-d3-w64"])
def test_a_job_loads_nothing_that_all_of_its_family_need(name, tmp_path):
    cell = CELLS[name]
    cohort = cohort_of_cell(cell, 2, 2, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", TRAINED, cell.family],
        input=json.dumps(cohort.as_json()), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_a_training_imports_nothing_that_reads_configs_or_draws():
    code = "import sys, vanishing.engine.job; print({'pydantic', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_is_loaded_is_no_garbage_and_what_comes_later_may_be():
    try:
        with loading():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


def test_who_hands_on_a_job_imports_nothing_that_takes_long():
    code = (
        "import sys; import vanishing.cli;"
        "print({'argparse', 'pathlib', 'shutil', 'subprocess', 'yaml', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_who_waits_for_a_fork_imports_nothing_that_takes_long(server):
    code = (
        "import sys; from vanishing.cli import main; status = main(['train']);"
        "print(status, {'json', 'socket', 'signal', 'contextlib'} & set(sys.modules))"
    )
    command, environment = [sys.executable, "-c", code], {**os.environ, **server}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 set()"  # it lacks its arguments


def test_the_process_ends_with_the_one_that_started_it():
    code = (
        "import os, sys; from vanishing.study import preloaded\n"
        "with preloaded.running(dict(os.environ)) as variables:\n"
        "    print(*variables.values(), flush=True)\n"
        "    sys.stdin.read()"
    )
    head = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    path = head.stdout.readline().strip()
    started = _wait(lambda: _processes(path))
    head.kill()
    head.communicate()
    assert started
    assert _wait(lambda: not _processes(path))


def _wait(until, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := until()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _processes(word):
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if word in _words(entry.name)]


def _words(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


def _sockets(pid):
    """The sockets that a process holds beside its three streams."""
    held = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held[int(entry.name)] = str(entry.readlink())
    return [name for n, name in held.items() if n > 2 and name.startswith("socket:")]


def _long(folder):
    """A new folder in ``folder`` whose name is too long for a socket's path."""
    (long := folder / ("t" * 120)).mkdir()
    return long


def _two(folder):
    """The two processes that serve from a folder, once both are there and no job is."""
    found = set(_processes(folder))
    return found if len(found) == 2 else set()
