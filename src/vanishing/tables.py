"""Every table of the study, declared once: what a row is, its key, each column's type, unit, meaning.

Writers and readers both go through :meth:`Table.check`, so a table on disk never differs from what
is said here; ``reports/data-dictionary.md`` is rendered from these declarations.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UserError
from .lazy import Lazy

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
else:
    pd = Lazy("pandas")
    pa = Lazy("pyarrow")


@dataclass(frozen=True)
class Column:
    """One column: its type (``string``, ``int64``, ``float64``, ``float32``, ``bool``) and sense."""

    dtype: str
    unit: str
    meaning: str
    null: str = ""  # what a missing value means; a column without it has none

    @property
    def arrow(self) -> pa.DataType:
        """The type on disk; strings repeat in long tables, so they are dictionary-encoded."""
        if self.dtype == "string":
            return pa.dictionary(pa.int32(), pa.string())
        return {"bool": pa.bool_()}.get(self.dtype) or pa.type_for_alias(self.dtype)


@dataclass(frozen=True)
class Table:
    """A declared table: :meth:`frame` builds one, :meth:`check` refuses what differs from it."""

    name: str
    row: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]

    def without(self, *names: str) -> Table:
        """The same table before the columns ``names`` are known (a cohort's log, say)."""
        rest = {name: column for name, column in self.columns.items() if name not in names}
        key = tuple(name for name in self.key if name not in names)
        return Table(self.name, self.row, key, rest)

    @property
    def signature(self) -> str:
        """Changes when a file of this table can no longer be read as it: names and types."""
        return " ".join(f"{name}:{column.dtype}" for name, column in self.columns.items())

    def schema(self) -> pa.Schema:
        """The enforced Arrow schema."""
        return pa.schema(
            [
                pa.field(name, column.arrow, nullable=bool(column.null))
                for name, column in self.columns.items()
            ]
        )

    def frame(
        self, rows: Iterable[Mapping] | Mapping[str, Iterable] | pd.DataFrame
    ) -> pd.DataFrame:
        """A checked data frame with this table's columns, in its order and types."""
        data = pd.DataFrame(rows if isinstance(rows, Mapping | pd.DataFrame) else list(rows))
        if data.empty:
            data = data.reindex(columns=list(self.columns))
        self._refuse_other_columns(data)
        typed = {name: _typed(data[name], column) for name, column in self.columns.items()}
        return self.check(pd.DataFrame(typed))

    def check(self, data: pd.DataFrame) -> pd.DataFrame:
        """``data`` itself, if it is this table; else a :class:`UserError` that says what differs."""
        self._refuse_other_columns(data)
        for name, column in self.columns.items():
            if not column.null and data[name].isna().any():
                raise UserError(f"table {self.name!r}: column {name!r} may hold no missing value")
            if column.dtype != "string" and not _is(data[name], column.dtype):
                raise UserError(
                    f"table {self.name!r}: column {name!r} is {data[name].dtype}, "
                    f"and must be {column.dtype}"
                )
        twice = data.duplicated(list(self.key))
        if twice.any():
            first = data.loc[twice, list(self.key)].iloc[0].to_dict()
            raise UserError(f"table {self.name!r}: more than one row has the key {first}")
        return data

    def _refuse_other_columns(self, data: pd.DataFrame) -> None:
        missing = [name for name in self.columns if name not in data.columns]
        unknown = [str(name) for name in data.columns if name not in self.columns]
        if missing or unknown:
            raise UserError(
                f"table {self.name!r}: missing columns {missing}, unknown columns {unknown}"
            )

    def write(self, data: pd.DataFrame, path: Path, provenance: Mapping | None = None) -> None:
        """Write ``data`` to ``path`` at once or not at all, with its provenance in the metadata."""
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.check(data), self.schema(), preserve_index=False)
        table = table.replace_schema_metadata(
            {"table": self.name, "provenance": json.dumps(provenance or {}, sort_keys=True)}
        )
        with atomic(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def read(self, path: Path, columns: list[str] | None = None) -> pd.DataFrame:
        """The table at ``path`` (or some of its columns), checked."""
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path, columns=columns)
        except FileNotFoundError:
            raise UserError(f"no table at {path}: it has not been made yet") from None
        except (pa.ArrowException, OSError) as error:
            raise UserError(
                f"{path} cannot be read as the table {self.name!r} ({error}). "
                "Delete it and start again: it will be made anew."
            ) from None
        data = table.to_pandas(
            strings_to_categorical=False,
            types_mapper={pa.int64(): pd.Int64Dtype()}.get if self._has_null_integers() else None,
        )
        for name, column in self.columns.items():
            if name in data.columns:
                data[name] = _typed(data[name], column)
        return data if columns else self.check(data)

    def _has_null_integers(self) -> bool:
        return any(c.null and c.dtype == "int64" for c in self.columns.values())


def provenance_of(path: Path) -> dict:
    """The provenance that :meth:`Table.write` put into the file at ``path``."""
    import pyarrow.parquet as pq

    return json.loads((pq.read_schema(path).metadata or {}).get(b"provenance", b"{}"))


def _typed(values: pd.Series, column: Column) -> pd.Series:
    if column.dtype == "string":
        return values.astype("str") if not values.isna().any() else values.astype("object")
    if column.dtype == "int64" and column.null:
        return values.astype("Int64")
    if column.dtype.startswith("float"):
        return pd.to_numeric(values).astype(column.dtype)
    return values.astype(column.dtype)


def _is(values: pd.Series, dtype: str) -> bool:
    return str(values.dtype).lower() == dtype


class atomic:  # noqa: N801 - used as a function
    """A temporary path beside ``path`` that becomes ``path`` when the block ends without error."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        os.close(handle)
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
            return
        with self.temporary.open("rb") as file:
            os.fsync(file.fileno())
        self.temporary.chmod(0o666 & ~_umask())
        self.temporary.replace(self.path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` at once or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


_RUN_ID = Column("string", "1", "hash of the run's resolved settings")
_CELL = Column("string", "1", "hash of the run's settings without seed and learning rate")
_STEP = Column("int64", "updates", "updates made so far; 0 is the initial network")
_CENSORED = "exactly zero: log10 does not exist (see the zero fraction)"
_UNTRAINED = "the run is of an init battery: nothing was trained"

RUNS = Table(
    "runs",
    "a run (one training of one network) in a battery",
    ("battery", "run_id"),
    {
        "run_id": _RUN_ID,
        "cell": _CELL,
        "cohort": Column("string", "1", "the cohort that trained the run"),
        "battery": Column("string", "1", "the block of the config that asks for the run"),
        "family": Column("string", "1", "kind of network: mlp"),
        "task": Column("string", "1", "the data that it learns"),
        "activation": Column("string", "1", "elementwise nonlinearity phi"),
        "init": Column("string", "1", "rule that draws the initial weights"),
        "sigma_w": Column("float64", "1", "sd of a hidden weight times the root of fan_in"),
        "sigma_b": Column("float64", "1", "sd of a hidden bias"),
        "norm": Column("string", "1", "normalisation of the affine output"),
        "residual": Column("string", "1", "how a layer's input is added to its output"),
        "depth": Column("int64", "layers", "hidden layers"),
        "width": Column("int64", "units", "units of a hidden layer"),
        "optimizer": Column("string", "1", "rule that updates the weights"),
        "lr": Column("float64", "1", "learning rate used", null=_UNTRAINED),
        "lr_policy": Column("string", "1", "tuned (with its grid), fixed, or none"),
        "batch": Column("int64", "samples", "samples of an update"),
        "steps": Column("int64", "updates", "updates of the training"),
        "seed": Column("int64", "1", "gives initial draws, split and order of the data"),
        "split": Column("string", "1", "tuning (chose a rate) or judged (counts in claims)"),
        "outcome": Column(
            "string", "1", "first match of: diverged, dead, trained, stalled, slow", null=_UNTRAINED
        ),
        "signal": Column("string", "1", "the cell's gradient at init: healthy, vanishing, ..."),
        "final_loss": Column(
            "float64", "nats", "mean training loss of the last 10 updates", null=_UNTRAINED + ", or it diverged"
        ),
        "final_train_accuracy": Column(
            "float64", "1", "share right on the training split, at the end", null=_UNTRAINED
        ),
        "final_test_accuracy": Column(
            "float64", "1", "share right on the test split, at the end", null=_UNTRAINED
        ),
        "steps_to_threshold": Column(
            "int64", "updates", "first update with smoothed loss at half of chance",
            null="never reached within the steps (censored)",
        ),
        "vanishing_index": Column(
            "float64", "decades", "V at init: log10 rms(delta_1) - log10 rms(delta_L)", null=_CENSORED
        ),
        "weight_vanishing_index": Column(
            "float64", "decades", "V_w at init: the same on the weight gradient", null=_CENSORED
        ),
        "slope": Column(
            "float64", "decades/layer", "log10 rms(delta) per layer towards the input, at init",
            null=_CENSORED + ", or too few layers",
        ),
        "seconds": Column("float64", "s", "the run's share of the wall time of its stack"),
        "device": Column("string", "1", "where it was trained"),
    },
)  # fmt: skip

CURVES = Table(
    "curves",
    "a run at a step",
    ("run_id", "step"),
    {
        "run_id": _RUN_ID,
        "step": _STEP,
        "train_loss": Column("float32", "nats", "loss of the batch before the update", null="non-finite, or after the last update"),
        "test_accuracy": Column(
            "float32", "1", "share right on the test split", null="not measured at this step"
        ),
    },
)  # fmt: skip

_NEEDS_TRAINING = "no update was made before this step"
LAYERS = Table(
    "layers",
    "a hidden layer of a player of a run at a probe step, measured on the fixed probe batch",
    ("run_id", "step", "player", "layer"),
    {
        "run_id": _RUN_ID,
        "step": _STEP,
        "player": Column("string", "1", "net, or generator and discriminator"),
        "layer": Column("int64", "1", "1 is next to the input"),
        "log10_delta_rms": Column("float32", "log10 nats", "rms of dL/dh over units and samples, L per sample", null=_CENSORED),
        "log10_grad_rms": Column("float32", "log10 nats", "rms of dL/dW, L the mean over the probe batch", null=_CENSORED),
        "grad_mean": Column("float64", "nats", "mean of dL/dW", null="non-finite"),
        "grad_sd": Column("float64", "nats", "sd of dL/dW", null="non-finite"),
        "grad_zero_fraction": Column("float32", "1", "share of dL/dW that is exactly 0"),
        "delta_zero_fraction": Column("float32", "1", "share of dL/dh that is exactly 0"),
        "underflow_fp16": Column("float32", "1", "share of nonzero dL/dW that float16 rounds to 0"),
        "underflow_bf16": Column("float32", "1", "share of nonzero dL/dW that bfloat16 rounds to 0"),
        "activation_mean": Column("float64", "1", "mean of a = phi(h)", null="non-finite"),
        "activation_sd": Column("float64", "1", "sd of a = phi(h)", null="non-finite"),
        "q": Column("float64", "1", "mean square of h", null="non-finite"),
        "saturation_low": Column("float32", "1", "share of h below the peak of phi' with phi'(h) <= .1 max phi'"),
        "saturation_high": Column("float32", "1", "share of h above the peak of phi' with phi'(h) <= .1 max phi'"),
        "dead_fraction": Column("float32", "1", "share of units with phi'(h) = 0 for every probe input"),
        "update_ratio": Column("float64", "1", "norm of the last update of W over the norm of W", null=_NEEDS_TRAINING),
    },
)  # fmt: skip

LAGS = Table(
    "lags",
    "a time lag of a recurrent run at a probe step",
    ("run_id", "step", "lag"),
    {
        "run_id": _RUN_ID,
        "step": _STEP,
        "lag": Column("int64", "time steps", "T - t: 0 is the last time step"),
        "log10_delta_rms": Column("float32", "log10 nats", "rms of dL/dh_t", null=_CENSORED),
    },
)  # fmt: skip

PREDICTIONS = Table(
    "predictions",
    "a hidden layer of a cell, as mean-field theory predicts it at init",
    ("cell", "layer"),
    {
        "cell": _CELL,
        "layer": Column("int64", "1", "1 is next to the input"),
        "q": Column("float64", "1", "mean square of h over a batch; of a plain network its geometric mean over networks", null="no theory"),
        "chi_1": Column("float64", "1", "factor of E[delta^2] from this layer to the one before it, in the mean field at this q", null="layer 1 has no hidden layer before it, or no theory"),
        "slope": Column("float64", "decades/layer", "the cell's slope over the same layers as the measured one", null="too few layers, or no theory"),
        "log10_delta_rms": Column("float64", "log10 nats", "rms of dL/dh", null="no theory"),
        "source": Column("string", "1", "formula and paper; 'none' where there is no theory"),
    },
)  # fmt: skip

SUMMARY = Table(
    "summary",
    "an outcome of a cell of a battery over its judged seeds",
    ("battery", "cell", "outcome"),
    {
        "battery": RUNS.columns["battery"],
        "cell": _CELL,
        **{name: RUNS.columns[name] for name in ("family", "task", "activation", "init", "sigma_w", "norm", "residual", "depth", "width", "optimizer")},
        "outcome": Column("string", "1", "the column of runs that is summarised"),
        "n": Column("int64", "runs", "seeds that it rests on"),
        "value": Column("float64", "the outcome's", "interquartile mean over seeds", null="no run has it"),
        "low": Column("float64", "the outcome's", "lower end of the 95 % bootstrap interval", null="fewer than two runs"),
        "high": Column("float64", "the outcome's", "upper end of the 95 % bootstrap interval", null="fewer than two runs"),
    },
)  # fmt: skip

LEDGER = Table(
    "ledger",
    "a claim in a stratum; the stratum 'all' carries the verdict",
    ("claim", "stratum"),
    {
        "claim": Column("string", "1", "id in reports/claims.yaml"),
        "stratum": Column("string", "1", "'all', or the cells that this row rests on"),
        "statistic": Column("string", "1", "what value is"),
        "value": Column("float64", "the statistic's", "the estimate", null="nothing to estimate it from"),
        "low": Column("float64", "the statistic's", "lower end of the 95 % interval; over a claim's strata they hold at once", null="nothing to estimate it from, or too few seeds for an interval"),
        "high": Column("float64", "the statistic's", "upper end of the 95 % interval; over a claim's strata they hold at once", null="nothing to estimate it from, or too few seeds for an interval"),
        "n": Column("int64", "seeds", "seeds that it rests on"),
        "p": Column("float64", "1", "of the registered test", null="nothing to test"),
        "p_holm": Column("float64", "1", "p after Holm's correction over the claims", null="not a primary test"),
        "p_bh": Column("float64", "1", "p after Benjamini and Hochberg's correction over the secondary tests", null="not an exploratory test"),
        "verdict": Column("string", "1", "SUPPORTED, REFUTED, CONDITIONAL, INCONCLUSIVE, INCOMPLETE, NOT TESTABLE"),
        "planned": Column("int64", "runs", "runs that it needs"),
        "done": Column("int64", "runs", "of these, runs that are there"),
        "diverged": Column("int64", "runs", "of these, runs that diverged"),
        "seeds_needed": Column("int64", "seeds", "about how many would decide it, if effect and spread stay", null="decided, or nothing to tell it from"),
        "reason": Column("string", "1", "why this verdict; the strata, where they differ"),
    },
)  # fmt: skip

TABLES = {table.name: table for table in (RUNS, CURVES, LAYERS, LAGS, PREDICTIONS, SUMMARY, LEDGER)}
# What a training job can know of a run; the battery and the cell's signal come with the others.
RUN_LOG = RUNS.without("battery", "signal")


def data_dictionary() -> str:
    """All tables as Markdown: the text of ``reports/data-dictionary.md``."""
    parts = ["# Data dictionary", "", "Rendered from `src/vanishing/tables.py` by `make docs`."]
    for table in TABLES.values():
        parts += ["", f"## {table.name}", "", f"A row is {table.row}. Key: {', '.join(table.key)}.", ""]  # fmt: skip
        parts += ["| column | type | unit | meaning | null means |", "|---|---|---|---|---|"]
        parts += [
            f"| {name} | {c.dtype} | {c.unit} | {c.meaning} | {c.null or '-'} |"
            for name, c in table.columns.items()
        ]
    return "\n".join(parts) + "\n"
