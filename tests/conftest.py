"""What several tests need."""

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# A shell that starts pytest in the background has it ignore Ctrl-C, and all that it starts, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files of tests that last, in order: with --dist worksteal a worker begins with its own part of the
# list, and takes over the ends of others'. So the first of these are not begun last.
FIRST, SECOND = ("test_cluster.py",), ("test_workflow.py", "test_faults.py", "test_paper.py")
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(config, items):
    """Have the longest tests be begun with: some by the first worker, others by the second."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    first, second = ([i for i in items if i.path.name in names] for names in (FIRST, SECOND))
    others = [item for item in items if item not in {*first, *second}]
    own = max(0, len(items) // workers - len(first))  # of the first worker's part
    items[:] = first + others[:own] + second + others[own:]


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
