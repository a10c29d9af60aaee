"""The rows of a stack's runs in every table that a training job writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..parts.inits import INITS
from ..parts.losses import Chance
from ..study.identity import GRAPH
from ..table import Table
from ..tables import LAGS, LAYERS, LOGS, NETWORKS, RECURRENCES, SCORES
from ..theory.slope import lag_slope, slope
from .evaluation import Scores
from .measures import outcome, smoothed, steps_to_threshold
from .network import Network
from .stack import Budget
from .training import Trace

CURVE_POINTS = 60  # of the training loss of a run, besides the probe steps
RESULTS = (
    "outcome", "final_loss", "final_train_accuracy", "final_test_accuracy", "steps_to_threshold",
)  # fmt: skip


Logs = dict[str, pd.DataFrame]
Rows = dict[str, np.ndarray]  # columns; without any there are no rows
Tables = dict[str, Rows]  # by their names
Block = Mapping[str, np.ndarray | float | str]  # columns of rows


def of_stack(
    cohort: dict,
    net: Network,
    budget: Budget,
    known: Chance,
    members: list[dict],
    trace: Trace,
    used: list[dict],
) -> Tables:
    """The rows of a stack in every table; ``used`` are time, device and rate of each member."""
    results = [
        {**signal(trace, i), **_results(trace, i, budget, known)} for i in range(len(members))
    ]
    ids = [member["run_id"] for member in members]
    seen = 0 if budget.own_pass else budget.probe_batch
    return {
        "runs": of_runs(cohort, net, seen, members, used, results),
        "curves": of_curves(ids, trace, budget.steps),
        "layers": of_layers(ids, trace, "net"),
        "networks": of_networks(ids, trace, "net"),
        "freeze": _freeze(ids, trace, budget, known),
        "lags": _lags(ids, trace),
        "recurrences": _recurrences(ids, trace),
        "scores": of_scores(ids, trace.scores),
    }


def of_runs(
    cohort: dict,
    net: Network,
    probe_batch: int,
    members: list[dict],
    used: list[dict],
    results: list[dict],
) -> Rows:
    """A row a run, its settings beside its results; the sigmas are those of ``net``."""
    shared = {
        "cohort": cohort["id"],
        "split": cohort["split"] if cohort["split"] == "tuning" else "judged",
        "probe_batch": probe_batch,
        **{name: cohort[name] for name in GRAPH},
    }
    rows = []
    for member, mine, found in zip(members, used, results, strict=True):
        own = {k: member[k] for k in ("run_id", "cell", "init", "seed", "lr_policy")}
        rows.append({**shared, **own, **_sigmas(net, member["init"]), **mine, **found})
    return _columns(rows)


def _columns(rows: Sequence[Mapping]) -> Rows:
    """Rows that all have the same names, by column."""
    names = rows[0] if rows else ()
    return {name: _numbers([row[name] for row in rows]) for name in names}


def _numbers(values: list) -> np.ndarray:
    """As an array of numbers where all are; else of objects, None where one is missing."""
    found = np.array(values)
    return found if found.dtype.kind in "ifb" else np.array(values, dtype=object)


def _sigmas(net: Network, init: str) -> dict[str, float]:
    """sigma_w and sigma_b of the hidden layer in the middle; of an RNN, of its recurrent weight."""
    rule, middle = INITS[init], min((net.depth + 1) // 2 + 1, net.depth)
    place = net.architecture.place(middle, net.activation)
    if net.recurrence:
        place = net.architecture.recurrent_place(middle, net.activation)
    mean_square = rule.weight_std(place) ** 2 + rule.weight_mean(place) ** 2
    return {
        "sigma_w": (mean_square * place.fan_in) ** 0.5,
        "sigma_b": rule.bias_std(place),
    }


def signal(trace: Trace, i: int) -> dict:
    """Vanishing indices and slope of run ``i`` as it begins, and where it stops being finite.

    Of a GAN, those of the trace of its generator.
    """
    first, (step, layer) = trace.measures[0], trace.first_nonfinite[i]
    delta, g = first["log10_delta_rms"][i], first["log10_grad_rms"][i]
    past = trace.lags[0][i, -1] if trace.lags else np.full(1, np.nan)  # of the top layer, by lag
    return {
        "first_nonfinite_step": step or None,
        "first_nonfinite_layer": layer or None,
        "vanishing_index": delta[0] - delta[-1],
        "weight_vanishing_index": g[0] - g[-1],
        "slope": float(slope(delta)),
        "lag_index": past[-1] - past[0],
        "lag_slope": float(lag_slope(past)),
    }


def _results(trace: Trace, i: int, budget: Budget, known: Chance) -> dict:
    """How the training of run ``i`` ended; nothing, where nothing was trained."""
    if not budget.steps:
        return dict.fromkeys(RESULTS)
    losses = trace.losses[:, i]
    end = {name: values[i] for name, values in trace.measures[budget.steps].items()}
    train, test = float(trace.train_accuracy[i]), float(trace.test_accuracy[budget.steps][i])
    ended = outcome(losses, known.loss, train, end)
    if ended == "diverged":  # a result: it knows no more than chance, and is never in time
        values = (ended, None, known.accuracy, known.accuracy, None)
    else:
        final, reached = float(smoothed(losses)[-1]), steps_to_threshold(losses, known.loss)
        values = (ended, final, train, test, reached)
    return dict(zip(RESULTS, values, strict=True))


def of_curves(ids: list[str], trace: Trace, steps: int) -> Rows:
    """The loss on an even grid of steps and at the probes, and the accuracy where it was taken."""
    if not steps:
        return {}
    logged = sorted({*range(0, steps, max(1, steps // CURVE_POINTS)), *trace.measures})
    nothing = np.full(len(ids), np.nan)
    losses = [trace.losses[step] if step < steps else nothing for step in logged]
    losses = [np.where(np.isfinite(row), row, np.nan) for row in losses]
    return {
        "run_id": np.repeat(ids, len(logged)),
        "step": np.tile(logged, len(ids)),
        "train_loss": np.stack(losses, axis=1).ravel(),
        "test_accuracy": np.stack(
            [trace.test_accuracy.get(step, nothing) for step in logged], axis=1
        ).ravel(),
    }


def of_layers(ids: list[str], trace: Trace, player: str) -> Rows:
    """A row a run, probe step and layer; a block that is off leaves its columns missing."""
    blocks = []
    for step, measures in trace.measures.items():
        runs, depth = measures["q"].shape
        layers = np.tile(np.arange(1, depth + 1), runs)
        keys = {"run_id": np.repeat(ids, depth), "step": step, "layer": layers, "player": player}
        blocks.append({name: values.ravel() for name, values in measures.items()} | keys)
    return below(blocks, LAYERS)


def of_networks(ids: list[str], trace: Trace, player: str) -> Rows:
    """A row a run and probe step."""
    blocks = [
        {"run_id": np.array(ids), "step": step, "player": player, **measures}
        for step, measures in trace.of_network.items()
    ]
    return below(blocks, NETWORKS)


def below(blocks: Sequence[Block], table: Table) -> Rows:
    """Blocks of rows below each other, with the columns of ``table``; none without blocks.

    A column of a block is an array, or one value for all of its rows. Missing is what it lacks, and
    what is not finite.
    """
    if not blocks:
        return {}
    sizes = [len(block["run_id"]) for block in blocks]
    whole = {
        name: np.concatenate(
            [_column(block.get(name, np.nan), n) for block, n in zip(blocks, sizes, strict=True)]
        )
        for name in table.columns
    }
    for values in whole.values():
        if values.dtype.kind == "f":
            values[np.isinf(values)] = np.nan
    return whole


def _column(values: np.ndarray | float | str, rows: int) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else np.full(rows, values)


def _freeze(ids: list[str], trace: Trace, budget: Budget, known: Chance) -> Rows:
    """A row a run and number of frozen layers, 0 being the run itself; none without the block."""
    rows = []
    for frozen, found in ({0: trace} | trace.frozen if trace.frozen else {}).items():
        for i, run_id in enumerate(ids):
            ended = _results(found, i, budget, known)
            names = ("final_loss", "final_train_accuracy", "final_test_accuracy")
            loss, train, test = (ended[name] for name in names)
            row = {"run_id": run_id, "frozen": frozen, "final_loss": loss}
            rows.append(row | {"train_accuracy": train, "test_accuracy": test})
    return _columns(rows)


def _lags(ids: list[str], trace: Trace) -> Rows:
    """A row a run, probe step, layer and time lag; none of a net without a past."""
    blocks = []
    for step, profile in trace.lags.items():
        runs, depth, lags = profile.shape
        keys = {
            "run_id": np.repeat(ids, depth * lags),
            "step": step,
            "layer": np.tile(np.repeat(np.arange(1, depth + 1), lags), runs),
            "lag": np.tile(np.arange(lags), runs * depth),
        }
        blocks.append(keys | {"log10_delta_rms": profile.ravel()})
    return below(blocks, LAGS)


def _recurrences(ids: list[str], trace: Trace) -> Rows:
    """A row a run, probe step, layer and column of its weights."""
    blocks = []
    for step, columns in trace.recurrences.items():
        for column, measures in columns.items():
            runs, depth = measures["spectral_radius"].shape
            keys = {
                "run_id": np.repeat(ids, depth),
                "step": step,
                "layer": np.tile(np.arange(1, depth + 1), runs),
                "column": column,
            }
            blocks.append({n: v.ravel() for n, v in measures.items()} | keys)
    return below(blocks, RECURRENCES)


def of_scores(ids: list[str], scores: dict[int, Scores]) -> Rows:
    """A row a run, probe step, score and level."""
    blocks = [
        {"run_id": np.array(ids), "step": step, "score": name, "level": level, "value": values}
        for step, found in scores.items()
        for (name, level), values in found.items()
    ]
    return below(blocks, SCORES)


def stacked(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts below each other; those that have none are left out."""
    there = [part for part in parts if part]
    names = dict.fromkeys(name for part in there for name in part)  # all must have all
    return {name: np.concatenate([part[name] for part in there]) for name in names}


def together(parts: Sequence[Tables]) -> Logs:
    """Every table that a job writes, of all stacks; empty where a family has no such rows."""
    return {n: t.frame(stacked([part.get(n, {}) for part in parts])) for n, t in LOGS.items()}
