"""Facts of recurrent nets: lag slopes at init, and who learns to add over the longest sequences."""

from __future__ import annotations

from .fact import absent, fact, mean_of, share_of
from .fact_rows import Selection, selected
from .study_tables import Tables

# Recurrence, activation, init.
CELLS = {
    "vanilla.torch_default": ("vanilla", "tanh", "torch_default"),
    "vanilla.orthogonal": ("vanilla", "tanh", "orthogonal"),
    "vanilla.identity": ("vanilla", "relu", "identity"),
    "lstm.torch_default": ("lstm", "tanh", "torch_default"),
    "gru.torch_default": ("gru", "tanh", "torch_default"),
}
LEARNERS = {
    "vanilla": CELLS["vanilla.torch_default"],
    "identity": CELLS["vanilla.identity"],
    "lstm": CELLS["lstm.torch_default"],
    "gru": CELLS["gru.torch_default"],
    "leaky": ("leaky", "tanh", "torch_default"),
}


def recurrent(tables: Tables) -> dict[str, dict]:
    """``lag.slope.<recurrence>.<init>``, ``adding.success.<cell>`` and the lengths.

    ``adding.length`` is the longest, which the successes are told at, and ``adding.shortest`` that
    of ``adding.success.vanilla.short``.
    """
    return {
        **{f"lag.slope.{name}": _slope(tables, *cell) for name, cell in CELLS.items()},
        **_adding(tables),
    }


def _slope(tables: Tables, *cell: str) -> dict:
    """The lag slope at init of the shallowest nets at the longest sequences."""
    part = _of_cell(tables, "rnn_init", *cell)
    if len(part.runs):
        runs = part.runs
        part = part.at(depth=int(runs["depth"].min()), length=int(runs["length"].max()))
    return mean_of(part, "lag_slope", 3)


def _adding(tables: Tables) -> dict:
    battery = selected(tables, "rnn_training", task="adding")
    if battery.runs.empty:
        none = absent("1", "judged runs of battery rnn_training on the task adding")
        steps = absent("time steps", "battery rnn_training on the task adding")
        names = [f"adding.success.{name}" for name in (*LEARNERS, "vanilla.short")]
        lengths = dict.fromkeys(("adding.length", "adding.shortest"), steps)
        return dict.fromkeys(names, none) | lengths
    shortest, length = int(battery.runs["length"].min()), int(battery.runs["length"].max())
    found = {
        f"adding.success.{name}": _success(tables, length, *cell) for name, cell in LEARNERS.items()
    }
    return found | {
        "adding.success.vanilla.short": _success(tables, shortest, *LEARNERS["vanilla"]),
        "adding.length": _steps(battery, length, "largest"),
        "adding.shortest": _steps(battery, shortest, "smallest"),
    }


def _steps(battery: Selection, length: int, which: str) -> dict:
    query = f"runs: {battery.query}: {which} length"
    return fact(length, "time steps", 0, query, rows=battery.at(length=length).rows)


def _success(tables: Tables, length: int, *cell: str) -> dict:
    part = _of_cell(tables, "rnn_training", *cell, task="adding", length=length)
    return share_of(part, "success")


def _of_cell(
    tables: Tables, battery: str, recurrence: str, activation: str, init: str, **more: object
) -> Selection:
    levels = {"recurrence": recurrence, "activation": activation, "init": init, "norm": "none"}
    return selected(tables, battery, **levels, **more)
