"""A study whose head may die, and a faked cluster that has jobs of it."""

import pytest

from vanishing.study import cluster, preloaded, processes

from .. import killed_study as killed
from ..fake_slurm import Queue
from ..killed_study import RESULTS
from ..lazy_head import lazily


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    """The folder of the project, as the working directory; nothing of it lives on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setattr(preloaded, "running", lazily)
    killed.lay_out(tmp_path)
    yield tmp_path
    processes.stop_below(tmp_path / RESULTS)


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """An empty queue of a faked cluster, whose programs are on the PATH."""
    faked = Queue(tmp_path / "slurm")
    monkeypatch.setenv("PATH", faked.path)
    return faked


@pytest.fixture
def prefix(study):
    """How the names of this study's jobs begin."""
    return cluster.job_prefix(study / RESULTS)


@pytest.fixture
def said():
    """The lines that a recovery says, put together."""
    return []
