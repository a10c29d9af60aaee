"""What several tests need."""

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from vanishing.study import slots

# A shell that starts pytest in the background has it ignore Ctrl-C, and all that it starts, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files of tests that last: with --dist worksteal a worker begins with its own part of the list, and
# takes over the ends of others'. So each of these groups begins a part, and none is begun last.
BEGIN = (("test_cluster.py",), ("test_faults.py",), ("test_workflow.py", "test_paper.py"))
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """A worker more than there are cores: tests of processes and of the cluster mostly wait."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or slots.cores() + 1)


def pytest_collection_modifyitems(config, items):
    """Have the longest tests be begun with: each of their groups by a worker of its own."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    groups = [[item for item in items if item.path.name in names] for names in BEGIN]
    long = {item for group in groups for item in group}
    others = iter([item for item in items if item not in long])
    part, ordered = len(items) // workers, []
    for number, group in enumerate(groups):
        before = part * min(number, workers - 1) - len(ordered)
        ordered += [*itertools.islice(others, max(0, before)), *group]
    items[:] = [*ordered, *others]


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id) -> Callable[[str, Callable[[Path], object]], Path]:
    """``once(name, make)``: a folder that ``make`` makes and fills, once for all workers of pytest.

    Who comes while it is being made waits. Tests only read what is in it, or work on a copy.
    """
    root = tmp_path_factory.getbasetemp()
    shared = root if worker_id == "master" else root.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = shared / name, shared / f"{name}.whole"
        with FileLock(shared / f"{name}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of one that failed
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def mnist():
    """10,000 real images in IDX files, where they lie beside the project."""
    folder = SHARED / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip(f"the MNIST test images are not at {folder}")
    return folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"


@pytest.fixture(autouse=True)
def _no_module_of_another_test():
    """A module of the user's own is called my_parts in many tests, and is another in each."""
    yield
    sys.modules.pop("my_parts", None)
