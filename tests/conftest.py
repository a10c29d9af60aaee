"""What several tests need."""

import signal
import sys
from pathlib import Path

import pytest

# A shell that starts pytest in the background has it ignore Ctrl-C, and all that it starts, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


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
