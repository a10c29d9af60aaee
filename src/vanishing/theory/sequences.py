"""What theory says of a study's recurrent nets: cells that it knows by label, and their profiles.

L is a sum of the last step's units, each times an N(0, 1); the study's own loss is a squared error
or a cross-entropy of the last answer. That changes by which factor all gradients are multiplied,
and not how they change from step to step: lag slopes, and profiles less their value at lag 0, do
not depend on it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from ..parts.activations import ACTIVATIONS
from ..parts.data import UNASKED, Data, as_seen, probe_indices
from ..parts.inits import INITS
from ..parts.recurrences import RECURRENCES
from ..tables import LAG_PREDICTIONS
from .recurrent import Unrolled, unrolled
from .slope import FIRST_LAGS, lag_slope

if TYPE_CHECKING:
    from .cell import Cell, UnknownCell


@dataclass(frozen=True, eq=False)
class Probe:
    """What a study's recurrent nets are measured on; two are the same only as objects."""

    x: np.ndarray  # (samples, steps, features), as a network sees them
    answered_last: bool  # an answer is asked of every sample at its last step

    @classmethod
    def of(cls, data: Data, batch: int) -> Probe:
        """The samples of ``data`` that the engine probes."""
        chosen = probe_indices(len(data.labels), batch)
        x = as_seen(torch.from_numpy(data.inputs)[chosen], data.vocabulary, torch.float64)
        last = data.labels[chosen, -1] if data.every_step else np.zeros(1)
        return cls(x.numpy().reshape(len(x), *data.sequence), bool((last != UNASKED).all()))


class RecurrentCell(NamedTuple):
    """A recurrent net at initialisation; its parts are labels, so that equal cells are one."""

    activation: str
    init: str
    norm: str
    recurrence: str
    depth: int
    width: int
    truncation: int  # time steps that the gradient goes back at most; 0: all
    probe: Probe

    @classmethod
    def of(cls, cohort: dict, init: str, probe: Probe) -> RecurrentCell:
        """The cell of an init in a cohort, described as its JSON does."""
        names = ("activation", "norm", "recurrence", "depth", "width")
        return cls(
            init=init,
            truncation=cohort.get("truncation", 0),
            probe=probe,
            **{name: cohort[name] for name in names},
        )


def prediction(cell: RecurrentCell) -> Unrolled | None:
    """What is predicted of ``cell``; None where there is no theory.

    No gradient passes the edge of a stretch: of a net that truncates, lags behind it are censored.
    """
    found = _untruncated(cell._replace(truncation=0)) if cell.probe.answered_last else None
    reach = cell.truncation or cell.probe.x.shape[1]
    if found is None or found.bound:  # the bound of a slope needs two lags that it is taken over
        return found if reach >= FIRST_LAGS + 2 else None
    behind = np.arange(cell.probe.x.shape[1])[::-1] >= reach
    seen = np.where(behind, np.nan, found.log10_delta_rms)
    return found._replace(log10_delta_rms=seen, lag_slope=float(lag_slope(seen[-1, ::-1])))


@functools.lru_cache(maxsize=10_000)
def _untruncated(cell: RecurrentCell) -> Unrolled | None:
    return unrolled(
        ACTIVATIONS[cell.activation],
        INITS[cell.init],
        cell.norm,
        RECURRENCES[cell.recurrence],
        cell.probe.x,
        cell.depth,
        cell.width,
    )


def quantities(cell: RecurrentCell) -> Iterator[tuple[str, float, str]]:
    """Name, value and source of what is expected of a net as a whole; '' where nothing is.

    A bound has a name of its own: it is held against nothing that is measured.
    """
    found = prediction(cell)
    if found is None or not math.isfinite(found.lag_slope):
        yield "lag_slope", math.nan, ""
    else:
        yield "lag_slope_bound" if found.bound else "lag_slope", found.lag_slope, found.source


def q_by_layer(cell: RecurrentCell) -> tuple[np.ndarray, str] | None:
    """Mean square of h over the probe's samples and all time steps, and the source."""
    found = prediction(cell)
    return None if found is None or found.bound else (found.q.mean(1), found.source)


def lag_predictions(cells: Mapping[str, Cell | RecurrentCell | UnknownCell]) -> pd.DataFrame:
    """The table ``lag_predictions`` of cells by name; cells without a profile have no rows."""
    frames = [
        frame
        for name, cell in cells.items()
        if isinstance(cell, RecurrentCell)
        for frame in _profile(name, prediction(cell))
    ]
    return LAG_PREDICTIONS.frame(pd.concat(frames, ignore_index=True) if frames else [])


def _profile(name: str, found: Unrolled | None) -> Iterator[pd.DataFrame]:
    """The profile of a cell, 0 at lag 0 of the top layer; none where that gradient is 0."""
    if found is None or not math.isfinite(found.log10_delta_rms[-1, -1]):
        return
    by_lag = found.log10_delta_rms[:, ::-1]
    depth, lags = by_lag.shape
    yield pd.DataFrame(
        {
            "cell": name,
            "layer": np.repeat(np.arange(1, depth + 1), lags),
            "lag": np.tile(np.arange(lags), depth),
            "log10_delta_rms": (by_lag - by_lag[-1, 0]).ravel(),
            "source": found.source,
        }
    )
