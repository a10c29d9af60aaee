"""What the networks learn: real data, embedded, downloaded or the user's own.

Every input is brought to mean 0 and mean square 1 (per sample, unless told otherwise), so that the
first layer of the theory starts at q_0 = 1.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..lazy import Lazy
from . import cases, plane, sentences, sequences, text
from .data import Data
from .downloads import SETS, fetch, unpacked
from .image_shapes import CHANNELS, steps_of

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

# Of all samples, a published test set's among them; which ones, the run's seed says: seeds pair the
# arms of a contrast, and a split of their own makes them independent of one another.
TEST_FRACTION = 0.2
_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

_RECORD = 1 + 3 * 32 * 32  # bytes of a sample of CIFAR-10: label, then red, green, blue
_BLOCK = 8192  # samples in float64 at a time: all of CIFAR-10 would take 4 GB


def digits(shuffled: bool = False) -> Data:
    """1,797 handwritten digits of 8 x 8 (Alpaydin, Kaynak 1998; ships with scikit-learn).

    ``shuffled`` is a control: labels of the same frequencies that say nothing of the inputs.
    """
    data = _digits()
    return replace(data, labels=data.labels[_order(len(data.labels))]) if shuffled else data


@functools.cache
def _digits() -> Data:
    package = importlib.util.find_spec("sklearn")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.exists():  # importing scikit-learn would cost each job a second
        table = np.loadtxt(file, delimiter=",")
        return _data(table[:, :-1].reshape(-1, 8, 8), table[:, -1], "sample", "digits")
    from sklearn.datasets import load_digits

    sample = load_digits()
    return _data(sample.images, sample.target, "sample", "digits")


def mnist(folder: str | None = None, samples: int | None = None, scale: str = "sample") -> Data:
    """70,000 handwritten digits of 28 x 28 (LeCun, Cortes, Burges 1998)."""
    return _published("mnist", folder, samples, scale)


def fashion_mnist(
    folder: str | None = None, samples: int | None = None, scale: str = "sample"
) -> Data:
    """70,000 pieces of clothing of 28 x 28 (Xiao, Rasul, Vollgraf 2017)."""
    return _published("fashion_mnist", folder, samples, scale)


def cifar10(folder: str | None = None, samples: int | None = None, scale: str = "sample") -> Data:
    """60,000 photographs of 3 x 32 x 32 in 10 classes (Krizhevsky 2009)."""
    return _published("cifar10", folder, samples, scale)


def idx(images: str, labels: str, scale: str = "sample") -> Data:
    """The user's own arrays in IDX files (MNIST's format), gzipped or not."""
    return _data(_read_idx(Path(images)), _read_idx(Path(labels)), scale, images)


def npz(
    path: str, x: str = "x", y: str = "y", scale: str = "sample", sequence: bool = False
) -> Data:
    """The user's own arrays ``x`` and ``y`` in an .npz file.

    A ``sequence`` x is (samples, steps) or (samples, steps, features).
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in (x, y) if name not in arrays]
            if missing:
                raise UserError(
                    f"{path} holds no array {missing[0]!r}; it holds {', '.join(arrays)}. "
                    "Name yours with x: and y: in the config."
                )
            return _data(arrays[x], arrays[y], scale, path, sequence)
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"{path} cannot be read as an .npz file ({error}).") from None


# The files of each task are those of its settings that name one.
TASKS: dict[str, Callable[..., Data]] = {
    "digits": digits, "mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10": cifar10,
    "idx": idx, "npz": npz, "text": text.text,
    **{f.__name__: f for f in (
        sequences.adding, sequences.temporal_order, sequences.copy_memory,
        sequences.noisy_majority, sequences.pixel_digits, sentences.agreement,
        sentences.transduction, plane.ring, plane.swiss_roll, plane.xor, plane.two_spirals,
        cases.fine_and_coarse, cases.faint_blob, cases.breast_cancer,
    )},
}  # fmt: skip
OF_VALUES = ("adding",)  # tasks whose answers are values, not classes


def length_of(spec: dict) -> int:
    """The time steps of a task's sequences unless told otherwise; 0 where it has none."""
    if spec["kind"] == "pixel_digits":
        return sequences.PIXELS
    if spec.get("sequence"):
        return steps_of(spec)
    return default_length(spec["kind"]) or 0


@functools.cache  # asked for each run of a plan
def default_length(kind: str) -> int | None:
    """The length that a task's setting of this name has by default; None where it has none."""
    setting = inspect.signature(TASKS[kind]).parameters.get("length")
    return setting and setting.default


def prepare(spec: dict) -> None:
    """Download now what :func:`load` would download later, in a job that may have no network."""
    if spec["kind"] in SETS:
        fetch(spec["kind"], spec.get("folder"))


def load(spec: dict) -> Data:
    """The data of a task as a cohort names it: ``{"kind": "npz", "path": ...}``."""
    settings = {key: value for key, value in spec.items() if key != "kind"}
    return TASKS[spec["kind"]](**settings)


def _published(kind: str, folder: str | None, samples: int | None, scale: str) -> Data:
    """A well-known set, of which the first ``samples`` after a shuffle that is always the same."""
    files = fetch(kind, folder)
    read = _cifar_samples if kind == "cifar10" else _idx_samples
    images, labels = read(kind, files)
    name = f"{kind} in {next(iter(files.values())).parent}"
    if samples is not None:
        if samples > len(labels):
            raise UserError(f"{name} holds {len(labels)} samples, and samples: {samples} came.")
        chosen = _order(len(labels))[:samples]
        images, labels = images[chosen], labels[chosen]
    return _data(images, labels, scale, name)


def _order(samples: int) -> np.ndarray:
    """So many samples at random, in an order that is always the same."""
    # The generator that numpy keeps as it is: a newer one may shuffle otherwise some day.
    return np.random.RandomState(0).permutation(samples)


def _idx_samples(kind: str, files: dict[str, Path]) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of IDX files of a set, one after the other."""
    pairs = [
        (_read_idx(files[images]), _read_idx(files[labels]))
        for images, labels in SETS[kind].groups.values()
        if images in files
    ]
    for images, labels in pairs:
        if images.shape != (*labels.shape, *SETS[kind].image[1:]):
            where = next(iter(files.values())).parent
            raise UserError(
                f"{kind} in {where}: images {images.shape} and labels {labels.shape} are not those "
                "of n samples of 28 x 28: give images of your own as task idx."
            )
    return tuple(np.concatenate(arrays) for arrays in zip(*pairs, strict=True))


def _cifar_samples(kind: str, files: dict[str, Path]) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's binary version, as files or as the archive of them."""
    names = [name for group in SETS[kind].groups.values() for name in group]
    batches = []
    for name, path in files.items():
        batches += [(path, unpacked(path))] if name in names else _members(path, names)
    for path, raw in batches:
        if not raw or len(raw) % _RECORD or max(raw[::_RECORD]) > 9:
            raise UserError(
                f"{path} is not CIFAR-10's binary version: {len(raw)} bytes, where each sample "
                f"takes {_RECORD} and begins with a label from 0 to 9."
            )
    table = np.frombuffer(b"".join(raw for _, raw in batches), np.uint8).reshape(-1, _RECORD)
    return table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0]


def _members(path: Path, names: Iterable[str]) -> list[tuple[Path, bytes]]:
    """The files ``names`` of an archive, in this order, read without unpacking it to disk."""
    try:
        with tarfile.open(path) as archive:
            inside = {Path(m.name).name: m for m in archive if m.isfile()}
            missing = [name for name in names if name not in inside]
            if missing:
                raise UserError(f"{path} lacks {', '.join(missing)}.")
            return [(path / name, archive.extractfile(inside[name]).read()) for name in names]
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged: {error}.") from None


def _read_idx(path: Path) -> np.ndarray:
    """An IDX file: two zero bytes, type, rank, then the sizes, all big-endian."""
    raw = unpacked(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES:
        raise UserError(f"{path} is not an IDX file (it begins with {raw[:4]!r}).")
    head, kind = 4 + 4 * raw[3], np.dtype(_IDX_TYPES[raw[2]])
    sizes = np.frombuffer(raw[4:head].ljust(head - 4, b"\0"), ">u4").astype(int)
    promised = head + kind.itemsize * sizes.prod()
    if len(raw) < head or len(raw) != promised:
        raise UserError(f"{path} is cut off: {len(raw)} bytes, and its head promises {promised}.")
    return np.frombuffer(raw, kind, offset=head).reshape(sizes)


def _data(
    inputs: np.ndarray, labels: np.ndarray, scale: str, name: str, sequence: bool = False
) -> Data:
    if len(inputs) != len(labels) or labels.ndim != 1 or len(inputs) < 10:
        raise UserError(
            f"{name}: inputs {inputs.shape} and labels {labels.shape} do not go together: give one "
            "label a sample, and at least 10 samples."
        )
    if sequence and inputs.ndim not in (2, 3):
        raise UserError(
            f"{name}: sequences are (samples, steps) or (samples, steps, features), and "
            f"{inputs.shape} came."
        )
    inputs = inputs if sequence else _channels_first(inputs, name)
    image = (1, *inputs.shape[1:])[-3:] if inputs.ndim in (3, 4) and not sequence else None
    steps = (*inputs.shape[1:], 1)[:2] if sequence else None
    scaled = _standardised(inputs.reshape(len(inputs), -1), scale, name)
    values = np.unique(labels)
    if len(values) < 2 or len(values) > len(labels) // 2:
        raise UserError(f"{name}: the labels hold {len(values)} classes; give 2 or more, repeated.")
    return Data(scaled, np.searchsorted(values, labels), image, steps)


def _channels_first(inputs: np.ndarray, name: str) -> np.ndarray:
    """Images (samples, channels, height, width) of images in this order or with channels last.

    1, 3 or 4 as the last size, and as it alone, says that it counts channels.
    """
    if inputs.ndim != 4 or inputs.shape[-1] not in CHANNELS:
        return inputs
    if inputs.shape[1] in CHANNELS:
        raise UserError(
            f"{name}: of images {inputs.shape}, the second size or the last may count the channels:"
            " give grey images as (samples, height, width), and what is no image as (samples, "
            "inputs)."
        )
    return np.moveaxis(inputs, -1, 1)


def _standardised(inputs: np.ndarray, scale: str, name: str) -> np.ndarray:
    """Mean 0 and mean square 1: of every sample, or of every feature over the samples."""
    result = np.empty(inputs.shape, np.float32)
    axis, block = {"sample": (1, _BLOCK), "feature": (0, len(inputs))}[scale]
    for start in range(0, len(inputs), block):
        values = np.asarray(inputs[start : start + block], np.float64)
        if not np.isfinite(values).all():
            raise UserError(f"{name}: the inputs hold values that are not finite.")
        centred = values - values.mean(axis, keepdims=True)
        sd = centred.std(axis, keepdims=True)
        result[start : start + block] = centred / np.where(sd > 0, sd, 1)
    return result
