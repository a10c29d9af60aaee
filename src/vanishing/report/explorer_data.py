"""The runs of a study, packed small: what the explorer of the page reads.

A number becomes a small integer: ``round(x / quantum)``, or ``round(asinh(x / unit) / quantum)``
where it spans decades with both signs; a setting is its place among its levels. A sequence of them
is written as differences, each zigzagged (0, -1, 1, -2, ... are 0, 1, 2, 3, ...) plus 1, in base
128 with the low digit first and the high bit set on all digits but the last; 0 is a missing value,
and the next difference reaches across it. A *pack* is a line of JSON that names such sequences and
says how many bytes each takes, then these bytes, all of it deflated (zlib) and in base64: nothing
of when or where it was made is in it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..lazy import Lazy
from ..table import pq
from ..tables import PREDICTIONS, RUNS

pa = Lazy("pyarrow")
BATCH = 2**18  # rows of a table that are looked at at once


class Scale(NamedTuple):
    """How a number becomes an integer: its quantum; where ``unit`` is given, of its asinh."""

    quantum: float
    unit: float = 0.0

    def codes(self, values: np.ndarray) -> np.ndarray:
        """The integers as float64; what is not finite is missing."""
        values = np.asarray(values, float)
        scaled = np.arcsinh(values / self.unit) if self.unit else values
        return np.where(np.isfinite(values), np.round(scaled / self.quantum), np.nan)


# Outcomes of a run that are numbers, and how fine they are kept.
NUMBERS = {
    "final_loss": Scale(0.001, 0.001),
    "final_train_accuracy": Scale(0.001),
    "final_test_accuracy": Scale(0.001),
    "steps_to_threshold": Scale(1),
    "first_nonfinite_step": Scale(1),
    "first_nonfinite_layer": Scale(1),
    "vanishing_index": Scale(0.01),
    "slope": Scale(0.001),
    "lag_slope": Scale(0.001),
    "seconds": Scale(0.02, 0.001),
}
# What is kept of a step, a lag or a layer.
LOG10, LOSS, STEP = Scale(0.01), Scale(0.01, 0.001), Scale(1)
# Levels that have an order of their own; others stand by number or alphabet, behind none.
ORDERS = {
    "outcome": ("trained", "slow", "stalled", "dead", "diverged"),
    "signal": (
        "severely vanishing", "vanishing", "borderline", "healthy", "exploding",
        "severely exploding",
    ),
}  # fmt: skip


def encode(codes: np.ndarray) -> bytes:
    """A sequence of integers (float64, NaN is missing) as bytes, as the module says.

    >>> encode(np.array([1, np.nan, 0, 100])).hex(" ")
    '03 00 02 c9 01'
    """
    codes = np.asarray(codes, float)
    known = np.isfinite(codes)
    steps = np.diff(codes[known].astype(np.int64), prepend=0)
    digits = np.zeros(len(codes), np.int64)
    digits[known] = np.where(steps < 0, -2 * steps - 1, 2 * steps) + 1
    lengths = np.ones(len(codes), np.int64)
    for more in range(1, 9):
        lengths += digits >= 1 << 7 * more
    start, out = np.cumsum(lengths) - lengths, np.zeros(lengths.sum(), np.uint8)
    for digit in range(lengths.max(initial=0)):
        here = lengths > digit
        high = np.where(lengths[here] > digit + 1, 128, 0)
        out[start[here] + digit] = (digits[here] >> 7 * digit & 127) | high
    return out.tobytes()


def pack(sequences: Mapping[str, bytes], header: Mapping | None = None) -> str:
    """A pack of encoded sequences; ``header`` holds what else its line of JSON says."""
    lengths = {name: len(content) for name, content in sequences.items()}
    head = json.dumps({**(header or {}), "bytes": lengths}, separators=(",", ":"))
    whole = b"".join([head.encode(), b"\n", *sequences.values()])
    return base64.b64encode(zlib.compress(whole, 9)).decode("ascii")


# ---- runs ----------------------------------------------------------------------------------------
def settings() -> list[str]:
    """The columns of runs that say what was run, and the two that say in a word how it went."""
    names = list(RUNS.columns)
    return [
        "battery",
        *names[names.index("family") : names.index("split") + 1],
        "outcome",
        "signal",
    ]


def runs(path: Path) -> pd.DataFrame:
    """A row a run, with the batteries that it stands in as a tuple: first seeds first.

    ``rank`` counts the runs of a cell by split (judged first), seed and learning rate; rows are
    ordered by it, then by their settings, so that neighbours are alike and pack well.
    """
    columns = ["run_id", "cell", *settings(), *NUMBERS]
    rows = RUNS.read(path, columns=columns)[columns]
    stands: dict[str, set[str]] = {}
    for run_id, battery in zip(rows["run_id"], rows["battery"], strict=True):
        stands.setdefault(run_id, set()).add(battery)
    rows = rows.drop_duplicates("run_id")
    rows["battery"] = [tuple(sorted(stands[run_id])) for run_id in rows["run_id"]]
    rows = rows.sort_values(["cell", "split", "seed", "lr_policy", "lr", "run_id"], kind="stable")
    rows["rank"] = rows.groupby("cell").cumcount()
    by = ["rank", *settings(), "cell"]
    return rows.sort_values(by, kind="stable", ignore_index=True)


class Setting(NamedTuple):
    """A setting's levels, what can be asked of it, and the code of each run's level.

    A level is an option, but of the battery, whose levels are the sets that runs stand in:
    ``members`` says which options each holds.
    """

    options: list
    members: list[list[int]] | None
    codes: np.ndarray


def setting(name: str, values: pd.Series) -> Setting:
    """The column ``name`` of :func:`runs` as levels and codes; a float keeps 6 digits."""
    if name == "battery":
        options = sorted({battery for level in values for battery in level})
        levels = sorted(set(values))
        members = [[options.index(battery) for battery in level] for level in levels]
        return Setting(options, members, places(values, levels))
    if RUNS.columns[name].dtype == "float64":
        values = values.map(lambda value: float(f"{value:.6g}"))
    levels = _ordered(name, values.dropna().unique().tolist())
    return Setting(levels, None, places(values, levels))


def _ordered(name: str, levels: list) -> list:
    if name in ORDERS:
        known = [level for level in ORDERS[name] if level in levels]
        return known + sorted(set(levels) - set(known))
    return sorted(levels, key=lambda level: (level != "none", level))


def places(values: pd.Series, levels: list) -> np.ndarray:
    """The place of each value among the levels; NaN for what is none of them."""
    return values.map({level: i for i, level in enumerate(levels)}).to_numpy(float)


def ids(run_ids: Sequence[str]) -> bytes:
    """Run ids in a row: 8 bytes each where all are 16 hexadecimal digits, else a line each."""
    return bytes.fromhex("".join(run_ids)) if hexadecimal(run_ids) else "\n".join(run_ids).encode()


def hexadecimal(run_ids: Sequence[str]) -> bool:
    """Whether :func:`ids` takes 8 bytes for each."""
    return all(len(i) == 16 and set(i) <= set("0123456789abcdef") for i in run_ids)


# ---- details: lines of values --------------------------------------------------------------------
class Lines(NamedTuple):
    """Lines of values, such as a profile over the layers.

    ``keys`` has a row a line, ordered by its first column: whose line it is, and ``n``, how many
    points it has. ``values`` holds the codes of all points, line after line.
    """

    keys: pd.DataFrame
    values: dict[str, np.ndarray]

    def between(self, start: int, stop: int) -> dict[str, bytes]:
        """The lines of the owners ``start`` to ``stop`` - 1, encoded."""
        owner = self.keys.iloc[:, 0].to_numpy()
        first, last = np.searchsorted(owner, [start, stop])
        ends = np.concatenate([[0], np.cumsum(self.keys["n"].to_numpy())])
        points = slice(ends[first], ends[last])
        part = self.keys.iloc[first:last]
        return {name: encode(part[name].to_numpy(float)) for name in part} | {
            name: encode(codes[points]) for name, codes in self.values.items()
        }


def lines(
    rows: pd.DataFrame, key: list[str], place: str, first: int, values: Mapping[str, Scale]
) -> Lines:
    """The ``rows`` as lines by ``place``, which counts from ``first``; what is left out is missing.

    The index of ``rows`` is not used.
    """
    rows = rows.sort_values([*key, place], kind="stable", ignore_index=True)
    line = rows.groupby(key, observed=True).ngroup().to_numpy()
    at = rows[place].to_numpy(int) - first
    keys = rows[key].drop_duplicates(ignore_index=True)
    keys["n"] = pd.Series(at).groupby(line).max() + 1
    at += (keys["n"].cumsum() - keys["n"]).to_numpy()[line] if len(keys) else 0
    found = {}
    for name, scale in values.items():
        found[name] = np.full(int(keys["n"].sum()), np.nan)
        found[name][at] = scale.codes(rows[name].to_numpy(float))
    return Lines(keys, found)


def details(tables: Path, chosen: Sequence[str]) -> tuple[dict[str, Lines], list[str]]:
    """Curves, profiles and lags of the runs ``chosen``, and the names of the players.

    Profiles and lags are those of the first and of the last probe step.
    """
    order = pd.Index(chosen)
    curve = _picked(tables / "curves.parquet", ["step", "train_loss"], order)
    curve["place"] = curve.groupby("run").cumcount() if len(curve) else 0
    layers = _at_ends(tables / "layers.parquet", order, ["player", "layer", "log10_delta_rms", "q"])
    players = sorted(set(layers["player"]))
    layers["player"] = layers["player"].map({name: i for i, name in enumerate(players)})
    layers["q"] = _log10(layers["q"])
    lag = _at_ends(tables / "lags.parquet", order, ["layer", "lag", "log10_delta_rms"])
    both = {"log10_delta_rms": LOG10, "q": LOG10}
    return {
        "curve": lines(curve, ["run"], "place", 0, {"step": STEP, "train_loss": LOSS}),
        "layers": lines(layers, ["run", "player", "step"], "layer", 1, both),
        "lags": lines(lag, ["run", "layer", "step"], "lag", 0, {"log10_delta_rms": LOG10}),
    }, players


def theory(path: Path, cells: Sequence[str]) -> Lines:
    """The predicted profiles of ``cells``, by their place; a cell without a theory has none."""
    columns = ["cell", "layer", "q", "log10_delta_rms"]
    rows = PREDICTIONS.read(path, columns=columns) if path.exists() else PREDICTIONS.frame([])
    rows = rows.dropna(subset=["q", "log10_delta_rms"], how="all").reset_index(drop=True)
    place = {name: i for i, name in enumerate(cells)}
    rows = rows.assign(cell=rows["cell"].map(place), q=_log10(rows["q"]))
    rows = rows.dropna(subset=["cell"])
    both = {"log10_delta_rms": LOG10, "q": LOG10}
    return lines(rows.astype({"cell": int}), ["cell"], "layer", 1, both)


def _log10(values: pd.Series) -> pd.Series:
    """log10 where there is one; one that is too large for a float is missing as well."""
    values = values.astype(float)
    return np.log10(values.where((values > 0) & np.isfinite(values)))


def _at_ends(path: Path, order: pd.Index, columns: list[str]) -> pd.DataFrame:
    """The rows of the table at ``path`` of each run's first and last step."""
    last = np.zeros(len(order), np.int64)

    def note(rows: pd.DataFrame) -> pd.Series:
        np.maximum.at(last, rows["run"].to_numpy(), rows["step"].to_numpy())
        return rows["run"] < 0

    _picked(path, ["step"], order, note)
    return _picked(
        path, ["step", *columns], order,
        lambda rows: rows["step"].eq(0) | rows["step"].eq(last[rows["run"]]),
    )  # fmt: skip


def _picked(
    path: Path,
    columns: list[str],
    order: pd.Index,
    keep: Callable[[pd.DataFrame], pd.Series] | None = None,
) -> pd.DataFrame:
    """Rows of the runs in ``order``, whose places become ``run``; no more is held than is kept."""
    parts = [pd.DataFrame(columns=["run", *columns])]
    if not path.exists():  # of a study that is not finished
        return parts[0]
    for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=["run_id", *columns]):
        names = batch.column(0)
        names = names if pa.types.is_dictionary(names.type) else names.dictionary_encode()
        place = order.get_indexer(names.dictionary.to_pylist())[names.indices.to_numpy()]
        rows = batch.drop_columns(["run_id"]).to_pandas().assign(run=place)
        rows = rows[rows["run"] >= 0]
        rows = rows[keep(rows)] if keep else rows
        parts.append(rows.astype({c: str for c in rows if rows[c].dtype == "category"}))
    parts = [part for part in parts if len(part)] or parts
    return pd.concat(parts, ignore_index=True)
