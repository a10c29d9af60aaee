"""Facts of how deep a network can be: the trainable depth against the depth scale of theory."""

from __future__ import annotations

import pandas as pd

from ..tables import FRONTIERS
from .fact import absent, fact
from .fact_rows import levels, rows
from .frontier import ARM, scaled, scaling
from .statistics import Estimate

SAYS = {
    "slope": "coefficient of log xi",
    "factor": "L_50 at a xi of one layer",
    "ratio": "geometric mean of L_50 over xi",
}


def depths(frontiers: pd.DataFrame) -> dict[str, dict]:
    """``frontier.slope``, ``.factor`` and ``.ratio`` of log L_50 on log xi; ``frontier.arms``."""
    found, arms = scaling(frontiers), scaled(frontiers)
    query = "frontiers: arms inside with a xi, battery with most; log depth_50 on log xi"
    names = ("battery", *ARM, "beyond")
    chosen = rows(FRONTIERS.name, {name: levels(arms[name]) for name in names})
    return {
        "frontier.arms": fact(found.slope.n, "arms", 0, query, rows=chosen),
        **{
            f"frontier.{name}": _of(getattr(found, name), f"{query}: {said}", chosen)
            for name, said in SAYS.items()
        },
    }


def _of(estimate: Estimate, query: str, chosen: dict) -> dict:
    if estimate.value != estimate.value:
        return absent("", "three plain arms whose frontier lies inside their depths")
    return fact(estimate.value, "", 1, query, estimate.low, estimate.high, rows=chosen)
