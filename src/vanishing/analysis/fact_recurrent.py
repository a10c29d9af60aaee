"""Facts of recurrent nets: lag slopes at init, and who learns to add over the longest sequences."""

from __future__ import annotations

from dataclasses import replace

from .fact import absent, fact, mean_of, selected, share_of
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
    part, query = _of_cell(tables, "rnn_init", *cell)
    runs = part.runs
    if len(runs):
        depth, length = runs["depth"].min(), runs["length"].max()
        runs = runs[(runs["depth"] == depth) & (runs["length"] == length)]
        query = f"{query}, depth {depth}, length {length}"
    return mean_of(replace(part, runs=runs), "lag_slope", 3, query)


def _adding(tables: Tables) -> dict:
    battery = selected(tables, "rnn_training", task="adding")[0].runs
    if battery.empty:
        none = absent("1", "judged runs of battery rnn_training on the task adding")
        steps = absent("time steps", "battery rnn_training on the task adding")
        names = [f"adding.success.{name}" for name in (*LEARNERS, "vanilla.short")]
        lengths = dict.fromkeys(("adding.length", "adding.shortest"), steps)
        return dict.fromkeys(names, none) | lengths
    shortest, length = int(battery["length"].min()), int(battery["length"].max())
    found = {
        f"adding.success.{name}": share_of(*_success(tables, length, *cell))
        for name, cell in LEARNERS.items()
    }
    query = "runs: battery rnn_training, judged, task adding"
    return found | {
        "adding.success.vanilla.short": share_of(*_success(tables, shortest, *LEARNERS["vanilla"])),
        "adding.length": fact(length, "time steps", 0, f"{query}: largest length"),
        "adding.shortest": fact(shortest, "time steps", 0, f"{query}: smallest length"),
    }


def _success(tables: Tables, length: int, *cell: str) -> tuple[Tables, str, str]:
    part, query = _of_cell(tables, "rnn_training", *cell, task="adding", length=length)
    return part, "success", query


def _of_cell(
    tables: Tables, battery: str, recurrence: str, activation: str, init: str, **more: object
) -> tuple[Tables, str]:
    levels = {"recurrence": recurrence, "activation": activation, "init": init, "norm": "none"}
    return selected(tables, battery, **levels, **more)
