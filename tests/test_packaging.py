"""The ways of installing agree: pyproject.toml, the lock, environment.yml; and CITATION.cff."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.fixture
def pins():
    """The lock as name to requirement."""
    lines = [Requirement(line) for line in LOCK.splitlines() if not line.startswith("#")]
    return {canonicalize_name(line.name): line for line in lines}


@pytest.mark.parametrize("asked", ASKED)
def test_lock_pins_each_dependency_on_every_platform_within_its_range(asked, pins):
    wanted = Requirement(asked)
    pin = pins[canonicalize_name(wanted.name)]
    [version] = pin.specifier
    assert version.operator == "=="
    assert wanted.specifier.contains(version.version)
    assert pin.marker is None


def test_lock_names_no_address_and_nothing_for_one_kind_of_gpu():
    assert not re.search(r"://|--|@ ", LOCK)
    assert not re.search(r"^(nvidia|cuda|triton)", LOCK, re.MULTILINE)


def test_lock_can_build_the_package_without_the_network(pins):
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for need in map(Requirement, needs):
        [version] = pins[canonicalize_name(need.name)].specifier
        assert need.specifier.contains(version.version)


def test_conda_installs_the_lock_and_the_package_on_a_python_that_it_supports():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    [python] = [d for d in conda if isinstance(d, str) and d.startswith("python")]
    [pip] = [d["pip"] for d in conda if isinstance(d, dict)]
    assert PROJECT["requires-python"] in python
    assert pip == ["-r requirements.lock", "-e ."]


def test_citation_names_the_version_and_licence_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_changelog_tells_of_the_version():
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_images_install_the_lock_and_then_the_package_alone():
    """They cannot be built here: no container program is among what the tests need."""
    for file in ("Dockerfile", "apptainer.def"):
        text = (ROOT / "containers" / file).read_text()
        lock, package = re.findall(r"pip install .*", text)
        assert lock.endswith("requirements.lock")
        assert "--no-deps --no-build-isolation" in package
        copied = re.findall(r"^COPY (.*) \S+$|^    (\S+) /opt/vanishing/\S+$", text, re.MULTILINE)
        named = {name for names in copied for name in " ".join(names).split()}
        assert {"requirements.lock", "pyproject.toml", "src"} <= named
        assert all((ROOT / name).exists() for name in named)
