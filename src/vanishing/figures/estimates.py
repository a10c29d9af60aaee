"""Which runs figures show."""

from __future__ import annotations

import pandas as pd

from ..analysis.estimates import one_family


def at_init(runs: pd.DataFrame) -> pd.DataFrame:
    """The judged runs of a family that show the initial network, each once: the init batteries'.

    A study without init batteries has its trained runs, which were measured before training.
    """
    judged = one_family(runs[runs["split"].eq("judged")]).drop_duplicates("run_id")
    untrained = judged[judged["steps"].eq(0)]
    return untrained if len(untrained) else judged
