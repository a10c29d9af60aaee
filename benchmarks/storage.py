"""Prints what the logs take on disk, and what other ways of writing them would.

``python -m benchmarks.storage [RESULTS]``: bytes per run and layer, times of writing and reading,
of a made-up table of layers and, where a finished study's folder is given, of its own logs; then
what every table of the study takes, and which values of float64 columns float32 could not hold.
"""

from __future__ import annotations

import io
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vanishing.table import Table
from vanishing.tables import LAYERS, LOGS

NORMAL = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
SAMPLED = 12  # files of a study that are written again, from the largest to the smallest


@dataclass(frozen=True)
class Way:
    """A way of writing: the type of numbers that are not keys, and what Parquet is told."""

    dtype: str = ""  # as declared, where it is empty
    compression: str = "zstd"
    level: int | None = None
    dictionaries: str = "all"  # all: also of numbers; keys: of what is no float; none
    split: bool = False  # the bytes of floats by their place, which compresses better

    def bytes_of(self, rows: pa.Table, table: Table) -> bytes:
        """The file."""
        floats = [n for n, column in table.columns.items() if column.dtype.startswith("float")]
        keys = [n for n in table.columns if n not in floats]
        types = {n: pa.type_for_alias(self.dtype) for n in floats if self.dtype}
        schema = pa.schema([pa.field(f.name, types.get(f.name, f.type)) for f in rows.schema])
        file = io.BytesIO()
        pq.write_table(
            rows.cast(schema),
            file,
            compression=self.compression,
            compression_level=self.level,
            use_dictionary={"all": True, "keys": keys, "none": False}[self.dictionaries],
            use_byte_stream_split=floats if self.split else False,
        )
        return file.getvalue()


WAYS = {
    "declared types, zstd": Way(),
    "uncompressed": Way(compression="none"),
    "snappy": Way(compression="snappy"),
    "zstd level 3": Way(level=3),
    "zstd level 9": Way(level=9),
    "no dictionary": Way(dictionaries="none"),
    "dictionary of keys": Way(dictionaries="keys"),
    "dictionary of keys, split": Way(dictionaries="keys", split=True),
    "float64": Way("float64"),
    "float32": Way("float32"),
    "float32, dictionary of keys, split": Way("float32", dictionaries="keys", split=True),
}


def made_up(runs: int = 50, probes: int = 11, depth: int = 32, seed: int = 0) -> pa.Table:
    """Rows of layers such as trainings leave: noisy decays, shares of few counts, blocks off."""
    draws, rows = np.random.default_rng(seed), runs * probes * depth
    layer = np.tile(np.arange(1, depth + 1), runs * probes)
    ids = [f"{n:016x}" for n in draws.integers(2**62, size=runs)]
    steps = [0, *(2**n for n in range(probes - 1))][:probes]
    data: dict[str, object] = {
        "run_id": np.repeat(ids, probes * depth),
        "step": np.tile(np.repeat(steps, depth), runs),
        "player": "net",
        "layer": layer,
    }
    off = {n for n, c in LAYERS.columns.items() if "switch on the block" in c.null}
    for name, column in LAYERS.columns.items():
        if name in data:
            continue
        if name in off:
            data[name] = np.full(rows, np.nan)
        elif name.startswith("log10"):
            data[name] = -4 + 0.1 * layer + 0.1 * draws.normal(size=rows)
        elif "share of" in column.meaning:
            data[name] = draws.binomial(4096, 0.02, rows) / 4096 * (draws.random(rows) < 0.5)
        else:
            data[name] = 10 ** (-4 + 0.1 * layer) * draws.normal(size=rows)
    return pa.Table.from_pandas(LAYERS.frame(data), LAYERS.schema(), preserve_index=False)


def compared(tables: Mapping[str, pa.Table], table: Table, times: int = 5) -> pd.DataFrame:
    """A row a way of writing the files of a table: its size, and milliseconds for all of them.

    A row of layers is a run, probe and layer; what a run and layer take is its rows at all probes.
    ``as written`` goes through the table's own writer and reader, with a disk and all checks; the
    ways are Arrow's alone, in memory. Times are the processor's: a disk's waits are not in them.
    """
    rows = sum(map(len, tables.values()))
    layers = sum(int((of["step"].to_numpy() == 0).sum()) for of in tables.values())
    found = {"as written": _through(tables, table, times)}
    found |= {name: _in_memory(way, tables, table, times) for name, way in WAYS.items()}
    data = pd.DataFrame(found).T
    size = data.pop("bytes")
    data.insert(0, "bytes a row", size / rows)
    data.insert(1, "bytes a run and layer", size / layers)
    data.insert(2, "of as written", size / size["as written"])
    return data


def _in_memory(
    way: Way, tables: Mapping[str, pa.Table], table: Table, times: int
) -> dict[str, float]:
    """Size and times of a way."""

    def write() -> list[bytes]:
        return [way.bytes_of(rows, table) for rows in tables.values()]

    files = write()
    return {
        "write ms": _median(write, times),
        "read ms": _median(lambda: [_frame(file) for file in files], times),
        "bytes": sum(map(len, files)),
    }


def _through(tables: Mapping[str, pa.Table], table: Table, times: int) -> dict[str, float]:
    """Size and times by :meth:`Table.write` and :meth:`Table.read`."""
    frames = {name: of.to_pandas() for name, of in tables.items()}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{number}.parquet" for number, name in enumerate(frames)}

        def write() -> None:
            for name, frame in frames.items():
                table.write(table.frame(frame), paths[name])

        return {
            "write ms": _median(write, times),
            "read ms": _median(lambda: [table.read(path) for path in paths.values()], times),
            "bytes": sum(path.stat().st_size for path in paths.values()),
        }


def _frame(file: bytes) -> pd.DataFrame:
    return pq.read_table(io.BytesIO(file)).to_pandas()  # as Table.read does


def _median(work: Callable[[], object], times: int) -> float:
    """Milliseconds of the processor for ``work``, all threads, the median of several times."""
    found = []
    for _ in range(times):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return 1e3 * statistics.median(found)


def sampled(results: Path) -> dict[str, pa.Table]:
    """Some of a study's logs of layers, evenly from the largest to the smallest."""
    files = (results / "logs/layers").glob("*.parquet")
    files = sorted(files, key=lambda file: file.stat().st_size, reverse=True)
    chosen = files[:: max(1, math.ceil(len(files) / SAMPLED))]
    return {file.stem: LAYERS.load(file) for file in chosen}


def of_study(results: Path) -> pd.DataFrame:
    """A row a table of a study's logs: files, rows, size, bytes a row and a run."""
    found, runs = {}, _rows(results, "runs")
    for name in LOGS:
        files = list((results / "logs" / name).glob("*.parquet"))
        size, rows = sum(file.stat().st_size for file in files), _rows(results, name)
        each = {"bytes a row": size / rows if rows else np.nan, "bytes a run": size / max(1, runs)}
        found[name] = {"files": len(files), "rows": rows, "MB": size / 1e6, **each}
    return pd.DataFrame(found).T


def _rows(results: Path, name: str) -> int:
    files = (results / "logs" / name).glob("*.parquet")
    return sum(pq.read_metadata(file).num_rows for file in files)


def beyond_float32(results: Path) -> pd.DataFrame:
    """A row a float64 column of the logs of layers: its range, and what float32 could not hold.

    Values that would be 0, subnormal (and so lose digits) or infinite.
    """
    found: dict[str, list[tuple[float, float, int]]] = {}
    names = [name for name, column in LAYERS.columns.items() if column.dtype == "float64"]
    for file in (results / "logs/layers").glob("*.parquet"):
        for name, column in zip(names, pq.read_table(file, columns=names).columns, strict=True):
            size = np.abs(column.to_numpy())
            size = size[size > 0]
            if len(size):
                beyond = int(((size < NORMAL[0]) | (size > NORMAL[1])).sum())
                found.setdefault(name, []).append((size.min(), size.max(), beyond))
    rows = {
        name: {"least": min(low), "largest": max(high), "beyond float32": sum(beyond)}
        for name, of in found.items()
        for low, high, beyond in [zip(*of, strict=True)]
    }
    return pd.DataFrame(rows).T


def main(results: str | None = None) -> None:
    """Print the comparison, and what a study's logs take, if one is given."""
    print("made-up layers: 50 runs, 11 probes, 32 layers")  # noqa: T201
    print(compared({"made up": made_up()}, LAYERS).round(2).to_string())  # noqa: T201
    if results:
        print(f"\nlayers of {results}, {SAMPLED} of its cohorts")  # noqa: T201
        print(compared(sampled(Path(results)), LAYERS).round(2).to_string())  # noqa: T201
        print("\nall tables")  # noqa: T201
        print(of_study(Path(results)).round(1).to_string())  # noqa: T201
        print("\nfloat64 columns of layers")  # noqa: T201
        print(beyond_float32(Path(results)).to_string(float_format="{:.2g}".format))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
