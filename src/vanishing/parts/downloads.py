"""Well-known data sets: which files they are, where they are found, how they are known again.

A set is read from a folder of the user's own, or downloaded once, and then from the cache. Nothing
is downloaded but by :func:`fetch`, and nothing that differs from its checksum is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..lazy import Lazy

if TYPE_CHECKING:
    import pooch
else:
    pooch = Lazy("pooch")

CACHE = "VANISHING_DATA"  # environment variable: the folder that keeps what is downloaded


@dataclass(frozen=True)
class Published:
    """The files of a data set as their publisher offers them.

    ``contents`` is what its samples are known by, wherever they lie and however they are packed:
    the sha256 of the file as it is unpacked, or of the packed one where no other is on record.
    """

    image: tuple[int, int, int]  # channels, height, width
    addresses: tuple[str, ...]  # of the folder that holds the files; the first that answers is used
    packed: dict[str, str]  # file as it is downloaded: its sha256
    groups: dict[str, tuple[str, ...]]  # files, unpacked, that make sense together only
    contents: dict[str, str]  # file, unpacked: a sha256


def _idx_set(addresses: tuple[str, ...], packed: list[str], contents: list[str]) -> Published:
    """A set in MNIST's four files; sha256 in their order."""
    groups = {
        part: (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
        for part in ("train", "t10k")
    }
    names = [name for group in groups.values() for name in group]
    files = {f"{name}.gz": sha for name, sha in zip(names, packed, strict=True)}
    known = dict(zip(names, contents, strict=True))
    return Published((1, 28, 28), addresses, files, groups, known)


_FASHION = [
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
]
_CIFAR10 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
# Packed files: addresses and sha256 of tensorflow_datasets/url_checksums (mnist.txt,
# fashion_mnist.txt, cifar10.txt), and the second addresses of torchvision and of Fashion-MNIST's
# own README. Unpacked files: MNIST's four are on record in several projects; CIFAR-10's six in
# torchvision for Ruby.
SETS: dict[str, Published] = {
    "mnist": _idx_set(
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        [
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ],
        [
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ],
    ),
    "fashion_mnist": _idx_set(
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        _FASHION,
        _FASHION,
    ),
    "cifar10": Published(
        (3, 32, 32),
        ("https://www.cs.toronto.edu/~kriz/",),
        {
            "cifar-10-binary.tar.gz": (
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
            )
        },
        {"train": tuple(_CIFAR10)[:5], "test": tuple(_CIFAR10)[5:]},
        _CIFAR10,
    ),
}


def fetch(kind: str, folder: str | None = None) -> dict[str, Path]:
    """The files of a set by name: those in ``folder``, or else its cached or downloaded ones.

    A name is that of an unpacked file, but for an archive of several files, which keeps its own.
    """
    if folder is not None:
        return local(kind, Path(folder))
    cache = Path(os.environ.get(CACHE) or pooch.os_cache("vanishing")).expanduser()
    files, where = SETS[kind].packed, cache / kind
    if not all(_is(where / name, sha) for name, sha in files.items()):
        with _alone(where):  # of two jobs that miss a file, the second waits and then finds it
            for name, sha in files.items():
                _download(kind, name, sha, where)
    return {_unpacked_name(kind, name): where / name for name in files}


def local(kind: str, folder: Path) -> dict[str, Path]:
    """The files of a set in ``folder``, by name; any of its groups will do, but each whole."""
    published = SETS[kind]
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} (given as folder of {kind}).")
    archives = {name: folder / name for name in _archives(kind) if (folder / name).is_file()}
    if archives:  # it holds all files
        return archives
    found = {name: path for name in published.contents if (path := _spelt(folder, name))}
    begun = [names for names in published.groups.values() if found.keys() & set(names)]
    asked = [name for names in begun or published.groups.values() for name in names]
    missing = [name for name in asked if name not in found]
    if missing:
        raise UserError(
            f"{folder} lacks files of {kind}: {', '.join(missing)}. {_wanted(kind)}"
            f"{_pickles(folder)}"
        )
    return found


def part(kind: str, folder: str | None = None) -> list[str]:
    """The groups of a set that ``folder`` holds, where it lacks others; none for a whole set."""
    files = {} if folder is None else local(kind, Path(folder))
    held = [name for name, names in SETS[kind].groups.items() if files.keys() >= set(names)]
    return held if len(held) < len(SETS[kind].groups) else []


def contents(kind: str, folder: str | None = None) -> dict[str, str]:
    """What the samples of a set are known by: a sha256 for each file, and no path.

    The published files are known by ``Published.contents``, in the cache or a folder, packed,
    repacked or not (Fashion-MNIST: as published only). Others are known by the sha256 of what they
    hold, unpacked.
    """
    if folder is None:
        return dict(SETS[kind].contents)
    known = SETS[kind]
    found = {}
    for name, path in local(kind, Path(folder)).items():
        state = path.stat()
        packed, held = _sums(path, state.st_size, state.st_mtime_ns)
        if name in _archives(kind):
            return dict(known.contents) if packed == known.packed[name] else {name: packed}
        published = packed == known.packed.get(f"{name}.gz")
        found[name] = known.contents[name] if published else held
    return found


def unpacked(path: Path) -> bytes:
    """What a file holds, gzipped or not."""
    raw = path.read_bytes()
    try:
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged: {error}.") from None


@functools.cache
def _sums(path: Path, size: int, changed: int) -> tuple[str, str]:  # noqa: ARG001 - they are keys
    """sha256 of a file as it is, and of what it holds: once for all batteries of a study."""
    packed = _sha256(path)
    whole = path.name.endswith(".tar.gz")
    return packed, packed if whole else hashlib.sha256(unpacked(path)).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is(path: Path, sha: str) -> bool:
    return path.is_file() and _sha256(path) == sha


def _archives(kind: str) -> list[str]:
    return [name for name in SETS[kind].packed if name.endswith(".tar.gz")]


def _unpacked_name(kind: str, name: str) -> str:
    return name if name in _archives(kind) else name.removesuffix(".gz")


def _spelt(folder: Path, name: str) -> Path | None:
    """The file ``name`` under one of its usual spellings."""
    spellings = (name, name.replace("-idx", ".idx"))
    places = (folder, folder / "cifar-10-batches-bin")  # as the archive unpacks itself
    paths = [
        place / f"{spelling}{end}"
        for place in places
        for spelling in spellings
        for end in ("", ".gz")
    ]
    return next((path for path in paths if path.is_file()), None)


def _wanted(kind: str) -> str:
    parts = " and/or ".join(", ".join(group) for group in SETS[kind].groups.values())
    archive = "".join(f", or {name}" for name in _archives(kind))
    return f"It must hold {parts} (each may be gzipped){archive}."


def _pickles(folder: Path) -> str:
    """CIFAR-10 also comes as pickles."""
    if not any((folder / name).exists() for name in ("data_batch_1", "cifar-10-python.tar.gz")):
        return ""
    return " The python version is not read: unpickling runs code. Take the binary version."


@contextlib.contextmanager
def _alone(where: Path) -> Iterator[None]:
    """Makes the folder ``where``, and lets one process at a time work in it."""
    try:
        where.mkdir(parents=True, exist_ok=True)
        lock = (where / "lock").open("w")
    except OSError as error:
        raise UserError(
            f"data sets cannot be kept in {where.parent} ({error.strerror}): "
            f"set {CACHE} to a folder that can be written."
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, however that happens
        yield


def _download(kind: str, name: str, sha: str, where: Path) -> None:
    """A published file, in ``where``; pooch moves it there once its checksum is right."""
    failures = []
    for address in SETS[kind].addresses:
        try:
            pooch.retrieve(address + name, f"sha256:{sha}", name, where)
            return
        except ValueError:
            failures.append(f"{address}{name} (what came is not the file of sha256 {sha})")
        except OSError as error:  # of requests too
            cause = getattr(next(iter(error.args), None), "reason", error)  # urllib3 nests it
            if (answer := getattr(error, "response", None)) is not None:
                answer.close()  # pooch leaves a refusal open
            failures.append(f"{address}{name} ({type(cause).__name__}: {cause})")
    files = ", ".join(SETS[kind].packed)
    raise UserError(
        f"{kind} could not be downloaded. Tried: {'; '.join(failures)}. Without a network, get "
        f"{files} elsewhere, and name their folder in the config (task: {{{kind}: {{folder: "
        f"FOLDER}}}}) or put them into {where} (the environment variable {CACHE} names another "
        f"place, with a folder {kind} in it)."
    )
