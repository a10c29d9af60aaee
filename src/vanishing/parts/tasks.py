"""What the networks learn: real data, embedded or the user's own.

Every input is brought to mean 0 and mean square 1 (per sample, unless told otherwise), so that the
first layer of the theory starts at q_0 = 1.
"""

from __future__ import annotations

import gzip
import importlib.util
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

TEST_FRACTION = 0.2  # of the samples; which ones, the run's seed says
_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


@dataclass(frozen=True)
class Data:
    """Inputs (samples, inputs) in float32, labels (samples) in int64 from 0 to classes - 1."""

    inputs: np.ndarray
    labels: np.ndarray

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.labels.max()) + 1


def digits() -> Data:
    """1,797 handwritten digits of 8 x 8 (Alpaydin, Kaynak 1998; ships with scikit-learn)."""
    package = importlib.util.find_spec("sklearn")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.exists():  # importing scikit-learn would cost each job a second
        table = np.loadtxt(file, delimiter=",")
        return _data(table[:, :-1], table[:, -1], "sample", "digits")
    from sklearn.datasets import load_digits

    return _data(*load_digits(return_X_y=True), "sample", "digits")


def idx(images: str, labels: str, scale: str = "sample") -> Data:
    """The user's own arrays in IDX files (MNIST's format), gzipped or not."""
    return _data(_read_idx(Path(images)), _read_idx(Path(labels)), scale, images)


def npz(path: str, x: str = "x", y: str = "y", scale: str = "sample") -> Data:
    """The user's own arrays ``x`` and ``y`` in an .npz file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in (x, y) if name not in arrays]
            if missing:
                raise UserError(
                    f"{path} holds no array {missing[0]!r}; it holds {', '.join(arrays)}. "
                    "Name yours with x: and y: in the config."
                )
            return _data(arrays[x], arrays[y], scale, path)
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"{path} cannot be read as an .npz file ({error}).") from None


# The files of each task are those of its settings that name one.
TASKS: dict[str, Callable[..., Data]] = {"digits": digits, "idx": idx, "npz": npz}


def load(spec: dict) -> Data:
    """The data of a task as a cohort names it: ``{"kind": "npz", "path": ...}``."""
    settings = {key: value for key, value in spec.items() if key != "kind"}
    return TASKS[spec["kind"]](**settings)


def _read_idx(path: Path) -> np.ndarray:
    """An IDX file: two zero bytes, type, rank, then the sizes, all big-endian."""
    raw = path.read_bytes()
    try:
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError) as error:
        raise UserError(f"{path} is damaged: {error}.") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES:
        raise UserError(f"{path} is not an IDX file (it begins with {raw[:4]!r}).")
    sizes = np.frombuffer(raw, ">u4", raw[3], 4).astype(int)
    values = np.frombuffer(raw, _IDX_TYPES[raw[2]], offset=4 + 4 * raw[3])
    if values.size != sizes.prod():
        raise UserError(
            f"{path} is cut off: {values.size} values, and its head promises {sizes.prod()}."
        )
    return values.reshape(sizes)


def _data(inputs: np.ndarray, labels: np.ndarray, scale: str, name: str) -> Data:
    if len(inputs) != len(labels) or labels.ndim != 1 or len(inputs) < 10:
        raise UserError(
            f"{name}: inputs {inputs.shape} and labels {labels.shape} do not go together: give one "
            "label a sample, and at least 10 samples."
        )
    inputs = np.asarray(inputs, np.float64).reshape(len(inputs), -1)
    if not np.isfinite(inputs).all():
        raise UserError(f"{name}: the inputs hold values that are not finite.")
    values = np.unique(labels)
    if len(values) < 2 or len(values) > len(labels) // 2:
        raise UserError(f"{name}: the labels hold {len(values)} classes; give 2 or more, repeated.")
    return Data(
        _standardised(inputs, scale).astype(np.float32), np.searchsorted(values, labels)
    )  # fmt: skip


def _standardised(inputs: np.ndarray, scale: str) -> np.ndarray:
    """Mean 0 and mean square 1: of every sample, or of every feature over the samples."""
    axis = {"sample": 1, "feature": 0}[scale]
    centred = inputs - inputs.mean(axis, keepdims=True)
    sd = centred.std(axis, keepdims=True)
    return centred / np.where(sd > 0, sd, 1)
