"""Synthetic tables of runs for the explorer, and how a reader would unpack them."""

import base64
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from vanishing.tables import CURVES, LAGS, LAYERS, PREDICTIONS, RUNS

DEPTH, STEPS = 6, 40
INITS = ("he", "gaussian", "gaussian(sigma_w=4)", "gaussian(sigma_w=1, sigma_b=0.5)")
OF_ALL = {
    "family": "mlp", "task": "digits", "data": "", "norm": "none", "norm_position": "before",
    "residual": "none", "padding": "zero", "recurrence": "none", "game": "none",
    "players": "none", "generator": "none", "normed": "none", "loss": "cross_entropy",
    "optimizer": "sgd", "schedule": "constant", "clip": "none", "device": "cpu", "cohort": "c",
    "signal": "healthy", "split": "judged", "battery": "training",
}  # fmt: skip


def explored(folder: Path, seeds: int = 4) -> Path:
    """A study of tanh and relu in four inits with ``seeds`` seeds: all that the explorer reads.

    The first run stands in a second battery, those of gaussian are not trained, relu diverges in
    seed 3, and layer 2 of the first run has an exactly zero gradient.
    """
    cells = [(activation, init) for activation in ("tanh", "relu") for init in INITS]
    rows = [_run(*cell, seed) for seed in range(seeds) for cell in cells]
    tables = folder / "tables"
    RUNS.write(RUNS.frame([{**rows[0], "battery": "signal"}, *rows]), tables / "runs.parquet")
    trained = [row for row in rows if row["steps"]]
    CURVES.write(
        CURVES.frame([p for row in trained for p in _curve(row)]), tables / "curves.parquet"
    )
    layers = [
        _numbers(LAYERS)
        | {"run_id": row["run_id"], "step": step, "player": "net", "layer": layer}
        | {"log10_delta_rms": -layer / 3 - row["seed"] - step, "q": 1.5**layer}
        for row in rows
        for step in sorted({0, row["steps"] // 2, row["steps"]})
        for layer in range(1, DEPTH + 1)
    ]
    layers[1]["log10_delta_rms"] = None
    diverged = {row["run_id"] for row in rows if row["outcome"] == "diverged"}
    for layer in layers:
        if layer["run_id"] in diverged and layer["step"]:
            layer |= {"log10_delta_rms": None, "q": None}
    LAYERS.write(LAYERS.frame(layers), tables / "layers.parquet")
    LAGS.write(LAGS.frame([]), tables / "lags.parquet")
    expected = [
        {"cell": name, "layer": layer, "q": 1.0, "chi_1": None, "slope": None,
         "log10_delta_rms": -layer / 4, "source": "x"}
        for name in sorted({row["cell"] for row in rows})
        for layer in range(1, DEPTH + 1)
    ]  # fmt: skip
    PREDICTIONS.write(PREDICTIONS.frame(expected), tables / "predictions.parquet")
    return folder


def _numbers(table) -> dict:
    """1 in every column that is a number and may not be missing."""
    return {
        name: None if column.null else 1
        for name, column in table.columns.items()
        if column.dtype != "string"
    }


def _run(activation: str, init: str, seed: int) -> dict:
    cell = f"{activation}-{init}"
    place = seed + 100 * INITS.index(init) + 1000 * (activation == "relu")
    trained = init != "gaussian"
    diverged = trained and activation == "relu" and seed == 3
    outcome = "diverged" if diverged else "trained"
    return {
        **_numbers(RUNS), **OF_ALL, "run_id": f"{place:016x}", "cell": cell,
        "activation": activation, "init": init, "depth": DEPTH, "seed": seed,
        "sigma_w": 2**0.5, "steps": STEPS if trained else 0, "lr": 0.1 if trained else None,
        "lr_policy": "fixed(0.1)" if trained else "none", "outcome": outcome if trained else None,
        "vanishing_index": -1.234567 * seed, "slope": 0.0123456 * place,
        "final_loss": None if diverged or not trained else 2.3 / (1 + place),
        "first_nonfinite_step": 4 if diverged else None,
        "first_nonfinite_layer": 2 if diverged else None,
    }  # fmt: skip


def _curve(row: dict) -> list[dict]:
    """Losses that fall, or, of a run that diverges, grow until there are none."""
    last = 4 if row["outcome"] == "diverged" else STEPS
    return [
        {"run_id": row["run_id"], "step": step, "test_accuracy": None,
         "train_loss": (10.0**step if last == 4 else 2.3 / (1 + step)) if step < last else None}
        for step in range(0, STEPS + 1, 2)
    ]  # fmt: skip


# ---- unpacking -----------------------------------------------------------------------------------
def packs(text: str, kind: str) -> list[dict]:
    """The packs of a kind in the explorer's HTML: what they say, with their ``sequences``."""
    found = re.findall(rf'class="explorer-{kind}">([\w+/=]*)</script>', text)
    return [_unpacked(zlib.decompress(base64.b64decode(pack, validate=True))) for pack in found]


def _unpacked(content: bytes) -> dict:
    line, _, rest = content.partition(b"\n")
    head, at, sequences = json.loads(line), 0, {}
    for name, length in head["bytes"].items():
        sequences[name] = rest[at : at + length]
        at += length
    assert at == len(rest)
    return {**head, "sequences": sequences}


def decoded(content: bytes) -> np.ndarray:
    """The integers of a sequence; NaN where one is missing."""
    found, last, digits, place = [], 0, 0, 1
    for byte in content:
        digits, place = digits + (byte & 127) * place, place * 128
        if byte > 127:
            continue
        if digits:
            last += (digits - 1) // 2 if digits % 2 else -digits // 2
        found.append(last if digits else np.nan)
        digits, place = 0, 1
    return np.array(found, float)


def unscaled(codes: np.ndarray, quantum: float, unit: float) -> np.ndarray:
    """The numbers that the integers stand for."""
    return unit * np.sinh(codes * quantum) if unit else codes * quantum


def read(text: str) -> pd.DataFrame:
    """The runs that are packed in the explorer's HTML."""
    [meta] = packs(text, "meta")
    parts = []
    for pack in packs(text, "rows"):
        part = {"run_id": re.findall(".{16}", pack["sequences"]["run_id"].hex())}
        assert pack["hexadecimal"]
        for column in meta["settings"]:
            part[column["name"]] = _levels(column, decoded(pack["sequences"][column["name"]]))
        for column in meta["numbers"]:
            codes = decoded(pack["sequences"][column["name"]])
            part[column["name"]] = unscaled(codes, *column["scale"])
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _levels(column: dict, codes: np.ndarray) -> list:
    options = column["options"]
    sets = column.get("members")
    return [
        None if np.isnan(code)
        else tuple(options[i] for i in sets[int(code)]) if sets
        else options[int(code)]
        for code in codes
    ]  # fmt: skip
