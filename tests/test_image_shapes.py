"""The shape of a task's images as a plan reads it, against the data that a job loads."""

import gzip

import numpy as np
import pytest

from vanishing.parts.image_shapes import image_of
from vanishing.parts.tasks import load

LABELS = np.arange(20) % 4


@pytest.mark.parametrize(
    ("sizes", "image"),
    [
        ((20, 5, 6), (1, 5, 6)),
        ((20, 2, 5, 6), (2, 5, 6)),
        ((20, 5, 6, 3), (3, 5, 6)),
        ((20, 9), None),
    ],
)
def test_an_npz_file_has_the_image_that_its_load_gives(tmp_path, sizes, image):
    path = tmp_path / "own.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=sizes), y=LABELS)
    spec = {"kind": "npz", "path": str(path)}
    assert image_of(spec) == load(spec).image == image


@pytest.mark.parametrize("opened", [open, gzip.open])
def test_an_idx_file_has_the_image_that_its_load_gives(tmp_path, opened):
    for name, array in (("x", np.arange(20 * 30).reshape(20, 5, 6) % 251), ("y", LABELS)):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        with opened(tmp_path / name, "wb") as file:
            file.write(head + array.astype(np.uint8).tobytes())
    spec = {"kind": "idx", "images": str(tmp_path / "x"), "labels": str(tmp_path / "y")}
    assert image_of(spec) == load(spec).image == (1, 5, 6)


def test_embedded_digits_have_the_image_that_their_load_gives():
    assert image_of({"kind": "digits"}) == load({"kind": "digits"}).image


def test_a_file_that_cannot_be_read_has_no_image(tmp_path):
    (tmp_path / "x").write_bytes(b"no array")
    assert image_of({"kind": "npz", "path": str(tmp_path / "x")}) is None
    assert image_of({"kind": "idx", "images": str(tmp_path / "gone"), "labels": ""}) is None
