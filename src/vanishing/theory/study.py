"""The predictions of a study: of every layer, and of every network as a whole, by cell."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ..parts.activations import ACTIVATIONS
from ..parts.architecture import Architecture
from ..parts.inits import INITS
from ..parts.norms import NORMS
from ..parts.residuals import RESIDUALS
from ..parts.tasks import Data, load
from .cell import Cell
from .ensembles import expected
from .predictions import predict

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = 32  # of the cosine of two inputs
SAMPLES = 1000  # that cosines are taken between

# A label with parameters makes a new part at every look-up: one part a label, or caches never hit.
_activation = functools.cache(ACTIVATIONS.__getitem__)
_init = functools.cache(INITS.__getitem__)
_norm = functools.cache(NORMS.__getitem__)
_residual = functools.cache(RESIDUALS.__getitem__)


def predictions(results: Path) -> pd.DataFrame:
    """The table ``predictions`` for the cells of the plan in ``results``."""
    return predict(cells_of(results))


def of_networks(results: Path) -> pd.DataFrame:
    """The table ``expected`` for the cells of the plan in ``results``."""
    return expected(cells_of(results))


def cells_of(results: Path) -> dict[str, Cell]:
    """Every cell of the plan in ``results`` by its name."""
    torch.set_num_threads(1)  # on tensors this small, threads wait for each other
    plan = json.loads((results / "plan.json").read_text())
    of_task = functools.cache(lambda source: InputMoments.of(load(json.loads(source))))
    cells: dict[str, Cell] = {}
    for entry in plan["cohorts"]:
        cohort = json.loads((results / "cohorts" / f"{entry['id']}.json").read_text())
        data = of_task(json.dumps(cohort["data_source"], sort_keys=True))
        made = {init: cell_of(cohort, init, data) for init in {r["init"] for r in cohort["runs"]}}
        cells |= {run["cell"]: made[run["init"]] for run in cohort["runs"]}
    return cells


class InputMoments(NamedTuple):
    """What the theory needs of a data set."""

    inputs: int
    classes: int
    image: tuple[int, int, int] | None
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
            data.inputs.shape[1],
            data.classes,
            data.image,
            float(np.linalg.norm(x.T @ x / len(x))),
            tuple(np.quantile(pairs, at).tolist()),
            tuple(square.reshape(channels, -1).mean(0).tolist()),
        )


def cell_of(cohort: dict, init: str, data: InputMoments) -> Cell:
    """The cell of an init in a cohort, described as its JSON does."""
    architecture = Architecture.of(cohort, data.inputs, data.classes, data.image)
    return Cell(
        _activation(cohort["activation"]),
        _init(init),
        _norm(cohort["norm"]),
        _residual(cohort["residual"]),
        architecture,
        cohort.get("norm_position", "before") == "before",
        cohort["probes"]["batch"],
        data.correlation,
        data.cosines,
        data.pixels if cohort["family"] == "cnn" else (),
    )
