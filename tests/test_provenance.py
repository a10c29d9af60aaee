"""The fingerprint of the code, and what a table says of where it was made."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from vanishing import provenance as subject
from vanishing.errors import UserError
from vanishing.provenance import fingerprint, imported, provenance

SOURCE = '''
"""A module."""

def square(h):
    """What h is, squared."""
    return h * h  # a product
'''


@pytest.fixture
def own(tmp_path):
    """A function that gives the fingerprint of a part of the user's own with the source given."""

    def of(source):
        file = tmp_path / "own.py"
        file.write_text(source)
        subject._tree.cache_clear()
        subject._fingerprint.cache_clear()
        return fingerprint(extra_files=[file])

    return of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a product", "# by multiplying"),
        ("What h is, squared.", "h²"),
        ('"""A module."""', ""),
        ("h * h", "(h  *  h)"),
    ],
)
def test_comment_docstring_and_layout_keep_the_fingerprint(own, old, new):
    assert own(SOURCE.replace(old, new)) == own(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"), [("h * h", "h + h"), ("square", "power"), ("(h)", "(h, k=2)")]
)
def test_changed_formula_changes_the_fingerprint(own, old, new):
    assert own(SOURCE.replace(old, new)) != own(SOURCE)


def test_fingerprint_is_the_same_in_another_process_and_order():
    code = "from vanishing.provenance import fingerprint as f; print(f('tables', 'parts'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == fingerprint("parts", "tables")


def test_fingerprint_of_a_subpackage_differs_from_that_of_its_module():
    assert fingerprint("study") != fingerprint("study.plan") != fingerprint("parts")


def test_the_modules_that_training_loads_of_the_theory_are_those_that_it_imports():
    """With the parts that ask the theory for a number when they are used: an init and a norm."""
    code = """
import sys
import vanishing.engine.job
from vanishing.parts.activations import ACTIVATIONS
from vanishing.parts.architecture import Place
from vanishing.parts.inits import INITS
from vanishing.parts.norms import variance_gain
tanh = ACTIVATIONS["tanh"]
INITS["critical"].weight_std(Place(8, 8, activation=tanh)), variance_gain(tanh)
print(*sorted(name for name in sys.modules if name.startswith("vanishing.theory.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known = [f"vanishing.{name}" for name in imported("theory", "parts", "engine")]
    assert done.stdout.split() == known
    assert "vanishing.theory.fixed_points" in known
    assert "vanishing.theory.predictions" not in known


def test_unknown_part_of_the_code_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"called 'engin'.*mean 'engine'"):
        fingerprint("engin")


def test_provenance_names_code_versions_and_machine_and_fits_in_json():
    said = json.loads(json.dumps(provenance("abc")))
    assert said["config"] == "abc"
    assert said["packages"]["torch"].startswith("2.13.0")
    assert said["cores"] >= 1
    assert said["memory_gib"] > 0
    assert said["cpu"]


def test_provenance_without_git_or_checkout_says_none(monkeypatch, tmp_path):
    subject._git.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert subject.git_state() == {"commit": None, "dirty": None}
    subject._git.cache_clear()


def test_provenance_imports_neither_torch_nor_pandas():
    code = (
        "import sys; from vanishing.provenance import provenance; provenance();"
        "print({'torch', 'pandas'} & set(sys.modules) or 'neither')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "neither"


EDITED = '"""Edited."""\nfrom . import errors\n\nNEW = 1\n'


def of_a_copy(folder, *codes):
    """What prints the code, one after the other in one process, of a copy of the package."""
    lines = ["import os, sys; from pathlib import Path; from vanishing import provenance", *codes]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.fixture
def package(tmp_path):
    """The folder of a copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(subject.HERE, tmp_path / "vanishing", ignore=ignored)


def test_what_is_forked_has_the_fingerprint_of_the_code_that_was_loaded(package):
    """As a table does that a fork writes: not that of an edit since, which it does not run."""
    show = "print(provenance.provenance()['code'])"
    edit = f"Path(provenance.HERE, 'rehearsal.py').write_text({EDITED!r})"
    fork = f"{edit}\nsys.stdout.flush()\nif os.fork() == 0:\n    {show}\nelse:\n    os.wait()"
    loaded, forked = of_a_copy(package.parent, show, fork)
    assert loaded == forked
    assert of_a_copy(package.parent, show) != [loaded]


def test_a_tree_is_kept_beside_the_bytecode_and_an_edit_finds_no_old_one(package):
    file = "provenance.HERE / 'rehearsal.py'"
    show = f"print(provenance.fingerprint('rehearsal'), *sorted(provenance._imports({file})))"
    kept = package / "__pycache__" / f"rehearsal.{sys.implementation.cache_tag}.tree"
    first = of_a_copy(package.parent, show)
    assert kept.exists()
    assert of_a_copy(package.parent, show) == first
    (package / "rehearsal.py").write_text(EDITED)
    edited = of_a_copy(package.parent, show)
    assert edited[0] != first[0]
    assert str(package / "errors.py") in edited
    kept.write_text("half of")
    assert of_a_copy(package.parent, show) == edited
