"""Machine code of compiled functions: where it is kept, and when it is made anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vanishing.engine import ahead, compiled

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


def test_machine_code_of_older_sources_goes_a_day_later(tmp_path, monkeypatch):
    own, young, old = (tmp_path / f"machine-code-{name}" for name in ("own", "young", "old"))
    other = tmp_path / "another-folder"
    for folder in (own, young, old, other):
        folder.mkdir()
        (folder / "file").write_text("")
    for folder in (own, old, other):
        os.utime(folder, times=(1.0, 1.0))
    monkeypatch.setattr(compiled, "KEPT", own)
    ahead.forget_old()
    assert sorted(tmp_path.iterdir()) == [other, own, young]
    monkeypatch.setattr(compiled, "KEPT", None)
    ahead.forget_old()


@pytest.mark.parametrize("kept", [False, True])
def test_functions_compile_with_and_without_a_folder(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "KEPT", tmp_path if kept else None)
    assert compiled.reordered(_doubled)(1.5) == compiled.exact(_doubled)(1.5) == 3.0


def _doubled(x):
    return 2 * x


def own_cache(place):
    """What a process needs to import from ``place`` and to keep there what it compiles."""
    path = os.pathsep.join([str(place), *sys.path])
    return {**os.environ, "NUMBA_CACHE_DIR": str(place / "kept"), "PYTHONPATH": path}


KINDS = ("float32", "float64", "int32", "int64")
TWICE = """
import sys
import numpy as np
from vanishing.engine import compiled
from own_kernels import doubled
kind = np.dtype(sys.argv[1])
print(float(doubled(np.ones(3, kind))[0]), doubled.stats.cache_hits[doubled.signatures[0]])
"""


def test_processes_that_compile_at_once_leave_a_cache_that_serves_all(tmp_path):
    (tmp_path / "own_kernels.py").write_text(
        "from vanishing.engine import compiled\n\n"
        "@compiled.exact\ndef doubled(x):\n    return x + x\n"
    )
    own = own_cache(tmp_path)

    def started(kind):
        words = [sys.executable, "-c", TWICE, kind]
        return subprocess.Popen(words, env=own, text=True, stdout=subprocess.PIPE)

    at_once = [started(kind) for kind in KINDS]
    assert [one.communicate()[0].split()[0] for one in at_once] == ["2.0"] * len(KINDS)
    again = [started(kind).communicate()[0].split() for kind in KINDS]
    assert again == [["2.0", "1"]] * len(KINDS)
    [place] = (tmp_path / "kept").iterdir()
    assert place.name == f"machine-code-{compiled.digest()}"


FAMILY = """
from vanishing.engine import compiled

def adding(number):
    @compiled.exact
    def add(x):
        compiled.by_256_bits()  # keeps it a function of its own in those that call it
        return x + number
    return add

one, two = adding(1), adding(2)

@compiled.exact
def plus_one(x):
    return one(x)

@compiled.exact
def plus_two(x):
    return two(x)
"""
CALLED = """
import sys, family
for name in sys.argv[1:]:
    function = getattr(family, name)
    print(function(1.0), function.stats.cache_hits[function.signatures[0]])
"""


def test_functions_of_one_definition_that_several_processes_compiled_keep_apart(tmp_path):
    (tmp_path / "family.py").write_text(FAMILY)
    own = own_cache(tmp_path)

    def said_by(*names):
        words = [sys.executable, "-c", CALLED, *names]
        return subprocess.check_output(words, env=own, text=True).split()

    assert said_by("plus_one") == ["2.0", "0"]
    assert said_by("plus_two") == ["3.0", "0"]
    assert said_by("plus_one", "plus_two") == ["2.0", "1", "3.0", "1"]


def test_what_a_function_closes_over_must_tell_it_apart():
    def by(factor):
        return compiled.exact(lambda x: factor * x)

    with pytest.raises(TypeError, match="whole numbers"):
        by(0.5)


def test_without_a_home_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "HERE", tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    assert compiled.folder().parent == tmp_path / "__pycache__"


def test_all_loops_can_be_compiled_before_a_study_needs_them():
    command = [sys.executable, "-m", "vanishing.engine.ahead"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (made.returncode, made.stderr) == (0, "")
