"""Machine code of compiled functions: where it is kept, and when it is made anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vanishing.engine import compiled

ENGINE = Path(compiled.__file__).parent


def test_every_file_with_compiled_functions_counts_in_the_digest():
    sources = {file for pattern in compiled.SOURCES for file in ENGINE.glob(pattern)}
    words = ("import numba", "from numba", "from .compiled")
    using = {f for f in ENGINE.glob("*.py") if any(word in f.read_text() for word in words)}
    assert using <= sources


def test_an_edit_of_any_of_them_makes_another_folder(tmp_path, monkeypatch):
    (tmp_path / "some_kernels.py").write_text("a = 1\n")
    monkeypatch.setattr(compiled, "HERE", tmp_path)
    before, place = compiled.digest(), compiled.folder()
    assert place == tmp_path / "__pycache__" / f"machine-code-{before}"
    assert place.is_dir()
    (tmp_path / "some_kernels.py").write_text("a = 2\n")
    assert compiled.digest() != before


def test_where_the_sources_cannot_be_written_beside_it_is_the_users_cache(tmp_path, monkeypatch):
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "__pycache__").write_text("no folder")
    monkeypatch.setattr(compiled, "HERE", sources)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert compiled.folder().parent == tmp_path / "cache/vanishing"
    (tmp_path / "cache/vanishing").rename(tmp_path / "cache/gone")
    (tmp_path / "cache/vanishing").write_text("no folder")
    assert compiled.folder() is None


@pytest.mark.parametrize("kept", [False, True])
def test_functions_compile_with_and_without_a_folder(kept, monkeypatch):
    monkeypatch.setattr(compiled, "KEPT", kept)
    assert compiled.reordered(_doubled)(1.5) == compiled.exact(_doubled)(1.5) == 3.0


def _doubled(x):
    return 2 * x


def test_a_folder_that_the_user_names_is_left_to_numba(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", "from vanishing.engine import compiled; import numba; "
         "print(numba.config.CACHE_DIR, compiled.KEPT)"],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert said.stdout.split() == [str(tmp_path), "True"]
