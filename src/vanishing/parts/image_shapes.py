"""How large the samples of a task are, from the heads of its files: a plan reads no data."""

from __future__ import annotations

import ast
import gzip
import struct
import zipfile
import zlib
from pathlib import Path

from .downloads import SETS

_SHAPES = {
    "digits": (1, 8, 8),
    "fine_and_coarse": (1, 8, 8),
    "faint_blob": (1, 16, 16),
    **{kind: data.image for kind, data in SETS.items()},
}
UNREADABLE = (
    OSError, EOFError, KeyError, ValueError, SyntaxError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip
CHANNELS = (1, 3, 4)  # of an image: grey, red green blue, and these with an opacity


def image_of(spec: dict) -> tuple[int, int, int] | None:
    """Channels, height, width of a task's samples, as :func:`.tasks.load` will give them.

    None where they are no images, or where a file's head cannot be read: the load says why.
    """
    if spec.get("sequence"):
        return None
    if spec["kind"] in _SHAPES:
        return _SHAPES[spec["kind"]]
    try:
        if spec["kind"] == "idx":
            sizes = _idx_sizes(Path(spec["images"]))
        elif spec["kind"] != "npz":
            return None
        else:
            sizes = _npy_sizes(Path(spec["path"]), spec.get("x", "x"))
    except UNREADABLE:
        return None
    return _image(sizes)


def steps_of(spec: dict) -> int:
    """The time steps of the user's own sequences; 0 where the file cannot be read."""
    try:
        return _npy_sizes(Path(spec["path"]), spec.get("x", "x"))[1]
    except (*UNREADABLE, IndexError):
        return 0


def _image(sizes: tuple[int, ...]) -> tuple[int, int, int] | None:
    """The image of samples of these sizes: channels may come first or last."""
    if len(sizes) == 3:
        return 1, *sizes[1:]
    if len(sizes) != 4:
        return None
    return (sizes[3], *sizes[1:3]) if sizes[3] in CHANNELS else sizes[1:]


def _idx_sizes(path: Path) -> tuple[int, ...]:
    """The sizes in the head of an IDX file: 4 bytes, the last of them the rank, then each size."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        rank = file.read(4)[3]
        return struct.unpack(f">{rank}I", file.read(4 * rank))


def _npy_sizes(path: Path, name: str) -> tuple[int, ...]:
    """The sizes in the head of an array of an .npz file (the format of .npy, versions 1 to 3)."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        version = file.read(8)[6]
        form, length = ("<H", 2) if version == 1 else ("<I", 4)
        head = file.read(struct.unpack(form, file.read(length))[0])
        return tuple(ast.literal_eval(head.decode("latin1").strip())["shape"])
