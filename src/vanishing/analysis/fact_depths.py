"""Facts of how deep a network can be: the trainable depth against the depth scale of theory."""

from __future__ import annotations

import pandas as pd

from .fact import absent, fact
from .frontier import scaling
from .statistics import Estimate

SAYS = {
    "slope": "coefficient of log xi",
    "factor": "L_50 at a xi of one layer",
    "ratio": "geometric mean of L_50 over xi",
}


def depths(frontiers: pd.DataFrame) -> dict[str, dict]:
    """``frontier.slope``, ``.factor`` and ``.ratio`` of log L_50 on log xi; ``frontier.arms``."""
    found = scaling(frontiers)
    query = "frontiers: arms inside with a xi, battery with most; log depth_50 on log xi"
    arms = found.slope.n
    return {
        "frontier.arms": fact(arms, "arms", 0, query),
        **{
            f"frontier.{name}": _of(getattr(found, name), query, said)
            for name, said in SAYS.items()
        },
    }


def _of(estimate: Estimate, query: str, said: str) -> dict:
    if estimate.value != estimate.value:
        return absent("", "three plain arms whose frontier lies inside their depths")
    return fact(estimate.value, "", 1, f"{query}: {said}", estimate.low, estimate.high)
