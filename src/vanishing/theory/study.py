"""The predictions of a study: of every layer, time lag, and network as a whole, by cell."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ..parts.activations import ACTIVATIONS
from ..parts.architecture import Architecture, Shape
from ..parts.data import Data
from ..parts.inits import INITS
from ..parts.norms import NORMS
from ..parts.residuals import RESIDUALS
from ..parts.tasks import load
from .cell import Cell, UnknownCell, centred
from .ensembles import expected
from .predictions import of_layers, predict
from .sequences import Probe, RecurrentCell, lag_predictions

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = 32  # of the cosine of two inputs
SAMPLES = 1000  # that cosines are taken between
SILENCE = 10.0  # seconds, at most, between two lines that say how far it is

# A label with parameters makes a new part at every look-up: one part a label, or caches never hit.
_activation = functools.cache(ACTIVATIONS.__getitem__)
_init = functools.cache(INITS.__getitem__)
_norm = functools.cache(NORMS.__getitem__)
_residual = functools.cache(RESIDUALS.__getitem__)


AnyCell = Cell | RecurrentCell | UnknownCell


def tables(results: Path, say: Callable[[str], None] | None = None) -> dict[str, pd.DataFrame]:
    """The tables of predictions by name, for the cells of the plan in ``results``.

    ``say`` is told how far it is, where that takes long.
    """
    cells = cells_of(results)
    _predict_each(cells, say or (lambda line: None))
    return {
        "predictions": predict(cells),
        "expected": expected(cells),
        "lag_predictions": lag_predictions(cells),
    }


def _predict_each(cells: dict[str, AnyCell], say: Callable[[str], None]) -> None:
    """Make the predictions that the tables are then written of: cells that are alike share one."""
    told, alike = time.monotonic(), defaultdict(list)
    for cell in cells.values():
        alike[_of_any_depth(cell)].append(cell)
    for done, cell in enumerate(itertools.chain(*alike.values()), 1):
        of_layers(cell)
        if time.monotonic() - told > SILENCE:
            say(f"{done} of {len(cells)} cells")
            told = time.monotonic()


def _of_any_depth(cell: AnyCell) -> AnyCell:
    """What cells have in common that differ in depth alone: one after another, they share walks."""
    if isinstance(cell, Cell):
        return cell._replace(architecture=dataclasses.replace(cell.architecture, depth=0))
    return cell._replace(depth=0)


def cells_of(results: Path) -> dict[str, AnyCell]:
    """Every cell of the plan in ``results`` by its name."""
    torch.set_num_threads(1)  # on tensors this small, threads wait for each other
    plan, seen = json.loads((results / "plan.json").read_text()), Seen()
    cells: dict[str, AnyCell] = {}
    for entry in plan["cohorts"]:
        cohort = json.loads((results / "cohorts" / f"{entry['id']}.json").read_text())
        made = {init: any_cell(cohort, init, seen) for init in {r["init"] for r in cohort["runs"]}}
        cells |= {run["cell"]: made[run["init"]] for run in cohort["runs"]}
    return cells


class Seen:
    """What the networks of a study see, each task loaded once."""

    def __init__(self) -> None:
        self._moments = functools.cache(lambda source: InputMoments.of(load(json.loads(source))))
        self._probe = functools.cache(lambda source, n: Probe.of(load(json.loads(source)), n))

    def moments(self, cohort: dict) -> InputMoments:
        """Of all samples of a cohort's task."""
        return self._moments(json.dumps(cohort["data_source"], sort_keys=True))

    def probe(self, cohort: dict) -> Probe:
        """The samples that a cohort's networks are measured on."""
        source = json.dumps(cohort["data_source"], sort_keys=True)
        return self._probe(source, cohort["probes"]["batch"])


def any_cell(cohort: dict, init: str, seen: Seen) -> AnyCell:
    """The cell of an init in a cohort of any family."""
    if cohort["family"] == "gan":
        return UnknownCell(cohort["depth"])
    if cohort["family"] == "rnn":
        return RecurrentCell.of(cohort, init, seen.probe(cohort))
    return cell_of(cohort, init, seen.moments(cohort))


class InputMoments(NamedTuple):
    """What the theory needs of a data set."""

    shape: Shape
    correlation: float  # root mean square cosine of two samples
    cosines: tuple[float, ...]  # quantiles of it
    pixels: tuple[float, ...]  # mean square at each pixel

    @classmethod
    def of(cls, data: Data) -> InputMoments:
        """Measured on ``data``."""
        x = data.inputs / np.linalg.norm(data.inputs, axis=1, keepdims=True)
        some = x[:: -(-len(x) // SAMPLES)].astype(np.float64)
        pairs = (some @ some.T)[np.triu_indices(len(some), 1)]
        at = (np.arange(QUANTILES) + 0.5) / QUANTILES
        square = np.mean(np.square(data.inputs), axis=0, dtype=np.float64)
        channels = data.image[0] if data.image else 1
        return cls(
            data.shape,
            float(np.linalg.norm(x.T @ x / len(x))),
            tuple(np.quantile(pairs, at).tolist()),
            tuple(square.reshape(channels, -1).mean(0).tolist()),
        )


def cell_of(cohort: dict, init: str, data: InputMoments) -> Cell:
    """The cell of an init in a cohort, described as its JSON does."""
    architecture = Architecture.of(cohort, data.shape)
    activation, rule = _activation(cohort["activation"]), _init(init)
    return Cell(
        centred(activation) if rule.centred else activation,
        rule,
        _norm(cohort["norm"]),
        _residual(cohort["residual"]),
        architecture,
        cohort.get("norm_position", "before") == "before",
        cohort["probes"]["batch"],
        data.correlation,
        data.cosines,
        data.pixels if cohort["family"] == "cnn" else (),
    )
