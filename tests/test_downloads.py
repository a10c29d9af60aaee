"""Well-known data sets: from a folder or a server, known by their content, refused if not whole."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import json
import socket
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yaml

from vanishing.errors import UserError
from vanishing.parts import downloads
from vanishing.parts.tasks import load, prepare
from vanishing.study import plan

BATTERY = {
    "family": "mlp", "factors": {"activation": ["tanh"], "init": ["he"], "depth": [2]},
    "width": 8, "seeds": {"judged": 2}, "train": {"steps": 0},
}  # fmt: skip


def sha256(raw):
    return hashlib.sha256(raw).hexdigest()


def small_idx(images, first):
    """The bytes of a set in four files: ``images`` for training and half as many besides."""
    generator = np.random.default_rng(first)
    files = {}
    for part, count in [("train", images), ("t10k", images // 2)]:
        pixels = generator.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count, dtype=np.uint8) + first) % 10
        sizes = np.array([count, 28, 28], ">u4").tobytes()
        files[f"{part}-images-idx3-ubyte"] = b"\0\0\x08\x03" + sizes + pixels.tobytes()
        files[f"{part}-labels-idx1-ubyte"] = b"\0\0\x08\x01" + sizes[:4] + labels.tobytes()
    return files


def small_cifar(count):
    generator = np.random.default_rng(0)
    files = {}
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        table = generator.integers(0, 256, (count, 3073), np.uint8)
        table[:, 0] = np.arange(count) % 10
        files[name] = table.tobytes()
    return files


def archive_of(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, raw in {"readme.html": b"hello", **files}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return packed.getvalue()


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return str(folder)


def publish(monkeypatch, kind, packed, contents, *addresses):
    """From now on, ``packed`` are the published files of a set, and lie at ``addresses``."""
    known = dataclasses.replace(
        downloads.SETS[kind],
        addresses=addresses,
        packed={name: sha256(raw) for name, raw in packed.items()},
        contents={name: sha256(raw) for name, raw in contents.items()},
    )
    monkeypatch.setitem(downloads.SETS, kind, known)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(downloads.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """A folder, the address that it is served at, and what was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            """Says nothing."""

    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}/", asked
        running.shutdown()
        thread.join()


@pytest.fixture
def closed():
    """An address at which nobody answers."""
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


@pytest.fixture
def grid_of(tmp_path):
    """The grid of a study that is ``BATTERY`` on a task."""

    def grid_of(task):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"batteries": {"b": {**BATTERY, "task": task}}}))
        return plan.make(path, tmp_path / "results").grids["b"]

    return grid_of


@pytest.fixture
def run_of(grid_of):
    return lambda task: grid_of(task).judged[0]


def spellings(files):
    gzipped = {f"{name}.gz": gzip.compress(raw) for name, raw in files.items()}
    dotted = {name.replace("-idx", ".idx"): raw for name, raw in files.items()}
    return {"plain": files, "gzipped": gzipped, "dotted": dotted}


@pytest.mark.parametrize("spelling", ["plain", "gzipped", "dotted"])
@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
def test_idx_files_in_a_folder_are_read_training_set_first(tmp_path, kind, spelling):
    folder = write(tmp_path / "own", spellings(small_idx(40, 3))[spelling])
    data = load({"kind": kind, "folder": folder})
    assert data.inputs.shape == (60, 784)
    assert data.image == (1, 28, 28)
    assert data.labels[:3].tolist() == [3, 4, 5]
    assert data.labels[40:43].tolist() == [3, 4, 5]


def test_cifar_is_read_as_files_and_as_the_archive_of_them(tmp_path):
    files = small_cifar(20)
    folders = [
        write(tmp_path / "files", files),
        write(tmp_path / "unpacked" / "cifar-10-batches-bin", files).rpartition("/")[0],
        write(tmp_path / "archive", {"cifar-10-binary.tar.gz": archive_of(files)}),
    ]
    pixels = np.frombuffer(files["test_batch.bin"], np.uint8).reshape(20, 3073)[7, 1:]
    for folder in folders:
        data = load({"kind": "cifar10", "folder": folder})
        assert data.inputs.shape == (120, 3072)
        assert data.image == (3, 32, 32)
        assert data.labels[100:].tolist() == [*range(10), *range(10)]
        assert np.corrcoef(data.inputs[107], pixels)[0, 1] == pytest.approx(1)


def test_mnists_test_images_alone_are_a_set_of_their_own(mnist, run_of):
    folder = str(mnist[0].parent)
    data = load({"kind": "mnist", "folder": folder})
    assert data.inputs.shape == (10_000, 784)
    assert data.image == (1, 28, 28)
    assert data.labels[:5].tolist() == [7, 2, 1, 0, 4]
    run = run_of({"mnist": {"folder": folder}})
    assert run.task == "mnist(t10k)"
    assert run.data != run_of("mnist").data


def test_the_real_test_images_are_those_on_record(mnist):
    known = downloads.SETS["mnist"].contents
    found = downloads.contents("mnist", str(mnist[0].parent))
    assert found == {name: known[name] for name in known if name.startswith("t10k")}


def test_some_samples_are_the_same_ones_always_and_not_the_first(tmp_path):
    folder = write(tmp_path / "own", small_idx(100, 0))
    spec = {"kind": "mnist", "folder": folder}
    whole, some, more = (load({**spec, **n}) for n in ({}, {"samples": 30}, {"samples": 50}))
    assert len(some.labels) == 30
    np.testing.assert_array_equal(some.inputs, more.inputs[:30])
    assert not np.array_equal(some.inputs, whole.inputs[:30])
    rows = {row.tobytes(): label for row, label in zip(whole.inputs, whole.labels, strict=True)}
    assert [rows[row.tobytes()] for row in some.inputs] == some.labels.tolist()
    assert len({row.tobytes() for row in some.inputs}) == 30
    with pytest.raises(UserError, match="holds 150 samples, and samples: 151 came"):
        load({**spec, "samples": 151})


@pytest.mark.parametrize(
    ("kind", "files", "message"),
    [
        ("mnist", [], "lacks files of mnist: train-images-idx3-ubyte, train-labels.*t10k-labels"),
        ("mnist", ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
         "lacks files of mnist: train-labels-idx1-ubyte. It must hold train-images"),
        ("cifar10", ["data_batch_1.bin", "test_batch.bin"], "data_batch_2.bin, .*_batch_5.bin. "),
        ("cifar10", ["data_batch_1"], "or cifar-10-binary.tar.gz. The python version is not read"),
    ],
)  # fmt: skip
def test_a_folder_that_lacks_files_is_refused_with_their_names(tmp_path, kind, files, message):
    folder = write(tmp_path / "own", dict.fromkeys(files, b"x"))
    with pytest.raises(UserError, match=message):
        downloads.contents(kind, folder)
    with pytest.raises(UserError, match=message):
        load({"kind": kind, "folder": folder})


def test_files_that_are_not_what_they_seem_are_refused(tmp_path):
    files = small_idx(40, 0)
    files["t10k-labels-idx1-ubyte"] = files["train-labels-idx1-ubyte"]
    with pytest.raises(UserError, match=r"images \(20, 28, 28\) and labels \(40,\) are not"):
        load({"kind": "mnist", "folder": write(tmp_path / "m", files)})
    small = b"\0\0\x08\x03" + np.array([20, 7, 7], ">u4").tobytes() + b"\1" * 980
    files = {**small_idx(40, 0), "t10k-images-idx3-ubyte": small}
    with pytest.raises(UserError, match=r"\(20, 7, 7\) .*give images of your own as task idx"):
        load({"kind": "mnist", "folder": write(tmp_path / "m", files)})
    good = small_cifar(20)
    for name, raw in [("short", b"\0" * 3072), ("label", b"\x0a" + b"\0" * 3072), ("empty", b"")]:
        folder = write(tmp_path / name, {**good, "data_batch_3.bin": raw})
        with pytest.raises(UserError, match=r"batch_3.bin is not CIFAR-10's binary version"):
            load({"kind": "cifar10", "folder": folder})
    for name, raw in [("cut", archive_of(good)[:2000]), ("none", b"no archive")]:
        folder = write(tmp_path / name, {"cifar-10-binary.tar.gz": raw})
        with pytest.raises(UserError, match=r"tar.gz is damaged"):
            load({"kind": "cifar10", "folder": folder})
    part = archive_of({"test_batch.bin": good["test_batch.bin"]})
    folder = write(tmp_path / "part", {"cifar-10-binary.tar.gz": part})
    with pytest.raises(UserError, match=r"tar.gz lacks data_batch_1.bin"):
        load({"kind": "cifar10", "folder": folder})


def test_a_set_is_downloaded_once_and_then_read_from_the_cache(cache, server, monkeypatch):
    folder, address, asked = server
    files = small_idx(40, 3)
    packed = spellings(files)["gzipped"]
    write(folder, packed)
    publish(monkeypatch, "mnist", packed, files, address)
    for _ in range(2):
        prepare({"kind": "mnist"})
        data = load({"kind": "mnist", "samples": 30})
    assert data.image == (1, 28, 28)
    assert sorted(asked) == sorted(f"/{name}" for name in packed)
    assert {path.name for path in (cache / "mnist").iterdir()} == {*packed, "lock"}


def test_jobs_that_need_a_set_at_once_download_it_once(cache, server, monkeypatch):
    folder, address, asked = server
    packed = {"cifar-10-binary.tar.gz": archive_of(small_cifar(20))}
    write(folder, packed)
    publish(monkeypatch, "cifar10", packed, small_cifar(20), address)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(downloads.fetch, ["cifar10"] * 4))
    assert found == [{"cifar-10-binary.tar.gz": cache / "cifar10" / "cifar-10-binary.tar.gz"}] * 4
    assert asked == ["/cifar-10-binary.tar.gz"]
    assert load({"kind": "cifar10"}).image == (3, 32, 32)


def test_a_damaged_file_in_the_cache_is_downloaded_anew(cache, server, monkeypatch):
    folder, address, asked = server
    files = small_idx(40, 3)
    packed = spellings(files)["gzipped"]
    write(folder, packed)
    publish(monkeypatch, "fashion_mnist", packed, files, address)
    name = "t10k-labels-idx1-ubyte.gz"
    write(cache / "fashion_mnist", {**packed, name: b"half of it"})
    downloads.fetch("fashion_mnist")
    assert asked == [f"/{name}"]
    assert (cache / "fashion_mnist" / name).read_bytes() == packed[name]


def test_the_next_address_is_tried_where_one_does_not_answer(cache, server, closed, monkeypatch):
    folder, address, _ = server
    packed = {"cifar-10-binary.tar.gz": archive_of(small_cifar(20))}
    write(folder, packed)
    publish(monkeypatch, "cifar10", packed, {}, closed, address)
    assert downloads.fetch("cifar10")["cifar-10-binary.tar.gz"].is_relative_to(cache)


def test_a_file_with_another_checksum_is_refused_and_not_kept(cache, server, monkeypatch):
    folder, address, _ = server
    name = "cifar-10-binary.tar.gz"
    write(folder, {name: b"something else"})
    publish(monkeypatch, "cifar10", {name: b"the real thing"}, {}, address)
    with pytest.raises(UserError, match=f"{address}{name} .*not the file of sha256 {'.' * 64}"):
        load({"kind": "cifar10"})
    assert [path.name for path in (cache / "cifar10").iterdir()] == ["lock"]


def test_without_a_network_the_message_says_what_to_do(cache, server, closed, monkeypatch):
    name = "cifar-10-binary.tar.gz"
    _, address, _ = server  # answers that there is no such file
    publish(monkeypatch, "cifar10", {name: b"the real thing"}, {}, closed, address)
    with pytest.raises(UserError) as error:
        load({"kind": "cifar10"})
    said = str(error.value)
    for part in [f"{closed}{name} (", f"{address}{name} (HTTPError: 404", "{folder: FOLDER}}",
                 str(cache / "cifar10"), downloads.CACHE]:  # fmt: skip
        assert part in said


def test_a_cache_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(downloads.CACHE, str(tmp_path / "file"))
    with pytest.raises(UserError, match=f"cannot be kept in .*set {downloads.CACHE} to a folder"):
        downloads.fetch("mnist")


def test_a_plan_downloads_nothing_and_loads_nothing_heavy(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"batteries": {"b": {**BATTERY, "task": "cifar10"}}}))
    code = (
        "import sys, socket\n"
        "socket.socket = None\n"
        "from pathlib import Path\n"
        "from vanishing.study import plan\n"
        f"plan.make({str(path)!r}, Path({str(tmp_path / 'results')!r}))\n"
        "heavy = {'torch', 'pandas', 'numpy', 'pooch', 'requests'} & set(sys.modules)\n"
        "sys.exit(f'{heavy} came along' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_published_files_are_one_task_wherever_and_however_they_lie(tmp_path, run_of, monkeypatch):
    files = small_idx(40, 3)
    packed = spellings(files)["gzipped"]
    publish(monkeypatch, "mnist", packed, files)
    runs = [run_of("mnist"), run_of({"mnist": {}})]
    repacked = {name: gzip.compress(files[name[:-3]], 1, mtime=9) for name in packed}
    for name, held in {**spellings(files), "packed": packed, "repacked": repacked}.items():
        runs.append(run_of({"mnist": {"folder": write(tmp_path / name, held)}}))
    assert {(run.task, run.data) for run in runs} == {("mnist", runs[0].data)}
    assert len({run.run_id for run in runs}) == 1
    cifar = small_cifar(20)
    archive = {"cifar-10-binary.tar.gz": archive_of(cifar)}
    publish(monkeypatch, "cifar10", archive, cifar)
    folders = [write(tmp_path / "bins", cifar), write(tmp_path / "archive", archive)]
    ids = {run_of({"cifar10": {"folder": folder}}).run_id for folder in folders}
    assert ids == {run_of("cifar10").run_id}


def test_other_files_samples_or_scales_are_other_tasks(tmp_path, run_of):
    own = write(tmp_path / "own", small_idx(40, 3))
    other = write(tmp_path / "other", small_idx(40, 4))
    half = write(tmp_path / "half", {k: v for k, v in small_idx(40, 3).items() if "t10k" in k})
    bins = write(tmp_path / "bins", {"test_batch.bin": small_cifar(20)["test_batch.bin"]})
    archive = write(tmp_path / "a", {"cifar-10-binary.tar.gz": archive_of(small_cifar(20))})
    tasks = [
        "mnist", "fashion_mnist", "cifar10", {"mnist": {"samples": 20}},
        {"mnist": {"samples": 30}}, {"mnist": {"scale": "feature"}}, {"mnist": {"folder": own}},
        {"mnist": {"folder": other}}, {"mnist": {"folder": half}},
        {"mnist": {"folder": half, "samples": 20}}, {"cifar10": {"folder": bins}},
        {"cifar10": {"folder": archive}},
    ]  # fmt: skip
    runs = [run_of(task) for task in tasks]
    assert len({run.data for run in runs}) == len(tasks)
    labels = [run.task for run in runs]
    assert labels[3] == "mnist(samples=20)"
    assert labels[8:11] == ["mnist(t10k)", "mnist(t10k, samples=20)", "cifar10(test)"]


def test_a_job_gets_what_the_plan_found(tmp_path, grid_of):
    folder = write(tmp_path / "own", small_idx(40, 3))
    spec = json.loads(json.dumps(grid_of({"mnist": {"folder": "own", "samples": 30}}).task))
    assert spec == {"kind": "mnist", "folder": folder, "samples": 30, "scale": "sample"}
    assert load(spec).inputs.shape == (30, 784)


def test_a_changed_file_is_another_task(tmp_path, run_of):
    folder = write(tmp_path / "own", small_idx(40, 3))
    before = run_of({"mnist": {"folder": folder}}).data
    write(tmp_path / "own", small_idx(40, 4))
    assert run_of({"mnist": {"folder": folder}}).data != before


def test_ids_of_digits_and_of_the_users_own_files_stay_as_they_were(tmp_path, run_of):
    assert (run_of("digits").task, run_of("digits").data) == ("digits", "")
    (tmp_path / "x.npz").write_bytes(b"any")
    run = run_of({"npz": {"path": "x.npz"}})
    expected = {"path": sha256(b"any"), "scale": "sample", "x": "x", "y": "y"}
    digest = sha256(json.dumps(expected, sort_keys=True).encode())[:16]
    assert (run.task, run.data) == ("npz:x", digest)
