"""What several tests need."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def mnist():
    """10,000 real images in IDX files, where they lie beside the project."""
    folder = SHARED / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip(f"the MNIST test images are not at {folder}")
    return folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
