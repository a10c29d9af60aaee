"""Which runs figures show."""

from __future__ import annotations

import pandas as pd


def one_family(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of MLPs on the task of most of their cells; without MLPs, of the first family.

    Points never mix two families, or two tasks.
    """
    families = list(runs["family"].unique())
    family = "mlp" if "mlp" in families else next(iter(families), "mlp")
    mine = runs[runs["family"].eq(family)]
    cells = mine.groupby("task", sort=False)["cell"].nunique()
    return mine[mine["task"].eq(cells.idxmax())] if len(cells) else mine


def at_init(runs: pd.DataFrame) -> pd.DataFrame:
    """The judged runs of a family that show the initial network, each once: the init batteries'.

    A study without init batteries has its trained runs, which were measured before training.
    """
    judged = one_family(runs[runs["split"].eq("judged")]).drop_duplicates("run_id")
    untrained = judged[judged["steps"].eq(0)]
    return untrained if len(untrained) else judged
