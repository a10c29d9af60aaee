"""Claims count as registered if their commit is older than the first run."""

import os
import subprocess

import pytest

from vanishing.analysis.registration import registration


@pytest.fixture
def claims(tmp_path):
    """A committed file of claims, in a repository of its own."""
    file = tmp_path / "claims.yaml"
    file.write_text("claims: []\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return file


def log(results, seconds):
    """A cohort's log that was done ``seconds`` after 1970, or now."""
    file = results / "logs/runs/c.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    if seconds is not None:
        os.utime(file, (seconds, seconds))


def test_claims_older_than_the_runs_are_registered_before(claims, tmp_path):
    log(tmp_path / "results", 4e9)
    found = registration(claims, tmp_path / "results")
    assert found["before_runs"] is True
    assert len(found["commit"]) == 40
    assert found["committed"] < found["first_run"]


def test_claims_younger_than_the_runs_are_not(claims, tmp_path):
    log(tmp_path / "results", 1e9)
    assert registration(claims, tmp_path / "results")["before_runs"] is False


def test_changed_or_uncommitted_claims_are_not_known_to_be(claims, tmp_path):
    log(tmp_path / "results", 4e9)
    claims.write_text("claims: [changed]\n")
    assert registration(claims, tmp_path / "results")["before_runs"] is None
    other = tmp_path / "other.yaml"
    other.write_text("claims: []\n")
    assert registration(other, tmp_path / "results")["commit"] is None


def test_outside_a_checkout_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "claims.yaml").write_text("claims: []\n")
    found = registration(tmp_path / "claims.yaml", tmp_path / "results")
    assert set(found.values()) == {None}
