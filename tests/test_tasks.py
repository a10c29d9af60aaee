"""Data: embedded or the user's own, brought to mean 0 and mean square 1."""

import gzip
import math

import numpy as np
import pytest

from vanishing.errors import UserError
from vanishing.parts.tasks import TASKS, digits, idx, length_of, load, npz
from vanishing.study import config


def idx_bytes(array):
    codes = {"uint8": 8, "float64": 14}
    head = bytes([0, 0, codes[array.dtype.name], array.ndim])
    sizes = np.array(array.shape, ">u4").tobytes()
    return head + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (40, 4, 4), np.uint8), np.arange(40, dtype=np.uint8) % 5 + 3


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    data = digits()
    centred = images - images.mean(1, keepdims=True)
    expected = centred / np.sqrt(np.square(centred).mean(1, keepdims=True))
    np.testing.assert_allclose(data.inputs, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(data.labels, labels)
    assert data.outputs == 10
    assert data.image == (1, 8, 8)


def test_every_sample_has_mean_0_and_mean_square_1():
    inputs = digits().inputs.astype(np.float64)
    np.testing.assert_allclose(inputs.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(np.square(inputs).mean(1), 1, rtol=1e-5)


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gz", "plain"])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_idx_files_are_read(tmp_path, arrays, pack, dtype):
    images, labels = arrays
    (tmp_path / "x").write_bytes(pack(idx_bytes(images.astype(dtype))))
    (tmp_path / "y").write_bytes(pack(idx_bytes(labels)))
    data = idx(str(tmp_path / "x"), str(tmp_path / "y"))
    assert data.inputs.shape == (40, 16)
    np.testing.assert_array_equal(data.labels, labels - 3)
    correlation = np.corrcoef(data.inputs[7], images[7].ravel())[0, 1]
    assert correlation == pytest.approx(1, abs=1e-6)


def test_real_idx_files_are_read(mnist):
    data = idx(*map(str, mnist))
    assert data.inputs.shape == (10_000, 784)
    assert data.image == (1, 28, 28)
    assert data.outputs == 10
    assert data.labels[:5].tolist() == [7, 2, 1, 0, 4]  # as LeCun's page shows them


def test_npz_arrays_are_read_under_their_names(tmp_path, arrays):
    images, labels = arrays
    np.savez(tmp_path / "a.npz", pixels=images, digit=labels)
    spec = {"kind": "npz", "path": str(tmp_path / "a.npz"), "x": "pixels", "y": "digit"}
    data = load({**spec, "scale": "feature"})
    np.testing.assert_allclose(data.inputs.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.inputs.std(0), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((40, 16), None),
        ((40, 8, 6), (1, 8, 6)),
        ((40, 1, 8, 6), (1, 8, 6)),
        ((40, 3, 8, 6), (3, 8, 6)),
        ((40, 16, 8, 6), (16, 8, 6)),
        ((40, 8, 6, 1), (1, 8, 6)),
        ((40, 8, 6, 3), (3, 8, 6)),
        ((40, 8, 6, 4), (4, 8, 6)),
        ((40, 2, 3, 4, 5), None),
    ],
)
@pytest.mark.parametrize("file", ["npz", "idx"])
def test_the_shape_of_an_image_is_that_of_its_array(tmp_path, shape, image, file):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    labels = np.arange(40, dtype=np.uint8) % 5
    if file == "npz":
        np.savez(tmp_path / "a.npz", x=array, y=labels)
        data = npz(str(tmp_path / "a.npz"))
    else:
        (tmp_path / "x").write_bytes(idx_bytes(array))
        (tmp_path / "y").write_bytes(idx_bytes(labels))
        data = idx(str(tmp_path / "x"), str(tmp_path / "y"))
    assert data.image == image
    assert data.inputs.shape == (40, array[0].size)


def test_channels_that_come_last_are_moved_to_the_front(tmp_path):
    images = np.random.default_rng(0).normal(size=(40, 3, 8, 6))
    labels = np.arange(40) % 5
    np.savez(tmp_path / "first.npz", x=images, y=labels)
    np.savez(tmp_path / "last.npz", x=images.transpose(0, 2, 3, 1), y=labels)
    first, last = (npz(str(tmp_path / f"{name}.npz")) for name in ("first", "last"))
    assert first.image == last.image == (3, 8, 6)
    np.testing.assert_allclose(first.inputs, last.inputs, atol=1e-6)
    red = first.inputs.reshape(40, *first.image)[7, 0]
    assert np.corrcoef(red.ravel(), images[7, 0].ravel())[0, 1] == pytest.approx(1)


def test_many_samples_are_standardised_as_each_alone(tmp_path):
    inputs = np.random.default_rng(0).normal(3, 2, (20_000, 5))  # more than a block
    np.savez(tmp_path / "a.npz", x=inputs, y=np.arange(20_000) % 2)
    data = npz(str(tmp_path / "a.npz"))
    centred = inputs - inputs.mean(1, keepdims=True)
    expected = centred / centred.std(1, keepdims=True)
    np.testing.assert_allclose(data.inputs, expected, rtol=1e-5, atol=1e-6)


def test_a_config_can_name_every_task():
    assert set(config.Task.model_fields) == set(TASKS)


def test_text_labels_are_counted(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.eye(12), y=np.array(["cat", "dog"] * 6))
    assert npz(str(tmp_path / "a.npz")).labels.tolist() == [0, 1] * 6


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.eye(12), np.zeros(11), "do not go together"),
        (np.full((12, 2), np.nan), np.arange(12) % 2, "not finite"),
        (np.eye(12), np.zeros(12), "1 classes"),
        (np.eye(12), np.arange(12), "12 classes"),
        (np.ones((12, 3, 8, 3)), np.arange(12) % 2, "second size or the last may count"),
    ],
)
def test_arrays_that_make_no_task_are_refused(tmp_path, x, y, message):
    np.savez(tmp_path / "a.npz", x=x, y=y)
    with pytest.raises(UserError, match=message):
        npz(str(tmp_path / "a.npz"))


def test_a_missing_array_is_named_with_those_that_are_there(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.eye(12), y=np.arange(12) % 2)
    with pytest.raises(UserError, match="holds no array 'x'; it holds images, y"):
        npz(str(tmp_path / "a.npz"))


def test_files_that_are_not_what_they_seem_are_refused(tmp_path, arrays):
    images, labels = arrays
    (tmp_path / "y").write_bytes(idx_bytes(labels))
    for content, message in [
        (b"PNG", "is not an IDX file"),
        (idx_bytes(images)[:-1], "is cut off"),
        (idx_bytes(images)[:9], "is cut off"),
        (idx_bytes(images.astype(float))[:-1], "is cut off"),
        (gzip.compress(idx_bytes(images))[:-9], "is damaged"),
        (gzip.compress(idx_bytes(images))[:20] + b"\xff" * 40, "is damaged"),
    ]:
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(UserError, match=message):
            idx(str(tmp_path / "x"), str(tmp_path / "y"))
    (tmp_path / "a.npz").write_bytes(b"no zip")
    with pytest.raises(UserError, match=r"cannot be read as an \.npz file"):
        npz(str(tmp_path / "a.npz"))


@pytest.mark.parametrize("shape", [(40, 7), (40, 7, 3)])
def test_sequences_of_the_users_own_are_read_in_the_order_of_time(shape, tmp_path):
    x = np.random.default_rng(0).normal(size=shape)
    np.savez(tmp_path / "mine.npz", x=x, y=np.arange(40) % 2)
    spec = {"kind": "npz", "path": str(tmp_path / "mine.npz"), "sequence": True}
    data = load(spec)
    assert data.sequence == (7, 3 if len(shape) == 3 else 1)
    assert data.image is None
    assert data.inputs.shape == (40, math.prod(shape[1:]))
    assert length_of(spec) == 7
    flat = x.reshape(40, -1)
    expected = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
    np.testing.assert_allclose(data.inputs, expected, rtol=1e-5, atol=1e-6)


def test_what_is_no_sequence_is_refused(tmp_path):
    np.savez(tmp_path / "mine.npz", x=np.zeros((40, 2, 3, 4)), y=np.arange(40) % 2)
    with pytest.raises(UserError, match=r"sequences are \(samples, steps\)"):
        npz(str(tmp_path / "mine.npz"), sequence=True)
