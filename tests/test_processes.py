"""Stopping what is below the head of a study: in order, and within a time."""

import subprocess
import time
from pathlib import Path

import pytest

from vanishing.study.processes import below, start, stop

RESULTS = Path("results/tiny")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A study's folder, below the working directory."""
    monkeypatch.chdir(tmp_path)
    RESULTS.mkdir(parents=True)


def begin(script: str) -> subprocess.Popen:
    """A shell script as what a head has started, when it says that it is ready."""
    with (RESULTS / "log").open("a") as log:
        process = start(["sh", "-c", script], RESULTS, log, {})
    ready = Path("ready")
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    ready.unlink()
    return process


def test_what_ends_by_itself_has_ended_in_order():
    assert stop(begin("trap 'exit 1' INT; touch ready; sleep 60 & wait"), RESULTS, patience=60)
    assert not below(RESULTS)


def test_what_has_to_be_killed_has_not():
    child = begin("trap '' INT TERM; touch ready; while :; do sleep 0.1; done")
    assert not stop(child, RESULTS, patience=0.1)
    assert child.returncode == -9
    assert not below(RESULTS)


def test_what_dies_of_the_signal_has_not():
    assert not stop(begin("touch ready; exec sleep 60"), RESULTS, patience=60)


def test_training_outside_its_session_has_the_same_time_for_its_checkpoint():
    training = begin(
        "trap 'sleep 1.5; touch checkpoint; exit 0' TERM; touch ready; while :; do sleep 0.1; done"
    )
    child = begin("trap 'exit 1' INT; touch ready; while :; do sleep 0.1; done")
    assert stop(child, RESULTS, patience=60)
    assert Path("checkpoint").exists()
    assert training.wait() == 0
